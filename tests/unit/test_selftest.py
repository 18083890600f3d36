"""The selftest on cases and verdicts whose figures can be counted by hand."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats as distributions

from entropydx import document, pipeline, selftest
from entropydx.cases import Case, write_case
from entropydx.classifier import Classifier, FailureOpinion, Opinion
from entropydx.errors import ConfigError
from entropydx.protocols import Silent
from entropydx.selftest import bars, examining, tallies
from entropydx.selftest.judging import READINGS, Verdict, judge
from entropydx.types import FAILURES, Diagnosis, FailureAssessment, Label
from tests.unit.case_examples import COLLAPSED, SOUND, case

ROOT = Path(__file__).parents[2]
COLLAPSE, VARIANCE, SHORTCUT, TEACHER = map(str, FAILURES)
HEALTHY, ABNORMAL, INCONCLUSIVE = "healthy", "abnormal", "inconclusive"


def verdict(of: Case, label: str, probabilities: Sequence[float | None] = (None,) * 4, **more: object) -> Verdict:
    """Return a hand-made verdict of the first draw, with a baseline and in sample unless `more` says otherwise."""
    severity = more.pop("severity", None)
    standings = {
        str(f): FailureAssessment(status="present" if f == label else "undetermined", severity=severity)  # type: ignore[arg-type]
        for f in FAILURES
    }
    stated = {str(f): FailureOpinion(probability=p) for f, p in zip(FAILURES, probabilities, strict=True)}
    said = Diagnosis(
        label=Label(label),
        confidence="low",
        runner_up=None,
        summary="",
        failures=standings,
        rules_label=Label(label),
    )
    fields = {"seed": 0, "scope": "with_baseline", "reading": "in_sample", **more}
    return Verdict(case=of, findings=(), opinion=Opinion(failures=stated), diagnosis=said, **fields)  # type: ignore[arg-type]


def a_case(label: str, name: str = "c", **more: object) -> Case:
    return case(name, label, [SOUND], **more)  # type: ignore[arg-type]


# ── counting ──────────────────────────────────────────────────────────────────────────────────────


def test_the_matrix_counts_every_verdict_and_the_scores_leave_unclear_ones_out() -> None:
    said = [
        verdict(a_case(COLLAPSE, recipe="x"), COLLAPSE),
        verdict(a_case(COLLAPSE, recipe="y"), INCONCLUSIVE),
        verdict(a_case(HEALTHY, recipe="z"), HEALTHY),
        verdict(a_case(HEALTHY, recipe="w"), COLLAPSE),
        verdict(a_case("unclear", recipe="u"), COLLAPSE),
    ]
    found = tallies.outcome(said, "with_baseline", "in_sample")
    assert found.truths == (COLLAPSE, HEALTHY, "unclear")
    by_truth = dict(zip(found.truths, found.matrix, strict=True))
    column = found.verdicts.index
    assert by_truth[COLLAPSE][column(COLLAPSE)] == 1
    assert by_truth[COLLAPSE][column(INCONCLUSIVE)] == 1
    assert by_truth[HEALTHY][column(COLLAPSE)] == 1
    assert by_truth["unclear"][column(COLLAPSE)] == 1
    assert sum(map(sum, found.matrix)) == 5
    # Collapse: 1 right, 1 missed, 1 false; healthy: 1 right, 1 missed.
    assert found.macro_f1.value == pytest.approx((2 / 4 + 2 / 3) / 2)
    scores = {s.label: s for s in found.labels}
    assert scores[COLLAPSE].precision.value == 0.5
    assert scores[COLLAPSE].recall.value == 0.5
    assert scores[VARIANCE].recall.value is None
    assert found.false_alarms.value == 0.5
    assert found.inconclusive.value == 0.25


def test_inconclusive_is_no_false_alarm_and_abnormal_is() -> None:
    said = [verdict(a_case(HEALTHY, recipe=str(i)), label) for i, label in enumerate([INCONCLUSIVE, ABNORMAL, HEALTHY])]
    found = tallies.outcome(said, "with_baseline", "in_sample")
    assert found.false_alarms.value == pytest.approx(1 / 3)
    assert [(a.recipe, a.healthy, a.alarms, a.inconclusive) for a in found.alarms] == [
        ("0", 0, 0, 1),
        ("1", 0, 1, 0),
        ("2", 1, 0, 0),
    ]


def test_sound_cases_of_a_failing_recipe_stand_behind_the_controls() -> None:
    faint, control = a_case(HEALTHY, recipe="faint", aim=COLLAPSE), a_case(HEALTHY, recipe="z")
    found = tallies.outcome([verdict(faint, HEALTHY), verdict(control, HEALTHY)], "with_baseline", "in_sample")
    assert [a.recipe for a in found.alarms] == ["z", "faint"]


def test_bases_without_a_threshold_of_their_own_are_scored_apart() -> None:
    said = [
        verdict(a_case(COLLAPSE), COLLAPSE),
        verdict(a_case(COLLAPSE, base="a base that no threshold was set on", recipe="s"), INCONCLUSIVE),
    ]
    found = tallies.outcome(said, "with_baseline", "in_sample")
    assert found.macro_f1_unseen.value == 0.0
    assert found.macro_f1_unseen.n == 1


@pytest.mark.parametrize(
    ("label", "probabilities", "chosen"),
    [
        (COLLAPSE, (0.1, 0, 0, 0.9), COLLAPSE),  # the verdict goes first
        (INCONCLUSIVE, (0.1, 0, 0, 0.2), TEACHER),
        (HEALTHY, (0.3, 0, 0, 0.2), COLLAPSE),
        (INCONCLUSIVE, (0.2, 0, 0, 0.2), None),
        (INCONCLUSIVE, (None, 0, 0, 0.9), None),
        (SHORTCUT, (None,) * 4, None),
    ],
)
def test_a_look_alike_is_named_by_the_verdict_or_by_the_larger_probability(
    label: str, probabilities: tuple[float | None, ...], chosen: str | None
) -> None:
    pair = (COLLAPSE, TEACHER)
    said = verdict(a_case(COLLAPSE), label, probabilities)
    assert tallies.choice(said, pair) == chosen
    (score, _) = tallies.outcome([said], "with_baseline", "in_sample").pairs
    assert score.accuracy.value == float(chosen == COLLAPSE)


def test_flips_are_between_labels_and_wavering_is_apart() -> None:
    twice = [("same", [HEALTHY, HEALTHY]), ("flip", [HEALTHY, COLLAPSE]), ("waver", [COLLAPSE, INCONCLUSIVE])]
    said = [
        verdict(a_case(HEALTHY, name), label, seed=seed)
        for name, both in [*twice, ("thrice", [HEALTHY, HEALTHY, VARIANCE])]
        for seed, label in enumerate(both)
    ]
    found = tallies.repeats(said, "with_baseline", "in_sample")
    assert found.flips.n == 3 + 3  # three drawn thrice make three pairs
    assert found.flips.value == pytest.approx(3 / 6)
    assert found.wavering.value == pytest.approx(1 / 6)
    assert found.flipped == ("flip", "thrice")


def test_a_case_drawn_once_has_no_flips_to_count() -> None:
    found = tallies.repeats([verdict(a_case(HEALTHY), HEALTHY)], "with_baseline", "in_sample")
    assert found.flips.value is None
    assert found.flips.note == "no case was drawn twice"


def test_a_checkpoint_against_itself_is_judged_apart() -> None:
    mine = a_case(HEALTHY, "tiny-base", baseline="tiny-base")
    said = [verdict(mine, VARIANCE), verdict(mine, HEALTHY, scope="without_baseline")]
    found = tallies.against_itself(said, "in_sample")
    assert (found.accused.value, found.changed.value) == (1.0, 1.0)
    assert tallies.outcome(said, "with_baseline", "in_sample").matrix == ()
    assert tallies.outcome(said, "without_baseline", "in_sample").false_alarms.value == 0.0


def test_dose_response_is_spearman_within_a_series_and_weighted_by_its_size() -> None:
    def grown(recipe: str, severities: Sequence[float | None], labels: Sequence[str]) -> list[Verdict]:
        return [
            verdict(
                a_case(label, f"{recipe}{i}", recipe=recipe, aim=COLLAPSE, dose=(i + 1) / len(severities)),
                label,
                (0.2 + 0.1 * i, 0, 0, 0),
                severity=s,
            )
            for i, (s, label) in enumerate(zip(severities, labels, strict=True))
        ]

    up = grown("up", [None, None, 0.0, 0.7], [HEALTHY, HEALTHY, COLLAPSE, COLLAPSE])
    mixed = grown("mixed", [0.5, 0.9, 0.6], [COLLAPSE] * 3)
    found = tallies.dose_response([*up, *mixed], COLLAPSE, "with_baseline")
    expected = distributions.spearmanr([1, 2, 3], [0.5, 0.9, 0.6]).statistic
    assert [s.rho for s in found.series] == pytest.approx([expected, 1.0])
    assert found.rho.value == pytest.approx((3 * expected + 4 * 1.0) / 7)
    assert found.rho.n == 7
    assert tallies.dose_response(up, VARIANCE, "with_baseline").rho.value is None


def test_a_case_of_which_nothing_is_said_has_no_severity_and_two_cases_make_no_series() -> None:
    said = [verdict(a_case(COLLAPSE, f"c{i}", aim=COLLAPSE, dose=i / 4), COLLAPSE, severity=i / 4) for i in range(1, 4)]
    silent = verdict(a_case(COLLAPSE, "c4", aim=COLLAPSE, dose=1.0), INCONCLUSIVE)
    found = tallies.dose_response([*said, silent], COLLAPSE, "with_baseline")
    assert [(s.n, s.silent, s.rho) for s in found.series] == [(3, 1, pytest.approx(1.0))]
    assert tallies.dose_response([*said[1:], silent], COLLAPSE, "with_baseline").rho.value is None


def test_a_present_failure_is_more_severe_than_any_probability() -> None:
    present = verdict(a_case(COLLAPSE), COLLAPSE, (0.1, 0, 0, 0), severity=0.0)
    likely = verdict(a_case(COLLAPSE), INCONCLUSIVE, (0.999, 0, 0, 0))
    silent = verdict(a_case(COLLAPSE), INCONCLUSIVE)
    assert [tallies.severity(v, COLLAPSE) for v in (present, likely, silent)] == [1.0, 0.999, None]
    (cleared,) = [
        v
        for v in judge([case("sound", HEALTHY, [SOUND])], Classifier(), Silent())
        if v.scope == "with_baseline" and v.reading == "in_sample"
    ]
    assert tallies.severity(cleared, COLLAPSE) == 0.0


def test_the_classifier_alone_and_its_calibration() -> None:
    said = [
        verdict(a_case(COLLAPSE, recipe="a"), HEALTHY, (0.9, 0.1, 0.1, 0.1)),
        verdict(a_case(COLLAPSE, recipe="b"), HEALTHY, (0.4, 0.1, 0.1, 0.1)),
        verdict(a_case(COLLAPSE, recipe="c"), HEALTHY),
        verdict(a_case(HEALTHY, recipe="d"), HEALTHY, (0.6, 0.1, 0.1, 0.1)),
        verdict(a_case("unclear", recipe="e"), HEALTHY, (1.0, 1.0, 1.0, 1.0)),
    ]
    score = tallies.classifier_scores(said, "with_baseline", "in_sample")[0]
    assert score.spoke.value == pytest.approx(3 / 4)
    assert score.precision.value == pytest.approx(1 / 2)
    assert score.recall.value == pytest.approx(1 / 3)
    everything, collapse, *_ = tallies.calibration(said, "with_baseline", "in_sample")
    assert collapse.brier.value == pytest.approx((0.1**2 + 0.6**2 + 0.6**2) / 3)
    assert everything.brier.n == 3 * 4
    assert sum(b.observed.n for b in everything.bins) == 12


# ── judging ───────────────────────────────────────────────────────────────────────────────────────


def known_cases() -> list[Case]:
    """Return two collapsed cases, a missed one, two sound ones and an unclear one."""
    return [
        case("fell", COLLAPSE, [COLLAPSED, COLLAPSED], recipe="kl", dose=1.0),
        case("faint", HEALTHY, [SOUND, SOUND], recipe="kl", aim=COLLAPSE, dose=0.5),
        case("missed", COLLAPSE, [SOUND], recipe="slow"),
        case("accused", HEALTHY, [COLLAPSED], base="words-base", recipe="short"),
        case("sound", HEALTHY, [SOUND], base="words-base", recipe="plain"),
        case("torn", "unclear", [COLLAPSED], recipe="kl", aim=COLLAPSE, dose=0.75),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for each in known_cases():
        write_case(each, tmp_path / "cases" / "tiny")
    return tmp_path / "cases"


def test_every_draw_is_judged_in_every_scope_and_reading() -> None:
    found = judge(known_cases(), Classifier(), Silent())
    assert len(found) == 8 * 2 * len(READINGS)
    with_baseline = [v for v in found if v.scope == "with_baseline" and v.reading == "in_sample"]
    assert [v.label for v in with_baseline] == [
        COLLAPSE,
        COLLAPSE,
        HEALTHY,
        HEALTHY,
        HEALTHY,
        COLLAPSE,
        HEALTHY,
        COLLAPSE,
    ]
    assert {v.label for v in found if v.scope == "without_baseline"} == {INCONCLUSIVE}


def test_rules_looked_up_once_find_the_same() -> None:
    draw = known_cases()[0].draws[0]
    once = pipeline.find(draw.measurements, has_baseline=True, among=pipeline.rules())
    assert once == pipeline.find(draw.measurements, has_baseline=True)


def test_precision_and_recall_of_a_rule() -> None:
    scores = tallies.rule_scores(judge(known_cases(), Classifier(), Silent()), pipeline.rules())
    (collapse,) = [s for s in scores if s.code == "EDX101"]
    assert (collapse.scope, collapse.n, collapse.fired) == ("with_baseline", 8, 4)
    assert collapse.precision.value == pytest.approx(2 / 3)  # the unclear case is no evidence
    assert collapse.recall.value == pytest.approx(2 / 3)
    (shortcut,) = [s for s in scores if s.code == "EDX301"]
    assert shortcut.precision.note == "never fired"


def test_mistakes_name_the_evidence_that_misled(folder: Path) -> None:
    found = selftest.examine(folder, classifier=Classifier())
    wrong = {m.case: m for m in found.mistakes if m.scope == "with_baseline"}
    assert set(wrong) == {"missed", "accused"}
    accused = wrong["accused"]
    assert (accused.truth, accused.verdict, accused.n, accused.of) == (HEALTHY, COLLAPSE, 1, 1)
    assert accused.misled.startswith("EDX101 fired: token_entropy.mean_ratio 0.1 [0.095, 0.105] below 0.7; ")
    assert accused.planted == "accused was made so"
    cleared = "EDX101 clear: token_entropy.mean_ratio 0.95 [0.945, 0.955] not below 0.7"
    assert wrong["missed"].misled.startswith(cleared)
    assert "abstains" in wrong["missed"].misled


def test_the_document_is_the_same_every_time_and_strict(folder: Path) -> None:
    once, twice = (document.to_json(selftest.examine(folder, classifier=Classifier())) for _ in range(2))
    assert once == twice
    parsed = json.loads(once, parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    assert parsed["truths"] == {"healthy": 3, COLLAPSE: 2, "unclear": 1}
    assert parsed["n_draws"] == 8
    assert parsed["n_groups"] == 4
    assert {c["case"]: c["with_baseline"] for c in parsed["cases"]}["fell"] == [COLLAPSE, COLLAPSE]


def test_every_figure_has_an_interval_or_says_why_not(folder: Path) -> None:
    def figures(value: object) -> list[dict[str, object]]:
        if isinstance(value, list):
            return [f for item in value for f in figures(item)]
        if isinstance(value, dict):
            inside = [f for item in value.values() for f in figures(item)]
            return [value, *inside] if {"value", "ci", "note"} <= value.keys() else inside
        return []

    found = figures(json.loads(document.to_json(selftest.examine(folder, classifier=Classifier()))))
    assert len(found) > 100
    for figure in found:
        assert figure["ci"] is not None or figure["note"]


def test_the_fingerprint_is_of_the_cases_and_not_of_where_they_are(folder: Path, tmp_path: Path) -> None:
    before = selftest.examine(folder, classifier=Classifier()).cases_sha
    moved = folder.rename(tmp_path / "elsewhere")
    assert selftest.examine(moved, classifier=Classifier()).cases_sha == before
    write_case(replace(known_cases()[0], why="another"), moved / "tiny")
    assert selftest.examine(moved, classifier=Classifier()).cases_sha != before


@pytest.mark.parametrize("content", [None, "{}", "not JSON"])
def test_a_folder_without_cases_is_one_clear_error(tmp_path: Path, content: str | None) -> None:
    with pytest.raises(ConfigError, match="no directory"):
        selftest.examine(tmp_path / "nowhere")
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    with pytest.raises(ConfigError):
        selftest.examine(tmp_path)


# ── bars ──────────────────────────────────────────────────────────────────────────────────────────


def test_every_bar_has_a_figure_and_misses_are_explained(folder: Path) -> None:
    quality = selftest.examine(folder, classifier=Classifier())
    assert [b.name for b in quality.bars] == [b.figure for b in bars.BARS]
    by_name = {b.name: b for b in quality.bars}
    assert by_name["tiny cases"].met is False
    alarms = by_name["false alarms on sound cases, with a baseline, leave one base out"]
    assert alarms.met is False
    assert alarms.figure.value == pytest.approx(1 / 4)
    assert alarms.why == "accused: short 1 of 1"
    assert by_name["label flips between seeds, with a baseline"].met is True
    assert by_name["accused as its own baseline"].met is None
    assert all(math.isfinite(b.limit) and b.source for b in quality.bars)


def _document(value: float | None, op: str = ">") -> dict[str, object]:
    return {"bars": [{"name": "x", "op": op, "figure": {"value": value}}]}


@pytest.mark.parametrize(
    ("new", "old", "op", "is_worse"),
    [
        (0.9, 0.9, ">", False),
        (0.95, 0.9, ">", False),
        (0.89, 0.9, ">", True),
        (0.8999, 0.9, ">", False),  # another machine's arithmetic
        (0.03, 0.02, "<", True),
        (0.01, 0.02, "<", False),
        (None, 0.9, ">", True),
        (0.5, None, ">", False),
    ],
)
def test_worse_is_a_loss_beyond_arithmetic(new: float | None, old: float | None, op: str, is_worse: bool) -> None:
    assert bool(bars.worse(_document(new, op), _document(old, op))) is is_worse


@pytest.mark.parametrize("content", ["[]", "{}", "no JSON", '{"bars": []}'])
def test_a_broken_committed_document_is_one_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "quality.json").write_text(content)
    with pytest.raises(ConfigError, match="not a document of"):
        bars.load_committed(tmp_path / "quality.json")


def test_pages_are_stale_until_written(folder: Path, tmp_path: Path) -> None:
    quality = selftest.examine(folder, classifier=Classifier())
    pages = selftest.pages(quality, tmp_path)
    assert {p.name for p in pages} == {"quality.md", "quality.json", "reliability.svg"}
    assert selftest.stale(quality, tmp_path) == list(pages)
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    assert selftest.stale(quality, tmp_path) == []
    assert selftest.losses(quality, tmp_path / "quality.json") == []
    other = replace(quality, n_draws=9)
    assert {p.name for p in selftest.stale(other, tmp_path)} == {"quality.md", "quality.json"}
    page = pages[tmp_path / "quality.md"]
    assert "set on organisms of tiny-base and tiny-thinker" in page
    assert all(line.count("|") == 9 for line in page.splitlines() if line.startswith("| training collapse | 2 |"))


# ── sampled again ─────────────────────────────────────────────────────────────────────────────────


class Heard(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, stage: str, total: int | None) -> None:
        self.said.append(stage)

    def warn(self, message: str) -> None:
        self.said.append(message)


def test_redrawing_needs_a_new_seed_and_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="were drawn with seed 1"):
        selftest.redraw(folder, seed=1, organisms=tmp_path, runs=tmp_path)
    with pytest.raises(ConfigError, match="no checkpoint"):
        selftest.redraw(folder, seed=1000, organisms=tmp_path, runs=tmp_path)
    (tmp_path / "fell").mkdir()
    heard = Heard()
    with pytest.raises(ConfigError, match="no checkpoint"):
        selftest.redraw(folder, seed=1000, organisms=tmp_path, runs=tmp_path, progress=heard)
    assert any("fell is left out: its baseline tiny-base is not in" in line for line in heard.said)


@pytest.mark.slow
def test_a_collapsed_organism_sampled_again_is_still_collapsed_and_a_wrong_case_is_a_flip(tmp_path: Path) -> None:
    organisms = ROOT / "fixtures" / "organisms"
    for each in (case("tiny-collapse", COLLAPSE, [COLLAPSED]), case("tiny-concise", HEALTHY, [COLLAPSED])):
        write_case(each, tmp_path / "cases")
    drawn = selftest.redraw(tmp_path / "cases", seed=1000, organisms=organisms, runs=tmp_path / "runs")
    assert [(r.case, r.before, r.now, r.flipped) for r in drawn] == [
        ("tiny-collapse", (COLLAPSE,), COLLAPSE, False),
        ("tiny-concise", (COLLAPSE,), HEALTHY, True),
    ]
    heard = Heard()
    again = selftest.redraw(tmp_path / "cases", seed=1000, organisms=organisms, runs=tmp_path / "runs", progress=heard)
    assert again == drawn
    assert sum("nothing is drawn" in line for line in heard.said) == 4  # two checkpoints, each with its baseline


# ── the command ───────────────────────────────────────────────────────────────────────────────────


def _run(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "e2e" / "no_torch"), str(ROOT)])}
    call = [sys.executable, "-m", "entropydx", "selftest", *map(str, args)]
    return subprocess.run(call, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_the_command_prints_writes_and_exits_zero_without_torch(folder: Path, tmp_path: Path) -> None:
    found = _run("--cases", folder, "--json", "q.json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "Truth and verdict, with a baseline" in found.stdout
    assert "accused" in found.stdout
    assert "quality.json is missing" in found.stderr
    whole = json.loads((tmp_path / "q.json").read_text())
    assert whole["n_draws"] == 8


def test_the_command_exits_one_when_worse_or_stale(folder: Path, tmp_path: Path) -> None:
    reference = tmp_path / selftest.REFERENCE
    reference.mkdir(parents=True)
    quality = selftest.examine(folder)
    for path, text in selftest.pages(quality, reference).items():
        path.write_text(text, encoding="utf-8")
    kept = json.loads((reference / "quality.json").read_text())
    for bar in kept["bars"]:
        if bar["name"].startswith("macro-F1"):
            bar["figure"]["value"] = 1.0
    (reference / "quality.json").write_text(json.dumps(kept))
    worse = _run("--cases", folder, "--check", "--json", "-", cwd=tmp_path)
    assert worse.returncode == 1
    assert "worse: macro-F1, with a baseline, leave one base out: " in worse.stderr
    assert json.loads(worse.stdout)["quality_version"] == "1.0"
    assert "stale: docs/reference/quality.json" in worse.stderr


def test_the_command_exits_two_without_cases(tmp_path: Path) -> None:
    found = _run(cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr.strip().splitlines()[-1].startswith("entropydx: no directory fixtures/cases")
    assert found.stdout == ""


def test_the_committed_figures_hold() -> None:
    """Fails where docs/reference/quality.* is stale or better than what the tool does now: what CI checks."""
    found = _run("--check", "--quiet", cwd=ROOT)
    assert found.returncode == 0, found.stderr
    assert not examining.COMMITTED.is_absolute()
