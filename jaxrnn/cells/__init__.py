"""One file a cell. Every factory works with `(input_size, hidden_size)` alone."""

from collections.abc import Callable

from jaxrnn.base import Cell
from jaxrnn.cells.elman import elman
from jaxrnn.cells.gru import gru
from jaxrnn.cells.lstm import lstm

CellFactory = Callable[[int, int], Cell]

CELLS: dict[str, CellFactory] = {
    "elman": elman,
    "gru": gru,
    "lstm": lstm,
}
