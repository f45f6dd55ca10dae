"""A cell together with all that the laws need to try it."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from jaxtyping import Key as KeyArray

from jaxrnn.base import Carry, Cell, Params, X
from jaxrnn.cells import CellFactory
from jaxrnn.jaxprs.equations import is_float
from jaxrnn.laws.comparing import normal_like

T = TypeVar("T")

BATCH_SIZE = 2
NUM_STEPS = 5


class Subject(NamedTuple):
    """A cell under examination.

    Attributes:
      factory: `(input_size, hidden_size) -> Cell`.
      cell: what it made.
      params: what `cell.init` drew.
      keys: [B], what `init_carry` of each example draws from.
      carry: leaves [B, ...], the carries before the first time step.
      xs: [T, B, I], normal numbers.
      input_size, hidden_size: what the factory was called with.
      reference: the cell's transcription, a module with `PARAMETERS` (leaf name to shape),
        `initial_carry(params)` and `step(params, carry, x)` in numpy; None for a cell without.
    """

    factory: CellFactory
    cell: Cell
    params: Params
    keys: KeyArray[Array, " B"]
    carry: Carry
    xs: X
    input_size: int
    hidden_size: int
    reference: Any


def subject(
    factory: CellFactory,
    input_size: int = 3,
    hidden_size: int = 4,
    *,
    batch_size: int = BATCH_SIZE,
    num_steps: int = NUM_STEPS,
    reference: Any = None,
    seed: int = 0,
) -> Subject:
    """Makes the cell, its first params and carries, and inputs. All sizes differ by default, so
    that no two axes are mistaken for one another.

    Raises:
      TypeError: the factory returns something else than a `Cell`. Whatever the factory, `init` or
        `init_carry` raise passes through.
    """
    cell = factory(input_size, hidden_size)
    if not isinstance(cell, Cell):
        raise TypeError(f"it returns {type(cell).__name__}, not a jaxrnn.Cell")
    key_params, key_carry, key_xs = jax.random.split(jax.random.key(seed), 3)
    params = jax.tree.map(jnp.asarray, cell.init(key_params))
    keys = jax.random.split(key_carry, batch_size)
    return Subject(
        factory=factory,
        cell=cell,
        params=params,
        keys=keys,
        carry=initial_carries(cell, params, keys),
        xs=jax.random.normal(key_xs, (num_steps, batch_size, input_size)),
        input_size=input_size,
        hidden_size=hidden_size,
        reference=reference,
    )


def kept(of: Callable[[Subject], T]) -> Callable[[Subject], T]:
    """`of`, which is called once where several laws ask for the same subject in turn: to compile
    what it runs takes most of the time of a law."""
    last: list[Any] = [None, None]

    @functools.wraps(of)
    def once(subject: Subject) -> T:
        if last[0] is not subject:
            last[:] = subject, of(subject)
        return last[1]

    return once


def initial_carries(cell: Cell, params: Params, keys: KeyArray[Array, " B"]) -> Carry:
    return jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)


def nearby(params: Params, generator: np.random.Generator) -> Params:
    """Params a little off the first ones, where nothing is zero by initialisation alone."""
    return jax.tree.map(
        lambda a: a + jnp.asarray(0.1 * normal_like(a, generator)) if is_float(a) else a, params
    )
