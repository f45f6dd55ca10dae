"""Toy memory task: how far back does a small recurrent network learn to look?

Question:  Which of the two dependencies, 3 and 8 time steps back, does a network find when errors
           go back 1, 5 or 10 steps? After R2RT, "Recurrent Neural Networks in Tensorflow I" (2016).
Command:   python -m experiments.toy
Expected:  median losses near 0.62 (1 step: next to nothing), 0.519 (5: the nearer dependency) and
           0.458 (10: both; the floor is 0.4545 nats)
Run time:  about 20 s on two CPU cores, compiling included

A new sequence of a million steps is drawn on the device for every epoch, so nothing is seen twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.analysis.plots import Panel, learning_curves
from jaxrnn.base import require_positive
from jaxrnn.data import TOY, Streams, lag_sequence, loss_floors, num_segments, segment, streams
from jaxrnn.gradients.configured import EstimatorName, configured_estimator
from jaxrnn.models import Precision, TokenModel, build_model, cross_entropy
from jaxrnn.optimizers import OPTIMIZERS
from jaxrnn.parallel import Devices, Workload, batch_parallel
from jaxrnn.runs.checking import members
from jaxrnn.runs.claims import Claim, below, between, within
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import writing
from jaxrnn.runs.loop import Setting, prepare, require_memory, train_setting
from jaxrnn.runs.report import print_claims, print_table
from jaxrnn.runs.session import Experiment, Session, training_command
from jaxrnn.runs.summary import curves, median_and_spread, training_seconds, write_summary
from jaxrnn.training import Parts, Training, epoch_chunk, init_state, make_train_step
from jaxrnn.unroll import Schedule

SOURCE = "R2RT, Recurrent Neural Networks in Tensorflow I (11 July 2016)"


@dataclass(frozen=True)
class Config:
    """Three settings, one an entry of num_steps, state_size and epochs."""

    num_steps: tuple[int, ...] = (1, 5, 10)
    """Time steps of a training step."""
    state_size: tuple[int, ...] = (4, 4, 16)
    """Hidden size of the cell."""
    epochs: tuple[int, ...] = (2, 1, 10)
    """Sequences to train on, each seen once."""
    length: int = 1_000_000
    """Time steps of a sequence."""
    batch_size: int = 200
    """Streams that a sequence is cut into."""
    cell: str = "elman"
    """A name in CELLS, or path/to/file.py:factory."""
    init: Literal["default", "published"] = "default"
    """First weights; published: Glorot everywhere."""
    precision: Precision = "float32"
    """What the model computes in; params, optimizer and loss are float32."""
    optimizer: Literal["adam", "adagrad", "momentum"] = "adagrad"
    learning_rate: float = 0.1
    max_norm: float | None = None
    """Clip the gradient to this global norm."""
    estimator: EstimatorName = "tbptt"
    """How errors go back over time: the styles of `jaxrnn.gradients.STYLES`."""
    window: int = 0
    """Steps an error goes back at most (of drawn lengths: the base or the mean); 0: num_steps."""
    stride: int = 0
    """Steps between two windows; 0: num_steps."""
    history: int = 0
    """Steps in front of the scored ones; at most window - stride."""
    schedule: Schedule = "auto"
    """How a training step goes over time: scan is the plain loop, auto chooses by size."""
    seed: int = 0
    seeds: int = 8
    """How many seeds, from seed on, each a member of one compiled run."""
    log_every: int = 100
    """Training steps to a line of the log."""


PRESETS = {
    "smoke": Config(
        num_steps=(5,), state_size=(4,), epochs=(2,), length=20_000, batch_size=20, seeds=2
    ),
    "quick": Config(seeds=2),
    "published": Config(),
}


def each_setting(config: Config) -> list[Config]:
    """The config's settings in order, each a config with one entry.

    Raises:
      ValueError: numbers of entries that differ, or the same setting twice.
    """
    columns = (config.num_steps, config.state_size, config.epochs)
    if len({len(column) for column in columns}) != 1 or not columns[0]:
        entries = ", ".join(str(len(column)) for column in columns)
        raise ValueError(
            f"--num-steps, --state-size and --epochs have {entries} entries; "
            "give each the same number, at least one"
        )
    every = [
        replace(config, num_steps=(steps,), state_size=(size,), epochs=(epochs,))
        for steps, size, epochs in zip(*columns, strict=True)
    ]
    if len({name_of(setting) for setting in every}) < len(every):
        raise ValueError("--num-steps and --state-size hold a setting twice; give it once")
    return every


def name_of(config: Config) -> str:
    """Of a config with one setting."""
    return f"steps_{config.num_steps[0]}_state_{config.state_size[0]}"


def make_model(config: Config) -> TokenModel:
    return TokenModel(
        vocab_size=2,
        output_size=2,
        cell=config.cell,
        hidden_size=config.state_size[0],
        init=config.init,
        precision=config.precision,
    )


def make_train(config: Config, devices: Devices = ()) -> Training:
    """The training of a config with one setting, an epoch to a chunk; over several `devices` the
    batch is divided."""
    ((num_steps,), (epochs,)) = config.num_steps, config.epochs
    require_positive(num_steps=num_steps, epochs=epochs, log_every=config.log_every)

    def sequence(key):
        inputs, targets = lag_sequence(TOY, key, config.length)
        return Streams(streams(inputs, config.batch_size), streams(targets, config.batch_size))

    def epoch_data(key):
        rows = sequence(key)
        return lambda position: segment(rows, position, num_steps, config.history)

    shapes = jax.eval_shape(sequence, jax.random.key(0))
    steps_per_epoch = num_segments(shapes, num_steps, config.history)
    cell = build_model(make_model(config), training=True)
    style = configured_estimator(
        config, cell, cross_entropy, num_steps=num_steps, length=len(shapes.inputs)
    )
    estimator = batch_parallel(style, devices)
    optimizer = OPTIMIZERS[config.optimizer](max_norm=config.max_norm)
    chunk = epoch_chunk(
        make_train_step(estimator, optimizer),
        estimator,
        epoch_data,
        steps_per_epoch=steps_per_epoch,
        batch_size=config.batch_size,
        chunks_per_epoch=1,
    )

    def init(key, learning_rate):
        return init_state(cell, estimator, optimizer, key, config.batch_size, learning_rate)

    parts = Parts(
        cell=cell,
        objective=cross_entropy,
        estimator=estimator,
        optimizer=optimizer,
        batch=lambda: epoch_data(jax.random.key(config.seed))(jnp.int32(0)),
    )
    return Training(init, chunk, epochs, steps_per_epoch, parts)


def workload(config: Config) -> Workload:
    return Workload(
        members=config.seeds,
        batch_size=config.batch_size,
        num_steps=max(config.num_steps, default=1),
        hidden_size=max(config.state_size, default=1),
    )


def build(config: Config, devices: Devices = ()) -> list[Setting]:
    require_memory(40 * config.length, "a sequence")  # inputs, targets and what draws them
    settings = []
    for part in each_setting(config):
        training = make_train(part, devices)
        setting = Setting(
            name=name_of(part),
            training=training,
            validate=lambda params: {},
            learning_rate=part.learning_rate,
            epochs=part.epochs[0],
            log_ends=_log_ends(training.steps_per_epoch, part.log_every),
        )
        settings.append(setting)
    return settings


def run(config: Config, session: Session) -> None:
    seeds = members(config.seed, config.seeds)
    # members of several seeds take the devices; a single one divides its batch over them
    devices = session.devices if config.seeds == 1 else ()
    built = replace(config, cell=session.cell(config.cell))
    prepared = [prepare(setting, seeds, session.devices) for setting in build(built, devices)]
    models = [(name_of(part), make_model(part)) for part in each_setting(built)]
    directory = session.begin(models, seeds, texts={})
    for (name, model), num_steps in zip(models, config.num_steps, strict=True):
        session.explain(name, model, num_steps)
    for setting in prepared:
        train_setting(
            directory,
            setting,
            checkpoint_seconds=session.flags.checkpoint_seconds,
            at_epoch_end=lambda epoch, step, params: None,  # there is no text to sample
            record=session.record,
        )
    report(config, directory)


def _log_ends(steps_per_epoch: int, log_every: int) -> list[int]:
    """Every `log_every` steps of each tenth of an epoch: so the last tenth of the training begins a
    line, whatever the number of epochs (with N epochs it begins at an epoch's tenth too)."""
    tenths = [steps_per_epoch - i * steps_per_epoch // 10 for i in range(10, -1, -1)]
    return [
        end
        for start, stop in pairwise(tenths)
        for end in (*range(start + log_every, stop, log_every), stop)
    ]


def report(config: Config, directory: RunDirectory) -> None:
    """Summary, table and plot, from the run's log."""
    results = [_result(part, directory) for part in each_setting(config)]
    floors = loss_floors(TOY)
    claims = _claims(config, results)
    panels = [
        Panel(
            title=f"time steps {row['num_steps']}, state {row['state_size']}",
            curves={"loss": list(curves(directory, row["setting"], "loss").values())},
            lines={_known(lags): floor for lags, floor in floors.items()},
        )
        for row in results
    ]
    plot = directory.plots / "learning_curves.png"
    with writing(plot):
        learning_curves(plot, panels)
    seconds = sum(row["seconds"] for row in results)
    write_summary(directory, "toy", config, results, claims, seconds)
    print_table(
        ["steps", "state", "epochs", "seeds", "median loss", "lowest", "highest", "seconds"],
        [
            [
                row["num_steps"],
                row["state_size"],
                row["epochs"],
                len(row["seeds"]),
                *(f"{row['spread'][key]:.4f}" for key in ("median", "min", "max")),
                f"{row['seconds']:.1f}",
            ]
            for row in results
        ],
        title="loss in nats; floors: "
        + ", ".join(f"{_known(lags)} {floor:.4f}" for lags, floor in floors.items()),
    )
    print_claims(claims)
    print(f"summary {directory.summary}\nplot {plot}")


def _result(part: Config, directory: RunDirectory) -> dict[str, Any]:
    name = name_of(part)
    losses = curves(directory, name, "loss")
    weights = curves(directory, name, "steps")
    final = {}
    for seed, rows in losses.items():
        updates = int(rows[-1, 0])
        late = rows[:, 0] > updates - max(updates // 10, 1)
        final[seed] = float(np.average(rows[late, 1], weights=weights[seed][late, 1]))
    return {
        "setting": name,
        "num_steps": part.num_steps[0],
        "state_size": part.state_size[0],
        "epochs": part.epochs[0],
        "seeds": list(final),
        "final_loss": list(final.values()),
        "spread": median_and_spread(list(final.values())),
        "seconds": training_seconds(directory, name),
    }


def _known(lags: tuple[int, ...]) -> str:
    return " and ".join(f"t-{lag}" for lag in lags) or "neither"


def _claims(config: Config, results: list[dict[str, Any]]) -> list[Claim]:
    """The published statements, each about one setting; undecided where this run changed it."""
    published = each_setting(Config())
    mine = dict(zip(map(_comparable, each_setting(config)), results, strict=True))
    medians = [
        mine[_comparable(part)]["spread"]["median"] if _comparable(part) in mine else None
        for part in published
    ]
    near = loss_floors(TOY)[(3,)]
    return [
        between(
            "1 step, state 4: hardly below 0.6616", f"{SOURCE}, figure", medians[0], 0.60, 0.66
        ),
        within("5 steps, state 4: finds t-3", f"{SOURCE}, printed", medians[1], near, 0.004),
        below("10 steps, state 16: comes close to 0.454", f"{SOURCE}, figure", medians[2], 0.461),
    ]


def _comparable(part: Config) -> Config:
    """What a published statement does not depend on, put to its default."""
    default = Config()
    return replace(
        part,
        init=default.init,
        seed=default.seed,
        seeds=default.seeds,
        log_every=default.log_every,
        schedule=default.schedule,
    )


EXPERIMENT = Experiment("toy", __doc__, PRESETS, workload, run)


def main(argv: Sequence[str] | None = None) -> int:
    return training_command(EXPERIMENT, argv)


if __name__ == "__main__":
    raise SystemExit(main())
