"""The notebook's numbers, held against a run's own rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from experiments.memorization.config import Config
from jaxrnn.runs.claims import Claim, at_least, ordered, within

SOURCE = "OpenSUTD machine-learning-workshop, labs/exploring_rnn.ipynb"
PARAMETERS = {"lstm": 3201, "elman": 1617}
LOSSES = {"the notebook's lstm: 0.334": 0.3344, "the notebook's elman: 1.207": 1.2073}


def all_claims(config: Config, rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """All of them; open where this run trained something else than the notebook did, or in another
    way. What it began with is free, as each run of the notebook drew other weights too."""
    default = Config()
    free = ("cell", "seed", "seeds", "schedule", "init")
    published = replace(config, **{name: getattr(default, name) for name in free}) == default
    of_model = ("corpus", "hidden_size", "embedding_size")
    same_model = all(getattr(config, name) == getattr(default, name) for name in of_model)

    def median(cell: str, field: str) -> float | None:
        decided = same_model if field == "parameters" else published
        mine = [row[field] for row in rows if row["cell"] == cell]
        return float(np.median(mine)) if mine and decided else None

    return [
        *(
            within(f"{cell}: parameters", SOURCE, median(cell, "parameters"), float(count), 0.0)
            for cell, count in PARAMETERS.items()
        ),
        at_least("lstm: accuracy, 0.926 in the notebook", SOURCE, median("lstm", "accuracy"), 0.92),
        within("elman: accuracy", SOURCE, median("elman", "accuracy"), 0.631, 0.05),
        within("lstm: loss (nats)", SOURCE, median("lstm", "loss"), 0.3344, 0.1),
        within("elman: loss (nats)", SOURCE, median("elman", "loss"), 1.2073, 0.15),
        ordered(
            "mean lag before the word nvidia (characters)",
            f"{SOURCE}, figures",
            {cell: median(cell, "mean_lag") for cell in ("elman", "lstm")},
        ),
    ]
