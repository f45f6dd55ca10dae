"""The groups of fields that every experiment's config nests: texts, model, gradients, optimizer,
loop. Each field is a flag without the group's name.

An experiment subclasses a group to give it other defaults. A field that it fills in by itself, from
flags of its own, is `Decided` there.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar, runtime_checkable

from tyro.conf import Fixed, Suppress

from jaxrnn.gradients import STYLES
from jaxrnn.optimizers import OPTIMIZERS, Decay
from jaxrnn.token_model import Block, Connect, DropoutKind, Init, Precision
from jaxrnn.unroll import Schedule

T = TypeVar("T")
Decided = Annotated[T, *Suppress[Fixed[Any]].__metadata__]
"""Of a field that is no flag and in no record: the experiment's `settings` fills it in."""

# Names of registries, so that a new style or optimizer is a choice in every experiment.
if TYPE_CHECKING:
    EstimatorName = str
    OptimizerName = str
else:
    EstimatorName = Literal[tuple(STYLES)]
    OptimizerName = Literal[tuple(OPTIMIZERS)]


@dataclass(frozen=True)
class TextConfig:
    """What is read."""

    corpus: str = "tiny-shakespeare"
    """tiny-shakespeare, sherlock, nvidia, ptb, stdlib, or the path of a UTF-8 text file."""
    valid_fraction: float = 0.1
    """Part of the text, at its end, to validate on; 0 trains on everything."""
    limit: int | None = None
    """Largest vocabulary; rarer symbols become one unknown symbol."""


@dataclass(frozen=True)
class ModelConfig:
    """A stack of recurrent layers."""

    cell: str = "lstm"
    """A name in CELLS, or path/to/file.py:factory; either with options, as in "lru(r_min=0.9)"."""
    num_layers: int = 1
    hidden_size: int = 100
    embedding_size: int = 0
    """0 feeds one-hot vectors."""
    connect: Connect = "plain"
    """residual: layers add their input to their output; skip: each reads the first one's input too,
    and the head reads all."""
    block: Block = "plain"
    """pre-norm: layers add to one stream, each a norm, a cell, a norm and a gated layer."""
    convolution: int = 0
    """Time steps that a short convolution before each cell of a block sees; 0 has none."""
    heads: int = 1
    """Cells of hidden_size / heads side by side in each layer."""
    dropout: float = 0.0
    """Rate on the non-recurrent connections."""
    dropout_kind: DropoutKind = "plain"
    """variational: one mask for all time steps of a training step."""
    zoneout: float = 0.0
    """Rate at which a number of the carry keeps its value for a time step."""
    weight_drop: float = 0.0
    """Rate of recurrent weights that are zero for a training step."""
    tied: bool = False
    """The embedding is the head's matrix, transposed."""
    learnt_carry: bool = False
    """The layers' initial carries are learnt."""
    init: Init = "default"
    """First weights; published: Glorot everywhere; small: a tenth of what is usual."""
    precision: Precision = "float32"
    """What the model computes in; params, optimizer and loss are float32."""


@dataclass(frozen=True)
class GradientConfig:
    """How errors go back over time."""

    estimator: EstimatorName = "tbptt"
    """The gradient style, one of `jaxrnn.gradients.STYLES`."""
    window: int = 0
    """Steps an error goes back at most (of drawn lengths: the base or the mean); 0: num_steps."""
    stride: int = 0
    """Steps between two windows; 0: num_steps."""
    history: int = 0
    """Steps in front of the scored ones; at most window - stride."""
    schedule: Schedule = "auto"
    """How a training step goes over time: scan is the plain loop, auto chooses by size."""


@dataclass(frozen=True)
class OptimizerConfig:
    """The update of the params."""

    optimizer: OptimizerName = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.8
    """Of the optimizer momentum."""
    weight_decay: float | None = None
    """Of adamw alone: how much of itself, times the learning rate, a matrix loses at an update;
    None is 0.01."""
    decay: Decay = "none"
    """How the learning rate falls to 0 at the last epoch."""
    warmup: int = 0
    """Training steps over which it rises at first."""
    max_norm: float | None = None
    """Clip the gradient to this global norm; None does not clip."""


@dataclass(frozen=True)
class LoopConfig:
    """How long, how often, and what is logged."""

    batch_size: int = 32
    """Streams that are read side by side in a training step."""
    epochs: int = 1
    seed: int = 0
    seeds: int = 1
    """How many seeds, from seed on, each a member of one compiled run."""
    log_every: int = 25
    """Training steps to a line of the log; Ctrl-C is noticed as often."""


@runtime_checkable
class Grouped(Protocol):
    """A config that nests the groups of a model and of its training run."""

    @property
    def model(self) -> ModelConfig: ...
    @property
    def gradient(self) -> GradientConfig: ...
    @property
    def optimizer(self) -> OptimizerConfig: ...
    @property
    def loop(self) -> LoopConfig: ...
