"""What no config of any experiment can be."""

import math
from collections.abc import Sequence
from typing import Any

from jaxrnn.base import require_positive
from jaxrnn.runs.config import flags_of


def check_numbers(config: Any) -> None:
    """What no setting of any experiment can be: a whole number that JAX cannot hold, a number below
    0, a NaN."""
    for name, value in flags_of(config).items():
        for number in value if isinstance(value, tuple) else (value,):
            flag = "--" + name.replace("_", "-")
            if isinstance(number, int) and abs(number) >= 2**31:
                raise ValueError(f"{flag} is {number}; give at most {2**31 - 1}")
            # also of a part that is not run: it stands in the run's config
            if isinstance(number, int | float) and number < 0:
                raise ValueError(f"{flag} is {number}; give 0 or more")
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"{flag} is {number}; give a finite number")
            if name == "max_norm" and number is not None and number <= 0:
                raise ValueError(f"{flag} is {number}; give a number above 0, or None")


def members(seed: int, seeds: int) -> range:
    """The seeds of a run, one member each.

    Raises:
      ValueError: fewer than one seed, or more than can be meant.
    """
    require_positive(seeds=seeds)
    if seeds > 10_000 or seed < 0:
        raise ValueError(f"--seed is {seed}, --seeds {seeds}; give at least 0, and at most 10,000")
    return range(seed, seed + seeds)


def entries(**columns: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Flags that hold an entry for each setting, side by side.

    Raises:
      ValueError: numbers of entries that differ, or none.
    """
    counts = [len(column) for column in columns.values()]
    if len({*counts}) != 1 or not counts[0]:
        *names, last = ["--" + name.replace("_", "-") for name in columns]
        raise ValueError(
            f"{', '.join(names)} and {last} have {', '.join(map(str, counts))} entries; "
            "give each the same number, at least one"
        )
    return list(zip(*columns.values(), strict=True))
