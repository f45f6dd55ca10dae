"""Devices: the batch of one training run, or the members of a sweep, over several of them.

On a CPU each core can be a device of its own (`jax_num_cpu_devices`); the same code uses several
GPUs or TPU cores.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrnn.base import Batch, Carry, GradientEstimator, PyTree, TrainState

Devices = Sequence[Any]  # of jax.Device, which type checkers take for a variable


class Workload(NamedTuple):
    """What the choice of devices looks at: the size of one training step, and how many members."""

    members: int
    batch_size: int
    num_steps: int
    hidden_size: int


def choose_devices(platform: str, available: int, workload: Workload) -> int:
    """How many of the `available` devices (on a CPU: cores) a run should use.

    Members of a sweep are independent, so they take the fewest devices on which the busiest has the
    least to do. A single training run divides its batch; on a CPU that pays while the recurrent
    weights stay near each core (hidden size up to 512: `python -m experiments.speed --case lstm
    gru` prints both sides) and the step is large enough to outweigh the meeting at its end. Evenly,
    since what is left over costs a loop of its own; on a CPU that loop is short beside the others
    where these have 16 sequences each (`python -m experiments.char --batch-size 33 --devices 2`,
    or 1: the log has the training steps per second).
    """
    members, batch_size, num_steps, hidden_size = workload
    if members > 1:
        share = math.ceil(members / available)
        return math.ceil(members / share)
    if platform == "cpu" and (hidden_size > 512 or batch_size * num_steps * hidden_size < 100_000):
        return 1
    if platform == "cpu" and batch_size >= 16 * available:
        return available
    return math.gcd(batch_size, available)


def dividing(batch_size: int, devices: Sequence[Any]) -> Sequence[Any]:
    """The devices, of those given, over which independent sequences are divided: evenly, with 16 on
    each at least, since a core is hardly sooner done with fewer."""
    counts = range(1, min(len(devices), batch_size // 16) + 1)
    return devices[: max((n for n in counts if batch_size % n == 0), default=1)]


def by_sequence(arrays: PyTree, devices: Devices) -> PyTree:
    """Arrays whose last axis is the batch, divided along it over devices: a jitted function
    of them and of arrays that lie whole on the devices (`whole_on`) is divided too."""
    mesh = _mesh(devices, "batch")

    def divided(a):
        return jax.device_put(a, NamedSharding(mesh, P(*[None] * (a.ndim - 1), "batch")))

    return jax.tree.map(divided, arrays)


def whole_on(arrays: PyTree, devices: Devices) -> PyTree:
    """Arrays of which every device has all."""
    return jax.device_put(arrays, NamedSharding(_mesh(devices, "batch"), P()))


def batch_parallel(estimator: GradientEstimator, devices: Devices) -> GradientEstimator:
    """`estimator` with the batch divided over `devices`: weights replicated, gradients averaged.

    Where the devices do not divide the batch, the few sequences left over (fewer than devices) are
    estimated on every device alike, and gradients and metrics averaged by the number of sequences.
    Equal to `estimator` up to rounding; on one device or none named it is `estimator`.
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

    divided = jax.shard_map(
        local, mesh=mesh, in_specs=(P(), sequences, steps), out_specs=(P(), sequences, P())
    )
    # named a computation of every device, so that XLA does not divide it in ways of its own
    alike = jax.shard_map(estimator.estimate, mesh=mesh, in_specs=P(), out_specs=P())

    def estimate(params, carry, batch: Batch):
        # whole on every device: else XLA divides what the batch is made from as well, and the
        # devices meet at each of its equations
        batch = lax.with_sharding_constraint(batch, NamedSharding(mesh, P()))
        batch_size = jax.tree.leaves(batch.targets)[0].shape[1]
        left_over = batch_size % len(devices)
        if left_over == 0:
            return divided(params, carry, batch)
        if left_over == batch_size:
            return alike(params, carry, batch)
        cut = batch_size - left_over
        head, tail = slice(cut), slice(cut, None)
        grads, first, metrics = divided(params, *_sequences(carry, batch, head))
        grads_tail, last, metrics_tail = alike(params, *_sequences(carry, batch, tail))
        share = left_over / batch_size
        grads, metrics = jax.tree.map(
            lambda a, b: (1 - share) * a + share * b, (grads, metrics), (grads_tail, metrics_tail)
        )
        return grads, jax.tree.map(lambda *parts: jnp.concatenate(parts), first, last), metrics

    return GradientEstimator(estimator.init, estimate)


def _sequences(carry: Carry, batch: Batch, some: slice) -> tuple[Carry, Batch]:
    """The carry and the batch of some of the sequences."""
    return jax.tree.map(lambda a: a[some], carry), jax.tree.map(lambda a: a[:, some], batch)


def over_members(
    function: Callable[..., PyTree], devices: Devices, at_once: int = 1
) -> Callable[..., PyTree]:
    """`function` of one member to a function of all, every leaf with a leading axis of members.

    Each device takes its share of them, `at_once` side by side (`vmap`) and these one after another
    (`lax.map`). With one at a time the compiled body is that of a single member, so a member's
    numbers are bit for bit those that it has alone; side by side they agree to rounding. Where the
    devices do not divide the members, the last member fills the shares up and what it gives there
    is dropped.
    """

    def one_after_another(*arguments):
        share = jax.tree.leaves(arguments)[0].shape[0]
        if at_once > 1 and at_once >= share:
            return jax.vmap(function)(*arguments)
        batch_size = at_once if at_once > 1 else None
        return lax.map(lambda each: function(*each), arguments, batch_size=batch_size)

    def mapped(*arguments):
        members = jax.tree.leaves(arguments)[0].shape[0]
        if members == 1:
            first = jax.tree.map(lambda a: a[0], arguments)
            return jax.tree.map(lambda a: a[None], function(*first))
        if len(devices) == 1:
            return one_after_another(*arguments)
        divided = jax.shard_map(
            one_after_another,
            mesh=_mesh(devices, "member"),
            in_specs=P("member"),
            out_specs=P("member"),
            check_vma=False,  # members never meet: there is nothing to check, and `cond` would mind
        )
        slots = math.ceil(members / len(devices)) * len(devices)
        if slots == members:
            return divided(*arguments)
        filled = np.minimum(np.arange(slots), members - 1)
        results = divided(*jax.tree.map(lambda a: a[filled], arguments))
        return jax.tree.map(lambda a: a[:members], results)

    return mapped


def place(states: TrainState, devices: Devices) -> TrainState:
    """Lays the states of all members (leading axis) where `over_members` and `batch_parallel` want
    them, so that the first call moves nothing and the second does not compile again."""
    return laid(states, shardings(states, devices))


def laid(arrays: PyTree, layout: PyTree) -> PyTree:
    """Lays arrays as `layout` has it, a `NamedSharding` for each of them."""
    if replicated([*jax.tree.leaves(layout)[0].device_set]) is None:
        return jax.device_put(arrays, layout)
    # every process has all of them, and gives its devices their part
    return jax.jit(_same, out_shardings=layout)(arrays)


def replicated(devices: Devices) -> NamedSharding | None:
    """Where results lie that every process reads: whole on every device. None where one process has
    all devices, and reads what lies on any of them."""
    if len({device.process_index for device in devices}) == 1:
        return None
    return NamedSharding(_mesh(devices, "any"), P())


def shardings(states: TrainState, devices: Devices) -> TrainState:
    """The `NamedSharding` of every leaf of the members' states: divided over the devices where they
    divide it, else whole on each of them."""
    first = jax.tree.leaves(states.carry)[0]
    members = first.shape[0]
    mesh = _mesh(devices, "member" if members > 1 else "batch")
    whole = NamedSharding(mesh, P())
    every = jax.tree.map(lambda _: whole, states)
    if len(devices) == 1:  # where nothing is divided a carry need not have a batch
        return every
    if (members if members > 1 else first.shape[1]) % len(devices):
        return every
    if members > 1:
        return jax.tree.map(lambda _: NamedSharding(mesh, P("member")), states)
    sequences = NamedSharding(mesh, P(None, "batch"))
    return every._replace(carry=jax.tree.map(lambda _: sequences, states.carry))


def _same(arrays: PyTree) -> PyTree:
    return arrays


def _mesh(devices: Devices, axis: str) -> Mesh:
    return Mesh(np.array(devices), (axis,))
