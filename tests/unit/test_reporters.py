"""What a person sees: complete, honest, plain through a pipe, and safe to print."""

import io
import re
import shlex
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from entropydx import plugins
from entropydx.document import from_json
from entropydx.reporters._layout import shortened
from entropydx.reporters._measurements import TELLING, telling
from entropydx.reporters._numberline import AXIS, BASELINE, BEYOND, INTERVAL, POINT, THRESHOLD, number_line
from entropydx.reporters._remedies import snippet
from entropydx.reporters._words import count, decimals, duration, estimate, exit_meaning, number, visible
from entropydx.reporters.terminal import TerminalReporter, reporter
from entropydx.types import Evidence, Example, FailureAssessment, Label, Training
from tests.unit.report_examples import (
    CLIP_HIGHER,
    COLLAPSE,
    EXAMPLES,
    VARIANCE,
    collapsed,
    healthy,
    leaning,
    suspected,
    truncated,
)

ANSI = re.compile(r"\x1b\[[0-9;]*m")
EVERY = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
SMALL = st.floats(-1e3, 1e3, allow_nan=False).map(lambda x: round(x, 4))


def page(report, **options):
    return TerminalReporter(**options).render(report)


def section(text, title):
    """Return the body of one titled part of a page."""
    return re.search(rf"^{re.escape(title)} ─+\n(.*?)(?=^\S|\Z)", text, re.M | re.S).group(1)


def printed(report, **console):
    file = console.pop("file", None) or io.StringIO()
    TerminalReporter().render_to(Console(file=file, _environ=console.pop("environ", {}), **console), report)
    return file


# ── the reporters as plugins ──────────────────────────────────────────────────────────────────────


def test_both_reporters_are_found_and_helpers_are_not():
    assert {"json", "terminal"} <= set(plugins.names("reporter"))
    assert not [name for name in plugins.names("reporter") if name.startswith("_")]


def test_the_json_reporter_loses_nothing():
    assert from_json(plugins.load("reporter", "json").render(collapsed())) == collapsed()


# ── the page as a whole ───────────────────────────────────────────────────────────────────────────


@EVERY
@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("verbose", [False, True])
def test_no_line_is_too_wide_and_none_ends_in_blanks(example, width, verbose):
    lines = page(example(), width=width, verbose=verbose).split("\n")
    assert max(map(cell_len, lines)) <= width
    assert not [line for line in lines if line != line.rstrip()]


@EVERY
def test_colour_adds_nothing_but_colour(example):
    coloured = page(example(), color=True)
    assert "\x1b[" in coloured
    plain = [line.rstrip() for line in ANSI.sub("", coloured).split("\n")]
    assert plain == page(example()).split("\n")


@EVERY
def test_ascii_keeps_the_layout(example):
    fancy, plain = page(example()), page(example(), ascii=True)
    assert plain.isascii()
    assert [cell_len(line) for line in fancy.split("\n")] == [len(line) for line in plain.split("\n")]


@EVERY
def test_the_verdict_comes_first_and_the_exit_code_last(example):
    report = example()
    lines = page(report).strip().split("\n")
    assert str(report.diagnosis.label).replace("_", " ").upper() in lines[1]
    assert f"confidence {report.diagnosis.confidence}" in lines[1]
    assert f"exit code {report.exit_code}: " in lines[-1]


def test_the_environment_does_not_change_what_render_returns(monkeypatch):
    expected = page(collapsed()), page(collapsed(), color=True)
    for name, value in (("COLUMNS", "40"), ("NO_COLOR", "1"), ("FORCE_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    assert (page(collapsed()), page(collapsed(), color=True)) == expected


def test_a_pipe_gets_plain_text_of_a_fixed_width():
    assert printed(collapsed(), width=57).getvalue() == reporter.render(collapsed())


def test_a_terminal_gets_colour_unless_no_color_is_set():
    options = {"force_terminal": True, "color_system": "256", "width": 100}
    coloured = printed(collapsed(), **options).getvalue()
    sober = printed(collapsed(), environ={"NO_COLOR": "1"}, **options).getvalue()
    assert re.search(r"\x1b\[[0-9;]*3[1-6]m", coloured)
    assert not re.search(r"\x1b\[[0-9;]*[34][0-7]m", sober)
    assert ANSI.sub("", coloured) == ANSI.sub("", sober)


def test_a_terminal_wider_than_a_page_is_not_filled():
    lines = printed(collapsed(), force_terminal=True, width=300).getvalue().split("\n")
    assert max(cell_len(ANSI.sub("", line)) for line in lines) == 140


def test_a_terminal_that_is_too_narrow_is_told_so_first():
    lines = printed(collapsed(), force_terminal=True, width=40).getvalue().split("\n")
    text = " ".join(ANSI.sub("", " ".join(lines)).split())
    assert text.startswith("This terminal has 40 columns, and the page needs 60: widen it")
    assert "needs 60" not in printed(collapsed(), force_terminal=True, width=60).getvalue()
    assert "needs 60" not in printed(collapsed(), width=40).getvalue(), "a pipe has the width that was asked for"


def test_a_long_path_keeps_its_last_parts():
    base = leaning()
    ref = "/mnt/cluster/experiments/2026-09/" + "a-very-long-name/" * 6 + "seed-3/checkpoint-600"
    head = page(replace(base, checkpoint=replace(base.checkpoint, ref=ref), baseline=replace(base.checkpoint, ref=ref)))
    shown = [line for line in head.split("\n") if "checkpoint-600" in line]
    assert [line.count("/seed-3/checkpoint-600") for line in shown] == [1, 1]
    assert all(re.search(r"/mnt/cluster\S*…/\S*seed-3/checkpoint-600", line) for line in shown)


@given(st.text(alphabet="ab/ü数\u0301", max_size=60), st.integers(8, 50))
def test_what_is_shortened_fits_and_keeps_its_end(text, width):
    short = shortened(text, width)
    assert cell_len(short) <= width
    if cell_len(text) > width:
        head, _, tail = short.partition("…")
        assert tail
        assert text.endswith(tail)
        assert text.startswith(head)
    else:
        assert short == text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "shift_jis"])
def test_a_foreign_encoding_gets_ascii(encoding):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    printed(collapsed(), file=file).flush()
    assert raw.getvalue().decode("ascii") == page(collapsed(), ascii=True)


# ── hostile text ──────────────────────────────────────────────────────────────────────────────────

HOSTILE = (
    "[bold red]x[/] \x1b[2J\x1b]0;owned\x07 \x9b31m \u202eevil\u2066 \u200b\r\n\t\x00\x7f\ud800 [link=http://x]y[/link]"
)


def hostile():
    base = collapsed()
    return replace(
        base,
        checkpoint=replace(base.checkpoint, ref=HOSTILE, architecture=HOSTILE),
        protocol=replace(base.protocol, suite=HOSTILE, device=HOSTILE),
        diagnosis=replace(base.diagnosis, summary=HOSTILE, would_settle_it=(HOSTILE,)),
        measurements=tuple(replace(row, name=row.name + HOSTILE, note=HOSTILE) for row in base.measurements),
        findings=tuple(replace(f, statement=HOSTILE, code=HOSTILE, settle=HOSTILE) for f in base.findings),
        recommendations=(replace(CLIP_HIGHER, why=HOSTILE, config={"trl": {HOSTILE: HOSTILE}}),),
        examples=(Example(about="EDX101", prompt_id=HOSTILE, sample_index=0, excerpt=HOSTILE * 400),),
    )


@pytest.mark.parametrize("verbose", [False, True])
def test_text_from_outside_cannot_act_on_the_terminal(verbose):
    text = page(hostile(), verbose=verbose)
    assert all(line.isprintable() for line in text.split("\n"))
    assert "[bold red]x[/]" in text
    assert ANSI.sub("", page(hostile(), color=True, verbose=verbose)).replace("\n", "").isprintable()


def test_an_excerpt_takes_one_line():
    body = section(page(hostile()), "Samples that show it")
    assert body.count("\n") == 2
    assert "…" in body


def test_visible_shows_what_was_hidden():
    assert visible("a\x1b[2J\nb\tc\u00a0d\u202e") == "a␛[2J↵b c d\N{REPLACEMENT CHARACTER}"
    assert visible("naïve 数学 ∑") == "naïve 数学 ∑"
    assert visible(collapsed()).diagnosis.label is Label.TRAINING_COLLAPSE


# ── honesty ───────────────────────────────────────────────────────────────────────────────────────


def test_without_a_classifier_no_probability_is_claimed():
    body = section(page(collapsed()), "The four failures")
    assert body.count("no opinion ") == 4
    assert "no probability is claimed" in re.sub(r"\s+", " ", body)


def test_with_a_classifier_its_numbers_and_its_dissent_are_shown():
    base = healthy()
    spoken = {k: replace(v, probability=0.25) for k, v in base.diagnosis.failures.items()}
    verdict = replace(base.diagnosis, failures=spoken, classifier_label=VARIANCE, agreement=False)
    body = section(page(replace(base, diagnosis=verdict)), "The four failures")
    assert body.count("0.25") == 4
    assert "rules: healthy; classifier: inference variance; they DISAGREE" in body
    assert "no opinion" not in body


def test_what_the_classifier_abstains_from_is_named():
    base = healthy()
    spoken = base.diagnosis.failures | {"training_collapse": FailureAssessment(status="absent", probability=0.03)}
    verdict = replace(base.diagnosis, failures=spoken, agreement=True)
    body = re.sub(r"\s+", " ", section(page(replace(base, diagnosis=verdict)), "The four failures"))
    abstained = "inference variance, hard sample shortcutting, teacher overconfidence"
    assert f"rules: healthy; classifier: no label (it abstains from {abstained}); they agree" in body


def test_untested_failures_are_named_beside_a_healthy_label():
    text = re.sub(r"\s+", " ", page(healthy()))
    assert "NOT TESTED: hard sample shortcutting, teacher overconfidence." in text


def test_evidence_is_sorted_by_what_it_says_about_the_verdict():
    text = page(collapsed())
    supporting, opposing = (
        section(text, "Evidence for: training collapse"),
        section(text, "Evidence against: training collapse"),
    )
    assert re.findall(r"EDX\d+", supporting) == ["EDX101", "EDX103"]
    assert re.findall(r"EDX\d+", opposing.partition("Looked for")[0]) == ["EDX113"]
    assert "Looked for and not found: EDX111, EDX112" in text


def test_health_rests_on_accusations_that_are_clear_and_says_so():
    body = section(page(healthy()), "Evidence for: healthy")
    assert "not so: It can, but not reliably" in body
    assert "0.034 [0.011, 0.058] not > 0.1" in body
    assert section(page(healthy()), "Evidence against: healthy").split()[0] == "none"


def test_a_comparison_reads_as_a_statement_with_baseline_and_prompts():
    body = section(page(collapsed()), "Evidence for: training collapse")
    assert "0.086 [0.067, 0.104] < 0.27\n" in body
    assert "+0.529 [+0.460, +0.590] > 0.15\n" in body
    assert "share, 0.342 to 0.871, n=94" in body
    assert "share, baseline 0.438, n=200" in body


def test_what_is_undecided_or_missing_says_why():
    assert re.search(r"1\.30 \[1\.02, 1\.63\] < 1\.2 \?", section(page(suspected()), "Undecided"))
    cut = section(page(truncated()), "Undecided")
    assert "not measured (> 0.1)" in cut
    assert "63 % of the completions have no answer" in re.sub(r"\s+", " ", cut)
    assert "raise --max-new-tokens" in section(page(truncated()), "What would settle it")


def test_a_rule_that_decided_by_leaning_is_evidence_for_and_said_to_be_undecided():
    text = page(leaning())
    supporting = section(text, "Evidence for: teacher overconfidence")
    assert "EDX402  undecided, leans: Seeing the solution" in supporting
    assert "0.019 [0.000, 0.093] < 0.05 ?" in supporting
    assert re.findall(r"EDX\d+", section(text, "Undecided")) == ["EDX901"]
    absent = FailureAssessment(status="undetermined", reason="EDX402 undecided: the intervals are too wide")
    base = leaning()
    verdict = replace(base.diagnosis, label=Label.INCONCLUSIVE, failures=dict.fromkeys(base.diagnosis.failures, absent))
    assert "EDX402" in section(page(replace(base, diagnosis=verdict)), "Undecided"), "it decided nothing there"


def test_another_failure_that_is_present_by_a_rule_that_leans_is_also_found():
    base = leaning()
    verdict = replace(base.diagnosis, label=COLLAPSE)
    assert "EDX402  undecided, leans" in section(page(replace(base, diagnosis=verdict)), "Also found")


@EVERY
def test_what_would_settle_it_is_the_documents_own_list(example):
    report = example()
    steps = report.diagnosis.would_settle_it
    assert ("What would settle it" in page(report)) == bool(steps)
    if steps:
        shown = section(page(report, verbose=True), "What would settle it")
        assert re.sub(r"\s+", " ", shown).strip() == " ".join(f"- {step}" for step in steps)


def test_a_list_that_is_cut_says_how_much():
    base = leaning()
    report = replace(base, diagnosis=replace(base.diagnosis, would_settle_it=tuple(f"step {i}" for i in range(7))))
    body = section(page(report), "What would settle it")
    assert "step 4\n  2 more in the JSON report" in body
    assert "step 5" not in body
    assert "step 6" in page(report, verbose=True)


def test_numbers_of_the_failures_that_are_not_there_are_explained():
    body = re.sub(r"\s+", " ", section(page(leaning()), "The four failures"))
    assert "a probability is the classifier's estimate, calibrated on labelled cases: it has no interval" in body
    assert "severity - on a failure that is present: no rule that measures how severe it is fired" in body
    other = section(page(collapsed()), "The four failures")
    assert "it has no interval" not in other
    assert "severity - on" not in other


def test_counts_are_whole_and_a_number_without_unit_has_no_comma():
    text = section(page(leaning()), "Measurements")
    assert re.search(r"54 \[54, 54\] +prompts, n=54\n", text)
    assert re.search(r"1\.00 \[1\.00, 1\.00\] +n=54\n", text)
    assert decimals(54.5, (54.0, 55.0), unit="prompts") == 2
    assert decimals(54.0, (54.0, 54.0), unit="share") == 1


def test_a_number_without_interval_says_why():
    body = page(collapsed(), verbose=True)
    assert "1.00 (no interval)" in body
    assert "no interval: every prompt gives one value" in body


def test_verbose_shows_every_measurement_and_the_source_of_every_threshold():
    base = collapsed()
    more = tuple(replace(base.measurements[0], name=f"token_entropy.extra_{i}") for i in range(20))
    report = replace(base, measurements=base.measurements + more)
    assert len(telling(report)) == TELLING
    assert f"Measurements, {TELLING} of 30" in page(report)
    everything = page(report, verbose=True)
    assert all(row.name in everything for row in report.measurements)
    assert "threshold: arXiv:2505.22617" in everything


def test_the_telling_rows_are_those_the_verdict_rests_on():
    names = [row.name for row in telling(collapsed())]
    assert names[:2] == ["token_entropy.mean_ratio", "token_entropy.fork_share"]
    assert names.index("token_entropy.mean") < names.index("sampling_spread.icc@hard")


# ── what to do ────────────────────────────────────────────────────────────────────────────────────


def test_a_remedy_of_another_failure_is_a_warning_and_never_a_recommendation():
    text = page(collapsed())
    assert "majority-vote" not in section(text, "What to do")
    told = " ".join(section(text, "What NOT to do").split())
    assert "do NOT use majority-vote, cooling: for inference variance, and wrong for training collapse" in told
    assert "do NOT use it for inference variance" in section(text, "What to do")


def test_what_was_left_out_is_counted_and_with_verbose_explained():
    report = collapsed()
    assert "1 other left out: --verbose says why" in section(page(report), "What to do")
    assert "not Last: a constant entropy bonus: 3 remedies come before it" in page(report, verbose=True)
    alone = section(page(replace(report, recommendations=())), "What to do")
    assert "No remedy of the catalogue fits" in alone
    assert "3 remedies come before it" in alone, "where nothing is recommended the reasons are what there is to say"


def test_a_remedy_against_a_failure_that_is_present_too_says_so():
    base = collapsed()
    both = base.diagnosis.failures | {VARIANCE: FailureAssessment(status="present", severity=0.2)}
    text = page(replace(base, diagnosis=replace(base.diagnosis, failures=both)))
    assert "BUT it is contraindicated for inference variance, which is present too" in section(text, "What to do")


def test_what_was_assumed_of_the_training_configuration_is_said():
    training = Training(stage="rl", source="grpo.yaml", framework="trl", assumed="read as of GRPOConfig")
    text = section(page(replace(collapsed(), training=training)), "The training configuration")
    assert "ASSUMED read as of GRPOConfig" in text
    assert "ASSUMED" not in page(replace(collapsed(), training=replace(training, assumed="")))


CONFIG = {"a": 0.28, "b": True, "c": "sync it", "d": None, "e": [1, 2]}


@pytest.mark.parametrize("width", [20, 200])
def test_keyword_arguments_are_python(width):
    assert eval(f"dict({snippet('trl', CONFIG, width)})") == CONFIG


@pytest.mark.parametrize("width", [20, 200])
def test_hydra_overrides_survive_the_shell(width):
    words = shlex.split(snippet("verl", CONFIG, width).replace("\\\n", ""))
    assert words == ["a=0.28", "b=true", "c=sync it", "d=null", "e=[1, 2]"]


@pytest.mark.parametrize("width", [20, 200])
def test_flags_survive_the_shell(width):
    config = {"actor.eps": [0.2, 0.28], "--algo.kl": True, "fast": False, "range": "0.2 0.8", "on": "", "to": ["a b"]}
    words = shlex.split(snippet("openrlhf", config, width).replace("\\\n", ""))
    flags = ["--actor.eps", "0.2", "0.28", "--algo.kl", "--no-fast", "--range", "0.2", "0.8", "--on"]
    assert words == [*flags, "--to", "a b"]


def test_a_setting_longer_than_the_page_is_not_broken():
    base = collapsed()
    key = "actor_rollout_ref." * 6 + "clip_ratio_high"
    report = replace(base, recommendations=(replace(CLIP_HIGHER, config={"verl": {key: 0.28}}),))
    assert f"\n{key}=0.28\n" in page(report, width=80)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "ci", "threshold", "text"),
    [
        (0.0523, (0.0412, 0.0631), None, "0.052 [0.041, 0.063]"),
        (312.4, (290.1, 334.7), None, "312 [290, 335]"),
        (0.25, (0.2, 0.2699), 0.27, "0.2500 [0.2000, 0.2699]"),
        (1.0, None, None, "1.00 (no interval)"),
        (0.0, (0.0, 0.0), None, "0.00 [0.00, 0.00]"),
        (3e-9, (1e-9, 5e-9), None, "3.0e-09 [1.0e-09, 5.0e-09]"),
    ],
)
def test_an_estimate_shows_two_digits_of_its_half_width(value, ci, threshold, text):
    assert estimate(value, ci, decimals(value, ci, threshold)) == text


@given(st.tuples(SMALL, SMALL).map(sorted), SMALL)
def test_rounding_never_moves_an_end_across_its_threshold(ci, threshold):
    places = decimals(ci[0], tuple(ci), threshold)
    for end in ci:
        shown = float(number(end, places))
        assert (shown < threshold, shown > threshold) == (end < threshold, end > threshold)


def test_counts_and_spans_are_short():
    assert [count(n) for n in (0, 7, 999, 1696.4, 312_480, 999_999, 494_032_768)] == [
        "0", "7", "999", "1.7 k", "312 k", "1000 k", "494 M",
    ]  # fmt: skip
    assert [duration(s) for s in (0.84, 12.3, 184.2, 7325)] == ["0.84 s", "12 s", "3 min 4 s", "2 h 2 min"]


def test_an_exit_code_that_is_not_the_verdicts_own_says_so():
    assert exit_meaning(1, COLLAPSE) == "exit code 1: a failure was diagnosed"
    assert exit_meaning(1, Label.ABNORMAL) == "exit code 1: the checkpoint is abnormal"
    assert exit_meaning(3, Label.INCONCLUSIVE) == "exit code 3: inconclusive"
    assert "the verdict alone gives 1, and --exit-zero or a policy" in exit_meaning(0, COLLAPSE)


# ── number lines ──────────────────────────────────────────────────────────────────────────────────


def evidence(value, ci, op, threshold):
    beyond = [x < threshold if op == "<" else x > threshold for x in ci]
    status = "fired" if all(beyond) else "undecided" if any(beyond) else "clear"
    return Evidence(
        measurement="a.b", field="value", value=value, ci=ci, op=op, threshold=threshold,
        unit="", source="", status=status, strength=0.5, n=9,
    )  # fmt: skip


def test_a_number_line_to_scale():
    # Points 0, 0.5 and 1 with 15 % of room: the axis is [-0.15, 1.15], 26 cells of 0.05.
    line = number_line(evidence(0.5, (0.45, 0.551), ">", 1.0), None, 26).plain
    assert line == AXIS * 3 + AXIS * 9 + INTERVAL + POINT + INTERVAL + AXIS * 8 + THRESHOLD + BEYOND * 2


@given(st.tuples(SMALL, SMALL, SMALL).map(sorted), st.sampled_from("<>"), SMALL, st.none() | SMALL, st.integers(12, 40))
def test_a_drawn_interval_crosses_its_threshold_only_when_it_does(numbers, op, threshold, baseline, width):
    lo, value, hi = numbers
    assume(threshold != value)
    line = number_line(evidence(value, (lo, hi), op, threshold), baseline, width).plain
    assert len(line) == width
    mark, point = line.index(THRESHOLD), line.index(POINT)
    assert (point < mark) == (value < threshold)
    drawn = [i for i, cell in enumerate(line) if cell in (INTERVAL, POINT)]
    if hi < threshold:
        assert max(drawn) < mark
    if lo > threshold:
        assert min(drawn) > mark
    sides = line[:mark] if op == "<" else line[mark + 1 :]
    others = line[mark + 1 :] if op == "<" else line[:mark]
    assert AXIS not in sides
    assert BEYOND not in others
    assert line.count(BASELINE) <= (baseline is not None)


def test_the_baseline_is_marked_when_it_is_near_and_left_out_when_it_is_far():
    near = number_line(evidence(0.5, (0.4, 0.6), "<", 1.0), 1.5, 24).plain
    far = number_line(evidence(0.5, (0.4, 0.6), "<", 1.0), 50.0, 24).plain
    assert BASELINE in near
    assert BASELINE not in far
