"""Character model: learn a text one character at a time, and write more of it.

Question:  How well does a stack of recurrent layers predict the next character of a text, and
           which cell does it best? After R2RT, "Recurrent Neural Networks in Tensorflow II" (2016).
Command:   python -m experiments.char --epochs 3
Expected:  training loss of epoch 3 below 3.20 nats per character; 3.28 were published for
           `--init published`. `--preset quick` writes words and lines: validation near 1.58 nats.
           `--preset cells`, the post's comparison: layer-norm LSTM, then GRU, then LSTM, where
           1.72, 1.75 and 2.03 were published. With `--init default` all learn sooner, the GRU most.
           `--preset best` aims below 1.47 nats on validation, a transformer's of 10.7 million.
           `--preset modern` compares cells of today as pre-norm blocks of equally many parameters
Run time:  about 1 minute on two CPU cores; `--preset quick` about 1.5, `--preset cells` about 20,
           `--preset best` below 60
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.char.claims import IN_THE_POST, claims, comparison_claims, published_losses
from experiments.char.config import COMPARISON, PRESETS, Config, settings
from jaxrnn import runs
from jaxrnn.analysis.plots import learning_curves
from jaxrnn.base import Batch, Cell, Params, require_positive
from jaxrnn.cell_files import cell_name
from jaxrnn.data import capital_table, text_streams
from jaxrnn.evaluation import dynamic_evaluate
from jaxrnn.models import cross_entropy
from jaxrnn.optimizers import clipped_adam
from jaxrnn.parallel import Devices
from jaxrnn.sizes import size_by_parameters

__all__ = ["COMPARISON", "IN_THE_POST", "PRESETS", "Config", "claims", "comparison_claims", "main"]

PROMPT, TOP, LENGTH = "A", 5, 750
"""The post's text at the end: after one character, always of the five likeliest."""


def build(config: Config, devices: Devices = ()) -> runs.Setting:
    text = runs.configured_text(config.text, "character")
    require_positive(dynamic_steps=config.dynamic_steps)
    if config.dynamic_rate and len(text.valid) < 2:
        raise ValueError(
            f"--dynamic-rate is {config.dynamic_rate}, and no text is held out to evaluate on; "
            "give a larger --valid-fraction, or --dynamic-rate 0"
        )
    capitals = capital_table(text.vocabulary) if config.capitals == "flag" else ()
    size, steps = text.vocabulary.size, config.num_steps
    model = runs.token_model(config.model, size, num_steps=steps, capitals=capitals)
    if config.parameters:
        model = replace(model, hidden_size=size_by_parameters(model, config.parameters))
    return runs.text_setting(
        config, text, model, num_steps=steps, sample_length=config.sample_length, devices=devices
    )


def report(config: Config, log: runs.RunLog) -> runs.Report:
    text, parts = runs.configured_text(config.text, "character"), settings(config)
    rows = [_row(name, part, log, text) for name, part in parts.items()]
    names, model = [row["setting"] for row in rows], config.model
    title = f"{model.num_layers} x {model.cell} {model.hidden_size} on {config.text.corpus}"
    if config.cells:
        posts = {f"the post's {c}: {x:.3f}": x for c, x in published_losses(config).items()}
        fields = {"training": "train_loss", "validation": "valid_loss"}
        drawn = {title: {n: (n, field) for n in names} for title, field in fields.items()}
        panels = log.panels(drawn, {"training": posts}, epochs=True)
    else:
        shown = {"training": ("char", "loss"), "validation": ("char", "valid_loss")}
        panels = log.panels({f"{model.num_layers} x {cell_name(model.cell)}": shown})
    draw = partial(learning_curves, panels=panels, y_label="loss (nats per character)")
    first = _comparison(config, rows) if config.cells else runs.epochs_table(title, rows[0])
    return runs.Report(
        results=rows,
        claims=runs.over_seeds(
            claims(config, rows), [claims(config, each) for each in log.rows_by_seed(rows)]
        ),
        tables=[first, *runs.spread_tables(runs.row_spreads(rows))],
        plots={"learning_curves": draw},
        samples=_as_published(config, log, text) if config.cells and config.sample_length else {},
        notes=[
            f"{row['setting']}: {row['dynamic_valid_loss']:.4f} nats in dynamic evaluation, "
            f"where the model learns every {config.dynamic_steps} characters once it was "
            "tested on them; no figure to hold against a model that stays as it is"
            for row in rows
            if "dynamic_valid_loss" in row
        ],
    )


def _row(name: str, config: Config, log: runs.RunLog, text: runs.Text) -> dict[str, Any]:
    model = config.model
    row = {
        "cell": model.cell,
        "layers": model.num_layers,
        "hidden_size": log.models[name].hidden_size,
        "num_steps": config.num_steps,
        "epochs": config.loop.epochs,
        "init": model.init,
        **log.row(name),
    }
    if config.dynamic_rate:
        losses = [
            _dynamic_loss(config, *log.load(name, k), text) for k, _ in enumerate(row["seeds"])
        ]
        row["dynamic_valid_loss"] = float(np.median(losses))
        row["dynamic_valid_loss_per_seed"] = losses
    return row


def _dynamic_loss(config: Config, cell: Cell, params: Params, text: runs.Text) -> float:
    """Nats per character of the held-out text as one stream, which the model learns as it goes:
    Adam, clipped as in training."""
    optimizer = clipped_adam(config.dynamic_rate, config.optimizer.max_norm)
    evaluate = partial(dynamic_evaluate, cell, cross_entropy, optimizer)
    batch, steps = Batch(*text_streams(text.valid, 1)), config.dynamic_steps
    key = jax.random.key(0)  # the evaluation model draws nothing
    return float(jax.jit(lambda p: evaluate(p, key, batch, num_steps=steps))(params))


def _as_published(config: Config, log: runs.RunLog, text: runs.Text) -> dict[str, str]:
    """The post's text, by the last params of each cell; another prompt where the text has none of
    the post's."""
    found, vocabulary = {}, text.vocabulary
    prompt = runs.starting_text(vocabulary) if vocabulary.missing(PROMPT) else PROMPT
    for name in log.models:
        cell, params = log.load(name, which="last")
        write = runs.writer(cell, vocabulary.encode(prompt), LENGTH, top_k=TOP)
        ids = write(params, jax.random.key(config.loop.seed))
        found[f"{name}_end_seed_{config.loop.seed}"] = prompt + vocabulary.decode(ids)
    return found


def _comparison(config: Config, rows: Sequence[dict[str, Any]]) -> runs.Table:
    post, fastest = published_losses(config), min(row["seconds_per_epoch"] for row in rows)
    model = config.model
    size = f"{config.parameters:,} parameters" if config.parameters else model.hidden_size
    return runs.Table(
        f"{model.num_layers} x {size} on {config.text.corpus}, {config.num_steps} "
        f"time steps, {model.init} weights: nats per character, training loss of epoch "
        f"{config.loop.epochs} (the post's of its last), lowest validation loss; median of "
        f"{config.loop.seeds} seed(s)",
        ["cell", "size", "parameters", "train", "the post's", "valid", "s / epoch", "ratio"],
        [
            [
                row["setting"],
                row["hidden_size"],
                f"{row['parameters']:,}",
                f"{row['train_loss']:.4f}",
                runs.or_dash(post.get(row["cell"])),
                runs.or_dash(row["valid_loss"]),
                f"{row['seconds_per_epoch']:.3g}",
                f"{row['seconds_per_epoch'] / fastest:.2f}",
            ]
            for row in rows
        ],
    )


EXPERIMENT = runs.Experiment("char", __doc__, PRESETS, settings, build, report)
main = EXPERIMENT.main
