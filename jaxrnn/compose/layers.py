"""Cells without a recurrence, which go between those with one."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrnn.base import Cell, require_positive
from jaxrnn.tokens import as_tokens, is_token, one_hot_vectors, require_tokens

_glorot = jax.nn.initializers.glorot_uniform()


def pointwise(function: Callable[[jax.Array], jax.Array]) -> Cell:
    """A function of x alone, such as `jax.nn.relu`: no params, no carry."""
    return Cell(
        init=lambda key: (),
        init_carry=lambda params, key: (),
        step=lambda params, carry, x: ((), function(x)),
    )


def one_hot(vocab_size: int) -> Cell:
    """A token [], of any integer type, to its one-hot vector [V]. A float vector [V] passes
    through, so that gradients to one-hot inputs exist. A token outside the vocabulary is refused;
    inside `jit`, where it is not known, its vector is zero."""
    require_positive(vocab_size=vocab_size)

    def function(x):
        if not is_token(x):
            return x
        require_tokens(vocab_size, token=x)
        return one_hot_vectors(x, vocab_size)

    return pointwise(function)


def embed(vocab_size: int, size: int) -> Cell:
    """A token [], of any integer type, to its row of E [V, size]; a float vector x [V] to x @ E, so
    that gradients to one-hot inputs exist. E begins as N(0, 1). A token outside the vocabulary is
    refused; inside `jit`, where it is not known, it is the nearest one, or counted from the end
    where it is negative (-1 is the last)."""
    require_positive(vocab_size=vocab_size, size=size)

    def step(params, carry, x):
        if not is_token(x):
            return (), x @ params["w"]
        require_tokens(vocab_size, token=x)
        return (), params["w"][as_tokens(x)]

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
