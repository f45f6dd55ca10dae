"""Runs what is missing, one job after another, each as a process of its own.

jobs.json     what became of each job, and what it took
runs/NAME     its directory, NAME-2 and so on where another one is in the way
logs/NAME.txt what it printed
"""

import importlib
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from experiments.report.sources import Job
from experiments.report.telling import Telling
from jaxrnn.runs.command import one_line, parse
from jaxrnn.runs.config import record_of
from jaxrnn.runs.files import read_json, to_json, write_json
from jaxrnn.runs.finding import Made, present_code, runs_below
from jaxrnn.runs.flags import read_flags
from jaxrnn.runs.interrupt import Interrupts

ROOT = Path(__file__).parents[2]
POLL = 0.2  # seconds between two looks at a process


class Outcome(NamedTuple):
    """What became of a job.

    Attributes:
      state: finished: in this report's folder; reused: a run from elsewhere; failed; missing: it
        was not run, or interrupted.
      run: the directory of a finished run.
      seconds: wall-clock time over all sessions; of a run from elsewhere that of its training.
      processor_seconds: None where nobody knows.
      said: why it failed or is missing.
    """

    state: str
    run: Path | None = None
    seconds: float | None = None
    processor_seconds: float | None = None
    said: str = ""


class Place(NamedTuple):
    """Where a report is made.

    Attributes:
      out: its folder.
      look_in: finished runs are also looked for below it.
      any_code: take runs of other versions of the code and of JAX too.
      only_read: run nothing.
    """

    out: Path
    look_in: Path
    any_code: bool = False
    only_read: bool = False


def run_all(
    jobs: Sequence[Job], place: Place, asked: Interrupts, telling: Telling
) -> dict[str, Outcome]:
    """What became of each job, by name; once somebody has asked to stop, nothing more begins."""
    elsewhere, found = list(runs_below(place.look_in)), {}
    for job in jobs:
        if asked.requested:
            found[job.name] = _noted(place.out, job, Outcome("missing", said="not begun"))
            continue
        try:
            found[job.name] = _one(job, place, elsewhere, found, asked, telling)
        except (ValueError, OSError) as error:
            found[job.name] = Outcome("failed", said=one_line(error))
        telling.end(job, found[job.name].state, found[job.name].said)
    return found


def _one(
    job: Job,
    place: Place,
    elsewhere: Sequence[Made],
    before: Mapping[str, Outcome],
    asked: Interrupts,
    telling: Telling,
) -> Outcome:
    runs = {name: before[name].run for name in job.needs}
    if lacking := [name for name, run in runs.items() if run is None]:
        return Outcome("missing", said=f"needs {', '.join(lacking)}, which did not come to its end")
    flags = [str(runs[word[1:-1]]) if word.startswith("{") else word for word in job.flags.split()]
    wanted, usual, resumable = config_of(job, flags)
    ours = [
        made for made in runs_below(place.out / "runs") if _alike(job, wanted, usual, made, place)
    ]
    others = [made for made in elsewhere if _alike(job, wanted, usual, made, place)]
    for made in (*ours, *others):
        if made.finished:
            return _noted(place.out, job, _of_finished(made, place.out))
    if place.only_read:
        return Outcome("missing", said="no finished run of it is here")
    path, begun = _new(place.out / "runs" / job.name), [each.path for each in ours]
    if begun and resumable:
        path, flags = begun[-1], ["--resume", str(begun[-1])]
    else:
        flags = [*flags, job.into, str(path)]
    path.parent.mkdir(parents=True, exist_ok=True)
    log = place.out / "logs" / f"{job.name}.txt"
    log.parent.mkdir(exist_ok=True)
    telling.begin(job, "goes on" if flags[0] == "--resume" else "begins")
    start, used = time.monotonic(), _processor_seconds()
    code = call([*program(job), *flags], log, asked, telling.tick)
    return _noted(
        place.out,
        job,
        _ended(code, path, log, asked),
        time.monotonic() - start,
        _processor_seconds() - used,
    )


def config_of(job: Job, flags: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """The record of the config that the flags make, by the experiment's own reading of them; its
    defaults, which an older run has of the flags that came after it; and whether its runs can be
    resumed.

    Raises:
      ValueError: flags that the experiment does not take.
    """
    module = importlib.import_module(f"experiments.{job.experiment}")
    experiment = getattr(module, "EXPERIMENT", None)
    prog = f"python -m experiments.{job.experiment}"
    try:
        if experiment is None:
            # what names the directory is no part of it, but may be required
            config = usual = parse(module.Config, prog=prog, description="", argv=list(flags))
        else:
            config = experiment.resolved(read_flags(experiment, list(flags))[0], None)
            usual = type(config)()
    except SystemExit:
        raise ValueError(f"{job.command} cannot be read") from None
    wanted, defaults = (json.loads(to_json(record_of(each))) for each in (config, usual))
    return wanted, defaults, experiment is not None


def program(job: Job) -> list[str]:
    """What starts a job."""
    return [sys.executable, "-m", f"experiments.{job.experiment}"]


def source_of(job: Job) -> Path:
    """The experiment's file or folder."""
    found = importlib.util.find_spec(f"experiments.{job.experiment}")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin)
    return path.parent if path.name == "__init__.py" else path


def _alike(
    job: Job, wanted: Mapping[str, Any], usual: Mapping[str, Any], made: Made, place: Place
) -> bool:
    """Whether a run has the config that a job makes, and the code that is here."""
    into = job.into.removeprefix("--").replace("-", "_")
    if made.experiment != job.experiment:
        return False
    theirs, ours = ({**usual, **each, into: None} for each in (made.config, wanted))
    if theirs != ours:
        return False
    return place.any_code or (made.code, made.jax) == present_code(source_of(job))


def _of_finished(made: Made, out: Path) -> Outcome:
    seconds = read_json(made.path / "summary.json").get("seconds")
    inside = made.path.is_relative_to(out)
    return Outcome("finished" if inside else "reused", made.path, seconds)


def _new(path: Path) -> Path:
    names = (path if i == 1 else path.with_name(f"{path.name}-{i}") for i in count(1))
    return next(name for name in names if not name.exists())


def call(command: list[str], log: Path, asked: Interrupts, tick: Callable[[str], None]) -> int:
    """Runs a command, in a group of processes of its own: it is told once that somebody asked to
    stop, and saves what it has. Returns its exit code, negative where a signal ended it."""
    # a command that is put into the background ignores Ctrl-C, and so would its child: SIGTERM
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with open(log, "ab") as file:
        file.write(f"$ {' '.join(command[1:])}\n".encode(errors="backslashreplace"))
        file.flush()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )
    told = False
    try:
        while process.poll() is None:
            if asked.requested and not told:
                process.terminate()
                told = True
            tick(last_line(log))
            time.sleep(POLL)
    except BaseException:  # a second Ctrl-C
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return process.returncode


def last_line(log: Path) -> str:
    """The last line of what was printed."""
    with open(log, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4000))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _ended(code: int, path: Path, log: Path, asked: Interrupts) -> Outcome:
    if code == 0 and (path / "summary.json").is_file():
        return Outcome("finished", path)
    if asked.requested:
        return Outcome("missing", said="interrupted; the same command goes on with it")
    if code < 0:
        return Outcome("failed", said=f"killed by {signal.Signals(-code).name}; log {log}")
    if code == 0:
        return Outcome("failed", said=f"ended without a summary; log {log}")
    return Outcome("failed", said=f"{last_line(log)[:300]}; log {log}")


def _noted(
    out: Path, job: Job, found: Outcome, seconds: float = 0.0, processor_seconds: float = 0.0
) -> Outcome:
    """The outcome with what all sessions took, as jobs.json has it."""
    path = out / "jobs.json"
    every = read_json(path) if path.is_file() else {}
    past = every.get(job.name, {})
    if found.state != "reused":
        took = {
            "seconds": (past.get("seconds") or 0.0) + seconds,
            "processor_seconds": (past.get("processor_seconds") or 0.0) + processor_seconds,
        }
        if took["seconds"]:
            found = found._replace(**took)
    every[job.name] = {"command": job.command, **found._asdict()}
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, every)
    return found


def _processor_seconds() -> float:
    """Of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
