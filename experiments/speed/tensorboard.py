"""What TensorBoard costs a training run, at the interval that it chooses by itself."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.speed.layers import chosen_devices
from experiments.speed.measuring import Case, Side
from experiments.speed.model import VOCAB_SIZE
from experiments.speed.presets import Preset, Shape
from jaxrnn.data import text_streams
from jaxrnn.gradients import bptt
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.optimizers import clipped_adam
from jaxrnn.parallel import Devices, batch_parallel
from jaxrnn.runs import Setting
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import write_json
from jaxrnn.runs.preparing import Prepared, of_seeds, prepare
from jaxrnn.runs.recorder import Recorder
from jaxrnn.training import stream_training

LOG_EVERY = 10  # training steps
WITHOUT = "without TensorBoard"


class Stopwatch:
    """A clock that stands while the other side trains."""

    def __init__(self):
        self._passed = self._since = 0.0
        self._runs = False

    def __call__(self) -> float:
        return self._passed + (time.monotonic() - self._since if self._runs else 0.0)

    def __enter__(self) -> None:
        self._since, self._runs = time.monotonic(), True

    def __exit__(self, *_: Any) -> None:
        self._passed, self._runs = self(), False


def tensorboard_cases(preset: Preset) -> Iterator[Case]:
    shape, steps = preset.logged, preset.logged_steps
    with (
        tempfile.TemporaryDirectory() as folder,
        tensorboard_case(Path(folder), shape, steps) as it,
    ):
        yield it


@contextmanager
def tensorboard_case(folder: Path, shape: Shape, steps: int) -> Iterator[Case]:
    """Each side goes on with a training run of its own, a line of the log every `LOG_EVERY` steps.
    `steps` of them should hold several observations, so that each turn pays for its share."""
    from jaxrnn.runs.tensorboard.boards import (
        Boards,
    )  # tensorboardX imports torch, which takes long

    devices = chosen_devices(shape)
    chunks = -(-steps // LOG_EVERY)
    setting = character_training(shape, devices)
    prepared = prepare(setting, of_seeds(setting, [0]), devices)
    run = RunDirectory(folder)
    write_json(run.config, {"config": {}, "settings": [{"name": "char"}]})
    clock = Stopwatch()
    with closing(Boards(run, prepared, 0, 0, clock)) as recorder:
        logged = training_side("jaxrnn", prepared, recorder, clock, chunks)
        plain = training_side(WITHOUT, prepared, Recorder(), Stopwatch(), chunks)
        yield Case("tensorboard", shape_of(shape), [logged, plain], {})


def shape_of(shape: Shape) -> str:
    return f"{shape}, 1 layer, a line every {LOG_EVERY} steps"


def character_training(shape: Shape, devices: Devices) -> Setting:
    """R2RT's model with one layer, on tokens at random, epoch after epoch."""
    batch_size, num_steps, size = shape
    model = TokenModel(VOCAB_SIZE, VOCAB_SIZE, "lstm", size, 1, size)
    cell = build_model(model, training=True)
    length = 100 * LOG_EVERY * num_steps + 1
    tokens = np.random.default_rng(0).integers(0, VOCAB_SIZE, batch_size * length)
    training = stream_training(
        cell,
        cross_entropy,
        batch_parallel(bptt(cell, cross_entropy), devices),
        clipped_adam(),
        text_streams(tokens, batch_size),
        num_steps=num_steps,
        batch_size=batch_size,
        epochs=1,
        log_every=LOG_EVERY,
    )
    return Setting(model, training, learning_rate=1e-4, epochs=1, name="char")


def training_side(
    name: str, prepared: Prepared, recorder: Recorder, clock: Stopwatch, chunks: int
) -> Side:
    """What `train_setting` does of a chunk, less the log."""
    state, step = prepared.init(), 0
    with clock:
        recorder.begin(0, state)

    def train(count: int) -> np.ndarray:
        nonlocal state, step
        losses = []
        with clock:
            for _ in range(count):
                state, metrics = prepared.chunk(state)
                metrics = jax.device_get(metrics)
                step += LOG_EVERY
                means = {key: float(value.mean()) for key, value in metrics.items()}
                recorder.line(0, step, means | {"steps_per_second": 1.0})
                recorder.chunk(step, state)
                losses.append(metrics["loss"])
        return np.array(losses)

    return Side(
        name,
        call=lambda: train(chunks),
        check=lambda: {"loss": train(2)},
        steps=chunks * LOG_EVERY,
        devices=len(prepared.devices),
        pages_kept=True,
    )
