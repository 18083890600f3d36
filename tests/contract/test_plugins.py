"""What every plugin of a kind must do; a new plugin is tested the moment its file exists."""

import re

import pytest

from entropydx import pipeline, plugins
from entropydx.config import Settings, resolve
from entropydx.errors import ConfigError, PluginNotFoundError
from entropydx.training_log import measure_log
from entropydx.types import (
    FAILURES,
    AnyOf,
    Label,
    Measured,
    Missing,
    Remedy,
    Requires,
    Rule,
    Threshold,
    TrainingLog,
)
from tests.unit.samples import completion, group, samples

HEADINGS = ("## What it sees", "## Why it matters", "## Looks like it, is not", "## Thresholds", "## References")


def _each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", plugins.builtin_names(kind))


@pytest.mark.parametrize("kind", plugins.PACKAGES)
def test_every_kind_has_plugins_with_a_page(kind: str) -> None:
    names = plugins.names(kind)
    assert names
    for name in names:
        assert plugins.load(kind, name) is not None
        assert len(plugins.documentation(kind, name)) >= 20, f"{kind} {name} says too little of itself"


def test_a_typo_names_the_nearest_plugin() -> None:
    with pytest.raises(PluginNotFoundError, match="did you mean 'token_entropy'"):
        plugins.load("probe", "token_entrpy")
    with pytest.raises(PluginNotFoundError, match="kind of plugin"):
        plugins.names("prob")


def _two_prompts():  # type: ignore[no-untyped-def]
    return samples([group(i, [completion(), completion("7", right=False)]) for i in range(4)])


@_each("probe")
def test_probe_contract(name: str) -> None:
    probe = plugins.load("probe", name)
    assert isinstance(probe.requires, Requires)
    for baseline in (None, _two_prompts()):
        found = probe.measure(_two_prompts(), baseline)
        names = [m.name for m in found]
        assert found
        assert len(names) == len(set(names)), "a measurement is named once"
        for measurement in found:
            assert re.fullmatch(rf"{name}\.[a-z0-9_]+(@[a-z_]+)?", measurement.name)
            if isinstance(measurement, Measured):
                assert measurement.ci is not None or measurement.note, f"{measurement.name}: no interval and no reason"
                assert measurement.value == measurement.value, "never NaN"
            else:
                assert isinstance(measurement, Missing)
                assert measurement.reason


@_each("probe")
def test_probe_of_nothing_is_missing_and_never_zero(name: str) -> None:
    empty = samples([])
    for measurement in plugins.load("probe", name).measure(empty, None):
        assert isinstance(measurement, Missing), f"{measurement.name} = {measurement.value} from no data"


@_each("rule")
def test_rule_contract(name: str) -> None:
    rule = plugins.load("rule", name)
    assert isinstance(rule, Rule)
    page = plugins.documentation("rule", name)
    assert page.startswith(f"{rule.code} "), "the page opens with the rule's code"
    assert [h for h in HEADINGS if h not in page] == []
    family = {Label.TRAINING_COLLAPSE: "1", Label.INFERENCE_VARIANCE: "2", Label.HARD_SAMPLE_SHORTCUTTING: "3"}
    expected = family.get(rule.failure, "4" if rule.failure in FAILURES else "9")
    assert re.fullmatch(rf"EDX{expected}\d\d", rule.code)
    assert rule.settle or not rule.decisive, "a decisive rule says what would settle it"
    assert not (rule.decisive and rule.direction == "against")


def test_rule_codes_are_unique() -> None:
    codes = [r.code for r in plugins.load_all("rule").values()]
    assert len(codes) == len(set(codes))


def _thresholds(rule: Rule) -> list[Threshold]:
    conditions = (*rule.when, *rule.unless)
    return [t for c in conditions for t in (c.options if isinstance(c, AnyOf) else (c,))]


def test_every_threshold_has_a_source_and_a_measurement_that_some_probe_makes(tmp_path) -> None:  # type: ignore[no-untyped-def]
    flags = Settings(engine="synthetic", suite="tiny", prompts=24, baseline="synthetic:twin", run_dir=str(tmp_path))
    made = {m.name for m in pipeline.diagnose(resolve("synthetic:healthy", flags)).measurements}
    made |= {m.name for m in measure_log(TrainingLog(steps=(), columns={}))}
    for rule in plugins.load_all("rule").values():
        for threshold in _thresholds(rule):
            assert threshold.source, f"{rule.code} {threshold.measurement}"
            assert threshold.measurement in made, f"{rule.code} names {threshold.measurement}, which no probe makes"
        if rule.severity is not None:
            assert rule.severity.measurement in made


@_each("remedy")
def test_remedy_contract(name: str) -> None:
    entries = plugins.load("remedy", name)
    assert entries
    for remedy in entries:
        assert isinstance(remedy, Remedy)
        assert remedy.for_
        assert not set(remedy.for_) & set(remedy.contraindicated_for)
        assert remedy.why
        assert remedy.evidence
        assert remedy.references
        for framework in set(remedy.config) - {"decoding"}:
            assert framework in remedy.versions, f"{remedy.id}: which release of {framework} were the keys read in?"


@_each("suite")
def test_suite_contract(name: str) -> None:
    suite = plugins.load("suite", name)
    assert suite.collections
    prompts = suite.prompts(seed=0, n=30)
    assert len(prompts) == 30
    assert len({p.id for p in prompts}) == 30
    assert {p.difficulty for p in prompts} == {"easy", "medium", "hard"}
    assert suite.prompts(seed=0, n=10) == prompts[:10], "more prompts only add at the end"
    assert suite.prompts(seed=1, n=30) != prompts
    assert all(p.guess_rate is not None and 0 <= p.guess_rate <= 0.5 for p in prompts)


@_each("suite")
def test_references_are_graded_right(name: str) -> None:
    from entropydx import verifiers

    for prompt in plugins.load("suite", name).prompts(seed=3, n=60):
        assert prompt.reference is not None
        graded = verifiers.grade(prompt, prompt.reference)
        assert graded.grade == 1, f"{prompt.id}: {graded}"
        assert verifiers.grade(prompt, "I do not know.").answer is None


@_each("checker")
def test_checker_contract(name: str) -> None:
    checker = plugins.load("checker", name)
    prompt = _two_prompts().groups[0].prompt
    assert checker(prompt, "") == ()
    for text in ("12+30=42;A42.", "[42]>", "12 + 30 = 43", "no computation", "=+=(\0]"):
        found = checker(prompt, text)
        assert isinstance(found, tuple)
        assert all(isinstance(right, bool) for right in found)
        assert checker(prompt, text) == found, "pure"


@_each("suite")
def test_references_have_no_false_step(name: str) -> None:
    for prompt in plugins.load("suite", name).prompts(seed=4, n=60):
        steps = plugins.load("checker", prompt.checker)(prompt, prompt.reference)
        assert all(steps), f"{prompt.id}: {prompt.reference}"


@_each("engine")
def test_engine_contract(name: str) -> None:
    engine = plugins.load("engine", name)
    assert isinstance(engine.provides, Requires)
    assert engine.scoring
    assert callable(engine.generate)


@_each("reporter")
def test_reporter_contract(name: str) -> None:
    assert callable(plugins.load("reporter", name).render)


def test_a_third_party_plugin_is_found_by_its_entry_point(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "my_probe.py").write_text(
        '"""A probe from elsewhere that measures nothing much."""\nprobe = object()\n'
    )
    info = tmp_path / "my_probe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-probe\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[entropydx.probes]\nmine = my_probe\n[entropydx.rules]\nnone = my_probe\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "mine" in plugins.names("probe")
    assert plugins.load("probe", "mine") is not None
    assert "from elsewhere" in plugins.documentation("probe", "mine")
    with pytest.raises(ConfigError, match="defines no `rule`"):
        plugins.load("rule", "none")
