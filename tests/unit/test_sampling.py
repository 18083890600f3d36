"""Conditions and scored passes of a whole run: what is drawn, what is reused, what is skipped and why."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from entropydx import passes, pipeline, plugins, sampling, store
from entropydx.config import RunConfig, Settings, resolve
from entropydx.errors import ConfigError, ContextError, EngineError, PluginNotFoundError, SuiteError
from entropydx.types import Group, MeasurementRow, Passage, Prompt, Report, SamplingParams, VerifierSpec
from tests.unit.samples import completion


def _config(run_dir: Path, name: str = "healthy", **settings: object) -> RunConfig:
    given = {"engine": "synthetic", "suite": "tiny", "prompts": 24, "run_dir": str(run_dir), **settings}
    return resolve(f"synthetic:{name}", Settings(**given))  # type: ignore[arg-type]


def _row(report: Report, name: str) -> MeasurementRow:
    return next(m for m in report.measurements if m.name == name)


def _passes(run: Path) -> dict[str, dict[str, dict[str, object]]]:
    laid: dict[str, dict[str, dict[str, object]]] = json.loads((run / "run.json").read_text())["passes"]
    return laid


def test_every_condition_and_pass_of_the_default_set_is_drawn_and_named(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config(tmp_path, "noisy", baseline="synthetic:healthy"))
    laid = _passes(tmp_path)
    required = [p.requires for p in plugins.load_all("probe").values()]
    conditions = {c.name for r in required for c in r.conditions}
    scores = {name for r in required for name in r.scores}
    assert set(laid["checkpoint"]["conditions"]) == conditions
    assert set(laid["checkpoint"]["scores"]) == set(laid["baseline"]["scores"]) == scores
    assert laid["checkpoint"]["skipped"] == {}
    drawn_once = {c.name for r in required for c in r.conditions if c.baseline}
    assert set(laid["baseline"]["conditions"]) == drawn_once
    assert report.protocol.deploy_temperature == 0.6
    assert report.cost.tokens_scored > 0
    scored = sum(m.value is not None for m in report.measurements if m.name.startswith("policy_gap."))
    assert scored > 5


def test_chosen_probes_draw_only_what_they_need_and_the_instrument_stays(tmp_path: Path) -> None:
    report = pipeline.diagnose(_config(tmp_path, probes="token_entropy"))
    assert {m.name.partition(".")[0] for m in report.measurements} == {"token_entropy", "instrument"}
    assert _passes(tmp_path)["checkpoint"]["conditions"] == {}
    assert pipeline.retriage(tmp_path).measurements == report.measurements
    with pytest.raises(PluginNotFoundError, match="did you mean 'confidence'"):
        pipeline.diagnose(_config(tmp_path / "typo", probes="confidense"))


def test_more_probes_in_the_same_run_directory_draw_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.diagnose(_config(tmp_path, probes="token_entropy"))
    engine, seen = plugins.load("engine", "synthetic"), []
    original = engine.generate

    def generate(self: object, prompts: object, params: object, rows: int = 0) -> object:
        seen.append(params)
        return original(self, prompts, params, rows)

    monkeypatch.setattr(engine, "generate", generate)
    pipeline.diagnose(_config(tmp_path, probes="token_entropy,epistemic_markers"))
    assert len(seen) == 1, "the guided draw alone"


def test_another_deployment_is_another_draw(tmp_path: Path) -> None:
    assert pipeline.diagnose(_config(tmp_path, probes="decoding")).protocol.deploy_temperature is None
    reason = _row(pipeline.diagnose(_config(tmp_path, probes="decoding")), "decoding.spread_deployment").missing_reason
    assert reason is not None
    assert "--deploy-temperature" in reason
    for temperature in (0.3, 0.7):
        report = pipeline.diagnose(_config(tmp_path, probes="decoding", deploy_temperature=temperature))
        assert (report.protocol.deploy_temperature, report.protocol.deploy_top_p) == (temperature, 1.0)
        assert _row(report, "decoding.spread_deployment").value is not None
    assert len(list(tmp_path.glob("samples-checkpoint-deployment-*.jsonl"))) == 2
    same = pipeline.diagnose(_config(tmp_path, probes="decoding", deploy_temperature=1.0, deploy_top_p=1.0))
    reason = _row(same, "decoding.spread_deployment").missing_reason
    assert reason is not None
    assert "is the one that the policy was measured with" in reason


@pytest.mark.parametrize(("flag", "value"), [("deploy_temperature", -1.0), ("deploy_top_p", 0.0)])
def test_a_deployment_out_of_range_is_refused(tmp_path: Path, flag: str, value: float) -> None:
    with pytest.raises(ConfigError, match=flag.replace("_", "-")):
        _config(tmp_path, **{flag: value})


def test_a_lexicon_of_the_user_replaces_the_ten_words(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("# a private notation\n;\n")
    report = pipeline.diagnose(_config(tmp_path / "run", probes="epistemic_markers", lexicon=str(words)))
    assert report.protocol.lexicon == (";",)
    assert _row(report, "epistemic_markers.share_with_marker").value == 1.0
    assert pipeline.retriage(tmp_path / "run").measurements == report.measurements
    with pytest.raises(ConfigError, match=r"nothing\.txt"):
        pipeline.diagnose(_config(tmp_path / "none", lexicon=str(tmp_path / "nothing.txt")))


def test_a_baseline_is_copied_from_its_own_run_and_only_from_the_same_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = "policy_gap,epistemic_markers"
    pipeline.diagnose(_config(tmp_path / "base", "healthy", probes=probes))
    fresh = pipeline.diagnose(_config(tmp_path / "fresh", "noisy", baseline="synthetic:healthy", probes=probes))
    engine, drawn_by = plugins.load("engine", "synthetic"), []
    original = engine.generate

    def generate(self: object, prompts: object, params: object, rows: int = 0) -> object:
        drawn_by.append(self.info.ref)  # type: ignore[attr-defined]
        return original(self, prompts, params, rows)

    monkeypatch.setattr(engine, "generate", generate)
    config = _config(tmp_path / "copied", "noisy", baseline="synthetic:healthy", probes=probes)
    copied = pipeline.diagnose(config, reuse=tmp_path / "base")
    assert set(drawn_by) == {"synthetic:noisy"}
    assert copied.measurements == fresh.measurements
    drawn_by.clear()
    other = _config(tmp_path / "other", "noisy", baseline="synthetic:healthy", probes=probes, seed=1)
    pipeline.diagnose(other, reuse=tmp_path / "base")
    assert set(drawn_by) == {"synthetic:noisy", "synthetic:healthy"}


def test_a_prompt_that_does_not_fit_with_its_solution_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = plugins.load("engine", "synthetic")
    original = engine.generate

    def generate(self: object, prompts: list[object], params: object, rows: int = 0) -> object:
        if any("!" in p.prompt for p in prompts):  # type: ignore[attr-defined]
            raise EngineError("it does not fit")
        return original(self, prompts, params, rows)

    monkeypatch.setattr(engine, "generate", generate)
    report = pipeline.diagnose(_config(tmp_path, probes="epistemic_markers"))
    assert _row(report, "epistemic_markers.guided_accuracy").missing_reason == "it does not fit"
    assert _passes(tmp_path)["checkpoint"]["skipped"] == {"guided": "it does not fit"}
    assert pipeline.retriage(tmp_path).measurements == report.measurements


def test_only_the_prompts_that_do_not_fit_are_left_out_of_a_condition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = plugins.load("engine", "synthetic")
    generate, score = engine.generate, engine.score

    def short(self: object, prompts: list[Prompt], params: object, rows: int = 0) -> object:
        too_long = [i for i, p in enumerate(prompts) if "!" in (p.prompt or "") and p.id.endswith("1")]
        if too_long:
            raise ContextError("it does not fit", "make it shorter", too_long)
        return generate(self, prompts, params, rows)

    def short_texts(self: object, passages: list[Passage], stride: int = 0, thinking: str = "auto") -> object:
        too_long = [i for i, p in enumerate(passages) if p.text is not None and p.source_id.endswith("1")]
        if too_long:
            raise ContextError("it does not fit", "make it shorter", too_long)
        return score(self, passages, stride, thinking)

    monkeypatch.setattr(engine, "generate", short)
    monkeypatch.setattr(engine, "score", short_texts)
    config = _config(tmp_path, probes="epistemic_markers,policy_gap,entropy_forecast", baseline="synthetic:noisy")
    report = pipeline.diagnose(config)
    laid = _passes(tmp_path)["checkpoint"]
    drawn = laid["conditions"]["guided"]["prompts"]  # type: ignore[index]
    assert 0 < len(drawn) < 12
    assert not any(name.endswith("1") for name in drawn)
    scored = store.read_scores(tmp_path, str(laid["scores"]["reference"]))
    assert 0 < len(scored) < 24
    assert laid["skipped"] == {}
    assert _row(report, "epistemic_markers.guided_accuracy").n == len(drawn)
    assert pipeline.diagnose(config).measurements == report.measurements
    assert pipeline.retriage(tmp_path).measurements == report.measurements


def test_what_was_given_or_scored_before_a_group_was_drawn_anew_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config(tmp_path, probes="shortcutting,input_dependence")
    pipeline.diagnose(config)
    file = tmp_path / "samples-checkpoint.jsonl"
    first, rest = file.read_text().split("\n", 1)
    file.write_text(rest)  # as the error about a damaged line advises
    engine = plugins.load("engine", "synthetic")
    original = engine.generate

    def elsewhere(self: object, prompts: list[Prompt], params: SamplingParams, rows: int = 0) -> object:
        if params.n_samples == config.samples and not any(p.prefill for p in prompts):
            params = replace(params, seed=99)  # another machine, which rounds otherwise
        return original(self, prompts, params, rows)

    monkeypatch.setattr(engine, "generate", elsewhere)
    report = pipeline.diagnose(config)
    changed = store.decode_group(first).prompt.id
    (own,) = [g for g in store.read_groups(tmp_path, "checkpoint") if g.prompt.id == changed]
    laid = _passes(tmp_path)["checkpoint"]
    part = str(laid["conditions"]["forced_75"]["part"])  # type: ignore[index]
    forced = {g.prompt.id: g.prompt.prefill for g in store.read_groups(tmp_path, part)}
    start = forced[changed].rsplit("A", 1)[0]
    assert own.completions[0].text != store.decode_group(first).completions[0].text
    assert start
    assert own.completions[0].text.startswith(start)
    held = {s.key: s.token_ids for s in store.read_scores(tmp_path, str(laid["scores"]["cross"]))}
    mine = own.completions[0].token_ids[: passes.CROSS_TOKENS]
    assert all(ids.tolist() == mine.tolist() for (_, source, _), ids in held.items() if source == changed)
    assert pipeline.retriage(tmp_path).measurements == report.measurements


def test_scores_are_in_the_plans_order_however_they_lie_in_their_file(tmp_path: Path) -> None:
    config = _config(tmp_path, probes="policy_gap,input_dependence", baseline="synthetic:noisy")
    report = pipeline.diagnose(config)
    for file in tmp_path.glob("scores-*.jsonl"):
        file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    assert pipeline.retriage(tmp_path).measurements == report.measurements
    assert pipeline.diagnose(config).measurements == report.measurements


def test_an_answer_that_stands_in_what_was_given_is_none() -> None:
    prompt = Prompt(
        id="n", prompt="?", answer="4", verifier=VerifierSpec(type="numeric"), prefill="2 and 2 are 4\n\n= "
    )
    graded = sampling.grade(Group(prompt=prompt, completions=(completion(None, text="", right=False),))).completions[0]
    assert (graded.answer, graded.grade, graded.answer_span) == (None, 0.0, None)
    said = sampling.grade(Group(prompt=prompt, completions=(completion(None, text="4"),))).completions[0]
    assert (said.answer, said.grade, said.answer_span) == ("4", 1.0, (0, 1))


def test_an_unknown_checker_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    suite = tmp_path / "s.jsonl"
    suite.write_text('{"id": "1", "prompt": "?", "answer": "1", "checker": "arithmetik"}\n')
    with pytest.raises(SuiteError, match="no checker named 'arithmetik'"):
        pipeline.diagnose(_config(tmp_path / "run", suite=str(suite)))
