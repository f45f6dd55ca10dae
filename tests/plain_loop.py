"""A schedule held against the plain loop, in one compiled program."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import unroll
from jaxrnn.laws.comparing import widened


def start_of(cell, batch_size):
    """Params and carry of a cell."""
    params = cell.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), batch_size)
    return params, jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)


def require_close(ours, plain, tolerance=1e-5):
    """Of the largest number of each leaf."""
    for a, b in zip(*map(jax.tree.leaves, (ours, plain)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1e-3))


def total(out):
    return sum(jnp.sin(jnp.abs(leaf)).sum() for leaf in jax.tree.leaves(out))


def require_the_plain_loop(cell, params, carry, xs, schedule):
    """In values, gradients, tangents, and for several members at once; all are of floats. In double
    precision, since what is worked out in another order is rounded otherwise."""

    def run(schedule):
        def both(*given):
            return unroll(cell, *given, schedule=schedule)

        def loss(*given):
            out = both(*given)
            return total(out), out

        members = jax.tree.map(lambda a: jnp.stack([a, 0.5 * a]), given[0])
        gradient = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)
        tangents = jax.tree.map(jnp.cos, given)
        return (
            jax.vmap(gradient, (0, None, None))(members, *given[1:]),
            jax.jvp(both, given, tangents),
        )

    with jax.enable_x64(True):
        given = widened((params, carry, xs))
        ours, plain = jax.jit(lambda: [run(each) for each in (schedule, "scan")])()
    require_close(ours, plain, 1e-9)


def require_gradients(cell, params, carry, xs, schedule, tolerance=1e-5):
    """In values, and in gradients to all that is of floats."""

    def run(schedule, *given):
        def loss(*given):
            out = unroll(cell, *given, schedule=schedule)
            return total(out), out

        return jax.value_and_grad(loss, (0, 1, 2), has_aux=True, allow_int=True)(*given)

    def floats(tree):
        return [a for a in jax.tree.leaves(tree) if a.dtype != jax.dtypes.float0]

    both = jax.jit(lambda *given: [floats(run(each, *given)) for each in (schedule, "scan")])
    ours, plain = both(params, carry, xs)
    require_close(ours, plain, tolerance)
