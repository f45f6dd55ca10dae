"""The pure functions of one cell on one task."""

from dataclasses import replace
from functools import lru_cache

import jax

from experiments.battery.config import Config, task_of, version_of
from jaxrnn import runs
from jaxrnn.gradients import stateless
from jaxrnn.models import TokenModel, build_model
from jaxrnn.parallel import Devices, batch_parallel
from jaxrnn.runs.checking import members
from jaxrnn.runs.config import flags_of
from jaxrnn.runs.measuring import measured_seconds
from jaxrnn.runs.sweep.grouping import SWEPT
from jaxrnn.sizes import size_by_parameters, size_by_seconds, smallest_size
from jaxrnn.tasks import task_objective, task_training, task_validation


def build(config: Config, devices: Devices = ()) -> runs.Setting:
    """Embedding, cell and head, of the hidden size that is asked for, or that the budget allows."""
    return network(_of_size(config, size_of(config)), devices)


def size_of(config: Config) -> int:
    """The hidden size of one cell on one task."""
    if config.equal == "parameters":
        # rates that a program computes with may be traced, and none of them changes the size
        model = replace(model_of(config), dropout=0.0, zoneout=0.0)
        return _by_parameters(model, config.parameters, version_of(model.cell))
    if config.equal == "seconds":
        return _by_seconds(_untraced(config), version_of(config.model.cell))
    return config.model.hidden_size


def network(config: Config, devices: Devices = ()) -> runs.Setting:
    """The same of the config's hidden size; over several `devices` the batch is divided."""
    (name,), loop = config.tasks, config.loop
    task, model = task_of(config, name), model_of(config)
    cell, longest = build_model(model, training=True), task.train_lengths[1]
    estimator = runs.configured_estimator(
        config.gradient,
        cell,
        task_objective(task),
        num_steps=longest,
        length=longest,
        rate=config.model.weight_drop,
    )
    training = task_training(
        task,
        cell,
        batch_parallel(stateless(estimator), devices),
        runs.configured_optimizer(config.optimizer, loop.epochs * config.steps),
        batch_size=loop.batch_size,
        steps_per_epoch=config.steps,
        epochs=loop.epochs,
        log_every=loop.log_every,
    )
    return runs.Setting(
        model=model,
        training=training,
        learning_rate=config.optimizer.learning_rate,
        epochs=loop.epochs,
        validate=task_validation(
            task, build_model(model), task.test_lengths, config.test_sequences
        ),
        may_diverge=True,
        loss_unit="nats" if task.classifies else "squared error",
    )


def model_of(config: Config) -> TokenModel:
    """Of the config's hidden size."""
    task = task_of(config, config.tasks[0])
    return replace(runs.token_model(config.model, task.reads), output_size=task.answers)


def _of_size(config: Config, size: int) -> Config:
    return replace(config, model=replace(config.model, hidden_size=size))


@lru_cache(maxsize=1024)
def _by_parameters(model: TokenModel, parameters: int, version: float) -> int:
    """Once for all learning rates."""
    return size_by_parameters(model, parameters)


@lru_cache(maxsize=1024)
def _by_seconds(config: Config, version: float) -> int:
    """Once for all learning rates: a clock does not find the same size twice."""
    seeds = members(config.loop.seed, config.loop.seeds)

    def seconds(size: int) -> float:
        # several seeds take a device each, as far as there are
        return measured_seconds(network(_of_size(config, size)), seeds, jax.devices()[: len(seeds)])

    cell, unit = config.model.cell, smallest_size(model_of(config))
    return size_by_seconds(seconds, config.seconds, cell=cell, unit=unit)


def _untraced(config: Config) -> Config:
    """With the same number of everything in which the members of a program may differ."""
    flags = flags_of(config)
    rates = {name: 0.5 if flags[name] else flags[name] for name in SWEPT if name in flags}
    return runs.replaced(config, **rates, learning_rate=1e-3)
