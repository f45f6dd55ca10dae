"""Summary, tables and plots, from a run's log and its last params."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.word.claims import (
    BIGRAM,
    all_claims,
    saturation_claims,
    unigram_entropy,
    whole_sherlock,
)
from experiments.word.config import Config
from experiments.word.study import WATCHED
from experiments.word.training import words_of
from experiments.word.vectors import both_embeddings, describe, shown
from jaxrnn.analysis.plots import Panel, learning_curves
from jaxrnn.analysis.saturation import PINNED
from jaxrnn.models import TokenModel, build_model, count_parameters
from jaxrnn.runs import load
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import writing
from jaxrnn.runs.report import print_claims, print_table
from jaxrnn.runs.summary import curves, median_and_spread, training_seconds, write_summary

LOSSES = {"full": "cross-entropy", "sampled": "sampled softmax", "nce": "noise-contrastive"}


def report(
    config: Config,
    parts: Mapping[str, Config],
    models: Mapping[str, TokenModel],
    directory: RunDirectory,
) -> None:
    """Writes and prints what the run found."""
    rows = [row_of(part, name, models[name], directory) for name, part in parts.items()]
    entropy = unigram_entropy(words_of(config).train)
    for row in rows:
        row["words"] = words_in(directory, row["model"])
    if config.study == "none":
        claims = all_claims(config, rows[0], entropy)
    else:
        for row in rows:
            row["saturation"] = saturation_of(directory, row["model"])
        claims = saturation_claims(config, rows)
    plots = plot_losses(config, rows, entropy, directory)
    write_summary(directory, "word", config, rows, claims, sum(row["seconds"] for row in rows))
    print_rows(config, rows)
    for row in rows:
        print_words(row)
    if config.study != "none":
        print_saturation(rows)
    print_claims(claims)
    print(f"summary {directory.summary}")
    for plot in plots:
        print(f"plot {plot}")


def row_of(part: Config, name: str, model: TokenModel, directory: RunDirectory) -> dict[str, Any]:
    """What one setting came to; of several seeds the medians."""
    train, valid = (curves(directory, name, field) for field in ("train_loss", "valid_loss"))
    logged = curves(directory, name, "loss")
    steps = next(iter(train.values()))[:, 0]
    best = [float(rows[:, 1].min()) for rows in valid.values()]
    lowest = float(np.median(best)) if best else None
    shapes = jax.eval_shape(build_model(model).init, jax.random.key(0))
    return {
        "model": name,
        "cell": part.cell,
        "loss_kind": part.loss,
        "train_loss": float(np.median([rows[-1, 1] for rows in train.values()])),
        "valid_loss": lowest,
        "perplexity": None if lowest is None else float(np.exp(lowest)),
        "seconds": training_seconds(directory, name),
        "parameters": count_parameters(shapes),
        "vocabulary": model.vocab_size,
        "seeds": list(train),
        "valid_spread": median_and_spread(best) if best else None,
        "train_losses": by_epoch(train, steps),
        "valid_losses": by_epoch(valid, steps),
        # of the last line of the log in each epoch: what a loss that still falls has come to
        "last_losses": by_epoch(logged, steps),
    }


def by_epoch(losses: Mapping[int, np.ndarray], steps: np.ndarray) -> list[float]:
    """The medians over seeds at the ends of epochs."""
    found = [dict(rows.tolist()) for rows in losses.values()]
    return [float(np.median([seed[step] for seed in found])) for step in steps] if found else []


def words_in(directory: RunDirectory, name: str) -> dict[str, Any]:
    """Neighbours and analogies by the embeddings of the first seed's best params."""
    _, params, vocabulary, _ = load(directory.path, setting=name)
    assert vocabulary is not None  # of this experiment's own text
    return {
        which: describe(vectors) for which, vectors in both_embeddings(params, vocabulary).items()
    }


def saturation_of(directory: RunDirectory, name: str) -> dict[str, Any]:
    """Shares of saturated units, by what was watched: the highest, the last, and the training step
    at which half of the highest was reached; of several seeds the medians."""
    found = {}
    for field in WATCHED:
        seeds = [*curves(directory, name, field).values()]
        if seeds:
            steps = [rows[np.argmax(rows[:, 1] >= rows[:, 1].max() / 2), 0] for rows in seeds]
            found[field] = {
                "highest": float(np.median([rows[:, 1].max() for rows in seeds])),
                "last": float(np.median([rows[-1, 1] for rows in seeds])),
                "rises_by_step": float(np.median(steps)),
            }
    return found


def print_saturation(rows: Sequence[Mapping[str, Any]]) -> None:
    print_table(
        ["setting", "units", "highest", "last", "rises by step"],
        [
            [
                row["model"],
                WATCHED[field],
                f"{found['highest']:.1%}",
                f"{found['last']:.1%}",
                f"{found['rises_by_step']:,.0f}",
            ]
            for row in rows
            for field, found in row["saturation"].items()
        ],
        title=f"share of units beyond {PINNED.tanh[1]} in size",
    )


def print_rows(config: Config, rows: list[dict[str, Any]]) -> None:
    print_table(
        ["model", "cell", "loss", "parameters", "train", "valid (nats)", "perplexity", "seconds"],
        [
            [
                row["model"],
                row["cell"],
                row["loss_kind"],
                f"{row['parameters']:,}",
                f"{row['train_loss']:.4f}",
                "-" if row["valid_loss"] is None else f"{row['valid_loss']:.4f}",
                "-" if row["perplexity"] is None else f"{row['perplexity']:.1f}",
                f"{row['seconds']:.1f}",
            ]
            for row in rows
        ],
        title=f"{config.corpus}, per word: training loss of the last epoch, lowest validation "
        f"loss by the whole softmax; median of {config.seeds} seed(s)",
    )


def print_words(row: Mapping[str, Any]) -> None:
    for which, found in row["words"].items():
        lines = [[word, shown(near)] for word, near in found["nearest"].items()]
        lines += [
            [f"{each['a']} : {each['b']} = {each['c']} :", shown(each["found"])]
            for each in found["analogies"]
        ]
        if lines:
            print_table(["word", "nearest"], lines, title=f"{row['model']}, {which} embedding")


def plot_losses(
    config: Config, rows: list[dict[str, Any]], entropy: float, directory: RunDirectory
) -> list[Path]:
    """Training losses, each of its own kind, and the validation losses beside what counting comes
    to."""
    lines = {f"unigram entropy {entropy:.2f}": entropy}
    if whole_sherlock(config):
        lines[f"bigram {BIGRAM:.2f}"] = BIGRAM
    figures = {
        "validation_loss": ("valid_loss", lines, "cross-entropy (nats per word)"),
        "training_loss": ("loss", {}, f"{LOSSES[config.loss]} loss (nats per word)"),
    }
    drawn = []
    for figure, (field, heights, label) in figures.items():
        found = {row["model"]: curves(directory, row["model"], field) for row in rows}
        known: dict[str, Sequence[np.ndarray]] = {
            name: list(seeds.values()) for name, seeds in found.items() if seeds
        }
        if known:
            path = directory.plots / f"{figure}.png"
            with writing(path):
                learning_curves(path, [Panel("", known, heights)], y_label=label)
            drawn.append(path)
    if config.study != "none":
        drawn.append(plot_saturation(rows, directory))
    return drawn


def plot_saturation(rows: Sequence[Mapping[str, Any]], directory: RunDirectory) -> Path:
    path = directory.plots / "saturation.png"
    panels = []
    for field, title in WATCHED.items():
        known: dict[str, Sequence[np.ndarray]] = {
            row["model"]: [*curves(directory, row["model"], field).values()]
            for row in rows
            if field in row["saturation"]
        }
        if known:
            panels.append(Panel(title, known, {}))
    with writing(path):
        learning_curves(path, panels, y_label=f"share of units beyond {PINNED.tanh[1]} in size")
    return path
