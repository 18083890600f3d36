"""The effective rank of hidden states: over how many directions the tokens of a text spread."""

from __future__ import annotations

import numpy as np

from entropydx.types import FloatArray

WINDOW = 512
"""Most tokens that one effective rank is taken over, the last ones of its prefix; bounds its cost."""
EPSILON = 1e-8
"""Inside the logarithm, as in the authors' code."""


def effective_rank(states: FloatArray) -> float:
    """Return the effective rank of the hidden states of t tokens, in directions.

    Parameters
    ----------
    states : ndarray
        (t, D), t at least 1, finite.

    Returns
    -------
    float
        In [1, min(t, D)] up to rounding: exp(-Σ q ln(q + 1e-8)), q the singular values of the states, centred over
        the tokens, divided by their sum; 1 when all states are equal. Source: arXiv:2509.23808, formula read in the
        authors' code. The singular values are square roots of the smaller Gram matrix's eigenvalues, float64.
    """
    centred = states.astype(np.float64) - states.mean(axis=0, dtype=np.float64)
    gram = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    sigma = np.sqrt(np.linalg.eigvalsh(gram).clip(min=0))
    if sigma.sum() == 0:
        return 1.0
    q = sigma / sigma.sum()
    return float(np.exp(-np.sum(q * np.log(q + EPSILON))))


def effective_ranks(states: FloatArray, stride: int) -> FloatArray:
    """Return the effective rank of the first s, 2s, 3s... tokens, of each at most the last 512.

    Parameters
    ----------
    states : ndarray
        (T, D)
    stride : int
        s, at least 1.

    Returns
    -------
    ndarray
        (T // s,) float32.
    """
    ends = range(stride, len(states) + 1, stride)
    return np.array([effective_rank(states[max(0, end - WINDOW) : end]) for end in ends], dtype=np.float32)
