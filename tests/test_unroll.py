"""unroll's complaints, and sequences of several lengths."""

import inspect
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Cell, gru, pausable, unroll
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


@pytest.mark.parametrize("padding", [0.0, jnp.nan, jnp.inf])
def test_lengths(padding):
    """Right-padded sequences of lengths 0 to T come out as they do alone, whatever the padding,
    and so do their gradients."""
    lengths = (0, 1, 3, 5)
    xs = jax.random.normal(jax.random.key(1), (5, len(lengths), 3))
    start = jax.random.normal(jax.random.key(2), (len(lengths), 4))
    weights = jax.random.normal(jax.random.key(3), (5, len(lengths), 4))
    active = jnp.arange(5)[:, None] < jnp.array(lengths)[None]

    def padded(params, start, padding):
        inputs = jnp.where(active[:, :, None], xs, padding)
        end, ys = unroll(pausable(CELL), params, start, (inputs, active))
        scored = jnp.where(active[:, :, None], ys, 0) * weights
        return scored.sum() + end.sum(), end

    def alone(params, start):
        total, ends = jnp.zeros(()), []
        for b, length in enumerate(lengths):
            end, ys = unroll(CELL, params, start[b : b + 1], xs[:length, b : b + 1])
            total += (ys * weights[:length, b : b + 1]).sum() + end.sum()
            ends.append(end)
        return total, jnp.concatenate(ends)

    def with_gradients(loss):
        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))

    found = with_gradients(padded)(PARAMS, start, jnp.float32(padding))
    expected = with_gradients(alone)(PARAMS, start)
    np.testing.assert_array_equal(found[0][1][0], start[0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, expected)


def test_a_pause_keeps_the_carry_bit_for_bit():
    """Of every dtype, keys included."""
    cell = Cell(
        init=lambda key: (),
        init_carry=lambda params, key: {"key": key, "n": jnp.int32(0), "h": jnp.float32(0.1)},
        step=lambda params, carry, x: (
            {
                "key": jax.random.fold_in(carry["key"], 1),
                "n": carry["n"] + 1,
                "h": carry["h"] + x,
            },
            x,
        ),
    )
    keys = jax.random.split(jax.random.key(0), 2)
    start = jax.vmap(cell.init_carry, in_axes=(None, 0))((), keys)
    active = jnp.array([[False, True], [False, True]])
    end, _ = unroll(pausable(cell), (), start, (jnp.ones((2, 2)), active))
    assert end["n"].tolist() == [0, 2]
    assert end["h"][0] == start["h"][0]
    kept = jax.random.key_data(end["key"]) == jax.random.key_data(start["key"])
    assert kept.all(1).tolist() == [True, False]


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
