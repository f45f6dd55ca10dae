"""Cells from cells, and the cells without a recurrence that go between them.

Whatever is made here is a cell: for one example and one time step, under every schedule, every
gradient style and every other combinator.
"""

from jaxrnn.compose.blocks import gated_mlp, multi_head, pre_norm, rms_norm, short_convolution
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
    "gated_mlp",
    "learnt_carry",
    "linear",
    "multi_head",
    "one_hot",
    "pointwise",
    "pre_norm",
    "reinitialised",
    "resettable",
    "residual",
    "rms_norm",
    "short_convolution",
    "skip_chain",
    "tied",
    "variational_dropout",
    "zoneout",
]
