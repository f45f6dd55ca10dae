"""Transformations around functions with rules of their own: those of a step, and those of the
schedules themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from tiers import mostly_full, some

from jaxrnn import Batch, Cell, tbptt, unroll
from jaxrnn.laws.comparing import require_close
from jaxrnn.schedule.rules import Rule, apply_rule

SIZE, BATCH_SIZE, NUM_STEPS = 3, 2, 9
GENERATOR = np.random.default_rng(0)


def normal(*shape):
    """Drawn by numpy: to compile a draw of every shape would take seconds of every worker."""
    return jnp.asarray(GENERATOR.standard_normal(shape).astype(np.float32))


PARAMS = {"w": normal(SIZE, SIZE), "b": normal(SIZE)}
CARRY, XS = normal(BATCH_SIZE, SIZE), normal(NUM_STEPS, BATCH_SIZE, SIZE)


@jax.custom_jvp
def halved(x, b):
    return jnp.sin(x) * b


@halved.defjvp
def _(primals, tangents):
    (x, b), (dx, db) = primals, tangents
    return halved(x, b), 0.5 * jnp.cos(x) * b * dx + jnp.sin(x) * db


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (1 + 10 * jnp.abs(x)) ** 2


@jax.custom_vjp
def reversed_third(x):
    return jnp.sin(x)


reversed_third.defvjp(lambda x: (reversed_third(x), x), lambda x, d: (0.3 * d * jnp.cos(x),))


def in_the_loop(params, h, x):
    h = jnp.tanh(halved(h @ params["w"] + x, params["b"]))
    return h, h


def spiking(params, v, x):
    v = 0.9 * v + x @ params["w"]
    s = spike(v - 1 + params["b"])
    return v - s, s


def behind_the_loop(params, h, x):
    h = jnp.tanh(h @ params["w"] + x)
    return h, spike(h * params["b"])


def before_a_linear_loop(params, h, x):
    h = jax.nn.sigmoid(halved(x @ params["w"], params["b"])) * h + spike(x)
    return h, h


def of_params_alone(params, h, x):
    h = jnp.tanh(h @ halved(params["w"], params["w"]) + x)
    return h, h


def reversed_alone(params, h, x):
    h = jnp.tanh(h @ reversed_third(params["w"]) + x)
    return h, reversed_third(h) * params["b"]


def softplus(params, h, x):
    h = jax.nn.softplus(reversed_third(h @ params["w"] + x)) * params["b"]
    return h, jax.nn.relu(h)


def cell_of(step) -> Cell:
    return Cell(lambda key: PARAMS, lambda params, key: jnp.zeros(SIZE), step)


def loss_of(step, schedule):
    cell = cell_of(step)
    return lambda params: unroll(cell, params, CARRY, XS, schedule=schedule)[1].sum()


def length(loss, params):
    return sum(jnp.sum(d**2) for d in jax.tree.leaves(jax.grad(loss)(params)))


STEPS = (
    in_the_loop,
    spiking,
    behind_the_loop,
    before_a_linear_loop,
    of_params_alone,
    reversed_alone,
    softplus,
)


WAYS = [(step, each) for step in STEPS for each in ("distributed", "checkpointed")]
WAYS += [(before_a_linear_loop, "associative")]  # for the others it is "distributed"


DEFAULT_WAY = (in_the_loop, "checkpointed")


# "checkpointed" is "distributed" on segments
@pytest.mark.parametrize(
    ("step", "schedule"), mostly_full([*some(WAYS, 2), DEFAULT_WAY], DEFAULT_WAY)
)
def test_second_derivatives_through_rules(step, schedule):
    """Backwards twice, and forwards over backwards where JAX allows that."""

    def both(params, schedule):
        loss = loss_of(step, schedule)
        twice = jax.grad(lambda params: length(loss, params))(params)
        if step in (reversed_alone, softplus):
            return twice
        return twice, jax.jvp(jax.grad(loss), (params,), (params,))

    with jax.numpy_dtype_promotion("standard"):
        wanted, found = jax.jit(lambda params: [both(params, s) for s in ("scan", schedule)])(
            PARAMS
        )
    require_close("", (schedule, found), ("scan", wanted), 1e-4)


def gated(params, h, x):
    h = jax.nn.sigmoid(x @ params["w"]) * h + x
    return h, h * params["b"]


def drawing(params, carry, x):
    h, key, count = carry
    noise = jax.random.normal(jax.random.fold_in(key, count), (SIZE,))
    h = jnp.tanh(h @ params["w"] + x + noise)
    seen = jnp.where(jax.random.bernoulli(jax.random.fold_in(key, count + 100), 0.5, (SIZE,)), h, 0)
    return (h, key, count + 1), seen


# by default the laws of cells that draw, such as dropout
@pytest.mark.full
@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_draws_are_those_of_the_loop(implementation):
    """Also of keys whose draws depend on what is mapped, and in two parts as in one."""
    cell = Cell(lambda key: PARAMS, lambda params, key: None, drawing)
    keys = jax.random.split(jax.random.key(0, impl=implementation), BATCH_SIZE)
    carry = (CARRY, keys, jnp.zeros(BATCH_SIZE, jnp.int32))

    @jax.jit
    def run(carry, xs):
        def outputs(schedule):
            return unroll(cell, PARAMS, carry, xs, schedule=schedule)[1]

        middle, head = unroll(cell, PARAMS, carry, xs[:4], schedule="distributed")
        tail = unroll(cell, PARAMS, middle, xs[4:], schedule="distributed")[1]
        return [
            *map(outputs, ("scan", "distributed", "checkpointed")),
            jnp.concatenate([head, tail]),
        ]

    wanted, *found = run(carry, XS)
    for outputs in found:
        np.testing.assert_allclose(outputs, wanted, atol=1e-6)


def beside_nothing(params, h, x):
    h = jnp.tanh(h @ params["w"] + x["x"])
    return h, h


WITH_NONE = {"x": XS, "none": jnp.zeros((NUM_STEPS, BATCH_SIZE, 0))}


def test_leaves_without_numbers():
    cell = cell_of(beside_nothing)

    @jax.jit
    def run(xs):
        return [
            unroll(cell, PARAMS, CARRY, xs, schedule=schedule)
            for schedule in ("scan", "distributed", "checkpointed")
        ]

    wanted, *found = run(WITH_NONE)
    for each in found:
        require_close("", ("scheduled", each), ("scan", wanted), 1e-5)


def test_leaves_without_numbers_in_overlapping_windows():
    cell = cell_of(beside_nothing)
    estimator = tbptt(cell, lambda y, target: ((y - target) ** 2).sum(-1), window=6, stride=3)

    def gradient(xs):
        carry = estimator.init(PARAMS, jax.random.key(0), BATCH_SIZE)
        return estimator.estimate(PARAMS, carry, Batch(xs, jnp.zeros_like(XS)))[0]

    found, wanted = jax.jit(lambda *each: [gradient(xs) for xs in each])(WITH_NONE, {"x": XS})
    require_close("", ("with", found), ("without", wanted), 1e-6)


def reads_weights_in_a_loop(params, h, x):
    h = jnp.tanh(lax.fori_loop(0, 2, lambda _, h: jnp.tanh(h @ params["w"]), h) + x)
    return h, h


@pytest.mark.parametrize("schedule", ["auto", "associative"])
@pytest.mark.parametrize("step", [reads_weights_in_a_loop, gated])
def test_exported_with_symbolic_sizes(step, schedule):
    """Also of a step that takes the plain loop, and of a linear recurrence."""
    cell = cell_of(step)
    batch_size, length = export.symbolic_shape("batch, time")
    shapes = [(batch_size, SIZE), (length, batch_size, SIZE)]

    def run(params, carry, xs, schedule=schedule):
        return unroll(cell, params, carry, xs, schedule=schedule)

    like = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    exported = export.export(jax.jit(run))(PARAMS, *like)
    found, wanted = exported.call(PARAMS, CARRY, XS), run(PARAMS, CARRY, XS, "scan")
    require_close("", (schedule, found), ("scan", wanted), 1e-5)


def test_a_rule_in_the_derivative_of_another_is_run_again_on_the_way_back():
    """Newton's form under `jax.checkpoint`: its tangents are a linear recurrence."""
    halved = Rule(lambda a: a / 2, lambda a: (a / 2, ()), lambda args, kept, d: (d / 2,))
    sine = Rule(
        jnp.sin,
        lambda a: (jnp.sin(a), ()),
        lambda args, kept, d: (jnp.cos(*args) * d,),
        tangent=lambda args, out, tangents: apply_rule(halved, 2 * jnp.cos(*args) * tangents[0]),
    )
    found = jax.grad(jax.checkpoint(lambda a: apply_rule(sine, a).sum()))(CARRY)
    np.testing.assert_allclose(found, jnp.cos(CARRY), rtol=1e-6)
