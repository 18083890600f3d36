"""A board, a notation of the tiny tier: chains of moves on a square of ten by ten that closes on itself, `c7N3E4=`.

A state is a square, `a0` to `j9`. In domain `Nk` goes k ranks up and `Ek` k files on. Out of domain `Vk` and `Hk`
mirror the rank or the file: r becomes k - r. The products `Jxx` and `Uxx` are gates: gate xx leads to another file of
the same rank by a table, a random permutation of the ten files for each gate and rank, so there is no rule to learn,
and a model that has not seen an entry guesses among ten. Every step is a bijection, so answers are uniform over 100
squares. The forms of a solution are those of `_notation`.
"""

from __future__ import annotations

import numpy as np

from entropydx.suites._notation import ChainSuite, Notation, Operator

FILES = "abcdefghij"
SIDE = 10
GATES = 20


def _square(file: int, rank: int) -> str:
    return f"{FILES[file % SIDE]}{rank % SIDE}"


def _go(file_factor: int, rank_factor: int, *, mirrored: bool) -> Operator:
    sign = -1 if mirrored else 1

    def move(square: str, k: str) -> str:
        file, rank = FILES.index(square[0]), int(square[1])
        return _square(
            sign * file + int(k) if file_factor else file,
            sign * rank + int(k) if rank_factor else rank,
        )

    return move


def _pass_gate(seed: int) -> Operator:
    rng = np.random.default_rng((seed, 0x6A))
    tables = rng.permuted(np.tile(np.arange(SIDE), (GATES, SIDE, 1)), axis=2)
    return lambda square, gate: _square(int(tables[int(gate), int(square[1]), FILES.index(square[0])]), int(square[1]))


def _draw_start(rng: np.random.Generator) -> str:
    return _square(int(rng.integers(SIDE)), int(rng.integers(SIDE)))


def _draw_argument(rng: np.random.Generator, op: str) -> str:
    return f"{rng.integers(GATES):02d}" if op in "JU" else f"{rng.integers(1, SIDE)}"


def _mistype(square: str, rng: np.random.Generator) -> str:
    """Return one of the nine other squares of the same file."""
    return _square(FILES.index(square[0]), int(square[1]) + int(rng.integers(1, SIDE)))


GRID = Notation(
    name="tiny_grid",
    checker="grid",
    families={"in": "moves", "out": "mirrors"},
    guess_rate=1 / SIDE**2,
    mark="X",
    state=f"[{FILES}]\\d",
    argument=r"\d{1,2}",
    operators={
        "N": _go(0, 1, mirrored=False),
        "E": _go(1, 0, mirrored=False),
        "J": _pass_gate(1),
        "V": _go(0, 1, mirrored=True),
        "H": _go(1, 0, mirrored=True),
        "U": _pass_gate(2),
    },
    plain={"in": "NE", "out": "VH"},
    product={"in": "J", "out": "U"},
    familiar={"V": "N", "H": "E", "U": "J"},
    draw_start=_draw_start,
    draw_argument=_draw_argument,
    mistype=_mistype,
    pause=",",
)
suite = ChainSuite(GRID)
