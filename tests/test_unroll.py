"""unroll's complaints."""

import inspect
from typing import get_args

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn import Cell, chain, gru, linear, unroll
from jaxrnn.laws.comparing import random_projection, require_close
from jaxrnn.unroll import Schedule, unroll_last, where

CELL = gru(3, 4)
PARAMS = CELL.init(jax.random.key(0))
CARRY = jnp.zeros((2, 4))
KEY = jax.random.key(1)


def test_unknown_schedule():
    known = ", ".join(get_args(Schedule))
    with pytest.raises(ValueError, match=f"schedule is 'quick'; the schedules are {known}"):
        # around the annotation, which tests enforce
        inspect.unwrap(unroll)(CELL, PARAMS, CARRY, jnp.ones((5, 2, 3)), schedule="quick")


@pytest.mark.parametrize(
    ("carry", "xs", "message"),
    [
        (CARRY, (), "xs has no leaves"),
        (CARRY, jnp.ones(5), r"xs has shape \(5,\); give it time and batch axes"),
        (CARRY, {"a": jnp.ones(5)}, r"xs\['a'\] has shape \(5,\)"),
        (CARRY, (jnp.ones((5, 2)), jnp.ones((4, 2))), r"have \(T, B\) \[\(4, 2\), \(5, 2\)\]"),
        (CARRY, (jnp.ones((5, 2)), jnp.ones((5, 3))), r"have \(T, B\) \[\(5, 2\), \(5, 3\)\]"),
        (CARRY, jnp.ones((5, 3, 3)), r"carry has shape \(2, 4\); its first axis is the batch, 3"),
        ({"h": jnp.ones(())}, jnp.ones((5, 2, 3)), r"carry\['h'\] has shape \(\)"),
    ],
)
@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_axes_that_disagree(carry, xs, message, schedule):
    with pytest.raises(ValueError, match=message):
        unroll(CELL, PARAMS, carry, xs, schedule=schedule)


STACK = chain(below=gru(3, 4), above=gru(4, 4), head=linear(4, 2))
STACK_PARAMS = STACK.init(jax.random.key(0))
STEPS = 6


def gradient_of_last(count, schedule, whole):
    """Carry, the last ys and gradients; by `unroll_last`, or cut from all of `unroll`."""
    params = STACK_PARAMS
    carry = jax.vmap(STACK.init_carry, in_axes=(None, 0))(params, jax.random.split(KEY, 2))
    xs = jax.random.normal(KEY, (STEPS, 2, 3))

    def projected(params, carry, xs):
        if whole:
            last, ys = unroll(STACK, params, carry, xs, schedule=schedule)
            ys = ys[STEPS - count :]
        else:
            last, ys = unroll_last(STACK, params, carry, xs, count, schedule=schedule)
        return random_projection((last, ys), seed=1), (last, ys)

    return jax.grad(projected, argnums=(0, 1, 2), has_aux=True)(params, carry, xs)


LAST = [(c, s) for s in ("scan", "distributed", "checkpointed") for c in (1, 4, STEPS)]


@pytest.mark.parametrize(
    ("count", "schedule"),
    mostly_full(LAST, (4, "distributed"), (4, "scan")),
)
def test_the_last_outputs(count, schedule):
    found, wanted = jax.jit(
        lambda: [gradient_of_last(count, schedule, whole) for whole in (False, True)]
    )()
    require_close("", ("unroll_last", found), ("unroll", wanted), 1e-5)


def test_the_last_outputs_cost_nothing_before():
    """A head behind the recurrences is applied to the time steps that are asked for."""
    params = STACK_PARAMS
    carry = jax.vmap(STACK.init_carry, in_axes=(None, 0))(params, jax.random.split(KEY, 2))
    xs = jnp.ones((STEPS, 2, 3))

    def program(run):
        return jax.jit(lambda params: run(params)[1]).lower(params).as_text()

    last = program(lambda p: unroll_last(STACK, p, carry, xs, 1, schedule="distributed"))
    every = program(lambda p: unroll(STACK, p, carry, xs, schedule="distributed"))
    head, heads = "4xf32>, tensor<4x2xf32>) -> tensor<2x2xf32>", f"-> tensor<{2 * STEPS}x2xf32>"
    assert (head in last, heads in last) == (True, False)
    assert (head in every, heads in every) == (False, True)


@pytest.mark.parametrize("count", [0, 6])
def test_a_count_out_of_range(count):
    with pytest.raises(ValueError, match=f"count is {count}, xs have 5 time steps; give 1 to 5"):
        unroll_last(CELL, PARAMS, CARRY, jnp.ones((5, 2, 3)), count)


def test_where_takes_the_condition_along_leading_axes():
    condition = jnp.array([True, False])
    a, b = {"x": jnp.ones((2, 3)), "y": jnp.ones(2)}, {"x": jnp.zeros((2, 3)), "y": jnp.zeros(2)}
    chosen = where(condition, a, b)
    assert chosen["x"].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert chosen["y"].tolist() == [1, 0]


def test_what_the_way_back_reads_is_what_the_forward_pass_kept():
    """A value that only matters to an output nobody uses: the reverse loop needs less than the
    forward pass kept, and must not ask for a part in place of the kept whole."""

    def step(params, h, x):
        z = h @ params["u"]
        product = z * jnp.flip(z)
        gate = jnp.where(product.sum() > 0, 2.0, 1.0)
        return 0.1 * gate * jnp.tanh(h) * z[:3] + x, product

    cell = Cell(
        init=lambda key: {"u": jax.random.normal(key, (3, 6))},
        init_carry=lambda params, key: jnp.zeros(3),
        step=step,
    )
    params, carry = cell.init(jax.random.key(0)), jnp.ones((2, 3))
    xs = jax.random.normal(jax.random.key(1), (12, 2, 3))

    def grads(params, schedule):
        def last(params):
            return unroll(cell, params, carry, xs, schedule=schedule)[0].sum()

        return jax.grad(last)(params)["u"]

    found, wanted = jax.jit(lambda p: [grads(p, s) for s in ("distributed", "scan")])(params)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_annotations_are_checked_in_tests():
    """By the hook in conftest, which leaves functions without any alone."""
    with pytest.raises(jaxtyping.TypeCheckError, match="condition"):
        where(jnp.ones(2), jnp.ones(2), jnp.ones(2))
