"""Aggregates, intervals and windows against their definitions, closed forms and simulated data."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from jaxrnn.analysis import coverage, statistics
from jaxrnn.analysis.statistics import (
    bootstrap,
    iqm,
    iqm_by_step,
    learning_rate_window,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)

SCORES = np.array([[0.1, 3.0], [0.4, 1.0], [0.2, 2.0], [0.9, 5.0], [0.3, 4.0]])
"""[seeds, tasks]; of all ten in order 0.1 0.2 0.3 0.4 0.9 1 2 3 4 5, two go at each side."""


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_aggregates_by_hand():
    assert iqm(SCORES) == pytest.approx((0.3 + 0.4 + 0.9 + 1 + 2 + 3) / 6, abs=1e-12)
    assert median(SCORES) == pytest.approx((0.38 + 3.0) / 2)
    assert median(column(3, 1, 2, 10)) == 2.5
    assert optimality_gap(column(0.2, 0.8, 1.5), 1.0) == pytest.approx((0.8 + 0.2 + 0) / 3)
    above = performance_profile(SCORES, [-1.0, 0.3, 0.95, 5.0])
    assert above.tolist() == pytest.approx([1, 0.7, 0.5, 0])


def test_the_published_example_comes_out():
    """The scores and values in rliable's own tests (google-research/rliable, metrics_test.py)."""
    x = np.array([[1.0, 2.0], [2.0, 2.0], [1.0, 1.0], [2.0, 1.0]])
    y = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    assert (iqm(x), median(x), iqm(y), median(y)) == (1.5, 1.5, 2.0, 2.0)
    assert probability_of_improvement(x, y) == pytest.approx(1 / 3)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (5, 1), (8, 1), (7, 3), (10, 26)])
def test_the_interquartile_mean_is_the_trimmed_mean_of_all_runs(shape):
    """rliable's definition: scipy.stats.trim_mean(scores, 0.25, axis=None)."""
    scores = np.random.default_rng(0).normal(size=(4, *shape))
    expected = [stats.trim_mean(each.ravel(), 0.25) for each in scores]
    assert iqm(scores).tolist() == pytest.approx(expected)


def test_the_probability_of_improvement_is_that_of_mann_and_whitney():
    """By hand: of the pairs of (1, 2, 4) and (2, 3), two are won, one is a tie."""
    assert probability_of_improvement(column(1, 2, 4), column(2, 3)) == pytest.approx(2.5 / 6)
    generator = np.random.default_rng(1)
    x, y = generator.integers(0, 4, (7, 3)) * 1.0, generator.integers(0, 4, (5, 3)) * 1.0
    u = [stats.mannwhitneyu(x[:, k], y[:, k]).statistic / 35 for k in range(3)]
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(u))
    assert probability_of_improvement(x, y) + probability_of_improvement(y, x) == pytest.approx(1)
    with pytest.raises(ValueError, match="x has 3 tasks and y has 2"):
        probability_of_improvement(x, y[:, :2])


def test_no_order_of_seeds_or_tasks_matters():
    generator = np.random.default_rng(2)
    moved, taus = SCORES[generator.permutation(5)][:, ::-1], [0.5, 2.0]
    assert iqm(moved) == pytest.approx(iqm(SCORES))
    assert median(moved) == pytest.approx(median(SCORES))
    assert performance_profile(moved, taus) == pytest.approx(performance_profile(SCORES, taus))
    assert probability_of_improvement(moved, SCORES[:, ::-1]) == pytest.approx(0.5)


def test_the_bootstrap_is_the_distribution_over_all_drawings():
    """Three seeds have 27 drawings with replacement, which can all be written down."""
    values = (0.0, 1.0, 5.0)
    means = sorted(np.mean(drawn) for drawn in itertools.product(values, repeat=3))
    found = bootstrap(lambda s: s.mean((-1, -2)), column(*values), confidence=0.8, resamples=20_000)
    assert found.value == pytest.approx(2.0)
    # a tenth of the 27 is behind the second and before the last but one
    assert (float(found.low), float(found.high)) == pytest.approx((means[2], means[-3]))


def test_the_bootstrap_draws_within_a_task():
    """Where the seeds of a task agree nothing is left to draw, however far apart the tasks are."""
    scores = np.array([[1.0, 9.0]] * 4)
    found = bootstrap(iqm, scores)
    assert (found.low, found.value, found.high) == (5.0, 5.0, 5.0)
    # drawn together, what one task gains the other would lose
    opposed = bootstrap(lambda s: s.mean((-1, -2)), np.array([[0.0, 1.0], [1.0, 0.0]] * 4))
    assert opposed.low < 0.4 < opposed.value < 0.6 < opposed.high


def test_of_two_settings_both_are_drawn_and_a_profile_has_bands():
    better = bootstrap(probability_of_improvement, column(5, 6, 7), column(1, 2, 3))
    assert (better.low, better.value, better.high) == (1, 1, 1)
    unclear = bootstrap(probability_of_improvement, column(1, 4, 7), column(2, 3, 8))
    assert unclear.low < unclear.value < unclear.high
    profile = bootstrap(lambda s: performance_profile(s, [0.25, 1.5]), SCORES)
    assert profile.low.shape == (2,)
    assert (profile.low <= profile.value).all()
    assert (profile.value <= profile.high).all()


def test_a_member_that_diverged_is_counted():
    """One of eight is trimmed away, three are not; and no end of an interval is NaN."""
    one, three = column(*range(7), math.inf), column(*range(5), *[math.inf] * 3)
    assert iqm(one) == pytest.approx(3.5)
    assert iqm(three) == math.inf
    found = bootstrap(iqm, one)
    assert np.isfinite(found.low)
    assert found.high == math.inf
    assert median(column(1, math.inf)) == math.inf
    assert probability_of_improvement(-one, -three) > 0.5
    with pytest.raises(ValueError, match="NaN; give a member that diverged as infinite"):
        iqm(column(1, math.nan))


def test_scores_of_other_shapes_and_arguments_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="shape"):
        iqm(np.zeros(3))
    with pytest.raises(ValueError, match=r"give \[seeds, tasks\]"):
        bootstrap(iqm, np.zeros((2, 3, 1)))
    with pytest.raises(ValueError, match="give more than 0 and less than 1"):
        bootstrap(iqm, SCORES, confidence=1.0)
    with pytest.raises(ValueError, match="no scores are given"):
        bootstrap(iqm)
    for confidence in (0.0, 95.0):
        with pytest.raises(ValueError, match="give more than 0 and less than 1"):
            iqm_by_step(SCORES, confidence=confidence)
    for target in (math.nan, math.inf):
        with pytest.raises(ValueError, match=f"target is {target}; give a finite"):
            optimality_gap(SCORES, target)
    with pytest.raises(ValueError, match="taus hold NaN"):
        performance_profile(SCORES, [0.5, math.nan])
    with pytest.raises(ValueError, match="tolerance is nan"):
        learning_rate_window([0.1], [1.0], tolerance=math.nan)
    with pytest.raises(ValueError, match="resamples is 0"):
        iqm_by_step(SCORES, resamples=0)
    with pytest.raises(ValueError, match=r"give \[seeds, steps\]"):
        iqm_by_step(np.zeros((2, 3, 4)))


def test_bands_of_curves_are_those_of_each_step():
    curves = np.random.default_rng(3).normal(size=(6, 40)).cumsum(1)
    found = iqm_by_step(curves, resamples=4_000)
    assert found.value == pytest.approx([float(iqm(step[:, None])) for step in curves.T])
    alone = bootstrap(iqm, curves[:, 7:8], resamples=4_000)
    assert found.low[7] == pytest.approx(float(alone.low), abs=0.1)
    assert found.high[7] == pytest.approx(float(alone.high), abs=0.1)


RATES = [1e-4, 1e-3, 1e-2, 1e-1]


@pytest.mark.parametrize(
    ("losses", "low", "high", "most"),
    [
        ([2.0, 1.04, 1.0, 2.0], 1e-3, 1e-2, 1e3),
        ([1.01, 1.0, 2.0, 3.0], 1e-4, 1e-3, math.inf),
        ([1.0, 1.0, 1.0, math.nan], 1e-4, 1e-2, math.inf),
        ([1.5, 1.0, math.inf, 1.0], 1e-3, 1e-3, 1e2),  # what diverges ends a window
        ([-0.5, -1.0, -0.96, -0.5], 1e-3, 1e-2, 1e3),
    ],
)
def test_the_window_of_learning_rates(losses, low, high, most):
    found = learning_rate_window(RATES, losses, tolerance=0.05)
    assert found is not None
    assert (found.low, found.high) == (low, high)
    assert found.factor == pytest.approx(high / low)
    assert found.most == pytest.approx(most)
    assert found.best_loss == np.nanmin(losses)
    shuffled = [2, 0, 3, 1]
    again = [RATES[i] for i in shuffled], [losses[i] for i in shuffled]
    assert learning_rate_window(*again, tolerance=0.05) == found


def test_a_window_of_nothing():
    assert learning_rate_window([0.1, 1.0], [math.nan, math.inf]) is None
    with pytest.raises(ValueError, match="give each once"):
        learning_rate_window([0.1, 0.1], [1.0, 2.0])
    with pytest.raises(ValueError, match="2 rates have 1 losses"):
        learning_rate_window([0.1, 1.0], [1.0])
    with pytest.raises(ValueError, match="tolerance is -1"):
        learning_rate_window([0.1], [1.0], tolerance=-1.0)


def test_the_true_interquartile_mean():
    """Zero for what is symmetric; of the exponential twice the integral of -log(1 - u) over the
    middle half."""
    assert coverage.true_iqm(stats.norm()) == pytest.approx(0, abs=1e-9)
    low, high = (v - v * math.log(v) for v in (0.25, 0.75))  # the integral of -log v
    assert coverage.true_iqm(stats.expon()) == pytest.approx(2 * (high - low), abs=1e-6)


def test_an_interval_covers_what_the_table_says():
    """A part of the table's simulation; `full` has all of it."""
    found = coverage.simulated(coverage.distributions()["normal"], 8, trials=400, resamples=400)
    recorded = coverage.COVERAGE["normal"][coverage.SEEDS.index(8)]
    assert found == pytest.approx(recorded, abs=0.05)
    assert coverage.covers(8) <= recorded < 0.95
    assert coverage.covers(7) == coverage.covers(5) <= coverage.covers(8)
    with pytest.raises(ValueError, match="at least 2"):
        coverage.covers(1)


@pytest.mark.full
@pytest.mark.parametrize("name", coverage.COVERAGE)
def test_the_table_of_coverage(name):
    for count, recorded in zip(coverage.SEEDS, coverage.COVERAGE[name], strict=True):
        found = coverage.simulated(
            coverage.distributions()[name], count, trials=1_000, resamples=500, seed=1
        )
        assert found == pytest.approx(recorded, abs=0.04), count


def test_nothing_is_held_at_once_that_memory_has_no_room_for(monkeypatch):
    """In portions the draws are as many, and the same interval to what drawing leaves open."""
    whole = bootstrap(iqm, SCORES, resamples=4_000)
    monkeypatch.setattr(statistics, "AT_ONCE", 100)
    parts = bootstrap(iqm, SCORES, resamples=4_000)
    assert parts.low == pytest.approx(float(whole.low), abs=0.05)
    assert iqm_by_step(SCORES.T, resamples=50).value.shape == (5,)
