"""Connectivity against finite differences for every cell, and where it is known in closed form."""

import analysis_support as support
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawing import some_params
from tiers import mostly_full, of_kinds

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
V, E, T = 5, 3, 5
TOKENS, TARGETS = jnp.array([0, 2, 1, 1, 0]), jnp.array([2, 1, 1, 0, 2])
FIRST = Measure(lambda y, target: y[0], lambda gradient: (gradient**2).sum())


def scores_in_numpy(name, params, embedded):
    """Of every prediction, from the transcription of the cell: the logit of its target, and its
    loss."""
    carry, step = support.transcription(name, params["layer"])
    w, b = (np.asarray(params["head"][part]) for part in ("w", "b"))
    scores = []
    for x, target in zip(embedded, TARGETS.tolist(), strict=True):
        carry, h = step(carry, x)
        logits = h @ w + b
        scores.append([logits[target], np.log(np.exp(logits).sum()) - logits[target]])
    return np.array(scores).T


@pytest.mark.parametrize("name", mostly_full(of_kinds(CELLS), "lstm"))
def test_both_measures_are_finite_differences(name):
    model = chain(embed=embed(V, E), layer=CELLS[name](E, 4), head=linear(4, V))

    def both(params):
        carry = widened(model.init_carry(params, KEY))
        one_hot = jax.nn.one_hot(TOKENS, V)
        squared = connectivity(model, params, carry, one_hot, TARGETS, SQUARED)
        root = connectivity(model, params, carry, TOKENS, TARGETS, SQUARE_ROOT, at="embed")
        return by_position(squared), by_position(root)

    with jax.enable_x64(True):
        params = widened(some_params(model))
        squared, root = jax.jit(both)(params)
    embedding = np.asarray(params["embed"]["w"])
    slopes = support.differences(
        lambda embedded: scores_in_numpy(name, params, embedded.reshape(T, E)),
        embedding[TOKENS].ravel(),
    )
    of_logit, of_loss = slopes.reshape(2, T, T, E)
    # to a one-hot input: all of its numbers go through the embedding
    np.testing.assert_allclose(
        squared, ((of_logit @ embedding.T) ** 2).sum(-1), rtol=1e-5, atol=1e-9
    )
    np.testing.assert_allclose(root, np.sqrt(np.abs(of_loss)).sum(-1), rtol=1e-4, atol=1e-4)
    assert squared.any()
    assert not np.triu(squared, 1).any()


def two_layers():
    layers = chain(first=lstm(E, 4), drop=dropout(0.5), second=CELLS["gru"](4, 4))
    return chain(embed=embed(V, E), layers=layers, head=linear(4, V))


def given(model):
    params = some_params(model)
    return params, model.init_carry(params, KEY)


@pytest.mark.full
@pytest.mark.parametrize("at", ["embed", "layers/first", "layers/second/tanh"])
def test_a_window_alone_is_a_row_of_all(at):
    model = two_layers()
    params, carry = given(model)

    @jax.jit
    def both(params, carry):
        rows = connectivity(model, params, carry, TOKENS, TARGETS, SQUARE_ROOT, at=at)
        xs, targets = TOKENS[None, :4], TARGETS[3:4]
        return rows, window_connectivity(model, params, KEY, xs, targets, SQUARE_ROOT, at=at)

    rows, (row,) = both(params, carry)
    np.testing.assert_allclose(rows[3, :4], row, rtol=1e-4)
    assert not np.triu(rows, 1).any()  # nothing lies before the first input
    assert row.sum() > 0


@pytest.mark.full
def test_fewer_lags_are_the_first_columns():
    model = two_layers()
    params, carry = given(model)

    @jax.jit
    def both(params, carry):
        return [
            connectivity(model, params, carry, TOKENS, TARGETS, SQUARE_ROOT, at="embed", lags=lags)
            for lags in (2, T)
        ]

    some, whole = both(params, carry)
    np.testing.assert_allclose(some, whole[:, :2], rtol=1e-5)
    rows = by_position(some)
    assert np.flatnonzero(rows[3]).tolist() == [2, 3]


@pytest.mark.full
def test_windows_in_chunks():
    model = two_layers()
    params, _ = given(model)
    windows, targets = sliding(TOKENS, 2), TARGETS[1:]
    assert windows.tolist() == [[0, 2], [2, 1], [1, 1], [1, 0]]

    @jax.jit
    def both(params):
        return [
            window_connectivity(
                model, params, KEY, windows, targets, SQUARE_ROOT, at="embed", chunk=chunk
            )
            for chunk in (3, 64)
        ]

    one, other = both(params)
    np.testing.assert_allclose(one, other, rtol=1e-5)
    assert one.shape == (4, 2)


@pytest.mark.parametrize("lag", mostly_full([1, 2, 3], 2))
def test_a_delay_depends_on_one_lag(lag):
    cell = support.delay(lag)
    params = cell.init(KEY)
    xs = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)

    @jax.jit
    def found(xs):
        carry = cell.init_carry(params, KEY)
        return connectivity(cell, params, carry, xs, jnp.zeros(8, int), SQUARED)

    rows, expected = found(xs), np.zeros((8, 8))
    expected[lag:, lag] = 1.5**2
    np.testing.assert_allclose(rows, expected)
    np.testing.assert_allclose(mean_lag(rows[lag:]), lag)
    np.testing.assert_allclose(half_life(rows[lag:]), lag)
    assert np.isnan(mean_lag(rows[0]))


def test_a_linear_cell_decays_with_its_eigenvalue():
    cell = support.linear_cell(0.5 * jnp.eye(2))

    @jax.jit
    def found(xs):
        return connectivity(cell, (), jnp.zeros(2), xs, jnp.zeros(20, int), FIRST)

    rows = found(np.ones((20, 2), np.float32))
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
