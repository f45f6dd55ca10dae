"""Hidden sizes that a budget allows."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import jax

from jaxrnn.models import TokenModel, build_model, count_parameters

LARGEST = 16_384
"""No hidden size above it is tried."""


def size_by_parameters(model: TokenModel, parameters: int, flag: str = "--parameters") -> int:
    """The largest hidden size whose model has no more than so many parameters.

    Args:
      model: of any hidden size.
      parameters: the budget.
      flag: what the error calls it.

    Raises:
      ValueError: even one hidden unit has more.
    """
    return largest(
        range(1, LARGEST + 1),
        lambda size: parameters_of(replace(model, hidden_size=size)) <= parameters,
        f"{flag} is {parameters}, too few for {model.cell} of any size; give more",
    )


def parameters_of(model: TokenModel) -> int:
    """How many parameters a model has, found without allocating them."""
    return count_parameters(jax.eval_shape(build_model(model).init, jax.random.key(0)))


def largest(sizes: Sequence[int], fits: Callable[[int], bool], otherwise: str) -> int:
    """The largest of ascending sizes that fits, where all below it do.

    Raises:
      ValueError: none does; it says `otherwise`.
    """
    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if fits(sizes[middle]) else (low, middle)
    if not low:
        raise ValueError(otherwise)
    return sizes[low - 1]
