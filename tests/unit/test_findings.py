"""Three-valued logic and interval comparisons, by hand."""

from itertools import product

import pytest

from entropydx.findings import all_of, any_of, assess, compare
from entropydx.types import AnyOf, Label, Measured, Missing, Rule, Severity, Threshold


def _measured(value: float, ci: tuple[float, float] | None, name: str = "a.b", **more: object) -> Measured:
    return Measured(name=name, value=value, unit="", n=40, ci=ci, **more)  # type: ignore[arg-type]


def _below(value: float, name: str = "a.b", field: str = "value") -> Threshold:
    return Threshold(measurement=name, op="<", value=value, source="test", field=field)  # type: ignore[arg-type]


def _rule(*when: object, unless: tuple[object, ...] = (), **more: object) -> Rule:
    return Rule(
        code="EDX000",
        failure=Label.TRAINING_COLLAPSE,
        direction="for",
        title="t",
        when=when,  # type: ignore[arg-type]
        unless=unless,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("ci", "status", "strength"),
    [
        ((0.1, 0.2), "fired", 1.0),
        ((0.4, 0.6), "clear", 0.0),
        ((0.1, 0.5), "undecided", 0.5),
        ((0.3, 0.5), "clear", 0.0),
    ],
)
def test_a_threshold_is_compared_with_the_whole_interval(ci: tuple[float, float], status: str, strength: float) -> None:
    value = 0.3 if status == "undecided" else sum(ci) / 2
    evidence = compare(_below(0.3), {"a.b": _measured(value, ci)})
    assert evidence.status == status
    assert evidence.strength == pytest.approx(strength)


def test_strength_is_half_at_the_threshold_and_linear_in_the_half_width() -> None:
    evidence = compare(_below(0.3), {"a.b": _measured(0.25, (0.15, 0.35))})
    assert evidence.strength == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("measurement", "reason"),
    [
        (None, "no probe measured it"),
        (Missing(name="a.b", reason="no baseline was given"), "no baseline was given"),
        (_measured(0.1, None, note="no interval: flat"), "no interval: flat"),
    ],
)
def test_absence_is_undecided_and_says_why(measurement: object, reason: str) -> None:
    measurements = {} if measurement is None else {"a.b": measurement}
    evidence = compare(_below(0.3), measurements)  # type: ignore[arg-type]
    assert (evidence.status, evidence.value, evidence.missing_reason) == ("undecided", None, reason)


def test_what_was_not_measured_has_no_strength_and_lends_none() -> None:
    gone = _below(0.3, "x.y")
    assert compare(gone, {}).strength is None
    low, high = {"a.b": _measured(0.25, (0.15, 0.35))}, {"a.b": _measured(0.9, (0.8, 1.0))}
    assert assess(_rule(gone), low).strength is None
    assert assess(_rule(_below(0.3), gone), low).strength is None, "the missing part may be the weakest"
    assert assess(_rule(_below(0.3), gone), high).strength == 0.0, "no part is weaker than 0"
    assert assess(_rule(AnyOf(options=(_below(0.3), gone))), low).strength == pytest.approx(0.75)
    assert assess(_rule(AnyOf(options=(gone, gone))), low).strength is None
    excuses = AnyOf(options=(Threshold(measurement="a.b", op=">", value=0.5, source="test"), gone))
    assert assess(_rule(_below(0.3), unless=(excuses,)), low).strength is None, "an excuse that may hold"


def test_a_change_without_baseline_is_undecided() -> None:
    evidence = compare(_below(0.0, field="delta"), {"a.b": _measured(0.1, (0.0, 0.2))})
    assert evidence.status == "undecided"
    assert "baseline" in (evidence.missing_reason or "")


def test_kleene_logic_on_every_pair() -> None:
    order = {"clear": 0, "undecided": 1, "fired": 2}
    for a, b in product(order, repeat=2):
        assert order[all_of([a, b])] == min(order[a], order[b])  # type: ignore[list-item]
        assert order[any_of([a, b])] == max(order[a], order[b])  # type: ignore[list-item]


def test_a_rule_needs_all_of_when_and_none_of_unless() -> None:
    low, high = _measured(0.1, (0.05, 0.15)), _measured(0.9, (0.85, 0.95), "c.d")
    measurements = {"a.b": low, "c.d": high}
    excuse = Threshold(measurement="c.d", op=">", value=0.5, source="test")
    assert assess(_rule(_below(0.3)), measurements).status == "fired"
    assert assess(_rule(_below(0.3), unless=(excuse,)), measurements).status == "clear"
    assert assess(_rule(_below(0.3), _below(0.3, "c.d")), measurements).status == "clear"
    assert assess(_rule(AnyOf(options=(_below(0.3, "c.d"), _below(0.3)))), measurements).status == "fired"
    assert assess(_rule(_below(0.3), _below(0.3, "x.y")), measurements).status == "undecided"


def test_a_missing_excuse_neither_convicts_nor_clears() -> None:
    excuse = Threshold(measurement="x.y", op=">", value=0.5, source="test")
    finding = assess(_rule(_below(0.3), unless=(excuse,)), {"a.b": _measured(0.1, (0.05, 0.15))})
    assert finding.status == "undecided"


def test_severity_is_linear_and_only_of_a_fired_rule() -> None:
    rule = _rule(_below(0.3), severity=Severity(measurement="a.b", at_zero=0.4, at_one=0.0))
    assert assess(rule, {"a.b": _measured(0.1, (0.05, 0.15))}).severity == pytest.approx(0.75)
    assert assess(rule, {"a.b": _measured(0.35, (0.32, 0.4))}).severity is None


def test_a_rule_clears_nothing_while_what_it_is_about_is_missing() -> None:
    about = Threshold(measurement="p.x@out", op="<", value=0.3, source="test", essential=True)
    other = _below(0.3)
    sound = {"a.b": _measured(0.5, (0.4, 0.6))}
    found = assess(_rule(about, other), sound)
    assert found.status == "undecided"
    assert found.missing_input == "the suite has no prompts in the stratum @out"
    present = {**sound, "p.x@out": _measured(0.1, (0.0, 0.2), name="p.x@out")}
    cleared = assess(_rule(about, other), present)
    assert (cleared.status, cleared.missing_input) == ("clear", None)
    optional = Threshold(measurement="p.x@out", op="<", value=0.3, source="test")
    assert assess(_rule(optional, other), sound).status == "clear"
