"""The experiments' models, each built from a plain config."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn.base import Cell, Params, PyTree, Y, named_leaves
from jaxrnn.cell_files import cell_file, find_cell
from jaxrnn.compose import (
    chain,
    computing_in,
    dropout,
    embed,
    learnt_carry,
    linear,
    multi_head,
    one_hot,
    pointwise,
    pre_norm,
    reinitialised,
    residual,
    rms_norm,
    short_convolution,
    skip_chain,
    tied,
    variational_dropout,
    zoneout,
)
from jaxrnn.token_model import Init, TokenModel, check_model
from jaxrnn.tokens import as_tokens, is_token, require_tokens, truth_as_float

GATED = 8 / 3
"""Numbers inside the gated layer of a pre-norm block for each number outside: as many weights as a
layer without a gate has of four."""


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
        layer or a block does not have, heads that do not divide the hidden size, or an embedding
        that cannot be tied.
    """
    check_model(config)
    name, first, size = _reader(config)
    layers, size = (_blocks if config.block == "pre-norm" else _layers)(config, size, training)
    parts = {name: _narrow(config, first), **layers}
    if config.dense_size:
        dense = chain(linear=linear(size, config.dense_size), tanh=pointwise(jnp.tanh))
        parts["hidden"], size = _narrow(config, dense), config.dense_size
    if config.dropout:
        parts["dropout_head"] = _narrow(config, _dropout(config, training))
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
    x_size, parts = size, {}
    for number in range(1, config.num_layers + 1):
        layer = _narrow(config, _layer(config, size, training))
        if config.dropout and config.connect == "plain":
            parts[f"dropout_{number}"] = _narrow(config, _dropout(config, training))
        elif config.dropout:
            # what goes past the layer is not dropped
            layer = chain(dropout=_narrow(config, _dropout(config, training)), cell=layer)
        past = config.connect == "residual" and number > 1
        parts[f"layer_{number}"] = residual(layer) if past else layer
        size = config.hidden_size + (x_size if config.connect == "skip" else 0)
    if config.connect == "skip":
        return {"layers": skip_chain(**parts)}, config.num_layers * config.hidden_size
    return parts, config.hidden_size


def _layer(config: TokenModel, size: int, training: bool) -> Cell:
    """A cell on inputs of `size`, or several side by side."""
    hidden_size = config.hidden_size // config.heads
    layer = find_cell(config.cell)(size, hidden_size)
    if cell_file(config.cell) is not None:
        _own_outputs(config.cell, layer, size, hidden_size)
    if config.zoneout:
        layer = zoneout(layer, config.zoneout, training=training)
    if config.learnt_carry:
        layer = learnt_carry(layer)
    return layer if config.heads == 1 else multi_head(layer, config.heads)


def _own_outputs(name: str, cell: Cell, input_size: int, hidden_size: int) -> None:
    """What a researcher's own cell returns has to be what the next layer reads.

    Raises:
      RuntimeError, ValueError: what its functions raise, with its name.
      TypeError: an output that is no vector of hidden_size.
    """

    def run(key):
        params = cell.init(key)
        return cell.step(params, cell.init_carry(params, key), jnp.zeros(input_size))[1]

    try:
        y = jax.eval_shape(run, jax.random.key(0))
    except Exception as error:
        kind = ValueError if isinstance(error, ValueError) else RuntimeError
        raise kind(f"cell {name}: {type(error).__name__}: {error}") from error
    if getattr(y, "shape", None) != (hidden_size,):
        raise TypeError(
            f"cell {name}: step returns {y}; give a vector of hidden_size, [{hidden_size}]"
        )


def _blocks(config: TokenModel, size: int, training: bool) -> tuple[dict[str, Cell], int]:
    """The same of blocks, which add to a stream of hidden_size."""
    stream, parts = config.hidden_size, {}
    if size != stream:
        parts["stream"] = _narrow(config, linear(size, stream))
    drop = _dropout(config, training) if config.dropout else None
    if drop is not None:
        parts["dropout"] = _narrow(config, drop)
    for number in range(1, config.num_layers + 1):
        inside = {"cell": _layer(config, stream, training)}
        if config.convolution:
            before = short_convolution(stream, config.convolution)
            inside = {"convolution": before, "silu": pointwise(jax.nn.silu), **inside}
        if drop is not None:
            inside["dropout"] = drop
        block = pre_norm(chain(**inside), stream, round(GATED * stream), drop)
        parts[f"layer_{number}"] = _narrow(config, block)
    return parts | {"norm": _narrow(config, rms_norm(stream))}, stream


def _dropout(config: TokenModel, training: bool) -> Cell:
    if config.dropout_kind == "plain":
        return dropout(config.dropout, training=training)
    return variational_dropout(config.dropout, config.dropout_hold, training=training)


def _narrow(config: TokenModel, part: Cell) -> Cell:
    """Each part by itself: a one-hot vector, for one, is float32 whatever surrounds it."""
    return part if config.precision == "float32" else computing_in(part, config.precision)


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
