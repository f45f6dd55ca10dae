"""The experiments' models, each built from a plain config."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn.base import Cell, Params, PyTree, Y, named_leaves, require_positive
from jaxrnn.cell_files import find_cell
from jaxrnn.compose import (
    chain,
    computing_in,
    dropout,
    embed,
    learnt_carry,
    linear,
    one_hot,
    pointwise,
    reinitialised,
    residual,
    skip_chain,
    tied,
    variational_dropout,
    zoneout,
)
from jaxrnn.tokens import as_tokens, is_token, require_tokens, truth_as_float

Precision = Literal["float32", "bfloat16"]
Connect = Literal["plain", "residual", "skip"]
DropoutKind = Literal["plain", "variational"]
Init = Literal["default", "published", "small"]


def cross_entropy(logits: Y, targets: PyTree) -> jax.Array:
    """The objective of every model of tokens: logits [..., V] and targets [...] to nats per time
    step [...].

    A target outside the vocabulary is refused; inside `jit`, where it is not known, -1 is the last
    symbol and the loss of another is NaN. What has no target, -100 say, is left out by a weight:

        def ignoring(logits, targets):
            counts = targets != -100
            losses = cross_entropy(logits, jnp.where(counts, targets, 0))
            return jnp.where(counts, losses, 0) / counts.mean(dtype=losses.dtype)

    A gradient style takes the mean over all time steps; the division makes it the mean over those
    that count, of which there has to be one wherever the objective is called.
    """
    require_tokens(logits.shape[-1], target=targets)
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets)


@dataclass(frozen=True)
class TokenModel:
    """Tokens to logits: embedding (or one-hot), layers of one cell, a linear head, and a tanh layer
    before it where one is asked for."""

    vocab_size: int
    output_size: int
    cell: str = "lstm"
    """A name in `CELLS`, or path/to/file.py:factory."""
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


def _small(model: Cell) -> Cell:
    """As pat-coady/rnn has its first weights."""
    tenth = jax.nn.initializers.variance_scaling(0.01, "fan_in", "truncated_normal")

    def init(key):
        params = reinitialised(model, tenth).init(key)
        key_embed, key_head = jax.random.split(jax.random.fold_in(key, 1))
        w = params["head"]["w"]
        # there the head is a table of words, and their number counts as its inputs
        params["head"]["w"] = tenth(key_head, w.shape[::-1], w.dtype).T
        w = named_leaves(params).get("embed.w")  # not of a model on one-hot vectors, or a tied one
        if w is not None:
            params["embed"]["w"] = jax.random.uniform(key_embed, w.shape, w.dtype, -0.01, 0.01)
        return params

    return model._replace(init=init)


INITS: dict[Init, Callable[[Cell], Cell]] = {
    "default": lambda model: model,
    "published": lambda model: reinitialised(model, jax.nn.initializers.glorot_uniform()),
    "small": _small,
}
"""First weights, by what a config calls them."""


def build_model(config: TokenModel, *, training: bool = False) -> Cell:
    """The cell that `config` describes; dropout and zoneout draw only when `training`.

    Raises:
      ValueError: a size below 1, a rate outside [0, 1), an unknown cell, connections that a single
        layer does not have, or an embedding that cannot be tied.
    """
    _check(config)
    name, first, size = _reader(config)
    layers, size = _layers(config, size, training)
    parts = {name: _narrow(config, first), **layers}
    if config.dense_size:
        dense = chain(linear=linear(size, config.dense_size), tanh=pointwise(jnp.tanh))
        parts["hidden"], size = _narrow(config, dense), config.dense_size
    if config.dropout:
        parts["dropout_head"] = _dropout(config, training)
    parts["head"] = _narrow(config, linear(size, config.output_size))
    model = chain(**parts)
    if config.tied:
        model = tied(model, {"embed.w": "head.w"})
    return INITS[config.init](model)


def _reader(config: TokenModel) -> tuple[str, Cell, int]:
    """The part that reads tokens, with its name and the size of its output."""
    forms = config.vocab_size
    if config.capitals:
        forms = 1 + max(form for form, _ in config.capitals)
    size = config.embedding_size or forms
    name, cell = "one_hot", one_hot(forms)
    if config.embedding_size:
        name, cell = "embed", embed(forms, size)
    if config.capitals:
        return name, _flagged(cell, config.capitals), size + 1
    return name, cell, size


def _layers(config: TokenModel, size: int, training: bool) -> tuple[dict[str, Cell], int]:
    """The layers on inputs of `size`, each behind its dropout, and the size of their output."""
    factory = find_cell(config.cell)
    x_size, parts = size, {}
    for number in range(1, config.num_layers + 1):
        layer = factory(size, config.hidden_size)
        if config.zoneout:
            layer = zoneout(layer, config.zoneout, training=training)
        if config.learnt_carry:
            layer = learnt_carry(layer)
        layer = _narrow(config, layer)
        if config.dropout and config.connect == "plain":
            parts[f"dropout_{number}"] = _dropout(config, training)
        elif config.dropout:
            # what goes past the layer is not dropped
            layer = chain(dropout=_dropout(config, training), cell=layer)
        past = config.connect == "residual" and number > 1
        parts[f"layer_{number}"] = residual(layer) if past else layer
        size = config.hidden_size + (x_size if config.connect == "skip" else 0)
    if config.connect == "skip":
        return {"layers": skip_chain(**parts)}, config.num_layers * config.hidden_size
    return parts, config.hidden_size


def _dropout(config: TokenModel, training: bool) -> Cell:
    if config.dropout_kind == "plain":
        drop = dropout(config.dropout, training=training)
    else:
        drop = variational_dropout(config.dropout, config.dropout_hold, training=training)
    return _narrow(config, drop)


def _narrow(config: TokenModel, part: Cell) -> Cell:
    """Each part by itself: a one-hot vector, for one, is float32 whatever surrounds it."""
    return part if config.precision == "float32" else computing_in(part, config.precision)


def _check(config: TokenModel) -> None:
    require_positive(num_layers=config.num_layers)
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


def _flagged(cell: Cell, capitals: tuple[tuple[int, int], ...]) -> Cell:
    """`cell`, which reads forms, on tokens: y of `cell` [size] with the flag behind it, [size + 1].

    A float vector [V] is as many forms and as much of a flag as it has of the tokens, so that
    gradients to one-hot inputs exist.
    """
    forms, flags = np.array(capitals).T

    def step(params, carry, token):
        if is_token(token):
            require_tokens(len(forms), token=token)
            token = as_tokens(token)
            form, flag = jnp.asarray(forms)[token], truth_as_float(jnp.asarray(flags)[token] > 0)
        else:
            form = token @ jax.nn.one_hot(forms, forms.max() + 1, dtype=token.dtype)
            flag = token @ jnp.asarray(flags, token.dtype)
        carry, y = cell.step(params, carry, form)
        return carry, jnp.append(y, flag)

    return Cell(cell.init, cell.init_carry, step)


def token_vectors(params: Params) -> dict[str, jax.Array]:
    """The vectors [V, ...] that a `TokenModel` has of its tokens: what it reads them as, unless
    they are one-hot or tied, and what it weighs them by."""
    found = {"head": params["head"]["w"].T}
    if "embed" in params and not isinstance(params["embed"]["w"], tuple):  # () where it is tied
        found = {"embed": params["embed"]["w"]} | found
    return found


def count_parameters(params: Params) -> int:
    """How many numbers `params` holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def parameter_bytes(cell: Cell) -> int:
    """What the params of `cell` will take, found without allocating them."""
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    return sum(leaf.size * jnp.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(shapes))
