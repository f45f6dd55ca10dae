"""A full training step of R2RT's character model: gradient, clipping, Adam."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.speed.layers import chosen_devices, flax_as_ours
from experiments.speed.machine import gradient_flops
from experiments.speed.measuring import NARROW, Case, Side, gather, temporary_bytes
from experiments.speed.model import (
    Problem,
    flax_model,
    make_problem,
    torch_model,
    zero_carries,
)
from experiments.speed.presets import Preset, Shape
from jaxrnn.base import Batch, GradientEstimator, TrainState
from jaxrnn.gradients import bptt
from jaxrnn.models import cross_entropy
from jaxrnn.optimizers import clipped_adam
from jaxrnn.parallel import Devices, batch_parallel, place
from jaxrnn.token_model import Precision
from jaxrnn.training import init_state, make_train_step

LEARNING_RATE = 1e-4
MAX_NORM = 1.0


def char_step_cases(preset: Preset) -> Iterator[Case]:
    yield char_step_case(preset.model, preset.num_layers, preset.libraries, preset.precision)


def char_step_case(
    shape: Shape, num_layers: int, libraries: Sequence[str], precision: Precision = "float32"
) -> Case:
    problem = make_problem(shape, num_layers)
    devices = chosen_devices(shape)
    sides = [our_side("jaxrnn", problem, devices)]
    if len(devices) > 1:
        sides.append(our_side("jaxrnn, one device", problem, devices[:1]))
    if precision != "float32":
        narrow = make_problem(shape, num_layers, precision)
        side = our_side(f"jaxrnn, {precision}", narrow, devices)
        sides.append(side._replace(tolerance=NARROW))
    sides = [side._replace(pages_kept=True) for side in sides]
    plain = our_side("jaxrnn, pages returned", problem, devices)
    builders: dict[str, Callable[[], Side]] = {}
    if "Flax" in libraries:
        as_ours = flax_as_ours(devices)
        builders["Flax"] = lambda: flax_side("Flax", problem, devices[:1])
        builders[as_ours] = lambda: flax_side(as_ours, problem, devices)._replace(pages_kept=True)
    if "PyTorch" in libraries:
        kept = "PyTorch, pages kept"
        builders["PyTorch"] = lambda: torch_side("PyTorch", problem)
        builders[kept] = lambda: torch_side(kept, problem)._replace(pages_kept=True)
    peers, missing = gather(builders)
    token = jax.ShapeDtypeStruct((), jnp.int32)
    batch_size, num_steps, _ = shape
    return Case(
        "char-step",
        f"{shape}, {num_layers} layers",
        [*sides, plain, *peers],
        missing,
        flops=gradient_flops(problem.model, token, num_steps, batch_size),
    )


def our_side(name: str, problem: Problem, devices: Devices) -> Side:
    """As `python -m experiments.char` builds it."""
    estimator = batch_parallel(bptt(problem.model, cross_entropy), devices)
    optimizer = clipped_adam(LEARNING_RATE, MAX_NORM)
    key, batch_size = jax.random.key(0), problem.batch.targets.shape[1]
    state = init_state(problem.model, estimator, optimizer, key, batch_size)
    state = on_devices(state._replace(params=problem.params), devices)
    return stepping(name, make_train_step(estimator, optimizer), state, problem.batch, devices)


def flax_side(name: str, problem: Problem, devices: Devices) -> Side:
    """With optax; its own users stay on one device, further ones divide the batch as ours do."""
    model, theirs = flax_model(problem.params)
    optimizer = optax.chain(optax.clip_by_global_norm(MAX_NORM), optax.adam(LEARNING_RATE))
    batch_size = problem.batch.targets.shape[1]

    def estimate(params, carries, batch):
        def mean_loss(params):
            new, logits = model.apply({"params": params}, batch.inputs, carries)
            return cross_entropy(logits, batch.targets).mean(), new

        (loss, carries), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        return grads, carries, {"loss": loss}

    estimator = batch_parallel(GradientEstimator(lambda *_: (), estimate), devices)
    state = TrainState(
        params=theirs,
        opt_state=optimizer.init(theirs),
        carry=zero_carries(problem.params, batch_size),
        key=jax.random.key(0),
        step=jnp.int32(0),
        position=jnp.int32(0),
    )
    state = on_devices(state, devices)
    return stepping(name, make_train_step(estimator, optimizer), state, problem.batch, devices)


def torch_side(name: str, problem: Problem) -> Side:
    """Its LSTM has two biases where all others have one. Both are trained, so the gradient that is
    clipped is a little longer; for the check the second one is left out."""
    import torch  # pyright: ignore[reportMissingImports]

    model = torch_model(problem.params)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    inputs, targets = (
        torch.tensor(np.asarray(tokens), dtype=torch.int64) for tokens in problem.batch
    )
    carry = None

    def backward():
        nonlocal carry
        logits, carry = model(inputs, carry)
        carry = tuple(part.detach() for part in carry)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        return loss.item()

    def update():
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()

    def call():
        backward()
        update()

    def check():
        loss = backward()
        grads = [w.grad for name, w in model.named_parameters() if "bias_hh" not in name]
        norm = torch.nn.utils.get_total_norm(grads).item()
        update()
        return _checked([{"loss": loss, "grad_norm": norm}, {"loss": backward()}])

    return Side(name, call, check)


def stepping(name: str, step: Callable, state: TrainState, batch: Batch, devices: Devices) -> Side:
    """A JAX training step on a state that goes on from call to call."""
    program = jax.jit(step, donate_argnums=0).lower(state, batch).compile()

    def call():
        nonlocal state
        state, metrics = jax.block_until_ready(program(state, batch))
        return metrics

    return Side(
        name,
        call,
        lambda: _checked([call(), call()]),
        devices=len(devices),
        temporary_bytes=temporary_bytes(program),
    )


def _checked(metrics: Sequence[Any]) -> dict[str, Any]:
    """The losses of the first two steps (the carry and the update are in the second) and the norm
    of the first gradient."""
    losses = np.array([float(step["loss"]) for step in metrics])
    return {"loss": losses, "grad_norm": float(metrics[0]["grad_norm"])}


def on_devices(state: TrainState, devices: Sequence[Any]) -> TrainState:
    """The state of a single training where `batch_parallel` wants it, in buffers of its own."""
    stacked = jax.tree.map(lambda a: jnp.copy(a)[None], state)
    return jax.tree.map(lambda a: a[0], place(stacked, devices))
