"""What samples do not tell is missing, and what does not depend on it is the very number that it was."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from entropydx import measuring, pipeline, plugins, runs, stats
from entropydx.config import Settings, resolve
from entropydx.types import (
    Completion,
    Group,
    ImportSource,
    LoggedParams,
    Measured,
    Measurement,
    Missing,
    Need,
    Requires,
    Samples,
)

SOURCE = ImportSource(tool="x", kind="samples", files=("f",), temperature=1.0, top_p=1.0, answers_from="the file")
Change = Callable[[Completion], Completion]


@pytest.fixture(scope="module", autouse=True)
def _few_replicates() -> Iterator[None]:
    """Numbers are compared with themselves here, for which 100 resamples do."""
    with pytest.MonkeyPatch.context() as patch:
        stats.bootstrap_weights.cache_clear()
        patch.setattr(stats, "N_REPLICATES", 100)
        yield
    stats.bootstrap_weights.cache_clear()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Samples, Samples]:
    """Both roles of a run, with nothing beside the main draw, as an import has it."""
    folder: Path = tmp_path_factory.mktemp("run")
    flags = Settings(
        engine="synthetic", suite="tiny", baseline="synthetic:twin", run_dir=str(folder), prompts=24, samples=6,
        adaptive=False,
    )  # fmt: skip
    pipeline.diagnose(resolve("synthetic:noisy", flags))
    found = runs.open_run(folder).samples
    return tuple(replace(found[role], conditions={}, scores={}) for role in ("checkpoint", "baseline"))  # type: ignore[return-value]


def _imported(samples: Samples, change: Change, **source: object) -> Samples:
    groups = tuple(replace(g, completions=tuple(map(change, g.completions))) for g in samples.groups)
    params = LoggedParams(n_samples=samples.params.n_samples, temperature=1.0, top_p=1.0)
    return replace(samples, groups=groups, params=params, imported=replace(SOURCE, **source))


def _without(samples: Samples, need: Need) -> Samples:
    if need == "gold":
        bare = _imported(samples, lambda c: c)
        return replace(bare, groups=tuple(replace(g, prompt=replace(g.prompt, answer="")) for g in bare.groups))
    changes: dict[Need, Change] = {
        "grades": lambda c: replace(c, grade=None),
        "answers": lambda c: replace(c, answer=None, answer_span=None),
        "endings": lambda c: replace(c, finish_reason="unknown"),
    }
    return _imported(samples, changes[need], **({"answers_from": None} if need == "answers" else {}))


def _all(samples: Samples, baseline: Samples | None) -> dict[str, Measurement]:
    probes = plugins.load_all("probe").values()
    return {m.name: m for probe in probes for m in measuring.measure(probe, samples, baseline)}


LOST: dict[Need, tuple[str, ...]] = {
    "grades": ("sampling_spread.pass_at_1", "coverage.delta_at_1", "confidence.domain_gap",
               "shortcutting.answer_reuse", "entropy_forecast.degenerate_groups"),
    "answers": ("sampling_spread.maj_at_n", "sampling_spread.majority_gain", "sampling_spread.wrong_agreement",
                "sampling_spread.pass_at_1@majority_right", "confidence.overconfidence@out",
                "instrument.extraction_failure_rate", "instrument.extraction_failure_rate@baseline",
                "shortcutting.answer_reuse", "shortcutting.commit_position"),
    "gold": ("shortcutting.answer_reuse", "shortcutting.top_answer_share"),
    "endings": ("instrument.truncation_rate", "instrument.n_non_finite", "instrument.truncation_rate@baseline"),
}  # fmt: skip
KEPT: dict[Need, tuple[str, ...]] = {
    "grades": ("instrument.empty_rate", "format_mode.disagreement", "shortcutting.step_validity"),
    "answers": ("sampling_spread.pass_at_1", "sampling_spread.coverage", "coverage.support_retention",
                "confidence.domain_gap", "shortcutting.easy_regression"),
    "gold": ("sampling_spread.maj_at_n", "confidence.overconfidence@out"),
    "endings": ("instrument.empty_rate", "sampling_spread.maj_at_n"),
}  # fmt: skip


@pytest.mark.parametrize("need", list(LOST))
def test_what_needs_it_is_missing_and_the_rest_is_what_it_was(drawn: tuple[Samples, Samples], need: Need) -> None:
    ours, theirs = drawn
    whole = _all(_imported(ours, lambda c: c), _imported(theirs, lambda c: c))
    found = _all(_without(ours, need), _without(theirs, need))
    for name in LOST[need]:
        assert isinstance(whole[name], Measured), f"{name} is not measured at all, so this shows nothing"
        assert isinstance(found[name], Missing), name
        assert measuring.REASONS[need] in found[name].reason  # type: ignore[union-attr]
    for name in KEPT[need]:
        assert isinstance(found[name], Measured), name
    # No number may move because of what is not known: that would be a number made of nothing.
    for name, measurement in found.items():
        if isinstance(measurement, Measured):
            assert measurement == whole[name], name


@pytest.mark.parametrize("need", list(LOST))
def test_what_only_the_baseline_lacks_costs_the_comparison_alone(drawn: tuple[Samples, Samples], need: Need) -> None:
    ours, theirs = (_imported(s, lambda c: c) for s in drawn)
    alone = _all(ours, None)
    found = _all(ours, _without(theirs, need))
    for name in LOST[need]:
        measurement = found[name]
        if isinstance(measurement, Measured):
            assert measurement.delta is None
            assert measurement == alone[name]
        else:
            assert "of the baseline" in measurement.reason


def test_one_completion_of_a_prompt_gives_means_and_no_spread(drawn: tuple[Samples, Samples]) -> None:
    ours = _imported(drawn[0], lambda c: c)
    first = replace(ours, groups=tuple(replace(g, completions=g.completions[:1]) for g in ours.groups))
    found = _all(first, None)
    grades = np.array([g.completions[0].grade for g in first.groups], dtype=float)
    level = found["sampling_spread.pass_at_1"]
    assert isinstance(level, Measured)
    assert level.value == pytest.approx(grades.mean())
    domains = np.array([g.prompt.domain for g in first.groups])
    gap = found["confidence.domain_gap"]
    assert isinstance(gap, Measured)
    assert gap.value == pytest.approx(grades[domains == "in"].mean() - grades[domains == "out"].mean())
    for name in ("sampling_spread.coverage", "sampling_spread.within_variance", "confidence.modal_share",
                 "format_mode.disagreement", "coverage.correct_diversity"):  # fmt: skip
        measurement = found[name]
        assert isinstance(measurement, Missing), name
        assert measurement.reason == "needs 2 samples of every prompt, has 1"
    for probe in plugins.load_all("probe").values():
        if probe.requires.n_samples == 1 and not probe.requires.entropies:
            assert measuring.measure(probe, first, None) == probe.measure(first, None)


def _in_words(completion: Completion) -> Completion:
    return replace(completion, token_ids=None, logprobs=None, entropies=None, offsets=None)


def test_lengths_in_words_say_so_and_no_rule_or_feature_reads_a_number_per_token(
    drawn: tuple[Samples, Samples],
) -> None:
    ours, theirs = (_imported(s, _in_words) for s in drawn)
    assert ours.length_unit == "words"
    found = _all(ours, theirs)
    length = found["instrument.completion_length"]
    assert isinstance(length, Measured)
    counts = [len(c.text.split()) for g in ours.groups for c in g.completions]
    assert (length.unit, length.value) == ("words", pytest.approx(np.mean(counts)))
    assert isinstance(found["shortcutting.length_ratio"], Measured)
    assert all(isinstance(m, Missing) for name, m in found.items() if name.startswith("token_entropy."))
    asked = pipeline.asked_for()
    judged = {name: m.unit for name, m in found.items() if isinstance(m, Measured) and name in asked}
    assert len(judged) > 20
    assert not [name for name, unit in judged.items() if "token" in unit or "word" in unit]


def test_words_and_tokens_do_not_compare(drawn: tuple[Samples, Samples]) -> None:
    ours, theirs = _imported(drawn[0], _in_words), _imported(drawn[1], lambda c: c)
    for one, other in ((ours, theirs), (theirs, ours)):
        found = _all(one, other)
        ratio, length = found["shortcutting.length_ratio"], found["instrument.completion_length"]
        assert isinstance(ratio, Missing)
        assert "words" in ratio.reason
        assert "tokens" in ratio.reason
        assert isinstance(length, Measured)
        assert length.delta is None
        density = found["epistemic_markers.density_ratio"]
        assert isinstance(density, Missing)


def test_an_unknown_temperature_is_not_one(drawn: tuple[Samples, Samples]) -> None:
    ours = _imported(drawn[0], lambda c: c)
    unknown = replace(ours, params=LoggedParams(n_samples=6))
    found = _all(unknown, None)
    assert isinstance(found["instrument.temperature"], Missing)
    covariance = found["entropy_forecast.covariance"]
    assert isinstance(covariance, Missing)
    assert "unknown" in covariance.reason
    assert isinstance(_all(ours, None)["entropy_forecast.covariance"], Measured)


def test_every_need_that_a_probe_names_is_of_a_statistic_that_it_makes(drawn: tuple[Samples, Samples]) -> None:
    for name, probe in plugins.load_all("probe").items():
        requires: Requires = probe.requires
        made = {m.name.partition(".")[2] for m in probe.measure(*drawn)}
        made |= {tail.partition("@")[0] for tail in made}
        named = {*requires.single, *(s for part in requires.parts.values() for s in part)}
        assert named <= made, f"{name}: {sorted(named - made)}"


def test_a_group_without_tokens_comes_back_from_the_store(drawn: tuple[Samples, Samples]) -> None:
    from entropydx.store import decode_group, encode_group

    group: Group = _imported(drawn[0], _in_words).groups[0]
    back = decode_group(encode_group(replace(group, completions=tuple(
        replace(c, finish_reason="unknown", grade=None) for c in group.completions
    ))))  # fmt: skip
    assert back.completions[0].token_ids is None
    assert back.completions[0].finish_reason == "unknown"
    assert back.completions[0].grade is None
    assert [c.n_tokens for c in back.completions] == [len(c.text.split()) for c in group.completions]
