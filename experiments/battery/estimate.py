"""What a battery would take, measured on one training step of each cell on each task."""

import jax

from experiments.battery.config import Config, searched, settings, task_of
from experiments.battery.training import model_of, network, size_of
from jaxrnn import runs
from jaxrnn.runs.measuring import measured_seconds
from jaxrnn.runs.sweep.halving import kept_of, rungs_of
from jaxrnn.sizes import parameters_of

LONG = 1e14
"""Multiplications and additions, about half an hour of a processor, below which nothing is said."""


def notice(config: Config) -> str:
    """A line about the time of training, where it is long."""
    parts = settings(config)
    if sum(operations(part) for part in parts.values()) < LONG:
        return ""
    devices = jax.devices()
    seconds = {
        name: _step_seconds(part) * member_steps(part) / len(devices)
        for name, part in parts.items()
    }
    slowest = max(seconds, key=seconds.__getitem__)
    of_devices = f"{len(devices)} device{'s' if len(devices) > 1 else ''}"
    return (
        f"about {_said(sum(seconds.values()))} of training on {of_devices}, by one training step "
        f"of each cell on each task; most of it, {_said(seconds[slowest])}, for {slowest}"
    )


def member_steps(config: Config) -> int:
    """Training steps of a cell on a task, all seeds and learning rates together."""
    rates, halving = len(config.rates), searched(config).halving
    epochs, left, before = 0, rates, 0
    for rung in rungs_of(rates, config.loop.epochs, halving) if halving else ():
        epochs, left, before = epochs + left * (rung - before), kept_of(left, halving), rung
    epochs += left * (config.loop.epochs - before)
    return epochs * config.steps * config.loop.seeds


def operations(config: Config) -> float:
    """Of a cell on a task, roughly: every parameter counts six in a time step of a sequence, two
    forward and four in the backward pass."""
    model = model_of(runs.replaced(config, hidden_size=size_of(config)))
    per_step = config.loop.batch_size * task_of(config, config.tasks[0]).train_lengths[1]
    return 6.0 * parameters_of(model) * per_step * member_steps(config)


def _step_seconds(config: Config) -> float:
    """Of one member, one of which each device trains at a time."""
    one = runs.replaced(config, hidden_size=size_of(config))
    one = runs.replaced(one, steps=1, epochs=1, log_every=1)
    return measured_seconds(network(one), [0], jax.devices()[:1])


def _said(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} seconds"
