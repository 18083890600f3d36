"""Series of checkpoints: the recipe, the change of a running trainer's settings, and the committed series."""

import json
import math
import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from entropydx.cli import app
from entropydx.errors import ConfigError
from entropydx.organisms import find_recipe, find_series, grow_series, recipes, series_recipes
from entropydx.organisms.bars import BARS
from entropydx.organisms.catalogue import Change, SeriesRecipe
from entropydx.organisms.check import measure
from entropydx.organisms.corpus import Style, training_items
from entropydx.organisms.doses import GRPODose, PretrainDose
from entropydx.organisms.growing import save
from entropydx.organisms.language import build_model, build_tokenizer
from entropydx.organisms.series import AFTER, BEFORE, LOGGING_STEPS, SERIES_RECORD, run_series
from entropydx.protocols import Silent
from entropydx.suites.tiny import NUMBERS
from tests.unit.test_organisms import assert_records

FIXTURES = Path(__file__).parents[2] / "fixtures"
COMMITTED = sorted(path.parent for path in (FIXTURES / "series").glob(f"*/{SERIES_RECORD}"))
NAMES = [path.name for path in COMMITTED]


# ── the recipe ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("recipe", series_recipes(), ids=lambda r: r.name)
def test_a_recipe_keeps_the_step_of_its_change_and_its_last_and_can_log_each(recipe):
    assert find_recipe(recipe.parent).name == recipe.parent
    assert list(recipe.kept) == sorted(set(recipe.kept))
    assert recipe.change.step in recipe.kept
    assert recipe.kept[-1] == recipe.dose.steps
    assert all(step % LOGGING_STEPS == 0 for step in recipe.kept)
    assert recipe.dose.schedule == "constant"  # the rate of a series is its dose's, then its change's
    assert recipe.name not in {organism.name for organism in recipes()}


def test_a_series_that_nobody_wrote_is_not_found(tmp_path):
    with pytest.raises(ConfigError, match="no series named 'tiny-collapsed'"):
        find_series("tiny-collapsed")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="not empty"):
        grow_series("tiny-collapsing", tmp_path)


def test_the_command_line_lists_series_with_their_onset_and_gives_them_no_dose(tmp_path):
    listed = CliRunner().invoke(app, ["organisms", "list"])
    assert [line.split()[0] for line in listed.output.splitlines() if "onset at step 60" in line] == ["tiny-collapsing"]
    call = ["organisms", "grow", "tiny-collapsing", "--out", str(tmp_path / "x"), "--dose", "0.5"]
    refused = CliRunner().invoke(app, call)
    assert refused.exit_code == 2
    assert "a series has no dose" in refused.output
    assert not (tmp_path / "x").exists()


# ── the change ────────────────────────────────────────────────────────────────────────────────────


def _save_parent(folder: Path) -> None:
    dose = PretrainDose(steps=1, learning_rate=1e-3, style=Style())
    tokenizer = build_tokenizer(dose)
    save(build_model(tokenizer, dose, 0), tokenizer, find_recipe("tiny-base"), folder)


@pytest.mark.slow
def test_the_change_reaches_the_running_trainer_and_only_from_its_step_on(tmp_path):
    torch.set_num_threads(1)
    _save_parent(tmp_path / "parent")
    dose = GRPODose(steps=15, learning_rate=1e-3, beta=0.05, schedule="constant", prompts_per_step=2, group_size=4)
    change = Change(step=5, learning_rate=2e-3, beta=0.0, entropy_coef=-0.1)
    recipe = SeriesRecipe(
        name="r", label="training_collapse", parent="tiny-base", dose=dose, change=change, kept=(5, 10, 15), why=""
    )
    items = training_items(NUMBERS, 30, ("in",), ("easy",), 0)
    run_series(tmp_path / "parent", items, recipe, tmp_path / "out", 0, Silent())
    logs = [
        json.loads((tmp_path / "out" / f"checkpoint-{step}" / "trainer_state.json").read_text())["log_history"][-1]
        for step in recipe.kept
    ]
    assert [log["step"] for log in logs] == [5, 10, 15]
    assert [log["learning_rate"] for log in logs] == [1e-3, 2e-3, 2e-3]
    assert [log["entropy_coef"] for log in logs] == pytest.approx([0.0, -0.1, -0.1])
    assert ["kl" in log for log in logs] == [True, False, False]  # without a penalty there is no KL to log


@pytest.mark.slow
def test_until_the_change_a_run_with_it_is_the_run_without_it(tmp_path):
    torch.set_num_threads(1)
    _save_parent(tmp_path / "parent")
    dose = GRPODose(steps=10, learning_rate=1e-3, beta=0.05, schedule="constant", prompts_per_step=2, group_size=4)
    change = Change(step=5, learning_rate=1e-3, beta=0.0, entropy_coef=-0.1)
    recipe = SeriesRecipe(
        name="r", label="training_collapse", parent="tiny-base", dose=dose, change=change, kept=(5, 10), why=""
    )
    items = training_items(NUMBERS, 20, ("in",), ("easy",), 0)
    never = replace(recipe, change=replace(change, step=10))
    weights = {}
    for name, run in (("changed", recipe), ("never", never)):
        run_series(tmp_path / "parent", items, run, tmp_path / name, 0, Silent())
        weights[name] = [load_file(tmp_path / name / f"checkpoint-{s}" / "model.safetensors") for s in (5, 10)]
    for i, same in ((0, True), (1, False)):
        pairs = [(weights["changed"][i][key], weights["never"][i][key]) for key in weights["never"][i]]
        assert all(torch.equal(a, b) for a, b in pairs) is same


# ── committed series ──────────────────────────────────────────────────────────────────────────────


def test_every_series_is_committed_and_every_committed_series_has_a_recipe():
    assert sorted(recipe.name for recipe in series_recipes()) == NAMES


@pytest.mark.parametrize("folder", COMMITTED, ids=NAMES)
def test_a_series_record_repeats_its_recipe_and_names_its_checkpoints(folder):
    record, recipe = json.loads((folder / SERIES_RECORD).read_text()), find_series(folder.name)
    assert (record["label"], record["parent"], record["why"]) == (recipe.label, recipe.parent, recipe.why)
    assert record["onset"] == recipe.change.step
    assert_records(record["recipe"], recipe.dose)
    assert record["change"] == asdict(recipe.change)
    assert record["command"] == f"entropydx organisms grow {folder.name} --out fixtures/series/{folder.name} --seed 0"
    steps = [0, *recipe.kept]
    assert [entry["name"] for entry in record["checkpoints"]] == [f"checkpoint-{step}" for step in steps]
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(f"checkpoint-{s}" for s in steps)
    asked = [{key: bar[key] for key in ("number", "relation", "op", "limit")} for bar in record["check"]["bars"]]
    assert asked == [asdict(bar) for bar in (*BARS[BEFORE], *BARS[AFTER])]
    assert record["check"]["passed"]
    assert all(bar["passed"] for bar in record["check"]["bars"])


@pytest.mark.parametrize("folder", COMMITTED, ids=NAMES)
def test_the_reference_page_prints_the_recorded_values_of_each_checkpoint(folder):
    page = (FIXTURES.parent / "docs" / "reference" / "organisms.md").read_text()
    for entry in json.loads((folder / SERIES_RECORD).read_text())["checkpoints"]:
        columns = ("token_entropy", "pass@1", "pass@16", "largest_form", "agreement_when_wrong")
        cells = [str(entry["step"]), *(f"{entry['check'][c]:.3f}" for c in columns)]
        logged = entry["training"]
        for name, places in (("reward", 3), ("rollout_entropy", 3), ("kl", 4)):
            cells.append(f"{logged[name]:.{places}f}" if name in logged else "–")
        assert f"| {' | '.join(cells)} |" in page


@pytest.mark.parametrize("folder", COMMITTED, ids=NAMES)
def test_the_checkpoints_of_a_series_are_small_ordinary_checkpoints(folder):
    checkpoints = sorted(folder.glob("checkpoint-*"))
    assert len(checkpoints) <= 12
    for checkpoint in checkpoints:
        assert sum(path.stat().st_size for path in checkpoint.iterdir()) < 600_000
        assert tomllib.loads((checkpoint / "entropydx.toml").read_text())["checkpoint"]["suite"] == "tiny"
        assert AutoModelForCausalLM.from_pretrained(checkpoint).dtype == torch.bfloat16
        assert len(AutoTokenizer.from_pretrained(checkpoint)("37+05=")["input_ids"]) == 6
    parent = find_series(folder.name).parent
    copied, base = (p / "model.safetensors" for p in (folder / "checkpoint-0", FIXTURES / "organisms" / parent))
    assert copied.read_bytes() == base.read_bytes()


@pytest.mark.parametrize("folder", COMMITTED, ids=NAMES)
def test_the_trainer_state_of_each_checkpoint_ends_at_its_step_and_shows_the_change(folder):
    recipe = find_series(folder.name)
    last = json.loads((folder / f"checkpoint-{recipe.kept[-1]}" / "trainer_state.json").read_text())
    assert last["max_steps"] == last["global_step"] == recipe.dose.steps
    for log in (entry for entry in last["log_history"] if "reward" in entry):
        before = log["step"] <= recipe.change.step
        assert log["learning_rate"] == (recipe.dose if before else recipe.change).learning_rate
        assert ("kl" in log) is before
    for step in recipe.kept:
        state = json.loads((folder / f"checkpoint-{step}" / "trainer_state.json").read_text())
        assert state["log_history"] == [entry for entry in last["log_history"] if entry["step"] <= step]


@pytest.mark.parametrize("folder", COMMITTED, ids=NAMES)
def test_a_small_check_of_the_ends_of_a_series_repeats_its_record(folder):
    torch.set_num_threads(1)
    entries = json.loads((folder / SERIES_RECORD).read_text())["checkpoints"]
    for entry in (entries[0], entries[-1]):
        numbers = measure(folder / entry["name"], n_prompts=36)
        for name in ("pass@1", "pass@16"):
            assert abs(numbers[name] - entry["check"][name]) < 4 / math.sqrt(36) * 0.5  # four standard errors
        assert numbers["token_entropy"] == pytest.approx(entry["check"]["token_entropy"], rel=0.5, abs=0.01)
