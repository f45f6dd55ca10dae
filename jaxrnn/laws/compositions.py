"""One example of every combinator, so that the laws of cells hold for what is made of them."""

import jax
import jax.numpy as jnp

from jaxrnn.base import Cell
from jaxrnn.cells import CellFactory, elman, gru, lstm
from jaxrnn.compose import (
    chain,
    computing_in,
    dropout,
    embed,
    linear,
    one_hot,
    pointwise,
    reinitialised,
)
from jaxrnn.unroll import pausable


def _paused_below_zero(cell: Cell) -> Cell:
    """`pausable(cell)` on plain vectors: a time step with a negative first number is left out."""
    paused = pausable(cell)
    return paused._replace(step=lambda params, carry, x: paused.step(params, carry, (x, x[0] > 0)))


COMPOSITIONS: dict[str, CellFactory] = {
    "chain": lambda input_size, hidden_size: chain(
        lstm(input_size, hidden_size), second=gru(hidden_size, hidden_size)
    ),
    "pointwise": lambda input_size, hidden_size: pointwise(jnp.tanh),
    "one_hot": lambda input_size, hidden_size: one_hot(input_size),
    "embed": embed,
    "linear": linear,
    "dropout": lambda input_size, hidden_size: chain(
        first=gru(input_size, hidden_size),
        dropout=dropout(0.3),
        second=elman(hidden_size, hidden_size),
    ),
    "reinitialised": lambda input_size, hidden_size: reinitialised(
        lstm(input_size, hidden_size), jax.nn.initializers.glorot_uniform()
    ),
    # in JAX's own float: what fewer bits do is the law of precision's
    "computing_in": lambda input_size, hidden_size: computing_in(
        chain(first=lstm(input_size, hidden_size), dropout=dropout(0.3)), float
    ),
    "pausable": lambda input_size, hidden_size: _paused_below_zero(
        chain(dropout=dropout(0.3), cell=lstm(input_size, hidden_size))
    ),
}
"""`(input_size, hidden_size) -> Cell` on float vectors [I], as in `CELLS`."""
