"""One file a cell. Every factory works with `(input_size, hidden_size)` alone."""

from collections.abc import Callable

from jaxrnn.base import Cell
from jaxrnn.cells.elman import elman, elman_relu
from jaxrnn.cells.gru import gru, gru_reset_before
from jaxrnn.cells.lstm import lstm

CellFactory = Callable[[int, int], Cell]

CELLS: dict[str, CellFactory] = {
    "elman": elman,
    "elman_relu": elman_relu,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "lstm": lstm,
}
