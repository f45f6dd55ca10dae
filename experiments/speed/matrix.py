"""Gradients of recurrences whose carry is a matrix that is read through vectors.

Ours is the plainly written step. Beside it stand `lax.scan` of the same step, and the chunkwise
form as one writes it by hand in JAX, which has to be derived for each step.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from experiments.speed.measuring import Case, Side, compiled
from experiments.speed.presets import Preset, Shape
from jaxrnn import Cell, unroll
from jaxrnn.unroll import Schedule

CHUNK = 64
Xs = dict[str, jax.Array]


def gated_linear_attention(s: jax.Array, x: Xs) -> jax.Array:
    """A decay of each key."""
    return s * x["decays"] + jnp.outer(x["v"], x["k"])


def scalar_decay(s: jax.Array, x: Xs) -> jax.Array:
    return s * x["decay"] + jnp.outer(x["v"], x["k"])


def delta_net(s: jax.Array, x: Xs) -> jax.Array:
    """What is stored under a key is replaced."""
    return s + x["rate"] * jnp.outer(x["v"] - s @ x["k"], x["k"])


def gated_delta_net(s: jax.Array, x: Xs) -> jax.Array:
    return delta_net(s * x["decay"], x)


STEPS: dict[str, Callable[[jax.Array, Xs], jax.Array]] = {
    "gated linear attention": gated_linear_attention,
    "scalar decay": scalar_decay,
    "DeltaNet": delta_net,
    "gated DeltaNet": gated_delta_net,
}
PLAIN = "plain scan"
SCHEDULES: dict[str, Schedule] = {"jaxrnn": "auto", PLAIN: "scan"}


def matrix_cases(preset: Preset) -> Iterator[Case]:
    return (matrix_case(name, shape) for shape in preset.matrix for name in STEPS)


def matrix_case(name: str, shape: Shape) -> Case:
    xs = inputs(shape)
    layers: dict[str, Callable[[Xs], jax.Array]] = {
        title: lambda xs, schedule=schedule: ours(name, xs, schedule)
        for title, schedule in SCHEDULES.items()
    }
    layers["chunks by hand"] = lambda xs: by_hand(name, xs)
    sides = [side(title, layer, xs) for title, layer in layers.items()]
    return Case("matrix-state", f"{name}, {shape}", sides, {})


def side(title: str, layer: Callable[[Xs], jax.Array], xs: Xs) -> Side:
    program, temporary = compiled(jax.grad(lambda xs: jnp.square(layer(xs)).mean()), xs)

    def call():
        return jax.block_until_ready(program(xs))

    return Side(title, call, call, temporary_bytes=temporary)


def inputs(shape: Shape) -> Xs:
    batch_size, num_steps, size = shape
    key = jax.random.key(0)

    def draw(place, *sizes):
        return jax.random.normal(jax.random.fold_in(key, place), (num_steps, batch_size, *sizes))

    k = draw(0, size)
    return {
        "k": k / jnp.linalg.norm(k, axis=-1, keepdims=True),
        "v": draw(1, size),
        "q": draw(2, size),
        "decays": jax.nn.sigmoid(draw(3, size) + 3),
        "decay": jax.nn.sigmoid(draw(4) + 3),
        "rate": jax.nn.sigmoid(draw(5)),
    }


def ours(name: str, xs: Xs, schedule: Schedule) -> jax.Array:
    def step(params, s, x):
        s = STEPS[name](s, x)
        return s, s @ x["q"]

    size = xs["k"].shape[-1]
    cell: Any = Cell(lambda key: (), lambda params, key: jnp.zeros((size, size)), step)
    start = jnp.zeros((xs["k"].shape[1], size, size))
    return unroll(cell, (), start, xs, schedule=schedule)[1]


def by_hand(name: str, xs: Xs) -> jax.Array:
    """The chunkwise form as in the papers: decays by differences of summed logarithms."""
    length, batch_size, size = xs["k"].shape
    count = -(-length // CHUNK)

    def in_chunks(a):
        a = jnp.pad(a, [(0, count * CHUNK - length)] + [(0, 0)] * (a.ndim - 1), mode="edge")
        return a.reshape(count, CHUNK, *a.shape[1:])

    def one(s, x):
        q, k, v = x["q"], x["k"], x["v"]
        if name == "gated linear attention":
            logs = jnp.cumsum(jnp.log(x["decays"]), 0)
        elif name == "DeltaNet":
            logs = jnp.zeros((CHUNK, 1))
        else:
            logs = jnp.cumsum(jnp.log(x["decay"]), 0)[:, None]
        onward, back = jnp.exp(logs), jnp.exp(-logs)
        if "Delta" in name:
            rate = x["rate"][:, None]
            below = jnp.tril(rate * (k * onward) @ (k * back).T, -1)
            v = _inverse(below) @ (rate * (v - (k * onward) @ s.T))
        y = jnp.tril((q * onward) @ (k * back).T) @ v + (q * onward) @ s.T
        return s * onward[-1] + v.T @ (k * jnp.exp(logs[-1] - logs)), y

    @jax.checkpoint
    def body(s, xs):
        return jax.vmap(one, (0, 1), (0, 1))(s, xs)

    _, ys = lax.scan(body, jnp.zeros((batch_size, size, size)), jax.tree.map(in_chunks, xs))
    return ys.reshape(count * CHUNK, batch_size, size)[:length]


def _inverse(below: jax.Array) -> jax.Array:
    """Of 1 + below, strictly lower triangular: a product of its even powers."""
    one = jnp.eye(CHUNK)
    power, inverse = -below, one - below
    for _ in range(CHUNK.bit_length() - 2):
        power = power @ power
        inverse = inverse + inverse @ power
    return inverse
