"""Sequences with known lags: the law they are drawn from, and its closed-form losses."""

import jax
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tiers import mostly_full

from jaxrnn.data import TOY, LagTask, lag_sequence, lag_streams, loss_floors, named_floors

LENGTH = 400_000


@st.composite
def tasks(draw):
    """Any task of up to three lags whose probabilities stay inside [0, 1]."""
    lags = draw(st.lists(st.integers(1, 30), unique=True, max_size=3))
    shares = draw(st.tuples(*[st.floats(-1, 1) for _ in lags]))
    scale = max(1.0, sum(map(abs, shares)))
    weights = [share / scale for share in shares]
    lowest = -sum(min(weight, 0.0) for weight in weights)
    highest = 1.0 - sum(max(weight, 0.0) for weight in weights)
    base = lowest + draw(st.floats(0, 1)) * (highest - lowest)
    return LagTask(base, tuple(zip(lags, weights, strict=True)))


def sample(task, seed=0, length=LENGTH):
    draw = jax.jit(lag_sequence, static_argnums=(0, 2))
    return map(np.asarray, draw(task, jax.random.key(seed), length))


def test_published_floors():
    published = {(): 0.6616, (3,): 0.5192, (8,): 0.6277, (3, 8): 0.4545}
    assert loss_floors(TOY) == pytest.approx(published, abs=5e-5)


def entropy(ids):
    """Of the empirical distribution of whole numbers, in nats."""
    _, counts = np.unique(ids, return_counts=True)
    frequencies = counts / counts.sum()
    return -np.sum(frequencies * np.log(frequencies))


@pytest.mark.parametrize("task", [TOY, LagTask(0.1, ((1, 0.2), (2, 0.3), (20, 0.4)))])
def test_floors_are_the_conditional_entropies_of_the_samples(task):
    inputs, targets = sample(task)
    for known, floor in loss_floors(task).items():
        context = sum((np.roll(inputs, lag) << i for i, lag in enumerate(known)), 0 * inputs)
        conditional = entropy(2 * context + targets) - entropy(context)
        assert conditional == pytest.approx(floor, abs=3e-3)


def test_floors_by_name():
    known = {"neither": (), "t-3": (3,), "t-8": (8,), "t-3 and t-8": (3, 8)}
    floors = loss_floors(TOY)
    assert named_floors(TOY) == {name: floors[lags] for name, lags in known.items()}


def test_streams_are_one_sequence_one_after_another():
    key = jax.random.key(5)
    for whole, cut in zip(lag_sequence(TOY, key, 23), lag_streams(TOY, key, 23, 4), strict=True):
        np.testing.assert_array_equal(cut.T.reshape(-1), whole[:20])


@given(tasks())
@example(LagTask(5e-324, ()))
def test_knowing_more_never_costs(task):
    floors = loss_floors(task)
    assert len(floors) == 2 ** len(task.lags)
    for known, floor in floors.items():
        assert 0.0 <= floor <= np.log(2) + 1e-12
        for lag in known:
            fewer = tuple(other for other in known if other != lag)
            assert floor <= floors[fewer] + 1e-12


@pytest.mark.parametrize("lag", mostly_full([1, 8, 40], 8))
def test_a_certain_lag_copies_and_wraps(lag):
    inputs, targets = sample(LagTask(0.0, ((lag, 1.0),)), lag, 30)
    np.testing.assert_array_equal(targets, np.roll(inputs, lag))
    inputs, targets = sample(LagTask(1.0, ((lag, -1.0),)), lag, 30)
    np.testing.assert_array_equal(targets, 1 - np.roll(inputs, lag))


def test_inputs_are_fair_independent_coins():
    inputs, _ = sample(TOY)
    deviations = 5 / np.sqrt(LENGTH)  # five standard deviations of a mean of signs
    signs = 2 * inputs - 1
    assert abs(signs.mean()) < deviations
    assert all(abs(np.mean(signs * np.roll(signs, lag))) < deviations for lag in range(1, 12))


def test_targets_are_drawn_apart_from_inputs():
    inputs, targets = sample(LagTask(0.5, ()))
    assert abs(np.mean((2 * inputs - 1) * (2 * targets - 1))) < 5 / np.sqrt(LENGTH)


@pytest.mark.full
def test_vmap_over_keys_is_one_key_at_a_time():
    keys = jax.random.split(jax.random.key(3), 4)
    together = jax.vmap(lambda key: lag_sequence(TOY, key, 50))(keys)
    one_by_one = zip(*(lag_sequence(TOY, key, 50) for key in keys), strict=True)
    for many, ones in zip(together, one_by_one, strict=True):
        np.testing.assert_array_equal(many, np.stack(ones))


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (LagTask(0.5, ((3, 0.6),)), "spans 0.5 to 1.1"),
        (LagTask(0.1, ((3, -0.25),)), "spans -0.15 to 0.1"),
        (LagTask(float("nan"), ()), "spans nan"),
        (LagTask(0.5, ((0, 0.1),)), "positive lags"),
        (LagTask(0.5, ((3, 0.1), (3, 0.1))), "each of them once"),
    ],
)
def test_impossible_tasks_are_refused(task, problem):
    with pytest.raises(ValueError, match=problem):
        loss_floors(task)
    with pytest.raises(ValueError, match=problem):
        lag_sequence(task, jax.random.key(0), 10)


def test_an_empty_sequence_is_refused():
    with pytest.raises(ValueError, match="length is 0"):
        lag_sequence(TOY, jax.random.key(0), 0)
