"""What tests of analysis look at: first params and a few tokens, cells whose memory is known in
closed form, and the registered ones in numpy."""

import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import Cell

KEY = jax.random.key(0)
TOKENS = jnp.array([1, 3, 0, 2, 2, 4])


def given(cell: Cell) -> tuple[Any, Any]:
    """Its first params, and the carry of one example."""
    params = cell.init(KEY)
    return params, cell.init_carry(params, KEY)


def delay(lag: int) -> Cell:
    """y is the x of `lag` time steps ago, times w; x [I] to y [I], with one number in w."""
    return Cell(
        init=lambda key: {"w": jnp.float32(1.5)},
        init_carry=lambda params, key: jnp.zeros((lag, 3)),
        step=lambda params, carry, x: (
            jnp.concatenate([carry[1:], x[None]]),
            params["w"] * carry[0],
        ),
    )


def linear_cell(matrix: jax.Array) -> Cell:
    """c' = c A + x, y = c'."""

    def step(params, carry, x):
        carry = carry @ matrix + x
        return carry, carry

    return Cell(lambda key: (), lambda params, key: jnp.zeros(len(matrix)), step)


def counter() -> Cell:
    """c' = c + w x, y = c': forgets nothing."""

    def step(w, carry, x):
        carry = carry + w * x
        return carry, carry

    return Cell(lambda key: jnp.float32(0.5), lambda params, key: jnp.float32(0), step)


def transcription(name: str, params: Any) -> tuple[Any, Callable[[Any, Any], tuple[Any, Any]]]:
    """The cell of tests/reference/NAME.py, for input_size 3 and hidden_size 4: the carry before the
    first time step, and `(carry, x) -> (carry, y)`."""
    module = importlib.import_module(f"reference.{name}")
    named = {
        jax.tree_util.keystr(path).removeprefix("."): np.asarray(leaf)
        for path, leaf in jax.tree.leaves_with_path(params)
    }
    return module.initial_carry(named), lambda carry, x: module.step(named, carry, x)


def differences(function: Callable[[Any], Any], given: np.ndarray, size: float = 1e-5):
    """Central differences of `function(given)` [...] to every number of `given` [D]: [..., D]."""
    steps = size * np.eye(given.size)
    slopes = [(function(given + step) - function(given - step)) / (2 * size) for step in steps]
    return np.stack(slopes, -1)
