"""A command that is stopped while it imports, or twice, ends in one line; one without a stderr
works."""

import atexit
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiers import mostly_full, some

from jaxrnn import starting
from jaxrnn.runs import interrupt
from jaxrnn.starting import module_of

ROOT = Path(__file__).parents[1]
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
COMMANDS = ("experiments.toy", "experiments.char", "experiments.generate", "jaxrnn.check")

# In the place of a module that every command imports: there the signal arrives.
ARRIVES = """
import gc, os, signal, time
def during(phase, info):
    os.kill(os.getpid(), signal.{number})
    time.sleep(0.01)
if {collecting}:
    gc.callbacks.append(during)
    gc.collect()
else:
    during(None, None)
time.sleep(20)
"""


def start(module: str, *arguments: str, path: Path, **options) -> subprocess.Popen:
    places = os.pathsep.join([str(path), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=path,
        env=os.environ | {"PYTHONPATH": places},
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


CASES = [
    (command, number, collecting)
    for command in COMMANDS
    for number in SIGNALS
    for collecting in (False, True)
]
BY_DEFAULT = (("experiments.toy", "SIGINT", True),)


@pytest.mark.parametrize(
    ("command", "number", "collecting"),
    mostly_full([*some(CASES, 3), *BY_DEFAULT], *BY_DEFAULT),
)
def test_a_signal_while_importing(command, number, collecting, tmp_path):
    (tmp_path / "optax.py").write_text(ARRIVES.format(number=number, collecting=collecting))
    process = start(command, path=tmp_path, stderr=subprocess.PIPE)
    _, said = process.communicate(timeout=60)
    assert said == "interrupted before anything new was saved\n"
    assert process.returncode == 130


def test_a_command_takes_the_signals_that_are_not_ignored(monkeypatch):
    """Those that Python or the system would take, and none that has another handler."""
    own = {signal.SIGHUP: signal.SIG_IGN, signal.SIGUSR1: signal.SIG_DFL}
    own |= {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: lambda number, frame: None}
    before = {number: signal.signal(number, handler) for number, handler in own.items()}
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(starting.atexit, "register", lambda function: None)
    try:
        starting._start()
        found = {number: signal.getsignal(number) for number in own}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert found == own | {signal.SIGINT: starting.leave}


def test_what_ends_an_import_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", "maybe")
    process = start("experiments.toy", path=tmp_path, stderr=subprocess.PIPE)
    (line,) = process.communicate(timeout=60)[1].splitlines()
    assert line.startswith("error: ValueError: ")
    assert "'maybe' for environment 'JAX_ENABLE_X64'" in line
    assert process.returncode == 1
    monkeypatch.setenv("JAXRNN_TRACEBACK", "1")
    process = start("experiments.toy", path=tmp_path, stderr=subprocess.PIPE)
    assert "Traceback" in process.communicate(timeout=60)[1]


# Signals arrive while the main thread is in C, as in XLA's compiler, and Python hears of none.
COMPUTES = """
import hashlib, os, signal, sys, threading
sys.orig_argv[1:] = ["-m", "experiments.generate"]
from jaxrnn import starting
starting.leave_at_once()
threading.Timer(0.2, os.kill, (os.getpid(), signal.{number})).start()
hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


@pytest.mark.parametrize("number", mostly_full(SIGNALS, "SIGINT"))
def test_a_signal_while_there_is_nothing_to_save(number):
    code = [sys.executable, "-c", COMPUTES.format(number=number)]
    done = subprocess.run(code, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == "interrupted before anything new was saved\n"
    assert done.returncode == 130


@pytest.mark.full
def test_what_is_ignored_stays_ignored(tmp_path):
    """`nohup` and a shell's `&` mean it."""
    (tmp_path / "optax.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGHUP)\nraise SystemExit(7)\n"
    )
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start("experiments.toy", path=tmp_path, stderr=subprocess.PIPE)
        assert process.communicate(timeout=60)[1] == ""
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.returncode == 7


# In the place of a module that every command imports: a signal when Python is gone, and C++ puts
# away what JAX has left.
ENDS = """
import ctypes, signal
libc = ctypes.CDLL(None)
libc.__cxa_atexit(libc["raise"], ctypes.c_void_p(signal.{number}), None)
raise SystemExit(7)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a name of its C library")
@pytest.mark.parametrize("number", mostly_full(SIGNALS, "SIGTERM"))
def test_a_signal_while_python_ends(number, tmp_path):
    """All is done and said."""
    (tmp_path / "optax.py").write_text(ENDS.format(number=number))
    process = start("experiments.toy", path=tmp_path, stderr=subprocess.PIPE)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 7


def test_a_program_that_uses_the_library_keeps_its_handlers():
    code = "import jaxrnn, signal; print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
    assert module_of(["python", "-m", "pytest", "experiments"]) is None
    assert module_of(["python", "-X", "dev", "-m", "experiments.toy", "--help"]) is not None
    assert module_of(["python", "-m"]) is None


# toy without training, which is told to stop while it runs
TWICE = """
import os, signal
from experiments import toy


def run(config, resumed):
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
    raise AssertionError("it goes on")


raise SystemExit(toy.EXPERIMENT._replace(resolved=run).main(["--run", "run"]))
"""


def test_a_second_ctrl_c_of_a_command_ends_it_without_waiting(monkeypatch):
    """When Python ends, what was said is flushed, and the process ends there and then."""
    at_exit, done = [], []
    monkeypatch.setattr(interrupt, "IS_COMMAND", True)
    monkeypatch.setattr(atexit, "register", at_exit.append)
    monkeypatch.setattr(os, "_exit", done.append)
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(flush=lambda: done.append("flushed")))
    with interrupt.interrupts():
        signal.raise_signal(signal.SIGINT)
        assert not at_exit
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    (end,) = at_exit
    end()
    assert done == ["flushed", 130]


@pytest.mark.full
def test_ctrl_c_twice_leaves_what_computes_alone(tmp_path):
    """Python would wait for it, or crash when it takes XLA down in the middle of a computation."""
    late = "import atexit, sys\natexit.register(lambda: print('late', file=sys.stderr))\n"
    code = late + "sys.orig_argv[1:] = ['-m', 'experiments.toy']\n" + TWICE
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == "interrupted before anything new was saved\n"
    assert done.returncode == 130


@pytest.mark.full
def test_a_file_does_not_take_the_place_of_a_closed_stderr(tmp_path):
    (tmp_path / "optax.py").write_text(
        "import sys\nprint(sys.stderr is not None, open('file', 'w').fileno() > 2)\n"
        "raise SystemExit(0)\n"
    )
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -W ignore -m experiments.toy 2>&-"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.stdout == "True True\n"


@pytest.mark.full
def test_a_closed_stderr(tmp_path):
    """Nothing of what would be said there gets into a file that is opened in its place."""
    flags = "--num-steps 2 --state-size 2 --epochs 1 --length 410 --batch-size 10 --seeds 1"
    command = f"exec {sys.executable} -m experiments.toy {flags} --run run 2>&-"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    assert "summary run/summary.json" in done.stdout
