"""Runs that many tests read: each is trained once, whatever the number of pytest's workers.

Who writes into one of them copies it first.
"""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from experiments_support import SMALL_TOY, small_char, write_text

from experiments import char, toy

# A look into the model every 6 training steps, and a checkpoint after every chunk.
LOOKS = ["--tensorboard", "--tensorboard-every", "6"]
OFTEN = ["--checkpoint-seconds", "0"]


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name` of this session, which `make(folder)` fills: the first worker that asks
    makes it, the others wait."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of the worker's own folder
    found = base / "trained" / name
    found.parent.mkdir(exist_ok=True)
    with open(found.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            making = found.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)  # of a worker that failed
            make(making)
            making.rename(found)
    return found


def shared_text(factory: pytest.TempPathFactory) -> Path:
    def make(folder):
        folder.mkdir()
        write_text(folder)

    return made_once(factory, "text", make) / "text.txt"


def char_run(factory: pytest.TempPathFactory) -> Path:
    """Of characters: two seeds of 28 training steps, which TensorBoard follows."""
    flags = [*small_char(shared_text(factory)), "--seeds", "2", *LOOKS, *OFTEN]
    return made_once(factory, "char", lambda path: trained(char, flags, path))


def toy_run(factory: pytest.TempPathFactory) -> Path:
    """Of the toy task: two settings, three seeds on two devices."""
    return made_once(factory, "toy", lambda path: trained(toy, [*SMALL_TOY, *OFTEN], path))


def trained(experiment, flags: list[str], run: Path) -> None:
    assert experiment.main([*flags, "--run", str(run)]) == 0
