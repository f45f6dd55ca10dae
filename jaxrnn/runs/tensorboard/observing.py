"""A look into a training: one pass over a fixed batch, all of it on the device."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxrnn.base import Batch, PyTree, TrainState
from jaxrnn.runs.tensorboard.buckets import Histogram, histogram
from jaxrnn.runs.tensorboard.taps import Tap, find_taps, tapped
from jaxrnn.schedule.reading import is_float
from jaxrnn.training import Parts
from jaxrnn.unroll import unroll

TANH_SATURATED = 0.97
"""A tanh unit is saturated beyond this, in size."""
GATE_CLOSED, GATE_OPEN = 0.05, 0.95
"""A gate is saturated below the one and above the other."""


class Observation(NamedTuple):
    """What TensorBoard is shown, by tag."""

    scalars: dict[str, Array]
    histograms: dict[str, Histogram]


def make_observe(parts: Parts, batch: Batch) -> Callable[[TrainState], Observation]:
    """`state -> Observation` of one member: what its params do with `batch`, from fresh sequences,
    and what a training step would do with it. It depends on params and opt_state alone, so that
    what changes from one look to the next is what was learnt.

    Histograms are of every activation ("activations/...", see `find_taps`), of params and of their
    gradients by the training's own estimator. Scalars are the global norms of params and updates,
    and the share of saturated numbers in each gate and tanh unit and in all of them.
    """
    inside = tapped(parts.cell)

    def observe(state: TrainState) -> Observation:
        key_carry, key_estimator = jax.random.split(jax.random.key(0))
        params = state.params
        batch_size = jax.tree.leaves(batch.inputs)[0].shape[1]
        keys = jax.random.split(key_carry, batch_size)
        carry = jax.vmap(parts.cell.init_carry, in_axes=(None, 0))(params, keys)
        _, (_, values) = unroll(inside, params, carry, batch.inputs)
        fresh = parts.estimator.init(params, key_estimator, batch_size)
        grads, _, _ = parts.estimator.estimate(params, fresh, batch)
        updates, _ = parts.optimizer.update(grads, state.opt_state, params)
        named = {"activations": values, "params": params, "gradients": grads}
        norms = {
            "norm/params": optax.tree.norm(params),
            "norm/updates": optax.tree.norm(updates),
        }
        taps = find_taps(parts.cell, params, *_first((carry, batch.inputs)))
        return Observation(
            scalars=norms | saturation(taps, values),
            histograms={tag: histogram(a) for tag, a in by_tag(named).items() if is_float(a)},
        )

    return observe


def saturation(taps: list[Tap], values: dict[str, Array]) -> dict[str, Array]:
    """The shares of saturated numbers: of each unit, of all gates and of all tanh units."""
    shares: dict[str, Array] = {}
    kinds: dict[str, list[tuple[Array, int]]] = {"gates": [], "tanh_units": []}
    for tap in taps:
        if not tap.unit:
            continue
        is_gate = tap.unit.rpartition("/")[2].startswith("gate")
        saturated = (gates_saturated if is_gate else tanh_saturated)(values[tap.name])
        share = saturated.astype(jnp.float32).mean()
        shares[f"saturation/{tap.unit}"] = share
        kinds["gates" if is_gate else "tanh_units"].append((share, saturated.size))
    for kind, found in kinds.items():
        if found:
            size = sum(size for _, size in found)
            shares[f"saturation/all_{kind}"] = sum(
                (share * (count / size) for share, count in found), jnp.float32(0)
            )
    return shares


def gates_saturated(gates: ArrayLike) -> Array:
    gates = jnp.asarray(gates)
    return (gates < GATE_CLOSED) | (gates > GATE_OPEN)


def tanh_saturated(units: ArrayLike) -> Array:
    return jnp.abs(jnp.asarray(units)) > TANH_SATURATED


def by_tag(tree: PyTree) -> dict[str, Array]:
    """The leaves of a tree by their path: `params/layer_1/w_ih`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def _first(carry_and_inputs: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
    """The shapes of one example at one time step, of a carry [B, ...] and inputs [T, B, ...]."""
    carry, inputs = carry_and_inputs
    return jax.eval_shape(
        lambda carry, inputs: (
            jax.tree.map(lambda a: a[0], carry),
            jax.tree.map(lambda a: a[0, 0], inputs),
        ),
        carry,
        inputs,
    )
