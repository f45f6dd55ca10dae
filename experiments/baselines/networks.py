"""The networks: their sizes from the budget, and the pure functions of their training runs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import jax

from experiments.baselines.config import WORD, Config, text_of
from jaxrnn import runs
from jaxrnn.evaluation import held_out, validation
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.parallel import Devices
from jaxrnn.runs.checking import members
from jaxrnn.runs.preparing import of_seeds, prepare
from jaxrnn.sizes import largest, size_by_parameters

LADDER = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""The hidden sizes whose training is timed."""
VALID_STREAMS, VALID_STEPS = 32, 64
"""How held-out text is walked: the same in every training run, so few streams that their starts,
which know no context, weigh nothing."""


def build(config: Config, devices: Devices = ()) -> runs.Setting:
    """A network of the hidden size that is asked for, or that the budget allows."""
    text = text_of(config)
    if config.equal == "parameters":
        flag = _flag(config, "parameters")
        size = size_by_parameters(_model(config, text), config.parameters, flag)
    elif config.equal == "seconds":
        seeds = members(config.loop.seed, config.loop.seeds)

        def seconds(size):
            setting = network(_of_size(config, size), text, devices)
            # several seeds take a device each, as far as there are
            return measured_seconds(setting, seeds, devices or jax.devices()[: len(seeds)])

        size = size_by_seconds(config, seconds)
    else:
        size = config.model.hidden_size
    return network(_of_size(config, size), text, devices)


def network(config: Config, text: runs.Text, devices: Devices) -> runs.Setting:
    """A network of the config's hidden size; over several `devices` the batch is divided."""
    model, steps = _model(config, text), config.num_steps
    setting = runs.text_setting(config, text, model, num_steps=steps, devices=devices)
    batch = held_out(text.valid, min(config.loop.batch_size, VALID_STREAMS))
    validate = validation(build_model(model), cross_entropy, batch, num_steps=VALID_STEPS)
    return setting._replace(validate=validate)


def size_by_seconds(config: Config, seconds: Callable[[int], float]) -> int:
    """The largest hidden size of `LADDER` whose training run takes no longer than the config's
    seconds.

    Args:
      config: of one network.
      seconds: `hidden size -> seconds` of a whole training run.

    Raises:
      ValueError: even the smallest takes longer.
    """
    return largest(
        LADDER,
        lambda size: seconds(size) <= config.seconds,
        f"{_flag(config, 'seconds')} is {config.seconds}, too few for {config.model.cell} of "
        f"{LADDER[0]} units; give more, or fewer epochs",
    )


def measured_seconds(setting: runs.Setting, seeds: Sequence[int], devices: Devices) -> float:
    """What the whole training run would take, by its second chunk: the first compiles."""
    prepared, training = prepare(setting, of_seeds(setting, seeds), devices), setting.training
    state, _ = prepared.chunk(prepared.init())
    jax.block_until_ready(state)
    start = time.monotonic()
    _, metrics = prepared.chunk(state)
    steps = int((jax.device_get(metrics["step"])[0] > 0).sum())
    seconds = time.monotonic() - start
    return seconds / max(steps, 1) * training.steps_per_epoch * setting.epochs


def _flag(config: Config, name: str) -> str:
    prefix = "" if config.levels == ("character",) else WORD.replace("_", "-")
    return f"--{prefix}{name}"


def _of_size(config: Config, size: int) -> Config:
    return replace(config, model=replace(config.model, hidden_size=size))


def _model(config: Config, text: runs.Text) -> TokenModel:
    return runs.token_model(config.model, text.vocabulary.size, num_steps=config.num_steps)
