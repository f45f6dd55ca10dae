"""A sweep's runs as jobs of a cluster, through submitit
(https://github.com/facebookincubator/submitit).

A job is `--resume SWEEP --only RUN...`: the runs, or a part of them, that share their compiled
programs, trained side by side as they would be in one process. So a job compiles once, and what can
be trained together is divided only as far as `--jobs` asks for. A job that is preempted is asked to
stop, saves, and is queued again; one that ended otherwise, with runs that are not finished, is
submitted again by the command that waits. What is left then a later `--resume` finishes.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jaxrnn.runs.experiment import Experiment
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.interrupt import Interrupted, Interrupts
from jaxrnn.runs.progress import warn
from jaxrnn.runs.sweep.directory import is_complete, run_of
from jaxrnn.runs.sweep.points import Point
from jaxrnn.starting import installing

ATTEMPTS = 3
"""Submissions of one job, those after a preemption not counted."""
POLL = 5.0
"""Seconds between two looks at the jobs; SLURM is asked once for all, and more rarely."""
SAVING = 60.0
"""Seconds that a job has to save when it is asked to stop."""
OWN = (
    "run",
    "resume",
    "sweep",
    "halving",
    "bit_exact",
    "cluster",
    "cluster_options",
    "jobs",
    "only",
)
"""Flags that a job does not take over."""


class Job:
    """The command that trains some runs of a sweep. submitit pickles it.

    Args:
      command: of one process.
    """

    def __init__(self, command: Sequence[str]):
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        self._process = subprocess.Popen(self._command)
        try:
            code = self._process.wait()
        except BaseException:  # the job is cancelled
            self._stop()
            raise
        if code:
            raise RuntimeError(f"{shlex.join(self._command[:6])} ... ended with {code}")

    def checkpoint(self) -> Any:
        """submitit calls it when the job is preempted, or its time is over, and queues it again."""
        from submitit.helpers import DelayedSubmission

        self._stop()
        return DelayedSubmission(Job(self._command))

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(SAVING)
        except subprocess.TimeoutExpired:
            self._process.kill()


def parts_of(programs: Mapping[str, Any], jobs: int) -> list[list[str]]:
    """The runs of each job: those of one program together, and the largest halved until there are
    as many as `jobs`, or as many as runs.

    Args:
      programs: of each run, what is the same for those that are trained side by side.
    """
    together: dict[Any, list[str]] = {}
    for name, program in programs.items():
        together.setdefault(program, []).append(name)
    parts = list(together.values())
    while len(parts) < min(jobs, len(programs)):
        largest = max(parts, key=len)
        at, middle = parts.index(largest), (len(largest) + 1) // 2
        parts[at : at + 1] = [largest[:middle], largest[middle:]]
    return parts


def submit(
    experiment: Experiment,
    flags: TrainingFlags,
    points: Sequence[Point],
    programs: Mapping[str, Any],
    asked: Interrupts,
) -> None:
    """Submits what is not finished of a sweep, and waits for it.

    Args:
      points: all of the sweep.
      programs: as in `parts_of`, of every run.

    Raises:
      Interrupted: somebody asked to stop, and the jobs were ended.
      ValueError: runs that no attempt has finished.
    """
    configs = {point.name: point.config for point in points}

    def finished(name: str) -> bool:
        return is_complete(run_of(flags.path, name), configs[name])

    left = {name: each for name, each in programs.items() if not finished(name)}
    executor = _executor(flags, flags.path.absolute() / "jobs")
    parts = parts_of(left, flags.jobs)
    jobs = [executor.submit(Job(_command(experiment, flags, names))) for names in parts]
    print(f"{len(left)} runs in {len(jobs)} jobs, their output in {executor.folder}", flush=True)
    attempts = [1] * len(jobs)
    waiting = set(range(len(jobs)))
    while waiting:
        if asked.requested:
            for i in waiting:
                jobs[i].cancel()
            raise Interrupted(f"{len(waiting)} jobs were cancelled")
        for i in sorted(waiting):
            if not jobs[i].done():
                continue
            unfinished = [name for name in parts[i] if not finished(name)]
            said = (
                f"job {jobs[i].job_id}: {len(parts[i]) - len(unfinished)} of {len(parts[i])} runs"
            )
            if not unfinished:
                print(f"{said} are finished", flush=True)
            elif attempts[i] < ATTEMPTS:
                warn(f"{said} are finished ({jobs[i].state}); it is submitted again")
                jobs[i] = executor.submit(Job(_command(experiment, flags, unfinished)))
                attempts[i] += 1
                continue
            else:
                warn(f"{said} are finished after {ATTEMPTS} attempts; {jobs[i].paths.stderr}")
            waiting.remove(i)
        if waiting:
            time.sleep(POLL if flags.cluster == "slurm" else POLL / 10)
    if missing := [name for name in left if not finished(name)]:
        raise ValueError(
            f"{len(missing)} of {len(programs)} runs are not finished, {missing[0]} for one; see "
            f"{executor.folder}, and go on with --resume {flags.path} --cluster {flags.cluster}"
        )
    # which reads every log: nothing that waits for many runs should
    print(f"compare them: {experiment.command} --resume {flags.path}", flush=True)


def check_cluster(flags: TrainingFlags) -> None:
    """Raises: ValueError, there is no submitit, or no such cluster, or it has no such option."""
    with TemporaryDirectory() as folder:
        _executor(flags, Path(folder))


def _executor(flags: TrainingFlags, folder: Path) -> Any:
    try:
        import submitit
    except ImportError:
        raise ValueError(
            f"--cluster is {flags.cluster}, for which submitit is needed; {installing('cluster')}"
        ) from None
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=flags.cluster)
        executor.update_parameters(name="jaxrnn", **_options(flags))
    except (NameError, TypeError, ValueError, RuntimeError) as error:
        said, given = " ".join(str(error).split()), " ".join(flags.cluster_options)
        options = f" --cluster-options {given}" if given else ""
        raise ValueError(f"--cluster {flags.cluster}{options}: {said:.200}") from None
    return executor


def _options(flags: TrainingFlags) -> dict[str, Any]:
    """submitit's parameters, e.g. timeout_min=60 slurm_partition=gpu gpus_per_node=1."""
    found: dict[str, Any] = {} if flags.cluster == "slurm" else {"timeout_min": 60 * 24 * 7}
    for option in flags.cluster_options:
        name, equals, value = option.partition("=")
        if not name or not equals:
            raise ValueError(f"--cluster-options {option!r}; give NAME=VALUE, as submitit has them")
        found[name] = int(value) if value.isdecimal() else value
    return found


def _command(experiment: Experiment, flags: TrainingFlags, names: Sequence[str]) -> list[str]:
    """That trains some runs of the sweep, with the flags of the command that waits."""
    module = shlex.split(experiment.program)[1:]
    default, taken = TrainingFlags(), []
    for field in fields(TrainingFlags):
        value, flag = getattr(flags, field.name), "--" + field.name.replace("_", "-")
        if field.name in OWN or value == getattr(default, field.name):
            continue
        if value is True:
            taken.append(flag)
            continue
        taken += [flag, *map(str, value if isinstance(value, tuple) else (value,))]
    where = ["--resume", str(Path(flags.path).absolute()), "--only", *names]
    return [sys.executable, *module, *taken, *where]
