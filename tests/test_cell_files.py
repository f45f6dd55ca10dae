"""Cells by name, and in a researcher's own file."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Cell
from jaxrnn.cell_files import cell_file, find_cell

KEY = jax.random.key(0)


def test_a_cell_of_ones_own(tmp_path):
    """Two files of one name in two folders do not meet."""
    for folder, scale in (("a", 2.0), ("b", 3.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cell.py").write_text(
            "from jaxrnn import Cell, elman\n"
            f"SCALE = {scale}\n"
            "def scaled(input_size, hidden_size):\n"
            "    cell = elman(input_size, hidden_size)\n"
            "    def step(params, h, x):\n"
            "        h, y = cell.step(params, h, x)\n"
            "        return h, SCALE * y\n"
            "    return cell._replace(step=step)\n"
        )
    names = [f"{tmp_path / folder / 'cell.py'}:scaled" for folder in ("a", "b")]
    outputs = []
    for factory in [find_cell(name) for name in names]:
        cell = factory(3, 4)
        assert isinstance(cell, Cell)
        params = cell.init(KEY)
        outputs.append(cell.step(params, cell.init_carry(params, KEY), jnp.ones(3))[1])
    np.testing.assert_allclose(outputs[1], 1.5 * outputs[0], rtol=1e-6)
    assert cell_file(names[0]) == tmp_path / "a" / "cell.py"
    assert cell_file("lstm") is None


def test_a_file_with_a_dataclass_and_late_annotations(tmp_path):
    """As a Flax module of a researcher's own is; dataclasses ask `sys.modules` for such a file."""
    (tmp_path / "cell.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from jaxrnn import gru\n"
        "@dataclass\n"
        "class Sizes:\n"
        "    hidden: int\n"
        "def wide(input_size, hidden_size):\n"
        "    return gru(input_size, Sizes(2 * hidden_size).hidden)\n"
    )
    cell = find_cell(f"{tmp_path / 'cell.py'}:wide")(3, 4)
    assert cell.init(KEY).b_hn.shape == (8,)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (None, "cell.py:f", "cell.py does not exist"),
        ("", "cell.py:f", "has no factory 'f'"),
        ("f = 1", "cell.py:f", "has no factory 'f'"),
        ("", "cell.py", "is not known"),
        ("", "cell.txt:f", "is not known"),
        ("def f(", "cell.py:f", "fails when it is run: SyntaxError"),
        ("1 / 0", "cell.py:f", "fails when it is run: ZeroDivisionError: division by zero"),
        ("import nowhere", "cell.py:f", "fails when it is run: ModuleNotFoundError"),
    ],
)
def test_a_file_that_holds_no_cell(tmp_path, monkeypatch, text, name, message):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "cell.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        find_cell(name)
