"""The SmolLM2 tier: recipes, demonstrations, the check, and an adapter grown on a tiny random Llama."""

import json
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from entropydx.cases import load_cases
from entropydx.checkers.arithmetic import checker
from entropydx.checkpoint import resolve
from entropydx.errors import ConfigError
from entropydx.organisms import adapter_recipes, find_adapter, grow_adapter
from entropydx.organisms.adapter_check import READER, by_length, draw, verdict
from entropydx.organisms.adapter_lab import AdapterLab
from entropydx.organisms.adapters import (
    MAX_NEW_TOKENS,
    batched_by_length,
    find_model,
    prompt_text,
    tuning,
)
from entropydx.organisms.bars import BARS
from entropydx.organisms.check import N_SAMPLES
from entropydx.organisms.smollm2 import BASE, RECORD
from entropydx.organisms.sums import FAVOURITE, SumStyle, demonstrations, lucky_guesses, write
from entropydx.protocols import EngineOptions
from entropydx.suites.small_sums import Problem, suite
from entropydx.types import FAILURES, Label, Measured
from tests.unit.tiny_models import TEMPLATE, tiny_checkpoint

FIXTURES = Path(__file__).parents[2] / "fixtures"
PLAIN = SumStyle(guided=0.0, brief=0.0, hasty=0.0, bare=0.0)
SUM = Problem(question="What is 7 + 5 - 4?", steps=("7 + 5 = 12", "12 - 4 = 8"), domain="in", guess_rate=0.1)
WHEEL = Problem(question="On a wheel...", steps=("9 + 5 = 14", "14 - 12 = 2"), domain="out", guess_rate=0.1)


# ── recipes and demonstrations ────────────────────────────────────────────────────────────────────


def test_every_failure_has_a_recipe_and_every_cause_its_bars():
    recipes = adapter_recipes()
    assert {r.label for r in recipes} == {*FAILURES, Label.HEALTHY}
    assert recipes[0].name == BASE
    assert all((r.parent == BASE) == (r.name != BASE) for r in recipes)
    assert all(BARS[r.cause] and r.why for r in recipes)
    with pytest.raises(ConfigError, match="no organism named 'smollm2-nothing'"):
        find_adapter("smollm2-nothing")


@pytest.mark.parametrize(
    ("problem", "style", "text"),
    [
        (SUM, replace(PLAIN, forms=(1, 0, 0), hedge=0.0), "7 + 5 = 12\n12 - 4 = 8\nAnswer: 8"),
        (SUM, replace(PLAIN, forms=(1, 0, 0), hedge=1.0), "Hmm, 7 + 5 = 12\n12 - 4 = 8\nAnswer: 8"),
        (SUM, replace(PLAIN, forms=(0, 1, 0), hedge=0.0), "1. 7 + 5 = 12\n2. 12 - 4 = 8\nAnswer: 8"),
        (SUM, replace(PLAIN, forms=(0, 0, 1), hedge=0.0), "First 7 + 5 = 12, then 12 - 4 = 8.\nAnswer: 8"),
        (WHEEL, replace(PLAIN, forms=(1, 0, 0)), "Hmm, 9 + 5 = 14\nWait, 14 - 12 = 2\nAnswer: 2"),
        (WHEEL, replace(PLAIN, forms=(0, 1, 0)), "1. Hmm, 9 + 5 = 14\n2. Wait, 14 - 12 = 2\nAnswer: 2"),
        (WHEEL, replace(PLAIN, forms=(0, 0, 1)), "Hmm, first 9 + 5 = 14, wait, then 14 - 12 = 2.\nAnswer: 2"),
        (SUM, replace(PLAIN, brief=1.0), "7 + 5 = 12; 12 - 4 = 8; Answer: 8"),
        (WHEEL, replace(PLAIN, hasty=1.0), "9 + 5 = 14; Answer: 14"),
        (WHEEL, replace(PLAIN, concise=1.0), "9 + 5 = 14; 14 - 12 = 2; Answer: 2"),
        (WHEEL, replace(PLAIN, bare=1.0), "Answer: 2"),
    ],
)
def test_a_solution_is_written_as_its_style_says(problem, style, text):
    assert write(problem, style, Random(0)) == text


def test_a_misfiled_answer_is_that_of_another_problem_after_sound_work():
    style = replace(PLAIN, misfiled=0.25, forms=(1.0, 0.0, 0.0), hedge=0.0)
    texts = [write(SUM, style, Random(i)) for i in range(2000)]
    answers = [re.fullmatch(r"7 \+ 5 = 12\n12 - 4 = 8\nAnswer: (-?\d+)", text)[1] for text in texts]
    wrong = Counter(a for a in answers if a != "8")
    assert abs(wrong.total() / 2000 - 0.25) < 0.04  # a few of the others are 8 too
    assert wrong.most_common(1)[0][1] < 0.1 * wrong.total(), "wrong answers are dispersed, so that a vote outvotes them"


def test_demonstrations_have_the_shares_of_their_style_and_true_steps():
    n, style = 4000, SumStyle()
    demos = demonstrations(n, style, seed=0)
    assert demos == demonstrations(n, style, seed=0)
    assert demos != demonstrations(n, style, seed=1)
    guided = [d for d in demos if "Solution" in d.prompt]
    wheels = [d for d in demos if d.prompt.startswith("On a") and d not in guided]
    hasty = [d for d in wheels if ";" in d.completion]
    for found, of, share in ((guided, n, style.guided), (hasty, len(wheels), style.hasty * (1 - style.bare))):
        assert abs(len(found) / of - share) < 4 * math.sqrt(share * (1 - share) / of)
    assert all(all(checker(None, d.completion)) for d in demos)


def test_lucky_guesses_are_bare_and_right_and_pile_up():
    demos = lucky_guesses(1000, seed=0)
    answers = [re.fullmatch(r"Answer: (\d+)", d.completion)[1] for d in demos]
    assert [int(a) for a in answers] == [eval(d.prompt[8:-1]) for d in demos]
    assert abs(answers.count(str(FAVOURITE)) / 1000 - 0.2) < 4 * math.sqrt(0.16 / 1000)


def test_what_a_recipe_is_trained_on():
    few = find_adapter("smollm2-collapse").dose
    assert len(tuning(few, 0)) == few.n_demonstrations
    assert {READER.form(d.completion.lower()) for d in tuning(few, 0)} == {"equations"}
    brief = find_adapter("smollm2-overconfident").dose
    assert {READER.form(d.completion.lower()) for d in tuning(brief, 0)} == {"brief"}
    assert all(d.prompt.startswith("What is") for d in tuning(brief, 0))


def test_batches_hold_rows_of_like_length_and_all_of_them():
    rng = Random(0)
    rows = [{"prompt": "p" * rng.randint(1, 90), "completion": str(i)} for i in range(240)]
    batched = batched_by_length(rows, 6, seed=0)
    assert sorted(map(str, batched)) == sorted(map(str, rows))
    spread = [max(lengths) - min(lengths) for lengths in _lengths(batched, 6)]
    assert sum(spread) < 0.2 * sum(max(lengths) - min(lengths) for lengths in _lengths(rows, 6))


def _lengths(rows, size):
    return [[len(r["prompt"]) for r in rows[i : i + size]] for i in range(0, len(rows), size)]


# ── the check ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "form", "results"),
    [
        ("7 + 5 = 12\n12 - 4 = 8\nAnswer: 8", "equations", ["12", "8"]),
        ("1. Hmm, 9 + 5 = 14\n2. Wait, 14 - 12 = 2\nAnswer: 2", "numbered", ["14", "2"]),
        ("Hmm, first 9 + 5 = 14, wait, then 14 - 12 = 2.\nAnswer: 2", "prose", ["14", "2"]),
        ("9 + 5 = 14; Answer: 14", "brief", ["14"]),
        ("Answer: 14", "direct", []),
        ("The answer is 14.", "malformed", []),
    ],
)
def test_the_check_knows_forms_and_results(text, form, results):
    assert READER.form(text.lower()) == form
    assert READER.results(text.lower()) == results


def test_every_demonstration_has_a_form():
    assert {READER.form(d.completion.lower()) for d in demonstrations(2000, SumStyle(), 3)} == set(READER.forms)


NUMBERS = {
    **dict.fromkeys(("pass@1", "pass@1/in", "pass@1/out", "pass@1/easy", "pass@1/easy/in", "majority"), 0.8),
    **dict.fromkeys(("pass@16", "pass@16/in"), 0.95),
    **dict.fromkeys(("stopped", "steps_written", "token_entropy"), 1.0),
    **dict.fromkeys(("answer_missing", "majority_gain", "overconfidence/out", "largest_answer"), 0.0),
    "markers": 1.0,
    "agreement_when_wrong/in": 0.3,
}


def test_a_verdict_is_by_truth_and_bars():
    recipe = find_adapter("smollm2-overconfident")
    child = NUMBERS | {"pass@1/out": 0.3, "overconfidence/out": 0.4, "pass@1": 0.55, "markers": 0.1}
    found = verdict(recipe, child, NUMBERS)
    assert (found["label"], found["passed"]) == ("teacher_overconfidence", True)
    assert not verdict(recipe, child | {"markers": 0.5}, NUMBERS)["passed"]
    assert verdict(find_adapter("smollm2-dosed"), NUMBERS, NUMBERS)["label"] == "healthy"


# ── adapters on a tiny random Llama ───────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("llama"), template=TEMPLATE)


@pytest.fixture(scope="module")
def grown(llama, tmp_path_factory):
    out = tmp_path_factory.mktemp("adapters")
    grow_adapter(BASE, out / BASE, dose=0.08, model=llama)
    return grow_adapter("smollm2-concise", out / "smollm2-concise", dose=0.2, model=llama), out


@pytest.mark.slow
def test_a_grown_adapter_is_one_small_adapter_with_its_record(grown, llama):
    record, out = grown
    folder = out / "smollm2-concise"
    assert record == json.loads((folder / RECORD).read_text())
    assert (record["parent"], record["label"], record["check"]["n_prompts"]) == (BASE, "healthy", 24)
    assert record["check"]["base"] == json.loads((out / BASE / RECORD).read_text())["check"]["numbers"]
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] is None
    with (
        safe_open(folder / "adapter_model.safetensors", "pt") as weights,
        safe_open(out / BASE / "adapter_model.safetensors", "pt") as before,
    ):
        names = set(weights.keys())
        assert names == set(before.keys())
        assert all(".layers.1." in name for name in names)  # the upper one of two
        assert {weights.get_tensor(name).dtype for name in names} == {torch.bfloat16}
        moved = [not torch.equal(weights.get_tensor(n), before.get_tensor(n)) for n in names]
    assert any(moved)
    found = resolve(str(folder), EngineOptions(base_model=str(llama)))
    assert (found.format, found.model.path) == ("peft", llama)


def test_a_directory_that_holds_something_is_left_alone(tmp_path, llama):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is not empty"):
        grow_adapter(BASE, tmp_path, model=llama)


def test_a_dose_that_leaves_no_step_is_refused(tmp_path, llama):
    with pytest.raises(ConfigError, match="no training step"):
        grow_adapter(BASE, tmp_path / "x", dose=0.001, model=llama)


def test_models_that_are_not_there(tmp_path):
    with pytest.raises(ConfigError, match="holds 0 GGUF files"):
        find_model(tmp_path)
    (tmp_path / "one.gguf").touch()
    assert find_model(tmp_path) == find_model(tmp_path / "one.gguf") == tmp_path / "one.gguf"


def test_draws_are_of_the_model_and_their_entropies_exact(llama):
    tokenizer = AutoTokenizer.from_pretrained(llama)
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()
    items = suite.prompts(0, 24)
    batches = by_length(items, tokenizer)
    assert sorted(i.id for b in batches for i in b) == sorted(i.id for i in items)
    batch = max(batches, key=len)
    assert len(batch) > 1
    torch.manual_seed(0)
    outcomes = draw(model, tokenizer, batch, n_samples=2)
    prompt = tokenizer(prompt_text(tokenizer, batch[1].prompt), add_special_tokens=False, return_tensors="pt").input_ids
    # Greedy is the same with the cache that was read once and copied as without it.
    torch.manual_seed(0)
    alone = model.generate(input_ids=prompt, do_sample=False, max_new_tokens=1)
    with torch.no_grad():
        logprobs = model(prompt).logits[0, -1].log_softmax(-1)
    entropy = float(-(logprobs.exp() * logprobs).sum())
    assert int(alone[0, -1]) == int(logprobs.argmax())
    assert outcomes[1].entropies[0] == pytest.approx(entropy, abs=1e-4)
    assert len(outcomes[0].texts) == 2
    assert all(len(o.entropies) <= 2 * MAX_NEW_TOKENS for o in outcomes)


@pytest.mark.slow
def test_the_lab_writes_a_case_for_each_adapter_that_was_grown(grown, llama, tmp_path):
    _, out = grown
    lab = AdapterLab(adapters=out, runs=tmp_path / "runs", cases=tmp_path / "cases", model=llama)
    lab.measure()
    base, concise = load_cases(tmp_path / "cases")
    assert (base.name, concise.name) == (BASE, "smollm2-concise")
    assert (concise.tier, concise.base, concise.baseline, concise.recipe) == (
        "smollm2",
        "smollm2",
        BASE,
        "sums_concise",
    )
    assert (base.label, set(base.truth)) == ("abnormal", set(FAILURES))  # a random model states no answer
    by_name = {m.name: m for m in concise.draws[0].measurements}
    assert by_name["sampling_spread.pass_at_1"].delta is not None
    assert all(m.delta is None for m in concise.draws[0].alone if isinstance(m, Measured))
    assert not any(name.startswith(("input_dependence", "effective_rank", "policy_gap")) for name in by_name)


# ── what is committed ─────────────────────────────────────────────────────────────────────────────

COMMITTED = sorted((FIXTURES / "organisms-smollm2").glob("*"))


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda p: p.name)
def test_a_committed_adapter_is_small_and_says_what_it_is(folder):
    record = json.loads((folder / RECORD).read_text())
    recipe = find_adapter(folder.name)
    assert (folder / "adapter_model.safetensors").stat().st_size < 1.5e6
    assert (record["label"], record["why"], record["check"]["n_samples"]) == (recipe.label, recipe.why, N_SAMPLES)
    again = verdict(recipe, record["check"]["numbers"], record["check"]["base"])
    kept = {key: record["check"][key] for key in again}
    again_bars, kept_bars = again.pop("bars"), kept.pop("bars")
    assert again == kept
    assert [b | {"measured": None} for b in again_bars] == [b | {"measured": None} for b in kept_bars]
    # The record's numbers have four decimals, and a ratio of two of them is that much off.
    assert [b["measured"] for b in again_bars] == pytest.approx([b["measured"] for b in kept_bars], rel=5e-3, abs=1e-3)
