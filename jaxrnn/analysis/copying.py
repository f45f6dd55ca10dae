"""How much of a text stands, word for word, in another."""

from collections.abc import Sequence

import numpy as np


def copied_shares(texts: Sequence[str], source: str, length: int) -> list[float | None]:
    """Of each text, the share of its stretches of `length` characters that stand in `source`; None
    for a text that is shorter.

    Every stretch counts, overlapping ones too: a text against itself is 1.

    Raises:
      ValueError: a length below 1.
    """
    if length < 1:
        raise ValueError(f"length is {length}; give at least 1 character")
    numbers = _stretches(_code_points("".join([source, *texts])), length)
    # a source that is shorter than `length` has none; what begins in it ends elsewhere
    known = np.zeros(len(numbers) + 1, bool)
    known[numbers[: max(len(source) - length + 1, 0)]] = True
    shares, start = [], len(source)
    for text in texts:
        mine = numbers[start : start + max(len(text) - length + 1, 0)]
        shares.append(float(known[mine].mean()) if len(mine) else None)
        start += len(text)
    return shares


def _stretches(symbols: np.ndarray, length: int) -> np.ndarray:
    """A number for the stretch that begins at each symbol, equal where the stretches are.

    A stretch of 2n symbols is a pair of stretches of n: sorting pairs of numbers is exact, where
    hashes are not, and takes as many sorts as `length` has binary digits, and ones among them.
    """
    symbols = np.unique(symbols, return_inverse=True)[1]
    numbers, done = symbols, 1
    for digit in f"{length:b}"[1:]:
        numbers, done = _pairs(numbers[:-done], numbers[done:]), 2 * done
        if digit == "1":
            numbers, done = _pairs(numbers[:-1], symbols[done:]), done + 1
    return numbers


def _pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    if not len(first):
        return first
    return np.unique(first * (int(second.max()) + 1) + second, return_inverse=True)[1]


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
