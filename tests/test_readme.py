"""What the README shows, runs."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest
from tiers import mostly_full

from experiments import char
from jaxrnn import Cell
from jaxrnn.laws import CELL_LAWS, subject, what_is_broken

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def the_cell() -> str:
    (source,) = [block for block in BLOCKS if "def skip(" in block]
    return source


@pytest.mark.parametrize(
    "source", mostly_full(BLOCKS, *BLOCKS[:2], BLOCKS[3], BLOCKS[6]), ids=range(len(BLOCKS))
)
def test_python_blocks_run(source):
    names = {}
    exec(compile(source, "README.md", "exec"), names)
    if "metrics" in names:
        assert all(np.isfinite(jax.device_get(a)).all() for a in names["metrics"].values())


@pytest.mark.parametrize("law", mostly_full(CELL_LAWS, *list(CELL_LAWS)[:3]))
def test_the_readmes_cell_obeys_the_laws(law):
    names = {}
    exec(compile(the_cell(), "README.md", "exec"), names)
    assert isinstance(names["skip"](2, 3), Cell)
    assert what_is_broken(CELL_LAWS[law], subject(names["skip"])) is None


@pytest.mark.full
def test_the_readmes_cell_trains_from_its_own_file(tmp_path):
    (tmp_path / "skip.py").write_text(the_cell(), encoding="utf-8")
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question. " * 30, encoding="utf-8")
    run = tmp_path / "run"
    arguments = ["--preset", "smoke", "--corpus", str(text), "--epochs", "1", "--run", str(run)]
    assert char.main([*arguments, "--cell", f"{tmp_path / 'skip.py'}:skip"]) == 0
    assert (run / "cell.py").read_text(encoding="utf-8") == the_cell()


def test_the_cell_is_about_twenty_lines():
    lines = [line for line in the_cell().splitlines() if line.strip()]
    assert len(lines) <= 22


@pytest.mark.parametrize("name", ["main", "tests"])
def test_the_two_commands_are_marked_for_ci(name):
    text = README.read_text(encoding="utf-8")
    assert re.search(rf"<!-- command: {name} -->\n```sh\n[^\n]+\n```", text)
