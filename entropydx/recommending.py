"""Which remedies a report recommends: by label, by stage of training, by what was measured; at most three.

A remedy that is contraindicated for a failure that is present is never recommended, and neither is one of another stage
of training, or one whose condition is clear. Those whose conditions have fired come first, then the catalogue's order.
Two that set one key to two values are alternatives: the better one is recommended alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from entropydx import plugins
from entropydx.errors import PluginNotFoundError
from entropydx.findings import Measurements, all_of, judge_condition
from entropydx.own_settings import clash_of, inapplicable, not_compared, settings_beside
from entropydx.training_config import effective, holds
from entropydx.types import (
    FAILURES,
    Choice,
    Clash,
    Comparison,
    Condition,
    Diagnosis,
    Evidence,
    Finding,
    Label,
    LeftOut,
    Measurement,
    Recommendation,
    Remedy,
    Status,
    Training,
)

MAX_RECOMMENDATIONS = 3
BONUSES = (
    ("trl", "entropy_coef"),
    ("trl", "use_adaptive_entropy"),
    ("verl", "actor_rollout_ref.actor.entropy_coeff"),
    ("openrlhf", "--actor.entropy_coef"),
)
TEMPERATURES = (
    ("trl", "temperature"),
    ("verl", "actor_rollout_ref.rollout.temperature"),
    ("openrlhf", "--rollout.temperature"),
)


def _hazards(keys: Iterable[tuple[str, str]], op: Comparison, value: Any, why: str) -> tuple[Clash, ...]:
    """Return one hazard in the words of every framework."""
    return tuple(Clash(framework=name, key=key, op=op, value=value, effect="conflict", why=why) for name, key in keys)


HAZARDS: dict[Label, tuple[Clash, ...]] = {
    Label.INFERENCE_VARIANCE: _hazards(
        BONUSES, ">", 0, "it pushes towards more entropy, which widens the spread of answers"
    ),
    Label.TRAINING_COLLAPSE: (
        *_hazards(
            TEMPERATURES, "<", 1.0, "rollouts colder than the policy show the learner its favourite answers only"
        ),
        *_hazards(
            BONUSES,
            "<",
            0,
            "a negative coefficient rewards the loss of entropy: -0.001 speeds it (arXiv:2511.05993) [N]",
        ),
    ),
    Label.TEACHER_OVERCONFIDENCE: _hazards(
        (("trl", "teacher_model_kind"),),
        "==",
        "ema",
        "a teacher that follows its student hardens what the student has taken over (arXiv:2603.24472) [N]",
    ),
    Label.ABNORMAL: _hazards(
        BONUSES, ">", 0, "it pushes towards more entropy, of which there is too much: 0.01 explodes it [N]"
    ),
}
"""Settings that are poison for a failure, whatever is recommended; for `abnormal` where too much entropy named it."""


def catalogue() -> tuple[Remedy, ...]:
    """Return every remedy of every plugin, in the catalogue's order."""
    entries = (remedy for found in plugins.load_all("remedy").values() for remedy in found)
    return tuple(sorted(entries, key=lambda r: (r.order, r.id)))


def find_remedy(name: str) -> Remedy:
    """Return the remedy of the catalogue with an id.

    Raises
    ------
    PluginNotFoundError
        There is none; the hint names the nearest one.
    """
    known = {remedy.id: remedy for remedy in catalogue()}
    if name not in known:
        raise PluginNotFoundError("remedy", name, known)
    return known[name]


@cache
def trial_sentences() -> dict[tuple[str, str], tuple[str, ...]]:
    """Return what controlled trials on organisms found, by failure and remedy; empty where none ship."""
    shipped = Path(__file__).parent / "data" / "trials.json"
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in json.loads(shipped.read_text(encoding="utf-8")) if shipped.is_file() else ():
        key = row["failure"], row["remedy"]
        found[key] = (*found.get(key, ()), row["sentence"])
    return found


def choose(diagnosis: Diagnosis, measurements: Sequence[Measurement], training: Training | None) -> Choice:
    """Return at most three remedies for the label, the best first, each with why it was chosen, and the others."""
    by_name = {m.name: m for m in measurements}
    present = {Label(name) for name, a in diagnosis.failures.items() if a.status == "present"} | {diagnosis.label}
    fitting: list[tuple[bool, Remedy, tuple[Evidence, ...]]] = []
    left_out: list[LeftOut] = []
    for remedy in catalogue():
        if diagnosis.label not in remedy.for_:
            continue
        status, evidence = _conditions(remedy.when, by_name)
        against = _against(remedy, present, training, [e for e in evidence if e.status == "clear"])
        if against:
            left_out.append(LeftOut(id=remedy.id, title=remedy.title, why=against))
        else:
            fitting.append((status != "fired", remedy, tuple(e for e in evidence if e.status == "fired")))
    fitting.sort(key=lambda c: (c[0] and bool(c[1].when), _useless(c[1], training) is not None, c[1].order))
    chosen: list[tuple[Remedy, tuple[Evidence, ...]]] = []
    for _, remedy, evidence in fitting:
        rival = next((other for other, _ in chosen if not _agree(remedy, other)), None)
        if rival is None and len(chosen) < MAX_RECOMMENDATIONS:
            chosen.append((remedy, evidence))
        else:
            ahead = f"{MAX_RECOMMENDATIONS} remedies come before it"
            place = f"{rival.id} sets a key of it otherwise" if rival else ahead
            left_out.append(LeftOut(id=remedy.id, title=remedy.title, why=_useless(remedy, training) or place))
    return Choice(
        recommendations=tuple(_advise(remedy, diagnosis.label, evidence, training) for remedy, evidence in chosen),
        left_out=tuple(left_out),
        contraindicated=tuple(_poison(diagnosis)),
    )


def _poison(diagnosis: Diagnosis) -> Iterator[LeftOut]:
    """Yield the remedies of other failures that would deepen one that is present."""
    present = [failure for failure in FAILURES if diagnosis.failures[failure].status == "present"]
    for remedy in catalogue():
        wrong = [failure.words for failure in present if failure in remedy.contraindicated_for]
        if wrong and diagnosis.label not in remedy.for_:
            meant = " and ".join(label.words for label in remedy.for_)
            why = f"for {meant}, and wrong for {' and '.join(wrong)}, which is present"
            yield LeftOut(id=remedy.id, title=remedy.title, why=why)


def _against(
    remedy: Remedy, present: Collection[Label], training: Training | None, clear: Sequence[Evidence]
) -> str | None:
    """Return why a remedy is not for this checkpoint; None: nothing speaks against it."""
    deepened = [label.words for label in Label if label in present and label in remedy.contraindicated_for]
    if deepened:
        return f"it is wrong for {' and '.join(deepened)}, which is present"
    if remedy.stages and training is not None and training.stage not in (None, *remedy.stages):
        return f"it is for {' or '.join(remedy.stages)}, and this checkpoint is of {training.stage} ({training.source})"
    if clear:
        return f"its condition is not met: {'; '.join(_comparison(e) for e in clear)}"
    return None


def _agree(one: Remedy, other: Remedy) -> bool:
    """Return whether no framework is told two values of one key."""
    return all(
        other.config.get(framework, {}).get(key, value) == value
        for framework, settings in one.config.items()
        for key, value in settings.items()
    )


def with_warnings(training: Training, diagnosis: Diagnosis, findings: Sequence[Finding] = ()) -> Training:
    """Return the training with a warning for every setting that is poison for what was diagnosed."""
    if training.framework is None:
        return training
    present = [Label(name) for name, a in diagnosis.failures.items() if a.status == "present"]
    if diagnosis.label == Label.ABNORMAL and _exploded(findings):
        present.append(Label.ABNORMAL)
    found = [
        f"{clash.key} is {effective(training, clash.key)}: {clash.why}; wrong for {label.words}"
        for label in present
        for clash in HAZARDS.get(label, ())
        if clash.framework == training.framework and holds(training, clash.key, clash.op, clash.value)
    ]
    return replace(training, warnings=tuple(found))


def _exploded(findings: Sequence[Finding]) -> bool:
    """Return whether a checkpoint was called abnormal for too much entropy."""
    fired = (f for f in findings if f.failure == Label.ABNORMAL and f.status == "fired")
    return any(
        e.measurement.startswith("token_entropy.") and e.op == ">" and e.status == "fired"
        for f in fired
        for e in f.evidence
    )


def _conditions(when: Sequence[Condition], measured: Measurements) -> tuple[Status, tuple[Evidence, ...]]:
    """Return the conjunction of the conditions, fired when there is none, and their comparisons.

    Of alternatives those that are clear say nothing while another is not, and are left out.
    """
    judged = [judge_condition(condition, measured) for condition in when]
    told = (e for status, _, evidence in judged for e in evidence if e.status != "clear" or status == "clear")
    return all_of(status for status, _, _ in judged), tuple(told)


def _useless(remedy: Remedy, training: Training | None) -> str | None:
    """Return why a remedy would do nothing, or harm, beside the user's own settings; None: nothing says so."""
    if training is None or training.framework is None:
        return None
    keyless = training.framework not in remedy.config and "decoding" not in remedy.config
    if remedy.config and keyless and not remedy.by_hand:
        return f"{training.framework} has no key for it"
    beyond = inapplicable(remedy, training)
    if beyond is not None:
        return beyond
    clash = clash_of(remedy, training)
    if clash is not None and not remedy.by_hand:  # what its keys cannot do is then done without them
        return f"{clash.effect}: {clash.why}"
    settings = settings_beside(remedy, training)
    return "all of its settings are there already" if settings and {s.status for s in settings} == {"already"} else None


def _advise(remedy: Remedy, label: Label, evidence: Sequence[Evidence], training: Training | None) -> Recommendation:
    shared = {f.name: getattr(remedy, f.name) for f in fields(Recommendation) if hasattr(remedy, f.name)}
    shared["evidence"] = (*remedy.evidence, *trial_sentences().get((str(label), remedy.id), ()))
    return Recommendation(
        **shared,
        chosen_because=_because(remedy, label, evidence, training),
        settings=() if training is None else settings_beside(remedy, training),
    )


def _because(remedy: Remedy, label: Label, evidence: Sequence[Evidence], training: Training | None) -> str:
    reasons = [f"the verdict is {label.replace('_', ' ')}"]
    stage = None if training is None else training.stage
    if stage is not None and training is not None:
        fits = "it fits" if remedy.stages else "it fits any stage, so also"
        reasons.append(f"{fits} {stage} ({training.source})")
    elif remedy.stages:
        reasons.append(f"it fits {' or '.join(remedy.stages)}; which stage made this checkpoint is not known")
    reasons += [_comparison(e) for e in evidence]
    unmeasured = len(remedy.when) and not evidence
    if unmeasured:
        reasons.append("whether its condition holds is not decided")
    apart = None if training is None else not_compared(remedy, training)
    if apart is not None:
        reasons.append(apart)
    return "; ".join(reasons)


def _comparison(e: Evidence) -> str:
    """Return a comparison that is decided, with its interval."""
    assert e.value is not None
    assert e.ci is not None
    relation = e.op if e.status == "fired" else f"not {e.op}"
    return f"{e.measurement} {e.value:.3g} [{e.ci[0]:.3g}, {e.ci[1]:.3g}] {relation} {e.threshold:g}"
