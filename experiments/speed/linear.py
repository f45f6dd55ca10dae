"""Gradients of linear recurrences: each as a loop, and with all its time steps worked out at once.

What `jaxrnn.schedule.choosing.rule` says of them on a platform is read off here.
"""

from collections.abc import Iterator

import jax

from experiments.speed.layers import chosen_devices, jax_side, make_problem, our_layer
from experiments.speed.measuring import Case
from experiments.speed.presets import Preset, Shape
from jaxrnn import CELLS
from jaxrnn.schedule.choosing import rule
from jaxrnn.unroll import Schedule

NAMES = ("min_gru", "min_lstm", "lru")
SCHEDULES: dict[str, Schedule] = {
    "jaxrnn, as loops": "distributed",
    "jaxrnn, in parallel": "associative",
    "plain scan": "scan",
}


def linear_cases(preset: Preset) -> Iterator[Case]:
    return (linear_case(name, shape) for name in NAMES for shape in preset.linear)


def linear_case(name: str, shape: Shape) -> Case:
    """Ours as an experiment runs it, beside the schedules that "auto" did not take."""
    problem, devices = make_problem(CELLS[name], shape), chosen_devices(shape)
    taken, _ = rule(jax.default_backend(), shape.num_steps)
    layers = {"jaxrnn": our_layer(problem)} | {
        title: our_layer(problem, schedule)
        for title, schedule in SCHEDULES.items()
        if schedule != taken
    }
    sides = [
        jax_side(title, layer, problem, devices, pages_kept=True) for title, layer in layers.items()
    ]
    return Case(name, str(shape), sides, {})
