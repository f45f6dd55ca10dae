"""Sequences of several lengths in one batch, and read from both ends."""

import inspect

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from tiers import mostly_full

from jaxrnn import (
    Cell,
    bidirectional,
    chain,
    dropout,
    elman,
    embed,
    gru,
    learnt_carry,
    lstm,
    pausable,
    unroll,
    unroll_padded,
)

T = 5
CELL = chain(dropout=dropout(0.3), layer=gru(3, 4))
PARAMS = CELL.init(jax.random.key(0))
LENGTHS = (0, 1, 3, 5)


def started(cell, params, batch_size, seed=0):
    keys = jax.random.split(jax.random.key(seed), batch_size)
    return jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)


def normal(*shape, seed):
    return jax.random.normal(jax.random.key(seed), shape)


def alone(tree, b):
    """The row of sequence b of a carry [B, ...]."""
    return jax.tree.map(lambda a: a[b : b + 1], tree)


def as_numbers(tree):
    """Keys as the numbers they are."""

    def numbers(a):
        return jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a

    return jax.tree.map(numbers, tree)


def require_equal(found, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        as_numbers(found),
        as_numbers(expected),
    )


def with_gradients(loss):
    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))


@pytest.mark.parametrize("schedule", mostly_full(["auto", "scan", "distributed"], "distributed"))
@pytest.mark.parametrize("padding", mostly_full([0.0, jnp.inf, jnp.nan], jnp.nan))
def test_padded_sequences_are_each_alone(padding, schedule):
    """Values, zeros behind the end and gradients, to params and to what was given."""
    lengths, count = jnp.array(LENGTHS), len(LENGTHS)
    xs, start = normal(T, count, 3, seed=1), started(CELL, PARAMS, count)
    weights = normal(T, count, 4, seed=3)
    active = jnp.arange(T)[:, None, None] < lengths[None, :, None]

    def of_floats(end):
        return sum(leaf.sum() for leaf in jax.tree.leaves(end) if leaf.dtype == jnp.float32)

    def padded(params, xs):
        inputs = jnp.where(active, xs, padding)
        end, ys = unroll_padded(CELL, params, start, inputs, lengths, schedule=schedule)
        return (ys * weights).sum() + of_floats(end), (end, ys)

    def one_by_one(params, xs):
        total, ends, outputs = jnp.zeros(()), [], []
        for b, length in enumerate(LENGTHS):
            own = alone(start, b)
            end, ys = unroll(CELL, params, own, xs[:length, b : b + 1], schedule="scan")
            ys = jnp.concatenate([ys, jnp.zeros((T - length, 1, 4))])
            total += (ys * weights[:, b : b + 1]).sum() + of_floats(end)
            ends.append(end)
            outputs.append(ys)
        ends = jax.tree.map(lambda *rows: jnp.concatenate(rows), *ends)
        return total, (ends, jnp.concatenate(outputs, 1))

    found = with_gradients(padded)(PARAMS, xs)
    require_equal(found, with_gradients(one_by_one)(PARAMS, xs))
    require_equal(alone(found[0][1][0], 0), alone(start, 0))


def test_padding_of_a_step_without_draws_may_be_nan():
    """Of a step whose derivatives are finite everywhere nothing is sheltered: 0 for NaN, before the
    product with a weight, is all that keeps its gradient finite."""
    cell = elman(3, 4)
    params, start = cell.init(jax.random.key(0)), jnp.zeros((2, 4))

    @jax.jit
    def gradient(padding):
        def total(params):
            xs = jnp.ones((T, 2, 3)).at[2:, 0].set(padding)
            lengths = jnp.array([2, T])
            return unroll_padded(cell, params, start, xs, lengths, schedule="scan")[1].sum()

        return jax.grad(total)(params)

    jax.tree.map(np.testing.assert_array_equal, gradient(jnp.nan), gradient(0.0))


@jax.jit
def both_ways(xs, lengths):
    start = started(CELL, PARAMS, xs.shape[1])
    given = (start, started(CELL, PARAMS, xs.shape[1], seed=1))
    return unroll_padded(CELL, PARAMS, start, xs, lengths), bidirectional(
        CELL, CELL, (PARAMS, PARAMS), given, xs, lengths
    )


@pytest.mark.full
@settings(max_examples=25, derandomize=True)
@given(lengths=st.lists(st.integers(0, T), min_size=2, max_size=2), seed=st.integers(0, 99))
def test_any_lengths(lengths, seed):
    """Sequences do not depend on what they are beside, nor on their padding; the second cell's are
    those of a numpy-reversed sequence, reversed again."""
    xs = normal(T, 2, 3, seed=seed)
    behind = jnp.arange(T)[:, None, None] >= jnp.array(lengths)[None, :, None]
    (end, ys), ((ahead, back), both) = both_ways(xs, jnp.array(lengths))
    other_padding = both_ways(jnp.where(behind, xs + 1, xs), jnp.array(lengths))
    require_equal(other_padding, ((end, ys), ((ahead, back), both)))
    require_equal((ahead, both[..., :4]), (end, ys))
    for b, length in enumerate(lengths):
        turned = np.array(xs)
        turned[:length, b] = turned[:length, b][::-1]
        carry = started(CELL, PARAMS, 2, seed=1)
        # compiled once: the plain loop over all, and the carry where the sequence ends
        carries, outputs = plain(jnp.asarray(turned), carry)
        at_end = jax.tree.map(lambda a, b=b, length=length: a[length][b], carries)
        require_equal(jax.tree.map(lambda a, b=b: a[b], back), at_end)
        expected = np.zeros((T, 4), np.float32)
        expected[:length] = np.asarray(outputs)[:length, b][::-1]
        np.testing.assert_allclose(both[:, b, 4:], expected, atol=1e-5)


@jax.jit
def plain(xs, carry):
    """The carries [T + 1, B, ...] in front of each time step and behind the last, and ys."""

    def step(params, carry, x):
        new, y = CELL.step(params, carry, x)
        return new, (carry, y)

    end, (carries, ys) = unroll(CELL._replace(step=step), PARAMS, carry, xs, schedule="scan")
    return jax.tree.map(lambda a, last: jnp.concatenate([a, last[None]]), carries, end), ys


def test_without_lengths_all_have_all_time_steps():
    cells = gru(3, 4), lstm(3, 2)
    params = tuple(cell.init(jax.random.key(i)) for i, cell in enumerate(cells))
    carry = tuple(started(*each, 2) for each in zip(cells, params, strict=True))
    xs = normal(T, 2, 3, seed=1)

    @jax.jit
    def run(xs):
        return (
            bidirectional(*cells, params, carry, xs),
            bidirectional(*cells, params, carry, xs, jnp.array([T, T])),
            unroll(cells[1], params[1], carry[1], xs[::-1]),
        )

    whole, of_lengths, (end, ys) = run(xs)
    assert whole[1].shape == (T, 2, 6)
    require_equal(whole, of_lengths)
    require_equal((whole[0][1], whole[1][..., 4:]), (end, ys[::-1]))


def test_padding_tokens_need_not_be_in_the_vocabulary():
    """jnp reads NaN from a row that is not there."""
    cell = chain(embed=embed(5, 3), layer=learnt_carry(gru(3, 4)))
    params = cell.init(jax.random.key(0))

    def total(params, padding):
        tokens = jnp.array([[1, 2], [3, padding], [padding, padding]])
        carry, lengths = started(cell, params, 2), jnp.array([2, 1])
        return unroll_padded(cell, params, carry, tokens, lengths)[1].sum()

    gradient = jax.jit(jax.grad(total))
    usual, strange = (gradient(params, jnp.int32(n)) for n in (0, 999))
    jax.tree.map(np.testing.assert_array_equal, strange, usual)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(strange))


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (jnp.array([1, 2, 3]), r"lengths are int32\[3\]; give one integer for each of the 2"),
        (jnp.array([1.0, 2.0]), r"lengths are float32\[2\]"),
        (jnp.array(2), r"lengths are int32\[\]"),
        (jnp.array([5, 6]), r"lengths\[1\] is 6; give 0 to 5, the time steps of xs"),
        (jnp.array([-1, 5]), r"lengths\[0\] is -1; give 0 to 5"),
    ],
)
def test_lengths_that_do_not_fit(lengths, message):
    xs, start = jnp.ones((T, 2, 3)), started(CELL, PARAMS, 2)
    # around the annotations, which tests enforce
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(unroll_padded)(CELL, PARAMS, start, xs, lengths)
    both = (CELL, CELL, (PARAMS, PARAMS), (start, start))
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(bidirectional)(*both, xs, lengths)


@pytest.mark.parametrize("dtype", mostly_full([jnp.int32, jnp.uint8], jnp.uint8))
def test_lengths_inside_jit_end_where_the_sequence_does(dtype):
    cells = (gru(3, 4), lstm(3, 2))
    params = tuple(cell.init(jax.random.key(0)) for cell in cells)
    carry = tuple(started(cell, p, 2) for cell, p in zip(cells, params, strict=True))
    xs = normal(T, 2, 3, seed=1)
    run = jax.jit(lambda lengths: bidirectional(*cells, params, carry, xs, lengths))
    require_equal(run(jnp.array([200, 2], dtype)), run(jnp.array([T, 2], dtype)))


def test_axes_are_checked_as_unroll_does():
    start = started(CELL, PARAMS, 2)
    with pytest.raises(ValueError, match=r"xs has shape \(5,\); give it time and batch axes"):
        unroll_padded(CELL, PARAMS, start, jnp.ones(5), jnp.array([1, 2]))


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
