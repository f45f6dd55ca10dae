"""Which of the many tests of a kind the plain pytest command runs, and which `-m ""` does.

JAXRNN_TEST_WIDE=1 in the environment makes `-m ""` hours long: it has every cell where one of each
kind suffices otherwise, and every random step and composition.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

WIDE = os.environ.get("JAXRNN_TEST_WIDE") == "1"
# Of the cells one of each kind: a matrix alone, gates, two leaves, a mean over units, linear
# recurrences of real numbers, of complex ones and of blocks, a queue, and matrices in the carry,
# by themselves and beside a normaliser.
KINDS = ("elman", "gru", "lstm", "layer_norm_lstm", "min_gru", "lru", "linoss")
KINDS += ("feed_forward", "gated_delta_net", "mlstm")


def of_kinds(cells: Iterable[str]) -> list[str]:
    """For what is tried with cells, and is no law of each of them; names of other things stay."""
    from jaxrnn.cells import CELLS  # after conftest.py has set JAX up

    return [name for name in cells if WIDE or name not in CELLS or name in KINDS]


def some(values: Sequence[Any], every: int) -> list[Any]:
    """One of so many."""
    return list(values if WIDE else values[::every])


def mostly_full(values: Iterable[Any], *by_default: Any) -> list[Any]:
    """All values of a parametrisation, those not named behind the mark `full`: the ones named are
    those that differ in kind. A tuple is the arguments of one test."""
    values = list(dict.fromkeys(values))
    unknown = [value for value in by_default if value not in values]
    assert not unknown, f"{unknown} are none of {values}"
    return [
        value
        if value in by_default
        else pytest.param(
            *(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.full
        )
        for value in values
    ]
