"""Whatever stops a run, it says so in one line, and what was saved is sound and goes on."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

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
)
from stopping import after_lines, assert_same_run
from trained_runs import OFTEN, char_run, shared_text

from experiments import char, toy
from jaxrnn.runs.checkpoints import committed_steps

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    return [*small_char(shared_text(tmp_path_factory)), "--seeds", "2"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing stopped, to compare with."""
    return char_run(tmp_path_factory)


@pytest.fixture
def finished(whole, tmp_path):
    """One that may be written into."""
    return shutil.copytree(whole, tmp_path / "finished")


# Ctrl-C and SIGTERM


def test_a_signal_saves_and_the_run_goes_on(flags, whole, tmp_path, capsys, monkeypatch):
    broken = tmp_path / "broken it"
    with monkeypatch.context() as patch:
        after_lines(patch, 15, lambda log: signal.raise_signal(signal.SIGTERM))
        capsys.readouterr()
        assert char.main([*flags, "--run", str(broken)]) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "interrupted: char stopped at step 20 of 28; "
        f"resume with: python -m experiments.char --resume '{broken}'"
    )
    assert committed_steps(broken / "checkpoints" / "char") == [20]
    assert not (broken / "summary.json").exists()
    assert char.main(["--resume", str(broken)]) == 0
    assert_same_run(whole, broken, members=2)


@pytest.mark.full
def test_a_signal_in_the_last_chunk_of_a_setting_stops_before_the_next(
    tmp_path, capsys, monkeypatch
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        after_lines(patch, 1, lambda log: signal.raise_signal(signal.SIGINT))
        assert toy.main([*SMALL_TOY, "--run", str(run)]) == 130
    assert "steps_2_state_2 stopped at step 61 of 61" in capsys.readouterr().err
    assert {line["setting"] for line in logged(run)} == {"steps_2_state_2"}
    assert toy.main(["--resume", str(run)]) == 0
    assert len(summary(run)["results"]) == 2


def interrupt(*arguments, **options):
    raise KeyboardInterrupt


def test_ctrl_c_while_nothing_trains(flags, finished, tmp_path, capsys, monkeypatch):
    """While the plot is drawn, and before there is a run."""
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", interrupt)
        assert char.main(["--resume", str(finished)]) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"python -m experiments.char --resume {finished}")
    cell = f"{write_cells(tmp_path)}:interrupts"
    assert char.main([*flags, "--cell", cell, "--run", str(tmp_path / "new")]) == 130
    assert "resume" not in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.full
def test_a_finished_run_reports_again(finished, capsys):
    before = files_of(finished)
    capsys.readouterr()
    assert char.main(["--resume", str(finished)]) == 0
    assert "valid (bits)" in capsys.readouterr().out
    after = files_of(finished)
    changed = {name for name, data in after.items() if before.get(name) != data}
    assert {name.partition("/")[0] for name in changed} <= {"plots", "tensorboard"}
    sample = next((finished / "samples").glob("*.txt"))
    sample.write_text(sample.read_text()[:-2])
    assert char.main(["--resume", str(finished)]) == 0
    assert "is not as it was written" in capsys.readouterr().err


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
    ours, theirs = (
        [without_clocks(summary(run)[field]) for field in ("results", "claims", "config")]
        for run in (whole, raised)
    )
    assert ours == theirs


# A loss that is no number


def test_a_loss_that_is_no_number(flags, tmp_path, capsys):
    """The first training step at such a rate leaves weights with which there is none."""
    rest = ["--learning-rate", "1e38", "--seed", "4", "--run", tmp_path / "run"]
    line = error_of(capsys, char.main, [*flags, *rest])
    assert "seed 4 is not finite at step 2 (setting char)" in line
    assert line.endswith("no checkpoint was due before that; try a lower --learning-rate")
    assert logged(tmp_path / "run")[0]["loss"] is None


# A full disk


def no_space(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.full
def test_a_full_disk(flags, whole, tmp_path, capsys, monkeypatch):
    """Of what the loop itself writes, test_runs_loop says the same."""
    broken, replace = tmp_path / "broken", os.replace

    def replace_all_but_samples(source, target):
        no_space() if "samples" in str(target) else replace(source, target)

    def refused(*arguments):
        return error_of(capsys, char.main, [*arguments, *OFTEN])

    full = "the disk is full: could not write"
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace_all_but_samples)
        sample = broken / "samples" / "epoch_001_seed_0.txt"
        assert f"{full} {sample}; " in refused(*flags, "--run", broken)
    assert committed_steps(broken / "checkpoints" / "char") == [9, 12]
    with monkeypatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", no_space)
        plot = broken / "plots" / "learning_curves.png"
        assert f"{full} {plot}; " in refused("--resume", broken)
    assert committed_steps(broken / "checkpoints" / "char") == [26, 28]
    assert char.main(["--resume", str(broken)]) == 0
    assert_same_run(whole, broken, members=2)


@pytest.mark.full
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk needs root"
)
def test_a_disk_that_really_fills_up(flags, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no permission to mount")
    try:
        flags = [*flags, "--epochs", "20", *OFTEN]
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
