"""What the README and the page about cells show, holds."""

import re
from pathlib import Path

import pytest
from page_blocks import blocks_of
from tiers import mostly_full

from experiments import char
from jaxrnn import Cell
from jaxrnn.laws import CELL_LAWS, subject, what_is_broken

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "cell.md").read_text(encoding="utf-8")


def the_cell() -> str:
    (source,) = [block.source for block in blocks_of(PAGE) if "def skip(" in block.source]
    return source


@pytest.mark.parametrize("law", mostly_full(CELL_LAWS, *list(CELL_LAWS)[:3]))
def test_the_pages_cell_obeys_the_laws(law):
    names = {}
    exec(compile(the_cell(), "cell.md", "exec"), names)
    assert isinstance(names["skip"](2, 3), Cell)
    assert what_is_broken(CELL_LAWS[law], subject(names["skip"])) is None


@pytest.mark.full
def test_the_pages_cell_trains_from_its_own_file(tmp_path):
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
    assert re.search(rf"<!-- command: {name} -->\n```sh\n[^\n]+\n```", README)


def test_the_readme_is_about_a_screen_and_its_links_lead_somewhere():
    assert len(README.splitlines()) <= 80
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).is_file(), target
