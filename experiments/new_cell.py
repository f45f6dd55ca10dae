"""New cell: a file to begin with, and a test of it that passes.

Question:  What has a cell of one's own to say, and what has to hold of it?
Command:   python -m experiments.new_cell NAME
Expected:  NAME.py, a cell with its equations, and test_NAME.py, which holds the laws and these
           equations against it; `jaxrnn check NAME.py:NAME` tries the laws too, and more sizes
Run time:  at once

Replace the equations in both files, and the test says what no longer holds.
"""

import keyword
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from jaxrnn.cells import CELLS
from jaxrnn.runs.command import run_command
from jaxrnn.runs.files import write_atomic

CELL = '''"""NAME: one line that says what is new about it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxrnn import Cell
from jaxrnn.cells.weights import input_weights, recurrent_weights


class Params(NamedTuple):
    w_ih: jax.Array  # [I, H]
    w_hh: jax.Array  # [H, H]
    b: jax.Array  # [H]
    rate: jax.Array  # [H]


def NAME(input_size: int, hidden_size: int) -> Cell:
    """What it is; x [I] to h [H].

        z = sigmoid(rate)
        h' = (1 - z) * h + z * tanh(x W_ih + h W_hh + b)

    The carry is h [H], zero at first; the output is h'.

    Reference: the paper, with its link, and what differs from it.
    """

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        return Params(
            w_ih=input_weights(key_input, input_size, hidden_size),
            w_hh=recurrent_weights(key_recurrent, hidden_size),
            b=jnp.zeros(hidden_size),
            rate=jnp.zeros(hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros_like(params.b)

    def step(params, h, x):
        z = jax.nn.sigmoid(params.rate)
        h = (1 - z) * h + z * jnp.tanh(x @ params.w_ih + h @ params.w_hh + params.b)
        return h, h

    return Cell(init, init_carry, step)
'''
TEST = '''"""What holds of NAME: the laws of every cell, and its own equations in plain numpy."""

from pathlib import Path

import numpy as np
import pytest
from jaxrnn.cell_files import find_cell
from jaxrnn.laws import CELL_LAWS, subject, what_is_broken

NAME = find_cell(f"{Path(__file__).with_name('NAME.py')}:NAME")


@pytest.mark.parametrize("law", CELL_LAWS)
def test_law(law):
    assert what_is_broken(CELL_LAWS[law], subject(NAME)) is None


def test_equations():
    tried = subject(NAME)
    rate = np.linspace(-1, 1, tried.hidden_size, dtype=np.float32)
    params = tried.params._replace(rate=rate)
    h, x = np.full(tried.hidden_size, 0.5, np.float32), np.asarray(tried.xs[0, 0])
    z = 1 / (1 + np.exp(-rate))
    expected = (1 - z) * h + z * np.tanh(x @ params.w_ih + h @ params.w_hh + params.b)
    carry, y = tried.cell.step(params, h, x)
    np.testing.assert_allclose(carry, expected, rtol=1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-5)
'''


@dataclass(frozen=True)
class Config:
    """What it is called, and where it goes."""

    name: Positional[str | None] = None
    """Of the file and of the function in it: letters, digits and underscores."""
    out: Path = Path()
    """Folder for the two files."""


def write(config: Config) -> list[Path]:
    """The two files.

    Raises:
      ValueError, OSError: a name that Python does not take or that the library has, no folder, or a
        file that is there already.
    """
    name = config.name
    if name is None:
        raise ValueError("no NAME is given; give that of the cell")
    if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name):
        raise ValueError(f"NAME is {name!r}; give letters, digits and underscores, such as my_cell")
    if name in CELLS or name == "Params":
        raise ValueError(f"NAME is {name!r}, which is there already; give another")
    if not config.out.is_dir():
        raise ValueError(f"--out {config.out} is no folder; give one that there is")
    texts = {config.out / f"{name}.py": CELL, config.out / f"test_{name}.py": TEST}
    for path in texts:
        if path.exists():
            raise ValueError(f"{path} is there already; give another NAME or --out")
    for path, text in texts.items():
        write_atomic(path, text.replace("NAME", name))
    return [*texts]


def main(argv: Sequence[str] | None = None) -> int:
    def body(config: Config) -> None:
        print(*write(config), sep="\n")

    return run_command("experiments.new_cell", Config, body, description=__doc__, argv=argv)


if __name__ == "__main__":
    raise SystemExit(main())
