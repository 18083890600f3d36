r"""Between what the entropy of a next-token distribution lies when only its most likely tokens are known.

Of V tokens the probabilities p_1 ... p_m are told. The other n = V - m tokens share the rest r = 1 - (p_1 + ... + p_m),
and none of them is likelier than a cap c: the smallest of the k most likely tokens, all of which are among the m.

The told part of H = -sum p ln p is known. The rest is a vector q of n entries in [0, c] that sum to r, and
h(q) = -sum q_i ln q_i is symmetric and concave, hence Schur-concave: if q majorises q', then h(q) <= h(q')
(Marshall, Olkin & Arnold, Inequalities: Theory of Majorization, 2nd ed. 2011, ch. 3.C).

*Upper bound.* The uniform vector r/n is majorised by every vector of the same sum, and r/n <= c because some q exists.
So h(q) <= n (r/n) ln(n/r) = r ln(n/r).

*Lower bound.* The j largest entries of any such q sum to at most min(j c, r). The greedy vector, f = floor(r/c) entries
of c and one of r - f c, reaches that for every j, so it majorises every q; it has f + 1 <= n entries that are not 0
whenever some q exists. So h(q) >= f c ln(1/c) + s ln(1/s), s = r - f c.

Both bounds are attained, so no tighter ones can be given from what is told. Without V the lower bound stands (with
n as large as is needed), and there is no upper one: r ln(n/r) grows without limit in n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

ROUNDING = 1e-6
"""Probability that told numbers may come to too much: servers send rounded float32."""


def entropy_bounds(logprobs: Sequence[float], cap: float | None, vocab_size: int) -> tuple[float, float | None]:
    """Return the least and the greatest entropy that fit what is told, nats.

    Parameters
    ----------
    logprobs : sequence of float
        (m,) log-probabilities of m different tokens, nats, at most 0.
    cap : float or None
        ln c; None when nothing is known of the others but their sum, which is then their cap.
    vocab_size : int
        V, or anything above it; 0 when it is unknown.

    Returns
    -------
    (low, high)
        nats; `high` is None when V is unknown.
    """
    told = [(math.exp(x), x) for x in logprobs]
    known = -sum(p * x for p, x in told)
    rest = 1.0 - math.fsum(p for p, _ in told)
    n_others = vocab_size - len(told)
    if rest <= ROUNDING or (vocab_size and n_others <= 0):
        # What is left is the rounding of what is told, which may be of either sign.
        spare = max(rest, ROUNDING)
        high = known + (spare * math.log(n_others / spare) if n_others > 0 else 0.0)
        return known, high if vocab_size else None
    most = rest if cap is None else min(rest, math.exp(cap))
    # A vocabulary that could not hold the rest below the cap is a cap that was rounded down.
    most = max(most, rest / n_others) if vocab_size else most
    low = known + _greedy(rest, most)
    if not vocab_size:
        return low, None
    return low, max(low, known + rest * math.log(n_others / rest))


def _greedy(rest: float, most: float) -> float:
    """Return the entropy of as many entries of `most` as fit into `rest`, and one of what is left, nats."""
    full = math.floor(rest / most)
    left = rest - full * most
    return -full * most * math.log(most) - (left * math.log(left) if left > 0 else 0.0)
