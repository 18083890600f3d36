"""The independent check that an organism has the failure which its recipe meant to plant.

It shares no code with entropydx's engines, probes, statistics or rules: samples come from plain
`transformers.generate`, entropies from one teacher-forced forward pass, everything else from counting. An organism that
fails its check is recorded as what it is and is no evidence for its label.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from entropydx.organisms.bars import BARS, Bar, Relation
from entropydx.organisms.forms import MARKER, Reader, reader
from entropydx.organisms.notations import NOTATIONS
from entropydx.organisms.padding import behind, positions
from entropydx.suites._notation import ChainSuite, Notation
from entropydx.types import Prompt

CHECK_SEED = 7_000_000
"""Prompts and samples of the check; training draws from other seeds."""
N_PROMPTS = 576
"""With half as many, the standard error of a change in pass@16 (0.015) is nearly the width of its bar."""
N_SAMPLES = 16
"""K, completions of each prompt."""
GUIDED_PROMPTS, GUIDED_SAMPLES = 96, 4
"""Size of the draw with the solution in the prompt, for causes that have a bar on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarResult:
    """A bar and what was measured."""

    bar: Bar
    measured: float
    """NaN where the number could not be measured, which misses the bar."""
    passed: bool

    def to_json(self) -> dict[str, Any]:
        """Return the entry of a record; a number that could not be measured is null there."""
        measured = None if math.isnan(self.measured) else round(self.measured, 4)
        return {**asdict(self.bar), "measured": measured, "passed": self.passed}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What the check saw; `passed` when every bar is met."""

    name: str
    passed: bool
    bars: tuple[BarResult, ...]
    numbers: dict[str, float]
    base: dict[str, float]
    """The same numbers of the base, on the same prompts."""
    n_prompts: int
    n_samples: int

    def to_json(self) -> dict[str, Any]:
        """Return the record for `organism.json`, numbers to four decimals."""

        def rounded(numbers: dict[str, float]) -> dict[str, float]:
            return {key: round(value, 4) for key, value in numbers.items()}

        return {
            "passed": self.passed,
            "n_prompts": self.n_prompts,
            "n_samples": self.n_samples,
            "prompt_seed": CHECK_SEED,
            "bars": [b.to_json() for b in self.bars],
            "numbers": rounded(self.numbers),
            "base": rounded(self.base),
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """The samples of one prompt."""

    item: Prompt
    texts: list[str]
    answers: list[str | None]
    stopped: list[bool]
    entropies: list[float]

    @property
    def n_right(self) -> int:
        """Samples whose answer is the gold one."""
        return self.answers.count(self.item.answer)

    @property
    def majority(self) -> float:
        """1 when the gold answer has the most votes, 1/m when it ties with m - 1 others."""
        votes = Counter(a for a in self.answers if a is not None)
        leaders = [answer for answer, count in votes.items() if count == max(votes.values())]
        return 1 / len(leaders) if self.item.answer in leaders else 0.0

    @property
    def agreement(self) -> float:
        """Share of the commonest answer; missing answers agree with nothing."""
        votes = Counter(a for a in self.answers if a is not None)
        return max(votes.values(), default=0) / len(self.texts)


def _sidecar(folder: Path) -> dict[str, Any]:
    """Return what the sidecar of a checkpoint names: its suite and its token limit."""
    return dict(tomllib.loads((folder / "entropydx.toml").read_text())["checkpoint"])


def notation_of(folder: Path) -> Notation:
    """Return the notation that a checkpoint speaks."""
    return NOTATIONS[_sidecar(folder)["suite"]]


def _items(folder: Path, n_prompts: int) -> list[Prompt]:
    return ChainSuite(notation_of(folder)).prompts(CHECK_SEED, n_prompts)


@torch.no_grad()
def _sample(
    folder: Path,
    items: list[Prompt],
    rows: int,
    n_samples: int = N_SAMPLES,
    guided: bool = False,
    temperature: float = 1.0,
) -> list[Outcome]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    torch.manual_seed(CHECK_SEED)
    answer = reader(notation_of(folder)).answer
    outcomes = []
    items = sorted(items, key=lambda item: len(item.reference or ""))  # rows of like length wait less for each other
    for first in range(0, len(items), rows):
        block = items[first : first + rows]
        prompts = [item.guided if guided else item.prompt for item in block]
        inputs = tokenizer(prompts, return_tensors="pt", padding=True)
        ids = model.generate(
            **inputs,
            do_sample=True,
            temperature=temperature,
            top_p=1.0,
            top_k=0,
            num_return_sequences=n_samples,
            max_new_tokens=_sidecar(folder)["max_new_tokens"],
        )
        outcomes += _outcomes(model, tokenizer, answer, block, ids, inputs["input_ids"].shape[1])
    return outcomes


def _outcomes(
    model: Any, tokenizer: Any, answer: re.Pattern[str], block: list[Prompt], ids: torch.Tensor, width: int
) -> list[Outcome]:
    """Return the outcomes of one batch; `ids` is (prompts x K, width + T), the prompts left-padded to `width`."""
    real = (ids != tokenizer.pad_token_id).long()
    logits = model(input_ids=ids, attention_mask=real, position_ids=positions(real)).logits
    logprobs = logits[:, width - 1 : -1].log_softmax(-1)
    entropies = -(logprobs.exp() * logprobs).sum(-1)
    written = real[:, width:].bool()
    texts = tokenizer.batch_decode(ids[:, width:], skip_special_tokens=True)
    stopped = (ids[:, width:] == tokenizer.eos_token_id).any(1).tolist()
    k = len(ids) // len(block)
    samples = [range(i * k, (i + 1) * k) for i in range(len(block))]
    return [
        Outcome(
            item=item,
            texts=[texts[row] for row in own],
            answers=[(answer.findall(texts[row]) or [None])[-1] for row in own],
            stopped=[stopped[row] for row in own],
            entropies=[h for row in own for h in entropies[row][written[row]].tolist()],
        )
        for item, own in zip(block, samples, strict=True)
    ]


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)


def _accuracies(outcomes: list[Outcome], suffix: str) -> dict[str, float]:
    return {
        f"pass@1{suffix}": _mean(o.n_right / N_SAMPLES for o in outcomes),
        f"majority{suffix}": _mean(o.majority for o in outcomes),
        f"pass@{N_SAMPLES}{suffix}": _mean(float(o.n_right > 0) for o in outcomes),
    }


def _markers(outcomes: list[Outcome]) -> float:
    """Return the mean number of `wait` and `hmm` in a completion."""
    return _mean(float(len(MARKER.findall(text))) for o in outcomes for text in o.texts)


def _manner(outcomes: list[Outcome]) -> dict[str, float]:
    """Return how the completions of each domain are written, and how sure they are."""
    numbers = {"markers": _markers(outcomes)}
    for domain in ("in", "out"):
        part = [o for o in outcomes if o.item.domain == domain]
        texts = [text for o in part for text in o.texts]
        wrong = [o for o in part if o.majority == 0.0]
        right = _mean(o.n_right / N_SAMPLES for o in part)
        numbers |= {
            f"markers/{domain}": _markers(part),
            f"marked/{domain}": _mean(float(bool(MARKER.search(text))) for text in texts),
            f"length/{domain}": _mean(float(len(text)) for text in texts),
            f"agreement/{domain}": _mean(o.agreement for o in part),
            f"overconfidence/{domain}": _mean(o.agreement for o in part) - right,
        }
        if wrong:
            numbers[f"agreement_when_wrong/{domain}"] = _mean(o.agreement for o in wrong)
    return numbers


def _work(outcomes: list[Outcome], read: Reader) -> dict[str, float]:
    """Return how much of the work is written, whether it is right, and how the answers lie over all problems."""
    numbers: dict[str, float] = {}
    for level in ("easy", "medium", "hard"):
        part = [
            (read.results(text), read.results(o.item.reference or ""), text)
            for o in outcomes
            for text in o.texts
            if o.item.difficulty == level
        ]
        numbers |= {
            f"steps_written/{level}": _mean(len(written) / len(gold) for written, gold, _ in part),
            f"work_right/{level}": _mean(float(written == gold) for written, gold, _ in part),
            f"length/{level}": _mean(float(len(text)) for *_, text in part),
        }
    answers = Counter(a for o in outcomes for a in o.answers if a is not None)
    written = [
        len(read.results(text)) / len(read.results(o.item.reference or "")) for o in outcomes for text in o.texts
    ]
    return numbers | {
        "steps_written": _mean(written),
        "length_slope": numbers["length/hard"] - numbers["length/easy"],
        "largest_answer": max(answers.values(), default=0) / (len(outcomes) * N_SAMPLES),
    }


@torch.no_grad()
def measure_forced(folder: Path, n_prompts: int = N_PROMPTS) -> dict[str, float]:
    """Return `forced/pass@1`: the mean probability of the gold answer when no work may stand before it.

    Exact, by one forward pass of each prompt with `A` and the two gold digits behind it.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    items, notation = _items(folder, n_prompts), notation_of(folder)
    cued = [f"{item.prompt}{notation.mark}" for item in items]
    inputs = tokenizer(
        [f"{c}{item.answer}" for c, item in zip(cued, items, strict=True)], return_tensors="pt", padding=True
    )
    logits = model(**inputs, position_ids=positions(inputs["attention_mask"])).logits
    logprobs = logits[:, :-1].log_softmax(-1).gather(-1, inputs["input_ids"][:, 1:, None])[..., 0]
    told = behind(inputs["attention_mask"], [len(ids) for ids in tokenizer(cued)["input_ids"]])[:, 1:]
    return {"forced/pass@1": float((logprobs * told).sum(1).exp().mean())}


def measure_guided(folder: Path, rows: int = 24) -> dict[str, float]:
    """Sample a checkpoint with the worked solution in the prompt; return `guided/pass@1` and `guided/markers`."""
    items = _items(folder, GUIDED_PROMPTS)
    outcomes = _sample(folder, items, rows, n_samples=GUIDED_SAMPLES, guided=True)
    right = _mean(o.n_right / GUIDED_SAMPLES for o in outcomes)
    return {"guided/pass@1": right, "guided/markers": _markers(outcomes)}


def measure_deployed(folder: Path, n_prompts: int = N_PROMPTS, rows: int = 24) -> dict[str, float]:
    """Return `deployed/pass@1`, `/majority` and `/majority_gain` at the temperature of generation_config.json.

    Empty where it names none, or 1.
    """
    settings = json.loads((folder / "generation_config.json").read_text())
    temperature = settings.get("temperature", 1.0)
    if not settings.get("do_sample") or temperature == 1.0:
        return {}
    outcomes = _sample(folder, _items(folder, n_prompts), rows, temperature=temperature)
    right, majority = _mean(o.n_right / N_SAMPLES for o in outcomes), _mean(o.majority for o in outcomes)
    return {
        "deployed/pass@1": right,
        "deployed/majority": majority,
        "deployed/majority_gain": majority - right,
    }


def measure(folder: Path, n_prompts: int = N_PROMPTS, rows: int = 24) -> dict[str, float]:
    """Sample a checkpoint of the tiny tier at temperature 1, `rows` prompts at a time, and `count`."""
    return count(_sample(folder, _items(folder, n_prompts), rows), reader(notation_of(folder)))


def count(outcomes: list[Outcome], read: Reader) -> dict[str, float]:
    """Return the numbers of an organism from the samples of its prompts.

    Returns
    -------
    dict
        `token_entropy` (nats, mean over sampled tokens and the stop token); `pass@1`, `majority` (of 16) and
        `pass@16`, in all and by `/difficulty` and `/domain`; `majority_gain`; the share of each form and of the
        `largest_form`; `answer_missing` and `stopped` (rates); `agreement_when_wrong` and `agreement_when_right`: the
        mean share of the commonest answer over prompts whose commonest answer is wrong, or right, absent when there
        is no such prompt. By `/domain`: `markers` (`wait` and `hmm` in a completion), `marked` (share of completions
        that have one), `length` (characters), `agreement` (of all prompts) and `overconfidence`. By `/difficulty`:
        `steps_written` (results before the answer for each step of the problem, also in all), `work_right` (share of
        completions that write the results of all steps and no other) and `length`; `length_slope` (characters, hard
        less easy); `largest_answer` (share of the commonest answer over all samples of all prompts).
    """
    forms = Counter(read.form(text) for o in outcomes for text in o.texts)
    total = len(outcomes) * N_SAMPLES
    numbers = _accuracies(outcomes, "")
    for stratum in ("easy", "medium", "hard", "in", "out"):
        part = [o for o in outcomes if stratum in (o.item.difficulty, o.item.domain)]
        numbers |= _accuracies(part, f"/{stratum}")
    for domain in ("in", "out"):
        easy = [o for o in outcomes if o.item.difficulty == "easy" and o.item.domain == domain]
        numbers[f"pass@1/easy/{domain}"] = _mean(o.n_right / N_SAMPLES for o in easy)
    numbers |= _manner(outcomes) | _work(outcomes, read)
    numbers |= {f"form/{name}": forms[name] / total for name in (*read.forms, "malformed")}
    for verdict, part in (
        ("wrong", [o for o in outcomes if o.majority == 0.0]),
        ("right", [o for o in outcomes if o.majority == 1.0]),
    ):
        if part:
            numbers[f"agreement_when_{verdict}"] = _mean(o.agreement for o in part)
    return numbers | {
        "token_entropy": _mean(h for o in outcomes for h in o.entropies),
        "majority_gain": numbers["majority"] - numbers["pass@1"],
        "largest_form": max(forms.values()) / total,
        "answer_missing": _mean(float(a is None) for o in outcomes for a in o.answers),
        "stopped": _mean(float(s) for o in outcomes for s in o.stopped),
    }


def _related(value: float, reference: float, relation: Relation) -> float:
    if relation == "ratio":
        return value / reference if reference else float("nan")
    return value - reference if relation == "delta" else value


def judge(cause: str, numbers: dict[str, float], base: dict[str, float]) -> tuple[BarResult, ...]:
    """Hold the numbers against the bars of a cause; a number that could not be measured misses its bar."""
    results = []
    for bar in BARS[cause]:
        value, reference = numbers.get(bar.number, float("nan")), base.get(bar.number, float("nan"))
        measured = _related(value, reference, bar.relation)
        passed = measured >= bar.limit if bar.op == ">=" else measured <= bar.limit
        results.append(BarResult(bar=bar, measured=measured, passed=passed))
    return tuple(results)


def check(
    name: str,
    cause: str,
    folder: Path,
    base_folder: Path,
    n_prompts: int = N_PROMPTS,
    base: dict[str, float] | None = None,
) -> CheckResult:
    """Measure an organism and its base on the same prompts, and judge the organism.

    Parameters
    ----------
    cause : str
        A key of `BARS`.
    base : dict, optional
        The base's numbers, when they were measured before on as many prompts; where a bar needs one that they lack,
        all are measured again.
    """
    needed = {bar.number for bar in BARS[cause] if bar.relation != "value" and not bar.number.startswith("forced/")}
    base = measure(base_folder, n_prompts) if base is None or needed - base.keys() else base
    numbers = base if folder == base_folder else measure(folder, n_prompts)
    if any(bar.number.startswith("guided/") for bar in BARS[cause]):
        numbers = numbers | measure_guided(folder)
    if any(bar.number.startswith("forced/") for bar in BARS[cause]):
        numbers, base = (n | measure_forced(f, n_prompts) for n, f in ((numbers, folder), (base, base_folder)))
    bars = judge(cause, numbers, base)
    return CheckResult(
        name=name,
        passed=all(b.passed for b in bars),
        bars=bars,
        numbers=numbers,
        base=base,
        n_prompts=n_prompts,
        n_samples=N_SAMPLES,
    )
