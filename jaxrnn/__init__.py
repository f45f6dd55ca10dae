"""Write one time step of one example as plain mathematics; jaxrnn works out the rest."""

import jaxrnn.starting  # noqa: F401 (before all that takes seconds)

# isort: split

from jaxrnn.base import Batch, Cell, GradientEstimator, TrainState
from jaxrnn.cells import CELLS, elman, gru, lstm
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
from jaxrnn.evaluation import dynamic_evaluate, evaluate, validation
from jaxrnn.generation import generate, pad_prompts
from jaxrnn.gradients import (
    STYLES,
    artbp,
    bptt,
    eprop,
    random_length,
    rflo,
    rtrl,
    snap,
    stateless,
    tbptt,
    uoro,
    weight_drop,
)
from jaxrnn.optimizers import (
    OPTIMIZERS,
    clipped_adagrad,
    clipped_adam,
    clipped_adamw,
    clipped_momentum,
    clipped_rmsprop,
    decaying,
)
from jaxrnn.padding import bidirectional, pausable, unroll_padded
from jaxrnn.schedule import Explanation
from jaxrnn.training import Training, init_state, make_train_step, stream_training
from jaxrnn.unroll import explain, unroll

__version__ = "0.2.0"

__all__ = [
    "CELLS",
    "OPTIMIZERS",
    "STYLES",
    "Batch",
    "Cell",
    "Explanation",
    "GradientEstimator",
    "TrainState",
    "Training",
    "artbp",
    "bidirectional",
    "bptt",
    "chain",
    "clipped_adagrad",
    "clipped_adam",
    "clipped_adamw",
    "clipped_momentum",
    "clipped_rmsprop",
    "computing_in",
    "decaying",
    "dropout",
    "dynamic_evaluate",
    "elman",
    "embed",
    "eprop",
    "evaluate",
    "explain",
    "gated_mlp",
    "generate",
    "gru",
    "init_state",
    "learnt_carry",
    "linear",
    "lstm",
    "make_train_step",
    "multi_head",
    "one_hot",
    "pad_prompts",
    "pausable",
    "pointwise",
    "pre_norm",
    "random_length",
    "reinitialised",
    "resettable",
    "residual",
    "rflo",
    "rms_norm",
    "rtrl",
    "short_convolution",
    "skip_chain",
    "snap",
    "stateless",
    "stream_training",
    "tbptt",
    "tied",
    "unroll",
    "unroll_padded",
    "uoro",
    "validation",
    "variational_dropout",
    "weight_drop",
    "zoneout",
]
