"""An observation of a training run: one pass over a fixed batch, all of it on the device."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxrnn.analysis.named import name_values
from jaxrnn.analysis.saturation import PINNED, saturations
from jaxrnn.base import Batch, TrainState, named_leaves
from jaxrnn.jaxprs.equations import is_float, shapes_of
from jaxrnn.optimizers import updates_of
from jaxrnn.runs.tensorboard.buckets import Histogram, histogram
from jaxrnn.training import Ingredients
from jaxrnn.unroll import unroll


class Observation(NamedTuple):
    """What TensorBoard is shown, by tag."""

    scalars: dict[str, Array]
    histograms: dict[str, Histogram]


def make_observe(ingredients: Ingredients, batch: Batch) -> Callable[[TrainState], Observation]:
    """`state -> Observation` of one member: what its params do with `batch`, from fresh sequences,
    and what a training step would do with it. It depends on params and opt_state alone, so that
    what changes from one observation to the next is what was learnt.

    Histograms are of every value in a step ("activations/...", under the first of its names in
    `jaxrnn.analysis.named`), of params and of their gradients by the training's own estimator.
    Scalars are the global norms of params and updates, and the share of saturated numbers in each
    gate and tanh unit and in all of them.
    """

    def observe(state: TrainState) -> Observation:
        key_carry, key_estimator = jax.random.split(jax.random.key(0))
        params = state.params
        batch_size = jax.tree.leaves(batch.inputs)[0].shape[1]
        keys = jax.random.split(key_carry, batch_size)
        carry = jax.vmap(ingredients.cell.init_carry, in_axes=(None, 0))(params, keys)
        x = shapes_of(batch.inputs, 2)
        named = name_values(ingredients.cell, params, shapes_of(carry, 1), x)

        def step(params, carry, x):
            carry, _, values = named.step(params, carry, x)
            return carry, values

        inside = ingredients.cell._replace(step=step)
        _, values = unroll(inside, params, carry, batch.inputs)
        fresh = ingredients.estimator.init(params, key_estimator, batch_size)
        grads, _, metrics = ingredients.estimator.estimate(params, fresh, batch)
        updates, _ = updates_of(
            ingredients.optimizer, grads, state.opt_state, params, metrics["loss"]
        )
        shown = {"activations": values, "params": params, "gradients": grads}
        norms = {
            "norm/params": optax.tree.norm(params),
            "norm/updates": optax.tree.norm(updates),
        }
        leaves = named_leaves(shown, "/")
        return Observation(
            scalars=norms | shares_saturated(named.every(values), named.units),
            histograms={
                tag: histogram(part)
                for name, leaf in leaves.items()
                if is_float(leaf)
                for tag, part in parts_of(name, leaf).items()
            },
        )

    return observe


def parts_of(tag: str, leaf: Array) -> dict[str, Array]:
    """What histograms show of a leaf: itself, or magnitude and phase of complex numbers."""
    if not jnp.iscomplexobj(leaf):
        return {tag: leaf}
    return {f"{tag}/magnitude": jnp.abs(leaf), f"{tag}/phase": jnp.angle(leaf)}


def shares_saturated(values: Mapping[str, Array], units: Mapping[str, str]) -> dict[str, Array]:
    """Of each unit, of all gates and of all tanh units."""
    found = {n: each.share for n, each in saturations(values, units, PINNED).items()}
    shares = {f"saturation/{name}": share for name, share in found.items()}
    for kind, those in (("gate", "all_gates"), ("tanh", "all_tanh_units")):
        names = [name for name in units if units[name] == kind]
        if names:
            sizes = [values[name].size for name in names]
            every = jnp.stack([found[name] for name in names])
            weights = jnp.array(sizes, every.dtype)
            shares[f"saturation/{those}"] = jnp.average(every, weights=weights)
    return shares
