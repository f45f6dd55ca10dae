"""The influence of params on the carry, kept where a pattern allows it.

The influence J is the derivative of the carry to the params, along all time steps so far:

    J' = I + D J,    I = d step / d params,    D = d step / d carry

Numbers of the carry that no number of a param has in common share a slot. So the J of one param is
[slots, *shape of the param]: each place in it belongs to one number of the carry, the one that
slot and param number determine, and one backward pass per slot gives I in the same form.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from jaxrnn.base import Carry, Cell, Params, PyTree, X
from jaxrnn.gradients.online.estimator import Build, Influence
from jaxrnn.gradients.online.products import thinned
from jaxrnn.gradients.sequence import flat_floats, floats, with_floats, with_leaves
from jaxrnn.jaxprs.reach import Pattern, reach
from jaxrnn.schedule.devices import vary_like

# `(I's pattern, D's pattern) -> the pattern of what is kept of J`.
Keeps = Callable[[Pattern, Pattern], Pattern]


class Slots(NamedTuple):
    """Where the influence of one leaf of params is kept.

    Attributes:
      leaf: its index.
      picks: [slots, C], which numbers of the carry share each slot.
      axes: of the leaf, those along which the number of the carry changes.
      rows: [slots, *sizes of the axes], the number of the carry; C where there is none.
    """

    leaf: int
    picks: np.ndarray
    axes: tuple[int, ...]
    rows: np.ndarray


class Layout(NamedTuple):
    """Where the influence is kept and how it goes on.

    Attributes:
      slots: of the leaves that reach the carry; the others take no memory.
      local: the cell whose D takes the influence on.
      size: C, floats in the carry.
      picks: [groups, C], rows of D that share a backward pass.
      group: [C + 1], the group of each row.
      feeds: [C + 1, C + 1], where D can be other than zero and is read.
    """

    slots: tuple[Slots, ...]
    local: Cell
    size: int
    picks: np.ndarray
    group: np.ndarray
    feeds: np.ndarray


def lay_out(cell: Cell, local: Cell, params: Params, x: X, keeps: Keeps) -> Layout:
    """Finds the layout from the equations of `cell`; arguments may be shapes. `local` has the D
    that takes the influence on."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    sizes = [a.size for a in floats(params)]
    columns = sum(sizes)
    begun, carry = reach(cell.init_carry, (params,), key)
    stepped, _ = reach(lambda *given: cell.step(*given)[0], (params, carry), x)
    passed, _ = reach(lambda *given: local.step(*given)[0], (params, carry), x)
    immediate, feeds = begun + stepped[:, :columns], passed[:, columns:]
    kept = keeps(immediate, feeds).tocsc()
    size = kept.shape[0]
    slots, start = [], 0
    for leaf, a in enumerate(jax.tree.leaves(params)):
        if jnp.issubdtype(a.dtype, jnp.inexact):
            part = kept[:, start : start + a.size]
            start += a.size
            if part.nnz:
                slots.append(_slots(leaf, part.tocsr(), a.shape))
    read = feeds.multiply(_read(slots, size)).tocsr()
    local, feeds = thinned(local, params, carry, x, read)
    group = _share(_overlap(feeds))
    full = np.zeros((size + 1, size + 1), bool)
    full[:size, :size] = read.toarray()
    picks = _picks(group, size)
    return Layout(tuple(slots), local, size, picks, np.append(group, 0), full)


def _read(slots: Sequence[Slots], size: int) -> Pattern:
    """The numbers of D that J' = I + D J reads: those between numbers of the carry that the
    influence of one and the same number of a param is kept on."""
    found = np.zeros((size + 1, size + 1), bool)
    for each in slots:
        found[each.rows[:, None], each.rows[None]] = True
    return sparse.csr_matrix(found[:size, :size])


def _slots(leaf: int, pattern: Pattern, shape: tuple[int, ...]) -> Slots:
    size = pattern.shape[0]
    slot = _share(_overlap(pattern), np.diff(pattern.indptr) > 0)
    count = slot.max() + 1
    entries = pattern.tocoo()
    rows = np.full((count, pattern.shape[1]), size)
    rows[slot[entries.row], entries.col] = entries.row
    rows = rows.reshape(count, *shape)
    axes = []
    for axis in range(len(shape)):
        first = np.take(rows, [0], axis + 1)
        if (rows == first).all():
            rows = first
        else:
            axes.append(axis)
    rows = rows.reshape(count, *(shape[axis] for axis in axes))
    return Slots(leaf, _picks(slot, size), tuple(axes), rows)


def _overlap(pattern: Pattern) -> np.ndarray:
    """Which rows have a number in common."""
    return (pattern @ pattern.T).toarray()


def _share(conflicts: np.ndarray, wanted: np.ndarray | None = None) -> np.ndarray:
    """The colour of each row, none with a row that it conflicts with; -1 for those not wanted."""
    colour = np.full(len(conflicts), -1)
    for row in range(len(conflicts)):
        if wanted is None or wanted[row]:
            taken = np.unique(colour[conflicts[row]])
            taken = taken[taken >= 0]
            free = np.flatnonzero(taken != np.arange(len(taken)))
            colour[row] = free[0] if len(free) else len(taken)
    return colour


def _picks(colour: np.ndarray, size: int) -> np.ndarray:
    count = int(colour.max(initial=-1)) + 1
    return (colour[None] == np.arange(count)[:, None]).reshape(count, size)


def closure(immediate: Pattern, feeds: Pattern) -> Pattern:
    """I's pattern, and wherever D takes it in any number of time steps."""
    reaches = feeds + sparse.eye(feeds.shape[0], format="csr", dtype=bool)
    while (further := reaches @ reaches).nnz > reaches.nnz:
        reaches = further
    return reaches @ immediate


def within(order: int) -> Keeps:
    """I's pattern, and where D takes it in up to `order` - 1 time steps."""

    def keeps(immediate: Pattern, feeds: Pattern) -> Pattern:
        kept = immediate
        for _ in range(order - 1):
            further = immediate + feeds @ kept
            if further.nnz == kept.nnz:  # no time step adds anything
                return kept
            kept = further
        return kept

    return keeps


def sparse_influence(local: Callable[[Cell], Cell], keeps: Keeps) -> Build:
    """J where `keeps` says so, taken on by the D of `local(cell)`."""

    def build(cell, params, x):
        layout = lay_out(cell, local(cell), params, x, keeps)
        return Influence(
            start=lambda params, key: at_the_start(layout, cell, params, key),
            advance=lambda *now: advance(layout, cell, *now),
            meet=lambda errors, influence: meet(layout, errors, influence),
        )

    return build


def at_the_start(layout: Layout, cell: Cell, params: Params, key: jax.Array) -> list[jax.Array]:
    """The influence on a fresh carry: the derivative of `init_carry`."""

    leaves = _reached(params, layout)
    if not leaves:
        return []
    dtype = jnp.result_type(*leaves)

    def start(leaves):
        return flat_floats(cell.init_carry(_with(params, layout, leaves), key), dtype)

    value, pull = jax.vjp(start, leaves)
    return _immediate(layout, lambda error: pull(error)[0], value)


def advance(
    layout: Layout,
    cell: Cell,
    params: Params,
    carry: Carry,
    x: X,
    influence: list[jax.Array],
) -> list[jax.Array]:
    """J' = I + D J, each in its pattern."""
    leaves, moving = _reached(params, layout), floats(carry)
    if not leaves:
        return []
    dtype = jnp.result_type(*leaves)

    def of_params(leaves):
        return flat_floats(cell.step(_with(params, layout, leaves), carry, x)[0], dtype)

    def of_carry(moving):
        return flat_floats(layout.local.step(params, with_floats(carry, moving), x)[0], dtype)

    value, pull_params = jax.vjp(of_params, leaves)
    immediate = _immediate(layout, lambda error: pull_params(error)[0], value)
    value, pull_carry = jax.vjp(of_carry, moving)
    grouped = jax.vmap(lambda error: flat_floats(pull_carry(error)[0], dtype))(
        _errors(layout.picks, value)
    )
    return [
        new + _carried_on(layout, slots, grouped, old).astype(new.dtype)
        for slots, new, old in zip(layout.slots, immediate, influence, strict=True)
    ]


def _carried_on(
    layout: Layout, slots: Slots, grouped: jax.Array, influence: jax.Array
) -> jax.Array:
    """D J for one leaf: at each place along the axes, a matrix of the slots' numbers."""
    to, of = slots.rows[:, None], slots.rows[None]
    to, of = np.broadcast_arrays(to, of)
    there = layout.feeds[to, of]
    found = grouped[layout.group[to], np.minimum(of, layout.size - 1)]
    factor = jnp.where(there, found, 0)
    letters = _letters(influence.ndim - 1)
    along = "".join(letters[axis] for axis in slots.axes)
    return jnp.einsum(f"yz{along},z{letters}->y{letters}", factor, influence)


def meet(layout: Layout, errors: jax.Array, influence: list[jax.Array]) -> dict[int, jax.Array]:
    """The gradient to each leaf that reaches the carry, of errors [B, C] that meet the influence
    [B, slots, ...] on the carry that they arrive at."""
    found = {}
    padded = jnp.concatenate([errors, jnp.zeros_like(errors[:, :1])], axis=1)
    for slots, old in zip(layout.slots, influence, strict=True):
        letters = _letters(old.ndim - 2)
        along = "".join(letters[axis] for axis in slots.axes)
        mine = padded[:, slots.rows].astype(old.dtype)
        found[slots.leaf] = jnp.einsum(f"yz{along},yz{letters}->{letters}", mine, old)
    return found


def _immediate(
    layout: Layout, pull: Callable[[jax.Array], list[jax.Array]], value: jax.Array
) -> list[jax.Array]:
    """I for each leaf, from the pullback of a carry whose floats are `value`; leaves with the same
    slots share their backward passes."""
    results: dict[bytes, list[jax.Array]] = {}
    found = []
    for index, slots in enumerate(layout.slots):
        name = slots.picks.tobytes()
        if name not in results:
            results[name] = jax.vmap(pull)(_errors(slots.picks, value))
        found.append(results[name][index])
    return found


def _errors(picks: np.ndarray, value: jax.Array) -> jax.Array:
    return vary_like(jnp.asarray(picks, value.dtype), value)


def _reached(params: Params, layout: Layout) -> list[jax.Array]:
    leaves = jax.tree.leaves(params)
    return [leaves[slots.leaf] for slots in layout.slots]


def _with(params: Params, layout: Layout, some: list[jax.Array]) -> PyTree:
    places = (slots.leaf for slots in layout.slots)
    return with_leaves(params, dict(zip(places, some, strict=True)))


def _letters(count: int) -> str:
    return "abcdefghijklmnop"[:count]
