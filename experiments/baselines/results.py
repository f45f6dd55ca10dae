"""Rows, tables, plot and summary, from what was counted and a run's log."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.baselines.chart import draw
from experiments.baselines.claims import all_claims
from experiments.baselines.config import Config, Part
from experiments.baselines.networks import Network, parameters
from experiments.baselines.samples import HELD_OUT, LENGTHS
from jaxrnn.analysis.copying import copied_shares
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import writing
from jaxrnn.runs.report import print_claims, print_table
from jaxrnn.runs.summary import curves, median_and_spread, training_seconds, write_summary
from jaxrnn.runs.text import Text, read_text


def network_row(directory: RunDirectory, network: Network) -> dict[str, Any]:
    """What a network came to: of each seed the lowest held-out loss, of several the median."""
    valid = curves(directory, network.name, "valid_loss")
    best = [float(rows[:, 1].min()) for rows in valid.values()]
    return {
        "model": network.label,
        "family": "network",
        "context": None,
        "hidden_size": network.model.hidden_size,
        "parameters": parameters(network.model),
        "nats_per_token": float(np.median(best)),
        "spread": median_and_spread(best),
        "unseen": 0.0,
        "seconds": training_seconds(directory, network.name),
    }


def held_out_row(part: Part, text: Text) -> dict[str, Any]:
    """The held-out text itself, as if a model had written it: what it shares with the training text
    is no copy, but what a language and an author say twice."""
    held_out, source = (text.vocabulary.decode(ids) for ids in (text.valid, text.train))
    shares = {f"copied_{n}": copied_shares([held_out], source, n)[0] for n in LENGTHS}
    sample = text.vocabulary.decode(text.valid[: part.sample_length])
    return {
        "model": HELD_OUT,
        "family": "text",
        "context": None,
        "parameters": None,
        "nats_per_token": None,
        "unseen": None,
        "seconds": 0.0,
        **shares,
        "sample": sample,
        "samples": {},
    }


def per_character(
    config: Config, part: Part, text: Text, rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows with their loss in nats per character of the held-out text, whatever its tokens: the
    tokens' nats, all together, over its characters.

    A word model is told less than a character model: capitals, line ends and the marks that `words`
    drops cost it nothing, so its figure is too low by what they cost the other.
    """
    fraction = config.valid_fraction
    characters = len(read_text(config.corpus, "character", valid_fraction=fraction).valid)
    ratio = len(text.valid) / characters
    return [
        {
            "model": row["model"],
            "level": part.level,
            "valid_nats": None if (nats := row["nats_per_token"]) is None else nats * ratio,
        }
        | row
        for row in rows
    ]


def report(
    config: Config,
    rows: Sequence[dict[str, Any]],
    known: Sequence[dict[str, Any]],
    directory: RunDirectory,
) -> None:
    """Writes and prints what the run found."""
    claims = all_claims(config, rows, known)
    plot: Path = directory.plots / "loss_and_copies.png"
    with writing(plot):
        draw(plot, rows)
    seconds = sum(row["seconds"] for row in rows)
    write_summary(directory, "baselines", config, rows, claims, seconds)
    _print(config, rows)
    print_claims(claims)
    print(f"summary {directory.summary}\nplot {plot}\nsamples {directory.samples}")


def _print(config: Config, rows: Sequence[dict[str, Any]]) -> None:
    read = "capitals and line ends cost a word model nothing; " if "word" in config.levels else ""
    copied = [f"copied {length}" for length in LENGTHS]
    print_table(
        ["level", "model", "parameters", "per character", "per token", "unseen", "s", *copied],
        [
            [
                row["level"],
                row["model"],
                "-" if row["parameters"] is None else f"{row['parameters']:,}",
                _loss(row, "valid_nats"),
                _loss(row, "nats_per_token"),
                _share(row["unseen"]),
                f"{row['seconds']:.3g}",
                *(_share(row[f"copied_{length}"]) for length in LENGTHS),
            ]
            for row in rows
        ],
        title=f"{config.corpus}: nats per held-out character, and per character or word ({read}"
        "infinite where a token is unseen); what of a sample at temperature "
        f"{config.temperature[-1]:g} is copied; median of {config.seeds} seed(s)",
    )


def _loss(row: dict[str, Any], field: str) -> str:
    if row["family"] == "text":
        return "-"
    return "inf" if row[field] is None else f"{row[field]:.4f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
