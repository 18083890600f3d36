"""The page: complete, honest, well formed, readable, and made of nothing that a model wrote."""

import base64
import dataclasses
import hashlib
import inspect
import re
from collections.abc import Mapping
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from entropydx import pages, pictures, plugins
from entropydx.reporters import _html, _html_env
from entropydx.reporters._html_env import MAX_TEXT, asset
from entropydx.reporters._html_svg import round_ticks
from entropydx.reporters._html_trace import SHADES, shade
from entropydx.runs import Run
from entropydx.types import (
    Answers,
    Completion,
    Group,
    Label,
    Pictures,
    Prompt,
    Report,
    Samples,
    Setting,
    Strip,
    Training,
)
from tests.unit.report_examples import EXAMPLES, collapsed, healthy, leaning
from tests.unit.samples import completion, info, samples, votes
from tests.unit.series_examples import broken, collapsing

EVERY = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
VOID = {"meta", "link", "br", "img", "input", "hr"}
HOSTILE = (
    '"\'><script>window.pwned=1</script><img src=x onerror="window.pwned=1"></style></title></textarea></pre>'
    "<svg onload=window.pwned=1><a href='javascript:window.pwned=1'>&lt;b&gt; {{7*7}} {% raw %} "
    "\0\x1b[31m\u202e\ud800\n\r\t"
)
HARMLESS = HOSTILE.translate(str.maketrans("<>&\"'{}%\0\x1b\u202e\ud800\r\t", "⟨⟩⊕″′⟦⟧‰①②③④⑤⑥"))
"""The same text with a harmless sign for each that is not."""


class Document(HTMLParser):
    """A page as its tags, its attributes and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.ends: list[str] = []
        self.words: list[str] = []
        self.inside: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in {"style", "script"}:
            self.inside[self._open[-1]] = self.inside.get(self._open[-1], "") + data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(report: Report, own: Samples | None = None, baseline: Samples | None = None, **more: Any) -> str:
    drawn = {role: s for role, s in (("checkpoint", own), ("baseline", baseline)) if s is not None}
    return _html.page(report, pictures.of(report, drawn), **more)


def told(text: str, entropies: Any, **fields: Any) -> Completion:
    """Return a completion of one token a character."""
    made = completion(entropies=entropies, text=text, **fields)
    return dataclasses.replace(made, offsets=np.arange(1, len(text) + 1), answer_span=(0, 1))


def asked(text: str, *, right: bool, number: int = 0, domain: str = "in") -> Group:
    """Return three completions of one prompt whose every string is `text`."""
    own = Prompt(id=f"{text}{number}", prompt=text, answer=text, domain=domain, family=text)  # type: ignore[arg-type]
    one = told(text, np.linspace(0, 3, len(text)), right=right, answer=text)
    other = told(text[::-1], np.linspace(3, 0, len(text)), right=not right, answer=None)
    return Group(prompt=own, completions=(one, other, one))


def drawn(text: str, fingerprint: str) -> Samples:
    groups = [asked(text, right=i % 2 == 0, number=i, domain="in" if i < 2 else "out") for i in range(4)]
    return samples(groups, fingerprint=fingerprint)


# ── hostile text ──────────────────────────────────────────────────────────────────────────────────


def filled(record: Any, text: str, kind: Any = None) -> Any:
    """Return a copy of a record with `text` in every string that is free, wherever it stands."""
    if get_origin(kind) is Literal or isinstance(record, Label):
        return record
    if isinstance(record, str):
        return text
    if isinstance(record, tuple):
        inner = get_args(kind)[0] if get_args(kind) else None
        return tuple(filled(item, text, inner) for item in record)
    if isinstance(record, Mapping):
        known = all(key in set(Label) for key in record)
        return {key if known else f"{text}{i}": filled(v, text) for i, (key, v) in enumerate(record.items())}
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        hints = get_type_hints(type(record))
        fields = {f.name: filled(getattr(record, f.name), text, hints[f.name]) for f in dataclasses.fields(record)}
        return dataclasses.replace(record, **fields)
    return record


@cache
def rendered(text: str) -> str:
    """Return the page of a report, of samples and of a series that say nothing but `text`."""
    report = filled(collapsed(), text)
    own, base = drawn(text, "f"), drawn(text, "g")
    training = Training(
        stage="rl", source=text, framework=text, updates_per_rollout=1.0, warnings=(text,), assumed=text
    )
    setting = Setting(
        framework=text, key=text, recommended=text, current=text, in_file=True, status="conflict", why=text
    )
    told_what = tuple(dataclasses.replace(r, settings=(setting,)) for r in report.recommendations)
    example = dataclasses.replace(report.examples[0], prompt_id=own.groups[0].prompt.id)
    report = dataclasses.replace(report, examples=(example,), training=training, recommendations=told_what)
    series = dataclasses.replace(collapsing(), left_out=broken().left_out)
    return page(report, own, base, trajectory=filled(series, text))


def test_hostile_text_changes_no_tag_and_no_attribute_wherever_it_stands():
    harmless, hostile = Document(rendered(HARMLESS)), Document(rendered(HOSTILE))
    assert len(harmless.tags) > 1000
    assert hostile.tags == harmless.tags
    assert "<script>window.pwned=1</script><img src=x" in hostile.text, "it is shown as what it is"
    assert "{{7*7}} {% raw %}" in hostile.text


def test_no_character_of_hostile_text_hides_or_reorders_others():
    text = rendered(HOSTILE)
    assert text.encode("utf-8")
    assert not set(text) & {"\0", "\x1b", "\u202e", "\r", "\ud800"}
    assert "␀" in text
    assert "\N{REPLACEMENT CHARACTER}" in text


def test_nothing_on_the_page_can_run_or_load():
    document = Document(rendered(HOSTILE))
    names = [tag for tag, _ in document.tags]
    assert (names.count("script"), names.count("style")) == (1, 1)
    assert not {"iframe", "object", "embed", "form", "img", "base", "audio", "video", "use", "image"} & set(names)
    for tag, name, value in document.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in {"style", "src", "srcset", "action", "formaction", "xlink:href"}, (tag, name)
        if name == "href":
            assert value.startswith("#") or value == "data:,"


def test_the_policy_allows_the_one_style_and_the_one_script_by_their_hashes():
    document = Document(page(collapsed()))
    (policy,) = [v for tag, name, v in document.attributes if (tag, name) == ("meta", "content") and "default-src" in v]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(document.inside[kind].encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"


def test_escaping_cannot_be_switched_off_in_a_template():
    folder = Path(inspect.getfile(_html_env)).parent
    for template in (folder / "templates").glob("*.html"):
        text = template.read_text()
        assert "safe" not in text, template.name
        assert "autoescape" not in text
    sources = [p for p in folder.glob("_html*.py") if "Markup(" in p.read_text()]
    assert [p.name for p in sources] == ["_html_env.py"]
    assert _html_env.environment().autoescape is True


def test_a_text_of_a_megabyte_is_cut_and_says_by_how_much():
    text = Document(page(dataclasses.replace(collapsed(), created_at="x", checkpoint=long_ref()))).text
    assert len(text) < 100_000
    report = collapsed()
    shown = page(dataclasses.replace(report, diagnosis=dataclasses.replace(report.diagnosis, summary="y" * 1_000_000)))
    assert f"({1_000_000 - MAX_TEXT:,} more characters)" in shown


def long_ref():
    return dataclasses.replace(info(), ref="z" * 1_000_000)


# ── complete and honest ───────────────────────────────────────────────────────────────────────────


@EVERY
def test_every_report_is_a_page(example):
    report = example()
    document = Document(plugins.load("reporter", "html").render(report))
    text = document.text.casefold()
    assert report.diagnosis.label.words in text
    assert " ".join(report.diagnosis.summary.split()).casefold() in text
    assert f"exit code {report.exit_code}" in text
    for finding in report.findings:
        if finding.status == "fired":
            assert finding.statement.casefold() in text
    for row in report.measurements:
        assert row.name in text
    ids = [value for _, name, value in document.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for tag, name, value in document.attributes:
        if (tag, name) == ("a", "href"):
            assert value[1:] in ids, f"{value} leads nowhere"
        if name in {"aria-labelledby", "data-copy"}:
            assert value in ids


def test_numbers_have_their_intervals():
    text = Document(page(collapsed())).text
    assert "0.086 [0.067, 0.104] < 0.27" in text
    assert "-0.125 [-0.180, -0.070]" in text
    assert "no interval: every prompt gives one value" in text


def test_a_rule_that_leans_is_evidence_for_and_the_steps_are_the_documents():
    text = Document(page(leaning())).text
    _, _, after = text.partition("Evidence for: teacher overconfidence")
    supporting, _, rest = after.partition("Evidence against")
    assert "EDX402 undecided, leans: Seeing the solution changes nothing" in supporting
    assert "0.019 [0.000, 0.093] < 0.05 ?" in supporting
    assert f"What would settle it {leaning().diagnosis.would_settle_it[0]}" in rest
    assert "raise --max-new-tokens" not in text
    assert "it has no interval" in text
    assert "no rule that measures how severe it is fired" in text


def test_a_long_path_keeps_its_last_parts():
    ref = "/mnt/" + "a-very-long-name/" * 30 + "seed-3/checkpoint-600"
    text = Document(page(dataclasses.replace(collapsed(), checkpoint=dataclasses.replace(info(), ref=ref)))).text
    assert text.count("/seed-3/checkpoint-600") >= 2, "in the title and in the heading"


def test_what_is_absent_is_said_in_words():
    text = Document(page(healthy())).text
    assert "No heat strips: only the report is at hand" in text
    assert "Not drawn: the report has no such measurement." in text
    assert "Not tested: hard sample shortcutting, teacher overconfidence" in text
    none = Document(page(dataclasses.replace(healthy(), baseline=None))).text
    assert "no baseline" in none


def test_a_domain_that_was_not_asked_is_untested_and_not_empty():
    own = samples([votes(i, 2, "xy") for i in range(6)])
    text = Document(page(collapsed(), own)).text
    assert "Untested: the suite has no out-of-domain prompts" in text


def test_forks_are_marked_and_every_entropy_can_be_read():
    own = samples([Group(prompt=votes(i, 0).prompt, completions=(told("ab", (0.004, 1.5)),) * 2) for i in range(2)])
    base = samples(
        [Group(prompt=votes(i, 0).prompt, completions=(told("cd", (0.0, 0.25)),) * 2) for i in range(2)],
        fingerprint="g",
    )
    made = page(collapsed(), own, base)
    assert '<i class="h0" title="0.004 nats">a</i><i class="h5 fork" title="1.5 nats, fork">b</i>' in made
    assert "   0   0.0040      &#39;a&#39;\n   1   1.5000 fork &#39;b&#39;" in made
    assert "the baseline&#39;s 80th percentile, 0.25 nats" in made


@pytest.mark.parametrize(("entropy", "expected"), [(0, 0), (0.0099, 0), (0.01, 1), (0.3, 3), (1.99, 5), (2, 6), (9, 6)])
def test_shades_begin_at_their_bounds(entropy, expected):
    assert shade(entropy) == expected
    assert len(SHADES) == 6


def test_equal_samples_are_counted_beside_the_baselines():
    own, base = samples([votes(0, 4)] * 1), samples([votes(0, 1, "abc")], fingerprint="g")
    text = Document(page(collapsed(), own, base)).text
    assert "Checkpoint 1 different text in 4 samples" in text
    assert "4× ✓ right so the answer is plain" in text


def test_settings_can_be_copied_as_they_are():
    document = Document(page(collapsed()))
    ids = [v for tag, name, v in document.attributes if (tag, name) == ("pre", "id")]
    copied = [v for tag, name, v in document.attributes if (tag, name) == ("button", "data-copy")]
    assert copied == ids
    assert len(ids) == sum(len(r.config) for r in collapsed().recommendations if Label.TRAINING_COLLAPSE in r.for_)
    assert "epsilon=0.2, epsilon_high=0.28, num_iterations=2" in document.text


def test_beside_a_training_configuration_there_is_one_framework_and_the_status_of_every_setting():
    report = collapsed()
    remedy = next(r for r in report.recommendations if Label.TRAINING_COLLAPSE in r.for_)
    clash = "with one update per rollout nothing is clipped"
    made = tuple(
        Setting(
            framework="trl",
            key=key,
            recommended=wanted,
            current=now,
            in_file=there,
            status=status,
            why=clash if status in {"inert", "conflict"} else "",
        )
        for key, wanted, now, there, status in (
            ("epsilon", 0.2, 0.2, False, "already"),
            ("epsilon_high", 0.28, None, False, "inert"),
            ("num_iterations", 2, 1, True, "change"),
        )
    )
    training = Training(
        stage="rl",
        source="grpo.yaml",
        framework="trl",
        assumed="read as of GRPOConfig",
        updates_per_rollout=1.0,
        warnings=("temperature is 0.7: cold",),
    )
    shown = dataclasses.replace(
        report, training=training, recommendations=(dataclasses.replace(remedy, settings=made),)
    )
    document = Document(page(shown))
    assert [v for tag, name, v in document.attributes if (tag, name) == ("pre", "id")] == ["code-1-1"]
    for said in (
        "The training configuration trl, stage rl (grpo.yaml), 1 update per rollout",
        "Assumed: read as of GRPOConfig",
        "Poison: temperature is 0.7: cold",
        "already epsilon=0.2 there already, as the default",
        f"inert epsilon_high=0.28 the file is silent, and the default is None; INERT: {clash}",
        "change num_iterations=2 the file says 1",
        f"entropydx compare BEFORE AFTER --remedy {remedy.id}",
    ):
        assert said in document.text, said
    assert "actor_rollout_ref" not in document.text
    assert "The training configuration" not in Document(page(report)).text


def test_a_series_is_drawn_with_its_change_point():
    series = collapsing()
    text = Document(page(collapsed(), trajectory=series)).text
    assert " ".join(series.summary.split()) in text
    (change, *_) = [c for c in series.changes if c.significant]
    assert f"between {change.last_before} and {change.first_after}" in text
    for point in series.points:
        assert point.name in text


def test_what_a_series_leaves_out_stands_on_the_page_with_path_and_reason():
    text = Document(page(collapsed(), trajectory=broken())).text
    for said in (
        "Nothing is known of checkpoint-180",
        "Left out of the series",
        "checkpoint-30 30 run/checkpoint-30 run/checkpoint-30 is an empty directory",
        "checkpoint-180 180 run/checkpoint-180 its weights are torn",
    ):
        assert said in text, said
    assert "Left out of the series" not in Document(page(collapsed(), trajectory=collapsing())).text


def test_the_page_of_a_run_is_that_of_its_report_and_samples(tmp_path):
    own = samples([votes(i, 2, "xy") for i in range(6)])
    run = Run(path=tmp_path, report=collapsed(), samples={"checkpoint": own})
    assert pages.html_page(run) == page(collapsed(), own)
    assert pages.html_page(Run(path=tmp_path, report=collapsed())) == plugins.load("reporter", "html").render(
        collapsed()
    )


def test_every_kind_of_picture_is_one_that_the_hostile_page_has():
    """Or the test above would not see what is drawn of it."""
    own, base = drawn(HOSTILE, "f"), drawn(HOSTILE, "g")
    found = pictures.of(collapsed(), {"checkpoint": own, "baseline": base})
    empty = {f.name for f in dataclasses.fields(Pictures) if not getattr(found, f.name)} - {"missing", "notes"}
    assert empty <= {"coverage", "formats"}, "bars and curves of numbers alone"
    assert isinstance(found.strips[0].own, Strip)
    assert isinstance(found.boards[0].own[0], Answers)
    assert all(not d.missing for d in found.reliability)


# ── readable ──────────────────────────────────────────────────────────────────────────────────────


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TONES = ("bad", "good", "warn", "odd")
PAIRS = [
    *((ink, ground) for ink in ("ink", "dim", "own", "base") for ground in ("bg", "card", "code")),
    *((tone, f"{tone}-bg") for tone in TONES),
    *((tone, "card") for tone in TONES),
    *((ink, f"{tone}-bg") for ink in ("ink", "dim") for tone in TONES),
    *(("heat-ink", f"h{i}") for i in range(5)),
    *(("hot-ink", f"h{i}") for i in (5, 6)),
]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(scheme):
    blocks = re.findall(r":root \{(.*?)\}", asset("report.css"), re.S)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[scheme]))
    for ink, ground in PAIRS:
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


@pytest.mark.parametrize(("low", "high", "expected"), [(0, 1, [0, 0.25, 0.5, 0.75, 1]), (0, 0.3, [0, 0.1, 0.2, 0.3])])
def test_ticks_are_round(low, high, expected):
    assert round_ticks(low, high) == pytest.approx(expected)
