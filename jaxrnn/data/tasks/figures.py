"""What papers report of cells on tasks, to stand beside what is measured here."""

from typing import NamedTuple

from jaxrnn.data.tasks.published import DELETANG, GRAZZI


class Figure(NamedTuple):
    """A published score.

    Attributes:
      task: its name in `TASKS`.
      model: as the paper calls it; its eigenvalues in brackets, where it has two ranges.
      score: from 0 to 1.
      metric: "scaled accuracy", 0 at chance, or "accuracy".
      source: the paper.
    """

    task: str
    model: str
    score: float
    metric: str
    source: str


_TASKS = ("parity", "modular_arithmetic", "modular_brackets")
# trained on 3 to 40, tested on 40 to 256, the best of three seeds
_GRAZZI = {
    "Transformer": (0.022, 0.031, 0.067),
    "mLSTM": (0.087, 0.040, 0.114),
    "sLSTM": (1.000, 0.787, 0.178),
    "Mamba [0, 1]": (0.000, 0.095, 0.123),
    "Mamba [-1, 1]": (1.000, 0.241, 0.116),
    "DeltaNet [0, 1]": (0.017, 0.314, 0.194),
    "DeltaNet [-1, 1]": (1.000, 0.971, 0.260),
}
# trained on 1 to 40, tested on 41 to 500, the best of ten seeds
_DELETANG = {
    "RNN": {"parity": 1.0, "modular_arithmetic": 1.0, "reversing": 0.620},
    "LSTM": {"parity": 1.0, "modular_arithmetic": 1.0, "reversing": 0.609},
    "Stack-RNN": {"reversing": 1.0},
    "Transformer": {"parity": 0.520, "modular_arithmetic": 0.242},
}

FIGURES = (
    *(
        Figure(task, model, score, "scaled accuracy", GRAZZI)
        for model, scores in _GRAZZI.items()
        for task, score in zip(_TASKS, scores, strict=True)
    ),
    *(
        Figure(task, model, score, "accuracy", DELETANG)
        for model, scores in _DELETANG.items()
        for task, score in scores.items()
    ),
)
"""Each in its paper's setting, which `PUBLISHED` has."""
