"""Rounds over closed-form policies: when they stop, what they do not draw, and that nothing else changes."""

from dataclasses import replace
from pathlib import Path

import pytest

from entropydx import looks, pipeline, stats
from entropydx.config import Settings, resolve
from entropydx.planning import in_balanced_order
from entropydx.rounds import affordable
from entropydx.types import Label, Prompt, Report


def _diagnose(tmp_path: Path, name: str, **settings: object) -> Report:
    flags = Settings(**{"engine": "synthetic", "baseline": "synthetic:healthy", "run_dir": str(tmp_path), **settings})
    return pipeline.diagnose(resolve(f"synthetic:{name}", flags))


def test_a_decided_run_stops_before_its_budget_with_the_label_of_the_whole(tmp_path: Path) -> None:
    early = _diagnose(tmp_path, "collapsed", prompts=54, samples=4)
    assert early.cost.stop == "decided"
    assert early.cost.stopped_early
    assert early.protocol.n_prompts in looks.schedule(54)[:-1]
    assert early.protocol.n_planned == 54
    whole = _diagnose(tmp_path, "collapsed", prompts=54, samples=4, adaptive=False)  # goes on from what is there
    assert (whole.cost.stop, whole.cost.rounds, whole.protocol.n_prompts) == ("fixed", 1, 54)
    assert whole.diagnosis.label == early.diagnosis.label == Label.TRAINING_COLLAPSE
    assert whole.cost.tokens_generated > early.cost.tokens_generated


def test_a_round_sees_what_a_run_of_its_prompts_alone_sees(tmp_path: Path) -> None:
    early = _diagnose(tmp_path / "a", "collapsed", prompts=54, samples=4)
    level = looks.levels(looks.schedule(54)[: early.cost.rounds], stats.CI_LEVEL, 54)[-1]
    assert early.protocol.ci_level == pytest.approx(level)
    again = pipeline.retriage(tmp_path / "a")
    assert again.measurements == early.measurements, "measured again from the run directory, at the same level"
    assert again.diagnosis == early.diagnosis


def test_a_failed_instrument_stops_the_run_before_anything_else_is_drawn(tmp_path: Path) -> None:
    report = _diagnose(tmp_path, "silent", prompts=54, samples=4)
    assert (report.cost.stop, report.cost.rounds) == ("instrument", 1)
    assert report.diagnosis.label == Label.INCONCLUSIVE
    drawn = {path.name for path in tmp_path.glob("*.jsonl")}
    assert drawn == {"samples-checkpoint.jsonl", "samples-baseline.jsonl"}
    skipped = [m.missing_reason for m in report.measurements if m.name.startswith("decoding.")]
    assert any("not drawn, because EDX9" in (reason or "") for reason in skipped)


def test_an_interrupted_run_goes_on_and_ends_as_it_would_have(tmp_path: Path) -> None:
    whole = _diagnose(tmp_path / "a", "twin", prompts=54, samples=4)
    _diagnose(tmp_path / "b", "twin", prompts=54, samples=4)
    for path in (tmp_path / "b").glob("samples-*.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: len(lines) // 2]))
    resumed = _diagnose(tmp_path / "b", "twin", prompts=54, samples=4)
    assert resumed.measurements == whole.measurements
    assert resumed.cost.rounds == whole.cost.rounds


@pytest.mark.parametrize("tokens", ["60k", "400k"])
def test_a_token_budget_is_about_what_is_drawn(tmp_path: Path, tokens: str) -> None:
    report = _diagnose(tmp_path, "twin", budget=tokens, samples=4)
    most = {"60k": 60_000, "400k": 400_000}[tokens]
    first = looks.FIRST
    assert report.protocol.n_prompts == first or report.cost.tokens_generated <= 1.15 * most
    assert report.cost.stop in {"decided", "budget"}


def test_rounds_that_a_token_budget_pays_for():
    assert affordable(20, 432, 10_000, 5_000) == []
    assert affordable(20, 432, 10_000, 11_000) == []
    assert affordable(20, 432, 10_000, 20_000) == [30, 40]
    assert affordable(20, 432, 10_000, 10_000_000)[-1] == 432


def _prompts(n: int) -> list[Prompt]:
    levels = ("easy", "medium", "hard")
    return [Prompt(id=str(i), prompt="x", answer="1", difficulty=levels[3 * i // n], family="f") for i in range(n)]


def test_every_beginning_of_the_plan_has_the_shares_of_the_whole_whatever_the_order_of_the_file():
    for seed in range(20):
        ordered = in_balanced_order(_prompts(90), seed)
        assert sorted(p.id for p in ordered) == sorted(p.id for p in _prompts(90))
        for n in (20, 30, 45, 60):
            counts = [sum(p.difficulty == d for p in ordered[:n]) for d in ("easy", "medium", "hard")]
            assert max(abs(c - n / 3) for c in counts) <= 2
    assert in_balanced_order(_prompts(90), 0) != in_balanced_order(_prompts(90), 1)


def test_the_first_prompts_of_a_stratum_are_drawn_at_random():
    # By the file's order "0" would always come first; with 30 easy prompts it comes first in one plan of 30.
    first = sum(
        next(p.id for p in in_balanced_order(_prompts(90), s) if p.difficulty == "easy") == "0" for s in range(600)
    )
    assert 8 <= first <= 36


def test_without_a_baseline_failures_that_have_no_decisive_rule_keep_no_run_going(tmp_path: Path) -> None:
    report = _diagnose(tmp_path, "healthy", baseline=None, prompts=108, samples=8)
    assert report.cost.stop == "decided"
    assert replace(report.cost, stop="").rounds < len(looks.schedule(108))


def test_a_run_directory_that_holds_more_than_the_last_look_is_judged_by_that_look(tmp_path: Path) -> None:
    whole = _diagnose(tmp_path, "collapsed", prompts=54, samples=4, adaptive=False)
    early = _diagnose(tmp_path, "collapsed", prompts=54, samples=4)
    assert early.protocol.n_prompts < whole.protocol.n_prompts
    assert pipeline.retriage(tmp_path).measurements == early.measurements


def test_fewer_prompts_than_a_first_look_are_all_drawn_and_measured(tmp_path: Path) -> None:
    report = _diagnose(tmp_path, "healthy", prompts=7, samples=4)
    assert (report.cost.stop, report.diagnosis.label) == ("fixed", Label.INCONCLUSIVE)
    assert report.cost.tokens_scored > 0
