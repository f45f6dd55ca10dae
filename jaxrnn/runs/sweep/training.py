"""Trains the groups of a sweep, setting after setting, and by halving where that is asked for."""

from collections.abc import Mapping, Sequence

from jaxrnn.parallel import Devices
from jaxrnn.runs import processes
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.experiment import Experiment
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.preparing import Prepared
from jaxrnn.runs.sweep.directory import SweepRecord, is_complete, write_sweep
from jaxrnn.runs.sweep.grouping import Group
from jaxrnn.runs.sweep.halving import best_of, kept_at_last, kept_of, score_of
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
      rungs: epochs after which points are left out; `record.rungs` has those that are over, and
        each one is written there.
      runs: by the names of the points.
    """
    by_setting: dict[str, list[tuple[Group, Prepared]]] = {}
    for group, prepared in groups:
        by_setting.setdefault(group.setting, []).append((group, prepared))
    groups.clear()
    left_out: set[str] = set()
    for setting in list(by_setting):
        its = by_setting.pop(setting)
        past = [rung for rung in record.rungs if rung.get("setting", setting) == setting]
        names = {point.name: None for group, _ in its for point in group.points}
        left = past[-1]["kept"] if past else [name for name in record.runs if name in names]
        for epochs in [*rungs[len(past) :], None]:
            for group, prepared in its:
                _train(experiment, group, prepared, left, runs, flags, theirs, epochs)
            if epochs is not None:
                left = _halved(setting, epochs, left, record, runs, flags)
        left_out |= {*names} - {*left}
    return left_out


def _halved(
    setting: str,
    epochs: int,
    left: Sequence[str],
    record: SweepRecord,
    runs: Mapping[str, RunDirectory],
    flags: TrainingFlags,
) -> list[str]:
    """The points that go on with a setting, written down."""
    scores = processes.by_first(lambda: {name: score_of(runs[name], setting) for name in left})
    kept = best_of(scores, kept_of(len(left), record.halving))
    record.rungs.append({"setting": setting, "epochs": epochs, "kept": kept})
    if processes.writes():
        write_sweep(flags.path, record)
    print(f"{setting}: after {epochs} epochs {len(kept)} of {len(left)} go on: {', '.join(kept)}")
    return kept


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
    names = [
        point.name
        for point in group.points
        if point.name in left and not is_complete(runs[point.name], point.config)
    ]
    seeds = len(group.members().seeds) // len(group.points)
    size = max(1, len(prepared.seeds) // seeds)
    for first in range(0, len(names), size):
        some = names[first : first + size]
        ready = group.among(some).programmed(prepared, experiment)
        there = [runs[name] for name in some]
        train(experiment, there, ready, flags, theirs, epochs=epochs, lenient=True)
