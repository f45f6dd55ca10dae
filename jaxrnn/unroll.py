"""A cell over time."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool

from jaxrnn.base import Carry, Cell, Params, PyTree, X, Y

Schedule = Literal["auto", "scan"]

# Up to so many time steps "auto" writes the loop out: where a step is as small as the toy's, the
# loop's own bookkeeping counts (`python -m experiments.speed --case toy-step`).
SHORT = 8


def unroll(
    cell: Cell, params: Params, carry: Carry, xs: X, *, schedule: Schedule = "auto"
) -> tuple[Carry, Y]:
    """Runs `cell` over time for a batch; means exactly `lax.scan` of the batched step.

    Args:
      cell: the recurrence.
      params: its parameters, shared by the whole batch.
      carry: leaves [B, ...], the carry before the first time step.
      xs: leaves [T, B, ...].
      schedule: "scan" is the plain loop and the specification; "auto" writes out
        loops of up to `SHORT` time steps, and takes the plain loop otherwise.

    Returns:
      The carry after the last time step, leaves [B, ...], and ys, leaves [T, B, ...].

    Raises:
      ValueError: unknown schedule, or leaves that disagree on T or B.
    """
    if schedule not in get_args(Schedule):
        known = ", ".join(get_args(Schedule))
        raise ValueError(f"schedule is {schedule!r}; the schedules are {known}")
    _check_axes(carry, xs)
    batched = jax.vmap(cell.step, in_axes=(None, 0, 0))
    length = jax.tree.leaves(xs)[0].shape[0]
    written_out = schedule == "auto" and length <= SHORT
    return lax.scan(lambda carry, x: batched(params, carry, x), carry, xs, unroll=written_out)


def pausable(cell: Cell) -> Cell:
    """`cell` on x = (x, active): while `active` [] is false its carry stays as it is (y is then
    of no account).

    So sequences of several lengths share a batch, and windows may begin at different time steps.
    """

    def step(params, carry, x: tuple[X, Bool[Array, ""]]):
        x, active = x
        # what pads may be NaN, and 0 * NaN would reach the gradient of params
        x = jax.tree.map(lambda a: jnp.where(active, a, 0) if _is_float(a) else a, x)
        new, y = cell.step(params, carry, x)
        return where(active, new, carry), y

    return cell._replace(step=step)


def where(condition: Bool[Array, "..."], a: PyTree, b: PyTree) -> PyTree:
    """`jnp.where` over trees, the condition along the leading axes of every leaf."""

    def choose(x, y):
        return jnp.where(
            condition.reshape(condition.shape + (1,) * (x.ndim - condition.ndim)), x, y
        )

    return jax.tree.map(choose, a, b)


def _is_float(x: ArrayLike) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _check_axes(carry: Carry, xs: X) -> None:
    leaves = jax.tree.leaves_with_path(xs)
    if not leaves:
        raise ValueError("xs has no leaves; give at least one array [T, B, ...]")
    for path, leaf in leaves:
        if leaf.ndim < 2:
            name = "xs" + jax.tree_util.keystr(path)
            raise ValueError(
                f"{name} has shape {leaf.shape}; give it time and batch axes [T, B, ...]"
            )
    sizes = {leaf.shape[:2] for _, leaf in leaves}
    if len(sizes) > 1:
        raise ValueError(f"the leaves of xs have (T, B) {sorted(sizes)}; give all the same")
    _check_batch(carry, sizes.pop()[1])


def _check_batch(carry: PyTree, batch_size: int) -> None:
    for path, leaf in jax.tree.leaves_with_path(carry):
        if leaf.shape[:1] != (batch_size,):
            name = "carry" + jax.tree_util.keystr(path)
            raise ValueError(
                f"{name} has shape {leaf.shape}; its first axis is the batch, {batch_size} in xs"
            )
