"""Tokens: whole numbers that count the symbols of a vocabulary, from 0."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Integer


def is_token(x: ArrayLike) -> bool:
    """Whether x is a token, and not a float vector [V] in the place of one.

    Raises:
      ValueError: it is neither, such as a truth value or a single float.
    """
    kind = jnp.result_type(x)
    if jnp.issubdtype(kind, jnp.integer):
        return True
    if not jnp.ndim(x):
        raise ValueError(
            f"a token is {kind}[]; give an integer, such as tokens.astype(jnp.int32), or a float "
            "vector [V] in its place"
        )
    return False


def is_known(x: ArrayLike) -> bool:
    """Whether the numbers of x can be looked at here: it is not traced, and no part of it belongs
    to another process."""
    return not isinstance(x, Tracer) and getattr(x, "is_fully_addressable", True)


def require_tokens(vocab_size: int, **tokens: ArrayLike) -> None:
    """Tokens count the symbols of a vocabulary from 0. Traced ones cannot be looked at: there -1 is
    the last symbol, as an index is in Python, and another outside may be any or NaN.

    Raises:
      ValueError: names the first token that is known to be outside.
    """
    for name, given in tokens.items():
        if not is_known(given):
            continue
        numbers = np.asarray(given)
        outside = numbers[(numbers < 0) | (numbers >= vocab_size)]
        if outside.size:
            raise ValueError(
                f"{name} {outside.flat[0]} is outside the vocabulary; give 0 to {vocab_size - 1} "
                "(what is to be left out has a weight of 0 in the objective, see "
                "jaxrnn.models.cross_entropy)"
            )


def as_tokens(x: ArrayLike) -> Integer[Array, "..."]:
    """Tokens as int32. In 8 or 16 bits the size of a vocabulary itself wraps around: 300 is 44
    there, and a comparison with all ids finds a token twice."""
    return jnp.asarray(x).astype(jnp.int32)


def one_hot_vectors(x: ArrayLike, vocab_size: int) -> Float[Array, "... V"]:
    """In float32, and of the type of what they meet: as weakly typed as a Python number."""
    return truth_as_float(as_tokens(x)[..., None] == jnp.arange(vocab_size, dtype=jnp.int32))


def truth_as_float(condition: Bool[Array, "..."]) -> Float[Array, "..."]:
    """1 where it is true, else 0; float32 and weakly typed, whatever `jax_enable_x64` is."""
    with jax.enable_x64(False):
        return jnp.where(condition, 1.0, 0.0)
