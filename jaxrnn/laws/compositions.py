"""One example of every combinator, so that the laws of cells hold for what is made of them.

Of the smallest cells that show it: to compile the laws' programs takes nearly all of their time.
"""

from functools import partial

import jax
import jax.numpy as jnp

from jaxrnn.base import Cell
from jaxrnn.cells import CellFactory, elman, gru, lstm
from jaxrnn.compose import (
    chain,
    computing_in,
    dropout,
    embed,
    gated_mlp,
    learnt_carry,
    linear,
    multi_head,
    one_hot,
    pointwise,
    pre_norm,
    reinitialised,
    resettable,
    residual,
    rms_norm,
    short_convolution,
    skip_chain,
    tied,
    variational_dropout,
    zoneout,
)
from jaxrnn.padding import pausable


def _by_sign(cell: Cell, *, positive: bool) -> Cell:
    """A cell of (x, flag) on plain vectors: the flag is whether the first number is positive, or
    whether it is not."""

    def step(params, carry, x):
        return cell.step(params, carry, (x, (x[0] > 0) == positive))

    return cell._replace(step=step)


def _dropped(input_size: int, hidden_size: int, training: bool = True) -> Cell:
    return chain(dropout=dropout(0.3, training=training), layer=elman(input_size, hidden_size))


def _dropped_alike(input_size: int, hidden_size: int, training: bool = True) -> Cell:
    return chain(
        dropout=variational_dropout(0.3, 2, training=training),
        layer=elman(input_size, hidden_size),
    )


def _zoned(input_size: int, hidden_size: int, training: bool = True) -> Cell:
    return zoneout(elman(input_size, hidden_size), 0.3, training=training)


COMPOSITIONS: dict[str, CellFactory] = {
    "chain": lambda input_size, hidden_size: chain(
        elman(input_size, hidden_size), second=gru(hidden_size, hidden_size)
    ),
    "skip_chain": lambda input_size, hidden_size: skip_chain(
        elman(input_size, hidden_size), second=elman(input_size + hidden_size, hidden_size)
    ),
    "residual": lambda input_size, hidden_size: residual(
        chain(layer=elman(input_size, hidden_size), back=linear(hidden_size, input_size))
    ),
    "rms_norm": lambda input_size, hidden_size: rms_norm(input_size),
    "gated_mlp": gated_mlp,
    "pre_norm": lambda input_size, hidden_size: pre_norm(
        elman(input_size, input_size), input_size, hidden_size
    ),
    "short_convolution": lambda input_size, hidden_size: short_convolution(input_size, 3),
    "multi_head": lambda input_size, hidden_size: multi_head(elman(input_size, hidden_size), 2),
    "pointwise": lambda input_size, hidden_size: pointwise(jnp.tanh),
    "one_hot": lambda input_size, hidden_size: one_hot(input_size),
    "embed": embed,
    "linear": linear,
    "dropout": _dropped,
    "variational_dropout": _dropped_alike,
    "zoneout": _zoned,
    "reinitialised": lambda input_size, hidden_size: reinitialised(
        elman(input_size, hidden_size), jax.nn.initializers.glorot_uniform()
    ),
    "tied": lambda input_size, hidden_size: tied(
        chain(
            encode=linear(input_size, hidden_size),
            layer=elman(hidden_size, hidden_size),
            decode=linear(hidden_size, input_size),
        ),
        {"encode.w": "decode.w"},
    ),
    "learnt_carry": lambda input_size, hidden_size: learnt_carry(lstm(input_size, hidden_size)),
    # in JAX's own float: what fewer bits do is the law of precision's
    "computing_in": lambda input_size, hidden_size: computing_in(
        elman(input_size, hidden_size), float
    ),
    "pausable": lambda input_size, hidden_size: _by_sign(
        pausable(chain(dropout=dropout(0.3), cell=elman(input_size, hidden_size))), positive=True
    ),
    "resettable": lambda input_size, hidden_size: _by_sign(
        resettable(chain(dropout=dropout(0.3), cell=learnt_carry(elman(input_size, hidden_size)))),
        positive=False,
    ),
}
"""`(input_size, hidden_size) -> Cell` on float vectors [I], as in `CELLS`."""

EVALUATIONS: dict[str, CellFactory] = {
    "dropout": partial(_dropped, training=False),
    "variational_dropout": partial(_dropped_alike, training=False),
    "zoneout": partial(_zoned, training=False),
}
"""The evaluation models of those that draw, all that take `training`."""
