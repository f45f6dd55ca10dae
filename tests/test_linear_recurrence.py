"""Linear recurrences in parallel, where that is not the loop by itself: programs that XLA makes of
parts of a gradient, products that overflow, NaN before a reset."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from tiers import WIDE, mostly_full

from jaxrnn import Cell, unroll
from jaxrnn.cells import CELLS, min_gru
from jaxrnn.laws.comparing import require_close
from jaxrnn.laws.schedules import gradients_of_every_part
from jaxrnn.laws.subject import subject
from jaxrnn.schedule.linear import parallel
from jaxrnn.unroll import explain


def gated(size, hidden_size):
    """sigmoid(x @ w) * h + x, whose gradient to w alone was wrong under `jit` on a CPU."""

    def step(w, h, x):
        h = jax.nn.sigmoid(x @ w) * h + x
        return h, h

    return Cell(
        lambda key: jax.random.normal(key, (size, size)),
        lambda params, key: jnp.zeros(size),
        step,
    )


def gated_in_another_shape(size, hidden_size):
    """The same whose gate is read in a second shape."""

    def step(w, h, x):
        h = jax.nn.sigmoid(x @ w).reshape(h.shape) * h + x.reshape(h.shape)
        return h, h.reshape(-1) * x

    return Cell(
        lambda key: jax.random.normal(key, (size, size)),
        lambda params, key: jnp.zeros((size // 2, 2)),
        step,
    )


def over_devices(axis_type):
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(axis_type,))

    def place(floats):
        where = {"params": P(), "carry": P("batch"), "xs": P(None, "batch")}
        return {
            name: jax.device_put(a, NamedSharding(mesh, where[name.split("[")[0].split(".")[0]]))
            for name, a in floats.items()
        }

    return mesh, place


# those that differ most; all with JAXRNN_TEST_WIDE=1
REGISTERED = [CELLS[name] for name in (CELLS if WIDE else ("elman", "min_gru", "lru"))]


@pytest.mark.full
@pytest.mark.parametrize("factory", [gated, gated_in_another_shape, *REGISTERED])
def test_gradients_of_every_part(factory):
    gradients_of_every_part(subject(factory, 4, 4, batch_size=4))


@pytest.mark.full
@pytest.mark.parametrize(
    ("factory", "axis_type"), [(gated, AxisType.Auto), (min_gru, AxisType.Explicit)]
)
def test_gradients_of_a_batch_that_jit_divides(factory, axis_type):
    mesh, place = over_devices(axis_type)
    with jax.set_mesh(mesh):
        gradients_of_every_part(subject(factory, 3, 4, batch_size=4), place)


@pytest.mark.parametrize("length", mostly_full([2, 5, 8, 16, 33], 16))
def test_the_gradient_of_a_gate_alone(length):
    """With the published sizes of the fault, and other lengths."""
    made = subject(gated, 3, 3, batch_size=4, num_steps=length)

    def loss(schedule):
        return lambda w: unroll(made.cell, w, made.carry, made.xs, schedule=schedule)[1].sum()

    wanted, found = (jax.jit(jax.grad(loss(s)))(made.params) for s in ("scan", "associative"))
    require_close("w", ("associative", found), ("scan", wanted), 1e-5)


def linear_recurrence(a, b, first):
    """Of one leaf."""
    (h,) = parallel.linear_recurrence(((a,),), (b,), (first,))
    return h


def loop(a, b, first):
    def body(h, coefficients):
        a, b = coefficients
        h = jnp.where(a == 0, b, a * h + b)
        return h, h

    return lax.scan(body, first, (a, b))[1]


LENGTH = 300
ONE = np.float32(1)
RESETS = np.where(np.arange(LENGTH) % 50 == 0, 0, 1.5).astype(np.float32)[:, None]
LATE = np.eye(LENGTH, dtype=np.float32)[:, -1:]
CASES = {
    "growing, reset now and then": (RESETS, np.full((LENGTH, 1), ONE), np.ones(1, np.float32)),
    "products overflow, h stays 0": (
        np.full((LENGTH, 1), 1.5 * ONE),
        LATE,
        np.zeros(1, np.float32),
    ),
    "infinity before a reset": (RESETS, np.where(RESETS == 0, ONE, np.inf), np.ones(1, np.float32)),
    "NaN before a reset": (
        RESETS,
        np.ones((LENGTH, 1), np.float32),
        np.full(1, np.nan, np.float32),
    ),
    "a fixed point that repels": (
        np.full((LENGTH, 1), 1.5 * ONE),
        np.full((LENGTH, 1), -0.5 * ONE),
        np.ones(1, np.float32),
    ),
}


@jax.jit
def outputs_and_gradients(*given):
    """Of both; one program for all cases."""

    def of(function):
        def total(*given):
            outputs = function(*given)
            return outputs.sum(), outputs

        grads, outputs = jax.grad(total, (0, 1, 2), has_aux=True)(*given)
        return outputs, grads

    return of(linear_recurrence), of(loop)


@pytest.mark.parametrize("case", CASES)
def test_finite_where_the_loop_is(case):
    a, b, first = (jnp.asarray(each, jnp.float32) for each in CASES[case])
    (parallel, found), (plain, wanted) = outputs_and_gradients(a, b, first)
    require_close("h", ("parallel", parallel), ("loop", plain), 1e-5)
    for one, other in zip(found, wanted, strict=True):
        # the slope to a is that of a * h, which the loop's choice at a = 0 hides
        finite = np.isfinite(other) & ((a != 0) if other.shape == a.shape else True)
        assert np.isfinite(one)[finite].all()
        np.testing.assert_allclose(one[finite], other[finite], rtol=1e-4)


def test_a_reset_at_the_start_cuts_off_the_gradient_too():
    """Of what decays, whose slope is what the carry was."""

    def step(w, h, x):
        h = jnp.where(x > 0, 0, h) * w + 1
        return h, h

    cell = Cell(lambda key: jnp.float32(0.5), lambda w, key: jnp.ones(1), step)
    xs = jnp.zeros((4, 1, 1)).at[0].set(1)
    carry = jnp.full((1, 1), jnp.nan, jnp.float32)

    def total(w, schedule):
        return unroll(cell, w, carry, xs, schedule=schedule)[1].sum()

    assert "made parallel" in str(
        explain(cell, jnp.float32(0.5), carry, xs, schedule="associative")
    )
    # 1, 1 + w, 1 + w + w^2, 1 + w + w^2 + w^3
    np.testing.assert_allclose(jax.grad(total)(0.5, "associative"), 3 + 4 * 0.5 + 3 * 0.25)


def test_a_reset_at_the_start_cuts_off_an_infinite_cotangent_of_the_carry():
    """A root at 0 has one; one leaf is cut off at once, the other by the next time step."""

    def step(w, carry, x):
        h, other = carry
        h, other = jnp.where(x > 0, 0, h) + 0.5 * other, jnp.where(x > 0, 0, other) + w
        return (h, other), h

    cell = Cell(lambda key: jnp.float32(0.5), lambda w, key: (jnp.ones(1),) * 2, step)
    given = jnp.float32(0.5), (jnp.ones((1, 1)),) * 2, jnp.zeros((4, 1, 1)).at[:2].set(1)
    assert "made parallel" in str(explain(cell, *given, schedule="associative"))

    def total(carry, schedule):
        ys = unroll(cell, given[0], carry, given[2], schedule=schedule)[1]
        return ys.sum() + jnp.sqrt(0 * ys[1]).sum()

    for schedule in ("scan", "associative"):
        d_h, d_other = jax.jit(jax.grad(total), static_argnums=1)(given[1], schedule)
        assert (d_h, d_other) == (0, 0.5), schedule


def test_a_named_carry_is_linear_too():
    """What `jax.checkpoint_policies` calls it by changes no number."""

    def step(w, h, x):
        h = checkpoint_name(w * h, "decayed") + x
        return h, h

    cell = Cell(lambda key: jnp.ones(3), lambda w, key: jnp.ones(3), step)
    given = jnp.ones(3), jnp.ones((1, 3)), jnp.ones((4, 1, 3))
    assert "made parallel" in str(explain(cell, *given, schedule="associative"))


def test_a_tangent_through_a_decay_of_zero_is_there_in_the_loop_too():
    """Of a h + b with a = 0, beside a recurrence with NaN, which takes both to the loop."""
    a, b, first = RESETS[:60], np.ones((60, 2), np.float32), np.array([np.nan, 1], np.float32)
    a = np.repeat(a, 2, 1)
    new, pushed = jax.jvp(linear_recurrence, (a, b, first), (np.ones_like(a), 0 * b, 0 * b[0]))
    np.testing.assert_allclose(pushed[50, 1], new[49, 1], rtol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("dtype", mostly_full([jnp.float32, jnp.complex64], jnp.complex64))
def test_many_time_steps_of_magnitude_one(dtype):
    """100,000 of them: what is turned is turned back."""
    turns = jax.random.uniform(jax.random.key(0), (50_000, 3), minval=-3, maxval=3)
    turns = jnp.concatenate([turns, -turns[::-1]])
    a = (
        jnp.exp(jnp.complex64(1j) * turns.astype(jnp.complex64))
        if dtype == jnp.complex64
        else jnp.sign(turns)
    )
    first = jnp.ones(3, dtype)
    end = jax.jit(linear_recurrence)(a.astype(dtype), jnp.zeros((100_000, 3), dtype), first)[-1]
    np.testing.assert_allclose(end, jnp.abs(first), atol=1e-3)


@pytest.mark.full
def test_members_lie_beside_each_other():
    """Mapped over members of which some arguments are the same, and differentiated both ways."""
    keys = jax.random.split(jax.random.key(0), 3)
    a = jax.random.normal(keys[0], (9, 2))
    b = jax.random.normal(keys[1], (2, 9, 3))  # members last
    first = jax.random.normal(keys[2], (3, 2))

    def all_of(function):
        def total(a, b, first):
            return jnp.sin(jax.vmap(function, (None, 2, 0))(a, b.swapaxes(0, 1), first)).sum()

        def second(a, b, first):
            return jax.jvp(jax.grad(total, (0, 1, 2)), (a, b, first), (a, b, first))

        return jax.jit(second)(a, b, first)

    require_close("", ("parallel", all_of(linear_recurrence)), ("loop", all_of(loop)), 1e-4)
