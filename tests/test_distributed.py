"""Runs of several processes: the numbers of one, and one line when one of them is lost."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from experiments_support import error_of, logged, small_char, write_text
from jax._src import clusters

from experiments import char, toy
from jaxrnn.runs import processes
from jaxrnn.runs.interrupt import Interrupts
from jaxrnn.runs.watching import BEAT, SILENT, Joined, _why_aborted

PROCESSES, DEVICES = 2, 2
TOY = [
    *["--preset", "smoke", "--seeds", "4", "--length", "2000", "--epochs", "12"],
    *["--checkpoint-seconds", "0"],
]


def test_alone_nothing_is_asked_of_anybody():
    tree = {"a": np.arange(3), "key": jax.random.key(0)}
    assert not processes.several()
    assert processes.writes()
    assert processes.agreed("mine") == "mine"
    assert processes.by_first(lambda: 3) == 3
    assert processes.gathered(tree, jax.devices()) is tree
    assert not processes.stop_asked(Interrupts())
    assert processes.stop_asked(Interrupts(signal.SIGTERM))
    processes.meet(jax.devices())
    processes.leave_together()
    processes.leave_alone(1, "this would end the process")


def test_who_waits_for_a_cause_waits_as_long_as_the_watch(monkeypatch):
    """By the same beats: after a process was stopped for a while, a single long wait was over
    before the watch had looked again, and the error of the network was said."""
    slept: list[float] = []
    monkeypatch.setattr(processes, "several", lambda: True)
    monkeypatch.setattr(processes.time, "sleep", slept.append)
    processes.await_cause(ValueError("its own"))
    assert not slept
    processes.await_cause(jax.errors.JaxRuntimeError("connection reset"))
    assert max(slept) <= BEAT
    assert sum(slept) > SILENT


def test_where_a_process_stands():
    assert processes.place_of(None, None, None) is None
    assert processes.place_of("[::1]:80", 1, 2) == ("[::1]:80", 1, 2)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--coordinator", "a:1"], "--process-id and --process-count"),
        (["--coordinator", "a", "--process-id", "0", "--process-count", "2"], "HOST:PORT"),
        (["--coordinator", "a:0", "--process-id", "0", "--process-count", "2"], "HOST:PORT"),
        (["--coordinator", "a:1", "--process-id", "2", "--process-count", "2"], "give 0 to 1"),
        (["--coordinator", "a:1", "--process-id", "0", "--process-count", "0"], "at least 1"),
    ],
)
def test_a_place_that_cannot_be(capsys, flags, said):
    assert said in error_of(capsys, toy.main, ["--distributed", *flags])


def test_a_place_without_others(capsys):
    flags = ["--coordinator", "a:1", "--process-id", "0", "--process-count", "2"]
    assert "give --distributed" in error_of(capsys, toy.main, flags)


SLURM = {
    "SLURM_JOB_ID": "4096",
    "SLURM_STEP_NODELIST": "node[03-06]",
    "SLURM_STEP_NUM_NODES": "4",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}
OPEN_MPI = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_RANK": "5",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}


@pytest.mark.parametrize(
    ("variables", "host"), [(SLURM, "node03"), (OPEN_MPI, "10.96.0.1")], ids=["slurm", "openmpi"]
)
def test_what_the_page_says_that_jax_detects(monkeypatch, variables, host):
    """Nothing is started: which process this is, of how many, and where the first one is."""
    for name in [*SLURM, *OPEN_MPI]:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    detect = clusters.ClusterEnv.auto_detect_unset_distributed_params
    address, count, process, local = detect(None, None, None, None, None, 1)
    assert str(address).rpartition(":")[0] == host
    assert (count, process, local) == (8, 5, [1])


@pytest.mark.full
def test_where_nothing_is_detected():
    command = [sys.executable, "-m", "experiments.toy", "--distributed"]
    there = {name: value for name, value in os.environ.items() if name not in {**SLURM, **OPEN_MPI}}
    there["JAX_PLATFORMS"], folder = "cpu", Path(__file__).parent.parent
    ended = subprocess.run(command, env=there, cwd=folder, capture_output=True, text=True)
    (line,) = ended.stderr.splitlines()
    assert "JAX finds no cluster here" in line
    assert "--coordinator HOST:PORT" in line
    assert ended.returncode == 1


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Started:
    """Processes that train one run together, on 127.0.0.1.

    Args:
      folder: for what they print.
      arguments: of a command, the module first.
    """

    def __init__(self, folder: Path, *arguments: object):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        where = ["--distributed", "--coordinator", address, "--process-count", str(PROCESSES)]
        folder.mkdir(exist_ok=True)
        self._files = [folder / f"{i}.{name}" for i in range(PROCESSES) for name in ("out", "err")]
        opened = [open(path, "w") for path in self._files]  # noqa: SIM115
        command = [sys.executable, "-m", *map(str, arguments), "--devices", str(DEVICES), *where]
        self.processes = [
            subprocess.Popen(
                [*command, "--process-id", str(i)],
                stdout=opened[2 * i],
                stderr=opened[2 * i + 1],
                env=os.environ | {"JAX_PLATFORMS": "cpu"},
                cwd=Path(__file__).parent.parent,
            )
            for i in range(PROCESSES)
        ]
        for file in opened:
            file.close()

    def ended(self, seconds: float = 240) -> list[Ended]:
        """How each ended, within so many seconds."""
        try:
            codes = [each.wait(seconds) for each in self.processes]
        finally:
            for each in self.processes:
                each.kill()
                each.wait()
        texts = [path.read_text() for path in self._files]
        return [Ended(code, *texts[2 * i : 2 * i + 2]) for i, code in enumerate(codes)]


def losses(run: Path) -> list[dict[str, Any]]:
    return [line for line in logged(run) if "loss" in line or "train_loss" in line]


def assert_same_losses(run: Path, other: Path) -> None:
    ours, theirs = losses(run), losses(other)
    place = ("setting", "seed", "step")
    assert [[a[n] for n in place] for a in ours] == [[b[n] for n in place] for b in theirs]
    for name in ("loss", "train_loss", "valid_loss"):
        np.testing.assert_allclose(
            [a[name] for a in ours if name in a],
            [b[name] for b in theirs if name in b],
            rtol=1e-5,
        )


class Case(NamedTuple):
    """A run by one process, and the arguments of the command that makes it."""

    module: str
    arguments: list[str]
    whole: Path


only = partial(pytest.mark.parametrize, "case", indirect=True)


@pytest.fixture(scope="module", params=["batch", "sweep"])  # four members too
def case(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    module, arguments = "toy", TOY
    if request.param == "batch":
        module, arguments = "char", small_char(write_text(folder))
        arguments = [*arguments[: arguments.index("--devices")], "--checkpoint-seconds", "0"]
    if request.param == "one seed":  # whose batch all devices divide
        arguments = [*TOY, "--seeds", "1"]
    if request.param == "sweep":
        arguments = [*TOY, "--seeds", "2", "--sweep", "learning_rate=0.05,0.1"]
    main = {"toy": toy, "char": char}[module].main
    assert main([*arguments, "--devices", "1", "--run", str(folder / "whole")]) == 0
    return Case(f"experiments.{module}", arguments, folder / "whole")


def runs_of(path: Path) -> list[Path]:
    return sorted(file.parent for file in path.rglob("metrics.jsonl"))


def assert_same_runs(path: Path, whole: Path) -> None:
    assert len(runs_of(path)) == len(runs_of(whole))
    for run, other in zip(runs_of(path), runs_of(whole), strict=True):
        assert (run / "summary.json").is_file()
        assert_same_losses(run, other)


@pytest.mark.full
def test_the_losses_are_those_of_one_process(case, tmp_path):
    run = tmp_path / "run"
    first, second = Started(tmp_path / "said", case.module, *case.arguments, "--run", run).ended()
    assert (first.code, first.err) == (0, "")
    assert second == (0, "", "")  # the first one speaks
    assert_same_runs(run, case.whole)


@pytest.mark.full
@pytest.mark.parametrize(("case", "killed"), [("members", 0), ("one seed", 1)], indirect=["case"])
def test_where_one_is_killed_the_other_ends_and_the_run_goes_on(case, tmp_path, killed):
    run = tmp_path / "run"
    started = Started(tmp_path / "said", case.module, *case.arguments, "--run", run)
    until(lambda: list(run.rglob("manifest.json")), started)
    started.processes[killed].kill()
    ends = started.ended()
    other = ends[1 - killed]
    assert other.code == 1
    (line,) = other.err.splitlines()
    assert f"process {killed} of 2 is gone" in line
    assert f"--resume {run}" in line
    assert not [path for path in runs_of(run) if (path / "summary.json").is_file()]
    copy = shutil.copytree(run, tmp_path / "copy")
    assert toy.main(["--resume", str(copy), "--devices", "1"]) == 0
    assert_same_runs(copy, case.whole)
    ends = Started(tmp_path / "again", case.module, "--resume", run).ended()
    assert [(end.code, end.err) for end in ends] == [(0, ""), (0, "")]
    assert_same_runs(run, case.whole)


@pytest.mark.full
@only(argvalues=["members"])
@pytest.mark.parametrize("asked", [0, 1])
def test_whichever_is_asked_to_stop_all_do(case, tmp_path, asked):
    run = tmp_path / "run"
    started = Started(tmp_path / "said", case.module, *case.arguments, "--run", run)
    until(lambda: list(run.rglob("manifest.json")), started)
    started.processes[asked].terminate()
    first, second = started.ended()
    (line,) = first.err.splitlines()
    assert line.startswith("interrupted: ")
    assert f"--resume {run}" in line
    assert (first.code, second) == (130, (130, "", ""))


@pytest.mark.full
@only(argvalues=["members"])
def test_what_is_wrong_is_said_once(case, tmp_path):
    first, second = Started(
        tmp_path / "said", case.module, *case.arguments, "--run", case.whole
    ).ended()
    (line,) = first.err.splitlines()
    assert "exists; choose another directory" in line
    assert (first.code, second) == (1, (1, "", ""))


def until(there: Any, started: Started, seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not there():
        lost = time.monotonic() > end or any(each.poll() is not None for each in started.processes)
        assert not lost, started.ended(0.1)
        time.sleep(0.02)


def test_the_first_process_names_who_was_silent():
    joined = Joined(0, 3, None, 2)
    assert "JAX ended this process" in _why_aborted(joined)
    now = time.monotonic()
    joined.seen = {1: ("7", now), 2: ("3", now - 12)}
    assert _why_aborted(joined) == "process 2 of 3 is gone: silent for 12 s"
    joined.seen[2] = ("8", now)
    assert "JAX ended this process" in _why_aborted(joined)
