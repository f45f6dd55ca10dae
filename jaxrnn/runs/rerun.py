"""Repeats a run from its own directory, and says what came out otherwise."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrnn.cell_files import cell_file
from jaxrnn.runs.cell_code import check_code, kept_in
from jaxrnn.runs.config import config_of
from jaxrnn.runs.directory import RunDirectory, read_metrics
from jaxrnn.runs.environment import recorded_devices
from jaxrnn.runs.experiment import Experiment
from jaxrnn.runs.flags import TrainingFlags, recorded_config
from jaxrnn.runs.interrupt import interrupts
from jaxrnn.runs.load import load
from jaxrnn.runs.lock import releasing_locks
from jaxrnn.runs.opening import with_code_of
from jaxrnn.runs.places import code_of
from jaxrnn.runs.records import read_record

CLOCKS = ("seconds", "steps_per_second")


class Difference(NamedTuple):
    """How two runs of one config differ.

    Attributes:
      numbers: how many of the log were compared.
      missing: lines that one of the logs does not have.
      first: setting, seed and training step of the first number that is another; None where all
        are equal.
      log: the largest difference of a number of the log, relative to it.
      params: the largest difference of a param, of all members, relative to the largest param of
        its array.
    """

    numbers: int
    missing: int
    first: tuple[str, int, int] | None
    log: float
    params: float

    def __str__(self) -> str:
        lacking = f"; {self.missing} lines of one log are not in the other" if self.missing else ""
        if self.first is None and not self.params:
            return f"bit-equal: {self.numbers:,} numbers of the log and all params{lacking}"
        where = "the log is equal"
        if self.first is not None:
            setting, seed, step = self.first
            where = (
                f"numbers of the log by at most {self.log:.1e} of themselves, first at step {step} "
                f"of {setting}, seed {seed}"
            )
        return f"not equal: {where}; params by at most {self.params:.1e} of the largest{lacking}"


def rerun(experiment: Experiment, source: Path, flags: TrainingFlags) -> Difference:
    """Runs what `source` ran once more, on as many devices, into `flags.run`.

    Raises:
      ValueError, OSError: `source` is no run of the experiment, its text is not there, or its code
        is not trusted.
    """
    from jaxrnn.runs.main import run

    first = RunDirectory(source)
    preset = experiment.presets["published"]
    config: Any = config_of(type(preset), recorded_config(experiment, source, "DIR"))
    for kind, name in code_of(config):
        kept = kept_in(first, kind)
        code = kept if kept.is_file() else cell_file(name)
        assert code is not None
        check_code(first, code, trusted=flags.trust, known_only=flags.no_cell_code)
    flags = replace(flags, devices=flags.devices or recorded_devices(source))
    with interrupts() as asked, releasing_locks():
        second = run(experiment, with_code_of(first, config), flags, asked, repeated=first)
    return difference(first, second)


def difference(first: RunDirectory, second: RunDirectory) -> Difference:
    """Compares logs and params; see `Difference`."""
    ours, theirs = _numbers(first), _numbers(second)
    both = [key for key in ours if key in theirs]
    numbers, other, log = 0, None, 0.0
    for key in both:
        for name in {**ours[key], **theirs[key]}:
            here, there = ours[key].get(name), theirs[key].get(name)
            numbers += 1
            if here != there:
                other = other or key
                log = max(log, _relative(here, there))
    return Difference(
        numbers=numbers,
        missing=len(ours) + len(theirs) - 2 * len(both),
        first=None if other is None else other[:3],
        log=log,
        params=_params(first, second),
    )


def _numbers(run: RunDirectory) -> dict[tuple[str, int, int, bool], dict[str, Any]]:
    """What each line of the log has besides its place and its clocks; an epoch's line apart."""
    found = {}
    for line in read_metrics(run.metrics):
        place = (line["setting"], line["seed"], line["step"])
        rest = {n: a for n, a in line.items() if n not in ("setting", "seed", "step", *CLOCKS)}
        found[(*place, "train_loss" in line)] = rest
    return found


def _relative(here: Any, there: Any) -> float:
    if here is None or there is None:
        return float("inf")
    return abs(here - there) / max(abs(here), abs(there), 1e-30)


def _params(first: RunDirectory, second: RunDirectory) -> float:
    record = read_record(first)
    largest = 0.0
    for setting in record["settings"]:
        for member in range(len(record["seeds"])):
            ours, theirs = (
                load(run.path, member, setting=setting["name"], which="last")[1]
                for run in (first, second)
            )
            for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
                if not np.array_equal(a, b, equal_nan=True):
                    scale = float(np.max(np.abs(a), initial=1e-30))
                    apart = float(np.max(np.abs(a - b))) / scale
                    # also where one of them is NaN, or both are infinite
                    largest = max(largest, apart if np.isfinite(apart) else np.inf)
    return largest
