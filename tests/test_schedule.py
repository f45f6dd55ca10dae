"""That a scheduled step means the plain loop however it is transformed."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from tiers import mostly_full, of_kinds

from jaxrnn import Cell, chain, lstm, unroll
from jaxrnn.cells import CELLS
from jaxrnn.laws import COMPOSITIONS, subject
from jaxrnn.laws.comparing import named_floats, random_projection, require_close, widened
from jaxrnn.laws.derivatives import Point
from jaxrnn.schedule import SHORT, choose
from jaxrnn.schedule.depending import carry_read_by
from jaxrnn.schedule.reading import is_costly
from jaxrnn.schedule.stages import Loop
from jaxrnn.unroll import explain, unroll_last

FACTORIES = CELLS | COMPOSITIONS
FACTORIES["two layers"] = lambda input_size, hidden_size: chain(
    lstm(input_size, hidden_size), lstm(hidden_size, hidden_size)
)
NUM_STEPS, BATCH_SIZE, SIZE = SHORT + 1, 2, 4
# In double precision: what differs by more is not rounding.
TOLERANCE = 1e-9


@functools.cache
def cell_and_point(name: str) -> tuple[Cell, Point]:
    made = subject(FACTORIES[name])
    xs = jax.random.normal(jax.random.key(1), (NUM_STEPS, BATCH_SIZE, made.input_size))
    return made.cell, Point(made.params, made.carry, xs)


@pytest.mark.parametrize("name", FACTORIES)
def test_nothing_falls_back(name):
    """On a CPU "auto" is "distributed"; "checkpointed" is taken of any step."""
    cell, point = cell_and_point(name)
    for schedule in ("distributed", "associative"):
        explanation = explain(cell, *point, schedule=schedule)
        assert explanation.schedule == schedule, explanation


@pytest.mark.parametrize("name", FACTORIES)
def test_what_is_costly_and_reads_no_carry_leaves_the_loop(name):
    """Inside, XLA on a CPU does it a time step at a time, most of it number by number: an LSTM of
    Feng et al. took twice as long as in the plain loop."""
    cell, point = cell_and_point(name)
    choice = choose(cell, *point, "distributed", "cpu")
    assert choice.step is not None
    assert choice.plan is not None
    reads = carry_read_by(choice.step)
    for loop in (stage for stage in choice.plan if isinstance(stage, Loop)):
        for equation in filter(is_costly, loop.equations):
            own = [reads[v] & set(loop.members) for v in equation.outvars]
            assert all(own), equation.primitive.name


@pytest.mark.parametrize("last", [False, True])
def test_the_report_has_one_loop_a_recurrence_in_the_order_in_which_they_feed(last):
    """Whichever of them comes first in the carry."""

    def step(params, carry, x):
        fed, feeds = carry if last else carry[::-1]
        feeds = jnp.tanh(params * feeds + x)
        fed = jnp.tanh(params * fed + feeds)
        return ((fed, feeds) if last else (feeds, fed)), fed

    cell = Cell(lambda key: jnp.float32(0.5), lambda params, key: (jnp.float32(0),) * 2, step)
    given = (jnp.float32(0.5), (jnp.zeros(2),) * 2, jnp.ones((9, 2)))
    choice = choose(cell, *given, "distributed", "cpu")
    assert choice.plan is not None
    loops = [stage.members for stage in choice.plan if isinstance(stage, Loop)]
    assert loops == ([[1], [0]] if last else [[0], [1]])
    assert str(explain(cell, *given, schedule="distributed")).count("loop over") == 2


def test_a_costly_function_with_a_derivative_of_its_own_leaves_the_loop():
    def step(params, h, x):
        h = params * h + jax.nn.softplus(x)
        return h, h

    cell = Cell(lambda key: jnp.float32(0.5), lambda params, key: jnp.float32(0), step)
    report = explain(cell, jnp.float32(0.5), jnp.zeros(2), jnp.ones((9, 2)), schedule="distributed")
    assert "all time steps at once: logaddexp" in str(report)


def total(cell, rebuild, schedule):
    """A number that everything which comes out influences."""
    return lambda floats: random_projection(
        unroll(cell, *rebuild(floats), schedule=schedule), seed=1
    )


def direction(floats):
    return jax.tree.map(
        lambda a: jnp.cos(jnp.arange(a.size, dtype=a.dtype)).reshape(a.shape), floats
    )


def seeds(run, floats):
    """Over two members."""
    both = jax.tree.map(lambda a: jnp.stack([a, a / 2]), floats)
    return jax.vmap(jax.value_and_grad(run))(both)


def members(run, floats):
    """Over two members that share the carry and the inputs, the one all zeros."""
    count = jnp.arange(2, dtype=jnp.float64)
    own = {name: a for name, a in floats.items() if name.startswith("params")}

    def member(scale):
        return jax.grad(run)(floats | jax.tree.map(lambda a: scale * a, own))

    return jax.vmap(member)(count)


def penalty(run, floats):
    """The gradient of a gradient's length."""

    def length(floats):
        return sum(jnp.sum((a * a.conj()).real) for a in jax.tree.leaves(jax.grad(run)(floats)))

    return jax.grad(length)(floats)


def tangent(run, floats):
    return jax.jvp(run, (floats,), (direction(floats),))


def linearized(run, floats):
    value, along = jax.linearize(run, floats)
    return value, along(direction(floats))


def curvature(run, floats):
    """Forwards over backwards."""
    return jax.jvp(jax.grad(run), (floats,), (direction(floats),))


def curvature_of_seeds(run, floats):
    both = jax.tree.map(lambda a: jnp.stack([a, a / 2]), floats)
    return jax.vmap(functools.partial(curvature, run))(both)


def inside_a_loop(run, floats):
    """Gradient steps in a scan."""

    def body(floats, _):
        value, grads = jax.jit(jax.value_and_grad(run))(floats)
        return jax.tree.map(lambda a, d: a - 0.01 * d, floats, grads), value

    return lax.scan(body, floats, None, length=3)


def run_again_on_the_way_back(run, floats):
    return jax.value_and_grad(jax.checkpoint(run))(floats)


TRANSFORMATIONS = {
    function.__name__: function
    for function in (
        seeds,
        members,
        penalty,
        tangent,
        linearized,
        curvature,
        curvature_of_seeds,
        inside_a_loop,
        run_again_on_the_way_back,
    )
}


# What a transformation can meet: several loops with weights, keys and integers in the carry, a
# carry that is chosen from two. From these the rest differs in its equations only, and takes one
# with a map, a forward and a reverse derivative in it.
EVERY_WAY = ("two layers", "dropout", "pausable")
TRANSFORMED = [(name, each) for name in EVERY_WAY for each in TRANSFORMATIONS]
TRANSFORMED += [(name, "curvature_of_seeds") for name in of_kinds(FACTORIES)]
BY_DEFAULT = [("dropout", "members")]


def require_transformed_alike(name: str, transformation: str) -> None:
    """The loops of a cell, transformed, are the plain loop, transformed; in double precision."""
    cell, point = cell_and_point(name)
    with jax.enable_x64(True):
        floats, rebuild = named_floats(widened(point))

        def found(floats, schedule):
            run = total(cell, rebuild, schedule)
            return TRANSFORMATIONS[transformation](run, floats)

        both = jax.jit(lambda floats: [found(floats, each) for each in ("distributed", "scan")])(
            floats
        )
        require_close(f"{transformation} ", ("distributed", both[0]), ("scan", both[1]), TOLERANCE)


@pytest.mark.parametrize(("name", "transformation"), mostly_full(TRANSFORMED, *BY_DEFAULT))
def test_transformations(name, transformation):
    """With integer and key leaves in the carry where the cell has them."""
    require_transformed_alike(name, transformation)


# by default test_unroll, of one cell
@pytest.mark.full
@pytest.mark.parametrize("name", of_kinds([*CELLS, *EVERY_WAY]))
def test_the_last_outputs_are_those_of_all(name):
    """Values and gradients of `unroll_last`, in double precision."""
    cell, point = cell_and_point(name)
    with jax.enable_x64(True):
        floats, rebuild = named_floats(widened(point))

        def cut(floats):
            carry, ys = unroll(cell, *rebuild(floats), schedule="scan")
            return random_projection((carry, jax.tree.map(lambda y: y[-2:], ys)), seed=1)

        def last(floats):
            params, carry, xs = rebuild(floats)
            found = unroll_last(cell, params, carry, xs, 2, schedule="distributed")
            return random_projection(found, seed=1)

        wanted, found = jax.jit(
            lambda floats: [jax.value_and_grad(f)(floats) for f in (cut, last)]
        )(floats)
        require_close("", ("unroll_last", found), ("unroll", wanted), TOLERANCE)


@pytest.mark.parametrize("leaf", mostly_full(["w_hh", "w_ih", "b"], "b"))
def test_second_derivatives_to_one_leaf(leaf):
    """`jax.hessian` maps over tangents alone: what they do not reach stays unmapped."""
    cell, point = cell_and_point("elman")

    row = jnp.zeros((1,) * (getattr(point.params, leaf).ndim - 1) + (4,))

    def along(row, schedule):
        a = getattr(point.params, leaf)
        params = point.params._replace(**{leaf: a + row})
        ending = unroll(cell, params, point.carry, point.xs, schedule=schedule)
        return random_projection(ending, seed=1)

    schedules = ("scan", "distributed", "checkpointed")
    found = jax.jit(lambda row: {s: jax.hessian(along)(row, s) for s in schedules})(row)
    for schedule in schedules[1:]:
        require_close("hessian", (schedule, found[schedule]), ("scan", found["scan"]), 1e-4)
