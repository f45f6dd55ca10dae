"""The published word model's training step; most of its numbers are in tables of 11,756 words."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.speed.layers import chosen_devices
from experiments.speed.libraries import LAST_TWO, reorder
from experiments.speed.measuring import Case, Side, gather, temporary_bytes
from experiments.speed.presets import Preset, Shape
from experiments.speed.training import on_devices
from jaxrnn.base import Batch, Cell
from jaxrnn.candidates import draw_negatives, expected_counts, log_uniform, noise_contrastive
from jaxrnn.gradients import stateless, tbptt
from jaxrnn.models import TokenModel, build_model
from jaxrnn.optimizers import clipped_momentum
from jaxrnn.parallel import Devices, batch_parallel
from jaxrnn.rows import narrow, row_momentum
from jaxrnn.training import epoch_chunk, init_state

EMBEDDING, DENSE, NEGATIVES = 64, 96, 64
RATE, MOMENTUM = 0.05, 0.8
TABLES = ("embed", "head")


class Problem(NamedTuple):
    """The model, its first weights, and an epoch of windows; leaves of the epoch [steps, ...]."""

    cell: Cell
    vocab_size: int
    params: Any
    windows: Batch
    keys: Array


def word_cases(preset: Preset) -> Iterator[Case]:
    yield word_case(preset.word, preset.words, preset.word_steps)


def shape_of(shape: Shape, words: int) -> str:
    return f"{shape}, {words:,} words"


def word_case(shape: Shape, words: int, steps: int) -> Case:
    """A step of momentum on the noise-contrastive loss of 64 negatives, inside an epoch."""
    problem = make_problem(shape, words, steps)
    devices = chosen_devices(shape)
    sides = [our_side("jaxrnn", problem, devices)]
    if len(devices) > 1:
        sides.append(our_side("jaxrnn, one device", problem, devices[:1]))
    builders: dict[str, Callable[[], Side]] = {"PyTorch": lambda: torch_side("PyTorch", problem)}
    kept = "PyTorch, pages kept"
    builders[kept] = lambda: torch_side(kept, problem)._replace(pages_kept=True)
    peers, missing = gather(builders)
    ours = [side._replace(pages_kept=True) for side in sides]
    return Case("word", shape_of(shape, words), [*ours, *peers], missing)


def make_problem(shape: Shape, words: int, steps: int) -> Problem:
    batch_size, num_steps, size = shape
    cell = build_model(
        TokenModel(
            words, words, "lstm", size, embedding_size=EMBEDDING, dense_size=DENSE, init="small"
        )
    )
    tokens = jnp.asarray(
        np.random.default_rng(0).choice(
            words,
            (steps, num_steps + 1, batch_size),
            p=log_uniform(words) / log_uniform(words).sum(),
        ),
        jnp.int32,
    )
    return Problem(
        cell,
        words,
        jax.jit(cell.init)(jax.random.key(0)),
        Batch(tokens[:, :-1], tokens[:, -1:]),
        jax.random.split(jax.random.key(1), steps),
    )


def our_side(name: str, problem: Problem, devices: Devices) -> Side:
    """As `python -m experiments.word` builds it."""
    steps, window, batch_size = problem.windows.inputs.shape
    words = problem.vocab_size
    style = stateless(tbptt(problem.cell, noise_contrastive, window=window, stride=1))
    estimator = batch_parallel(style, devices)
    optimizer = clipped_momentum(RATE, None, MOMENTUM)
    by_rows = row_momentum(problem.cell, estimator, optimizer, MOMENTUM, TABLES)

    def batch_at(position) -> Any:
        batch, key = jax.tree.map(lambda a: a[position], (problem.windows, problem.keys))
        return narrow(batch, words, TABLES, draw_negatives(key, words, NEGATIVES))

    chunk = by_rows.within(
        epoch_chunk(
            by_rows.train_step,
            by_rows.estimator,
            lambda key: batch_at,
            steps_per_epoch=steps,
            batch_size=batch_size,
            chunks_per_epoch=1,
        )
    )
    state = init_state(problem.cell, estimator, optimizer, jax.random.key(0), batch_size)
    state = on_devices(state._replace(params=problem.params), devices)
    program = jax.jit(chunk, donate_argnums=0).lower(state).compile()

    def call():
        nonlocal state
        state, metrics = jax.block_until_ready(program(state))
        return metrics

    def check():
        metrics = call()
        return {
            "losses": np.asarray(metrics["loss"])[:CHECKED],
            "grad_norm": float(metrics["grad_norm"][0]),
        }

    return Side(
        name,
        call,
        check,
        steps,
        devices=len(devices),
        temporary_bytes=temporary_bytes(program),
    )


CHECKED = 3
"""Training steps whose losses are held against each other: what is learnt is in the later ones."""


def torch_side(name: str, problem: Problem) -> Side:
    """As its users write it: rows of the head are an embedding of the candidates, and the optimizer
    updates whole tables. The negatives are handed to it, where ours draws them. Its LSTM has two
    biases; for the check of the gradient's length the second one is left out."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch.nn import functional  # pyright: ignore[reportMissingImports]

    params, words = problem.params, problem.vocab_size
    steps = len(problem.keys)
    inputs, targets = (
        torch.tensor(np.asarray(tokens), dtype=torch.int64) for tokens in problem.windows
    )
    drawn = [draw_negatives(key, words, NEGATIVES) for key in problem.keys]
    negatives = torch.tensor(np.stack([each.ids for each in drawn]), dtype=torch.int64)
    every = jnp.arange(words)
    logs = torch.tensor(np.stack([jnp.log(expected_counts(every, d.draws, words)) for d in drawn]))

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(words, EMBEDDING)
            self.layer = torch.nn.LSTM(EMBEDDING, params["layer_1"].w_hh.shape[0])
            self.hidden = torch.nn.Linear(self.layer.hidden_size, DENSE)
            self.head = torch.nn.Embedding(words, DENSE)
            self.bias = torch.nn.Parameter(torch.zeros(words))

        def forward(self, step):
            outputs, _ = self.layer(self.embed(inputs[step]))
            features = torch.tanh(self.hidden(outputs[-1]))
            own, noise, log = targets[step, 0], negatives[step], logs[step]
            scores = (features * self.head(own)).sum(-1) + self.bias[own] - log[own]
            others = features @ self.head(noise).T + self.bias[noise] - log[noise]
            return (functional.softplus(-scores) + functional.softplus(others).sum(-1)).mean()

    model: Any = Model()
    w_ih, w_hh, b = (reorder(np.asarray(a), LAST_TWO) for a in params["layer_1"])
    dense = params["hidden"]["linear"]
    ours = [params["head"]["b"], params["embed"]["w"], w_ih.T, w_hh.T, b, np.zeros_like(b)]
    ours += [dense["w"].T, dense["b"], params["head"]["w"].T]
    with torch.no_grad():
        for weight, value in zip(model.parameters(), ours, strict=True):
            weight.copy_(torch.tensor(np.asarray(value)))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)

    def train(step):
        loss = model(step)
        optimizer.zero_grad()
        loss.backward()
        return loss

    def call():
        for step in range(steps):
            train(step)
            optimizer.step()

    def check():
        losses, norms = [], []
        for step in range(min(CHECKED, steps)):
            losses.append(train(step).item())
            grads = [w.grad for name, w in model.named_parameters() if "bias_hh" not in name]
            norms.append(torch.nn.utils.get_total_norm(grads).item())
            optimizer.step()
        return {"losses": np.array(losses), "grad_norm": norms[0]}

    return Side(name, call, check, steps)
