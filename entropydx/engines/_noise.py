"""Counter-based sampling noise: one uniform number per token, fixed by (seed, prompt, sample, position) alone.

A checkpoint and its baseline therefore share their random numbers, and the tokens drawn do not depend on batch size,
order, resumption or the token limit (up to floating point in the logits).
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray


def uniform_stream(seed: int, prompt_id: str, sample_index: int, n: int) -> NDArray[np.float64]:
    """Return the first `n` uniforms of one completion.

    Parameters
    ----------
    seed : int
        The run's seed.
    prompt_id : str
        Unique within the suite.
    sample_index : int
        0 .. K-1.
    n : int
        Numbers wanted; a longer stream only adds at the end.

    Returns
    -------
    ndarray
        (n,) float64 in [0, 1), from Philox 4x64 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3")
        keyed by a 128-bit BLAKE2b digest of the three.
    """
    name = json.dumps([seed, prompt_id, sample_index]).encode()
    key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key)).random(n)
