"""What all online styles share: a batch forwards, its errors, and the influence that they meet.

In real-time recurrent learning nothing goes backwards through time. Beside the carry an estimator
threads what it knows of the carry's derivative to the params, J, and an error that arrives at
the carry meets it there:

    dL / dparams = sum over t of  (dL_t / dparams, the carry given)  +  (dL_t / dcarry_t) J_t

where carry_t stands in front of time step t. The first part is that of the output's own params
(the head) and of the last time step; it needs no influence and is taken for all time steps at
once. The styles differ in J alone.

Marschall, Cho and Savin (2020), https://jmlr.org/papers/v21/19-562.html, is the framework.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.base import Batch, Carry, Cell, GradientEstimator, Key, Objective, Params, PyTree, X
from jaxrnn.gradients.online.parts import as_gradient, in_parts, parted
from jaxrnn.gradients.sequence import (
    Sequences,
    begin,
    carry_shapes,
    flat_floats,
    floats,
    passed_carries,
    proceed,
    refuse_history,
    require_in_vocabulary,
    require_sequences,
    starting_carry,
    with_floats,
    with_leaves,
)
from jaxrnn.jaxprs.equations import shapes_of
from jaxrnn.schedule import vary_alike
from jaxrnn.unroll import Schedule, unroll, where


class Influence(NamedTuple):
    """How one style keeps the influence of params on the carry, for one example.

    Attributes:
      start: `(params, key) -> influence` on a fresh carry, `init_carry(params, key)`.
      advance: `(params, carry, x, influence) -> influence` one time step on.
      meet: `(errors [B, C], influence [B, ...]) -> {leaf of params: gradient}`, added over the
        batch.
    """

    start: Callable[[Params, Key], PyTree]
    advance: Callable[[Params, Carry, X, PyTree], PyTree]
    meet: Callable[[Any, PyTree], dict[int, Any]]


class Online(NamedTuple):
    """The carry: where each sequence stands, and the influence on its carry, [B, ...]."""

    sequences: Sequences
    influence: PyTree


# `(cell, params, x) -> Influence`; params and x may be shapes.
Build = Callable[[Cell, Params, X], Influence]


def online(
    name: str,
    build: Build,
    cell: Cell,
    objective: Objective,
    x: X | None,
    schedule: Schedule,
    felt: Callable[[Cell], Cell] | None = None,
) -> GradientEstimator:
    """The estimator of a style called `name`; x of one example, or its shape, if not to be found.

    The carry is made before a batch is seen, and what the influence needs is read from the step,
    which needs an x. Complex params and carries are taken by their real and imaginary parts.
    Errors arrive at the carry through a time step of `felt(cell)`, where that is given.
    """
    cell = in_parts(cell)
    through = None if felt is None else felt(cell)

    def init(params, key, batch_size):
        params = parted(params)
        begun = begin(cell, params, key, batch_size)
        one = find_input(name, cell, params) if x is None else jax.eval_shape(lambda: x)
        kept = build(cell, params, one)
        influence = jax.eval_shape(jax.vmap(kept.start, in_axes=(None, 0)), params, begun.key)
        return Online(begun, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), influence))

    def estimate(params, carry: Online, batch: Batch):
        params = parted(params)
        require_sequences(carry.sequences.fresh.shape[0], batch)
        none = f"{name} takes none, its influence reaches further back"
        refuse_history(batch, f"{none}: give as many inputs as targets")
        require_in_vocabulary(cell, objective, params, batch)
        params, carry, batch = vary_alike((params, carry, batch))
        kept = build(cell, params, shapes_of(batch.inputs, 2))
        sequences = carry.sequences
        first = starting_carry(cell, params, sequences)
        fresh = jax.vmap(kept.start, in_axes=(None, 0))(params, sequences.key)
        _require_same_shapes(name, carry.influence, fresh)
        influence = where(sequences.fresh, fresh, carry.influence)
        end, carries = passed_carries(cell, params, first, batch.inputs, schedule)
        loss, direct, errors = _apart(cell, through, params, carries, batch, objective, schedule)

        def step(state, now):
            grads, influence = state
            carry, x, errors = now
            found = kept.meet(errors, influence)
            grads = {leaf: grads[leaf] + more for leaf, more in found.items()}
            advance = jax.vmap(kept.advance, in_axes=(None, 0, 0, 0))
            return (grads, advance(params, carry, x, influence)), None

        leaves = jax.tree.leaves(direct)
        added = jax.eval_shape(kept.meet, errors[0], influence)
        grads = {leaf: leaves[leaf] for leaf in added}
        state, steps = vary_alike(((grads, influence), (carries, batch.inputs, errors)))
        (grads, influence), _ = lax.scan(step, state, steps)
        after = Online(proceed(sequences, end), influence)
        return as_gradient(with_leaves(direct, grads)), after, {"loss": loss}

    return GradientEstimator(init, estimate)


def _apart(cell, through, params, carries, batch, objective, schedule):
    """The loss, its gradient to params with the carries [T, B, ...] given, and the errors
    [T, B, C] that arrive at them, through `through` if not None. No time step needs another, so
    all are done at once."""
    moving = floats(carries)

    def loss_by(cell):
        alone = Cell(
            init=cell.init,
            init_carry=lambda params, key: (),
            step=lambda params, carry, now: (carry, cell.step(params, *now)[1]),
        )

        def mean_loss(params, moving):
            joined = with_floats(carries, moving)
            _, outputs = unroll(alone, params, (), (joined, batch.inputs), schedule=schedule)
            return objective(outputs, batch.targets).mean()

        return mean_loss

    loss, (direct, errors) = jax.value_and_grad(loss_by(cell), argnums=(0, 1))(params, moving)
    if through is not None:
        errors = jax.grad(loss_by(through), argnums=1)(params, moving)
    over_time_and_batch = jax.vmap(jax.vmap(lambda tree: flat_floats(tree, loss.dtype)))
    if errors:
        errors = over_time_and_batch(errors)
    else:
        errors = jnp.zeros((*jax.tree.leaves(batch.inputs)[0].shape[:2], 0), loss.dtype)
    return loss, direct, errors


def find_input(name: str, cell: Cell, params: Params) -> X:
    """The shape of x that the cell takes: a token [], a number [] or a vector of numbers as long as
    an axis of params."""
    sizes = {size for leaf in jax.tree.leaves(params) for size in leaf.shape}
    candidates = [jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((), jnp.float32)]
    candidates += [jax.ShapeDtypeStruct((size,), jnp.float32) for size in sorted(sizes)]
    carry = carry_shapes(cell, params)
    said = "the carry changes its type"
    for x in candidates:
        try:
            after, _ = jax.eval_shape(cell.step, params, carry, x)
        except Exception as error:  # whatever a step says of an x that is not its own
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            continue
        if _kinds(after) == _kinds(carry):
            return x
    raise ValueError(
        f"{name} cannot tell what x the cell takes: its step refuses a token [], a number [] and "
        f"vectors of the lengths of its params' axes, the last with: {said}; give "
        f"{name}(..., x=one time step of one example)"
    )


def _require_same_shapes(name: str, carried: PyTree, made: PyTree) -> None:
    if _kinds(carried) != _kinds(made):
        raise ValueError(
            f"the influence in the carry of {name} was laid out for another x than that of "
            f"batch.inputs; give {name}(..., x=one time step of one example)"
        )


def _kinds(tree: PyTree) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]
