"""Large vocabularies: a training step on the rows of its tables alone that a batch reads."""

from jaxrnn.rows.momentum import RowSteps, row_momentum
from jaxrnn.rows.narrowing import TABLES, Narrowed, narrow, narrowed, spread, take

__all__ = [
    "TABLES",
    "Narrowed",
    "RowSteps",
    "narrow",
    "narrowed",
    "row_momentum",
    "spread",
    "take",
]
