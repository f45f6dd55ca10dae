"""SnAp of higher orders between SnAp-1 and RTRL, and e-prop by its definition."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn import CELLS, Batch, Cell, bptt, chain, elman, eprop, gru, linear, lstm, rtrl, snap
from jaxrnn.cells.lstm import LSTMCarry

KEY = jax.random.key(0)
H, I, T, B = 6, 3, 6, 2  # noqa: E741


def ring() -> Cell:
    """h' = tanh(x w + a h + b h of the unit before), each unit fed by itself and one other."""

    def step(params, h, x):
        before = jnp.concatenate([h[-1:], h[:-1]])
        h = jnp.tanh(x @ params["w"] + params["a"] * h + params["b"] * before)
        return h, h

    def init(key):
        key_w, key_a, key_b = jax.random.split(key, 3)
        return {
            "w": jax.random.normal(key_w, (I, H)),
            "a": jax.random.normal(key_a, (H,)) / 2,
            "b": jax.random.normal(key_b, (H,)) / 2,
        }

    return Cell(init, lambda params, key: jnp.zeros(H), step)


def squares(y, target):
    return jnp.square(y - target).sum(-1)


def batches(count, width=H):
    drawn = np.random.default_rng(3)
    inputs = drawn.standard_normal((count, T, B, I)).astype(np.float32)
    targets = drawn.standard_normal((count, T, B, width)).astype(np.float32)
    return Batch(jnp.asarray(inputs), jnp.asarray(targets))


def gradient(estimator, params, data):
    """Of the last of several batches, flat."""

    def one(carry, batch):
        grads, carry, _ = estimator.estimate(params, carry, batch)
        return carry, grads

    _, grads = jax.lax.scan(one, estimator.init(params, KEY, B), data)
    return jax.flatten_util.ravel_pytree(jax.tree.map(lambda a: a[-1], grads))[0]


def cosines(orders, seeds):
    """With the gradient of rtrl, [orders, seeds]."""
    cell, data = ring(), batches(2)
    params = jax.vmap(cell.init)(jax.random.split(KEY, seeds))
    styles = [rtrl(cell, squares, schedule="scan")]
    styles += [snap(cell, squares, order=order, schedule="scan") for order in orders]

    @jax.jit
    @jax.vmap
    def found(params):
        exact, *ours = (gradient(style, params, data) for style in styles)
        parts = [g @ exact / jnp.linalg.norm(g) / jnp.linalg.norm(exact) for g in ours]
        return jnp.stack(parts)

    return np.asarray(found(params)).T


@pytest.mark.parametrize("seeds", mostly_full([2, 20], 2))
def test_a_higher_order_of_snap_is_nearer_to_rtrl(seeds):
    """For every seed, where small differences of the carry vanish; with weights twice as large,
    which let them grow, it is for 19 of 20."""
    first, second = cosines([1, 2], seeds)
    assert (second >= first).all()
    assert (1 - second).mean() < (1 - first).mean() / 2


@pytest.mark.full
@pytest.mark.parametrize("order", [3, H])
def test_a_large_order_is_rtrl(order):
    """From the order on by which a unit has reached all others, and there alone."""
    cell, data = ring(), batches(2)
    params = cell.init(KEY)
    exact, ours = (
        jax.jit(lambda params, style=style: gradient(style, params, data))(params)
        for style in (rtrl(cell, squares), snap(cell, squares, order=order))
    )
    apart = float(jnp.linalg.norm(ours - exact) / jnp.linalg.norm(exact))
    assert (apart < 1e-5) == (order == H)


@pytest.mark.full
def test_numbers_kept_grow_with_the_order():
    """Of a ring one more unit with each, of a matrix of weights all of them with the second."""

    def kept(cell, order):
        params = cell.init(KEY)
        influence = snap(cell, squares, order=order).init(params, KEY, 1).influence
        return sum(a.size for a in influence) / sum(a.size for a in jax.tree.leaves(params))

    assert [kept(ring(), order) for order in (1, 3, H, 2 * H)] == [1, 3, H, H]
    assert kept(gru(I, H), 2) == H
    with pytest.raises(ValueError, match="order is 0; give a whole number of at least 1"):
        snap(ring(), squares, order=0)


def by_definition(cell, parts, whole, params, batch):
    """Bellec et al.: sum over t of dloss_t/dz_t e_t, all of it dense, one example at a time.

    Args:
      parts: `carry -> (z, s)`, what neurons tell each other and what each keeps for itself.
      whole: `(z, s) -> carry`.
    """
    flat, unravel = jax.flatten_util.ravel_pytree(params)

    def after(flat, s, z, x):
        return parts(cell.step(unravel(flat), whole(z, s), x)[0])

    derivatives = jax.jit(jax.jacobian(after, argnums=(0, 1)))
    step, error_of, total = jax.jit(cell.step), jax.jit(jax.grad(squares)), 0.0
    for b in range(B):
        carry, trace = cell.init_carry(params, KEY), 0.0
        for x, target in zip(batch.inputs[:, b], batch.targets[:, b], strict=True):
            z, s = parts(carry)
            found = derivatives(flat, s, z, x)
            (dz, dz_kept), (ds, ds_kept) = jax.tree.map(np.asarray, found)
            trace = np.zeros((s.size, flat.size)) + trace
            eligible, trace = dz + dz_kept @ trace, ds + ds_kept @ trace
            carry, y = step(params, carry, x)
            total = total + np.asarray(error_of(y, target)) @ eligible
    return total / (T * B)


# Of each cell what its neurons tell each other and what each keeps: of an elman layer nothing.
DEFINED = {
    "lstm": (lstm, tuple, LSTMCarry),
    "elman": (elman, lambda h: (h, h[:0]), lambda z, s: z),
}


@pytest.mark.parametrize("name", mostly_full(DEFINED, "lstm"))
def test_eprop_is_its_definition(name):
    factory, parts, whole = DEFINED[name]
    cell, data = factory(I, H), batches(1)
    params, batch = cell.init(KEY), jax.tree.map(lambda a: a[0], data)
    expected = by_definition(cell, parts, whole, params, batch)
    style = eprop(cell, squares, schedule="scan")
    ours = jax.jit(lambda params: gradient(style, params, data))(params)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("name", ["indrnn", "lru"])
def test_eprop_goes_through_layers(name):
    """Products between layers pass errors on: exact, where numbers of a layer do not mix."""
    cell = chain(CELLS[name](I, 4), CELLS[name](4, 4), head=linear(4, 2))
    params, data = cell.init(KEY), batches(1, width=2)
    ours, exact = (
        gradient(style(cell, squares, schedule="scan"), params, data) for style in (eprop, bptt)
    )
    scale = jnp.abs(exact).max()
    np.testing.assert_allclose(ours / scale, exact / scale, atol=1e-5)
