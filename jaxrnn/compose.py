"""Cells from cells, and the cells without a recurrence that go between them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jaxrnn.base import Cell, PyTree, require_positive

_glorot = jax.nn.initializers.glorot_uniform()


def chain(*cells: Cell, **named: Cell) -> Cell:
    """Cells one after another: the output of each is the x of the next.

    Params and carry are dicts under the names (positional cells are named "0", "1", ...), and
    each step runs inside `jax.named_scope(name)`, so that profiles and graphs show the same
    names.
    """
    parts = {str(i): cell for i, cell in enumerate(cells)} | named
    if not parts:
        raise ValueError("chain has no cells; give at least one")

    def keys(key):
        return dict(zip(parts, jax.random.split(key, len(parts)), strict=True))

    def init(key):
        return {name: parts[name].init(key) for name, key in keys(key).items()}

    def init_carry(params, key):
        return {name: parts[name].init_carry(params[name], key) for name, key in keys(key).items()}

    def step(params, carry, x):
        new = {}
        for name, cell in parts.items():
            with jax.named_scope(name):
                new[name], x = cell.step(params[name], carry[name], x)
        return new, x

    return Cell(init, init_carry, step)


def pointwise(function: Callable[[jax.Array], jax.Array]) -> Cell:
    """A function of x alone, such as `jax.nn.relu`: no params, no carry."""
    return Cell(
        init=lambda key: (),
        init_carry=lambda params, key: (),
        step=lambda params, carry, x: ((), function(x)),
    )


def one_hot(vocab_size: int) -> Cell:
    """A token [] to its one-hot vector [V]. A float vector [V] passes through, so that gradients to
    one-hot inputs exist."""
    require_positive(vocab_size=vocab_size)
    return pointwise(lambda x: jax.nn.one_hot(x, vocab_size) if _is_token(x) else x)


def embed(vocab_size: int, size: int) -> Cell:
    """A token [] to its row of E [V, size]; a float vector x [V] to x @ E, so that gradients to
    one-hot inputs exist. E begins as N(0, 1)."""
    require_positive(vocab_size=vocab_size, size=size)

    def step(params, carry, x):
        return (), params["w"][x] if _is_token(x) else x @ params["w"]

    return Cell(
        init=lambda key: {"w": jax.random.normal(key, (vocab_size, size))},
        init_carry=lambda params, key: (),
        step=step,
    )


def linear(input_size: int, output_size: int) -> Cell:
    """y = x W + b, with W [I, O] Glorot-uniform and b [O] zero at first; no carry."""
    require_positive(input_size=input_size, output_size=output_size)
    return Cell(
        init=lambda key: {
            "w": _glorot(key, (input_size, output_size)),
            "b": jnp.zeros(output_size),
        },
        init_carry=lambda params, key: (),
        step=lambda params, carry, x: ((), x @ params["w"] + params["b"]),
    )


def dropout(rate: float) -> Cell:
    """Zeroes each number of x with probability `rate` and scales the others by 1 / (1 - rate).

    It belongs on non-recurrent connections: between the cells of a chain. Each example draws its
    own mask at each time step, from `fold_in(key, step)` with both leaves in the carry. The
    evaluation model has rate 0: same params, same carry, x unchanged.

    Reference: Zaremba et al. (2014), https://arxiv.org/abs/1409.2329
    """
    if not 0 <= rate < 1:
        raise ValueError(
            f"rate is {rate!r}; give the probability of a zero, from 0 up to but not 1"
        )

    def init_carry(params, key):
        return {"key": key, "step": jnp.int32(0)}

    def step(params, carry, x):
        new = carry | {"step": carry["step"] + 1}
        if rate == 0:
            return new, x
        keep = jax.random.bernoulli(
            jax.random.fold_in(carry["key"], carry["step"]), 1 - rate, x.shape
        )
        return new, jnp.where(keep, x / (1 - rate), 0)

    return Cell(lambda key: (), init_carry, step)


def reinitialised(cell: Cell, initializer: Callable[..., jax.Array]) -> Cell:
    """`cell` with every matrix of its params drawn from `initializer(key, shape, dtype)` instead;
    vectors (biases, scales) begin as the cell has them."""

    def init(key):
        params = cell.init(key)
        leaves, tree = jax.tree.flatten(params)
        keys = jax.random.split(key, len(leaves))
        drawn = [
            initializer(k, leaf.shape, leaf.dtype) if leaf.ndim == 2 else leaf
            for k, leaf in zip(keys, leaves, strict=True)
        ]
        return tree.unflatten(drawn)

    return cell._replace(init=init)


def computing_in(cell: Cell, dtype: DTypeLike) -> Cell:
    """`cell` with its steps computed in `dtype`, such as bfloat16.

    Params stay as they are and are rounded where a step reads them: an optimizer's small updates
    are not lost, and gradients, which have the type of params, add up over time unrounded. The
    carry's floats are in `dtype`; y comes out in float32, so that a loss of it is not rounded.
    Integers and keys are untouched. A float32 array that `cell` itself makes in its step raises
    what it meets to float32, so in a chain each part is wrapped by itself.

    Reference: Micikevicius et al. (2018), https://arxiv.org/abs/1710.03740; bfloat16 needs none of
    its loss scaling: Kalamkar et al. (2019), https://arxiv.org/abs/1905.12322
    """

    def init_carry(params, key):
        return _floats_as(dtype, cell.init_carry(params, key))

    def step(params, carry, x):
        new, y = cell.step(*_floats_as(dtype, (params, carry, x)))
        return _floats_as(dtype, new), _floats_as(float, y)  # float: JAX's own, float32

    return Cell(cell.init, init_carry, step)


def _floats_as(dtype: DTypeLike, tree: PyTree) -> PyTree:
    return jax.tree.map(
        lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree
    )


def _is_token(x: ArrayLike) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.integer)
