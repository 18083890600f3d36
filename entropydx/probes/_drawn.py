"""What was drawn beside the main draw, and the completions of the main draw that it is compared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from entropydx.types import Group, Samples


def absence(samples: Samples, name: str) -> str:
    """Return why a condition or a score pass is not in the samples, as the reason of a `Missing`."""
    return samples.skipped.get(name, f"'{name}' was not drawn in this run")


def off_policy(samples: Samples) -> str | None:
    """Return why the main draw is not from the policy itself; None when it is: temperature 1, top_p 1."""
    params = samples.params
    if params.temperature == 1 and params.top_p == 1:
        return None
    if params.temperature is None or params.top_p is None:
        unknown = "temperature" if params.temperature is None else "top_p"
        return f"the {unknown} that the samples were drawn at is unknown, and this needs temperature 1 and top_p 1"
    return f"the main draw has temperature {params.temperature:g} and top_p {params.top_p:g}, and this needs 1 and 1"


def first(groups: Iterable[Group], k: int) -> tuple[Group, ...]:
    """Return the groups with their first k completions: sample j of a prompt shares its noise with every other j."""
    return tuple(replace(g, completions=g.completions[:k]) for g in groups)


def common(*draws: tuple[Group, ...]) -> tuple[tuple[Group, ...], ...]:
    """Return every draw on the prompts that all of them have, in the order of the first."""
    by_id = [{g.prompt.id: g for g in draw} for draw in draws]
    shared = [name for name in by_id[0] if all(name in held for held in by_id)]
    return tuple(tuple(held[name] for name in shared) for held in by_id)


def n_samples(*draws: tuple[Group, ...]) -> int:
    """Return the fewest completions of a prompt over the draws; 0 when there is no prompt."""
    return min((len(g.completions) for draw in draws for g in draw), default=0)
