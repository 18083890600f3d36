"""Hand-made samples whose measurements are known in closed form."""

from collections.abc import Sequence

import numpy as np

from entropydx.types import CheckpointInfo, Completion, Group, Prompt, Samples, SamplingParams


def info(fingerprint: str = "f", vocab_size: int = 100) -> CheckpointInfo:
    return CheckpointInfo(
        ref="x",
        path="x",
        fingerprint=fingerprint,
        architecture="X",
        n_parameters=1,
        dtype="float32",
        format="hf",
        vocab_size=vocab_size,
    )


def completion(
    answer: str | None = "1",
    *,
    right: bool = True,
    entropies: Sequence[float] = (0.5,),
    text: str = "so the answer is plain",
    finish: str = "stop",
) -> Completion:
    h = np.array(entropies, dtype=float)
    return Completion(
        token_ids=np.zeros(len(h), dtype=int),
        logprobs=-h,
        entropies=h,
        text=text,
        finish_reason=finish,  # type: ignore[arg-type]
        answer=answer,
        grade=1.0 if right else 0.0,
    )


def prompt(number: int, difficulty: str = "medium", domain: str = "in") -> Prompt:
    return Prompt(id=f"p{number}", prompt="?", answer="1", difficulty=difficulty, domain=domain)  # type: ignore[arg-type]


def group(number: int, completions: Sequence[Completion], **stratum: str) -> Group:
    return Group(prompt=prompt(number, **stratum), completions=tuple(completions))


def samples(groups: Sequence[Group], *, fingerprint: str = "f", vocab_size: int = 100, seed: int = 0) -> Samples:
    params = SamplingParams(n_samples=len(groups[0].completions) if groups else 1, max_new_tokens=9, seed=seed)
    return Samples(checkpoint=info(fingerprint, vocab_size), params=params, groups=tuple(groups))


def votes(number: int, n_right: int, wrong: Sequence[str | None] = ()) -> Group:
    """Return a group of `n_right` right completions and one wrong one for every entry of `wrong`."""
    return group(number, [completion()] * n_right + [completion(w, right=False) for w in wrong])
