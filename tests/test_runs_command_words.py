"""What a command says of a value: its flag, a little of it, and what to do."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from jaxrnn.data import load_corpus
from jaxrnn.runs.command import one_line, parse, run_command
from jaxrnn.runs.directory import create_run
from jaxrnn.runs.files import read_json
from jaxrnn.runs.lock import lock_run
from jaxrnn.runs.progress import warn


@dataclass(frozen=True)
class Config:
    epochs: int = 1
    seeds: int = 1


@dataclass(frozen=True)
class Work:
    run: Path = Path("runs/one")
    hidden_size: int = 4
    length: int = 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("hidden_size is 4; give 8", "--hidden-size is 4; give 8"),
        ("length is 2, and the hidden_size 4", "--length is 2, and the --hidden-size 4"),
        ("the length is 2", "the length is 2"),
        ("runs/one/config.json: hidden_size is 5; it was 4",) * 2,
    ],
)
def test_every_command_calls_an_argument_by_its_flag(capsys, error, said):
    def body(config: Work) -> None:
        raise ValueError(error)

    assert run_command("jaxrnn.check", Work, body, description=None, argv=[]) == 1
    assert capsys.readouterr().err == f"error: {said}\n"


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x1b[31m", "\r", "\u202e", "\udc80"])
def test_what_is_quoted_ends_no_line_and_moves_no_cursor(capsys, sign):
    def body(config: Work) -> None:
        warn(f"{sign} is odd")
        raise ValueError(f"run is {sign} ü 漢字; give another")

    assert run_command("jaxrnn.check", Work, body, description=None, argv=[]) == 1
    shown = ascii(sign)[1:-1]
    said = f"warning: {shown} is odd\nerror: --run is {shown} ü 漢字; give another\n"
    assert capsys.readouterr().err == said
    with pytest.raises(SystemExit):
        parse(Config, prog="it", description="", argv=[f"--epochs={sign}"])
    assert shown in capsys.readouterr().err


@pytest.mark.parametrize("quote", ["'", '"', ""])
def test_an_error_quotes_little(quote):
    value = "x" * 3_999 + "end"
    said = one_line(ValueError(f"--cell is {quote}{value}{quote}; give another"))
    assert len(said) < 120
    assert said.startswith(f"--cell is {quote}xxx")
    assert said.endswith(f"end{quote}; give another")
    short = f"--cell is '{'x' * 70}'; give one of {', '.join(map(str, range(100)))}"
    assert one_line(ValueError(short)) == short


@pytest.mark.parametrize("argv", [["--epochs", "3", "1", "2"], ["--seeds=2", "--epochs=3", "1"]])
def test_what_is_not_expected_stands_behind_a_flag(argv, capsys):
    with pytest.raises(SystemExit):
        parse(Config, prog="it", description="", argv=argv)
    said = capsys.readouterr().err
    assert "Unrecognized options: 1" in said
    assert "behind --epochs; see it --help" in said


def test_a_run_has_a_name_that_can_be_written(tmp_path):
    with pytest.raises(OSError, match=r"--run .*udce9.* is no UTF-8; choose another name"):
        create_run(tmp_path / "caf\udce9")


def test_json_that_cannot_be_read(tmp_path):
    with pytest.raises(IsADirectoryError, match="cannot be read: is a directory; make it a file"):
        read_json(tmp_path)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_what_may_not_be_written_is_said_with_what_to_do(number, tmp_path):
    """As of a run in a folder of somebody else's."""
    error = OSError(number, os.strerror(number), str(tmp_path / "metrics.jsonl"))
    said = f"{tmp_path / 'metrics.jsonl'}: {os.strerror(number).lower()}; see to it that you may"
    assert one_line(error).startswith(said)
    (tmp_path / ".lock").mkdir()  # what no rights of the superuser open
    with pytest.raises(OSError, match=r"\.lock cannot be written: is a directory; see to it that"):
        lock_run(tmp_path)
    gone = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "text")
    assert one_line(gone) == "text: no such file or directory"


def test_a_pipe_or_a_device_is_no_text(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    for path in (tmp_path / "pipe.txt", "/dev/zero"):
        with pytest.raises(OSError, match="a device or a pipe; give a text file"):
            load_corpus(str(path))
