"""Compare: any number of runs and sweeps beside each other, with what their seeds allow to say.

Question:  Which setting is better, how sure is that, and how much does the learning rate decide?
Command:   python -m experiments.compare RUN...
Expected:  a row for each setting: interquartile mean of its seeds with an interval, median, range,
           how probably it beats the first; windows of learning rates; plots, and one tidy CSV file
Run time:  seconds

Only runs that read the same text with the same part of it held out are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from jaxrnn.runs.command import run_command
from jaxrnn.runs.comparing import TOLERANCE, compare_runs, write_comparison
from jaxrnn.runs.directory import default_run_path
from jaxrnn.runs.progress import warn
from jaxrnn.runs.report import print_report


@dataclass(frozen=True)
class Config:
    """What is compared, and how."""

    runs: Positional[tuple[Path, ...]]
    """Directories of runs, and of sweeps, whose runs are all taken."""
    by: tuple[str, ...] = ()
    """Fields of the config that make a setting, such as cell; settings that differ in others, but
    for the learning rate, are taken together. All that differ if not given."""
    tolerance: float = TOLERANCE
    """What a learning rate in the window may lose, as a part of the best one's loss."""
    out: Path | None = None
    """Folder for the table and the plots; runs/compare/TIME if not given."""


def compare(config: Config) -> None:
    """Reads, prints, draws and writes.

    Raises:
      ValueError, OSError: whatever is wrong with a flag or a run, in one line.
    """
    if not config.runs:
        raise ValueError("no RUN is given; give the directories of runs or sweeps")
    if not 0 <= config.tolerance < float("inf"):
        raise ValueError(f"--tolerance is {config.tolerance}; give 0 or more, such as {TOLERANCE}")
    if config.out is not None and config.out.exists() and not config.out.is_dir():
        raise ValueError(f"--out {config.out} is a file; give a folder")
    found = compare_runs(config.runs, config.by, config.tolerance)
    for path in dict.fromkeys(row["run"] for row in found.rows if not row["finished"]):
        warn(f"{path} is not finished; it is shown as far as it is")
    print_report(found.report)
    print(*write_comparison(found, config.out or default_run_path("compare")), sep="\n")


def main(argv: Sequence[str] | None = None) -> int:
    return run_command("experiments.compare", Config, compare, description=__doc__, argv=argv)


if __name__ == "__main__":
    raise SystemExit(main())
