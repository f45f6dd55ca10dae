"""Generated command lines: each is accepted, or refused in one line, soon, and nothing is left."""

import contextlib
import io
import signal
from collections import Counter
from random import Random

import pytest
from command_lines import COMMANDS, TRAINING, command_line, module_of
from experiments_support import files_of, write_text

from jaxrnn.runs import main as running
from jaxrnn.runs import measuring
from jaxrnn.runs.preparing import check_setting
from jaxrnn.runs.sweep import grouping

SECONDS = 30
"""Of a processor; where others compute too, ten times as many by the clock."""


class Accepted(BaseException):
    """A training run would begin."""


class Hung(BaseException):
    """No answer within the seconds."""


def begins(*_):
    raise Accepted


def refused_or_begins(setting, members, devices, *, at_once=1, build=None):
    check_setting(setting, members, devices)
    raise Accepted


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where commands are given, with a text; nothing is traced, trained, measured or downloaded."""
    write_text(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXRNN_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("JAXRNN_CACHE", str(tmp_path / "none"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr(running, "prepare", refused_or_begins)
    monkeypatch.setattr(measuring, "prepare", refused_or_begins)
    monkeypatch.setattr(grouping, "prepare", refused_or_begins)
    monkeypatch.setattr(module_of("speed"), "create_run", begins)
    monkeypatch.setattr(module_of("check"), "_report", begins)
    monkeypatch.setattr(module_of("report"), "lock_run", begins)
    return tmp_path


def answer(command, argv):
    """What became of a command, and what it wrote to stderr."""

    def too_late(*_):
        raise Hung

    said, timers = io.StringIO(), {signal.ITIMER_REAL: 10 * SECONDS, signal.ITIMER_PROF: SECONDS}
    before = {each: signal.signal(each, too_late) for each in (signal.SIGALRM, signal.SIGPROF)}
    for timer, seconds in timers.items():
        signal.setitimer(timer, seconds)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            try:
                code = module_of(command).main(argv)
            except SystemExit as stop:  # of a command line that cannot be read
                code = stop.code
    except Accepted:
        return "accepted", said.getvalue()
    except Hung:
        return "hung", said.getvalue()
    except BaseException as error:
        return "traceback", repr(error)
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for each, handler in before.items():
            signal.signal(each, handler)
    lines = [line for line in said.getvalue().splitlines() if not line.startswith("Downloading")]
    if code == 0:
        return "accepted", said.getvalue()
    one = len(lines) == 1 and lines[0].startswith("error: ") and "Traceback" not in lines[0]
    return "refused by one line" if one else "more than one line", said.getvalue()


def tried(count, seed, folder):
    """How often what became of generated command lines, and those that were not answered well."""
    generator, counts, wrong = Random(seed), Counter(), []
    for i in range(count):
        command = COMMANDS[i % len(COMMANDS)]
        base = ["--preset", "smoke"] if command in TRAINING else []
        if command in ("char", "word", "memorization", "baselines"):
            base += ["--corpus", "text.txt"]
        if command == "check":
            base = ["elman"]
        argv = [*base, *command_line(generator, command)]
        before = files_of(folder)
        found, said = answer(command, argv)
        counts[found] += 1
        if files_of(folder) != before:
            found = "left something"
        if found not in ("accepted", "refused by one line"):
            wrong.append((found, command, argv, said[-600:]))
    return counts, wrong


@pytest.mark.parametrize(
    ("count", "seed"), [(20, 1), pytest.param(500, 2, marks=pytest.mark.full, id="500")]
)
def test_generated_command_lines(count, seed, folder):
    counts, wrong = tried(count, seed, folder)
    print(dict(counts), *wrong, sep="\n")
    assert wrong == []
