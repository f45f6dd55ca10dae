"""A run that was stopped and resumed is the run that was not, bit for bit.

The host's loop itself, stopped anywhere: test_runs_loop.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from experiments_support import (
    SMALL_TOY,
    error_of,
    files_of,
    logged,
    small_char,
    unbind,
    write_cells,
    write_text,
)
from stopping import assert_same_run, dies_after
from tiers import mostly_full
from trained_runs import OFTEN, char_run, shared_text, toy_run

from experiments import char, toy
from jaxrnn.runs.checkpoints import committed_steps
from jaxrnn.runs.files import write_json


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return shared_text(tmp_path_factory)


def killed(experiment, arguments, lines: int) -> None:
    dies_after(lines, lambda: experiment.main([str(argument) for argument in arguments]))


@pytest.mark.full
def test_a_sweep_killed_and_resumed(text, tmp_path, tmp_path_factory):
    """In the first chunk of the second epoch. Of those that run by default, one of
    test_tensorboard_runs kills such a run."""
    broken = tmp_path / "broken"
    killed(char, [*small_char(text), "--seeds", "2", *OFTEN, "--run", broken], 13)
    assert committed_steps(broken / "checkpoints" / "char") == [12, 14]
    assert char.main(["--resume", str(broken)]) == 0
    assert_same_run(char_run(tmp_path_factory), broken, members=2)


def test_settings_killed_and_resumed(tmp_path, tmp_path_factory):
    """Seeds that two devices do not divide: in the first setting, and in the second."""
    whole, broken = toy_run(tmp_path_factory), tmp_path / "broken"
    lines = [line["setting"] for line in logged(whole)]
    first, second = (lines.count(setting) for setting in dict.fromkeys(lines))
    killed(toy, [*SMALL_TOY, *OFTEN, "--run", broken], 1)
    killed(toy, ["--resume", broken, *OFTEN], first + second - 5)
    assert {line["setting"] for line in logged(broken)} == set(lines)
    assert toy.main(["--resume", str(broken)]) == 0
    assert_same_run(whole, broken, members=6)


# All that a run may differ in, and not each by itself: a training takes longest to compile.
CASES = [
    pytest.param(
        ["--devices", "1", "--dropout", "0.2", "--cell", "gru", "--precision", "bfloat16"],
        id="one device, dropout, bfloat16",
    ),
    pytest.param(
        ["--devices", "2", "--window", "6", "--stride", "2", "--history", "4"],
        id="two devices, true truncation",
    ),
    pytest.param(
        ["--devices", "2", "--batch-size", "7", "--estimator", "artbp", "--window", "6"],
        id="a batch they do not divide, drawn cuts",
    ),
]


@pytest.mark.full
@pytest.mark.parametrize("flags", CASES)
def test_other_trainings_killed_and_resumed(flags, text, tmp_path):
    """Killed again and again: before its first checkpoint, in an epoch, and in the next."""
    flags = [*small_char(text), *flags, *OFTEN]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert char.main([*flags, "--run", str(whole)]) == 0
    arguments = [*flags, "--run", broken]
    for lines in (1, 5, 4):
        killed(char, arguments, lines)
        assert logged(broken) != logged(whole)
        arguments = ["--resume", broken, *OFTEN]
    assert char.main([str(argument) for argument in arguments]) == 0
    assert_same_run(whole, broken)


@pytest.mark.full
@pytest.mark.parametrize(
    "died", mostly_full(["before environment.json", "before cell.py"], "before cell.py")
)
def test_a_users_cell_is_resumed_from_the_run(died, tmp_path, tmp_path_factory, capsys):
    """Killed before its first checkpoint, when hardly a file was there, and after it; the user's
    file is gone then. The cell is the library's Elman network, and so are the numbers."""
    text, cells, broken = write_text(tmp_path), write_cells(tmp_path), tmp_path / "broken"
    source, resume = cells.read_bytes(), ["--resume", str(broken)]
    flags = [*small_char(text), "--seeds", "2", "--cell", f"{cells}:mine"]
    killed(char, [*flags, "--run", broken], 3)
    assert not (broken / "checkpoints").exists()
    for name in ("environment.json", "vocabulary.json", "metrics.jsonl"):
        (broken / name).unlink()
    if died == "before cell.py":
        (broken / "cell.py").unlink()
    # how many devices there were is lost with environment.json
    killed(char, [*resume, *OFTEN, "--devices", "1"], 9)
    assert (broken / "cell.py").read_bytes() == source
    assert (broken / "environment.json").exists()
    cells.write_bytes(source + b"\n# another\n")
    assert "cells.py is not the one the run began with" in error_of(capsys, char.main, resume)
    cells.unlink()
    assert char.main(resume) == 0
    assert logged(broken) == logged(char_run(tmp_path_factory))


@pytest.mark.full
def test_raised_epochs_equal_more_epochs_from_the_start(text, tmp_path, tmp_path_factory):
    """Of a run from before a field was there, too."""
    run = tmp_path / "run"
    flags = [*small_char(text), "--seeds", "2", "--epochs", "1"]
    assert char.main([*flags, "--run", str(run)]) == 0
    record = json.loads((run / "config.json").read_text())
    assert record["config"].pop("estimator") == "tbptt"
    (run / "config.json").write_text(json.dumps(record))
    unbind(run)
    assert char.main(["--resume", str(run), "--epochs", "2"]) == 0
    assert json.loads((run / "config.json").read_text())["config"]["estimator"] == "tbptt"
    assert_same_run(char_run(tmp_path_factory), run, members=2)


def test_what_changed_is_named(tmp_path, tmp_path_factory, capsys):
    run = shutil.copytree(char_run(tmp_path_factory), tmp_path / "run")
    text = write_text(tmp_path)
    record = json.loads((run / "config.json").read_text())
    record["config"]["corpus"] = str(text)
    write_json(run / "config.json", record)
    before = files_of(run)

    def refused(*more, experiment=char):
        return error_of(capsys, experiment.main, ["--resume", run, *more])

    assert "--hidden-size is 7" in refused("--hidden-size", "7")
    assert "--epochs is 0" in refused("--epochs", "0")
    assert "--epochs is 1" in refused("--epochs", "1")
    assert "--learning-rate is nan" in refused("--learning-rate", "nan")
    assert "--devices is 9" in refused("--devices", "9")
    assert "give one of them" in refused("--run", str(tmp_path / "new"))
    assert "leave --preset out" in refused("--preset", "smoke")
    assert "'char'" in refused(experiment=toy)
    for name, other, message in [
        ("config.json", b"{", "not valid JSON"),
        ("environment.json", None, "environment.json does not exist"),
        (
            "vocabulary.json",
            before["vocabulary.json"].replace(b'"e"', b'"z"'),
            "symbols is not what",
        ),
    ]:
        (run / name).unlink()
        if other is not None:
            (run / name).write_bytes(other)
        assert message in refused()
        (run / name).write_bytes(before[name])
    text.write_text(text.read_text() + "!", encoding="utf-8")
    assert "text.txt is not the one the run began with" in refused()
    assert files_of(run) == before


def start(arguments) -> subprocess.Popen:
    command = [sys.executable, "-m", "experiments.char", *arguments]
    root = Path(__file__).parents[1]
    return subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, process) -> None:
    for _ in range(600):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError("it takes too long")


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


# more than it trains before it is told to stop, on any machine
LONG = ["--epochs", "4000", "--log-every", "1"]


@pytest.mark.full
def test_sigkill_at_any_moment(text, tmp_path):
    """Real kills: at the first line of the log, and some checkpoints later. What a kill leaves of
    a checkpoint that is being written, test_runs_checkpoints tries file by file."""
    flags = [*small_char(text), "--epochs", "6", "--devices", "1", *OFTEN]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert char.main([*flags, "--run", str(whole)]) == 0
    arguments, log = [*flags, "--run", str(broken)], broken / "metrics.jsonl"
    for pause in (0.0, 0.31):
        process = start(arguments)
        begun = size_of(log)
        wait_for(lambda begun=begun: size_of(log) > begun, process)
        time.sleep(pause)
        process.kill()
        process.communicate()
        arguments = ["--resume", str(broken), *OFTEN]
    assert char.main(arguments) == 0
    assert_same_run(whole, broken)


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_says_how_to_resume(number, text, tmp_path):
    run = tmp_path / "run"
    process = start([*small_char(text), *LONG, "--checkpoint-seconds", "1000", "--run", str(run)])
    wait_for(lambda: (run / "metrics.jsonl").exists(), process)
    time.sleep(2)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    (line,) = errors.splitlines()
    assert f"python -m experiments.char --resume {run}" in line
    (step,) = committed_steps(run / "checkpoints" / "char")
    assert step == max(entry["step"] for entry in logged(run))
