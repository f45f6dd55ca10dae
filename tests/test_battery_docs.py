"""The page about the battery, done as its reader would."""

import re
import shlex
from pathlib import Path

import pytest
from experiments_support import summary

from experiments import battery
from experiments.battery.config import settings
from jaxrnn import runs
from jaxrnn.runs.flags import read_flags
from jaxrnn.sizes import parameters_of

PAGE = (Path(__file__).parent.parent / "docs" / "battery.md").read_text(encoding="utf-8")
CELL, ARRAYS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    line.partition("#")[0].split(maxsplit=3)[3]
    for line in PAGE.splitlines()
    if line.startswith("python -m experiments.battery")
]


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder with the cell's file."""
    (tmp_path / "plain_slstm.py").write_text(CELL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_commands_are_known(there):
    for command in COMMANDS:
        if "--resume" not in command:
            config, _ = read_flags(battery.EXPERIMENT, shlex.split(command))
            assert settings(config)


def test_its_cell_is_as_large_as_the_others(there):
    config, _ = read_flags(battery.EXPERIMENT, ["--preset", "smoke", "--tasks", "parity"])
    config = runs.replaced(config, cells=("plain_slstm.py:plain_slstm",))
    (part,) = settings(config).values()
    model = battery.build(part).model
    assert 0 < parameters_of(model) <= config.parameters


@pytest.mark.full
def test_arrays_are_trained_on_in_a_few_lines(capsys):
    assert len(ARRAYS.splitlines()) <= 20
    exec(ARRAYS, {})
    (score,) = re.findall(r"'score_30': Array\(([\d.]+)", capsys.readouterr().out)
    assert float(score) > 0.7  # chance is a half


@pytest.mark.full
def test_its_cell_goes_through_the_whole_battery_in_one_command(there, capsys):
    command = next(c for c in COMMANDS if "plain_slstm" in c)
    command = command.replace("quick", "smoke").replace("all", "parity").replace("gru lstm", "gru")
    assert battery.main([*shlex.split(command), "--seeds", "1", "--run", "run"]) == 0
    run = there / "run"
    cells = [row["cell"] for row in summary(run)["results"]]
    assert cells == ["gru", "plain_slstm"]
    assert "sLSTM without its stabiliser" in (run / "cards" / "plain_slstm.html").read_text()
