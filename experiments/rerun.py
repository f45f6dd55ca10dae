"""Repeat a run from its own directory.

Question:  Does a run come out as it did: bit for bit, or how far from that?
Command:   python -m experiments.rerun DIR
Expected:  the run once more, and one line: bit-equal, or by how much its log and params differ
Run time:  that of the run

Of a sweep every run is repeated, one after the other.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from jaxrnn.runs.command import run_command
from jaxrnn.runs.directory import default_run_path, open_run
from jaxrnn.runs.experiment import Experiment
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.records import recorded_experiment
from jaxrnn.runs.rerun import rerun
from jaxrnn.runs.sweep.directory import is_sweep, read_sweep


@dataclass(frozen=True)
class Config:
    """What to repeat."""

    dir: Positional[Path | None] = None
    """Directory of a run, or of a sweep."""
    out: Path | None = None
    """Directory of the new run; runs/rerun/TIME if not given."""
    devices: int = 0
    """How many devices to use; 0: as many as the run had."""
    trust: bool = False
    """Run the code of the run's own cell, where it was not written or trusted here."""
    no_cell_code: bool = False
    """Run no code that a run brings: known cells alone."""


def repeat(config: Config) -> None:
    """Raises: ValueError, OSError: in one line, what keeps it from being repeated."""
    if config.dir is None:
        raise ValueError("no DIR is given; give the directory of a run or a sweep")
    out, origin = config.out or default_run_path("rerun"), config.dir
    runs = {out: origin}
    if is_sweep(origin):
        begun = [n for n in read_sweep(origin).runs if (origin / n / "config.json").is_file()]
        runs = {out / name: origin / name for name in begun}
    for new, source in runs.items():
        flags = TrainingFlags(
            run=new, devices=config.devices, trust=config.trust, no_cell_code=config.no_cell_code
        )
        found = rerun(experiment_of(source), source, flags)
        print(f"{source} and {new} are {found}")


def experiment_of(path: Path) -> Experiment:
    """That of a run, by its name.

    Raises:
      ValueError: it is none of this folder's, or one that trains nothing.
    """
    name = recorded_experiment(open_run(path, "DIR"))
    found = None
    if name.isidentifier() and importlib.util.find_spec(f"experiments.{name}") is not None:
        found = getattr(importlib.import_module(f"experiments.{name}"), "EXPERIMENT", None)
    if found is None:
        raise ValueError(
            f"DIR {path} is a run of {name!r}, which is no experiment of this folder; call "
            "jaxrnn.runs.rerun with the one that made it"
        )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    return run_command("experiments.rerun", Config, repeat, description=__doc__, argv=argv)


if __name__ == "__main__":
    raise SystemExit(main())
