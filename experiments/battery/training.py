"""The pure functions of one cell on one task."""

from dataclasses import replace

from experiments.battery.config import Config, task_of
from jaxrnn import runs
from jaxrnn.gradients import stateless
from jaxrnn.models import build_model
from jaxrnn.parallel import Devices, batch_parallel
from jaxrnn.sizes import size_by_parameters
from jaxrnn.tasks import task_objective, task_texts, task_training, task_validation


def build(config: Config, devices: Devices = ()) -> runs.Setting:
    """Embedding, cell and head, of the hidden size that the parameters allow."""
    (name,), loop = config.tasks, config.loop
    task = task_of(config, name)
    model = replace(runs.token_model(config.model, task.reads), output_size=task.answers)
    if config.parameters:
        model = replace(model, hidden_size=size_by_parameters(model, config.parameters))
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
        texts=task_texts(name),
        may_diverge=True,
    )
