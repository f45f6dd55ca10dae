"""Styles that draw where errors are cut: what is drawn, and what a draw does to the gradient."""

import inspect
import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full, of_kinds

from jaxrnn import CELLS, Batch, Cell, artbp, bptt, chain, elman, random_length, unroll
from jaxrnn.gradients.artbp import artbp_chances
from jaxrnn.gradients.cutting import draw_factors, survival, with_factors
from jaxrnn.gradients.random_length import length_chances
from jaxrnn.schedule import choose

DRAWN = {
    "random_length": (random_length, length_chances),
    "artbp": (artbp, artbp_chances),
}
T, B, WINDOW = 12, 3, 4
CELL = chain(a=elman(2, 3), b=elman(3, 3))


def squares(outputs, targets):
    return jnp.square(outputs - targets).sum(-1)


def setting():
    generator = np.random.default_rng(0)
    inputs, targets = (
        jnp.asarray(generator.standard_normal((T, B, size)), jnp.float32) for size in (2, 3)
    )
    return CELL.init(jax.random.key(0)), Batch(inputs, targets)


def drawn_factors(carry, chances):
    """[T, B], what the estimator is about to draw."""
    keys = jax.vmap(jax.random.fold_in)(carry.key, carry.step)
    return jax.vmap(lambda key: draw_factors(key, chances(WINDOW, T)), out_axes=1)(keys)


@pytest.mark.parametrize(
    ("name", "schedule"),
    mostly_full(
        [(name, schedule) for schedule in ("auto", "scan") for name in DRAWN],
        ("artbp", "auto"),
    ),
)
def test_every_draw_is_the_gradient_cut_there(name, schedule):
    """Three batches in a row, against a plain loop that stops or scales the errors of the carry;
    losses and carry are those of bptt, bit for bit."""
    style, chances = DRAWN[name]
    params, batch = setting()
    estimator = style(CELL, squares, window=WINDOW, schedule=schedule)
    plain = bptt(CELL, squares, schedule=schedule)
    carry = estimator.init(params, jax.random.key(1), B)
    estimate, plainly = jax.jit(estimator.estimate), jax.jit(plain.estimate)

    @jax.jit
    def by_hand(params, start, factors):
        def mean_loss(params):
            def step(carry, at):
                x, target, factor = at
                share = factor[:, None]
                passed = jax.tree.map(
                    lambda a: share * a + jax.lax.stop_gradient((1 - share) * a), carry
                )
                carry, y = jax.vmap(CELL.step, in_axes=(None, 0, 0))(params, passed, x)
                return carry, squares(y, target).mean()

            return jax.lax.scan(step, start, (*batch, factors))[1].mean()

        return jax.grad(mean_loss)(params)

    seen = []
    for _ in range(3):
        factors = drawn_factors(carry, chances)
        seen.append(np.asarray(factors))
        expected = by_hand(params, carry.sequences.carry, factors)
        _, after, metrics = plainly(params, carry.sequences, batch)
        grads, carry, mine = estimate(params, carry, batch)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), grads, expected)
        assert mine["loss"] == metrics["loss"]
        jax.tree.map(np.testing.assert_array_equal, carry.sequences.carry, after.carry)
    # every sequence and every batch has cuts of its own, and none where the batch begins
    rows = np.concatenate(seen, axis=1).T
    assert len({row.tobytes() for row in rows}) > 1
    assert len({factors.tobytes() for factors in seen}) == 3
    assert (rows[:, 0] == 1).all()
    assert (rows == 0).any()


@pytest.mark.parametrize("name", mostly_full(DRAWN, "random_length"))
def test_factors_arrive_as_survival_says(name):
    _, chances = DRAWN[name]
    keys = jax.random.split(jax.random.key(0), 40_000)
    drawn = jax.jit(jax.vmap(lambda key: draw_factors(key, chances(5, 9))))(keys)
    drawn = np.asarray(drawn, np.float64)
    expected = survival(chances(5, 9))
    for t in range(9):
        for s in range(t + 1):
            arriving = drawn[:, s + 1 : t + 1].prod(1)
            error = arriving.std() / np.sqrt(len(arriving))
            assert abs(arriving.mean() - expected[t, s]) <= 5 * error + 1e-4


def probabilities(cut):
    """Of each length, from the chance that a segment that has it ends."""
    return cut * np.cumprod(np.concatenate([[1.0], 1 - cut[:-1]]))


def test_lengths_are_drawn_as_in_awd_lstm():
    found = probabilities(length_chances(70, 120).cut)
    generator = np.random.default_rng(0)
    bases = np.where(generator.random(400_000) < 0.95, 70, 35)
    lengths = np.maximum(5, np.rint(generator.normal(bases, 5))).astype(int)
    seen = np.bincount(lengths, minlength=121)[1:121] / len(lengths)
    assert abs(found.sum() - 1) < 1e-9
    np.testing.assert_allclose(found, seen, atol=5 * np.sqrt(0.1 / len(lengths)))
    # the least length takes what falls below it
    short = probabilities(length_chances(8, 40).cut)
    assert abs(short.sum() - 1) < 1e-9
    assert abs((short * np.arange(1, 41)).sum() - (0.95 * 8 + 0.05 * 4)) < 1e-3


@pytest.mark.parametrize("window", [2, 5, 50])
@pytest.mark.parametrize("tail", [2.5, 4.0, math.inf])
def test_segments_of_artbp_have_the_window_in_the_mean(window, tail):
    chances = artbp_chances(window, 200_000, tail)
    lasts_longer = np.cumprod(1 - chances.cut)
    assert abs(1 + lasts_longer.sum() - window) < 0.01 * window
    if tail == math.inf:
        np.testing.assert_allclose(chances.cut[:10], 1 / window, rtol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("name", of_kinds(CELLS))
def test_a_cell_with_factors_keeps_its_schedule(name):
    cell = with_factors(CELLS[name](3, 4))
    params = cell.init(jax.random.key(0))
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(
        params, jax.random.split(jax.random.key(0), B)
    )
    xs = jnp.ones((20, B, 3)), jnp.ones((20, B))
    assert choose(cell, params, carry, xs, "auto", "cpu").schedule == "distributed"


def test_a_linear_recurrence_is_cut_too():
    """Worked out in parallel, its errors would pass by the factors."""
    cell = Cell(
        init=lambda key: jnp.full(2, 0.9),
        init_carry=lambda a, key: jnp.zeros(2),
        step=lambda a, c, x: (a * c + x, a * c + x),
    )
    _, batch = setting()
    found = []
    for schedule in ("scan", "associative"):
        estimator = artbp(cell, lambda c, _: jnp.square(c).sum(-1), window=2, schedule=schedule)
        carry = estimator.init(jnp.full(2, 0.9), jax.random.key(0), B)
        found.append(jax.jit(estimator.estimate)(jnp.full(2, 0.9), carry, batch)[0])
    np.testing.assert_allclose(*found, rtol=1e-5)


@pytest.mark.parametrize("schedule", mostly_full(["scan", "distributed"], "distributed"))
def test_forward_and_reverse_derivatives_agree(schedule):
    cell, (params, batch) = with_factors(CELL), setting()
    keys = jax.random.split(jax.random.key(0), B)
    carry = jax.vmap(CELL.init_carry, in_axes=(None, 0))(params, keys)
    factors = jax.random.uniform(jax.random.key(3), (T, B)) * 2

    def loss(params):
        _, outputs = unroll(cell, params, carry, (batch.inputs, factors), schedule=schedule)
        return squares(outputs, batch.targets).mean()

    direction = jax.tree.map(jnp.ones_like, params)
    forward, grads = jax.jit(
        lambda params: (jax.jvp(loss, (params,), (direction,))[1], jax.grad(loss)(params))
    )(params)
    reverse = sum(leaf.sum() for leaf in jax.tree.leaves(grads))
    np.testing.assert_allclose(forward, reverse, rtol=1e-4)


def test_a_number_that_is_a_text(monkeypatch):
    """As users have it, without the types that the other tests enforce."""
    unchecked = inspect.unwrap(artbp)
    for name, value in vars(sys.modules[artbp.__module__]).items():
        if inspect.isfunction(value):
            monkeypatch.setitem(unchecked.__globals__, name, inspect.unwrap(value))
    with pytest.raises(ValueError, match="window is '4'; give a whole number"):
        unchecked(CELL, squares, window="4")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="tail is '4'; give a number above 1"):
        unchecked(CELL, squares, window=5, tail="4")  # pyright: ignore[reportArgumentType]


def test_what_is_not_defined_is_named():
    with pytest.raises(ValueError, match=r"window is 1; artbp needs a mean length of at least 2"):
        artbp(CELL, squares, window=1)
    with pytest.raises(ValueError, match=r"tail is 1\.0; give a number above 1"):
        artbp(CELL, squares, window=5, tail=1.0)
    with pytest.raises(ValueError, match="window is 0; give a whole number of at least 1"):
        random_length(CELL, squares, window=0)
    params, batch = setting()
    for name, (style, _) in DRAWN.items():
        estimator = style(CELL, squares, window=WINDOW)
        carry = estimator.init(params, jax.random.key(0), B)
        with pytest.raises(ValueError, match=f"2 steps of history; {name} takes none"):
            estimator.estimate(params, carry, Batch(batch.inputs, batch.targets[2:]))
