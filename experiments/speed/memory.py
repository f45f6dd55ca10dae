"""The gradient of a model over a long sequence: how much memory it takes, and how long."""

from collections.abc import Callable, Iterator
from typing import Any, get_args

import jax

from experiments.speed.measuring import Case, Side, Unsuitable, compiled, gather
from experiments.speed.model import Problem, make_problem, zero_carry
from experiments.speed.presets import Preset
from jaxrnn import unroll
from jaxrnn.models import cross_entropy
from jaxrnn.unroll import Schedule

BOUNDED = "jaxrnn, checkpointed"
PLAIN = "plain scan"
SCHEDULES = {BOUNDED: "checkpointed", PLAIN: "scan", "jaxrnn, default": "auto"}


def memory_cases(preset: Preset) -> Iterator[Case]:
    yield memory_case(preset)


def memory_case(preset: Preset) -> Case:
    """Gradient of the mean loss of R2RT's model on one device. Ours is the bounded schedule; where
    `unroll` does not have it, ours is missing and nothing is compared."""
    problem = make_problem(preset.bounded, preset.num_layers)
    builders: dict[str, Callable[[], Side]] = {
        name: lambda name=name, schedule=schedule: gradient_side(name, problem, schedule)
        for name, schedule in SCHEDULES.items()
    }
    sides, missing = gather(builders)
    shape = f"{preset.bounded}, {preset.num_layers} layers"
    return Case("memory", shape, sides, missing, ours=BOUNDED, resident=True)


def gradient_side(name: str, problem: Problem, schedule: Any) -> Side:
    if schedule not in get_args(Schedule):
        raise Unsuitable(f"unroll has no schedule {schedule!r}")
    model, batch = problem.model, problem.batch
    carry = zero_carry(model, problem.params, batch.targets.shape[1])

    def mean_loss(params, carry, batch):
        _, logits = unroll(model, params, carry, batch.inputs, schedule=schedule)
        return cross_entropy(logits, batch.targets).mean()

    arguments = (problem.params, carry, batch)
    program, temporary = compiled(jax.value_and_grad(mean_loss), *arguments)

    def call():
        return jax.block_until_ready(program(*arguments))

    return Side(name, call, call, temporary_bytes=temporary)
