"""The smallest sizes at which a cell still breaks a law in the same way."""

import re
import time
from collections.abc import Callable
from typing import NamedTuple

from jaxrnn.cells import CellFactory
from jaxrnn.laws import Subject, subject, what_is_broken


class Sizes(NamedTuple):
    input_size: int = 3
    hidden_size: int = 4
    batch_size: int = 2
    num_steps: int = 5

    def flags(self) -> str:
        """As on the command line."""
        pairs = self._asdict().items()
        return " ".join(f"--{name.replace('_', '-')} {size}" for name, size in pairs)

    def __str__(self) -> str:
        return ", ".join(f"{name} {size}" for name, size in self._asdict().items())


def made(factory: CellFactory, sizes: Sizes) -> Subject:
    """Raises: whatever the factory, `init` or `init_carry` raise."""
    return subject(factory, **sizes._asdict())


def smallest(
    factory: CellFactory,
    law: Callable[[Subject], None],
    sizes: Sizes,
    fault: str,
    seconds: float,
) -> tuple[Sizes, str]:
    """Makes one size after another as small as it can be while the law still breaks.

    Args:
      factory: of the cell.
      law: which it breaks at `sizes`.
      sizes: to begin with.
      fault: what the law said of them. Numbers apart it has to say the same: at sizes of 1 a cell
        may break for a reason of its own.
      seconds: after which no other size is tried.

    Returns:
      The smallest sizes found, and what the law says of them.
    """
    end = time.monotonic() + seconds
    for name in ("hidden_size", "input_size", "num_steps", "batch_size"):
        for size in range(1, getattr(sizes, name)):
            if time.monotonic() >= end:
                return sizes, fault
            tried = sizes._replace(**{name: size})
            found = _fault(factory, law, tried)
            if found is not None and _kind(found) == _kind(fault):
                sizes, fault = tried, found
                break
    return sizes, fault


def _fault(factory: CellFactory, law: Callable[[Subject], None], sizes: Sizes) -> str | None:
    try:
        return what_is_broken(law, made(factory, sizes))
    except Exception:  # it cannot be made that small
        return None


def _kind(fault: str) -> str:
    """A fault without its numbers, shapes and places."""
    without_places = re.sub(r" at \[[^\]]*\]|\[[\d, :]*\]|\([\d, ]*\)", "", fault)
    return re.sub(r"[-+]?(\d[\d.]*(e[-+]?\d+)?|nan|inf)", "#", without_places)
