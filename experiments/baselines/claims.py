"""The source's statements, and figures of n-grams known from elsewhere, held against a run."""

from collections.abc import Sequence
from typing import Any

from experiments.baselines.counting import KNOWN, Known
from jaxrnn.runs.claims import Claim, above, ordered, within

SOURCE = "iconix, OpenAI Scholar weeks 1 and 2 (June 2018)"
LOSSES = f"{SOURCE}, recorded losses, of trainings of 8, 9 and 78 epochs; here of equal ones"
TOLERANCE = 0.002
RECURRENT = ("elman", "gru", "lstm")
HELD_OUT = "held-out text"
"""The row of the text itself, among those of the models."""
PLAGIARISM = 10
"""The context from which on the source calls what an n-gram writes plagiarism."""


def all_claims(rows: Sequence[dict[str, Any]], known: Sequence[dict[str, Any]]) -> list[Claim]:
    """Undecided where the run lacks a model, or a text whose figure is known."""
    characters, words = (
        {row["model"]: row for row in rows if row["level"] == level}
        for level in ("character", "word")
    )
    return [
        *(_known(each, known) for each in KNOWN),
        ordered(
            "unsmoothed n-grams of characters: the longer the context, the more is copied",
            f"{SOURCE}: words without connection at 4, phrases at 8, plagiarism from 10 on",
            {
                f"context {n}": _of(characters, f"unsmoothed {n}", "copied_20")
                for n in (4, 8, 10, 16)
            },
        ),
        *(
            _more_than_the_author(characters, n, length)
            for n in (PLAGIARISM, 16)
            for length in (20, 40)
        ),
        ordered(
            "trained alike, held-out nats per character: LSTM, then GRU, then the plain RNN",
            LOSSES,
            {
                name: _of(characters, cell, "valid_nats")
                for name, cell in (("LSTM", "lstm"), ("GRU", "gru"), ("RNN", "elman"))
            },
        ),
        ordered(
            "held-out nats per character: the recurrent networks before the feed-forward one",
            "derived: it sees 4 characters, they see all",
            {
                "the worst recurrent": _worst(characters, RECURRENT),
                "feed-forward": _of(characters, "feed_forward", "nats_per_token"),
            },
        ),
        ordered(
            "seconds: the slowest n-gram of characters before the fastest network",
            f"{SOURCE}: 2 to 7 seconds, and 11 seconds to an hour and a half",
            {
                "counting": max(_seconds(characters, "unsmoothed"), default=None),
                "training": min(_seconds(characters, "network"), default=None),
            },
        ),
        *(
            ordered(
                f"nats per held-out {level}: every recurrent network before the best n-gram",
                "derived: what a network is for",
                {
                    "the worst recurrent": _worst(models, RECURRENT),
                    "the best n-gram": _best_count(models),
                },
            )
            for level, models in (("character", characters), ("word", words))
        ),
    ]


def _known(each: Known, found: Sequence[dict[str, Any]]) -> Claim:
    mine = [one["nats"] for one in found if one["corpus"] == each.corpus]
    return within(
        f"{each.corpus}, Witten-Bell with context {each.context}: nats per held-out {each.level}",
        "computed from the text by others' code, the last tenth held out",
        mine[0] if mine else None,
        each.nats,
        TOLERANCE,
    )


def _more_than_the_author(
    characters: dict[str, dict[str, Any]], context: int, length: int
) -> Claim:
    """More copies than the held-out text has of the training text."""
    field = f"copied_{length}"
    own = _of(characters, HELD_OUT, field)
    mine = _of(characters, f"unsmoothed {context}", field)
    return above(
        f"unsmoothed, context {context}: more {length}-grams copied than the author repeats",
        f"{SOURCE}: plagiarism from {PLAGIARISM} on",
        None if own is None else mine,
        own or 0.0,
    )


def _of(rows: dict[str, dict[str, Any]], model: str, field: str) -> float | None:
    return rows[model][field] if model in rows else None


def _seconds(rows: dict[str, dict[str, Any]], family: str) -> list[float]:
    return [row["seconds"] for row in rows.values() if row["family"] == family]


def _worst(rows: dict[str, dict[str, Any]], models: Sequence[str]) -> float | None:
    """The highest loss of several; unknown where one is not there."""
    losses = [_of(rows, model, "nats_per_token") for model in models]
    known = [loss for loss in losses if loss is not None]
    return max(known) if len(known) == len(losses) else None


def _best_count(rows: dict[str, dict[str, Any]]) -> float | None:
    """The lowest loss of the interpolated n-grams."""
    mine = [row["nats_per_token"] for row in rows.values() if row["family"] == "witten-bell"]
    return min(mine, default=None)
