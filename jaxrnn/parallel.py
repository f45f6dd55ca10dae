"""Devices: the batch of one training, or the members of a sweep, over several of them.

On a CPU each core can be a device of its own (`jax_num_cpu_devices`); the same code uses several
GPUs or TPU cores.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrnn.base import Batch, GradientEstimator, PyTree, TrainState

Devices = Sequence[Any]  # of jax.Device, which type checkers take for a variable


class Workload(NamedTuple):
    """What the choice of devices looks at: the size of one training step, and how many members."""

    members: int
    batch_size: int
    num_steps: int
    hidden_size: int


def choose_devices(platform: str, available: int, workload: Workload) -> int:
    """How many of the `available` devices (on a CPU: cores) a run should use.

    Members of a sweep are independent, so they take as many devices as divide them. A single
    training divides its batch; on a CPU that pays while the matmuls are too small to be threaded
    (hidden size up to 128) and the step large enough to outweigh the meeting at its end.
    `python -m experiments.speed --case char-step` prints both sides.
    """
    members, batch_size, num_steps, hidden_size = workload
    if members > 1:
        return math.gcd(members, available)
    if platform == "cpu" and (hidden_size > 128 or batch_size * num_steps * hidden_size < 100_000):
        return 1
    return math.gcd(batch_size, available)


def batch_parallel(estimator: GradientEstimator, devices: Devices) -> GradientEstimator:
    """`estimator` with the batch divided over `devices`: weights replicated, gradients averaged.

    Equal to `estimator` up to rounding; on one device or none named it is `estimator`.

    Raises:
      ValueError: on `estimate`, where the batch does not divide.
    """
    if len(devices) < 2:
        return estimator
    mesh = _mesh(devices, "batch")
    sequences, steps = P("batch"), P(None, "batch")

    def local(params, carry, batch):
        # marks the weights as this device's own, so that their gradient is not summed at every
        # time step but once, below
        params = lax.pcast(params, "batch", to="varying")
        grads, carry, metrics = estimator.estimate(params, carry, batch)
        grads, metrics = lax.pmean((grads, metrics), "batch")
        return grads, carry, metrics

    def estimate(params, carry, batch: Batch):
        batch_size = jax.tree.leaves(batch.targets)[0].shape[1]
        if batch_size % len(devices):
            raise ValueError(
                f"batch_size is {batch_size}, which {len(devices)} devices do not divide; "
                f"use {math.gcd(batch_size, len(devices))}"
            )
        divided = jax.shard_map(
            local, mesh=mesh, in_specs=(P(), sequences, steps), out_specs=(P(), sequences, P())
        )
        return divided(params, carry, batch)

    return GradientEstimator(estimator.init, estimate)


def over_members(function: Callable[..., PyTree], devices: Devices) -> Callable[..., PyTree]:
    """`function` of one member to a function of all, every leaf with a leading axis of members.

    Each device takes its share one after another (`lax.map`): the compiled body is that of a single
    member, so a member's numbers do not depend on which others run beside it.
    """

    def one_after_another(*arguments):
        return lax.map(lambda each: function(*each), arguments)

    def mapped(*arguments):
        members = jax.tree.leaves(arguments)[0].shape[0]
        if members == 1:
            first = jax.tree.map(lambda a: a[0], arguments)
            return jax.tree.map(lambda a: a[None], function(*first))
        if len(devices) == 1:
            return one_after_another(*arguments)
        if members % len(devices):
            raise ValueError(
                f"{len(devices)} devices do not divide {members} members; "
                f"use {math.gcd(members, len(devices))}"
            )
        return jax.shard_map(
            one_after_another,
            mesh=_mesh(devices, "member"),
            in_specs=P("member"),
            out_specs=P("member"),
            check_vma=False,  # members never meet: there is nothing to check, and `cond` would mind
        )(*arguments)

    return mapped


def place(states: TrainState, devices: Devices) -> TrainState:
    """Lays the states of all members (leading axis) where `over_members` and `batch_parallel` want
    them, so that the first call moves nothing and the second does not compile again."""
    return jax.device_put(states, shardings(states, devices))


def shardings(states: TrainState, devices: Devices) -> TrainState:
    """The `NamedSharding` of every leaf of the members' states."""
    members = jax.tree.leaves(states)[0].shape[0]
    axis = "member" if members > 1 else "batch"
    mesh = _mesh(devices, axis)
    everywhere = NamedSharding(mesh, P("member") if members > 1 else P())
    carry = NamedSharding(mesh, P("member") if members > 1 else P(None, "batch"))
    every = jax.tree.map(lambda _: everywhere, states)
    return every._replace(carry=jax.tree.map(lambda _: carry, states.carry))


def _mesh(devices: Devices, axis: str) -> Mesh:
    return Mesh(np.array(devices), (axis,))
