"""Hidden sizes that a budget allows."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import jax

from jaxrnn.cell_files import find_cell
from jaxrnn.models import TokenModel, build_model, count_parameters

LARGEST = 16_384
"""No hidden size above it is tried."""
SMALLEST = 64
"""Hidden sizes from 1 to this are tried for one that a model can have."""
LADDER = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""The hidden sizes whose training is timed."""


def size_by_parameters(model: TokenModel, parameters: int, flag: str = "--parameters") -> int:
    """The largest hidden size whose model has no more than so many parameters, among the multiples
    of the smallest that the model can have.

    Args:
      model: of any hidden size.
      parameters: the budget.
      flag: what the error calls it.

    Raises:
      ValueError: even the smallest has more; or as `smallest_size`.
    """
    counts, unit = {}, smallest_size(model)

    def fits(units: int) -> bool:
        counts[units] = parameters_of(replace(model, hidden_size=units * unit))
        return counts[units] <= parameters

    low, high, guess = 0, LARGEST // unit + 1, max(1, 64 // unit)
    while high - low > 1:
        low, high = (guess, high) if fits(guess) else (low, guess)
        # parameters grow about as the square of the size; where they do not, halves are tried
        guess = round(guess * (parameters / counts[guess]) ** 0.5)
        guess = (low + high) // 2 if len(counts) > 6 else min(max(guess, low + 1), high - 1)
    if not low:
        said = f"{flag} is {parameters}, too few for {model.cell} of any size"
        raise ValueError(f"{said}; give at least {counts[1]}")
    return low * unit


def size_by_seconds(
    seconds: Callable[[int], float],
    most: float,
    flag: str = "--seconds",
    cell: str = "the cell",
    unit: int = 1,
) -> int:
    """The largest hidden size of `LADDER` whose training run takes no longer than so many seconds.

    Args:
      seconds: `hidden size -> seconds` of a whole training run.
      most: the budget.
      flag: what the error calls it.
      cell: of the model, for the error.
      unit: what hidden sizes are multiples of, to which those of the ladder are raised.

    Raises:
      ValueError: even the smallest takes longer.
    """
    sizes = sorted({-(-size // unit) * unit for size in LADDER})
    return largest(
        sizes,
        lambda size: seconds(size) <= most,
        f"{flag} is {most}, too few for {cell} of {sizes[0]} units; give more, or fewer epochs",
    )


def smallest_size(model: TokenModel) -> int:
    """The smallest hidden size that the model can have, of which its others are multiples: with
    several heads, of its own or its cell's, it is their number.

    Raises:
      ValueError: no size up to 64 is one; it says why the first is not.
    """
    find_cell(model.cell)  # what is wrong with the name is so at every size
    first = None
    for size in range(1, SMALLEST + 1):
        try:
            parameters_of(replace(model, hidden_size=size))
        except ValueError as error:
            first = first or error
        else:
            return size
    assert first is not None
    raise first


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
