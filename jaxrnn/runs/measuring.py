"""How long a training run takes, measured before it begins."""

import time
from collections.abc import Sequence

import jax

from jaxrnn.parallel import Devices
from jaxrnn.runs.experiment import Setting
from jaxrnn.runs.preparing import of_seeds, prepare


def measured_seconds(setting: Setting, seeds: Sequence[int], devices: Devices) -> float:
    """What the whole training run would take, by its second chunk: the first compiles."""
    prepared, training = prepare(setting, of_seeds(setting, seeds), devices), setting.training
    state, _ = prepared.chunk(prepared.init())
    jax.block_until_ready(state)
    start = time.monotonic()
    _, metrics = prepared.chunk(state)
    steps = int((jax.device_get(metrics["step"])[0] > 0).sum())
    seconds = time.monotonic() - start
    return seconds / max(steps, 1) * training.steps_per_epoch * setting.epochs
