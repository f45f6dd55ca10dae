"""What describes a model of tokens, and what it cannot be."""

from dataclasses import dataclass
from typing import Literal

from jaxrnn.base import require_positive

Precision = Literal["float32", "bfloat16"]
Connect = Literal["plain", "residual", "skip"]
DropoutKind = Literal["plain", "variational"]
Block = Literal["plain", "pre-norm"]
Init = Literal["default", "published", "small"]


@dataclass(frozen=True)
class TokenModel:
    """Tokens to logits: embedding (or one-hot), layers of one cell, a linear head, and a tanh layer
    before it where one is asked for."""

    vocab_size: int
    output_size: int
    cell: str = "lstm"
    """A name in `CELLS`, or path/to/file.py:factory; either with options, as in lru(r_min=0.9)."""
    hidden_size: int = 100
    num_layers: int = 1
    embedding_size: int = 0
    """0 feeds one-hot vectors."""
    dropout: float = 0.0
    """Rate before each layer and before the head."""
    init: Init = "default"
    """published: every matrix Glorot-uniform. small: the embedding uniform within 0.01, every other
    matrix a tenth of what keeps the size of its input."""
    precision: Precision = "float32"
    """What its steps compute in; params and outputs are float32."""
    connect: Connect = "plain"
    """residual: layers after the first add their input to their output. skip: layers after the
    first read the first one's input too, and the head reads the outputs of all."""
    dropout_kind: DropoutKind = "plain"
    """variational: one mask for dropout_hold time steps."""
    dropout_hold: int = 0
    """Time steps that a variational mask holds; 0: for the whole sequence."""
    zoneout: float = 0.0
    """Rate at which a number of the layers' carries keeps its value for a time step."""
    tied: bool = False
    """The embedding is the transpose of the head's matrix, which begins as the head's does."""
    learnt_carry: bool = False
    """The layers' initial carries are learnt, else as the cell has them."""
    capitals: tuple[tuple[int, int], ...] = ()
    """What each token is read as: a lower-cased form by its id and, as one more input, a flag, as
    `jaxrnn.data.capital_table` has them. Empty reads the tokens themselves. Outputs stay tokens."""
    dense_size: int = 0
    """Units of a tanh layer between the layers and the head; 0 has none."""
    block: Block = "plain"
    """pre-norm: layers add to a stream of hidden_size, each a cell behind a norm, then a gated
    layer behind a norm; the head reads it through a norm. Dropout is behind the cells."""
    convolution: int = 0
    """Time steps that a short convolution in front of each cell of a block sees; 0 has none."""
    heads: int = 1
    """Cells of hidden_size / heads side by side in each layer."""


def check_model(config: TokenModel) -> None:
    """
    Raises:
      ValueError: a size below 1, a rate outside [0, 1), connections that a single layer or a block
        does not have, heads that do not divide the hidden size, or an embedding that cannot be
        tied.
    """
    sizes = {name: getattr(config, name) for name in ("num_layers", "hidden_size", "heads")}
    require_positive(**sizes)
    if config.num_layers > 1000:
        raise ValueError(f"num_layers is {config.num_layers}; give at most 1000")
    for name, rate in (("dropout", config.dropout), ("zoneout", config.zoneout)):
        if not 0 <= rate < 1:
            raise ValueError(f"{name} is {rate}; give a rate from 0 up to but not 1")
    if config.dense_size < 0:
        raise ValueError(f"dense_size is {config.dense_size}; give units, or 0 for no such layer")
    if config.dropout_hold < 0:
        raise ValueError(
            f"dropout_hold is {config.dropout_hold}; give time steps, or 0 for the whole sequence"
        )
    if config.embedding_size < 0:
        raise ValueError(
            f"embedding_size is {config.embedding_size}; give at least 1, or 0 for one-hot vectors"
        )
    if config.capitals and len(config.capitals) != config.vocab_size:
        raise ValueError(
            f"capitals has {len(config.capitals)} entries, vocab_size is {config.vocab_size}; "
            "give one for each token"
        )
    if config.connect != "plain" and config.num_layers < 2:
        raise ValueError(
            f"connect is {config.connect}, and a single layer has nothing to connect; "
            "give num_layers of at least 2, or connect plain"
        )
    if config.hidden_size % config.heads:
        raise ValueError(
            f"heads is {config.heads}; give a number that divides hidden_size, {config.hidden_size}"
        )
    if config.block == "pre-norm" and config.connect != "plain":
        raise ValueError(
            f"connect is {config.connect}, and blocks of block pre-norm are residual themselves; "
            "give connect plain"
        )
    if config.convolution < 0 or (config.convolution and config.block == "plain"):
        raise ValueError(
            f"convolution is {config.convolution} with block {config.block}; give time steps, and "
            "block pre-norm, or 0 for no convolution"
        )
    if config.tied:
        _check_tied(config)


def _check_tied(config: TokenModel) -> None:
    if config.capitals:
        raise ValueError("tied needs an embedding of tokens, and capitals has one of their forms")
    layers = config.num_layers if config.connect == "skip" else 1
    wide = config.dense_size or layers * config.hidden_size
    if config.embedding_size != wide:
        raise ValueError(
            f"tied needs an embedding_size of {wide}, what the head reads; it is "
            f"{config.embedding_size}"
        )
    if config.output_size != config.vocab_size:
        raise ValueError(
            f"tied needs an output_size equal to vocab_size, {config.vocab_size}; it is "
            f"{config.output_size}"
        )
