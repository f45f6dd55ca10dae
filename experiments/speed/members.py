"""Many members of a training run side by side, beside as many jitted runs one after another."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from experiments.speed.measuring import Case, Side
from experiments.speed.presets import Preset
from jaxrnn.data import TOY, lag_streams, text_streams
from jaxrnn.gradients import bptt
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.optimizers import clipped_adam
from jaxrnn.parallel import Devices
from jaxrnn.runs.experiment import Setting
from jaxrnn.runs.preparing import Prepared, of_seeds, prepare
from jaxrnn.training import stream_training

ALONE, ANEW = "one after another", "one after another, each compiled"


class Task(NamedTuple):
    """A training run as small as those of the smoke presets, or the toy's.

    Attributes:
      vocab_size: 2 for the toy, whose sequence is drawn anew in every epoch.
    """

    name: str
    vocab_size: int
    cell: str
    batch_size: int
    num_steps: int
    hidden_size: int
    embedding_size: int

    def __str__(self) -> str:
        return f"{self.name}: B {self.batch_size}, T {self.num_steps}, H {self.hidden_size}"


TASKS = (
    Task("toy", 2, "elman", 200, 5, 4, 0),
    Task("char", 65, "lstm", 4, 16, 16, 8),
    Task("word", 300, "gru", 64, 4, 6, 5),
)


def member_cases(preset: Preset) -> Iterator[Case]:
    devices = jax.devices()
    for task in TASKS:
        yield member_case(task, preset.members, preset.member_steps, devices)


def shape_of(task: Task, members: int, steps: int) -> str:
    return f"{task}, {members} members, {steps} steps"


def member_case(task: Task, members: int, steps: int, devices: Devices) -> Case:
    """One training step of one member, of a chunk of `steps`: side by side on all devices, as many
    at once as is fastest, and each by itself."""
    setting = setting_of(task, steps)
    together = fastest(prepare(setting, of_seeds(setting, range(members)), devices))
    alone = prepare(setting, of_seeds(setting, [0]), devices[:1])

    def side_by_side():
        return np.asarray(jax.device_get(together.chunk(together.init())[1]["loss"]))

    def in_turn():
        for _ in range(members):
            losses = alone.chunk(alone.init())[1]["loss"]
            jax.block_until_ready(losses)

    def anew():
        # functions of its own, which JAX compiles: with cleared caches it would compile those of
        # the other sides too, within what is measured of them
        setting = setting_of(task, steps)
        one = prepare(setting, of_seeds(setting, [0]), devices[:1])
        jax.block_until_ready(one.chunk(one.init())[1]["loss"])

    def first_of(prepared: Prepared):
        return np.asarray(jax.device_get(prepared.chunk(prepared.init())[1]["loss"]))[0]

    each = members * steps
    sides = [
        Side("jaxrnn", side_by_side, lambda: first_of(together), each, len(devices)),
        Side(ALONE, in_turn, lambda: first_of(alone), each),
        Side(ANEW, anew, lambda: first_of(alone), steps),
    ]
    return Case("members", shape_of(task, members, steps), sides, {})


def setting_of(task: Task, steps: int) -> Setting:
    length = task.batch_size * task.num_steps * steps
    model = TokenModel(
        task.vocab_size,
        task.vocab_size,
        task.cell,
        task.hidden_size,
        embedding_size=task.embedding_size,
    )
    cell = build_model(model, training=True)

    def drawn(key):
        return lag_streams(TOY, key, length, task.batch_size)

    tokens = np.random.default_rng(0).integers(0, task.vocab_size, length + task.batch_size)
    training = stream_training(
        cell,
        cross_entropy,
        bptt(cell, cross_entropy),
        clipped_adam(),
        drawn if task.vocab_size == 2 else text_streams(tokens, task.batch_size),
        num_steps=task.num_steps,
        batch_size=task.batch_size,
        epochs=1,
    )
    return Setting(model, training, learning_rate=1e-3, epochs=1, name=task.name)


def fastest(first: Prepared) -> Prepared:
    """With as many members at once on a device as the second of two chunks was fastest with."""
    share = -(-len(first.seeds) // len(first.devices))

    def seconds(prepared: Prepared) -> float:
        jax.block_until_ready(prepared.chunk(prepared.init()))
        state = prepared.init()
        start = time.perf_counter()
        jax.block_until_ready(prepared.chunk(state))
        return time.perf_counter() - start

    others = [first.again(at_once) for at_once in sorted({min(8, share), share} - {1})]
    return min([first, *others], key=seconds)
