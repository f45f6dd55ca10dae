"""Memory as numbers, on distributions over lags that are known."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.analysis.memory import (
    accuracy_by_seen,
    characters_seen,
    half_life,
    mean_lag,
    share_beyond,
)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_geometric_decay(ratio):
    weights = jnp.array([ratio ** np.arange(400.0), 7 * ratio ** np.arange(400.0)])
    np.testing.assert_allclose(mean_lag(weights), ratio / (1 - ratio), rtol=1e-4)
    np.testing.assert_allclose(half_life(weights), np.log(0.5) / np.log(ratio), rtol=1e-4)
    np.testing.assert_allclose(share_beyond(weights, 3), ratio**4, rtol=1e-4)


@pytest.mark.parametrize("lag", [0, 1, 7])
def test_one_lag_alone(lag):
    weights = jnp.zeros(8).at[lag].set(3.0)
    assert mean_lag(weights) == lag
    assert half_life(weights) == lag
    assert share_beyond(weights, lag) == 0
    if lag:
        assert share_beyond(weights, lag - 1) == 1


def test_equal_weights():
    np.testing.assert_allclose(half_life(jnp.ones(4)), 2)
    np.testing.assert_allclose(mean_lag(jnp.ones(4)), 1.5)
    np.testing.assert_allclose(share_beyond(jnp.ones(4), 0), 0.75)


def test_no_connectivity_has_no_lag():
    rows = jnp.array([[0.0, 0.0], [1.0, 0.0]])
    for measure in (mean_lag, half_life, lambda rows: share_beyond(rows, 1)):
        assert np.isnan(measure(rows)).tolist() == [True, False]


def test_characters_seen_in_the_word():
    text = "ab, cde f"
    in_word = jnp.array([character.isalpha() for character in text])
    assert characters_seen(in_word).tolist() == [0, 1, 0, 0, 0, 1, 2, 0, 0]


def test_accuracy_by_characters_seen():
    in_word = jnp.array([1, 1, 0, 1, 1, 1, 0, 1], bool)
    correct = jnp.array([0, 1, 1, 1, 1, 0, 1, 0], bool)
    seen = characters_seen(in_word)
    found = accuracy_by_seen(correct, seen, in_word, most=3)
    assert found.predictions.tolist() == [3, 2, 1, 0]
    np.testing.assert_allclose(found.accuracy, [1 / 3, 1, 0, np.nan], rtol=1e-6)
    pooled = accuracy_by_seen(correct, seen, in_word, most=1)
    np.testing.assert_allclose(pooled.accuracy, [1 / 3, 2 / 3], rtol=1e-6)
    rows = accuracy_by_seen(correct[None], seen[None], in_word[None], most=1)
    np.testing.assert_array_equal(rows.predictions, pooled.predictions)
