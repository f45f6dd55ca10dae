"""How often the interval of an interquartile mean holds the truth, by simulation.

    python -m jaxrnn.analysis.coverage

prints the table below, 4,000 simulated experiments to a number. The percentile bootstrap draws from
the few seeds that there are, so that it says 95 % and covers less: whoever prints an interval
prints `covers` with it.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxrnn.analysis.statistics import bootstrap, iqm

SEEDS = (2, 3, 5, 8, 16, 32)
TRIALS = 4_000

COVERAGE = {
    "normal": (0.508, 0.752, 0.903, 0.939, 0.945, 0.943),
    "log-normal": (0.501, 0.750, 0.897, 0.936, 0.945, 0.947),
    "Student t, 2 degrees": (0.481, 0.731, 0.894, 0.931, 0.942, 0.951),
}
"""Of a nominal 95 %, at the numbers of `SEEDS`; made by the command above."""


def covers(seeds: int) -> float:
    """The part of experiments in which the interval of 95 % holds the interquartile mean, at least,
    over the distributions: the table's value at the next smaller number of seeds.

    Raises:
      ValueError: fewer than two seeds, which have no interval.
    """
    if seeds < 2:
        raise ValueError(f"seeds is {seeds}; an interval needs at least 2")
    column = max(i for i, count in enumerate(SEEDS) if count <= seeds)
    return min(values[column] for values in COVERAGE.values())


def interval_note(counts: Iterable[int]) -> str:
    """What to say beside intervals of so many seeds each."""
    several = [count for count in counts if count > 1]
    if not several:
        return "95 % bootstrap interval (none for one seed)"
    few = min(several)
    return f"95 % bootstrap interval (which covers {100 * covers(few):.0f} % at {few} seeds)"


def distributions() -> dict[str, Any]:
    """Of seeds that scatter evenly, seeds with a long side, and seeds of which some are far off."""
    from scipy import stats  # half a second, which no command's --help waits for

    kinds = (stats.norm(), stats.lognorm(1.0), stats.t(2))
    return dict(zip(COVERAGE, kinds, strict=True))


def true_iqm(distribution: Any) -> float:
    """Of infinitely many seeds: the mean of the middle half of a distribution."""
    return float(distribution.ppf(0.25 + (np.arange(20_000) + 0.5) / 40_000).mean())


def simulated(
    distribution: Any, seeds: int, *, trials: int = TRIALS, resamples: int = 1_000, seed: int = 0
) -> float:
    """The part of `trials` experiments, each of so many seeds, whose interval holds the truth."""
    generator, truth = np.random.default_rng(seed), true_iqm(distribution)
    drawn = distribution.rvs((trials, seeds, 1), random_state=generator)
    held = 0
    for trial, scores in enumerate(drawn):
        found = bootstrap(iqm, scores, resamples=resamples, seed=trial)
        held += bool(found.low <= truth <= found.high)
    return held / trials


def main() -> None:
    print(f"{'covered by 95 %, of seeds':26}" + "".join(f"{count:8}" for count in SEEDS))
    for name, distribution in distributions().items():
        found = [simulated(distribution, count) for count in SEEDS]
        print(f"{name:26}" + "".join(f"{value:8.3f}" for value in found), flush=True)


if __name__ == "__main__":
    main()
