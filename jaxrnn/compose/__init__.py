"""Cells from cells, and the cells without a recurrence that go between them.

Whatever is made here is a cell: for one example and one time step, under every schedule, every
gradient style and every other combinator.
"""

from jaxrnn.compose.layers import embed, linear, one_hot, pointwise
from jaxrnn.compose.noise import dropout, variational_dropout, zoneout
from jaxrnn.compose.parameters import learnt_carry, reinitialised, tied
from jaxrnn.compose.precision import computing_in
from jaxrnn.compose.restarting import resettable
from jaxrnn.compose.stacks import chain, residual, skip_chain

__all__ = [
    "chain",
    "computing_in",
    "dropout",
    "embed",
    "learnt_carry",
    "linear",
    "one_hot",
    "pointwise",
    "reinitialised",
    "resettable",
    "residual",
    "skip_chain",
    "tied",
    "variational_dropout",
    "zoneout",
]
