"""What stands in padding, and what a cell would make of it, reaches no gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from tiers import mostly_full

from jaxrnn import (
    CELLS,
    Cell,
    bidirectional,
    explain,
    pausable,
    resettable,
    unroll,
    unroll_padded,
)
from jaxrnn.sheltering import sheltered
from jaxrnn.unroll import Schedule

H, T = 2, 4
LENGTHS = (4, 2, 0)


@jax.custom_jvp
def bent(x, w):
    return jnp.log(x) * w


@bent.defjvp
def _(primals, tangents):
    (x, w), (dx, dw) = primals, tangents
    return bent(x, w), dx / x * w + jnp.log(x) * dw


@jax.custom_vjp
def turned(x):
    return 1 / x


turned.defvjp(lambda x: (1 / x, x), lambda x, error: (-error / x**2,))

# of an x above 0, and a carry or weights; each has no derivative at some point, and most no value
SINGULAR = {
    "norm": lambda w, h, x: x / jnp.linalg.norm(x),
    "root": lambda w, h, x: x * lax.rsqrt((x * x).mean()),
    "normalised": lambda w, h, x: (x - x.mean()) / x.std(),
    "logarithm": lambda w, h, x: jnp.log(x) @ w,
    "logarithm of a product": lambda w, h, x: jnp.log(x @ jnp.abs(w)),
    "cosine": lambda w, h, x: (x @ w[0]) / (jnp.linalg.norm(x) * jnp.linalg.norm(w[0])),
    "time difference": lambda w, h, x: x[0] / (x[0] - h[0] + 9) + x[0] / x[1],
    "weight over x": lambda w, h, x: w[0] / x,
    "power": lambda w, h, x: x ** w[0],
    "inverse tangent": lambda w, h, x: jnp.arctan2(w[0], x) + jnp.arctanh(x / 9) @ w,
    "exponential": lambda w, h, x: jnp.exp(1 / x) * w[0],
    "own rule": lambda w, h, x: bent(x, w[0]),
    "own backward rule": lambda w, h, x: turned(x) * w[0],
    "inner loop": lambda w, h, x: lax.scan(lambda a, y: (a + jnp.log(y), a), w[0, 0], x)[0],
    "branch": lambda w, h, x: lax.cond(x[0] > 1, jnp.log, jnp.sqrt, x) @ w,
}
GENERATOR = np.random.default_rng(0)


def normal(*shape):
    return GENERATOR.standard_normal(shape).astype(np.float32)


W, BEGIN = jnp.asarray(normal(H, H)), jnp.asarray(normal(len(LENGTHS), H))
XS = jnp.asarray(np.abs(normal(T, len(LENGTHS), H)) + np.float32(0.5))
ACTIVE = np.arange(T)[:, None] < np.array(LENGTHS)


def cell_of(*names):
    def step(w, h, x):
        h = jnp.tanh(h @ w + sum(SINGULAR[name](w, h, x) for name in names))
        return h, h

    return Cell(lambda key: W, lambda w, key: jnp.zeros(H), step)


def alone(cell):
    """The sum of ys: each sequence by itself, as far as it goes."""

    def total(w, carry, xs):
        sums = []
        for b in range(len(LENGTHS)):
            own = xs[ACTIVE[:, b], b]
            sums.append(lax.scan(lambda h, x: cell.step(w, h, x), carry[b], own)[1].sum())
        return sum(sums)

    return total


def padded(cell, padding, schedule: Schedule = "distributed"):
    """The same, of the batch."""

    def total(w, carry, xs):
        inputs = jnp.where(ACTIVE[..., None], xs, padding)
        lengths = jnp.array(LENGTHS)
        return unroll_padded(cell, w, carry, inputs, lengths, schedule=schedule)[1].sum()

    return total


def require_close(found, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found, expected
    )


def of_all(function):
    return jax.value_and_grad(function, argnums=(0, 1, 2))


@pytest.mark.parametrize(
    "name",
    mostly_full(
        SINGULAR,
        *("own backward rule", "inner loop"),
    ),
)
def test_no_gradient_depends_on_padding(name):
    cell = cell_of(name)
    totals = [alone(cell), padded(cell, 0.0), padded(cell, jnp.nan)]
    expected, *found = jax.jit(lambda *given: [of_all(t)(*given) for t in totals])(W, BEGIN, XS)
    for each in found:
        require_close(each, expected)


SEVERAL = ("norm", "logarithm", "time difference", "weight over x", "own rule")


@pytest.mark.full
@pytest.mark.parametrize("schedule", ["scan", "distributed", "checkpointed"])
def test_under_every_schedule_and_twice(schedule: Schedule):
    """Gradients, and the derivative of a gradient along a direction."""
    cell = cell_of(*SEVERAL)

    def both(function):
        def hvp(w, carry, xs):
            return jax.jvp(lambda w: jax.grad(function)(w, carry, xs), (w,), (jnp.ones_like(w),))

        return lambda *given: (of_all(function)(*given), hvp(*given))

    totals = [alone(cell), padded(cell, -1.0, schedule)]
    expected, found = jax.jit(lambda *given: [both(t)(*given) for t in totals])(W, BEGIN, XS)
    require_close(found, expected)


def test_a_linear_recurrence_stays_one():
    def step(w, h, x):
        h = jax.nn.sigmoid(jnp.log(x) @ w) * h + 1 / x
        return h, h

    cell = Cell(lambda key: W, lambda w, key: jnp.zeros(H), step)
    given = pausable(cell), W, BEGIN, (XS, jnp.asarray(ACTIVE))
    assert "made parallel" in str(explain(*given, schedule="associative"))
    totals = [alone(cell), padded(cell, 0.0, "associative")]
    expected, found = jax.jit(lambda *given: [of_all(t)(*given) for t in totals])(W, BEGIN, XS)
    require_close(found, expected)


def test_from_both_ends():
    cell = cell_of("norm", "logarithm")
    turned_round = np.array(XS)
    for b, length in enumerate(LENGTHS):
        turned_round[:length, b] = turned_round[:length, b][::-1]

    def one_by_one(w):
        return alone(cell)(w, BEGIN, XS) + alone(cell)(w, BEGIN, jnp.asarray(turned_round))

    def together(w):
        inputs, lengths = jnp.where(ACTIVE[..., None], XS, 0), jnp.array(LENGTHS)
        return bidirectional(cell, cell, (w, w), (BEGIN, BEGIN), inputs, lengths)[1].sum()

    found, expected = jax.jit(lambda w: [jax.grad(together)(w), jax.grad(one_by_one)(w)])(W)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_batch_of_nothing_but_padding_has_a_gradient_of_zeros():
    def total(w):
        none = jnp.zeros(3, jnp.int32)
        return unroll_padded(cell_of("norm", "logarithm"), w, BEGIN, 0 * XS, none)[1].sum()

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(W), jnp.zeros_like(W))


@pytest.mark.parametrize(
    "around",
    mostly_full(
        ["pausable", "resettable(pausable)", "pausable(resettable)"], "resettable(pausable)"
    ),
)
def test_pauses_anywhere(around):
    """Before a sequence, within it and behind it."""
    cell = cell_of(*SEVERAL)
    active = jnp.array([[0, 1, 1], [1, 0, 1], [0, 0, 1], [1, 1, 0]], bool)
    never = jnp.zeros_like(active)

    def paused(w, padding):
        xs = jnp.where(active[..., None], XS, padding)
        if around == "pausable":
            made, given = pausable(cell), (xs, active)
        elif around == "resettable(pausable)":
            made, given = resettable(pausable(cell)), ((xs, active), never)
        else:
            made, given = pausable(resettable(cell)), ((xs, never), active)
        keys = jax.random.split(jax.random.key(0), 3)
        start = jax.vmap(made.init_carry, in_axes=(None, 0))(w, keys)
        end, _ = unroll(made, w, start, given, schedule="distributed")
        return sum(h.sum() for h in jax.tree.leaves(end) if h.dtype == jnp.float32)

    def shortened(w):
        total = jnp.zeros(())
        for b in range(3):
            xs = XS[np.array(active)[:, b], b]
            total += lax.scan(lambda h, x: cell.step(w, h, x), jnp.zeros(H), xs)[0].sum()
        return total

    both = jax.jit(lambda w, padding: [jax.grad(paused)(w, padding), jax.grad(shortened)(w)])
    for padding in (0.0, np.nan):
        np.testing.assert_allclose(*both(W, padding), rtol=1e-4)


@pytest.mark.parametrize("name", ["logarithm", "cosine", "time difference", "own rule"])
def test_a_sheltered_step_is_still_read(name):
    given = pausable(cell_of(name)), W, BEGIN, (XS, jnp.asarray(ACTIVE))
    assert explain(*given, schedule="distributed").schedule == "distributed"


@pytest.mark.parametrize("name", ["elman", "gru", "lstm", "min_gru"])
def test_a_step_without_such_points_is_the_step_that_it_was(name):
    cell = CELLS[name](H, H)
    params = cell.init(jax.random.key(0))
    carry, x = cell.init_carry(params, jax.random.key(0)), jnp.zeros(H)

    def step(params, carry, x):
        return sheltered(cell.step, params, carry, x, jnp.bool_(True))

    kept, bare = (jax.make_jaxpr(f)(params, carry, x) for f in (step, cell.step))
    assert str(kept) == str(bare)
