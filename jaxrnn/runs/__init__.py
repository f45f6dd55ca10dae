"""Runs: directories that suffice to repeat, to resume and to sample from a training run; and what
an experiment declares, so that its command makes one."""

from jaxrnn.runs.checking import entries
from jaxrnn.runs.config import WITHOUT_EFFECT, alike, replaced
from jaxrnn.runs.configured import (
    configured_estimator,
    configured_optimizer,
    configured_text,
    configured_training,
    configured_weight_drop,
    text_setting,
    token_model,
)
from jaxrnn.runs.experiment import Experiment, Report, Search, Setting, Table
from jaxrnn.runs.frame import frame, results
from jaxrnn.runs.groups import (
    Decided,
    GradientConfig,
    LoopConfig,
    ModelConfig,
    OptimizerConfig,
    TextConfig,
)
from jaxrnn.runs.load import load, starting_text
from jaxrnn.runs.log import RunLog, every_tenth
from jaxrnn.runs.preparing import require_memory
from jaxrnn.runs.recorder import Recorder
from jaxrnn.runs.sampling import text_writer, writer
from jaxrnn.runs.summary import median_and_spread, over_seeds
from jaxrnn.runs.tables import (
    SPREAD,
    SPREAD_COLUMNS,
    epochs_table,
    or_dash,
    row_spreads,
    spread_columns,
    spread_note,
    spread_tables,
    written,
)
from jaxrnn.runs.text import Text, read_text

__all__ = [
    "SPREAD",
    "SPREAD_COLUMNS",
    "WITHOUT_EFFECT",
    "Decided",
    "Experiment",
    "GradientConfig",
    "LoopConfig",
    "ModelConfig",
    "OptimizerConfig",
    "Recorder",
    "Report",
    "RunLog",
    "Search",
    "Setting",
    "Table",
    "Text",
    "TextConfig",
    "alike",
    "configured_estimator",
    "configured_optimizer",
    "configured_text",
    "configured_training",
    "configured_weight_drop",
    "entries",
    "epochs_table",
    "every_tenth",
    "frame",
    "load",
    "median_and_spread",
    "or_dash",
    "over_seeds",
    "read_text",
    "replaced",
    "require_memory",
    "results",
    "row_spreads",
    "spread_columns",
    "spread_note",
    "spread_tables",
    "starting_text",
    "text_setting",
    "text_writer",
    "token_model",
    "writer",
    "written",
]
