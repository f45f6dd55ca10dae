"""A run that was stopped and resumed is the run that was not, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments import char, toy
from jaxrnn.runs import loop
from jaxrnn.runs.checkpoints import committed_steps

CLOCKS = {"seconds", "steps_per_second"}

# A cell of a researcher's own, with a draw at every time step.
CELL = """
import jax, jax.numpy as jnp
from jaxrnn import chain, dropout, elman


def noisy(input_size, hidden_size):
    return chain(dropout(0.2), elman(input_size, hidden_size))
"""


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    words = ["the", "rose", "by", "any", "other", "name", "would", "smell", "as", "sweet"]
    order = np.random.default_rng(0).integers(0, len(words), 800)
    path.write_text(" ".join(words[i] for i in order), encoding="utf-8")
    return path


@pytest.fixture
def cell(tmp_path):
    path = tmp_path / "noisy.py"
    path.write_text(CELL, encoding="utf-8")
    return path


def small_char(text) -> list[str]:
    """14 segments an epoch in chunks of 3, 3, 3, 3 and 2."""
    sizes = "--num-layers 1 --hidden-size 6 --embedding-size 4 --batch-size 8 --num-steps 30"
    flags = f"{sizes} --epochs 2 --log-every 3 --learning-rate 0.01 --sample-length 5"
    return ["--corpus", str(text), *flags.split(), "--checkpoint-seconds", "0"]


SMALL_TOY = [
    *["--num-steps", "2", "3", "--state-size", "2", "3", "--epochs", "2", "2"],
    *["--length", "1200", "--batch-size", "10", "--seeds", "2", "--log-every", "7"],
    *["--checkpoint-seconds", "0"],
]


class _Killed(BaseException):
    """What no handler catches, like the end of the process."""


def kill_after(monkeypatch, chunks):
    """The process dies when it has logged this many chunks, before it can save the last."""
    log_chunk, count = loop._Keeper.log_chunk, [0]

    def dying(self, metrics):
        shown = log_chunk(self, metrics)
        count[0] += 1
        if count[0] == chunks:
            self._log.flush()
            raise _Killed
        return shown

    monkeypatch.setattr(loop._Keeper, "log_chunk", dying)


def logged(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in CLOCKS} for line in lines]


def last_states(run: Path) -> dict[str, np.ndarray]:
    from jaxrnn.runs import checkpoints

    arrays = {}
    for setting in sorted((run / "checkpoints").iterdir()):
        folder = setting / f"{committed_steps(setting)[-1]:010d}"
        recorded = checkpoints._verified(folder)["leaves"]
        found = checkpoints._read_arrays(folder, recorded)
        arrays |= {f"{folder.parent.name}/{folder.name}{name}": a for name, a in found.items()}
    return arrays


def assert_same_run(a: Path, b: Path) -> None:
    assert logged(a) == logged(b)
    ours, theirs = last_states(a), last_states(b)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert np.array_equal(ours[name], theirs[name], equal_nan=True), name
    mine, others = (json.loads((run / "summary.json").read_text()) for run in (a, b))
    assert without_clocks(mine["results"]) == without_clocks(others["results"])
    assert mine["claims"] == others["claims"]


def without_clocks(value):
    if isinstance(value, dict):
        return {k: without_clocks(v) for k, v in value.items() if "seconds" not in k}
    return [without_clocks(v) for v in value] if isinstance(value, list) else value


FULL = pytest.mark.full
# All that a run may differ in, and not each by itself: a training takes longest to compile.
CASES = [
    pytest.param(
        char,
        ["--devices", "1", "--dropout", "0.2", "--cell", "gru", "--precision", "bfloat16"],
        id="one device, dropout, bfloat16",
        marks=FULL,
    ),
    pytest.param(
        char,
        ["--devices", "2", "--window", "6", "--stride", "2", "--history", "4"],
        id="two devices, true truncation",
        marks=FULL,
    ),
    pytest.param(
        char,
        ["--devices", "2", "--batch-size", "7", "--estimator", "artbp", "--window", "6"],
        id="a batch they do not divide, drawn cuts",
        marks=FULL,
    ),
    pytest.param(char, ["--seeds", "2"], id="two seeds", marks=FULL),
    pytest.param(
        toy, ["--seeds", "3", "--devices", "2"], id="seeds they do not divide, two settings"
    ),
]


@pytest.mark.parametrize(("experiment", "flags"), CASES)
def test_killed_and_resumed(experiment, flags, text, tmp_path, monkeypatch):
    """Killed again and again: before its first checkpoint, in an epoch, and in the next."""
    flags = (small_char(text) if experiment is char else SMALL_TOY) + flags
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert experiment.main([*flags, "--run", str(whole)]) == 0
    arguments = [*flags, "--run", str(broken)]
    # Chunks that each process logs. The last of them is lost with it; in the toy's two settings of
    # two epochs a chunk is an epoch.
    for chunks in (1, 3) if experiment is toy else (1, 5, 4):
        with monkeypatch.context() as patch:
            kill_after(patch, chunks)
            with pytest.raises(_Killed):
                experiment.main(arguments)
        assert logged(broken) != logged(whole)
        arguments = ["--resume", str(broken), "--checkpoint-seconds", "0"]
    assert experiment.main(arguments) == 0
    assert_same_run(whole, broken)


@pytest.mark.full
def test_a_users_cell_is_resumed_from_the_run(text, cell, tmp_path, monkeypatch):
    flags = [*small_char(text), "--cell", f"{cell}:noisy"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert char.main([*flags, "--run", str(whole)]) == 0
    with monkeypatch.context() as patch:
        kill_after(patch, 4)
        with pytest.raises(_Killed):
            char.main([*flags, "--run", str(broken)])
    cell.unlink()
    assert char.main(["--resume", str(broken)]) == 0
    assert_same_run(whole, broken)


@pytest.mark.full
def test_raised_epochs_equal_more_epochs_from_the_start(text, tmp_path):
    whole, raised = tmp_path / "whole", tmp_path / "raised"
    flags = small_char(text)
    assert char.main([*flags, "--epochs", "3", "--run", str(whole)]) == 0
    assert char.main([*flags, "--run", str(raised)]) == 0
    assert char.main(["--resume", str(raised), "--epochs", "3"]) == 0
    assert_same_run(whole, raised)


def test_a_run_from_before_a_field_is_resumed(text, tmp_path):
    run = tmp_path / "run"
    assert char.main([*small_char(text), "--epochs", "1", "--run", str(run)]) == 0
    record = json.loads((run / "config.json").read_text())
    assert record["config"].pop("estimator") == "tbptt"
    (run / "config.json").write_text(json.dumps(record))
    assert char.main(["--resume", str(run), "--epochs", "2"]) == 0
    assert logged(run)[-1]["step"] == 28
    assert json.loads((run / "config.json").read_text())["config"]["estimator"] == "tbptt"


@pytest.mark.full
def test_a_member_alone_is_the_member_of_the_sweep(text, tmp_path):
    flags = [*small_char(text), "--devices", "1"]
    assert char.main([*flags, "--seeds", "3", "--run", str(tmp_path / "all")]) == 0
    assert char.main([*flags, "--seed", "1", "--run", str(tmp_path / "one")]) == 0
    mine = [line for line in logged(tmp_path / "all") if line["seed"] == 1]
    assert mine == logged(tmp_path / "one")


def refused(capsys, experiment, arguments) -> str:
    capsys.readouterr()
    assert experiment.main(arguments) not in (0, None)
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_what_changed_is_named(text, cell, tmp_path, capsys):
    run = tmp_path / "run"
    flags = [*small_char(text), "--epochs", "1", "--cell", f"{cell}:noisy"]
    assert char.main([*flags, "--run", str(run)]) == 0
    before = (run / "metrics.jsonl").read_bytes()
    resume = ["--resume", str(run)]
    assert "--hidden-size" in refused(capsys, char, [*resume, "--hidden-size", "7"])
    assert "--epochs" in refused(capsys, char, [*resume, "--epochs", "0"])
    assert "--devices" in refused(capsys, char, [*resume, "--devices", "2"])
    assert "--run" in refused(capsys, char, [*resume, "--run", str(tmp_path / "new")])
    assert "'char'" in refused(capsys, toy, resume)
    vocabulary = (run / "vocabulary.json").read_text(encoding="utf-8")
    (run / "vocabulary.json").write_text(vocabulary.replace('"e"', '"z"'), encoding="utf-8")
    assert "vocabulary.json: symbols is not what" in refused(capsys, char, resume)
    (run / "vocabulary.json").write_text(vocabulary, encoding="utf-8")
    cell.write_text(CELL + "\n# another\n", encoding="utf-8")
    assert "noisy.py" in refused(capsys, char, resume)
    cell.unlink()
    text.write_text(text.read_text() + "!", encoding="utf-8")
    assert "text.txt" in refused(capsys, char, resume)
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_damaged_checkpoint_is_passed_over(text, tmp_path, capsys, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert char.main([*small_char(text), "--run", str(whole)]) == 0
    with monkeypatch.context() as patch:
        kill_after(patch, 6)
        with pytest.raises(_Killed):
            char.main([*small_char(text), "--run", str(broken)])
    newest = sorted((broken / "checkpoints" / "char").iterdir())[-1]
    victim = max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    capsys.readouterr()
    assert char.main(["--resume", str(broken)]) == 0
    assert "falling back to checkpoint" in capsys.readouterr().err
    assert_same_run(whole, broken)


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
    flags = [*small_char(text), "--epochs", "6", "--devices", "1"]
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
        arguments = ["--resume", str(broken), "--checkpoint-seconds", "0"]
    assert char.main(arguments) == 0
    assert_same_run(whole, broken)


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_says_how_to_resume(number, text, tmp_path):
    run = tmp_path / "run"
    arguments = [*small_char(text), *LONG, "--checkpoint-seconds", "1000", "--run", str(run)]
    process = start(arguments)
    wait_for(lambda: (run / "metrics.jsonl").exists(), process)
    time.sleep(2)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    (line,) = errors.splitlines()
    assert f"python -m experiments.char --resume {run}" in line
    (step,) = committed_steps(run / "checkpoints" / "char")
    assert step == max(entry["step"] for entry in logged(run))
