"""Progress: few lines where nobody watches, one bar where somebody does, and true rates."""

import io
import os
import pty
import subprocess
import sys
import time

import pytest

from jaxrnn.runs import progress as module
from jaxrnn.runs.progress import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is set."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    return clock


def test_plain_lines(capsys, clock):
    with progress(522, description="char") as shown:
        for chunk in range(1, 53):  # a chunk of 10 steps takes 0.8 s, the first 20 s more
            clock.now += 0.8 if chunk > 1 else 20.8
            shown.update(10 * chunk, {"loss": 3.42109, "lr": 1e-4})
        shown.print("sample: abc")
        shown.update(522, {"loss": 3.0})
    assert capsys.readouterr().out.splitlines() == [
        "char  step 10/522  loss 3.4211  lr 0.0001  0.481 steps/s  0:17:45 left",
        "char  step 140/522  loss 3.4211  lr 0.0001  12.5 steps/s  0:00:31 left",
        "char  step 270/522  loss 3.4211  lr 0.0001  12.5 steps/s  0:00:20 left",
        "char  step 400/522  loss 3.4211  lr 0.0001  12.5 steps/s  0:00:10 left",
        "sample: abc",
        "char  step 522/522  loss 3  12.5 steps/s  0:00:00 left",
    ]


def test_a_resumed_run_counts_its_own_steps(capsys, clock):
    with progress(1000, description="", start=900) as shown:
        clock.now += 2
        shown.update(920, {})
        clock.now += 1
        shown.update(950, {})  # an early end: the last update is still told
    assert capsys.readouterr().out.splitlines() == [
        "step 920/1000  10 steps/s  0:00:08 left",
        "step 950/1000  30 steps/s  0:00:02 left",
    ]


def test_the_last_line_is_told_when_the_run_fails(capsys, clock):
    def train() -> None:
        with progress(10, description="") as shown:
            shown.update(1, {"loss": float("nan")})
            shown.update(2, {"loss": float("inf")})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    assert capsys.readouterr().out.splitlines() == [
        "step 1/10  loss nan",
        "step 2/10  loss inf",
    ]


def test_no_updates_no_lines(capsys, clock):
    with progress(0, description="x"):
        pass
    assert capsys.readouterr().out == ""


def test_bar_on_a_terminal():
    code = """
import time
from jaxrnn.runs.progress import progress
with progress(20, description="char [x]") as shown:
    for step in (5, 10, 20):
        time.sleep(0.05)
        shown.update(step, {"loss": 3.42109})
    shown.print("[b]above[/b]")
"""
    try:
        ours, theirs = pty.openpty()
    except OSError as error:  # in a container without /dev/pts
        pytest.skip(str(error))
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=theirs, check=True, text=True
    )
    os.close(theirs)
    time.sleep(0.1)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "char [x]" in shown
    assert "20/20" in shown
    assert "loss 3.4211" in shown
    assert "steps/s" in shown
    assert "0:00:00 left" in shown
    assert done.stdout == "[b]above[/b]\n"  # stdout to a file stays a file of plain lines
