"""The tables of a comparison."""

import math
from collections.abc import Sequence

import numpy as np

from jaxrnn.analysis.coverage import interval_note
from jaxrnn.analysis.statistics import (
    Interval,
    RateWindow,
    bootstrap,
    probability_of_improvement,
)
from jaxrnn.runs.comparing.groups import Group, Measure, best_of, by_setting, window_of
from jaxrnn.runs.experiment import Table
from jaxrnn.runs.summary import median_and_spread
from jaxrnn.runs.tables import SPREAD, spread_columns


def tables(
    groups: Sequence[Group], measure: Measure, tolerance: float, together: Sequence[str]
) -> list[Table]:
    """A row for each setting and rate; and one for each setting, where the rate varies.

    Args:
      together: fields over which the members were pooled.
    """
    note = interval_note(len(group.losses) for group in groups)
    over = f"seeds over {', '.join(together)} taken together; " if together else ""
    by_rate = any(group.rate is not None for group in groups)
    rate = ["learning rate"] if by_rate else []
    found = [
        Table(
            f"{measure.name}, nats: interquartile mean (IQM) of the seeds and its {note}; {over}"
            "P(better): that a seed has a lower loss than one of the first row",
            ["setting", *rate, "seeds", *SPREAD, "P(better)"],
            [_row(group, groups[0], by_rate) for group in groups],
        )
    ]
    settings = by_setting(groups)
    if any(len(each) > 1 for each in settings.values()):
        first = best_of(next(iter(settings.values())))
        found.append(
            Table(
                "each setting at its best learning rate, chosen by the same seeds; its window: "
                f"the rates around it whose IQM is at most {100 * tolerance:g} % above; the factor "
                "between them, and what the next rates of the grid bound it by",
                ["setting", "best rate", "IQM", "interval", "window", "factor", "P(better)"],
                [_best(label, each, first, tolerance) for label, each in settings.items()],
            )
        )
    return found


def _row(group: Group, first: Group, by_rate: bool) -> list[str]:
    lost = f" ({group.diverged} diverged)" if group.diverged else ""
    return [
        group.label,
        *([_rate(group.rate)] if by_rate else []),
        f"{len(group.losses)}{lost}",
        *spread_columns(median_and_spread(group.losses[:, 0].tolist())),
        "-" if group is first else improvement(group, first),
    ]


def _best(label: str, groups: Sequence[Group], first: Group, tolerance: float) -> list[str]:
    best, window = best_of(groups), window_of(groups, tolerance)
    shown = [_loss(best.iqm), _interval(best.interval), *said_of(window)]
    rate = _rate(best.rate) if math.isfinite(best.iqm) else "-"
    return [label, rate, *shown, "-" if best is first else improvement(best, first)]


def said_of(window: RateWindow | None) -> list[str]:
    """A window's rates and its factor."""
    if window is None:
        return ["-", "-"]
    most = f"{window.factor:.3g} to {window.most:.3g}"
    ends = f"{window.low:g} to {window.high:g}" if window.low < window.high else f"{window.low:g}"
    # at the grid's end nobody knows how far it goes on
    return [ends, most if math.isfinite(window.most) else f"at least {window.factor:.3g}"]


def improvement(group: Group, first: Group) -> str:
    """How probably a seed of a group is better than one of the first, with the interval where both
    have several."""
    scores = -group.losses, -first.losses
    if min(map(len, scores)) < 2:
        return f"{float(probability_of_improvement(*scores)):.2f}"
    found = bootstrap(probability_of_improvement, *scores)
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _interval(found: Interval | None) -> str:
    return "-" if found is None else f"[{_loss(found.low)}, {_loss(found.high)}]"


def _loss(value: float | np.floating) -> str:
    return f"{value:.4f}" if np.isfinite(value) else "diverged"


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:g}"
