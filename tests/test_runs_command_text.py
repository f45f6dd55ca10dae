"""Where a command asks for text or for a path, every value is one, whatever it looks like."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments import generate, inspect
from jaxrnn.runs.command import parse
from jaxrnn.runs.flags import TrainingFlags

PYTHON = ("None", "True", "1", "'a'", "b'a'", "(1, 2)", "[]", "{}", "...", "-1", "nan", "", " ")


@dataclass(frozen=True)
class Texts:
    text: str = "x"
    perhaps: str | None = None
    path: Path | None = None
    several: tuple[str, ...] = ()
    number: int | None = 3


def read(cls, *argv):
    return parse(cls, prog="it", description="", argv=argv)


@pytest.mark.parametrize("value", PYTHON)
def test_text_stays_text(value):
    assert read(Texts, f"--text={value}").text == value
    assert read(Texts, f"--perhaps={value}").perhaps == value
    if value:
        assert read(Texts, f"--path={value}").path == Path(value)
    if not value.startswith("-"):
        assert read(Texts, "--several", value, "b").several == (value, "b")


def test_an_empty_path_is_not_the_present_folder(capsys):
    with pytest.raises(SystemExit):
        read(Texts, "--path=")
    (line,) = capsys.readouterr().err.splitlines()
    assert "--path" in line
    assert "it is empty; give a path" in line


def test_what_is_left_out_and_what_is_no_text():
    assert read(Texts) == Texts()
    assert read(Texts, "--number", "None").number is None


def test_the_commands_take_a_text_and_a_path_called_none():
    none = [f"{flag}=None" for flag in ("--prompt", "--setting", "--out")]
    config = read(generate.Config, "--run=r", *none)
    assert (config.prompt, config.setting, config.out) == ("None", "None", Path("None"))
    flags = read(TrainingFlags, "--run", "None")
    assert (flags.run, flags.resume) == (Path("None"), None)
    none = [f"{flag}=None" for flag in ("--beside", "--beside-setting")]
    seen = read(inspect.Config, "--run=r", "--text=t", *none)
    assert (seen.beside, seen.beside_setting) == (Path("None"), "None")


def test_help_says_what_is_asked_for(capsys):
    with pytest.raises(SystemExit):
        read(Texts, "--help")
    shown = capsys.readouterr().out
    assert "--perhaps STR" in shown
    assert "--path PATH" in shown
