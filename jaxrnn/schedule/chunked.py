"""A loop over a matrix, chunk by chunk: one scan over chunks, products of matrices in each.

For gradients S is kept once a chunk, and each chunk runs again in the backward pass. Inside,
floats are of 32 bits at least.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.schedule.chunks import Steps, chunk
from jaxrnn.schedule.devices import vary_alike
from jaxrnn.schedule.factored import dtype_inside, is_array, whole
from jaxrnn.schedule.layouts import Along, pieces_of, steps_of
from jaxrnn.schedule.matrix import interpreted
from jaxrnn.schedule.planning import Loop


def run_chunked(loop: Loop, weights: list, carry: list, streams: list, length: int):
    """Like `run_loop`, of a loop over a matrix; there are no new carry leaves of every step."""
    matrix, (leaf,), (first,) = loop.matrix, loop.carry, carry
    assert matrix is not None
    size, aval = matrix.size, leaf.old.aval
    dtype = dtype_inside(aval.dtype)
    # at a last chunk that is not full the last time step is repeated, and changes nothing
    count = -(-length // size)
    missing = count * size - length

    def in_chunks(a):
        if missing:
            a = jnp.concatenate([a, jnp.broadcast_to(a[-1:], (missing, *a.shape[1:]))])
        return a.reshape(count, size, *a.shape[1:])

    held = dict(zip(loop.weights, weights, strict=True))

    def values_of(now):
        return held | dict(zip(loop.streams, now, strict=True))

    def apart(now) -> tuple[Steps, ...]:
        reading = interpreted(matrix, leaf, values_of(now), None)
        vectors = reading.vectors
        pieces = pieces_of(reading.values[leaf.new], [axis for _, axis in vectors])
        return tuple(steps_of(a, pieces, vectors, aval.shape, dtype) for a in matrix.along)

    def emitted(now, found):
        values = interpreted(matrix, leaf, values_of(now), found).values
        made = [values[v] for v in loop.emitted]
        return [
            (m if is_array(m) else whole(m)).astype(v.aval.dtype)
            for v, m in zip(loop.emitted, made, strict=True)
        ]

    def of_example(state, now, real):
        steps = jax.vmap(apart, axis_size=size)(now)
        if missing:
            steps = [_only(real, each) for each in steps]
        found: dict[int, jax.Array] = {}
        news = []
        for along, each in zip(matrix.along, steps, strict=True):
            new, z = _along(along, aval.shape, state, each)
            news.append(new)
            found |= dict(zip(along.reads, z, strict=False))
        read = [found[r] for r in range(len(found))]
        return news[0], jax.vmap(emitted, axis_size=size)(now, read)

    # inside a loop there is nothing that the barriers of the default would have to keep apart
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def body(state, xs):
        over = jax.vmap(of_example, (0, 1, None), (0, 1), axis_size=first.shape[0])
        return over(state, *xs)

    real = (jnp.arange(count * size) < length).reshape(count, size)
    start, xs = vary_alike((first.astype(dtype), ([in_chunks(a) for a in streams], real)))
    last, out = lax.scan(body, start, xs, length=count)
    out = [a.reshape(count * size, *a.shape[2:])[:length] for a in out]
    return [last.astype(first.dtype)], [], out


def _only(real: jax.Array, steps: Steps) -> Steps:
    """Other time steps neither decay nor write."""

    def where(a, neutral):
        return None if a is None else jnp.where(real.reshape(-1, *[1] * (a.ndim - 1)), a, neutral)

    scalar, key, value = (where(a, 1) for a in steps[:3])
    return Steps(
        scalar, key, value, steps.read, where(steps.fed, 0), where(steps.keys, 0), steps.values
    )


def _along(along: Along, shape, state: jax.Array, steps: Steps):
    """S behind a chunk, and z of each contraction along an axis, [C, axes of S but that one]."""
    heads, values, size = along.sizes(shape)
    places = Steps(*(None if a is None else 1 for a in steps[:3]), read=2, fed=2, keys=2, values=2)
    ordered = jnp.transpose(state, along.order).reshape(heads, values, size)
    new, z = jax.vmap(chunk, (0, places))(ordered, steps)
    sizes = [shape[a] for a in along.order]
    new = jnp.transpose(new.reshape(sizes), _inverse(along.order))
    # [heads, C, R, M] to R times [C, axes of S]
    left = along.order[:-1]
    z = jnp.transpose(z, (2, 1, 0, 3))
    z = z.reshape(*z.shape[:2], *sizes[:-1])
    axes = sorted(range(len(left)), key=left.__getitem__)
    return new, jnp.transpose(z, (0, 1, *(2 + a for a in axes)))


def _inverse(order: tuple[int, ...]) -> list[int]:
    return [order.index(a) for a in range(len(order))]
