"""What stops a run in the middle, and what two runs have to be alike in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from experiments_support import logged, summary, without_clocks

from jaxrnn import runs
from jaxrnn.runs.directory import MetricsLog


class Killed(BaseException):
    """What no handler catches, like the end of the process."""


def after_lines(monkeypatch: Any, count: int, action: Callable[[MetricsLog], object]) -> None:
    """Calls `action(log)` when this process has written so many lines of a run's log."""
    append, written = MetricsLog.append, [0]

    def appending(self, record):
        append(self, record)
        written[0] += 1
        if written[0] == count:
            action(self)

    monkeypatch.setattr(MetricsLog, "append", appending)


def dies_after(lines: int, train: Callable[[], object]) -> None:
    """Trains in a process that dies when it has written so many lines."""

    def die(log):
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        after_lines(patch, lines, die)
        with pytest.raises(Killed):
            train()


def assert_same_run(a: Path, b: Path, members: int = 1) -> None:
    """Bit for bit, whatever a clock measured."""
    assert logged(a) == logged(b)
    ours, theirs = summary(a), summary(b)
    for field in ("results", "claims", "config"):
        assert without_clocks(ours[field]) == without_clocks(theirs[field])
    for member in range(members):
        for which in ("best", "last"):
            mine, other = (
                jax.tree.leaves(runs.load(run, member=member, which=which)[1]) for run in (a, b)
            )
            assert all(map(np.array_equal, mine, other))
