"""Markers, changes of mind and the pull of a given solution, in texts written by hand."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest

from entropydx import verifiers
from entropydx.answer_patterns import ANSWER_NUMBER
from entropydx.lexicon import marker_spans
from entropydx.probes._self_correction import corrects_itself, recomputes
from entropydx.probes.epistemic_markers import probe
from entropydx.suites.tiny import NUMBERS
from entropydx.types import EPISTEMIC_MARKERS, Completion, Group, Measured, Missing, Prompt, Samples, VerifierSpec
from tests.unit.samples import completion, group, samples

Found = dict[str, Measured | Missing]


def _written(text: str, tokens: int = 10, *, right: bool = True) -> Completion:
    return completion("1" if right else "2", right=right, text=text, entropies=[0.5] * tokens)


def _groups(*texts: str, tokens: int = 10, n: int = 4, domain: str = "in") -> list[Group]:
    """Return n prompts, each with the same completions."""
    first = 0 if domain == "in" else 100
    return [group(first + i, [_written(t, tokens) for t in texts], domain=domain) for i in range(n)]


def _found(ours: Samples, baseline: Samples | None = None) -> Found:
    return {m.name: m for m in probe.measure(ours, baseline)}


def _get(found: Found, name: str) -> Measured:
    measured = found[f"epistemic_markers.{name}"]
    assert isinstance(measured, Measured), measured
    return measured


def _reason(found: Found, name: str) -> str:
    missing = found[f"epistemic_markers.{name}"]
    assert isinstance(missing, Missing), missing
    return missing.reason


def test_hand_counted_markers() -> None:
    found = _found(samples(_groups("Wait, perhaps. Unlikely!", "so it is", tokens=40)))
    assert _get(found, "count_word").value == 1
    assert _get(found, "count_substring").value == 1.5
    assert _get(found, "density_word").value == 25
    assert _get(found, "density_substring").value == 37.5
    assert _get(found, "share_with_marker").value == 0.5
    assert "perhaps 4, wait 4" in str(_get(found, "count_word").note)
    assert "no baseline" in _reason(found, "count_ratio")


def test_the_figures_of_the_paper_come_out() -> None:
    # 182.5 markers in 13,054 tokens against 8.8 in 1,873: 14.0 and 4.7 per 1,000 (arXiv:2603.24472).
    plain = [group(i, [_written("wait " * 183, 13054), _written("hmm " * 182, 13054)]) for i in range(5)]
    guided = [group(i, [_written("wait " * 44, 1873 * 5), _written("", 0)]) for i in range(5)]
    found = _found(samples(guided), samples(plain, fingerprint="g"))
    density = _get(found, "density_substring")
    assert density.value == pytest.approx(4.7, abs=0.05)
    assert density.baseline == pytest.approx(14.0, abs=0.05)
    assert _get(found, "count_ratio").value == pytest.approx(22 / 182.5)
    conditioned = replace(samples(plain), conditions={"guided": tuple(guided)})
    assert _get(_found(conditioned), "guided_marker_ratio").value == pytest.approx(182.5 / 22)
    assert _get(_found(conditioned), "guided_length_ratio").value == pytest.approx(2 * 13054 / (1873 * 5))


def test_the_user_lexicon_is_counted() -> None:
    own = replace(samples(_groups("vielleicht wait")), lexicon=("vielleicht",))
    assert _get(_found(own), "count_word").value == 1
    assert "vielleicht 4" in str(_get(_found(own), "count_word").note)


def test_lost_markers_in_each_domain_against_the_baseline() -> None:
    before = _groups("wait 5", "hmm") + _groups("wait", "so", domain="out")
    after = _groups("wait 5", "so") + _groups("so", "so", domain="out")
    found = _found(samples(after), samples(before, fingerprint="g"))
    share = _get(found, "share_with_marker@out")
    assert (share.value, share.baseline, share.delta) == (0, 0.5, -0.5)
    assert share.delta_ci is not None
    assert _get(found, "count_word@in").delta == -0.5
    assert _get(found, "count_ratio").value == pytest.approx(1 / 3)
    assert _get(found, "density_ratio").value == pytest.approx(1 / 3)


def test_no_marker_in_thirty_prompts_leaves_a_share_of_prompts_like_the_richest_of_the_baseline() -> None:
    before = [group(i, [_written(("wait", "wait hmm maybe so")[i % 2], 10)]) for i in range(30)]
    after = [group(i, [_written("so", 10)]) for i in range(30)]
    found = _found(samples(after), samples(before, fingerprint="g"))
    p, most, mean, least = 1 - 0.00625 ** (1 / 30), 3, 2, 1
    count = _get(found, "count_ratio")
    assert (count.value, count.ci) == (0, pytest.approx((0, p * most / ((1 - p) * mean + p * least))))
    assert count.ci is not None
    assert count.ci[1] < 0.5  # what EDX403 asks for
    assert _get(found, "density_ratio").ci == pytest.approx(count.ci)  # all of ten tokens


def test_a_baseline_that_never_hedges_has_nothing_to_lose() -> None:
    found = _found(samples(_groups("wait")), samples(_groups("so"), fingerprint="g"))
    for name in ("count_ratio", "density_ratio"):
        assert "nothing to lose" in _reason(found, name)
    assert _get(found, "share_with_marker").delta == 1


# ── changes of mind ───────────────────────────────────────────────────────────────────────────────

NUMBER = VerifierSpec(type="numeric", extract=ANSWER_NUMBER)
PLAIN = VerifierSpec(type="numeric")
TINY = VerifierSpec(type="exact", extract=NUMBERS.extract)


def _changes(text: str, verifier: VerifierSpec, gold: str = "7") -> bool:
    prompt = Prompt(id="p", prompt="?", answer=gold, verifier=verifier)
    graded = verifiers.grade(prompt, text)
    done = replace(completion(graded.answer, right=graded.grade == 1, text=text))
    return corrects_itself(prompt, done, text, marker_spans(text, EPISTEMIC_MARKERS))


@pytest.mark.parametrize(
    ("text", "verifier", "changes"),
    [
        ("Answer: 5\nWait, no.\nAnswer: 7", NUMBER, True),
        ("Answer: 7\nLet me check. Yes.\nAnswer: 7", NUMBER, False),
        ("Answer: 7\nWait.\nAnswer: 7.0", NUMBER, False),
        ("Answer: 5\nNo.\nAnswer: 7", NUMBER, False),  # no marker
        ("3 + 5 = 8. Wait, then 8 - 1 = 7.\nAnswer: 7", NUMBER, False),  # a step is no answer, even before a marker
        ("<think>Answer: 5. Hmm, wait.</think>Answer: 7", NUMBER, True),
        ("3 + 5 = 8. Hmm, so 7", PLAIN, False),
        (r"\boxed{5} but wait, it is \boxed{7}", PLAIN, True),
        (r"\boxed{14/2}, wait, yes: \boxed{7}", PLAIN, False),
        (r"\boxed{14/2}, wait, \boxed{14/2}, hmm, \boxed{7.0}, maybe \boxed{7}", PLAIN, False),
        (r"\boxed{7}, wait, \boxed{5}, hmm, \boxed{5}, check \boxed{7}", PLAIN, True),
        ("Answer: 5\nWait, I do not know", NUMBER, False),  # nothing else is stated after the marker
        ("37+05=41;wait37+05=42;A42.", TINY, True),
        ("37+05=42;wait37+05=42;A42.", TINY, False),
        ("hmm3&0=3,7&5=1,wait7&5=2>32;A32.", TINY, True),
        ("hmm3&0=3,7&5=2>32;hmm32+01=33;A33.", TINY, False),
        ("A41.wait37+05=42;A42.", TINY, True),
        ("12 × 3 = 35; actually 12×3 = 36. Answer: 36", NUMBER, True),
        (r"$12 \times 3 = 1,036$, wait: $12 \times 3 = 36$. Answer: 36", NUMBER, True),
        ("3 + 4 = 8, 3 + 4 = 7, maybe. Answer: 7", NUMBER, False),  # the marker comes after both
        ("1 + 1 = 2. Wait, 1 + 12 = 13. Answer: 13", NUMBER, False),
        ("2 + 2 = 4. Wait, 2 + 2 = 4.0?", PLAIN, False),
        ("10 / 3 = 3.3, likely 10 / 3 = 3.33", PLAIN, False),
        ("10 / 3 = 3.3, likely 10 / 3 = 3.4", PLAIN, True),
        ("2 - 5 = 3; wait, 2 - 5 = −3", PLAIN, True),
    ],
)
def test_changes_of_mind(text: str, verifier: VerifierSpec, changes: bool) -> None:
    assert _changes(text, verifier, "42" if verifier is TINY else "7") is changes


def test_rates_of_changing_and_recovering() -> None:
    prompt = Prompt(id="p", prompt="?", answer="42", verifier=TINY)

    def make(number: int, *texts: str) -> Group:
        made = []
        for text in texts:
            graded = verifiers.grade(prompt, text)
            made.append(completion(graded.answer, right=graded.grade == 1, text=text))
        return Group(prompt=replace(prompt, id=f"p{number}"), completions=tuple(made))

    mended, spoilt = "37+05=41;wait37+05=42;A42.", "37+05=42;wait37+05=43;A43."
    checked, plain = "37+05=42;wait37+05=42;A42.", "37+05=42;A42."
    found = _found(samples([make(i, mended, mended, spoilt, checked, plain) for i in range(4)]))
    assert _get(found, "self_correction_rate").value == 0.75
    assert _get(found, "recovered_rate").value == pytest.approx(2 / 3)
    none = _found(samples([make(i, plain, plain) for i in range(4)]))
    assert "no completion has a marker" in _reason(none, "self_correction_rate")
    assert "changes its mind" in _reason(none, "recovered_rate")
    assert _get(none, "share_with_marker").value == 0
    assert "no marker at all" in str(_get(none, "count_word").note)


@pytest.mark.parametrize("text", ["1+" * 50_000, "1 " * 50_000, "1+1=" * 25_000, "1" * 100_000, "1 x " * 25_000])
def test_degenerate_texts_take_linear_time(text: str) -> None:
    started = perf_counter()
    recomputes(text + "wait", [(len(text), len(text) + 4, "wait")])
    assert perf_counter() - started < 2


# ── with the solution in the prompt ───────────────────────────────────────────────────────────────


def _with_guided(plain: Sequence[Group], guided: Sequence[Group], fingerprint: str = "f") -> Samples:
    return replace(samples(plain, fingerprint=fingerprint), conditions={"guided": tuple(guided)})


def test_a_healthy_reasoner_against_a_student_of_a_guided_teacher() -> None:
    # Four samples without, the first two of which are compared; half of the prompts with the solution.
    plain = _groups("wait hmm", "wait hmm", "so", "so", tokens=40, n=8)
    guided = _groups("wait", "so", tokens=10)
    healthy = _with_guided(plain, guided)
    student = _with_guided(_groups("wait", "so", "wait", "wait", tokens=12, n=8), guided)
    found = _found(student, replace(healthy, checkpoint=replace(healthy.checkpoint, fingerprint="g")))
    ratio = _get(found, "guided_marker_ratio")
    assert (ratio.value, ratio.baseline, ratio.delta, ratio.n) == (1, 4, -3, 4)
    length = _get(found, "guided_length_ratio")
    assert (length.value, length.baseline) == (1.2, 4)
    drop = _get(found, "guided_marker_drop")
    assert (drop.value, drop.baseline, drop.delta) == (0, 0.5, -0.5)
    assert "the first 2 samples" in str(drop.note)
    assert _get(found, "guided_accuracy").value == 1
    assert _get(_found(healthy), "guided_marker_ratio").delta is None


def test_no_marker_beside_the_solution_leaves_the_ratio_without_bound() -> None:
    found = _found(_with_guided(_groups("wait", "wait"), _groups("so", "so")))
    assert "guided_marker_drop" in _reason(found, "guided_marker_ratio")
    assert _get(found, "guided_marker_drop").value == 1


def test_a_model_that_never_hedges_has_nothing_to_compare() -> None:
    found = _found(_with_guided(_groups("so", "so"), _groups("so", "so")))
    assert "nothing to compare" in _reason(found, "guided_marker_ratio")
    assert "says nothing" in str(_get(found, "guided_marker_drop").note)


def test_why_there_is_no_guided_draw() -> None:
    own = samples(_groups("wait"))
    assert "not drawn" in _reason(_found(own), "guided_length_ratio")
    reason = "the suite has no worked solutions"
    assert _reason(_found(replace(own, skipped={"guided": reason})), "guided_marker_drop") == reason
    cool = replace(_with_guided(_groups("wait"), _groups("wait")), params=replace(own.params, temperature=0.6))
    assert "temperature 0.6" in _reason(_found(cool), "guided_marker_ratio")
    apart = _with_guided(_groups("wait"), _groups("wait", domain="out"))
    assert isinstance(_found(apart)["epistemic_markers.guided_accuracy"], Missing)


def test_empty_texts_and_nothing_drawn() -> None:
    found = _found(samples([group(i, [_written("", 0), _written("", 0)]) for i in range(3)]))
    assert _get(found, "count_word").value == 0
    assert isinstance(found["epistemic_markers.density_word"], Missing)
    assert "no out-of-domain" in _reason(found, "share_with_marker@out")
    empty = probe.measure(samples([]), None)
    assert {type(m) for m in empty} == {Missing}
    assert {m.name for m in empty} == set(found)
    apart = _found(samples(_groups("wait")), samples(_groups("wait", domain="out"), fingerprint="g"))
    assert "in common" in _reason(apart, "count_word")


def test_a_checkpoint_that_is_its_own_baseline_does_not_change() -> None:
    rng = np.random.default_rng(0)
    texts = ["wait, " * n + "so" for n in range(4)]
    groups = [group(i, [_written(texts[j]) for j in rng.integers(0, 4, 4)]) for i in range(12)]
    own = _with_guided(groups, groups)
    found = _found(own, own)
    for measured in found.values():
        if isinstance(measured, Measured) and measured.unit != "x baseline":
            assert measured.delta == 0
            assert measured.delta_ci == (0, 0)
    assert _get(found, "count_ratio").ci == (1, 1)
