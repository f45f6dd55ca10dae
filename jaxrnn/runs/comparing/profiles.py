"""Performance profiles of a comparison: of each setting, at its best rate, the share of seeds whose
loss is below a number, over all numbers. A mean hides the seeds that fail; a profile shows them.

Reference: Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical
precipice, https://arxiv.org/abs/2108.13264, with losses for scores: less is better.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxrnn.analysis.coverage import interval_note
from jaxrnn.analysis.plots import Profile
from jaxrnn.analysis.statistics import Interval, bootstrap, performance_profile
from jaxrnn.runs.comparing.groups import Group, Measure, best_of, by_setting
from jaxrnn.runs.experiment import Table

POINTS = 201
"""Losses at which a profile is drawn."""
QUARTERS = (0.25, 0.5, 0.75)
"""Of all finite losses: where a profile is printed."""


def profiled(groups: Sequence[Group]) -> dict[str, Group]:
    """The settings that have a profile, each at its best rate: where there are two of several seeds
    and a finite loss."""
    best = {label: best_of(each) for label, each in by_setting(groups).items()}
    several = {label: group for label, group in best.items() if len(group.losses) > 1}
    return several if len(several) > 1 and len(_finite(several)) else {}


def profile_of(group: Group, losses: np.ndarray) -> Interval:
    """The share of a group's seeds below each of the losses; a seed that diverged is below none."""
    return bootstrap(lambda scores: performance_profile(scores, (-losses).tolist()), -group.losses)


def profiles(chosen: Mapping[str, Group]) -> dict[str, Profile]:
    """What is drawn of each setting, over the range of all finite losses."""
    every = _finite(chosen)
    room = 0.03 * (every.max() - every.min()) or 1e-3 * (abs(every.max()) or 1.0)
    x = np.linspace(every.min() - room, every.max() + room, POINTS)
    return {
        label: Profile(x, *(np.asarray(part) for part in profile_of(group, x)))
        for label, group in chosen.items()
    }


def profile_table(groups: Sequence[Group], measure: Measure) -> list[Table]:
    """The shares at three losses; no table where there is nothing to compare."""
    chosen = profiled(groups)
    if not chosen:
        return []
    at = np.quantile(_finite(chosen), QUARTERS)
    note = interval_note(len(group.losses) for group in chosen.values())
    rate = ", at its best learning rate" if groups[0].rate is not None else ""
    return [
        Table(
            f"performance profiles: the share of each setting's seeds{rate}, whose "
            f"{measure.name} is below a number, and its {note}; the numbers are quartiles of all "
            "that are finite",
            ["setting", *(f"below {loss:.4f}" for loss in at)],
            [[label, *_shares(profile_of(group, at))] for label, group in chosen.items()],
        )
    ]


def _shares(found: Interval) -> list[str]:
    parts = (np.asarray(part) for part in found)
    return [f"{share:.2f} [{low:.2f}, {high:.2f}]" for share, low, high in zip(*parts, strict=True)]


def _finite(chosen: Mapping[str, Group]) -> np.ndarray:
    every = np.concatenate([group.losses[:, 0] for group in chosen.values()])
    return every[np.isfinite(every)]
