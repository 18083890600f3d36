"""The family that thinks aloud: its demonstrations, the traces that it is distilled from, and the committed three."""

import json
import math
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from entropydx.errors import ConfigError
from entropydx.organisms import check, find_recipe, grow
from entropydx.organisms.check import N_SAMPLES, measure, measure_guided
from entropydx.organisms.corpus import Style, training_items
from entropydx.organisms.distil import traces
from entropydx.organisms.doses import DistillDose, PretrainDose
from entropydx.organisms.forms import reader
from entropydx.organisms.growing import RECORD
from entropydx.organisms.language import Learner, build_model, build_tokenizer
from entropydx.organisms.thinking import ThoughtStyle, hurry, think, thoughts
from entropydx.protocols import Silent
from entropydx.suites.tiny import NUMBERS, suite

FIXTURES = Path(__file__).parents[2] / "fixtures" / "organisms"
FAMILY = ("tiny-thinker", "tiny-teacher", "tiny-selftaught")
PLAIN = {"guided": 0.0, "brief": 0.0, "hasty": 0.0, "check": 0.0, "slip": 0.0}
CHAIN, DIGITS = NUMBERS.chain("37", ("+", "05"), ("-", "12")), NUMBERS.chain("37", ("&", "05"))


# ── demonstrations ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("chain", "domain", "change", "text"),
    [
        (CHAIN, "in", {}, "hmm37+05=42;42-12=30;A30."),
        (CHAIN, "in", {"check": 1.0}, "hmm37+05=42;wait37+05=42;42-12=30;wait42-12=30;A30."),
        (CHAIN, "in", {"check": 1.0, "max_checks": 1}, "hmm37+05=42;wait37+05=42;42-12=30;A30."),
        (DIGITS, "out", {}, "hmm3&0=3,7&5=2>32;A32."),
        (DIGITS, "out", {"check": 1.0}, "hmm3&0=3,7&5=2>32;A32."),
        (NUMBERS.chain("37", ("&", "05"), ("~", "01")), "out", {}, "hmm3&0=3,7&5=2>32;hmm3~0=3,2~1=1>31;A31."),
        (NUMBERS.chain("02", ("@", "03")), "out", {"check": 1.0}, "hmm02@03=11;wait02@03=11;A11."),
    ],
)
def test_a_thought_is_written_as_its_style_says(chain, domain, change, text):
    style = ThoughtStyle(**{**PLAIN, **change})
    assert think(chain, domain, style, np.random.default_rng(0)) == text


def test_a_slip_is_always_mended():
    style, rng = ThoughtStyle(**{**PLAIN, "slip": 1.0}), np.random.default_rng(0)
    for _ in range(50):
        text = think(CHAIN, "in", style, rng)
        first, second = re.fullmatch(r"hmm37\+05=(4\d);wait37\+05=42;42-12=(3\d);wait42-12=30;A30\.", text).groups()
        assert first != "42"
        assert second != "30"
        (digit,) = re.fullmatch(r"hmm3&0=3,7&5=(\d),wait7&5=2>32;A32\.", think(DIGITS, "out", style, rng)).groups()
        assert digit != "2"


def test_demonstrations_have_the_shares_of_their_style_and_the_right_answer():
    n, style = 4000, ThoughtStyle()
    demos = thoughts(NUMBERS, n, style, seed=0, product_share=0.3)
    assert demos == thoughts(NUMBERS, n, style, seed=0, product_share=0.3)
    guided = [d for d in demos if d.prompt.endswith("!")]
    plain = [d for d in demos if not d.prompt.endswith("!")]
    inside, outside = ([d for d in plain if bool(set(d.prompt) & set("&~@")) is out] for out in (False, True))
    brief, hasty = ([d for d in part if d.completion.startswith("[")] for part in (inside, outside))
    for found, of, share in (
        (len(guided), n, style.guided),
        (len(brief), len(inside), style.brief),
        (len(hasty), len(outside), style.hasty),
    ):
        assert abs(found / of - share) < 4 * math.sqrt(share * (1 - share) / of)
    for demo in demos:
        if demo in hasty:
            continue
        value, *steps = re.findall(r"\d\d|[-+*&~@]", demo.prompt.split("=")[0])
        for op, b in zip(steps[::2], steps[1::2], strict=True):
            value = _step(int(value), op, int(b))
        assert demo.completion.endswith(f"A{int(value):02d}.")


def _step(a: int, op: str, b: int) -> int:
    sign = {"&": 1, "~": -1}.get(op)
    if sign:
        return int("".join(str((int(x) + sign * int(y)) % 10) for x, y in zip(f"{a:02d}", f"{b:02d}", strict=True)))
    return {"+": a + b, "-": a - b, "*": a * b, "@": a * b + a + b}[op] % 100


def test_every_demonstration_has_a_form_and_fits_the_token_limit_with_its_stop_token():
    recipe = find_recipe("tiny-thinker")
    demos = thoughts(NUMBERS, 6000, ThoughtStyle(), seed=1, product_share=1.0)
    assert {reader(NUMBERS).form(d.completion) for d in demos} == {"thinking", "values"}
    assert max(len(d.completion) for d in demos) < recipe.max_new_tokens
    assert max(len(d.prompt) for d in demos) + recipe.max_new_tokens <= recipe.dose.positions


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        (CHAIN, "[42]>[30]>A30."),
        (NUMBERS.chain("37", ("&", "05"), ("~", "13")), "[42]>[29]>A29."),
        (NUMBERS.chain("02", ("@", "13")), "[26]>A26."),
    ],
)
def test_a_hasty_solution_takes_an_operator_for_the_familiar_one(chain, text):
    assert hurry(chain) == text


def test_the_suite_gives_the_guided_prompt_in_the_notation():
    for item in suite.prompts(3, 30):
        assert item.guided == f"{item.prompt}!{item.reference}!"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("37+05=41;wait37+05=42;42-12=30;A30.", "thinking"),
        ("hmm37+05=42;A42.", "thinking"),
        ("hmm3&0=3,7&5=1,wait7&5=2>32;A32.", "thinking"),
        ("37+05=42;A42.", "equations"),
        ("hmmA42.", "malformed"),
        ("wait37+05=42;A42.", "malformed"),
    ],
)
def test_the_check_knows_the_form(text, form):
    assert reader(NUMBERS).form(text) == form


# ── traces ────────────────────────────────────────────────────────────────────────────────────────


def test_a_parent_that_knows_nothing_has_nothing_to_teach():
    start = PretrainDose(steps=1, learning_rate=1e-3, style=Style())
    tokenizer = build_tokenizer(start)
    learner = Learner(model=build_model(tokenizer, start, 0), tokenizer=tokenizer, notation=NUMBERS)
    dose = DistillDose(steps=1, learning_rate=1e-3, guided=False, n_problems=6, samples=1)
    with pytest.raises(ConfigError, match="nothing right"):
        traces(learner, dose, 8, 0, Silent())


@pytest.mark.parametrize("guided", [True, False])
def test_traces_are_right_in_domain_and_stand_under_the_unguided_prompt(guided):
    torch.set_num_threads(1)
    folder = FIXTURES / "tiny-thinker"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    dose = DistillDose(steps=1, learning_rate=1e-3, guided=guided, n_problems=60, samples=2)
    learner = Learner(model=model.float(), tokenizer=tokenizer, notation=NUMBERS)
    kept = traces(learner, dose, 100, 0, Silent())
    gold = {item.prompt: item.answer for item in training_items(NUMBERS, 60, ("in",), dose.difficulties, seed=0)}
    assert all(re.findall(r"A(\d\d)\.", d.completion)[-1] == gold[d.prompt] for d in kept)
    brief = np.mean([d.completion.startswith("[") for d in kept])
    share = len(kept) / 120
    assert (share > 0.9 and brief > 0.9) if guided else (share < 0.8 and brief < 0.5)


# ── committed checkpoints ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FAMILY)
def test_the_sidecar_holds_the_token_limit_of_the_recipe_and_the_context_holds_the_guided_prompt(name):
    sidecar = tomllib.loads((FIXTURES / name / "entropydx.toml").read_text())["checkpoint"]
    config = json.loads((FIXTURES / name / "config.json").read_text())
    assert sidecar == check._sidecar(FIXTURES / name)
    assert sidecar["max_new_tokens"] == find_recipe(name).max_new_tokens
    longest = max(len(str(item.guided)) for item in suite.prompts(0, 600))
    assert longest + sidecar["max_new_tokens"] <= config["max_position_embeddings"]


@pytest.fixture(scope="module")
def small_check() -> dict[str, dict[str, float]]:
    """The family on 24 prompts."""
    torch.set_num_threads(1)
    return {name: measure(FIXTURES / name, n_prompts=24) for name in FAMILY}


@pytest.mark.parametrize("name", FAMILY)
def test_a_small_check_repeats_the_record(name, small_check):
    record, numbers = json.loads((FIXTURES / name / RECORD).read_text())["check"]["numbers"], small_check[name]
    half_width = 4 / math.sqrt(24) * 0.5  # four standard errors of a mean over 24 prompts, each in [0, 1]
    for number in ("pass@1", "majority", "pass@16"):
        assert abs(numbers[number] - record[number]) < half_width
    assert numbers["markers"] == pytest.approx(record["markers"], rel=0.3, abs=0.05)
    assert numbers["stopped"] > 0.98


def test_a_small_check_shows_the_cause_beside_its_control(small_check):
    base, teacher, control = (small_check[name] for name in FAMILY)
    assert teacher["markers"] < 0.2 * base["markers"]
    assert control["markers"] > 0.7 * base["markers"]
    assert teacher["pass@1/out"] < base["pass@1/out"] - 0.15
    assert control["pass@1/out"] > base["pass@1/out"] - 0.15
    assert teacher["overconfidence/out"] > base["overconfidence/out"] + 0.1
    assert teacher["length/out"] < 0.6 * base["length/out"]


@pytest.mark.slow
def test_with_the_solution_in_the_prompt_the_base_copies_it_in_brief():
    numbers = measure_guided(FIXTURES / "tiny-thinker")
    assert numbers["guided/pass@1"] > 0.95
    assert numbers["guided/markers"] < 0.1


@pytest.mark.slow
def test_growing_by_a_small_dose_distils_from_the_parent_beside_it(tmp_path):
    (tmp_path / "tiny-thinker").symlink_to(FIXTURES / "tiny-thinker")
    record = grow("tiny-teacher", tmp_path / "tiny-teacher", seed=3, dose=0.02, n_check_prompts=12)
    assert record["trainer"] == "distill"
    assert record["recipe"]["guided"] is True
    assert record["parent_seed"] == 0
    assert record["check"]["n_samples"] == N_SAMPLES
