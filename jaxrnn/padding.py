"""Sequences of several lengths in one batch, and sequences read from both ends."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Int, Integer

from jaxrnn.base import Carry, Cell, Params, PyTree, Size, X, Y
from jaxrnn.sheltering import sheltered
from jaxrnn.unroll import Schedule, check_axes, unroll, where


def pausable(cell: Cell) -> Cell:
    """`cell` on x = (x, active): while `active` [] is false its carry stays as it is (y is then
    ignored), and no gradient depends on what stands in x or comes of it, NaN included.

    So sequences of several lengths share a batch, and windows may begin at different time steps.
    """

    def step(params, carry, x: tuple[X, Bool[Array, ""]]):
        x, active = x
        # what pads may be NaN, and 0 * NaN would reach the gradient of params; or a token out of
        # range, whose embedding is NaN
        x = jax.tree.map(lambda a: a if _is_key(a) else jnp.where(active, a, jnp.zeros_like(a)), x)
        new, y = sheltered(cell.step, params, carry, x, active)
        return where(active, new, carry), y

    return cell._replace(step=step)


def unroll_padded(
    cell: Cell,
    params: Params,
    carry: Carry,
    xs: X,
    lengths: Integer[Array, " B"],
    *,
    schedule: Schedule = "auto",
) -> tuple[Carry, Y]:
    """`unroll` of right-padded sequences: sequence b has `lengths[b]` time steps.

    Args:
      carry: leaves [B, ...], the carry before the first time step.
      xs: leaves [T, B, ...]; what stands behind a sequence's end is ignored, NaN included.
      lengths: 0 to T each; inside `jit`, where they are not known, one outside counts as the
        nearer end.
      schedule: of `unroll`.

    Returns:
      The carry after the last time step that counts, of a sequence of length 0 the one given; and
      ys, leaves [T, B, ...], zeros behind the end. Neither they nor their gradients depend on the
      padding. A loss of ys still has to leave out what is behind the end, in its mean too.

    Raises:
      ValueError: as `unroll` does, or lengths that are not one integer from 0 to T for each
        sequence.
    """
    check_axes(carry, xs)
    active = _active(xs, _checked(xs, lengths))
    end, ys = unroll(pausable(cell), params, carry, (xs, active), schedule=schedule)
    return end, where(active, ys, jax.tree.map(jnp.zeros_like, ys))


def bidirectional(
    forward: Cell,
    backward: Cell,
    params: tuple[Params, Params],
    carry: tuple[Carry, Carry],
    xs: X,
    lengths: Integer[Array, " B"] | None = None,
    *,
    schedule: Schedule = "auto",
) -> tuple[tuple[Carry, Carry], Y]:
    """Two cells over the same sequences, the second from their last time step to their first.

    What reads ahead cannot go on from a carry, so this is no cell: it is called on whole sequences,
    and its ys may be the xs of another.

    Args:
      params, carry: of `forward` and `backward`; each carry stands before the first time step that
        its cell reads.
      xs: leaves [T, B, ...].
      lengths: of right-padded sequences, as in `unroll_padded`; None: all have T time steps.
      schedule: of `unroll`.

    Returns:
      The carries after the last time step that each cell reads (of `backward`: a sequence's first),
      and ys, leaves [T, B, ...], with those of `forward` and then those of `backward` along the
      last axis.

    Raises:
      ValueError: as `unroll_padded` does.

    Reference: Schuster and Paliwal (1997), https://doi.org/10.1109/78.650093
    """

    check_axes(carry, xs)
    ends = None if lengths is None else _checked(xs, lengths)

    def run(cell, params, carry, xs):
        if ends is None:
            return unroll(cell, params, carry, xs, schedule=schedule)
        return unroll_padded(cell, params, carry, xs, ends, schedule=schedule)

    ahead, ys = run(forward, params[0], carry[0], xs)
    back, reversed_ys = run(backward, params[1], carry[1], _reversed(xs, ends))
    others = _reversed(reversed_ys, ends)
    return (ahead, back), jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=-1), ys, others)


def _is_key(a: Array) -> bool:
    return jnp.issubdtype(a.dtype, jax.dtypes.prng_key)


def _checked(xs: X, lengths: ArrayLike) -> Int[Array, " B"]:
    """Raises: ValueError, not one integer from 0 to T for each sequence."""
    length, batch_size = jax.tree.leaves(xs)[0].shape[:2]
    given = jnp.asarray(lengths)
    if given.shape != (batch_size,) or not jnp.issubdtype(given.dtype, jnp.integer):
        raise ValueError(
            f"lengths are {given.dtype}{list(given.shape)}; "
            f"give one integer for each of the {batch_size} sequences in xs"
        )
    if not isinstance(lengths, Tracer):
        for b, number in enumerate(np.asarray(lengths).tolist()):
            if not 0 <= number <= length:
                raise ValueError(
                    f"lengths[{b}] is {number}; give 0 to {length}, the time steps of xs"
                )
    return jnp.clip(given.astype(jnp.int32), 0, length)


def _active(xs: X, lengths: Int[Array, " B"]) -> Bool[Array, "T B"]:
    return _count_up(jax.tree.leaves(xs)[0].shape[0])[:, None] < lengths[None]


def _count_up(size: Size) -> Int[Array, " size"]:
    return jnp.arange(size, dtype=jnp.int32)


def _reversed(xs: PyTree, lengths: Int[Array, " B"] | None) -> PyTree:
    """Each sequence backwards, its padding where it was."""
    if lengths is None:
        return jax.tree.map(lambda a: jnp.flip(a, axis=0), xs)
    active = _active(xs, lengths)
    steps, sequences = _count_up(active.shape[0])[:, None], _count_up(active.shape[1])[None]
    source = jnp.where(active, lengths[None] - 1 - steps, steps)
    return jax.tree.map(lambda a: jnp.asarray(a)[source, sequences], xs)
