"""A researcher's file that ends the program, or raises what nobody catches, is an error."""

import pytest

from jaxrnn.cell_files import find_cell
from jaxrnn.runs.command import guarded

ENDS = {
    "import sys\nsys.exit(0)": "exits with 0 when it is run",
    "raise SystemExit": "exits with None when it is run",
    "raise BaseException('no')": "fails when it is run: BaseException: no",
    "raise GeneratorExit": "fails when it is run: GeneratorExit",
    "def cell(i, h):\n    raise SystemExit(0)": "cell exits with 0 when it is called",
    "def cell(i, h):\n    raise BaseException('no')": "BaseException: no",
}


@pytest.mark.parametrize("content", ENDS, ids=list(ENDS.values()))
def test_it_is_an_error_in_one_line(content, tmp_path, capsys):
    path = tmp_path / "it.py"
    path.write_text(content, encoding="utf-8")

    def body():
        find_cell(f"{path}:cell")(2, 3)

    assert guarded(body) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert ENDS[content] in line


def test_ctrl_c_stays_ctrl_c(tmp_path):
    path = tmp_path / "it.py"
    path.write_text("raise KeyboardInterrupt", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        find_cell(f"{path}:cell")
