"""The networks: their sizes from the budget, and the pure functions of their training runs."""

from dataclasses import replace

import jax

from experiments.baselines.config import WORD, Config, text_of
from jaxrnn import runs
from jaxrnn.evaluation import held_out, validation
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.parallel import Devices
from jaxrnn.runs.checking import members
from jaxrnn.runs.measuring import measured_seconds
from jaxrnn.sizes import size_by_parameters, size_by_seconds, smallest_size

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

        flag, unit = _flag(config, "seconds"), smallest_size(_model(config, text))
        size = size_by_seconds(seconds, config.seconds, flag, config.model.cell, unit)
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


def _flag(config: Config, name: str) -> str:
    prefix = "" if config.levels == ("character",) else WORD.replace("_", "-")
    return f"--{prefix}{name}"


def _of_size(config: Config, size: int) -> Config:
    return replace(config, model=replace(config.model, hidden_size=size))


def _model(config: Config, text: runs.Text) -> TokenModel:
    return runs.token_model(config.model, text.vocabulary.size, num_steps=config.num_steps)
