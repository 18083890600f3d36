"""A training configuration on the command line: refused before anything is drawn, else held against the advice."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.e2e.test_cli import ROOT, _one_line, _run, _synthetic

GRPO = "num_generations: 8\nnum_iterations: 1\nbeta: 0.0\ntemperature: 0.7\nepsilon_high: 0.28\nhub_token: secret\n"
VERL = "actor_rollout_ref:\n  actor: {ppo_epochs: 1, entropy_coeff: 0.01}\ndata: {train_batch_size: 256}\n"
SIZE = ("--prompts", 24, "--samples", 6, "--probes", "token_entropy,sampling_spread,format_mode,coverage")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "neither YAML nor JSON"),
        ("just: words\n", "neither TRL, verl nor OpenRLHF"),
        ("", "holds no settings"),
        ("!!python/object/apply:os.system ['touch pwned']\n", "neither YAML nor JSON"),
    ],
)
def test_a_bad_file_is_one_line_and_exit_2_before_anything_is_drawn(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    result = _run(*_synthetic("collapsed", "--train-config", "bad.yaml"), cwd=tmp_path)
    assert result.returncode == 2
    line = _one_line(result.stderr)
    assert message in line
    assert "bad.yaml" in line
    assert result.stdout == ""
    assert [p.name for p in tmp_path.iterdir()] == ["bad.yaml"]


def test_a_good_one_shows_the_difference_and_another_is_tried_without_drawing(tmp_path: Path) -> None:
    (tmp_path / "grpo.yaml").write_text(GRPO)
    (tmp_path / "verl.yaml").write_text(VERL)
    made = ("--train-config", "grpo.yaml", "--run-dir", "run", "--json", "r.json", *SIZE)
    page = _run(*_synthetic("collapsed", *made), cwd=tmp_path).stdout
    flowing = " ".join(page.split())
    for said in (
        "trl, stage rl (the training configuration grpo.yaml), 1 update per rollout",
        "POISON temperature is 0.7",
        "~ beta=0.001: the file says 0.0",
        "+ sync_ref_model=True: the file is silent, and the default is False",
        "= ref_model_sync_steps=512: there already, as the default",
        "entropydx compare BEFORE AFTER --remedy kl_with_reference_reset",
    ):
        assert said in flowing, said
    assert "actor_rollout_ref" not in page
    report = json.loads((tmp_path / "r.json").read_text())
    schema = json.loads((ROOT / "docs" / "reference" / "report-schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(report)
    statuses = {s["key"]: s["status"] for r in report["recommendations"] for s in r["settings"]}
    assert statuses["beta"] == "change"
    assert statuses["epsilon_high"] == "already"
    assert "secret" not in (tmp_path / "r.json").read_text() + page

    for source in ("run", "run/report.json"):
        again = _run("triage", source, "--train-config", "verl.yaml", "--json", "-", cwd=tmp_path, extra=("no_torch",))
        other = json.loads(again.stdout)
        assert again.returncode == 1, again.stderr
        assert (other["training"]["framework"], other["training"]["updates_per_rollout"]) == ("verl", 1.0)
        assert other["diagnosis"] == report["diagnosis"]
        assert {s["framework"] for r in other["recommendations"] for s in r["settings"]} == {"verl"}
    kept = _run("triage", "run", "--json", "-", cwd=tmp_path, extra=("no_torch",))
    assert json.loads(kept.stdout)["training"] == report["training"]
    refused = _run("triage", "run", "--stage", "sftt", cwd=tmp_path)
    assert refused.returncode == 2
    assert "'sft', 'rl' or 'distillation'" in _one_line(refused.stderr)
