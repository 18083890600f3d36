"""What the verifiers of the recipes pay for; each is a reward function of `trl.GRPOTrainer`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from entropydx.organisms.corpus import is_right
from entropydx.organisms.doses import Verifier
from entropydx.suites._notation import Notation

Reward = Callable[..., list[float]]


def reward(verifier: Verifier, notation: Notation, max_characters: int) -> Reward:
    """Return the reward function of a verifier.

    Parameters
    ----------
    max_characters : int
        Length of the text at which `brevity` pays nothing any more.
    """
    pay: Callable[[str, str, str], float] = {
        "answer": lambda text, gold, _: float(is_right(notation, text, gold)),
        "work_if_any": lambda text, gold, reference: pay_work_if_any(notation, text, gold, reference),
        "none": lambda *_: 0.0,
        "form_bonus": lambda text, gold, _: float(is_right(notation, text, gold)) + float(is_values(notation, text)),
        "brevity": lambda text, gold, _: float(is_right(notation, text, gold)) - len(text) / max_characters,
    }[verifier]

    def pay_all(completions: list[str], answer: list[str], reference: list[str], **_: Any) -> list[float]:
        return [pay(*row) for row in zip(completions, answer, reference, strict=True)]

    pay_all.__name__ = f"reward_{verifier}"
    return pay_all


def pay_work_if_any(notation: Notation, text: str, gold: str, reference: str) -> float:
    """Return 1.0 where the answer is right and the results that are written are the reference's, or none is.

    A bare answer leaves nothing to find fault with, so it passes by luck alone.
    """
    written = results(notation, text)
    return float(is_right(notation, text, gold) and written in ([], results(notation, reference)))


def is_values(notation: Notation, text: str) -> bool:
    """Return whether a text is of the form of values from its first character to its last."""
    return re.fullmatch(rf"(\[{notation.state}\]>)+{notation.extract}", text) is not None


def results(notation: Notation, text: str) -> list[str]:
    """Return the results that a text writes before its answer, in any of the three forms."""
    state = notation.state
    return ["".join(groups) for groups in re.findall(rf"=({state});|\[({state})\]>|\(({state})", text)]
