"""A run is trained by one process at a time, whatever its file system, and is free at its end."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from experiments_support import SMALL_TOY, error_of, files_of
from trained_runs import toy_run

from experiments import toy
from jaxrnn.runs import lock
from jaxrnn.runs.experiment import Report
from jaxrnn.runs.lock import LOCK, InUse, lock_run, releasing_locks

ROOT = Path(__file__).parents[1]
TINY = [*SMALL_TOY, "--num-steps", "2", "--state-size", "2", "--epochs", "1"]
HOLDING = """
import sys, time
from pathlib import Path
from jaxrnn.runs.experiment import Report
from jaxrnn.runs.lock import lock_run
{before}
lock_run(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(600)
"""
WITHOUT_FLOCK = """
import errno, fcntl
def refuse(*arguments):
    raise OSError(errno.EOPNOTSUPP, "not supported")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return toy_run(tmp_path_factory)


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "run"))


@contextmanager
def holding(run: Path, before: str = "") -> Iterator[subprocess.Popen]:
    """Another process that has locked the run; it is killed at the end."""
    command = [sys.executable, "-c", HOLDING.format(before=before), str(run)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def test_a_second_process_is_refused_until_the_first_is_killed(run, capsys):
    with holding(run) as first:
        before = files_of(run)
        said = error_of(capsys, toy.main, ["--resume", run])
        assert f"{run} is being trained by process {first.pid} on " in said
        assert files_of(run) == before
    assert (run / LOCK).is_file()  # what is left of the lock holds nobody up
    assert toy.main(["--resume", str(run)]) == 0
    assert toy.main(["--resume", str(run)]) == 0  # nor is it held when a command has ended


def test_a_new_run_is_locked_from_its_beginning(tmp_path):
    path = tmp_path / "run"

    def report(config, log):
        # another opening of the file is what another process has
        with open(path / LOCK) as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Report([])

    experiment = toy.EXPERIMENT._replace(report=report)
    assert experiment.main([*TINY, "--run", str(path)]) == 0
    with open(path / LOCK) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# Another process that holds a POSIX lock until its stdin ends, or is refused it.
LOCKF = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("in_the_run", [True, False])
def test_where_there_is_no_flock_another_lock_is_taken(in_the_run, tmp_path, monkeypatch, capsys):
    """A POSIX one, of the run's file or of one of the machine's; both of other processes."""
    place = tmp_path / LOCK if in_the_run else tmp_path / "elsewhere"
    command = [sys.executable, "-S", "-c", LOCKF, str(place)]
    real = fcntl.lockf

    def refuse(*arguments):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    def there(descriptor, how):
        if not os.path.samestat(os.fstat(descriptor), place.stat()):
            refuse()
        return real(descriptor, how)

    place.write_text("process 3 on there")
    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "lockf", there)
    monkeypatch.setattr(lock, "_elsewhere", lambda name: tmp_path / "elsewhere")
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
        releasing_locks(),
    ):
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(InUse, match="by process 3 on there"):
            lock_run(tmp_path)
        other.communicate()
        lock_run(tmp_path)
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert "BlockingIOError" in done.stderr
    assert f"process {os.getpid()} on " in place.read_text()  # not before: it ends a POSIX lock
    assert capsys.readouterr().err == ""


@pytest.mark.full
@pytest.mark.parametrize("missing", ["flock", "flock and lockf in the run"])
def test_a_file_system_without_flock(missing, run, monkeypatch):
    """It has POSIX locks, or none: then a file of the machine's stands for the run's."""
    real = fcntl.lockf
    both = missing != "flock"

    def refuse(*arguments):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    def elsewhere(descriptor, how):
        if os.fstat(descriptor).st_ino == (run / LOCK).stat().st_ino:
            refuse()
        return real(descriptor, how)

    before = WITHOUT_FLOCK + "fcntl.flock = refuse\n"
    if both:
        before += (
            "import os, sys\nreal = fcntl.lockf\n"
            "def elsewhere(descriptor, how):\n"
            "    if os.fstat(descriptor).st_ino == os.stat(sys.argv[1] + '/.lock').st_ino:\n"
            "        refuse()\n"
            "    return real(descriptor, how)\n"
            "fcntl.lockf = elsewhere\n"
        )
    monkeypatch.setattr(fcntl, "flock", refuse)
    if both:
        monkeypatch.setattr(fcntl, "lockf", elsewhere)
    with (
        holding(run, before) as first,
        releasing_locks(),
        pytest.raises(InUse, match=f"process {first.pid}"),
    ):
        lock_run(run)
    with releasing_locks():
        lock_run(run)


def test_nowhere_to_lock_is_said(run, monkeypatch, capsys):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    with releasing_locks():
        lock_run(run)
    assert "cannot be locked here" in capsys.readouterr().err
