"""Whatever stops a run, it says so in one line, and what was saved is sound and goes on."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from experiments_support import (
    SMALL_TOY,
    error_of,
    files_of,
    logged,
    small_char,
    summary,
    without_clocks,
    write_cells,
    write_text,
)
from tiers import mostly_full

from experiments import char, toy
from jaxrnn import runs
from jaxrnn.runs import loop
from jaxrnn.runs.checkpoints import committed_steps

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def text(shared):
    return write_text(shared)


@pytest.fixture(scope="module")
def cells(shared):
    return write_cells(shared)


@pytest.fixture(scope="module")
def whole(text, shared):
    """A run that nothing stopped, to compare with."""
    run = shared / "whole"
    assert char.main([*small_char(text), "--run", str(run)]) == 0
    return run


@pytest.fixture(scope="module")
def whole_of_mine(text, cells, shared):
    """The same with a cell of a user's file."""
    run = shared / "whole of mine"
    assert char.main([*small_char(text), "--cell", f"{cells}:mine", "--run", str(run)]) == 0
    return run


@pytest.fixture
def after_chunk(monkeypatch):
    """`after_chunk(n, action)` calls `action(keeper)` when chunk n of this process was logged."""

    def install(number, action):
        log_chunk, count = loop._Keeper.log_chunk, [0]

        def logging(self, metrics):
            shown = log_chunk(self, metrics)
            count[0] += 1
            if count[0] == number:
                action(self)
            return shown

        monkeypatch.setattr(loop._Keeper, "log_chunk", logging)

    return install


def assert_same_run(a, b):
    assert logged(a) == logged(b)
    assert without_clocks(summary(a)["results"]) == without_clocks(summary(b)["results"])
    assert summary(a)["config"] == summary(b)["config"]
    for which in ("best", "last"):
        ours, theirs = (jax.tree.leaves(runs.load(run, which=which)[1]) for run in (a, b))
        assert all(map(np.array_equal, ours, theirs))


# Ctrl-C and SIGTERM


@pytest.mark.parametrize("number", mostly_full([signal.SIGINT, signal.SIGTERM], signal.SIGTERM))
def test_a_signal_saves_and_the_run_goes_on(text, whole, tmp_path, capsys, after_chunk, number):
    broken = tmp_path / "broken it"
    after_chunk(7, lambda keeper: signal.raise_signal(number))
    capsys.readouterr()
    assert char.main([*small_char(text), "--run", str(broken)]) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "interrupted: char stopped at step 20 of 28; "
        f"resume with: python -m experiments.char --resume '{broken}'"
    )
    assert committed_steps(broken / "checkpoints" / "char") == [20]
    assert not (broken / "summary.json").exists()
    assert char.main(["--resume", str(broken)]) == 0
    assert_same_run(whole, broken)


@pytest.mark.full
def test_a_signal_in_the_last_chunk_of_a_setting_stops_before_the_next(
    tmp_path, capsys, after_chunk
):
    run = tmp_path / "run"
    after_chunk(1, lambda keeper: signal.raise_signal(signal.SIGINT))
    assert toy.main([*SMALL_TOY, "--run", str(run)]) == 130
    assert "steps_2_state_2 stopped at step 61 of 61" in capsys.readouterr().err
    assert {line["setting"] for line in logged(run)} == {"steps_2_state_2"}
    assert toy.main(["--resume", str(run)]) == 0
    assert len(summary(run)["results"]) == 2


def test_ctrl_c_while_nothing_trains(text, tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(char, "report", interrupt)
        flags = [*small_char(text), "--epochs", "1", "--run", str(run)]
        assert char.main(flags) == 130
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith(f"python -m experiments.char --resume {run}")
        patch.setattr(char, "characters", interrupt)
        assert char.main([*flags[:-1], str(tmp_path / "new")]) == 130
        assert "resume" not in capsys.readouterr().err
        assert not (tmp_path / "new").exists()
    assert char.main(["--resume", str(run)]) == 0
    assert summary(run)["results"]


# Epochs that are raised, where a run has several settings


@pytest.mark.full
def test_epochs_of_several_settings_can_be_raised(tmp_path, capsys):
    whole, raised = tmp_path / "whole", tmp_path / "raised"
    assert toy.main([*SMALL_TOY, "--epochs", "2", "3", "--run", str(whole)]) == 0
    assert toy.main([*SMALL_TOY, "--epochs", "1", "2", "--run", str(raised)]) == 0
    resume = ["--resume", str(raised), "--epochs"]
    assert toy.main([*resume, "2", "2"]) == 0
    assert toy.main([*resume, "2", "3"]) == 0
    assert "--epochs is [1, 3]" in error_of(capsys, toy.main, [*resume, "1", "3"])
    for setting in ("steps_2_state_2", "steps_3_state_3"):
        ours, theirs = (
            [line for line in logged(run) if line["setting"] == setting] for run in (whole, raised)
        )
        assert ours == theirs
    assert without_clocks(summary(whole)) == without_clocks(summary(raised))


def test_a_finished_run_reports_again(text, tmp_path, capsys):
    run = tmp_path / "run"
    assert char.main([*small_char(text), "--epochs", "1", "--run", str(run)]) == 0
    before = files_of(run)
    capsys.readouterr()
    assert char.main(["--resume", str(run)]) == 0
    assert "valid (bits)" in capsys.readouterr().out
    after = files_of(run)
    after.pop("plots/learning_curves.png")
    assert {name: data for name, data in before.items() if name in after} == after


# A loss that is no number


def test_a_loss_that_is_no_number(text, cells, tmp_path, capsys):
    """From time step 130 on, in the middle of the second chunk."""
    run = tmp_path / "run"
    flags = [*small_char(text), "--cell", f"{cells}:breaks_late", "--checkpoint-seconds", "0"]
    line = error_of(capsys, char.main, [*flags, "--seed", "4", "--run", run])
    assert "seed 4 is not finite at step 5" in line
    assert "the checkpoint of step 3 is kept" in line
    assert committed_steps(run / "checkpoints" / "char") == [3]
    for which in ("best", "last"):
        leaves = jax.tree.leaves(runs.load(run, which=which)[1])
        assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert logged(run)[-1]["loss"] is None
    assert "not finite at step 5" in error_of(capsys, char.main, ["--resume", run])


@pytest.mark.full
def test_weights_that_overflow_at_the_end_of_a_chunk(text, cells, tmp_path, capsys):
    """Loss and gradient are finite in the only step of the chunk, what it leaves is not."""
    run = tmp_path / "run"
    steep = ["--cell", f"{cells}:steep", "--optimizer", "momentum", "--learning-rate", "1e38"]
    rest = ["--max-norm", "None", "--log-every", "1", "--checkpoint-seconds", "0"]
    line = error_of(capsys, char.main, [*small_char(text), *steep, *rest, "--run", run])
    assert "not finite at step 1" in line
    assert "no checkpoint was due before that" in line
    assert logged(run)[0]["loss"] is not None
    assert not (run / "checkpoints").exists()


# A full disk


def no_space(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullFile(io.FileIO):
    """Takes half of what is written, and then nothing."""

    room = 50

    def write(self, data):
        taken = super().write(data[: self.room])
        self.room -= taken
        return taken or no_space()


@pytest.mark.parametrize(
    ("what", "file", "steps"),
    [
        ("log", "metrics.jsonl", [9, 12]),
        ("checkpoint", "checkpoints/char/0000000012", [6, 9]),
        pytest.param("sample", "samples/epoch_001_seed_0.txt", [9, 12], marks=pytest.mark.full),
        pytest.param("plot", "plots/learning_curves.png", [26, 28], marks=pytest.mark.full),
    ],
)
def test_a_full_disk(text, whole, tmp_path, capsys, monkeypatch, after_chunk, what, file, steps):
    broken = tmp_path / "broken"
    flags = [*small_char(text), "--checkpoint-seconds", "0"]
    with monkeypatch.context() as patch:
        replace = os.replace

        def replace_all_but_samples(source, target):
            no_space() if "samples" in str(target) else replace(source, target)

        def fill(keeper):
            if what == "log":
                keeper._log._file.close()
                keeper._log._file = FullFile(broken / file, "ab")
            if what == "checkpoint":
                patch.setattr(os, "posix_fallocate", no_space)
            if what == "sample":
                patch.setattr(os, "replace", replace_all_but_samples)
            if what == "plot":
                patch.setattr("matplotlib.figure.Figure.savefig", no_space)

        after_chunk(4, fill)
        line = error_of(capsys, char.main, [*flags, "--run", broken])
    assert f"the disk is full: could not write {broken / file}; " in line
    assert committed_steps(broken / "checkpoints" / "char") == steps
    assert char.main(["--resume", str(broken)]) == 0
    assert_same_run(whole, broken)


@pytest.mark.full
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk needs root"
)
def test_a_disk_that_really_fills_up(text, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no permission to mount")
    try:
        flags = [*small_char(text), "--epochs", "20", "--checkpoint-seconds", "0"]
        command = [sys.executable, "-m", "experiments.char", *flags, "--run", str(disk / "run")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: the disk is full: could not write ")
        subprocess.run([*mount[:3], "-o", "remount,size=20M", *mount[5:]], check=True)
        assert char.main(["--resume", str(disk / "run")]) == 0
        whole = tmp_path / "whole"
        assert char.main([*flags, "--run", str(whole)]) == 0
        assert_same_run(whole, disk / "run")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# A process that died before its first checkpoint


@pytest.mark.parametrize(
    "died",
    mostly_full(["in the first chunks", "before environment.json", "before cell"], "before cell"),
)
def test_a_run_without_a_checkpoint_begins_again(
    text, cells, whole_of_mine, tmp_path, after_chunk, died
):
    flags = [*small_char(text), "--cell", f"{cells}:mine"]
    broken = tmp_path / "broken"

    class Killed(BaseException):
        """What no handler catches, like the end of the process."""

    def die(keeper):
        raise Killed

    after_chunk(2, die)
    with pytest.raises(Killed):
        char.main([*flags, "--run", str(broken)])
    assert not (broken / "checkpoints").exists()
    assert len(logged(broken)) == 2
    if died != "in the first chunks":
        for name in ("environment.json", "vocabulary.json", "metrics.jsonl"):
            (broken / name).unlink()
    if died == "before cell":
        (broken / "cell.py").unlink()
    assert char.main(["--resume", str(broken)]) == 0
    assert_same_run(whole_of_mine, broken)
    assert (broken / "cell.py").read_bytes() == cells.read_bytes()
    assert (broken / "environment.json").exists()
