"""How far a run is: a bar on a terminal, a few plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

LINE_EVERY = 10.0  # seconds between two plain lines


class Progress(Protocol):
    def update(self, step: int, fields: dict[str, float]) -> None:
        """Shows that `step` of `total` training steps are done, with `fields` such as the loss."""
        ...

    def print(self, line: str) -> None:
        """Prints a line of its own, above the bar."""
        ...


@contextmanager
def progress(total: int, *, description: str, start: int = 0) -> Iterator[Progress]:
    """Shows the progress of `total` training steps; `start` were done before this process.

    A bar where stderr is a terminal; else a line on stdout for the first and the last update, and
    at most one in ten seconds between them.
    """
    if sys.stderr.isatty():
        with _bar(total, description, start) as bar:
            yield bar
        return
    lines = _Lines(total, description, _Clock(total, start))
    try:
        yield lines
    finally:
        lines.close()


class _Clock:
    """Steps per second and time left, from the steps of this process."""

    def __init__(self, total: int, start: int):
        self._total = total
        self._origin = (start, time.monotonic())
        self._updates = 0

    def status(self, step: int, fields: dict[str, float]) -> str:
        """E.g. `loss 3.4211  12.3 steps/s  0:01:23 left`."""
        now = time.monotonic()
        origin_step, origin_time = self._origin
        self._updates += 1
        if self._updates == 1:  # Compiling is in the first chunk only: measure from its end.
            self._origin = (step, now)
        parts = [f"{name} {value:.5g}" for name, value in fields.items()]
        if step > origin_step and now > origin_time:
            rate = (step - origin_step) / (now - origin_time)
            left = timedelta(seconds=round(max(self._total - step, 0) / rate))
            parts += [
                f"{rate:.3g} steps/s" if rate < 100 else f"{rate:.0f} steps/s",
                f"{left} left",
            ]
        return "  ".join(parts)


class _Lines:
    def __init__(self, total: int, description: str, clock: _Clock):
        self._total, self._clock = total, clock
        self._prefix = f"{description}  " if description else ""
        self._printed = -float("inf")
        self._waiting: str | None = None

    def update(self, step: int, fields: dict[str, float]) -> None:
        status = self._clock.status(step, fields)
        self._waiting = f"{self._prefix}step {step}/{self._total}  {status}".rstrip()
        if step >= self._total or time.monotonic() - self._printed >= LINE_EVERY:
            self._printed = time.monotonic()
            self.close()

    def print(self, line: str) -> None:
        print(line, flush=True)

    def close(self) -> None:
        """Prints the last update, if it was not."""
        if self._waiting is not None:
            self.print(self._waiting)
        self._waiting = None


class _Bar:
    def __init__(self, bar: Any, task: Any, clock: _Clock):
        self._bar, self._task, self._clock = bar, task, clock

    def update(self, step: int, fields: dict[str, float]) -> None:
        status = self._clock.status(step, fields)
        self._bar.update(self._task, completed=step, status=status)

    def print(self, line: str) -> None:
        # While the bar is up, rich puts what goes to a terminal above it.
        print(line, flush=True)


@contextmanager
def _bar(total: int, description: str, start: int) -> Iterator[_Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}", markup=False),
    ]
    # Stdout stays its own where it goes to a file; twice a second costs the training nothing.
    with Progress(
        *columns,
        console=Console(stderr=True),
        refresh_per_second=2,
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(description, total=total, completed=start, status="")
        yield _Bar(bar, task, _Clock(total, start))


def printable(line: str) -> str:
    """With every character that would end the line, move the cursor or show nothing as its escape:
    what is said may quote anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def warn(line: str) -> None:
    """A warning for the user, on stderr: stdout may be what somebody reads on."""
    print(f"warning: {printable(line)}", file=sys.stderr, flush=True)
