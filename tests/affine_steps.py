"""Random steps that are affine in a matrix, written in many ways, for the scheduler."""

from random import Random
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn import Cell

HEADS, KEYS, VALUES, INPUTS = 2, 5, 3, 4
DECAYS = ("none", "scalar", "key", "value", "both", "sum", "reset")


class Matrix(NamedTuple):
    """A matrix of a step, as data.

    Attributes:
      transposed: [keys, values] in place of [values, keys].
      heads: "none", or how there are several: an inner "vmap", or an axis of "einsum"s.
      decay: one of `DECAYS`.
      rank: how often what is read of it feeds back within a step.
      writes: how many outer products are added.
      wrote, read: how products are written.
      reads: "new", "old" or "both".
      along: "keys" or "values".
    """

    transposed: bool
    heads: str
    decay: str
    rank: int
    writes: int
    wrote: str
    read: str
    reads: str
    along: str

    @property
    def shape(self) -> tuple[int, ...]:
        shape = (KEYS, VALUES) if self.transposed else (VALUES, KEYS)
        return shape if self.heads == "none" else (HEADS, *shape)


def random_matrix(random: Random) -> Matrix:
    rank = random.choice((0, 0, 1, 1, 2))
    along = random.choice(("keys", "keys", "values")) if not rank else "keys"
    decays = [d for d in DECAYS if not rank or d not in ("value", "both")]
    return Matrix(
        transposed=random.random() < 0.5,
        heads=random.choice(("none", "vmap", "einsum")),
        decay=random.choice(decays),
        rank=rank,
        writes=random.choice((1, 1, 2)),
        wrote=random.choice(("outer", "einsum", "broadcast", "matmul")),
        read=random.choice(("matmul", "einsum", "broadcast")),
        reads=random.choice(("new", "old", "both")),
        along=along,
    )


def random_step(seed: int) -> tuple[Matrix, ...]:
    random = Random(seed)
    return tuple(random_matrix(random) for _ in range(random.choice((1, 1, 1, 2))))


def cell_of(matrices: tuple[Matrix, ...]) -> Cell:
    """The first matrix reads x, each further one what the one before it gives."""

    def init(key):
        return [_weights(m, jax.random.fold_in(key, i)) for i, m in enumerate(matrices)]

    def init_carry(params, key):
        return [
            0.5 * jax.random.normal(jax.random.fold_in(key, i), m.shape)
            for i, m in enumerate(matrices)
        ]

    def step(params, carry, x):
        news = []
        for m, weights, s in zip(matrices, params, carry, strict=True):
            vectors = {name: jnp.tensordot(x, w, 1) for name, w in weights.items()}
            run = _one if m.heads != "vmap" else jax.vmap(_one, (None, 0, 0))
            s, y = run(m, s, vectors)
            news.append(s)
            x = jnp.tanh(jnp.resize(y, (INPUTS,)))
        return news, x

    return Cell(init, init_carry, step)


def _weights(m: Matrix, key: jax.Array) -> dict[str, jax.Array]:
    heads = () if m.heads == "none" else (HEADS,)
    shapes: dict[str, tuple[int, ...]] = {"scalar": (), "shut": ()}
    for i in range(3):
        shapes |= {f"k{i}": (KEYS,), f"v{i}": (VALUES,), f"e{i}": (KEYS,), f"u{i}": (KEYS,)}
    shapes |= {"qk": (KEYS,), "qv": (VALUES,), "a": (VALUES,), "b": (KEYS,)}
    return {
        name: 0.5 * jax.random.normal(jax.random.fold_in(key, i), (INPUTS, *heads, *shape))
        for i, (name, shape) in enumerate(shapes.items())
    }


def _axes(m: Matrix) -> str:
    """Of the matrix, in an einsum."""
    head = "h" if m.heads == "einsum" else ""
    return head + ("kv" if m.transposed else "vk")


def _spread(m: Matrix, a: Any, axes: str) -> Any:
    """Along the axes of the matrix."""
    head = "h" if m.heads == "einsum" else ""
    shape = iter(a.shape)
    sizes = {axis: next(shape) for axis in head + axes}
    return a.reshape([sizes.get(axis, 1) for axis in _axes(m)])


def _outer(m: Matrix, v: Any, k: Any) -> Any:
    head = "h" if m.heads == "einsum" else ""
    if m.wrote == "einsum" or (head and m.wrote == "outer"):
        return jnp.einsum(f"{head}v,{head}k->{_axes(m)}", v, k)
    first, second = (k, v) if m.transposed else (v, k)
    if m.wrote == "matmul":
        return first[..., :, None] @ second[..., None, :]
    if m.wrote == "broadcast":
        return _spread(m, v, "v") * _spread(m, k, "k")
    return jnp.outer(first, second)


def _read(m: Matrix, s: Any, q: Any, along: str) -> Any:
    head = "h" if m.heads == "einsum" else ""
    if m.read == "einsum" or (head and m.read == "matmul"):
        left = "v" if along == "k" else "k"
        return jnp.einsum(f"{_axes(m)},{head}{along}->{head}{left}", s, q)
    if m.read == "broadcast":
        return (s * _spread(m, q, along)).sum(_axes(m).index(along))
    return q @ s if (along == "k") == m.transposed else s @ q


def _decayed(m: Matrix, s: Any, x: dict[str, Any]) -> Any:
    a, b = (jax.nn.sigmoid(x[name] + 1) for name in "ab")
    scalar = jax.nn.sigmoid(x["scalar"])
    if m.decay == "scalar":
        return s / _spread(m, 1 + jnp.exp(x["scalar"]), "")
    if m.decay == "key":  # of either sign
        return s * _spread(m, jnp.tanh(2 * x["b"]), "k")
    if m.decay == "value":
        return _spread(m, a, "v") * s
    if m.decay == "both":
        return _spread(m, a, "v") * s * jnp.broadcast_to(_spread(m, b, "k"), s.shape)
    if m.decay == "sum":
        return s - s * _spread(m, b, "k") + _spread(m, 0.3 * scalar, "") * s
    if m.decay == "reset":  # exactly 0 at some time steps
        shut = jnp.broadcast_to(_spread(m, x["shut"] > 0.7, ""), s.shape)
        return jnp.where(shut, 0, s) * _spread(m, scalar, "")
    return s


def _one(m: Matrix, s: Any, x: dict[str, Any]) -> tuple[Any, Any]:
    read, write = ("qk", "k"), ("v", "u")
    if m.along == "values":
        read = ("qv", "v")
    ys = [_read(m, s, x[read[0]], read[1])] if m.reads in ("old", "both") else []
    s = _decayed(m, s, x)
    for i in range(m.rank):
        key = x[f"e{i}"] / jnp.sqrt(1 + (x[f"e{i}"] ** 2).sum(-1, keepdims=True))
        s = s - _outer(m, _read(m, s, key, "k"), key if i else 0.5 * x[f"{write[1]}{i}"])
    for i in range(m.writes):
        s = s + _outer(m, x[f"{write[0]}{i}"], x[f"k{i}"])
    if m.reads in ("new", "both"):
        ys.append(_read(m, s, x[read[0]], read[1]))
    return s, sum(ys)
