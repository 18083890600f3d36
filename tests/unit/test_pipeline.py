"""The whole job on closed-form policies, and what resumption may not change."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from entropydx import pipeline, plugins
from entropydx.config import RunConfig, Settings, resolve
from entropydx.errors import CheckpointError, ConfigError, EngineCapabilityError, PluginNotFoundError, RunStoreError
from entropydx.planning import resolve_suite
from entropydx.protocols import Silent
from entropydx.types import Group, Label, Prompt, Report, SamplingParams

SPINE = "token_entropy,format_mode,sampling_spread"
"""Enough for what is tested of the run itself, in a fraction of the time."""

PASSES = "policy_gap,shortcutting,decoding,input_dependence"
"""Some of every kind of condition and scored pass."""


def _config(name: str, run_dir: Path, *, baseline: bool = True, **settings: object) -> RunConfig:
    settings.setdefault("probes", SPINE)
    flags = Settings(
        engine="synthetic",
        baseline="synthetic:healthy" if baseline else None,
        run_dir=str(run_dir),
        **settings,  # type: ignore[arg-type]
    )
    return resolve(f"synthetic:{name}", flags)


def _comparable(report: Report) -> Report:
    return replace(
        report, created_at="", cost=replace(report.cost, wall_s=0, tokens_per_s=None, peak_memory_bytes=None)
    )


@pytest.mark.parametrize(
    ("name", "label", "exit_code"),
    [
        ("healthy", Label.HEALTHY, 0),
        ("collapsed", Label.TRAINING_COLLAPSE, 1),
        ("noisy", Label.INFERENCE_VARIANCE, 1),
        ("shortcut", Label.HARD_SAMPLE_SHORTCUTTING, 1),
        ("overconfident", Label.TEACHER_OVERCONFIDENCE, 1),
        ("exploded", Label.ABNORMAL, 1),
        ("broken", Label.ABNORMAL, 1),
        ("empty", Label.ABNORMAL, 1),
        ("truncated", Label.ABNORMAL, 1),
        ("leaky", Label.ABNORMAL, 1),
        ("silent", Label.INCONCLUSIVE, 3),
    ],
)
def test_planted_truth_is_named(tmp_path: Path, name: str, label: Label, exit_code: int) -> None:
    report = pipeline.diagnose(_config(name, tmp_path, probes=None))
    assert (report.diagnosis.label, report.exit_code) == (label, exit_code), report.diagnosis.summary


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_false_alarm_when_a_sound_policy_is_drawn_twice(tmp_path: Path, seed: int) -> None:
    # The twin has the same truth and other noise, so the pairing cannot hide a difference.
    report = pipeline.diagnose(_config("twin", tmp_path, seed=seed))
    assert report.diagnosis.label == Label.HEALTHY


def test_measured_entropy_is_the_planted_one(tmp_path: Path) -> None:
    profile = plugins.load("engine", "synthetic")("synthetic:healthy", None, Silent())._profile
    report = pipeline.diagnose(_config("healthy", tmp_path))
    row = next(m for m in report.measurements if m.name == "token_entropy.mean")
    assert row.ci is not None
    assert row.ci[0] < profile.mean_entropy < row.ci[1]


def test_without_a_baseline_the_verdict_is_weaker_and_says_so(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config("healthy", tmp_path, baseline=False))
    assert report.diagnosis.label == Label.HEALTHY
    assert "baseline" in report.diagnosis.failures["training_collapse"].reason
    collapsed = pipeline.diagnose(_config("collapsed", tmp_path / "b", baseline=False))
    assert collapsed.diagnosis.label == Label.INCONCLUSIVE
    assert collapsed.diagnosis.failures["training_collapse"].reason.startswith("suspected")


def test_ten_prompts_are_too_few(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config("collapsed", tmp_path, prompts=10))
    assert report.diagnosis.label == Label.INCONCLUSIVE
    assert any("--prompts" in advice for advice in report.diagnosis.would_settle_it)


def test_a_failure_is_recommended_for_and_illustrated(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config("collapsed", tmp_path))
    assert 0 < len(report.recommendations) <= 3
    for remedy in report.recommendations:
        assert Label.TRAINING_COLLAPSE in remedy.for_
        assert Label.TRAINING_COLLAPSE not in remedy.contraindicated_for
    assert report.examples
    assert pipeline.diagnose(_config("healthy", tmp_path / "h")).recommendations == ()


def whole_run_conditions(run: Path) -> int:
    """Return how many prompts a finished run drew under its conditions."""
    laid = json.loads((run / "run.json").read_text())["passes"]
    return sum(len(at["prompts"]) for role in laid.values() for at in role["conditions"].values())


class _InterruptedError(Exception):
    pass


def test_an_interrupted_run_resumes_without_drawing_again_and_gives_the_same_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pipeline.diagnose(_config("collapsed", tmp_path / "whole", probes=PASSES))
    engine = plugins.load("engine", "synthetic")
    original = engine.generate
    drawn: list[str] = []
    limit = 20

    def generate(self: object, prompts: Sequence[Prompt], params: SamplingParams, rows: int = 0) -> Iterator[Group]:
        for group in original(self, prompts, params, rows):
            if len(drawn) == limit:
                raise _InterruptedError
            drawn.append(group.prompt.id)
            yield group

    monkeypatch.setattr(engine, "generate", generate)
    with pytest.raises(_InterruptedError):
        pipeline.diagnose(_config("collapsed", tmp_path / "part", probes=PASSES))
    limit = 1000
    resumed = pipeline.diagnose(_config("collapsed", tmp_path / "part", probes=PASSES))
    conditions = whole_run_conditions(tmp_path / "whole")
    expected = 2 * whole.protocol.n_prompts + conditions
    assert len(drawn) == expected, "every prompt once for the checkpoint, once for the baseline, once a condition"
    assert _comparable(resumed) == _comparable(whole)


def test_a_finished_run_is_read_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pipeline.diagnose(_config("noisy", tmp_path))
    monkeypatch.setattr(plugins.load("engine", "synthetic"), "generate", lambda *_: pytest.fail("drawn again"))
    again = pipeline.diagnose(_config("noisy", tmp_path))
    assert _comparable(again) == _comparable(first)
    assert again.cost.tokens_per_s is None


def test_triage_of_the_run_and_of_the_report_agree_with_the_diagnosis(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config("noisy", tmp_path))
    assert _comparable(pipeline.retriage(tmp_path)) == _comparable(report)
    judged = pipeline.retriage(tmp_path / "report.json")
    assert [f.status for f in judged.findings] == [f.status for f in report.findings]
    assert judged.diagnosis.summary == report.diagnosis.summary
    assert judged.examples == report.examples
    # The file keeps six digits of every number.
    strengths = [f.strength for f in judged.findings]
    assert strengths == pytest.approx([f.strength for f in report.findings], abs=1e-3)


def test_triage_recommends_for_another_training_configuration_or_stage(tmp_path: Path) -> None:
    (tmp_path / "grpo.yaml").write_text("num_generations: 8\nnum_iterations: 1\n")
    (tmp_path / "sft.yaml").write_text("packing: true\n")
    run = tmp_path / "run"
    first = pipeline.diagnose(_config("collapsed", run, train_config=str(tmp_path / "grpo.yaml")))
    for source in (run, run / "report.json"):
        other = pipeline.retriage(source, train_config=str(tmp_path / "sft.yaml"))
        assert other.training is not None
        assert (other.training.stage, other.training.file) == ("sft", str(tmp_path / "sft.yaml"))
        assert [r.id for r in other.recommendations] == ["earlier_checkpoint"]
        named = pipeline.retriage(source, stage="sft")
        assert named.training is not None
        assert (named.training.stage, named.training.framework) == ("sft", "trl"), "the file that is known is kept"
        assert "command line" in named.training.source
        kept = pipeline.retriage(source)
        assert (kept.training, kept.recommendations) == (first.training, first.recommendations)
    with pytest.raises(ConfigError, match="cannot read"):
        pipeline.retriage(run, train_config=str(tmp_path / "none.yaml"))


def test_triage_of_a_run_without_a_configuration_takes_the_stage_that_is_named(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config("collapsed", tmp_path))
    assert report.training is not None
    assert report.training.stage is None
    named = pipeline.retriage(tmp_path, stage="rl").training
    assert named is not None
    assert (named.stage, named.framework) == ("rl", None)


def test_triage_of_an_unfinished_run_says_how_to_finish_it(tmp_path: Path) -> None:
    config = _config("broken", tmp_path)
    pipeline.diagnose(config)
    manifest = tmp_path / "run.json"
    manifest.write_text('{"store_version": 2, "key": {}}')
    with pytest.raises(RunStoreError, match=r"was interrupted.*diagnose"):
        pipeline.retriage(tmp_path)


def test_a_run_directory_of_another_protocol_is_refused(tmp_path: Path) -> None:
    pipeline.diagnose(_config("healthy", tmp_path))
    with pytest.raises(RunStoreError, match="seed: 0 there, 1 now"):
        pipeline.diagnose(_config("healthy", tmp_path, seed=1))


def test_unknown_names_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="known: synthetic:healthy"):
        pipeline.diagnose(_config("helthy", tmp_path))
    with pytest.raises(PluginNotFoundError, match="did you mean 'arithmetic'"):
        pipeline.diagnose(_config("healthy", tmp_path, suite="arithmetik"))
    assert not list(tmp_path.iterdir())


def test_an_engine_without_entropies_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = plugins.load("engine", "synthetic")
    monkeypatch.setattr(engine, "provides", replace(engine.provides, entropies=False))
    with pytest.raises(EngineCapabilityError, match="no exact entropies"):
        pipeline.diagnose(_config("healthy", tmp_path))


def test_suites_are_interleaved_and_a_prefix_of_more() -> None:
    many = resolve_suite("core", 0, 54, {})
    few = resolve_suite("core", 0, 20, {})
    assert many[:20] == few
    families = {p.family for p in many}
    assert len(families) >= 8
    assert {p.domain for p in many} == {"in", "out"}
    for difficulty in ("easy", "medium", "hard"):
        assert sum(p.difficulty == difficulty for p in many) == 18
    two = resolve_suite("arithmetic,sorting", 0, 10, {})
    assert len({p.family for p in two}) == 2


def test_greedy_copies_decide_nothing(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config("healthy", tmp_path, baseline=False, temperature=0.0))
    assert (report.diagnosis.label, report.exit_code) == (Label.INCONCLUSIVE, 3)
    assert any("--temperature" in advice for advice in report.diagnosis.would_settle_it)


def test_another_setting_than_the_protocols_stands_beside_the_verdict(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config("healthy", tmp_path, baseline=False, temperature=0.6))
    assert "temperature 0.6" in report.diagnosis.summary


@pytest.mark.parametrize("fault", ["silent", "empty", "truncated", "broken", "leaky"])
def test_a_broken_baseline_is_no_yardstick(tmp_path: Path, fault: str) -> None:
    config = replace(_config("twin", tmp_path), baseline=f"synthetic:{fault}")
    report = pipeline.diagnose(config)
    assert report.diagnosis.label == Label.INCONCLUSIVE
    assert report.diagnosis.failures["training_collapse"].reason.endswith("EDX911 fired")


def test_a_checkpoint_against_itself_is_judged_as_without_a_baseline(tmp_path: Path) -> None:
    report = pipeline.diagnose(replace(_config("collapsed", tmp_path), baseline="synthetic:collapsed"))
    assert report.diagnosis.label == Label.INCONCLUSIVE
    assert report.diagnosis.failures["training_collapse"].reason.startswith("suspected")
    assert "itself" in report.diagnosis.summary


def test_a_limit_that_cuts_everything_off_is_not_a_broken_model(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config("truncated", tmp_path, baseline=False))
    assert (report.diagnosis.label, report.exit_code) == (Label.INCONCLUSIVE, 3)
    assert "raise --max-new-tokens" in report.diagnosis.would_settle_it


def test_triage_gives_the_same_numbers_whatever_order_the_engine_drew_in(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config("noisy", tmp_path))
    for file in tmp_path.glob("samples-*.jsonl"):
        file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    assert _comparable(pipeline.retriage(tmp_path)) == _comparable(report)


def test_triage_of_a_run_that_lost_samples_is_refused(tmp_path: Path) -> None:
    pipeline.diagnose(_config("noisy", tmp_path))
    file = tmp_path / "samples-baseline.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(RunStoreError, match="lost the baseline samples of 1 prompts"):
        pipeline.retriage(tmp_path)


def test_a_manifest_of_another_version_is_one_clear_line(tmp_path: Path) -> None:
    pipeline.diagnose(_config("noisy", tmp_path))
    manifest = tmp_path / "run.json"
    manifest.write_text(manifest.read_text().replace('"tokens_scored"', '"tokens_scord"'))
    with pytest.raises(RunStoreError, match="manifest is damaged"):
        pipeline.retriage(tmp_path)


def test_a_suite_named_twice_gives_every_prompt_once() -> None:
    for name in ("arithmetic,arithmetic", "core,arithmetic"):
        prompts = resolve_suite(name, 0, 54, {})
        assert len({p.id for p in prompts}) == len(prompts) == 54


def test_a_directory_does_not_hide_a_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "core").mkdir()
    assert len(resolve_suite("core", 0, 9, {})) == 9


def test_more_samples_than_the_engine_draws_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineCapabilityError, match="at most 1000000 samples"):
        pipeline.diagnose(_config("healthy", tmp_path, samples=2_000_000))


def test_a_run_can_be_read_as_frames(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config("collapsed", tmp_path, prompts=20))
    completions = pd.read_parquet(tmp_path / "completions-checkpoint.parquet")
    tokens = pd.read_parquet(tmp_path / "tokens-baseline.parquet")
    assert len(completions) == 20 * 8
    rows = {m.name: m for m in report.measurements}
    entropy = rows["token_entropy.mean"]
    assert tokens.entropy.mean() == pytest.approx(entropy.baseline, rel=1e-5)
    assert (completions.grade == 1).mean() == pytest.approx(rows["sampling_spread.pass_at_1"].value)
    frame = report.to_frame().set_index("name")
    assert frame.loc["token_entropy.mean", "value"] == entropy.value
    assert (frame.loc["token_entropy.mean", "ci_low"], frame.loc["token_entropy.mean", "ci_high"]) == entropy.ci
    assert frame["missing_reason"].notna().sum() == sum(m.value is None for m in report.measurements)


def test_without_prompts_outside_the_domain_overconfidence_is_untested_and_never_absent(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config("twin", tmp_path, suite="arithmetic", probes=None))
    assessment = report.diagnosis.failures["teacher_overconfidence"]
    assert (assessment.status, report.diagnosis.label) == ("undetermined", Label.HEALTHY)
    untested, _, second = assessment.reason.partition("; ")
    assert untested == "untested: the suite has no prompts in the stratum @out"
    assert second.startswith("the classifier abstains, missing:")
    assert "Untested: teacher overconfidence" in report.diagnosis.summary
    assert any("domain: out" in advice for advice in report.diagnosis.would_settle_it)


def test_a_training_configuration_is_read_before_anything_is_drawn_and_not_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "grpo.yaml"
    file.write_text("num_generations: 8\nbeta: 0.0\n")
    read, times = pipeline.read_training, []
    monkeypatch.setattr(pipeline, "read_training", lambda *given: times.append(given) or read(*given))
    flags = Settings(engine="synthetic", prompts=22, samples=4, run_dir=str(tmp_path / "run"), train_config=str(file))
    report = pipeline.diagnose(resolve("synthetic:healthy", flags))
    assert report.training is not None
    assert report.training.stage == "rl"
    assert len(times) == 1
