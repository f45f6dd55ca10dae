"""How long tracing and compiling a training step takes, and how that grows with time steps."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from experiments.speed.layers import chosen_devices
from experiments.speed.measuring import Case, Side, temporary_bytes
from experiments.speed.model import Problem, make_problem, zero_carry
from experiments.speed.presets import Preset
from experiments.speed.training import LEARNING_RATE, MAX_NORM, on_devices
from jaxrnn import unroll
from jaxrnn.base import GradientEstimator
from jaxrnn.models import cross_entropy
from jaxrnn.optimizers import clipped_adam
from jaxrnn.parallel import Devices, batch_parallel
from jaxrnn.training import init_state, make_train_step

SCAN, LOOP = "plain scan", "Python loop"
GROWTH = "compile-growth"


def compile_cases(preset: Preset) -> Iterator[Case]:
    for num_steps in preset.compile_steps:
        yield compile_case(preset, num_steps, [SCAN])
    yield growth_case(preset)
    # apart from the others: what such a program leaves in memory slows down all that follows
    for num_steps in preset.loop_steps:
        yield compile_case(preset, num_steps, [LOOP])


def compile_case(preset: Preset, num_steps: int, peers: Sequence[str]) -> Case:
    """The training step of R2RT's model with `num_steps` time steps."""
    shape = preset.model._replace(num_steps=num_steps)
    problem = make_problem(shape, preset.num_layers)
    devices = chosen_devices(shape)
    forwards: dict[str, Callable] = {
        "jaxrnn": lambda *arguments: unroll(problem.model, *arguments),
        SCAN: lambda *arguments: unroll(problem.model, *arguments, schedule="scan"),
        LOOP: lambda *arguments: python_loop(problem.model, *arguments),
    }
    sides = [compiling(name, problem, forwards[name], devices) for name in ("jaxrnn", *peers)]
    return Case("compile", f"{shape}, {preset.num_layers} layers", sides, {})


def growth_case(preset: Preset) -> Case:
    """Ours with many time steps beside itself with few; what one computes the other does not, so
    nothing is held against each other."""
    few, many = preset.growth_steps
    sides = []
    for num_steps, name in ((many, "jaxrnn"), (few, shorter(few))):
        shape = preset.model._replace(num_steps=num_steps)
        problem = make_problem(shape, preset.num_layers)
        forward = functools.partial(unroll, problem.model)
        side = compiling(name, problem, forward, chosen_devices(shape))
        sides.append(side._replace(check=dict))
    return Case(GROWTH, growth_shape(preset), sides, {})


def growth_shape(preset: Preset) -> str:
    shape = preset.model._replace(num_steps=preset.growth_steps[1])
    return f"{shape}, {preset.num_layers} layers"


def shorter(num_steps: int) -> str:
    return f"jaxrnn, T {num_steps}"


def python_loop(model: Any, params: Any, carry: Any, xs: jax.Array) -> tuple[Any, jax.Array]:
    """Every time step written out, as `unroll` is without a scan."""
    step, ys = jax.vmap(model.step, in_axes=(None, 0, 0)), []
    for x in xs:
        carry, y = step(params, carry, x)
        ys.append(y)
    return carry, jnp.stack(ys)


def compiling(name: str, problem: Problem, forward: Callable, devices: Devices) -> Side:
    """Traces and compiles the training step anew with every call."""
    batch = problem.batch

    def estimate(params, carry, batch):
        def mean_loss(params):
            new, outputs = forward(params, carry, batch.inputs)
            return cross_entropy(outputs, batch.targets).mean(), new

        (loss, new), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        return grads, new, {"loss": loss}

    def init(params, key, batch_size):
        return zero_carry(problem.model, params, batch_size)

    estimator = batch_parallel(GradientEstimator(init, estimate), devices)
    optimizer = clipped_adam(LEARNING_RATE, MAX_NORM)
    batch_size = batch.targets.shape[1]
    state = init_state(problem.model, estimator, optimizer, jax.random.key(0), batch_size)
    state = on_devices(state._replace(params=problem.params), devices)

    def call():
        # a function of its own each time, so that nothing is found in a cache
        train_step = make_train_step(estimator, optimizer)
        jax.clear_caches()
        return jax.jit(train_step).lower(state, batch).compile()

    program = call()

    def check():
        _, metrics = program(state, batch)
        return {key: float(metrics[key]) for key in ("loss", "grad_norm")}

    return Side(name, call, check, devices=len(devices), temporary_bytes=temporary_bytes(program))
