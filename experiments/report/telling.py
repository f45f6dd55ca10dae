"""How far all jobs together are: a bar on a terminal, a few plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from experiments.report.sources import Job

LINE_EVERY = 60.0  # seconds between two plain lines


class Telling:
    """Says what begins, how far all is, and what ended.

    What is left is reckoned from what the jobs usually take, and from how much longer those of this
    session took than that.
    """

    def __init__(self, jobs: Sequence[Job], bar: Any = None):
        self._jobs, self._bar = list(jobs), bar
        self._left = {job.name: job.seconds for job in jobs}
        self._usual = self._took = 0.0
        self._current: tuple[Job, float] | None = None
        self._printed = time.monotonic()

    @property
    def total(self) -> float:
        return sum(job.seconds for job in self._jobs)

    def begin(self, job: Job, how: str) -> None:
        self._current = (job, time.monotonic())
        usual = timedelta(seconds=round(job.seconds))
        self._print(f"{self._place(job)} {job.command}: {how}, usually {usual}; {self.left()} left")

    def tick(self, line: str) -> None:
        """`line` is the last one that the job has printed."""
        if self._current is None:
            return
        job, _ = self._current
        if self._bar is not None:
            self._bar(self.done(), f"{job.name}  {self.left()} left  {line[:60]}")
        elif time.monotonic() - self._printed >= LINE_EVERY:
            share = self.done() / max(self.total, 1e-9)
            self._print(f"{share:.0%} of all, {self.left()} left; {job.name}: {line[:100]}")

    def end(self, job: Job, state: str, said: str) -> None:
        took = ""
        if self._current is not None and self._current[0] is job:
            seconds = time.monotonic() - self._current[1]
            took = f" after {timedelta(seconds=round(seconds))}"
            if state == "finished":
                self._usual, self._took = self._usual + job.seconds, self._took + seconds
        self._current = None
        self._left.pop(job.name, None)
        self._print(f"{self._place(job)} {job.name}: {state}{took}{': ' + said if said else ''}")

    def done(self) -> float:
        """Of the usual seconds of all jobs."""
        return self.total - sum(self._left.values()) + self._usual_of_current()

    def left(self) -> timedelta:
        slower = self._took / self._usual if self._usual else 1.0
        seconds = slower * (sum(self._left.values()) - self._usual_of_current())
        return timedelta(seconds=round(max(seconds, 0.0)))

    def _usual_of_current(self) -> float:
        """What of the current job is over; never all of it, however long it takes."""
        if self._current is None:
            return 0.0
        job, start = self._current
        slower = self._took / self._usual if self._usual else 1.0
        return min((time.monotonic() - start) / slower, 0.95 * job.seconds)

    def _place(self, job: Job) -> str:
        return f"[{self._jobs.index(job) + 1}/{len(self._jobs)}]"

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        print(line, flush=True)


@contextmanager
def progress_of(jobs: Sequence[Job]) -> Iterator[Telling]:
    """A bar where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield Telling(jobs)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    text = TextColumn("{task.description}", markup=False)
    with Progress(
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        text,
        console=Console(stderr=True),
        refresh_per_second=2,
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task("", total=sum(job.seconds for job in jobs))
        yield Telling(jobs, lambda done, line: bar.update(task, completed=done, description=line))
