"""Hidden sizes that a budget allows."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import jax

from jaxrnn.models import TokenModel, build_model, count_parameters

LARGEST = 16_384
"""No hidden size above it is tried."""
LADDER = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""The hidden sizes whose training is timed."""


def size_by_parameters(model: TokenModel, parameters: int, flag: str = "--parameters") -> int:
    """The largest hidden size whose model has no more than so many parameters.

    Args:
      model: of any hidden size.
      parameters: the budget.
      flag: what the error calls it.

    Raises:
      ValueError: even one hidden unit has more.
    """
    counts: dict[int, int] = {}

    def fits(size: int) -> bool:
        counts[size] = parameters_of(replace(model, hidden_size=size))
        return counts[size] <= parameters

    low, high, guess = 0, LARGEST + 1, 64
    while high - low > 1:
        low, high = (guess, high) if fits(guess) else (low, guess)
        # parameters grow about as the square of the size; where they do not, halves are tried
        guess = round(guess * (parameters / counts[guess]) ** 0.5)
        guess = (low + high) // 2 if len(counts) > 6 else min(max(guess, low + 1), high - 1)
    if not low:
        raise ValueError(f"{flag} is {parameters}, too few for {model.cell} of any size; give more")
    return low


def size_by_seconds(
    seconds: Callable[[int], float], most: float, flag: str = "--seconds", cell: str = "the cell"
) -> int:
    """The largest hidden size of `LADDER` whose training run takes no longer than so many seconds.

    Args:
      seconds: `hidden size -> seconds` of a whole training run.
      most: the budget.
      flag: what the error calls it.
      cell: of the model, for the error.

    Raises:
      ValueError: even the smallest takes longer.
    """
    return largest(
        LADDER,
        lambda size: seconds(size) <= most,
        f"{flag} is {most}, too few for {cell} of {LADDER[0]} units; give more, or fewer epochs",
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
