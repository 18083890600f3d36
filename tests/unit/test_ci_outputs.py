"""What a CI service is given: every document tells the gate's own verdict, and nothing that is quoted in one acts."""

import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped
from markdown_it import MarkdownIt

from entropydx.cli import app
from entropydx.document import from_json, to_json
from entropydx.reporters import _github, _gitlab, _junit
from entropydx.reporters._markdown import JOINER, block, code, escaped, table
from entropydx.reporters._words import visible
from entropydx.reporters.markdown import command, reporter
from entropydx.types import Example, FailureAssessment, ImportSource, Training
from tests.unit.gate_examples import COLLAPSE, GATES, PASS_AT_1, VARIANCE, failed, gate
from tests.unit.report_examples import EXAMPLES, collapsed, leaning

EVERY = pytest.mark.parametrize("example", GATES.values(), ids=GATES)
HOSTILE = [
    "::set-output name=verdict::passed",
    "x\n::error::gone",
    "##[add-mask]e",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</details></td></table>",
    "[click](https://evil.example) ![](https://evil.example/p.png)",
    "<https://evil.example> https://evil.example www.evil.example a@evil.example",
    "@admin #1 org/repo#2",
    "a | b \\| c \\",
    "`tick` ``two`` ```three",
    "**bold** _it_ ~~gone~~ $x$ $$y$$",
    "# heading",
    "- item",
    "1. item",
    "    code",
    "---",
    "&lt;b&gt; &#60;b&#62;",
    "]]> <!-- --> <?xml?> & \" '",
    "\x00\x01\x1b[31m\x7f\ud800\ufffe \u202e",
    "line\r\nline\u2028line",
]
ALLOWED = {"h2", "h3", "p", "strong", "em", "code", "pre", "ul", "ol", "li", "details", "summary"} | {
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
TEXT = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.lists(st.sampled_from([*"`*_[]()<>|\\#@!:$~&-+=1.\n ", "://", "www."]), max_size=30).map("".join),
)


class Seen(HTMLParser):
    """The tags and the text of a page as a browser has them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[int] = []
        self.pieces: list[tuple[str, bool]] = []
        self.in_code = 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name not in {"class"}], attrs
        self.in_code += tag in {"code", "pre"}
        self.rows += [0] * (tag == "tr")
        if tag in {"td", "th"}:
            self.rows[-1] += 1

    def handle_endtag(self, tag):
        self.in_code -= tag in {"code", "pre"}

    def handle_data(self, data):
        self.pieces.append((data, bool(self.in_code)))

    @property
    def text(self):
        return "".join(piece for piece, _ in self.pieces)

    @property
    def prose(self):
        """What is outside code, where services look for mentions, issues and addresses."""
        return " ".join(piece for piece, in_code in self.pieces if not in_code)


def rendered(markdown: str) -> Seen:
    return Seen(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))


def hostile(text):
    """A failed gate and its report with one text wherever text from outside can stand."""
    report = collapsed()
    report = replace(
        report,
        checkpoint=replace(report.checkpoint, ref=text),
        baseline=replace(report.baseline, ref=text),
        diagnosis=replace(
            report.diagnosis,
            summary=text,
            failures={n: replace(a, reason=text) for n, a in report.diagnosis.failures.items()},
            would_settle_it=(text,),
        ),
        protocol=replace(report.protocol, suite=text, device=text, versions={text: text}),
        measurements=tuple(replace(row, unit=text, note=text) for row in report.measurements),
        findings=tuple(
            replace(f, code=text, statement=text, evidence=tuple(replace(e, unit=text) for e in f.evidence))
            for f in report.findings
        ),
        examples=(Example(about=text, prompt_id=text, sample_index=0, excerpt=text),),
    )
    checks = [replace(COLLAPSE, reason=text), replace(PASS_AT_1, reason=text), VARIANCE]
    return gate(report, checks, policy=text, report=text, against=text), report


def assert_inert(markdown):
    seen = rendered(markdown)
    assert set(seen.tags) <= ALLOWED
    assert not re.search(r"@\w|#\d|://|www\.\w", seen.prose)
    return seen


# ── text from outside ─────────────────────────────────────────────────────────────────────────────


@given(TEXT)
def test_text_is_shown_as_it_is_and_does_nothing(text):
    for write in (escaped, code):
        seen = assert_inert(f"{write(text)}\n")
        assert seen.text.replace(JOINER, "").split() == visible(text).replace(JOINER, "").split()
        assert set(seen.tags) <= {"p", "code"}


@given(TEXT, TEXT)
def test_a_cell_stays_a_cell(left, right):
    seen = assert_inert("\n".join(table(["a", "b"], [[escaped(left), code(right)]])))
    assert seen.rows == [2, 2]


@given(TEXT)
def test_a_code_block_ends_where_it_should(text):
    seen = rendered("\n".join([*block(text), "", "after"]))
    assert seen.tags == ["pre", "code", "p"]


# ── JUnit ─────────────────────────────────────────────────────────────────────────────────────────


def read(document: str):
    (suite,) = JUnitXml.fromstring(document.encode())
    return suite


@EVERY
def test_junit_counts_what_the_gate_says(example):
    found, report = example()
    suite = read(_junit.document(found, report))
    verdicts = [check.verdict for check in found.checks]
    assert (suite.tests, suite.errors) == (len(verdicts), 0)
    assert (suite.failures, suite.skipped) == (verdicts.count("failed"), verdicts.count("inconclusive"))
    assert bool(suite.failures) == (found.exit_code == 1)
    assert bool(suite.skipped) == (found.exit_code == 3) or found.exit_code == 1
    properties = {p.name: p.value for p in suite.properties()}
    assert properties["verdict"] == found.verdict
    assert properties["exit_code"] == str(found.exit_code)
    for name, value in (("label", found.label), ("confidence", found.confidence), ("fingerprint", found.fingerprint)):
        assert properties[name] == value
    protocol = report.protocol
    assert (properties["suite"], properties["seed"], properties["engine"]) == (protocol.suite, "0", protocol.engine)


def test_junit_tells_failed_open_and_warned_apart():
    found, report = failed()
    found = gate(report, [*found.checks, GATES["warned"]()[0].checks[1]])
    cases = {case.name: case for case in read(_junit.document(found, report))}
    (failure,) = cases[COLLAPSE.name].result
    assert isinstance(failure, Failure)
    assert failure.message == COLLAPSE.reason
    (skipped,) = cases[PASS_AT_1.name].result
    assert isinstance(skipped, Skipped)
    assert skipped.message == f"inconclusive: {PASS_AT_1.reason}"
    assert cases[VARIANCE.name].is_passed
    warned = cases["bound.instrument.truncation_rate.max"]
    assert warned.is_passed
    assert warned.system_out.startswith("warned: ")
    assert {case.classname for case in cases.values()} == {"entropydx.failure", "entropydx.bound"}


def test_junit_names_hold_no_number_of_the_run():
    one, report = failed()
    other = gate(report, [replace(check, reason="else", value=0.1) for check in one.checks], fingerprint="0" * 64)
    names = [[(c.classname, c.name) for c in read(_junit.document(g, report))] for g in (one, other)]
    assert names[0] == names[1]


@given(TEXT)
def test_junit_is_xml_whatever_the_text(text):
    suite = read(_junit.document(*hostile(text)))
    assert suite.failures == 1
    assert suite.skipped == 1


def test_a_run_that_did_not_finish_is_an_error_and_not_a_pass():
    suite = read(_junit.unfinished("killed \x1b[0m"))
    assert (suite.tests, suite.errors, suite.failures) == (1, 1, 0)
    (case,) = suite
    assert isinstance(case.result[0], Error)
    (entry,) = json.loads(_gitlab.unfinished("killed", "policy.toml"))
    assert entry["severity"] == "blocker"


# ── GitLab ────────────────────────────────────────────────────────────────────────────────────────


@EVERY
def test_gitlab_has_an_entry_for_each_open_check(example):
    found, _ = example()
    entries = json.loads(_gitlab.document(found, "ci/policy.toml"))
    assert [e["check_name"] for e in entries] == [f"entropydx.{c.name}" for c in found.checks if c.verdict != "passed"]
    for entry in entries:
        assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert entry["location"] == {"path": "ci/policy.toml", "lines": {"begin": 1}}
        expected = {"failed": "critical", "inconclusive": "major", "warned": "minor"}
        assert entry["severity"] == expected[entry["description"].partition(":")[0]]


def test_gitlab_fingerprints_follow_the_check_and_not_its_numbers():
    found, report = failed()

    def prints(g, place="policy.toml"):
        return [e["fingerprint"] for e in json.loads(_gitlab.document(g, place))]

    changed = gate(report, [replace(c, reason="0.1", value=0.1) for c in found.checks], fingerprint="0" * 64)
    assert prints(found) == prints(changed)
    assert len({*prints(found), *prints(found, "other.toml")}) == 4


# ── GitHub ────────────────────────────────────────────────────────────────────────────────────────


@EVERY
def test_the_summary_says_the_verdict_first_and_every_check(example):
    found, report = example()
    seen = assert_inert(_github.summary(found, report))
    assert f"entropydx: {found.verdict}" in seen.text.split("\n")[0]
    assert f"exit code {found.exit_code}" in seen.text
    for check in found.checks:
        assert check.name in seen.text
        assert check.reason in seen.text
    assert seen.tags.count("details") == seen.tags.count("summary")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_page_links_embeds_or_breaks(text):
    found, report = hostile(text)
    for page in (_github.summary(found, report), reporter.render(report)):
        seen = assert_inert(page)
        assert len(set(seen.rows)) <= 3


def test_the_summary_is_cut_between_lines_and_stays_whole_markdown():
    found, report = failed()
    checks = [replace(COLLAPSE, name=f"bound.x{i}.min", reason="<é>" * 300) for i in range(400)]
    found = gate(report, checks)
    whole = _github.summary(found, report, 10**9)
    for limit in (2**20, 5_000):
        page = _github.summary(found, report, limit)
        assert len(page.encode()) <= limit < len(whole.encode())
        assert page.endswith(_github.CUT + "\n")
    assert_inert(page)
    assert len(whole.encode()) > 2**20
    folded = _github.summary(*failed())
    for limit in range(1000, len(folded.encode()), 397):
        page = _github.summary(*failed(), limit)
        assert len(page.encode()) <= limit
        assert page.count("<details>") == page.count("</details>")


def runner_commands(log: str, known=("error", "warning", "notice", "set-output", "add-mask", "debug")):
    """What the runner obeys in a log: ActionCommand.cs of actions/runner, both of its forms, line by line."""
    found = []
    for line in re.split(r"\r\n|\r|\n", log):
        trimmed = line.lstrip()
        head, _, data = trimmed[2:].partition("::") if trimmed.startswith("::") else ("", "", "")
        name, _, properties = head.partition(" ")
        if name in known and "::" in trimmed[2:]:
            found.append((name, properties, data))
            continue
        old = re.search(r"##\[([^\]]*)\](.*)", line)
        if old and old[1].partition(" ")[0] in known:
            found.append((old[1].partition(" ")[0], "", old[2]))
    return found


def unescaped(data: str) -> str:
    for code_, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        data = data.replace(code_, character)
    return data


@given(st.one_of(TEXT, st.sampled_from([" ::error::x", "a\r::add-mask::b", "a ##[error]b", ":::error::x"])))
def test_nothing_that_is_printed_is_a_command(text):
    assert runner_commands(_github.defused(text)) == []
    if "::" not in text and "##[" not in text:
        assert _github.defused(text) == text


@given(TEXT)
def test_a_report_on_stdout_is_no_command_and_loses_nothing(text):
    report = collapsed()
    report = replace(report, checkpoint=replace(report.checkpoint, ref=f"##[add-mask]e\n::error::{text}"))
    written = to_json(report)
    assert _github.defused(written) == written
    assert runner_commands(written) == []
    whole = from_json(written)
    assert whole.checkpoint.ref == report.checkpoint.ref.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(TEXT, TEXT)
def test_an_annotation_is_one_command_and_carries_its_text(title, message):
    line = _github.annotation("error", title, message)
    ((name, properties, data),) = runner_commands(line)
    assert name == "error"
    assert unescaped(properties.removeprefix("title=")).strip() == title.strip()
    assert unescaped(data) == message


def test_escaped_properties_and_data_are_those_of_the_toolkit():
    assert _github.annotation("error", "a:b,c%", "x%y\r\nz::") == "::error title=a%3Ab%2Cc%25::x%25y%0D%0Az::"


@EVERY
def test_the_first_annotation_is_the_verdict(example):
    found, _ = example()
    levels = {"failed": "error", "inconclusive": "warning", "warned": "warning", "passed": "notice"}
    lines = runner_commands("\n".join(_github.gate_annotations(found)))
    assert lines[0][:2] == (levels[found.verdict], f"title=entropydx%3A {found.verdict}")
    assert len(lines) == 1 + sum(check.verdict != "passed" for check in found.checks)


def test_no_level_has_more_annotations_than_github_shows():
    report = collapsed()
    checks = [replace(c, name=f"{c.name}{i}") for i in range(30) for c in (COLLAPSE, PASS_AT_1)]
    names = [name for name, _, _ in runner_commands("\n".join(_github.gate_annotations(gate(report, checks))))]
    assert names[0] == "error"
    assert {name: names.count(name) for name in names} == {"error": 10, "warning": 10}


@pytest.mark.parametrize("text", HOSTILE)
def test_annotations_of_hostile_text_are_the_same_commands(text):
    found, _ = hostile(text)
    commands = runner_commands("\n".join(_github.gate_annotations(found)))
    assert [name for name, _, _ in commands] == ["error", "error", "warning"]


def read_outputs(text: str) -> dict[str, str]:
    """What the runner reads from $GITHUB_OUTPUT: FileCommandManager.cs, the form with a delimiter."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if line:
            name, delimiter = line.split("<<")
            value = []
            while (part := next(lines)) != delimiter:
                value.append(part)
            found[name] = "\n".join(value)
    return found


@given(st.dictionaries(st.sampled_from(["verdict", "report", "label"]), TEXT))
def test_outputs_hold_any_value(values):
    assert read_outputs(_github.outputs(values, "ghadelimiter_1f")) == values


def test_a_value_cannot_end_early():
    with pytest.raises(ValueError, match="delimiter"):
        _github.outputs({"report": "a\nEND\nverdict=passed"}, "END")


# ── the model card ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_the_card_has_verdict_failures_numbers_and_protocol(example):
    report = example()
    page = reporter.render(report)
    seen = assert_inert(page)
    assert page.startswith("## ")
    assert page.endswith("\n")
    assert report.diagnosis.label.words.capitalize() in seen.text
    assert f"confidence {report.diagnosis.confidence}" in seen.text
    assert seen.rows[:5] == [5] * 5
    for text in (report.checkpoint.ref, report.checkpoint.fingerprint, f"seed {report.protocol.seed}", "95% intervals"):
        assert text in seen.text


def test_card_and_summary_show_the_rule_that_leans_and_what_would_settle_it():
    found, report = gate(leaning(), [VARIANCE]), leaning()
    for page in (_github.summary(found, report), reporter.render(report)):
        text = re.sub(r"\s+", " ", assert_inert(page).text)
        _, _, supporting = text.partition("Evidence for: teacher overconfidence")
        assert "EDX402 undecided, leans: Seeing the solution changes nothing" in supporting
        assert "epistemic_markers.guided_marker_drop 0.019 [0.000, 0.093] < 0.05 ?" in supporting
        assert "EDX901" not in supporting
        assert f"What would settle it {report.diagnosis.would_settle_it[0]}" in supporting
        assert "raise --max-new-tokens" not in text


def test_what_the_summary_leaves_out_is_counted():
    base = leaning()
    report = replace(base, diagnosis=replace(base.diagnosis, would_settle_it=tuple(f"step {i}" for i in range(7))))
    page = _github.summary(gate(report, [VARIANCE]), report)
    assert "step 4\n\n2 more in the JSON report." in page
    assert "step 6" in reporter.render(report)


def test_the_card_quotes_no_model_output():
    report = replace(collapsed(), examples=(Example(about="x", prompt_id="p", sample_index=0, excerpt="SECRET"),))
    assert "SECRET" not in reporter.render(report)


def test_the_card_shows_numbers_with_their_intervals():
    text = rendered(reporter.render(collapsed())).text
    assert "0.052 [0.041, 0.063]" in text
    assert "-0.559 [-0.584, -0.531]" in text
    assert "1.00 (no interval)" in text
    assert "every prompt gives one value" in text


def test_the_command_of_the_card_asks_for_the_same_draws():
    report = collapsed()
    report = replace(report, checkpoint=replace(report.checkpoint, ref="a b; touch c"))
    words = shlex.split(command(report))
    assert words[:3] == ["entropydx", "diagnose", "a b; touch c"]
    flags = dict(zip(words[3::2], words[4::2], strict=True))
    assert flags == {
        "--baseline": "Qwen/Qwen2.5-0.5B-Instruct",
        "--suite": "core",
        "--engine": "hf",
        "--prompts": "108",
        "--samples": "8",
        "--max-new-tokens": "256",
        "--temperature": "1",
        "--seed": "0",
    }


def test_an_untested_failure_is_named_beside_the_verdict():
    report = collapsed()
    tested = FailureAssessment(status="absent", reason="clear")
    known = dict.fromkeys(report.diagnosis.failures, tested)
    for failures, said in ((known, False), ({**known, "inference_variance": replace(tested, reason="untested")}, True)):
        page = rendered(reporter.render(replace(report, diagnosis=replace(report.diagnosis, failures=failures))))
        assert ("Not tested: inference variance" in page.text) is said


def test_the_command_line_takes_the_command_of_the_card():
    report = collapsed()
    changed = replace(
        report.protocol, thinking="off", probes="token_entropy", top_p=0.9, deploy_temperature=0.6, adaptive=False
    )
    for protocol in (report.protocol, changed):
        words = shlex.split(command(replace(report, protocol=protocol)))
        context = typer.main.get_command(app).commands["diagnose"].make_context("diagnose", words[2:])
        given = {name: value for name, value in context.params.items() if value is not None and value is not False}
        assert given["seed"] == protocol.seed
        assert given["prompts"] == protocol.n_planned
        assert given.get("top_p", 1.0) == protocol.top_p
        assert given.get("no_adaptive", False) is not protocol.adaptive
        assert given.get("deploy_temperature") == protocol.deploy_temperature


def test_what_another_tool_drew_is_not_said_to_be_drawn_again():
    source = ImportSource(tool="TRL", kind="samples", files=("completions.parquet",))
    report = collapsed()
    unknown = {"temperature": None, "top_p": None, "max_new_tokens": None, "seed": None}
    report = replace(report, protocol=replace(report.protocol, engine="import", imported=source, **unknown))
    page = reporter.render(report)
    assert "entropydx diagnose" not in page
    assert "Another tool drew the samples" in page
    properties = {p.name: p.value for p in read(_junit.document(gate(report, [VARIANCE]), report)).properties()}
    assert properties["seed"] == "unknown"


def test_what_is_wrong_in_the_training_configuration_stands_on_the_page():
    found, report = failed()
    warned = replace(report, training=Training(stage="rl", source="the file", warnings=("beta = <0> keeps nothing",)))
    assert "beta = <0> keeps nothing" in rendered(_github.summary(found, warned)).text
