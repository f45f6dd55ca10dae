"""Summary, table and plot, from a run's log."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from experiments.char.claims import all_claims, published_losses
from experiments.char.config import Config, each_setting, name_of
from jaxrnn.analysis.plots import Panel, learning_curves
from jaxrnn.base import Params
from jaxrnn.models import TokenModel, build_model, count_parameters
from jaxrnn.runs import load
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import writing
from jaxrnn.runs.report import print_claims, print_table
from jaxrnn.runs.summary import curves, median_and_spread, training_seconds, write_summary

FIELDS = {"training": "train_loss", "validation": "valid_loss"}


def report(
    config: Config,
    models: Sequence[tuple[str, TokenModel]],
    directory: RunDirectory,
    dynamic: Mapping[str, Callable[[Params], Array]],
) -> None:
    """Writes and prints what the run found. `models` are its settings by name, in order;
    `dynamic` evaluates those that are to learn while they are tested."""
    rows = [
        _row(part, name, model, directory)
        for part, (name, model) in zip(each_setting(config), models, strict=True)
    ]
    for row in rows:
        if row["setting"] in dynamic:
            row |= _dynamic(directory, row, dynamic[row["setting"]])
    if config.cells:
        panels = _compared(config, rows, directory)
    else:
        panels = [_one_model(config, rows[0], directory)]
    claims = all_claims(config, rows)
    plot = directory.plots / "learning_curves.png"
    with writing(plot):
        learning_curves(plot, panels, y_label="loss (nats per character)")
    seconds = sum(row["seconds"] for row in rows)
    write_summary(directory, "char", config, rows, claims, seconds)
    for row in rows:
        if row["setting"] in dynamic:
            print(
                f"{row['setting']}: {row['dynamic_valid_loss']:.4f} nats in dynamic evaluation, "
                f"where the model learns every {config.dynamic_steps} characters once it was "
                "tested on them; no figure to hold against a model that stays as it is"
            )
    if config.cells:
        _print_comparison(config, rows)
    else:
        _print_epochs(config, rows[0])
    print_claims(claims)
    print(f"summary {directory.summary}\nplot {plot}")


def _row(config: Config, name: str, model: TokenModel, directory: RunDirectory) -> dict[str, Any]:
    """What one setting came to; of several seeds the medians."""
    train, valid = (curves(directory, name, field) for field in FIELDS.values())
    clock = next(iter(curves(directory, name, "seconds").values()))
    seconds = dict(clock)  # training step to seconds, the last line of a step counting
    steps = next(iter(train.values()))[:, 0]
    starts = [0.0, *(seconds[step] for step in steps[:-1])]
    per_epoch = [
        {
            "epoch": i + 1,
            "train_loss": float(np.median([rows[i, 1] for rows in train.values()])),
            "valid_loss": float(np.median([rows[i, 1] for rows in valid.values()]))
            if valid
            else None,
            "seconds": float(seconds[step] - starts[i]),
        }
        for i, step in enumerate(steps)
    ]
    shapes = jax.eval_shape(build_model(model).init, jax.random.key(0))
    final = [float(rows[-1, 1]) for rows in train.values()]
    best = [float(rows[:, 1].min()) for rows in valid.values()]
    return {
        "setting": name,
        "cell": config.cell,
        "layers": config.num_layers,
        "hidden_size": config.hidden_size,
        "num_steps": config.num_steps,
        "epochs": config.epochs,
        "init": config.init,
        "parameters": count_parameters(shapes),
        "seeds": list(train),
        "train_loss": float(np.median(final)),
        "valid_loss": float(np.median(best)) if best else None,
        "train_loss_per_seed": final,
        "best_valid_loss_per_seed": best,
        "train_spread": median_and_spread(final),
        "valid_spread": median_and_spread(best) if best else None,
        "per_epoch": per_epoch,
        "seconds": training_seconds(directory, name),
        "seconds_per_epoch": float(np.median([epoch["seconds"] for epoch in per_epoch])),
    }


def _dynamic(
    directory: RunDirectory, row: dict[str, Any], loss: Callable[[Params], Array]
) -> dict[str, Any]:
    """Of each seed's best params."""
    clock, evaluate = time.monotonic(), jax.jit(loss)
    losses = [
        float(evaluate(load(directory.path, member, setting=row["setting"])[1]))
        for member in range(len(row["seeds"]))
    ]
    return {
        "dynamic_valid_loss": float(np.median(losses)),
        "dynamic_valid_loss_per_seed": losses,
        "dynamic_seconds": time.monotonic() - clock,
    }


def _print_epochs(config: Config, row: dict[str, Any]) -> None:
    print_table(
        ["epoch", "train (nats)", "valid (nats)", "valid (bits)", "seconds"],
        [
            [
                epoch["epoch"],
                f"{epoch['train_loss']:.4f}",
                _or_dash(epoch["valid_loss"]),
                _or_dash(epoch["valid_loss"], 1 / np.log(2)),
                f"{epoch['seconds']:.1f}",
            ]
            for epoch in row["per_epoch"]
        ],
        title=f"{config.num_layers} x {config.cell} {config.hidden_size} on {config.corpus}, per "
        f"character; {row['parameters']:,} parameters, "
        f"{row['seconds_per_epoch']:.3g} s per epoch, median of {len(row['seeds'])} seed(s)",
    )


def _print_comparison(config: Config, rows: Sequence[dict[str, Any]]) -> None:
    post = published_losses(config)
    fastest = min(row["seconds_per_epoch"] for row in rows)
    print_table(
        ["cell", "parameters", "train", "the post's", "valid", "s / epoch", "ratio"],
        [
            [
                name_of(part),
                f"{row['parameters']:,}",
                f"{row['train_loss']:.4f}",
                _or_dash(post.get(part.cell)),
                _or_dash(row["valid_loss"]),
                f"{row['seconds_per_epoch']:.3g}",
                f"{row['seconds_per_epoch'] / fastest:.2f}",
            ]
            for part, row in zip(each_setting(config), rows, strict=True)
        ],
        title=f"{config.num_layers} x {config.hidden_size} on {config.corpus}, "
        f"{config.num_steps} time steps, {config.init} weights: nats per character, training loss "
        f"of epoch {config.epochs} (the post's of its last), lowest validation loss; median of "
        f"{config.seeds} seed(s)",
    )


def _one_model(config: Config, row: dict[str, Any], directory: RunDirectory) -> Panel:
    losses = {"training": "loss", "validation": "valid_loss"}
    found = {label: curves(directory, row["setting"], field) for label, field in losses.items()}
    return Panel(
        title=f"{config.num_layers} x {name_of(config)} {config.hidden_size}",
        curves={label: list(seeds.values()) for label, seeds in found.items() if seeds},
        lines={},
    )


def _compared(
    config: Config, rows: Sequence[dict[str, Any]], directory: RunDirectory
) -> list[Panel]:
    """Training, beside the post's last losses, and validation where there is any: a curve a cell,
    by epoch."""
    lines = {
        f"the post's {cell}: {loss:.3f}": loss for cell, loss in published_losses(config).items()
    }
    panels: list[Panel] = []
    for label, field in FIELDS.items():
        found = {row["setting"]: curves(directory, row["setting"], field) for row in rows}
        drawn: dict[str, Sequence[np.ndarray]] = {
            name: [_by_epoch(losses) for losses in seeds.values()]
            for name, seeds in found.items()
            if seeds
        }
        if drawn:
            known = lines if label == "training" else {}
            panels.append(Panel(label, drawn, known, "epoch", labels="left"))
    return panels


def _by_epoch(losses: np.ndarray) -> np.ndarray:
    """Rows (training step, loss), one to an epoch, as rows (epoch, loss)."""
    return np.stack([np.arange(1, len(losses) + 1), losses[:, 1]], axis=1)


def _or_dash(loss: float | None, factor: float = 1.0) -> str:
    return "-" if loss is None else f"{loss * factor:.4f}"
