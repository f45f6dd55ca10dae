"""What "auto" takes of memory beside the plain loop, compiled: large values stay in the loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bulky_steps import STEPS, inputs
from tiers import mostly_full, of_kinds, some

from jaxrnn import unroll
from jaxrnn.cells import CELLS
from jaxrnn.laws import COMPOSITIONS
from jaxrnn.schedule import choosing
from jaxrnn.unroll import Schedule, explain

T, B, D = 512, 4, 64
# A few megabytes: below, arrays of all time steps are worth what they save. The most is 7.7, the
# vectors that RWKV-7's chunks read, for whose gradient the plain loop takes 84 and chunks 25.
FEW = 8.0


def made(cell, batch_size):
    params = cell.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), batch_size)
    return params, jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)


def running(cell, carry, xs, schedule):
    """Forward, and the gradient to params and to the floats of xs."""
    moving = {n: a for n, a in xs.items() if jnp.issubdtype(a.dtype, jnp.inexact)}

    def forward(params, xs):
        return unroll(cell, params, carry, xs, schedule=schedule)

    def gradient(params, moving):
        def loss(params, moving):
            ys = jax.tree.leaves(forward(params, xs | moving)[1])
            return sum(jnp.square(jnp.abs(y)).sum() for y in ys)

        return jax.grad(loss, argnums=(0, 1), allow_int=True)(params, moving)

    return forward, gradient, moving


def megabytes(function, *arguments):
    """Of temporary memory."""
    compiled = jax.jit(function).lower(*arguments).compile()
    found = compiled.memory_analysis()
    assert found is not None
    return found.temp_size_in_bytes / 2**20


def require_sparing(cell, xs):
    params, carry = made(cell, B)
    taken: dict[str, tuple[float, float]] = {}
    schedules: tuple[Schedule, ...] = ("scan", "auto")
    for schedule in schedules:
        forward, gradient, moving = running(cell, carry, xs, schedule)
        taken[schedule] = megabytes(forward, params, xs), megabytes(gradient, params, moving)
    for plain, ours in zip(taken["scan"], taken["auto"], strict=True):
        assert ours <= max(1.2 * plain, plain + FEW), taken


@pytest.mark.parametrize(
    "name",
    mostly_full([*STEPS], "weights by token", "momentum", "turned matrix", "products of inputs"),
)
def test_a_step_takes_no_more_than_the_plain_loop(name):
    require_sparing(STEPS[name], inputs(T, B))


@pytest.mark.parametrize("name", ["few slots", "ring buffer"])
def test_a_buffer_stays_in_the_loop(name):
    params, carry = made(STEPS[name], B)
    carried = list(jax.tree.leaves(carry)[0].shape[1:])
    report = str(explain(STEPS[name], params, carry, inputs(T, B)))
    assert f"stays in the loop, larger than what goes in and out: {carried}" in report


@pytest.mark.parametrize("name", ["weights by token", "weights of inputs", "turned matrix"])
def test_what_stays_in_the_loop_is_worked_out_again(name):
    params, carry = made(STEPS[name], B)
    report = str(explain(STEPS[name], params, carry, inputs(T, B)))
    (kept,) = [line for line in report.splitlines() if "kept for the backward pass" in line]
    assert str([D, D]) not in kept


def test_a_matrix_that_another_loop_reads_whole_is_in_that_loop():
    cases = {"momentum": "carry[0] [64, 64], carry[1] [64, 64]"}
    cases["read late"] = "carry[0] [64, 64], carry[1] [64]"
    for name, carried in cases.items():
        params, carry = made(STEPS[name], B)
        report = str(explain(STEPS[name], params, carry, inputs(T, B)))
        assert f"loop over {carried}: " in report
        assert "not parallel: of several recurrences one reads a bulky value of another\n" in report
        assert "not chunked: of several recurrences one reads a bulky value of another\n" in report


@pytest.mark.full
@pytest.mark.parametrize("name", [*of_kinds(CELLS), *some([*COMPOSITIONS], 7)])
def test_no_cell_takes_more(name):
    cell = (CELLS | COMPOSITIONS)[name](D, D)
    require_sparing(
        cell._replace(step=lambda params, carry, x: cell.step(params, carry, x["x"])),
        {"x": jnp.zeros((T, B, D))},
    )


@pytest.mark.full
@pytest.mark.parametrize("name", STEPS)
def test_what_stays_in_the_loop_is_right(name, monkeypatch):
    """With as few rows as there are here everything that can be bulky is."""
    monkeypatch.setattr("jaxrnn.schedule.weighing.FEW", 0)
    cell, xs = STEPS[name], inputs(9, 2)
    params, carry = made(cell, 2)
    report = str(explain(cell, params, carry, xs, schedule="distributed"))
    of_inputs = name in ("outer product", "products of inputs")
    assert ("stays in the loop" in report) == (not of_inputs)
    assert ("one time step after another, since" in report) == of_inputs

    def of_each(params, moving):
        for schedule in ("scan", "distributed", "checkpointed"):
            forward, gradient, _ = running(cell, carry, xs, schedule)
            yield schedule, (forward(params, xs)[1], gradient(params, moving))

    moving = running(cell, carry, xs, "scan")[2]
    found = jax.jit(lambda *a: dict(of_each(*a)))(params, moving)
    for schedule in ("distributed", "checkpointed"):
        for ours, plain in zip(
            *map(jax.tree.leaves, (found[schedule], found["scan"])), strict=True
        ):
            np.testing.assert_allclose(ours, plain, atol=1e-4 * np.abs(plain).max(initial=1e-3))


def test_auto_makes_no_large_matrix_parallel(monkeypatch):
    """Not on a GPU either, where it makes linear recurrences parallel."""
    cell, xs = STEPS["decayed matrix"], inputs(T, B)
    params, carry = made(cell, B)
    cases: tuple[tuple[Schedule, bool], ...] = (("auto", True), ("associative", False))
    for schedule, kept in cases:
        choice = choosing.choose(cell, params, carry, xs, schedule, "gpu")
        assert choice.plan is not None
        assert any(getattr(stage, "linear", False) for stage in choice.plan) != kept
