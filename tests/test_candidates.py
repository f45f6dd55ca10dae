"""Negatives and the losses over candidates, against closed forms and numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.candidates import (
    CANDIDATE_LOSSES,
    Candidates,
    draw_negatives,
    expected_counts,
    log_uniform,
    noise_contrastive,
    sampled_softmax,
)
from jaxrnn.models import cross_entropy

VOCAB_SIZE = 40


def test_log_uniform_is_a_distribution_that_falls():
    p = log_uniform(1000)
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-5)
    assert (np.diff(p) < 0).all()
    np.testing.assert_allclose(p[0], np.log(2) / np.log(1001), rtol=1e-6)
    # of what an exponential of a uniform number is rounded to
    drawn = np.exp(np.random.default_rng(0).random(200_000) * np.log(1001)).astype(int) - 1
    np.testing.assert_allclose(np.bincount(drawn, minlength=1000)[:9] / 200_000, p[:9], rtol=0.05)


@pytest.fixture(scope="module")
def many():
    """3,000 times 10 negatives."""
    keys = jax.random.split(jax.random.key(3), 3000)
    return jax.jit(jax.vmap(lambda key: draw_negatives(key, VOCAB_SIZE, 10)))(keys)


def test_negatives_are_different_words(many):
    ids = np.sort(many.ids, axis=1)
    assert (np.diff(ids) > 0).all()
    assert ids.min() == 0
    assert ids.max() == VOCAB_SIZE - 1
    np.testing.assert_allclose(
        np.bincount(np.asarray(many.ids[:, 0]), minlength=VOCAB_SIZE) / 3000,
        log_uniform(VOCAB_SIZE),
        atol=4 * np.sqrt(0.25 / 3000),
    )


def test_expected_counts_make_sums_over_negatives_unbiased(many):
    """Each negative by its expected count: in the mean the sum over the whole vocabulary."""
    values = np.random.default_rng(1).normal(size=VOCAB_SIZE).astype(np.float32) + 2
    expected = jax.vmap(lambda ids, draws: expected_counts(ids, draws, VOCAB_SIZE))(*many)
    assert (np.asarray(expected) > 0).all()
    assert (np.asarray(expected) <= 1).all()
    sums = np.asarray((values[many.ids] / expected).sum(1), np.float64)
    error = sums.std() / np.sqrt(len(sums))
    assert abs(sums.mean() - values.sum()) < 4 * error
    assert 4 * error < 0.05 * values.sum()  # or the line before says nothing


def test_negatives_may_be_the_whole_vocabulary():
    negatives = draw_negatives(jax.random.key(0), 7, 7)
    assert sorted(negatives.ids.tolist()) == list(range(7))
    np.testing.assert_array_equal(expected_counts(negatives.ids, negatives.draws, 7), np.ones(7))


@pytest.mark.parametrize("count", [0, 8])
def test_a_count_that_cannot_be_drawn(count):
    with pytest.raises(ValueError, match=f"negatives is {count}; give 1 to 7"):
        draw_negatives(jax.random.key(0), 7, count)


def problem(seed=0):
    """Logits [3, 2, 9]; the target of one time step is a negative, too."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(3, 2, 9)).astype(np.float32) * 2
    column = np.array([[0, 1], [2, 1], [3, 5]])  # 5 is a negative
    negative = np.broadcast_to(np.arange(9) >= 4, logits.shape).copy()
    negative[..., 8] = False  # a column without use
    expected = rng.uniform(0.01, 1, 9).astype(np.float32)
    correction = np.broadcast_to(np.log(expected), logits.shape)
    targets = Candidates(*map(jnp.asarray, (column, negative, correction)))
    return jnp.asarray(logits), targets, expected


def by_hand(logits, targets, expected):
    """Both losses, one time step after the other, from their definitions."""
    sampled, contrastive = np.zeros(logits.shape[:2]), np.zeros(logits.shape[:2])
    for place in np.ndindex(*logits.shape[:2]):
        scores = np.asarray(logits[place], float) - np.log(expected)
        own = int(targets.column[place])
        drawn = [c for c in range(9) if targets.negative[place][c]]
        all_of_them = np.exp(scores[own]) + sum(np.exp(scores[c]) for c in drawn if c != own)
        sampled[place] = -np.log(np.exp(scores[own]) / all_of_them)
        is_target = 1 / (1 + np.exp(-scores))
        contrastive[place] = -np.log(is_target[own]) - sum(np.log(1 - is_target[c]) for c in drawn)
    return {"sampled": sampled, "nce": contrastive}


@pytest.mark.parametrize("name", CANDIDATE_LOSSES)
def test_losses_as_written_by_hand(name):
    found = CANDIDATE_LOSSES[name](*problem()[:2])
    np.testing.assert_allclose(found, by_hand(*problem())[name], rtol=1e-5)


def test_sampled_softmax_over_everything_is_the_cross_entropy():
    logits, targets, _ = problem()
    everything = Candidates(targets.column, jnp.ones(logits.shape, bool), jnp.zeros(logits.shape))
    np.testing.assert_allclose(
        sampled_softmax(logits, everything), cross_entropy(logits, targets.column), rtol=1e-6
    )


def test_noise_contrastive_knows_the_odds():
    """A model that gives every word its probability, k times as much noise as data: the loss of a
    pair of them is that of the posterior."""
    logits = jnp.log(jnp.array([0.3, 0.1]))
    targets = Candidates(jnp.int32(0), jnp.array([False, True]), jnp.log(jnp.array([0.2, 0.4])))
    posterior = np.array([0.3 / (0.3 + 0.2), 0.1 / (0.1 + 0.4)])
    np.testing.assert_allclose(
        noise_contrastive(logits, targets),
        -np.log(posterior[0]) - np.log(1 - posterior[1]),
        rtol=1e-5,
    )


@pytest.mark.parametrize("name", CANDIDATE_LOSSES)
def test_other_columns_take_no_part(name):
    logits, targets, _ = problem()
    grads = jax.grad(lambda logits: CANDIDATE_LOSSES[name](logits, targets).sum())(logits)
    own = np.arange(9) == np.asarray(targets.column)[..., None]
    counted = own | np.asarray(targets.negative)
    assert (np.asarray(grads)[~counted] == 0).all()
    assert (np.asarray(grads)[counted] != 0).all()
