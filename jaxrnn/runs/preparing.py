"""A setting's pure functions over all its members, jitted, and what is refused before anything
runs."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxrnn.base import Metrics, Params, PyTree, TrainState
from jaxrnn.parallel import Devices, laid, over_members, place, replicated, shardings
from jaxrnn.runs.experiment import Setting
from jaxrnn.swept import Swept
from jaxrnn.unstable import jaxprs_in, opened


class Best(NamedTuple):
    """The params with the lowest validation loss so far; while there is none, the latest, and the
    loss is infinite."""

    params: Params
    loss: Float[Array, " S"]
    step: Int[Array, " S"]


class Saved(NamedTuple):
    """What a checkpoint holds, every leaf with a leading axis of members."""

    state: TrainState
    best: Best


class Members(NamedTuple):
    """Who is trained side by side by one compiled program, an entry each.

    Attributes:
      seeds: what each is drawn from.
      learning_rates: of each.
      swept: other flags by name, each with a number of every member; see `SWEPT`.
    """

    seeds: Sequence[int]
    learning_rates: Sequence[float]
    swept: Mapping[str, Sequence[float]] = {}


class Prepared(NamedTuple):
    """A setting's functions over all members, jitted, and the shapes of what is saved.

    Attributes:
      place: lays what was restored where these functions have it, so that none compiles twice.
      members: of how they are computed, for the record: "at_once" of them side by side on a device,
        and how that was chosen.
      again: the same with another number of them side by side.
      among: the same programs for other members, as many of them: nothing is compiled anew.
    """

    setting: Setting
    seeds: Sequence[int]
    devices: Devices
    init: Callable[[], TrainState]
    first_best: Callable[[TrainState], Best]
    chunk: Callable[[TrainState], tuple[TrainState, Metrics]]
    validate: Callable[[Params], Metrics]
    update_best: Callable[[Best, TrainState, ArrayLike], Best]
    finalize_best: Callable[[Best, TrainState], Best]
    like: Saved
    place: Callable[[Saved], Saved]
    members: Mapping[str, Any]
    again: Callable[[int], "Prepared"]
    among: Callable[[Members], "Prepared"]


class NotSwept(ValueError):
    """What a flag says is part of the program, and not a number that it computes with."""


def check_setting(setting: Setting, members: Members, devices: Devices) -> TrainState:
    """Refuses what can be refused before a training step is traced; returns the shapes of the state
    of all members.

    Raises:
      ValueError: a state larger than the machine's memory, a learning rate below 0, more steps than
        can be counted.
    """
    most = (2**31 - 1) // setting.training.steps_per_epoch
    if setting.epochs > most:
        raise ValueError(f"--epochs is {setting.epochs}; give at most {most:,}")
    for learning_rate in members.learning_rates:
        if not 0 <= learning_rate < np.inf:
            raise ValueError(f"--learning-rate is {learning_rate}; give 0 or more")
    init, count = over_members(setting.training.init, devices), len(members.seeds)
    key = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), count))
    rate = jax.ShapeDtypeStruct((count,), jnp.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that the next line refuses
        shapes = jax.eval_shape(init, key, rate)
    require_memory(_bytes_of(shapes), "the training state")
    return shapes


def prepare(
    setting: Setting,
    members: Members,
    devices: Devices,
    *,
    at_once: int = 1,
    build: Callable[[Mapping[str, float]], Setting] | None = None,
) -> Prepared:
    """Traces everything once, so that a setting that cannot work fails here, before a run directory
    exists.

    Args:
      at_once: how many members a device computes side by side.
      build: the setting with other values of the swept flags, which are `Swept`.

    Raises:
      ValueError: as `check_setting`, and an array larger than the machine's memory; and whatever
        tracing raises.
      NotSwept: a swept flag that the training run does not compute with.
    """
    shapes = check_setting(setting, members, devices)
    values = _numbers(members)
    given: list[Swept] = []

    def of_member(values) -> Setting:
        if not values:
            return setting
        assert build is not None  # whoever sweeps a flag says how
        swept = {name: Swept(members.swept[name][0], a) for name, a in values.items()}
        given.extend(swept.values())
        return build(swept)

    def chunk_of(values, state):
        return of_member(values).training.chunk(state)

    def validate_of(values, params):
        return of_member(values).validate(params)

    layout = shardings(shapes, devices)
    best_layout = Best(layout.params, layout.step, layout.step)
    chunk = jax.jit(
        over_members(chunk_of, devices, at_once),
        donate_argnums=1,
        out_shardings=(layout, replicated(devices)),
    )
    validate = jax.jit(
        over_members(validate_of, devices, at_once), out_shardings=replicated(devices)
    )
    program, _ = opened(chunk.trace(values, shapes).jaxpr)
    if unused := [name for name, a in zip(values, given, strict=False) if not a.used]:
        raise NotSwept(f"{', '.join(unused)} is part of the program")
    require_memory(_largest_array(program), "one array of a training step")
    validated = jax.eval_shape(validate, values, shapes.params)
    loss = validated.get("valid_loss", jax.ShapeDtypeStruct((len(members.seeds),), jnp.float32))

    def first_best(state):
        # of the dtypes that later ones have: with others the next call compiles again
        infinite = jnp.full(loss.shape, jnp.inf, loss.dtype)
        return Best(state.params, infinite, jnp.zeros_like(state.step))

    def choose(condition, new, old):
        def where(new, old):
            return jnp.where(condition.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(where, new, old)

    def update_best(best, state, loss):
        return choose(loss < best.loss, Best(state.params, loss, state.step), best)

    def finalize_best(best, state):
        return choose(jnp.isinf(best.loss), Best(state.params, best.loss, state.step), best)

    first = jax.jit(over_members(setting.training.init, devices))
    prepared = Prepared(
        setting=setting,
        seeds=members.seeds,
        devices=devices,
        init=partial(_first_state, first, members, devices),
        first_best=jax.jit(first_best, out_shardings=best_layout),
        chunk=partial(chunk, values),
        validate=partial(validate, values),
        update_best=jax.jit(update_best, out_shardings=best_layout),
        finalize_best=jax.jit(finalize_best, out_shardings=best_layout),
        like=Saved(shapes, jax.eval_shape(first_best, shapes)),
        place=partial(laid, layout=Saved(layout, best_layout)),
        members={"at_once": at_once},
        again=lambda other: prepare(setting, members, devices, at_once=other, build=build),
        among=lambda others: among(others),
    )

    def among(others: Members) -> Prepared:
        if len(others.seeds) != len(members.seeds) or {*others.swept} != {*members.swept}:
            raise ValueError(f"{len(others.seeds)} members are not {len(members.seeds)} others")
        numbers = _numbers(others)
        return prepared._replace(
            seeds=others.seeds,
            init=partial(_first_state, first, others, devices),
            chunk=partial(chunk, numbers),
            validate=partial(validate, numbers),
            again=lambda other: prepare(setting, others, devices, at_once=other, build=build),
        )

    return prepared


def _numbers(members: Members) -> dict[str, np.ndarray]:
    """Of the swept flags, what each member computes with."""
    return {name: np.array(a, np.float32) for name, a in members.swept.items()}


def _first_state(init: Callable[..., TrainState], members: Members, devices: Devices) -> TrainState:
    keys = jax.vmap(jax.random.key)(jnp.array(members.seeds, jnp.uint32))
    rates = jnp.array(members.learning_rates, jnp.float32)
    return place(init(keys, rates), devices)


def of_seeds(setting: Setting, seeds: Sequence[int]) -> Members:
    """A member to a seed."""
    return Members(seeds, [setting.learning_rate] * len(seeds))


def require_memory(needed: int, what: str) -> None:
    """Says so before anything is allocated: a machine that swaps to death explains nothing.

    Raises:
      ValueError: `needed` bytes are more than this machine has.
    """
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows; a system without the name
        return
    if needed > there:
        raise ValueError(
            f"{what} needs {needed / 2**30:,.0f} GiB, this machine has {there / 2**30:,.0f}; "
            "give smaller sizes or fewer seeds"
        )


def _largest_array(jaxpr: Any) -> int:
    """Bytes of the largest array that a program computes anywhere: less than it needs."""
    largest = 0
    for equation in jaxpr.eqns:
        shaped = [variable.aval for variable in equation.outvars if hasattr(variable.aval, "size")]
        largest = max([largest, *(_largest_array(inner) for inner in jaxprs_in(equation))])
        largest = max([largest, *(_bytes_of(array) for array in shaped)])
    return largest


def _bytes_of(shapes: PyTree) -> int:
    """How much the arrays take; a key counts as two words."""

    def width(dtype):
        is_key = jnp.issubdtype(dtype, jax.dtypes.prng_key)
        return 8 if is_key else jnp.dtype(dtype).itemsize

    return sum(a.size * width(a.dtype) for a in jax.tree.leaves(shapes))
