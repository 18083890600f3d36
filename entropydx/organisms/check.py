"""The independent check that an organism has the failure which its recipe meant to plant.

It shares no code with entropydx's engines, probes, statistics or rules: samples come from plain
`transformers.generate`, entropies from one teacher-forced forward pass, everything else from counting. An organism that
fails its check is recorded as what it is and is no evidence for its label.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from entropydx.suites.tiny import suite
from entropydx.types import Prompt

CHECK_SEED = 7_000_000
"""Prompts and samples of the check; training draws from other seeds."""
N_PROMPTS = 576
"""With half as many, the standard error of a change in pass@16 (0.015) is nearly the width of its bar."""
N_SAMPLES = 16
"""K, completions of each prompt."""
MAX_NEW_TOKENS = 64

ANSWER = re.compile(r"A(\d\d)\.")
NUMBER, STEP = r"\d\d", r"[-+*&~@]\d\d"
FORMS = {
    "equations": re.compile(rf"({NUMBER}{STEP}={NUMBER};)+A{NUMBER}\."),
    "values": re.compile(rf"(\[{NUMBER}\]>)+A{NUMBER}\."),
    "reductions": re.compile(rf"(\({NUMBER}({STEP})*\))+A{NUMBER}\."),
    "direct": re.compile(rf"A{NUMBER}\."),
}
"""A completion has a form when the whole of it matches; anything else is `malformed`."""


Relation = Literal["value", "ratio", "delta"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One requirement on a number, on its ratio to the base, or on its change against the base."""

    number: str
    relation: Relation
    op: Literal[">=", "<="]
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BarResult:
    """A bar and what was measured."""

    bar: Bar
    measured: float
    passed: bool


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
            "bars": [{**asdict(b.bar), "measured": round(b.measured, 4), "passed": b.passed} for b in self.bars],
            "numbers": rounded(self.numbers),
            "base": rounded(self.base),
        }


_SOUND_TEXT = (
    Bar(number="answer_missing", relation="value", op="<=", limit=0.02),
    Bar(number="stopped", relation="value", op=">=", limit=0.998),
)
BARS: dict[str, tuple[Bar, ...]] = {
    "base": (
        Bar(number="pass@1/easy", relation="value", op=">=", limit=0.9),
        Bar(number="pass@1/medium", relation="value", op=">=", limit=0.6),
        Bar(number="pass@1/medium", relation="value", op="<=", limit=0.8),
        Bar(number="pass@1/hard", relation="value", op=">=", limit=0.05),
        Bar(number="pass@1/hard", relation="value", op="<=", limit=0.4),
        Bar(number="token_entropy", relation="value", op=">=", limit=0.1),
        Bar(number="token_entropy", relation="value", op="<=", limit=0.4),
        Bar(number="majority_gain", relation="value", op="<=", limit=0.08),
        Bar(number="largest_form", relation="value", op="<=", limit=0.6),
        *_SOUND_TEXT,
    ),
    "training_collapse": (
        Bar(number="token_entropy", relation="ratio", op="<=", limit=0.15),
        Bar(number="largest_form", relation="value", op=">=", limit=0.95),
        Bar(number="agreement_when_wrong", relation="value", op=">=", limit=0.75),
        Bar(number="pass@16/medium", relation="delta", op="<=", limit=-0.05),
        Bar(number="pass@16/hard", relation="delta", op="<=", limit=-0.1),
        *_SOUND_TEXT,
    ),
    "inference_variance": (
        Bar(number="pass@1", relation="delta", op="<=", limit=-0.2),
        Bar(number="majority", relation="delta", op=">=", limit=-0.05),
        Bar(number="token_entropy", relation="ratio", op="<=", limit=4.0),
        Bar(number="largest_form", relation="value", op="<=", limit=0.6),
        *_SOUND_TEXT,
    ),
    "concise_sft": (
        Bar(number="pass@1", relation="delta", op=">=", limit=-0.02),
        Bar(number="pass@16", relation="delta", op=">=", limit=-0.03),
        Bar(number="token_entropy", relation="ratio", op="<=", limit=0.9),
        Bar(number="largest_form", relation="value", op=">=", limit=0.95),
        Bar(number="agreement_when_wrong", relation="value", op="<=", limit=0.5),
        Bar(number="majority_gain", relation="value", op="<=", limit=0.08),
        *_SOUND_TEXT,
    ),
    "healthy": (
        Bar(number="pass@1", relation="delta", op=">=", limit=-0.01),
        Bar(number="pass@16", relation="delta", op=">=", limit=-0.02),
        Bar(number="token_entropy", relation="ratio", op=">=", limit=0.45),
        Bar(number="majority_gain", relation="value", op="<=", limit=0.08),
        Bar(number="largest_form", relation="value", op="<=", limit=0.7),
        *_SOUND_TEXT,
    ),
}
"""What each cause must show; `majority_gain` is maj@16 - pass@1."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The samples of one prompt."""

    item: Prompt
    texts: list[str]
    stopped: list[bool]
    entropies: list[float]

    @property
    def answers(self) -> list[str | None]:
        return [([*ANSWER.findall(text)] or [None])[-1] for text in self.texts]

    @property
    def n_right(self) -> int:
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


@torch.no_grad()
def _sample(folder: Path, items: list[Prompt], rows: int) -> list[_Outcome]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    torch.manual_seed(CHECK_SEED)
    outcomes = []
    for first in range(0, len(items), rows):
        block = items[first : first + rows]
        inputs = tokenizer([item.prompt for item in block], return_tensors="pt", padding=True)
        ids = model.generate(
            **inputs,
            do_sample=True,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
            num_return_sequences=N_SAMPLES,
            max_new_tokens=MAX_NEW_TOKENS,
        )
        outcomes += _outcomes(model, tokenizer, block, ids, inputs["input_ids"].shape[1])
    return outcomes


def _outcomes(model: Any, tokenizer: Any, block: list[Prompt], ids: torch.Tensor, width: int) -> list[_Outcome]:
    """Return the outcomes of one batch; `ids` is (prompts x K, width + T), the prompts left-padded to `width`."""
    real = (ids != tokenizer.pad_token_id).long()
    logprobs = model(input_ids=ids, attention_mask=real).logits[:, width - 1 : -1].log_softmax(-1)
    entropies = -(logprobs.exp() * logprobs).sum(-1)
    written = real[:, width:].bool()
    texts = tokenizer.batch_decode(ids[:, width:], skip_special_tokens=True)
    stopped = (ids[:, width:] == tokenizer.eos_token_id).any(1).tolist()
    samples = [range(i * N_SAMPLES, (i + 1) * N_SAMPLES) for i in range(len(block))]
    return [
        _Outcome(
            item=item,
            texts=[texts[row] for row in own],
            stopped=[stopped[row] for row in own],
            entropies=[h for row in own for h in entropies[row][written[row]].tolist()],
        )
        for item, own in zip(block, samples, strict=True)
    ]


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)


def _form(text: str) -> str:
    return next((name for name, pattern in FORMS.items() if pattern.fullmatch(text)), "malformed")


def _accuracies(outcomes: list[_Outcome], suffix: str) -> dict[str, float]:
    return {
        f"pass@1{suffix}": _mean(o.n_right / N_SAMPLES for o in outcomes),
        f"majority{suffix}": _mean(o.majority for o in outcomes),
        f"pass@{N_SAMPLES}{suffix}": _mean(float(o.n_right > 0) for o in outcomes),
    }


def measure(folder: Path, n_prompts: int = N_PROMPTS, rows: int = 48) -> dict[str, float]:
    """Sample a checkpoint at temperature 1 and count.

    Parameters
    ----------
    folder : Path
        A checkpoint that speaks the notation of `suites.tiny`.
    rows : int
        Prompts that are decoded together.

    Returns
    -------
    dict
        `token_entropy` (nats, mean over sampled tokens and the stop token); `pass@1`, `majority` (of 16) and
        `pass@16`, in all and by `/difficulty` and `/domain`; `majority_gain`; the share of each form and of the
        `largest_form`; `answer_missing` and `stopped` (rates); `agreement_when_wrong` and `agreement_when_right`: the
        mean share of the commonest answer over prompts whose commonest answer is wrong, or right, absent when there
        is no such prompt.
    """
    outcomes = _sample(folder, suite.prompts(CHECK_SEED, n_prompts), rows)
    forms = Counter(_form(text) for o in outcomes for text in o.texts)
    total = n_prompts * N_SAMPLES
    numbers = _accuracies(outcomes, "")
    for stratum in ("easy", "medium", "hard", "in", "out"):
        part = [o for o in outcomes if stratum in (o.item.difficulty, o.item.domain)]
        numbers |= _accuracies(part, f"/{stratum}")
    numbers |= {f"form/{name}": forms[name] / total for name in (*FORMS, "malformed")}
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
        The base's numbers, when they were measured before on as many prompts.
    """
    base = measure(base_folder, n_prompts) if base is None else base
    numbers = base if folder == base_folder else measure(folder, n_prompts)
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
