"""Figures. matplotlib is imported when one is drawn."""

from jaxrnn.analysis.plots.charts import Mark, ratio_chart, trade_off
from jaxrnn.analysis.plots.curves import Panel, decay_chart, learning_curves
from jaxrnn.analysis.plots.profiles import Profile, profile_curves
from jaxrnn.analysis.plots.scores import score_map
from jaxrnn.analysis.plots.style import COLOURS, DASHES, SHAPES
from jaxrnn.analysis.plots.sweeps import Band, heat_map, rate_curves
from jaxrnn.analysis.plots.texts import TextRow, scaled, text_rows

__all__ = [
    "COLOURS",
    "DASHES",
    "SHAPES",
    "Band",
    "Mark",
    "Panel",
    "Profile",
    "TextRow",
    "decay_chart",
    "heat_map",
    "learning_curves",
    "profile_curves",
    "rate_curves",
    "ratio_chart",
    "scaled",
    "score_map",
    "text_rows",
    "trade_off",
]
