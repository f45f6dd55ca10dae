"""Connectivity against finite differences for every cell, and where it is known in closed form."""

import analysis_support as support
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxrnn import CELLS, chain, dropout, embed, linear, lstm
from jaxrnn.analysis.connectivity import (
    SQUARE_ROOT,
    SQUARED,
    Measure,
    by_position,
    connectivity,
    sliding,
    window_connectivity,
)
from jaxrnn.analysis.memory import half_life, mean_lag
from jaxrnn.laws.comparing import widened

KEY = jax.random.key(0)
V, E, T = 3, 2, 5
TOKENS, TARGETS = jnp.array([0, 2, 1, 1, 0]), jnp.array([2, 1, 1, 0, 2])
FIRST = Measure(lambda y, target: y[0], lambda gradient: (gradient**2).sum())


def differences(cell, params, carry, xs, score, size=1e-4):
    """[T', T, D]: central differences of the score of every prediction to every number of xs."""

    def scores(xs):
        _, ys = lax.scan(lambda c, x: cell.step(params, c, x), carry, xs)
        return jax.vmap(score)(ys, TARGETS)

    steps = size * jnp.eye(xs.size).reshape(-1, *xs.shape)
    slopes = jax.vmap(lambda step: (scores(xs + step) - scores(xs - step)) / (2 * size))(steps)
    return slopes.T.reshape(len(xs), *xs.shape)


@pytest.mark.parametrize("name", CELLS)
def test_both_measures_are_finite_differences(name):
    layer, head = CELLS[name](E, 4), linear(4, V)
    model, behind = chain(embed=embed(V, E), layer=layer, head=head), chain(layer=layer, head=head)

    def found_and_expected():
        params = widened(model.init(KEY))
        carry = widened(model.init_carry(params, KEY))
        one_hot = jax.nn.one_hot(TOKENS, V)
        squared = connectivity(model, params, carry, one_hot, TARGETS, SQUARED)
        root = connectivity(model, params, carry, TOKENS, TARGETS, SQUARE_ROOT, at="embed")
        slopes = differences(model, params, carry, one_hot, SQUARED.of)
        embedded = params["embed"]["w"][TOKENS]
        rest = {part: carry[part] for part in ("layer", "head")}
        of_loss = differences(behind, params, rest, embedded, SQUARE_ROOT.of)
        found = by_position(squared), by_position(root)
        return found, ((slopes**2).sum(-1), jnp.sqrt(jnp.abs(of_loss)).sum(-1))

    with jax.enable_x64(True):
        found, expected = jax.jit(found_and_expected)()
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-5)
    assert (np.tril(found[0]) > 0).any(0).all()  # every input is felt somewhere
    assert not np.triu(found[0], 1).any()


def two_layers():
    layers = chain(first=lstm(E, 4), drop=dropout(0.5), second=CELLS["gru"](4, 4))
    return chain(embed=embed(V, E), layers=layers, head=linear(4, V))


def given(model):
    params = model.init(KEY)
    return params, model.init_carry(params, KEY)


@pytest.mark.parametrize("at", ["embed", "layers/first", "layers/second/tanh"])
def test_a_window_alone_is_a_row_of_all(at):
    model = two_layers()
    params, carry = given(model)
    rows = connectivity(model, params, carry, TOKENS, TARGETS, SQUARE_ROOT, at=at)
    for end in range(T):
        xs, target = TOKENS[None, : end + 1], TARGETS[end : end + 1]
        (row,) = window_connectivity(model, params, KEY, xs, target, SQUARE_ROOT, at=at)
        np.testing.assert_allclose(rows[end, : end + 1], row, rtol=1e-4)
        assert not rows[end, end + 1 :].any()
        assert row.sum() > 0


def test_fewer_lags_are_the_first_columns():
    model = two_layers()
    params, carry = given(model)
    whole = connectivity(model, params, carry, TOKENS, TARGETS, SQUARE_ROOT, at="embed")
    for lags in (1, 2, T):
        some = connectivity(
            model, params, carry, TOKENS, TARGETS, SQUARE_ROOT, at="embed", lags=lags
        )
        np.testing.assert_allclose(some, whole[:, :lags], rtol=1e-5)
    rows = by_position(whole[:, :2])
    assert np.flatnonzero(rows[3]).tolist() == [2, 3]


def test_windows_in_chunks():
    model = two_layers()
    params, _ = given(model)
    windows, targets = sliding(TOKENS, 2), TARGETS[1:]
    assert windows.tolist() == [[0, 2], [2, 1], [1, 1], [1, 0]]
    one, other = (
        window_connectivity(
            model, params, KEY, windows, targets, SQUARE_ROOT, at="embed", chunk=chunk
        )
        for chunk in (3, 64)
    )
    np.testing.assert_allclose(one, other, rtol=1e-5)
    assert one.shape == (4, 2)


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_a_delay_depends_on_one_lag(lag):
    cell = support.delay(lag)
    params, carry = given(cell)
    xs = jax.random.normal(KEY, (8, 3))
    rows = connectivity(cell, params, carry, xs, jnp.zeros(8, int), SQUARED)
    expected = np.zeros((8, 8))
    expected[lag:, lag] = 1.5**2
    np.testing.assert_allclose(rows, expected)
    np.testing.assert_allclose(mean_lag(rows[lag:]), lag)
    np.testing.assert_allclose(half_life(rows[lag:]), lag)
    assert np.isnan(mean_lag(rows[0]))


def test_a_linear_cell_decays_with_its_eigenvalue():
    cell = support.linear_cell(0.5 * jnp.eye(2))
    rows = connectivity(cell, (), jnp.zeros(2), jnp.ones((20, 2)), jnp.zeros(20, int), FIRST)
    np.testing.assert_allclose(rows[-1], 0.25 ** np.arange(20.0), rtol=1e-5)
    np.testing.assert_allclose(half_life(rows[-1]), 0.5, rtol=1e-5)  # 0.25 a step
    np.testing.assert_allclose(mean_lag(rows[-1]), 1 / 3, rtol=1e-5)


def test_what_is_refused():
    model = two_layers()
    params, carry = given(model)

    def of(xs=TOKENS, targets=TARGETS, **options):
        return connectivity(model, params, carry, xs, targets, SQUARED, **options)

    with pytest.raises(ValueError, match=r"xs is of int32.*one_hot.*at="):
        of()
    with pytest.raises(ValueError, match=r"name is 'emb'; the values of this cell are embed, "):
        of(at="emb")
    with pytest.raises(ValueError, match="lags is 6, xs has 5"):
        of(at="embed", lags=6)
    with pytest.raises(ValueError, match="lags is 0"):
        of(at="embed", lags=0)
    with pytest.raises(ValueError, match="first axis of 5, targets of 4"):
        of(targets=TARGETS[1:], at="embed")
    with pytest.raises(ValueError, match="size is 6, xs has 5"):
        sliding(TOKENS, 6)
