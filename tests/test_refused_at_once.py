"""Sizes and names that nobody can mean are refused before anything is allocated or compiled."""

import importlib
from dataclasses import make_dataclass
from typing import Any

import pytest

from experiments import baselines, speed
from jaxrnn import check
from jaxrnn.runs.checking import check_numbers

EXPERIMENTS = ("baselines", "char", "memorization", "toy", "truncation", "word")


@pytest.mark.parametrize("name", ["input", "hidden", "batch"])
def test_check_takes_no_size_that_takes_hours(name, capsys, monkeypatch):
    monkeypatch.setattr(check, "made", lambda *_: pytest.fail("it was made"))
    assert check.main(["elman", f"--{name}-size", "1000000000"]) == 2
    assert f"--{name}-size is 1000000000; give at most 1,000" in capsys.readouterr().err


def test_a_law_without_a_name_is_not_every_law(capsys):
    assert check.main(["elman", "--law", ""]) == 2
    assert "--law is ''; give one of" in capsys.readouterr().err


def test_no_case_is_not_every_case(capsys, tmp_path):
    assert speed.main(["--case", "--run", str(tmp_path / "run")]) == 1
    assert "--case names nothing; give one or more of lstm" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flag", ["--seconds", "--word-seconds"])
@pytest.mark.parametrize("equal", ["seconds", "hidden_size"])
def test_no_seconds(flag, equal, capsys):
    argv = ["--preset", "smoke", "--equal", equal, flag, "0"]
    assert baselines.main(argv) == 1
    assert f"{flag} is 0.0; give more than 0" in capsys.readouterr().err


@pytest.mark.parametrize("number", [-1, -0.5, (3, -2)])
def test_nothing_is_negative(number):
    config = make_dataclass("Config", [("toy_batch", Any, number)])()
    with pytest.raises(ValueError, match=r"--toy-batch is -.*; give 0 or more"):
        check_numbers(config)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_presets_pass(name):
    module = importlib.import_module(f"experiments.{name}")
    for config in module.EXPERIMENT.presets.values():
        check_numbers(config)
