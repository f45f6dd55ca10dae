"""What a gradient style should give, taken by hand: `jax.grad` through a plain loop.

Each time step has params of its own in it, all with the same values. So it is known what the error
of one step owes to the params of another, and which of that counts is what the styles differ in.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrnn.base import Batch, Carry, Cell, Params
from jaxrnn.gradients import Style
from jaxrnn.laws.style_cases import BATCH_SIZE, Case, squares


class ByHand(NamedTuple):
    """The params that meet a batch, their gradient as the style declares it, and the loss."""

    params: Params
    grads: Params
    loss: np.ndarray


def by_hand(
    style: Style, cell: Cell, case: Case, params: Params, batches: list[Batch], rate: float
) -> list[ByHand]:
    """For each batch what should come out; the params of the next are those of the last less
    `rate` times the gradient."""
    weights, shape = arrives(style, case), (case.history + case.scored,)
    # in numpy: to compile each of its operations takes longer than the loop
    batches, params = jax.tree.map(np.asarray, (batches, params))
    if style.carries_credit:  # the loop goes over all batches, every time
        batches = [jax.tree.map(lambda *a: np.concatenate(a), *batches)] * len(batches)
        shape = (len(batches), case.scored)
    met = jax.tree.map(lambda a: np.broadcast_to(a, (*shape, *a.shape)), params)
    carry, found = first_carry(cell, params), []
    for n, batch in enumerate(batches):
        if style.carries_credit:
            met = jax.tree.map(lambda old, new, n=n: _from(n, old, new), met, params)
            weights = np.zeros((case.scored * len(batches),) * 2)
            rows = slice(n * case.scored, (n + 1) * case.scored)
            weights[rows] = np.tri(len(weights))[rows]
            every = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), met)
        else:
            every = jax.tree.map(lambda a: np.broadcast_to(a, (*shape, *a.shape)), params)
        fresh = n == 0 or not style.carries or style.carries_credit
        grads, losses, carries = jax.tree.map(
            np.asarray, _program(cell)(every, carry, fresh, batch, weights / case.scored)
        )
        loss = np.asarray(losses[weights.any(1)].mean())
        found.append(ByHand(params, grads, loss))
        params = jax.tree.map(lambda p, g: p - np.float32(rate) * g, params, grads)
        carry = jax.tree.map(lambda a: a[case.scored - 1], carries)
    return found


def _from(n: int, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """`old` with `new` in every place from n on."""
    return np.concatenate([old[:n], np.broadcast_to(new, old[n:].shape)])


def arrives(style: Style, case: Case) -> np.ndarray:
    """[K + T, K + T]: with which factor the error of a time step (first axis) arrives at another;
    none of those of history do."""
    total = case.history + case.scored
    weights = np.zeros((total, total))
    if style.survival is not None:
        weights[case.history :] = style.survival(case.window, case.scored)
        return weights
    for t in range(case.scored):
        stop = case.history + (t // case.stride + 1) * case.stride
        weights[case.history + t, max(0, stop - case.window) : case.history + t + 1] = 1
    return weights


@functools.lru_cache(maxsize=16)
def _program(cell: Cell):
    """One compiled program, which all styles share."""

    @jax.jit
    def run(every, carry, fresh, batch, weights):
        history = batch.inputs.shape[0] - batch.targets.shape[0]
        targets = jnp.concatenate([jnp.zeros_like(batch.targets[:1])] * history + [batch.targets])

        def losses(every):
            begun = first_carry(cell, jax.tree.map(lambda a: a[0], every))
            start = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), begun, carry)

            def step(carry, now):
                params, x, target = now
                carry, y = _step(cell)(params, carry, x)
                return carry, (squares(y, target).mean(), carry)

            _, (found, carries) = lax.scan(step, start, (every, batch.inputs, targets))
            return found, (found, carries)

        owed, (found, carries) = jax.jacrev(losses, has_aux=True)(every)
        grads = jax.tree.map(lambda d: jnp.tensordot(weights.astype(d.dtype), d, 2), owed)
        return grads, found, carries

    return run


@functools.lru_cache(maxsize=16)
def plain_loop(cell: Cell):
    """`(params, carry, inputs) -> (carry, outputs)`, compiled."""
    return jax.jit(
        lambda params, carry, inputs: lax.scan(
            lambda carry, x: _step(cell)(params, carry, x), carry, inputs
        )
    )


def first_carry(cell: Cell, params: Params) -> Carry:
    one = cell.init_carry(params, jax.random.key(0))
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (BATCH_SIZE, *a.shape)), one)


def _step(cell: Cell):
    return jax.vmap(cell.step, in_axes=(None, 0, 0))
