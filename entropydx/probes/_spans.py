"""Which tokens of a completion write its stated answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entropydx.types import Completion


def answer_tokens(completion: Completion) -> NDArray[np.bool_] | None:
    """Return which of the T tokens write a character of the stated answer, (T,); None when that is not known.

    A token that writes no character is a byte of the character that the next one completes, and belongs to it. A token
    that straddles the border of the answer belongs to the answer.
    """
    if completion.offsets is None or completion.answer_span is None or not completion.n_tokens:
        return None
    first, last = completion.answer_span
    ends = np.asarray(completion.offsets)
    starts = np.concatenate([[0], ends[:-1]])
    inside: NDArray[np.bool_] = (starts < last) & ((ends > first) | (starts >= first))
    return inside if inside.any() else None
