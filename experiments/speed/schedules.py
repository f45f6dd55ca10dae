"""Gradients of cells of each kind, by every schedule that makes another program of them.

What `jaxrnn.schedule.choosing.rule` says of a platform is read off here.
"""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from experiments.speed.layers import chosen_devices, jax_side, make_problem, our_layer
from experiments.speed.measuring import NARROW, Case, Side, Unsuitable, gather, tolerance
from experiments.speed.model import zero_carry
from experiments.speed.presets import Preset, Shape
from jaxrnn import CELLS, explain
from jaxrnn.compose import computing_in
from jaxrnn.token_model import Precision
from jaxrnn.unroll import Schedule

LINEAR = ("min_gru", "min_lstm", "lru")
NAMES = ("lstm", "gru", "lru", "linoss", "gla", "gated_delta_net")
"""Gates that wait for h, an elementwise recurrence, pairs of numbers, a matrix, and one that is
corrected by what it holds."""


def linear_cases(preset: Preset) -> Iterator[Case]:
    return (schedule_case(name, shape) for name in LINEAR for shape in preset.linear)


def schedule_cases(preset: Preset) -> Iterator[Case]:
    for shape in preset.schedules:
        for name in NAMES:
            yield schedule_case(name, shape, preset.precision)


def schedule_case(name: str, shape: Shape, precision: Precision = "float32") -> Case:
    """Ours as an experiment runs it, beside the schedules that "auto" did not take; all of them
    in `precision` too."""
    sides, missing = _sides(name, shape, "float32")
    if precision != "float32":
        narrow, _ = _sides(name, shape, precision)
        sides += [
            side._replace(name=f"{side.name}, {precision}", tolerance=NARROW) for side in narrow
        ]
    return Case(name, str(shape), sides, missing, tolerance=tolerance())


def _sides(name: str, shape: Shape, precision: Precision) -> tuple[list[Side], dict[str, str]]:
    problem, devices = make_problem(CELLS[name], shape), chosen_devices(shape)
    if precision != "float32":
        problem = problem._replace(cell=computing_in(problem.cell, precision))
    carry = zero_carry(problem.cell, problem.params, shape.batch_size)
    programs: dict[Sequence[Any], str] = {}

    def side(title: str, schedule: Schedule) -> Side:
        try:
            said = explain(problem.cell, problem.params, carry, problem.xs, schedule=schedule)
        except ValueError as error:  # it needs too much memory
            raise Unsuitable(str(error)) from error
        if schedule not in ("auto", said.schedule):
            raise Unsuitable(said.reason)
        # why something is not done is no part of a program
        done = [line for line in said.stages if not line.strip().startswith("not chunked")]
        same = programs.setdefault((said.schedule == "checkpointed", *done), title)
        if same != title:
            raise Unsuitable(f"the same program as {same}")
        layer = our_layer(problem, schedule)
        return jax_side(title, layer, problem, devices, pages_kept=True)

    titles: dict[str, Schedule] = {"jaxrnn": "auto"}
    titles |= {schedule: schedule for schedule in get_args(Schedule) if schedule != "auto"}
    return gather({title: lambda t=title, s=s: side(t, s) for title, s in titles.items()})
