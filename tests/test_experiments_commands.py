"""The commands as a shell runs them: quick answers, plain lines in a pipe, a bar on a terminal."""

import ast
import importlib
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from experiments_support import small_char, write_text
from tiers import mostly_full, some

from experiments import __main__ as listing
from experiments import char, generate

ROOT = Path(__file__).parents[1]
MODULES = listing.experiments()
LABELS = ("Question", "Command", "Expected", "Run time")


def call(*arguments, **options) -> tuple[subprocess.CompletedProcess, float]:
    """A command, and the seconds of a processor that it took: what else the machine does must not
    fail a test."""
    before = _of_children()
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)
    return done, _of_children() - before


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_list_of_experiments():
    done, seconds = call("experiments")
    assert done.returncode == 0
    assert seconds < 1
    for name in MODULES:
        assert f"python -m experiments.{name}" in done.stdout
    titles = [line for line in done.stdout.splitlines() if line[:1].strip()]
    names = [line.partition(":")[0].replace("-", "_") for line in titles]
    assert names == [*MODULES, "check"]
    for label in ("Question:", "Command:", "Run time:"):
        assert done.stdout.count(label) == len(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_every_experiment_says_what_it_is(name):
    path = MODULES[name]
    found = listing.describe(path)
    assert all(found.get(label) for label in ("title", *LABELS))
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    labels = re.findall(r"^([A-Z][a-z ]+):", docstring.partition("\n")[2], re.MULTILINE)
    assert labels == list(LABELS)
    assert found["Command"].startswith(f"python -m experiments.{name}")


@pytest.mark.parametrize("name", MODULES)
def test_help_and_a_mistyped_flag(name, capsys):
    """All in one process; that each answers at once by itself is behind `full`."""
    main = importlib.import_module(f"experiments.{name}").main
    assert main(["--help"]) == 0
    assert f"usage: python -m experiments.{name}" in capsys.readouterr().out
    assert main(["--no-such-flag", "3"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert "--no-such-flag" in line


@pytest.mark.parametrize("name", mostly_full([*some([*MODULES], 4), "char"], "char"))
def test_help_answers_at_once(name):
    done, seconds = call(f"experiments.{name}", "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert seconds < 3
    assert f"usage: python -m experiments.{name}" in done.stdout
    if name in ("char", "toy"):
        assert "--preset {smoke,quick,published" in done.stdout
    for label in LABELS:
        assert re.search(rf"^{label}:", done.stdout, re.MULTILINE)


@pytest.mark.full
@pytest.mark.parametrize("name", some([*MODULES], 4))
def test_a_mistyped_flag_answers_at_once(name):
    done, seconds = call(f"experiments.{name}", "--no-such-flag", "3")
    assert done.returncode == 2
    assert done.stdout == ""
    assert seconds < 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "Unrecognized options: --no-such-flag" in line
    assert line.endswith(f"see python -m experiments.{name} --help")


@pytest.mark.full
def test_no_traceback_unless_asked(tmp_path):
    arguments = ["experiments.toy", "--preset", "smoke", "--run", tmp_path, "--cell", "nosuch"]
    done, _ = call(*arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: --run ")
    done, _ = call(*arguments, env=os.environ | {"JAXRNN_TRACEBACK": "1"})
    assert "Traceback" in done.stderr


def on_a_terminal(arguments, columns: int) -> str:
    """What a terminal of that width would have shown, without the colours."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not data:
            break
        shown += data
    os.close(ours)
    assert process.wait() == 0
    return shown.decode()


@pytest.mark.full
def test_a_bar_on_a_terminal_and_plain_lines_in_a_pipe(tmp_path):
    arguments = ["experiments.toy", "--preset", "smoke", "--run"]
    shown = on_a_terminal([*arguments, tmp_path / "a"], 80)
    assert "\x1b[" in shown
    assert "━" in shown
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown))
    assert max(len(line) for line in lines if " steps/s " in line) <= 80
    (last,) = [line for line in lines if " 400/400 " in line][-1:]
    assert re.search(r"loss 0\.\d+  \S+ steps/s  0:00:00 left", last)
    done, _ = call(*arguments, tmp_path / "b")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert re.search(r"step 400/400  loss 0\.\d+", done.stdout)


@pytest.mark.full
def test_a_run_on_two_devices_writes_text_on_one(tmp_path, capsys):
    text = write_text(tmp_path)
    run = tmp_path / "run"
    assert char.main([*small_char(text), "--devices", "2", "--run", str(run)]) == 0
    arguments = ["--run", run, "--prompt", "the", "--temperature", "0", "--length", "15"]
    capsys.readouterr()
    assert generate.main([str(argument) for argument in arguments]) == 0
    done, _ = call("experiments.generate", *arguments)
    assert done.stdout == capsys.readouterr().out
    assert done.stderr == ""


@pytest.mark.full
def test_ctrl_c_before_anything_began(tmp_path):
    """Once Python has imported the command, and while it compiles: one line, or a run that can be
    resumed."""
    text, run = write_text(tmp_path), tmp_path / "run"
    command = [sys.executable, "-m", "experiments.char", *small_char(text), "--run", str(run)]
    held_back = 0
    for pause in (1.2, 2.0, 3.0, 6.0):
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        if process.returncode == -signal.SIGINT:  # a busy machine: Python was still importing
            continue
        held_back += 1
        assert process.returncode == 130
        assert len(errors.splitlines()) == 1
        assert "Traceback" not in errors
        if run.exists():
            command = [*command[:3], "--resume", str(run)]
    assert held_back
