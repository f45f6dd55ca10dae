"""The post's statements, held against a run's own rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.truncation.config import PUBLISHED, Config
from experiments.truncation.published import POST, POST_RATES, Cell, all_cells
from jaxrnn.runs.claims import Claim, above, at_most, between, ordered, within

SOURCE = "R2RT, Styles of Truncated Backpropagation (19 July 2016)"
TABLE = f"{SOURCE}, table of results, read in a third party's copy"
HIGHER = 0.001
"""What the claims call a higher learning rate: the upper two of the post's three."""

Losses = Mapping[tuple[str, int, float], float | None]
"""None where the training diverged: what it takes part in stays open."""


def all_claims(
    config: Config,
    rows: Sequence[dict[str, Any]],
    estimators: Sequence[dict[str, Any]],
    vanishing: Sequence[dict[str, Any]],
    speed: Sequence[dict[str, Any]],
) -> list[Claim]:
    """All of them; open where this run has not trained or measured what they speak of."""
    mine = [row for row in rows if row["part"] == "published"]
    losses = losses_by_cell(all_cells(config), mine)
    ended = bool(mine) and all(row["turned"] or row["diverged"] for row in mine)
    return [
        *grid_claims(losses, ended=ended),
        *cell_claims(config, losses),
        vanishing_claim(vanishing),
        exact_claim(estimators),
        *speed_claims(speed),
    ]


def losses_by_cell(cells: Sequence[Cell], rows: Sequence[dict[str, Any]]) -> Losses:
    by_name = {row["name"]: row["valid_loss"] for row in rows}
    return {
        (cell.style, cell.window, cell.learning_rate): by_name[cell.name]
        for cell in cells
        if cell.name in by_name
    }


def gaps(losses: Losses) -> dict[tuple[int, float], float | None]:
    """(n, learning rate) to what TensorFlow style loses on true truncation, nats."""
    return {
        (window, rate): _difference(losses["tf", window, rate], loss)
        for (style, window, rate), loss in losses.items()
        if style == "true" and ("tf", window, rate) in losses
    }


def grid_claims(losses: Losses, *, ended: bool = True) -> list[Claim]:
    """What the post concludes from its table; each holds of the post's own numbers.

    They are about lowest losses, so nothing is decided before the training has `ended`: while the
    validation loss of a cell still falls in its last epoch, who learns faster is ahead.
    """
    found = gaps(losses)
    higher = {key: gap for key, gap in found.items() if key[1] >= HIGHER}
    lower = [gap for (_, rate), gap in found.items() if rate < HIGHER]
    windows = sorted({window for window, _ in higher}, reverse=True)
    by_window: dict[str, float | None] = {
        f"n {window}": _mean([gap for (n, _), gap in higher.items() if n == window])
        for window in windows
    }
    if len(windows) < 2:  # one gap alone does not shrink
        by_window = {"larger n": None, "smaller n": None}
    longest = max((window for _, window, _ in losses), default=None)
    full = [x for (style, n, _), x in losses.items() if style == "tf" and n == longest]
    # full: its n is all of the longest batch, so that nothing is cut
    trues = [x for (style, n, _), x in losses.items() if style == "true" and n != longest]
    distance = _difference(_least(full), _least(trues))
    of_lower = _mean(lower)
    decided = [
        above(
            f"TensorFlow style - true at equal n, learning rates from {HIGHER:g}: worse",
            f"{SOURCE}, discussion",
            _mean(list(higher.values())),
            0.0,
        ),
        above(
            f"true - TensorFlow style, learning rates below {HIGHER:g}: worse",
            TABLE,
            None if of_lower is None else -of_lower,
            0.0,
        ),
        ordered("the gap shrinks as n grows", f"{SOURCE}, discussion", by_window),
        at_most(
            "full backpropagation - best true: about as good",
            f"{SOURCE}, conclusions",
            distance,
            0.02,
        ),
    ]
    return decided if ended else [claim._replace(holds=None) for claim in decided]


def cell_claims(config: Config, losses: Losses) -> list[Claim]:
    """The cells of the post's table that this run trained as the post did, in text, model and
    protocol."""
    free = ("part", "grid", "seed", "seeds", "log_every", "schedule", "corpus")
    free += ("window", "num_steps", "learning_rate")
    alike = config.corpus == "ptb" and all(
        value == getattr(PUBLISHED, name)
        for name, value in vars(config).items()
        if name not in free and not name.startswith(("toy_", "text_"))
    )
    batches = dict(zip(PUBLISHED.window, PUBLISHED.num_steps, strict=True))
    mine = dict(zip(config.window, config.num_steps, strict=True))
    found = []
    for (style, window), losses_of_post in POST.items():
        for rate, post in zip(POST_RATES, losses_of_post, strict=True):
            if (style, window, rate) in losses:
                loss = losses[style, window, rate]
                observed = loss if alike and mine[window] == batches[window] else None
                name = f"{style} {window}, lr {rate:g}: lowest validation loss"
                found.append(within(name, TABLE, observed, post, 0.05))
    return found


def vanishing_claim(rows: Sequence[dict[str, Any]]) -> Claim:
    found = [row for row in rows if row["weights"] == "published" and row["cell"] == "elman"]
    observed = float(np.median(found[0]["ratio_per_step"])) if found else None
    name = "untrained, 4 units: the gradient shrinks with every step back"
    return between(name, f"{SOURCE}, demonstration", observed, 2.5, 4.3)


def exact_claim(rows: Sequence[dict[str, Any]]) -> Claim:
    worst = max((r["relative_error"] for r in rows if r["style"] == "bptt"), default=None)
    name = "bptt over a stretch is its full gradient: relative error"
    return at_most(name, "definition", worst, 1e-4)


def speed_claims(rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """At the sizes of the defaults only; a plain re-run of every window would cost about 10."""
    sizes = list(zip(PUBLISHED.speed_vocabulary, PUBLISHED.speed_hidden, strict=True))
    by_size = {(row["vocabulary"], row["hidden_size"], row["head"]): row["ratio"] for row in rows}
    limits = {(sizes[0], True): 1.5, (sizes[1], True): 5.0, (sizes[1], False): 5.0}
    return [
        at_most(
            f"true (10, 1) / (10, 10), time per target: vocabulary {vocabulary}, {units} units"
            + ("" if head else ", no head"),
            "jaxrnn's own aim",
            by_size.get((vocabulary, units, head)),
            limit,
        )
        for ((vocabulary, units), head), limit in limits.items()
    ]


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _least(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if known and len(known) == len(values) else None
