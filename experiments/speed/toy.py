"""The toy task's training step, so small that all the time goes into what surrounds it."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax import lax

from experiments.speed.measuring import Case, Side, gather
from experiments.speed.presets import Preset
from jaxrnn.base import Batch
from jaxrnn.data import TOY, lag_sequence, streams
from jaxrnn.gradients import bptt
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.optimizers import clipped_adagrad
from jaxrnn.training import init_state, make_train_step

BATCH_SIZE, NUM_STEPS, SIZE = 200, 5, 4


def toy_step_cases(preset: Preset) -> Iterator[Case]:
    yield toy_step_case(preset.toy_steps)


def toy_step_case(steps: int) -> Case:
    """A step of Adagrad inside an epoch, beside loops over single steps."""
    model = build_model(TokenModel(2, 2, "elman", SIZE))
    estimator, optimizer = bptt(model, cross_entropy), clipped_adagrad(0.1, None)
    sequence = lag_sequence(TOY, jax.random.key(1), BATCH_SIZE * NUM_STEPS * steps)
    rows = (streams(tokens, BATCH_SIZE) for tokens in sequence)
    batches = Batch(*(row.reshape(steps, NUM_STEPS, BATCH_SIZE) for row in rows))
    state = init_state(model, estimator, optimizer, jax.random.key(0), BATCH_SIZE)
    train_step = make_train_step(estimator, optimizer)
    epoch = jax.jit(lambda state, batches: lax.scan(train_step, state, batches))
    single = jax.jit(train_step)
    count = max(steps // 5, 1)  # a loop needs no whole epoch to be timed
    each = [jax.tree.map(lambda a, i=i: a[i], batches) for i in range(count)]

    def in_an_epoch():
        _, metrics = jax.block_until_ready(epoch(state, batches))
        return np.asarray(metrics["loss"][:count])

    def in_a_loop():
        current, losses = state, []
        for batch in each:
            current, metrics = single(current, batch)
            losses.append(metrics["loss"])
        jax.block_until_ready(current)
        return np.array(losses)

    peers, missing = gather({"PyTorch eager": lambda: torch_side(state.params, each)})
    sides = [
        Side("jaxrnn", in_an_epoch, in_an_epoch, steps),
        Side("jitted Python loop", in_a_loop, in_a_loop, count),
        *peers,
    ]
    return Case("toy-step", shape_of(steps), sides, missing)


def shape_of(steps: int) -> str:
    return f"B {BATCH_SIZE}, T {NUM_STEPS}, H {SIZE}, {steps} steps an epoch"


def torch_side(params: Any, batches: list[Batch]) -> Side:
    """The same steps as an eager PyTorch loop, from the same weights."""
    import torch  # pyright: ignore[reportMissingImports]

    cell, head = params["layer_1"], params["head"]
    numbers = [cell.w_ih, cell.w_hh, cell.b, head["w"], head["b"]]
    data = [
        tuple(torch.tensor(np.asarray(tokens), dtype=torch.int64) for tokens in batch)
        for batch in batches
    ]

    def call():
        weights = [torch.tensor(np.asarray(a), requires_grad=True) for a in numbers]
        w_ih, w_hh, b, w, b_out = weights
        optimizer = torch.optim.Adagrad(weights, lr=0.1, initial_accumulator_value=0.1, eps=1e-7)
        h, losses = torch.zeros(BATCH_SIZE, w_hh.shape[0]), []
        for inputs, targets in data:
            h, outputs = h.detach(), []
            for x in torch.nn.functional.one_hot(inputs, 2).float():
                h = torch.tanh(x @ w_ih + h @ w_hh + b)
                outputs.append(h @ w + b_out)
            logits = torch.stack(outputs).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return Side("PyTorch eager", call, call, len(batches))
