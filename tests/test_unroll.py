"""unroll's complaints."""

import inspect
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Cell, gru, unroll
from jaxrnn.unroll import Schedule, where

CELL = gru(3, 4)
PARAMS = CELL.init(jax.random.key(0))
CARRY = jnp.zeros((2, 4))


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

    def grads(schedule):
        def last(params):
            return unroll(cell, params, carry, xs, schedule=schedule)[0].sum()

        return jax.grad(last)(params)["u"]

    np.testing.assert_allclose(grads("distributed"), grads("scan"), rtol=1e-5, atol=1e-6)
