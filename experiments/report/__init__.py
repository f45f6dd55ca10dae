"""Report: reproduces every source, and says what holds.

Question:  Which published statements do this code's own runs bear out?
Command:   python -m experiments.report --preset quick
Expected:  report.html, report.md and report.json in runs/report/quick: at least 40 claims of all
           sources with what was observed, and how many hold, fail and stay undecided
Run time:  below 30 minutes on two CPU cores; --preset published many hours. What is finished is
           not run again, and what was interrupted goes on, also after Ctrl-C: by the same command

What is run is a process of its own; one that fails or is killed is named, and the others go on.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.report.collecting import collect
from experiments.report.page import write_pages
from experiments.report.running import Place, run_all
from experiments.report.sources import PresetName, jobs_of, sources_here
from experiments.report.telling import progress_of
from jaxrnn.runs.command import run_command
from jaxrnn.runs.interrupt import Interrupted, interrupts
from jaxrnn.runs.lock import lock_run, releasing_locks
from jaxrnn.starting import called


@dataclass(frozen=True)
class Config:
    """What to reproduce."""

    preset: PresetName = "quick"
    """quick: every source, as far as half an hour decides it. published: all of it, as long as it
    takes. smoke: to see that it works."""
    only: tuple[str, ...] = ()
    """Some sources alone, by the names that the report has; all if not given."""
    out: Path | None = None
    """The report's folder; runs/report/PRESET if not given."""
    look_in: Path = Path("runs")
    """Finished runs of the same config and code below this folder are used as they are."""
    any_code: bool = False
    """Use finished runs of other versions of the code too, and of JAX."""
    only_read: bool = False
    """Run nothing; report on what is there."""


def report(config: Config, command: str) -> bool:
    """Runs what is missing and writes the report; returns whether every job came to its end.

    Args:
      command: that goes on with it.

    Raises:
      ValueError, OSError: whatever is wrong with a flag, in one line.
      Interrupted: somebody asked to stop; what there is so far is reported.
    """
    every = {source.name: source for source in sources_here()}
    if unknown := [name for name in config.only if name not in every]:
        raise ValueError(f"--only is {unknown[0]!r}; the sources are {', '.join(every)}")
    sources = [source for name, source in every.items() if not config.only or name in config.only]
    out = config.out or Path("runs") / "report" / config.preset
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file; give a folder")
    jobs = jobs_of(sources, config.preset)
    place = Place(out, config.look_in, config.any_code, config.only_read)
    with interrupts() as asked, releasing_locks(), progress_of(jobs) as told:
        out.mkdir(parents=True, exist_ok=True)
        lock_run(out)
        outcomes = run_all(jobs, place, asked, told)
    found = collect(sources, jobs, outcomes, config.preset, config.look_in)
    written = write_pages(found, out)
    print(*written, sep="\n")
    print("claims: " + ", ".join(f"{n} {verdict}" for verdict, n in found["counts"].items()))
    if asked.requested:
        raise Interrupted(f"what is finished is reported; go on with: {command}")
    return all(outcome.state in ("finished", "reused") for outcome in outcomes.values())


def main(argv: Sequence[str] | None = None) -> int:
    name = "experiments.report"
    given = list(sys.argv[1:] if argv is None else argv)

    def body(config: Config) -> None:
        if not report(config, f"{called(name)} {shlex.join(given)}".rstrip()):
            raise SystemExit(1)

    return run_command(name, Config, body, description=__doc__, argv=given)
