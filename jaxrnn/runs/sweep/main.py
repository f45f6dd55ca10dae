"""The path of a sweep, from its flags to its table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxrnn.parallel import Devices
from jaxrnn.runs import processes
from jaxrnn.runs.bound import check_complete
from jaxrnn.runs.checking import members
from jaxrnn.runs.comparing import compare_runs, write_comparison
from jaxrnn.runs.comparing.reading import Unalike
from jaxrnn.runs.config import field_value, flags_of, record_of, replaced
from jaxrnn.runs.devices import start_devices
from jaxrnn.runs.directory import RunDirectory, create_run
from jaxrnn.runs.environment import as_recorded, describe_environment
from jaxrnn.runs.experiment import Experiment
from jaxrnn.runs.files import write_json
from jaxrnn.runs.flags import TrainingFlags, raised, recorded_config
from jaxrnn.runs.interrupt import Interrupts
from jaxrnn.runs.lock import lock_run
from jaxrnn.runs.log import RunLog
from jaxrnn.runs.opening import open_directory, with_stored_code
from jaxrnn.runs.preparing import Prepared
from jaxrnn.runs.progress import warn
from jaxrnn.runs.records import read_record
from jaxrnn.runs.report import print_report, write_report
from jaxrnn.runs.summary import plain
from jaxrnn.runs.sweep.cluster import check_cluster, submit
from jaxrnn.runs.sweep.directory import (
    SweepRecord,
    is_complete,
    read_sweep,
    run_of,
    write_sweep,
)
from jaxrnn.runs.sweep.grouping import Group, groups_of, programs_of
from jaxrnn.runs.sweep.halving import rungs_of
from jaxrnn.runs.sweep.points import Point, points_of, sweep_points
from jaxrnn.runs.sweep.training import side_by_side, train_groups
from jaxrnn.runs.user_recorders import recorder_factories

RAISED = ("epochs",)
"""Flags that may be raised when a sweep is resumed."""


def sweep(experiment: Experiment, config: Any, flags: TrainingFlags, asked: Interrupts) -> None:
    """Runs the experiment at every point, those of one program side by side; resumes a sweep. By
    halving every setting has its own points that go on.

    Args:
      config: the experiment's, without what is swept.
      flags: of the command line; a resumed sweep has its own points.
      asked: whether somebody asked to stop.
    """
    if flags.resume is not None and processes.writes() and not flags.only:
        lock_run(flags.resume)
    record = _record(experiment, config, flags)
    if flags.only:
        record = _chosen(record, flags)
    points = _points(config, record, flags.path)
    if flags.cluster is not None:
        _submit(experiment, record, points, flags, asked)
        return
    theirs = recorder_factories(flags)
    seeds = len(members(config.loop.seed, config.loop.seeds))
    workload = experiment.workload(config)._replace(members=len(points) * seeds)
    began = flags.resume
    if flags.only:  # a job, whose runs may have begun on other devices than those of others
        began = _single(flags, points[0]).resume
    devices = start_devices(replace(flags, resume=began), workload)
    with as_recorded(began):
        single = processes.by_first(lambda: {point.name: _single(flags, point) for point in points})
        # what a run records names the files that it began with, wherever it is now
        named = points
        points = [
            point._replace(config=_resolved(experiment, point, single[point.name]))
            for point in points
        ]
        rungs = _rungs(experiment, config, points, record)
        groups = groups_of(
            experiment,
            points,
            devices,
            bit_exact=record.bit_exact,
            side_by_side=side_by_side(rungs, record, seeds, devices),
        )
        if processes.stop_asked(asked):
            raise KeyboardInterrupt
        runs = processes.by_first(
            lambda: _open(experiment, record, named, groups, flags, single, devices)
        )
        print(f"{'sweep' if flags.resume is None else 'resuming'} {flags.path}", flush=True)
        programs = len(groups)
        print(f"{len(points)} runs of {seeds} seeds, {programs} compiled programs", flush=True)
        if flags.resume is None and (notice := experiment.notice(config)):
            print(notice, flush=True)
        flags = replace(flags, bit_exact=record.bit_exact)
        left_out = train_groups(experiment, groups, rungs, record, runs, flags, theirs)
        finished = [point for point in named if point.name not in left_out]
        processes.by_first(lambda: _finish(experiment, finished, runs))
    if not flags.only:
        logs = [RunLog(runs[point.name]) for point in points]
        processes.by_first(lambda: _compare(experiment, config, logs, flags.path))


def _submit(
    experiment: Experiment,
    record: SweepRecord,
    points: Sequence[Point],
    flags: TrainingFlags,
    asked: Interrupts,
) -> None:
    """Has a cluster train the runs."""
    if record.halving:
        raise ValueError(
            f"--cluster is {flags.cluster}, and {flags.path} compares its runs while they train "
            f"(--halving {record.halving}); leave it out"
        )
    programs = programs_of(experiment, points, bit_exact=record.bit_exact)
    check_cluster(flags)
    if flags.resume is None:
        create_run(flags.path)
        lock_run(flags.path)
    write_sweep(flags.path, record)  # where the jobs find it
    print(f"{'sweep' if flags.resume is None else 'resuming'} {flags.path}", flush=True)
    submit(experiment, flags, points, programs, asked)


def _chosen(record: SweepRecord, flags: TrainingFlags) -> SweepRecord:
    """Of these runs alone: a job of a large sweep reads nothing of the others."""
    if unknown := set(flags.only) - set(record.runs):
        raise ValueError(f"--only has {min(unknown)!r}, which is no run of {flags.resume}")
    if record.halving:
        raise ValueError(f"--only: {flags.resume} compares its runs (--halving); leave it out")
    return record._replace(runs={name: record.runs[name] for name in flags.only})


def _record(experiment: Experiment, config: Any, flags: TrainingFlags) -> SweepRecord:
    """What a new sweep is, or what a resumed one began as."""
    if flags.resume is not None:
        record, now = read_sweep(flags.resume), record_of(config)
        # all else is as it began; a later resume goes on with what was raised
        for name in RAISED:
            if name in record.fields and now[name] != record.config[name]:
                raise ValueError(
                    f"--resume {flags.resume}: --{name} is {now[name]}, and the sweep goes through "
                    f"{name}; leave it out, or give it with --resume and one of the runs"
                )
        return record._replace(config=record.config | {n: now[n] for n in RAISED if n in now})
    points = sweep_points(config, flags.sweep)
    return SweepRecord(
        experiment=experiment.name,
        config=record_of(config),
        runs={point.name: point.values for point in points},
        bit_exact=flags.bit_exact,
        halving=flags.halving,
    )


def _points(config: Any, record: SweepRecord, path: Path) -> list[Point]:
    found = zip(points_of(config, list(record.runs.values())), record.runs, strict=True)
    return [_as_far(point._replace(name=name), run_of(path, name)) for point, name in found]


def _as_far(point: Point, run: RunDirectory) -> Point:
    """The point, with what was raised where its run was resumed alone."""
    if not run.config.is_file():
        return point
    own, its = record_of(point.config), read_record(run)["config"]
    higher = {n: its[n] for n in RAISED if n in own and n in its and raised(own[n], its[n])}
    values = {n: field_value(type(point.config), n, value) for n, value in higher.items()}
    return point._replace(config=replaced(point.config, **values))


def _resolved(experiment: Experiment, point: Point, flags: TrainingFlags) -> Any:
    """A point's config, with what the run that it goes on with has found out."""
    begun = None if flags.resume is None else RunDirectory(flags.resume)
    return experiment.resolved(with_stored_code(point.config, flags), begun)


def _rungs(
    experiment: Experiment, config: Any, points: Sequence[Point], record: SweepRecord
) -> list[int]:
    """After which epochs of the sweep's own, whatever a point has that was resumed alone."""
    if not record.halving:
        return []
    own = {name: value for name, value in flags_of(config).items() if name in RAISED}
    first, *others = [
        {name: part.loop.epochs for name, part in experiment.settings(with_own).items()}
        for with_own in (replaced(point.config, **own) for point in points)
    ]
    if "epochs" in record.fields or any(other != first for other in others):
        raise ValueError(
            f"--halving is {record.halving}, which compares the points setting by setting after "
            "as many epochs; sweep neither epochs nor what says which settings there are"
        )
    if len({*first.values()}) > 1:
        told = ", ".join(f"{name} has {epochs}" for name, epochs in first.items())
        raise ValueError(
            f"--halving is {record.halving}, which compares the settings after as many epochs; "
            f"{told}: give each the same"
        )
    return rungs_of(len(points), min(first.values()), record.halving)


def _single(flags: TrainingFlags, point: Point) -> TrainingFlags:
    """The flags with which a point would be run, or resumed, alone."""
    run = run_of(flags.path, point.name)
    begun = run.config.is_file()
    where = {"resume": run.path, "run": None} if begun else {"resume": None, "run": run.path}
    return replace(flags, **where)


def _open(
    experiment: Experiment,
    record: SweepRecord,
    points: Sequence[Point],
    groups: Sequence[tuple[Group, Prepared]],
    flags: TrainingFlags,
    single: Mapping[str, TrainingFlags],
    devices: Devices,
) -> dict[str, RunDirectory]:
    """The directory of the sweep and those of its runs, made or held against what they were."""
    path, texts = flags.path, {}
    if flags.resume is None:
        create_run(path)
        lock_run(path)
    if not flags.only:
        write_sweep(path, record)
    runs: dict[str, RunDirectory] = {}
    for point in points:
        own = single[point.name]
        if own.resume is not None:
            recorded_config(experiment, own.resume, "--resume")  # held against its checkpoints
            if is_complete(begun := RunDirectory(own.resume), point.config):
                check_complete(begun)
        every = [
            each for group, _ in groups for each in group.trained if each.point.name == point.name
        ]
        settings, parts = [each.setting for each in every], [each.part for each in every]
        seeds = members(point.config.loop.seed, point.config.loop.seeds)
        again = flags.resume is not None
        runs[point.name] = open_directory(
            experiment, point.config, own, settings, parts, seeds, devices, begun_before=again
        )
        texts |= {name: sha256 for each in settings for name, sha256 in each.texts.items()}
    if not flags.only and not (path / "environment.json").exists():
        found = describe_environment(texts, len(devices), experiment.source)
        write_json(path / "environment.json", found)
    return runs


def _finish(
    experiment: Experiment, points: Sequence[Point], runs: Mapping[str, RunDirectory]
) -> None:
    for point in points:
        run = runs[point.name]
        if is_complete(run, point.config):
            continue
        try:
            write_report(experiment, point.config, RunLog(run))
        except Exception as error:  # of numbers that are null, say
            warn(f"{run.path} has no report: {error}")


def _compare(experiment: Experiment, config: Any, logs: Sequence[RunLog], path: Path) -> None:
    """All runs beside each other, as the experiment has it."""
    try:
        found = compare_runs([path])
    except Unalike as error:  # a sweep over texts, say, of which each run has its own results
        warn(f"{path} is trained, and not compared: {error}")
        return
    report = experiment.compared(config, logs, found.report)
    claims = [claim._asdict() for claim in report.claims]
    found_out = {"results": report.results, "claims": claims, "tables": plain(report.tables)}
    write_json(path / "summary.json", found_out)
    print_report(report)
    print(*write_comparison(found._replace(report=report), path), sep="\n")
