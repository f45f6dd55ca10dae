"""Write one time step of one example as plain mathematics; jaxrnn works out the rest."""

from jaxrnn.base import Batch, Cell, GradientEstimator, TrainState
from jaxrnn.cells import CELLS, elman, gru, lstm
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
from jaxrnn.generation import generate, pad_prompts
from jaxrnn.gradients import STYLES, artbp, bptt, random_length, stateless, tbptt
from jaxrnn.schedule import Explanation
from jaxrnn.training import (
    OPTIMIZERS,
    clipped_adagrad,
    clipped_adam,
    clipped_momentum,
    evaluate,
    init_state,
    make_train_step,
)
from jaxrnn.unroll import explain, pausable, unroll

__version__ = "0.1.0"

__all__ = [
    "CELLS",
    "OPTIMIZERS",
    "STYLES",
    "Batch",
    "Cell",
    "Explanation",
    "GradientEstimator",
    "TrainState",
    "artbp",
    "bptt",
    "chain",
    "clipped_adagrad",
    "clipped_adam",
    "clipped_momentum",
    "computing_in",
    "dropout",
    "elman",
    "embed",
    "evaluate",
    "explain",
    "generate",
    "gru",
    "init_state",
    "linear",
    "lstm",
    "make_train_step",
    "one_hot",
    "pad_prompts",
    "pausable",
    "pointwise",
    "random_length",
    "reinitialised",
    "stateless",
    "tbptt",
    "unroll",
]
