"""What a reading comes to as numbers, and Distill's statements held against those of two cells."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.inspect.reading import Source
from jaxrnn.analysis.page import Reading
from jaxrnn.cell_files import cell_name
from jaxrnn.runs.claims import Claim, at_most, ordered

DISTILL = "Madsen, Visualizing memorization in RNNs, Distill (2019)"
MOST_SEEN = 4
"""From so many letters of a word on they count together; the article's table ends with as many."""
GAP = 0.0061
"""Between the article's accuracies of GRU and LSTM, on words that are to be completed."""
ENOUGH = 2000
"""Symbols of a text, below which nothing is decided."""


def row_of(source: Source, reading: Reading) -> dict[str, Any]:
    """The results of one run: loss in nats, accuracy, and by how many letters of a word were read;
    lags in symbols, means of the predictions that depend on anything."""
    models = {each["name"]: each["model"] for each in source.record["settings"]}
    right = np.asarray(reading.predictions.rank == 1)
    return {
        "run": str(source.path),
        "setting": source.setting,
        "cell": cell_name(models[source.setting]["cell"]),
        "seed": source.seed,
        "level": source.vocabulary.level,
        "symbols": len(reading.symbols),
        "loss": float(reading.predictions.loss.mean()),
        "accuracy": float(right.mean()),
        "accuracy_by_letters": accuracy_by_letters(reading.symbols, right),
        "memory": {
            measure: {label: float(np.nanmean(values)) for label, values in each.items()}
            for measure, each in reading.memory.items()
        },
    }


def accuracy_by_letters(symbols: Sequence[str], right: np.ndarray) -> list[float | None]:
    """Of predictions [N - 1] of symbols [N] that turned out to be letters, the part that was right,
    by how many letters of the word stood before: 0, 1, ... and `MOST_SEEN` or more. None where
    there is none."""
    before, seen = 0, []
    for symbol in symbols[:-1]:
        before = before + 1 if symbol.isalpha() else 0
        seen.append(min(before, MOST_SEEN))
    letters = np.array([symbol.isalpha() for symbol in symbols[1:]])
    masks = [letters & (np.array(seen) == count) for count in range(MOST_SEEN + 1)]
    return [float(right[mask].mean()) if mask.any() else None for mask in masks]


def claims(rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """Open where the cells are others, or the text is short; of words they say nothing."""
    by_cell = {row["cell"]: row for row in rows}
    decided = all(row["level"] == "character" and row["symbols"] >= ENOUGH for row in rows)
    gru, lstm = (by_cell.get(cell) if decided else None for cell in ("gru", "lstm"))
    pair = {"LSTM": lstm, "GRU": gru}

    def of_both(read: Any) -> dict[str, float | None]:
        return {name: read(row) if row else None for name, row in pair.items()}

    apart = abs(gru["accuracy"] - lstm["accuracy"]) if gru and lstm else None
    return [
        at_most("accuracy: GRU and LSTM nearly the same, apart", DISTILL, apart, 0.02, GAP),
        ordered(
            "mean lag of connectivity (characters): the GRU uses what was read longer ago",
            DISTILL,
            of_both(lambda row: row["memory"]["squared"]["mean lag"]),
        ),
        *(
            ordered(
                f"{name}: the more letters of a word were read, the more often it is right",
                f"{DISTILL}, figure of accuracies; here of the next letter",
                {
                    f"{count} letters": row["accuracy_by_letters"][count] if row else None
                    for count in range(MOST_SEEN)
                },
            )
            for name, row in pair.items()
        ),
    ]
