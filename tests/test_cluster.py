"""A sweep's runs as jobs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from experiments_support import error_of, logged

from experiments import toy
from jaxrnn.runs.sweep.cluster import ATTEMPTS, Job, parts_of

RATES = ("0.05", "0.07", "0.1", "0.2", "0.3", "0.5")
TOY = [
    *["--preset", "smoke", "--seeds", "1", "--length", "2000", "--epochs", "20"],
    *["--checkpoint-seconds", "0"],
]
# else how many members are computed at once is measured, in the whole and in each job
SWEEP = [*TOY, "--devices", "1", "--bit-exact", "--sweep", f"learning_rate={','.join(RATES)}"]


def test_a_job_is_what_is_one_program_and_no_more_are_divided_than_asked():
    programs = dict(zip("abcdefg", [1, 1, 1, 1, 1, 2, 2], strict=True))
    assert parts_of(programs, 0) == [["a", "b", "c", "d", "e"], ["f", "g"]]
    assert parts_of(programs, 3) == [["a", "b", "c"], ["d", "e"], ["f", "g"]]
    assert parts_of(programs, 100) == [[name] for name in programs]
    assert parts_of({}, 3) == []


def test_what_cannot_be_jobs(tmp_path, capsys):
    def refused(*flags):
        return error_of(capsys, toy.main, [*TOY, "--run", tmp_path / "new", *flags])

    assert "give --sweep" in refused("--cluster", "local")
    assert "--cluster; give it" in refused("--jobs", "3")
    assert "--resume SWEEP" in refused("--only", "a")
    halving = ("--sweep", "learning_rate=0.1,0.2", "--halving", "2")
    assert "--halving" in refused("--cluster", "local", *halving)
    assert not (tmp_path / "new").exists()


@pytest.mark.full
def test_a_preempted_job_is_asked_to_stop_and_queued_again():
    pytest.importorskip("submitit")
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(3)); signal.pause()"
    part = Job([sys.executable, "-c", code])
    part._process = subprocess.Popen(part._command)
    time.sleep(1)
    again = part.checkpoint()
    assert part._process.returncode == 3
    assert again.function._command == part._command


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("cluster") / "whole"
    trains = start(*SWEEP, "--run", path)
    _, err = trains.communicate()
    assert trains.returncode == 0, err
    return path


def assert_complete(path: Path, whole: Path) -> None:
    for rate in RATES:
        name = f"learning_rate={rate}"
        assert (path / name / "summary.json").is_file()
        assert logged(path / name) == logged(whole / name)


def until(there, seconds: float = 240):
    end = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def trainer(path: Path) -> int | None:
    """The process that trains one of the runs, once a checkpoint is there and the end is not."""
    for rate in RATES:
        run = path / f"learning_rate={rate}"
        if list(run.rglob("manifest.json")) and not (run / "summary.json").is_file():
            return holder(run / ".lock")
    return None


def holder(lock: Path) -> int:
    return int(re.findall(r"process (\d+) ", lock.read_text())[0])


def start(*flags: object) -> subprocess.Popen[str]:
    """Compiled as users have it: by XLA:CPU's older emitters a member alone differs in a bit."""
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.toy", *map(str, flags)],
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.full
def test_a_job_that_is_killed_is_submitted_again(whole, tmp_path):
    pytest.importorskip("submitit")
    path = tmp_path / "sweep"
    waits = start(*SWEEP, "--run", path, "--cluster", "local", "--jobs", "3")
    try:
        os.kill(until(lambda: trainer(path)), signal.SIGKILL)
        out, err = waits.communicate(timeout=400)
    finally:
        waits.kill()
    assert waits.returncode == 0, err
    assert "6 runs in 3 jobs" in out
    (line,) = err.splitlines()
    assert "submitted again" in line
    assert ATTEMPTS > 1
    assert_complete(path, whole)


@pytest.mark.full
def test_what_jobs_left_a_resume_finishes(whole, tmp_path):
    pytest.importorskip("submitit")
    path = tmp_path / "sweep"
    waits = start(*SWEEP, "--run", path, "--cluster", "local", "--jobs", "2")
    try:
        until(lambda: trainer(path))
        waits.terminate()
        _, err = waits.communicate(timeout=120)
    finally:
        waits.kill()
    assert waits.returncode == 130
    assert f"--resume {path}" in err
    until(lambda: not alive(path))
    copy = shutil.copytree(path, tmp_path / "copy", ignore=shutil.ignore_patterns(".lock"))
    goes_on = start("--resume", copy, "--devices", "1")
    _, err = goes_on.communicate()
    assert goes_on.returncode == 0, err
    assert_complete(copy, whole)
    again = start("--resume", path, "--cluster", "local")
    out, err = again.communicate(timeout=400)
    assert (again.returncode, err) == (0, "")
    assert "1 jobs" in out
    assert_complete(path, whole)


def alive(path: Path) -> bool:
    """Whether a process trains one of the runs still."""
    for lock in path.rglob("*/.lock"):
        try:
            os.kill(holder(lock), 0)
        except ProcessLookupError:
            continue
        return True
    return False


@pytest.mark.full
@pytest.mark.parametrize("cluster", [[], ["--cluster", "local"]])
def test_epochs_of_a_sweep_are_raised(cluster, tmp_path):
    """Of all its runs, which were complete; what was raised stays."""
    if cluster:
        pytest.importorskip("submitit")
    small = [*TOY, "--devices", "1", "--sweep", "learning_rate=0.1,0.3", "--epochs", "2"]
    whole, path = tmp_path / "whole", tmp_path / "sweep"
    assert toy.main([*small, "--epochs", "3", "--run", str(whole)]) == 0
    assert toy.main([*small, "--run", str(path)]) == 0
    assert toy.main(["--resume", str(path), "--epochs", "3", *cluster]) == 0
    assert toy.main(["--resume", str(path)]) == 0
    for rate in ("0.1", "0.3"):
        assert logged(path / f"learning_rate={rate}") == logged(whole / f"learning_rate={rate}")
