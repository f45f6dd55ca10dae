"""Trains the groups of a sweep, setting after setting, and by halving where that is asked for."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from jaxrnn.parallel import Devices
from jaxrnn.runs import processes
from jaxrnn.runs.checkpoints import committed_steps
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.experiment import Experiment
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.preparing import Prepared
from jaxrnn.runs.sweep.directory import (
    SweepRecord,
    is_complete,
    restored_search,
    save_search,
)
from jaxrnn.runs.sweep.grouping import Group
from jaxrnn.runs.sweep.halving import Search, alive_of, halved, kept_at_last, score_of
from jaxrnn.runs.train import train
from jaxrnn.runs.user_recorders import RecorderFactory


def side_by_side(rungs: Sequence[int], record: SweepRecord, seeds: int, devices: Devices) -> int:
    """How many points a program trains at once; 0: all that it can.

    By halving, those of the last rung, where their members take the devices evenly: the points of
    the rungs before are then trained by the same program, some after the others, and nothing is
    compiled for a smaller number of them. On a CPU a device computes members one after another
    anyway; others compute them side by side, and have all at once.
    """
    least = kept_at_last(len(record.runs), rungs, record.halving) if rungs else 0
    members = least * seeds
    if devices[0].platform != "cpu" or members < 2 or members % len(devices):
        return 0
    return least


def train_groups(
    experiment: Experiment,
    groups: list[tuple[Group, Prepared]],
    rungs: Sequence[int],
    record: SweepRecord,
    runs: Mapping[str, RunDirectory],
    flags: TrainingFlags,
    theirs: Mapping[str, RecorderFactory],
) -> set[str]:
    """Trains all groups to their ends; returns the names of the points that were left out of a
    setting, or of several.

    Args:
      groups: is emptied: the programs of a setting that is over are of no use.
      rungs: epochs after which points are left out; the search's checkpoint says how many of them
        are over.
      runs: by the names of the points.
    """
    by_setting: dict[str, list[tuple[Group, Prepared]]] = {}
    for group, prepared in groups:
        by_setting.setdefault(group.setting, []).append((group, prepared))
    groups.clear()
    left_out: set[str] = set()
    for setting in list(by_setting):
        its = by_setting.pop(setting)
        names = {point.name for group, _ in its for point in group.points}
        points = [name for name in record.runs if name in names]
        search = processes.by_first(partial(restored_search, flags.path, record, setting, points))
        for epochs in [*rungs[int(search.rung) :], None]:
            left = alive_of(points, search)
            for group, prepared in its:
                _train(experiment, group, prepared, left, runs, flags, theirs, epochs)
            if epochs is not None:
                search = _halved(setting, epochs, points, search, record, runs, flags)
        left_out |= {*points} - {*alive_of(points, search)}
    if left_out:
        print(
            f"{len(left_out)} runs were left out on the way, and are compared as far as they came"
        )
    return left_out


def _halved(
    setting: str,
    epochs: int,
    points: Sequence[str],
    search: Search,
    record: SweepRecord,
    runs: Mapping[str, RunDirectory],
    flags: TrainingFlags,
) -> Search:
    """The search after a rung, saved."""
    left = alive_of(points, search)

    def scored() -> list[float]:
        there = {*left}
        return [score_of(runs[n], setting, epochs) if n in there else np.nan for n in points]

    scores = np.array(processes.by_first(scored), np.float32)
    search = halved(search, scores, halving=record.halving)
    if processes.writes():
        save_search(flags.path, setting, points, search)
    kept = alive_of(points, search)
    print(f"{setting}: after {epochs} epochs {len(kept)} of {len(left)} go on: {', '.join(kept)}")
    return search


def _train(
    experiment: Experiment,
    group: Group,
    prepared: Prepared,
    left: Sequence[str],
    runs: Mapping[str, RunDirectory],
    flags: TrainingFlags,
    theirs: Mapping[str, RecorderFactory],
    epochs: int | None,
) -> None:
    """A group's points that are left, as many side by side as the program is for."""
    steps = (epochs or 0) * prepared.setting.training.steps_per_epoch
    names = [
        point.name
        for point in group.points
        if point.name in left
        and not is_complete(runs[point.name], point.config)
        and not (steps and _is_beyond(runs[point.name], group.setting, steps))
    ]
    seeds = len(group.members().seeds) // len(group.points)
    size = max(1, len(prepared.seeds) // seeds)
    for first in range(0, len(names), size):
        some = names[first : first + size]
        ready = group.among(some).programmed(prepared, experiment)
        there = [runs[name] for name in some]
        train(experiment, there, ready, flags, theirs, epochs=epochs, lenient=True)


def _is_beyond(run: RunDirectory, setting: str, steps: int) -> bool:
    """Whether it came further, alone or before a checkpoint of the search was lost."""
    return max(committed_steps(run.checkpoints / setting), default=0) > steps
