"""S_t = D_t S_{t-1} + Z_t U_t^T + V_t K_t^T, read as z_t = S_{t-1} w_t, chunk by chunk.

Within a chunk all time steps are products of matrices, and where z feeds back (Z) one triangular
system. A chunk is halved again and again, and what the first half writes is read by the second half
through the middle, decayed by products up to it and from it on. So decays may be 0, negative or
complex, and no product is formed that the loop would not form of those decays. Those that are mild
are divided by one another instead, in a fraction of the time.

Reference: Yang et al. (2023), "Gated linear attention", https://arxiv.org/abs/2312.06635; Yang et
al. (2024), "Parallelizing linear transformers with the delta rule",
https://arxiv.org/abs/2406.06484
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Steps(NamedTuple):
    """The time steps of a chunk, of one matrix S [M, N]; N is the axis along which it is read.

    Attributes:
      scalar, key, value: factors of D, [C], [C, N] and [C, M]; None for 1.
      read: w [C, R, N]; the first F of them feed back.
      fed: U [C, F, N].
      keys, values: what is written, [C, W, N] and [C, W, M].
    """

    scalar: jax.Array | None
    key: jax.Array | None
    value: jax.Array | None
    read: jax.Array
    fed: jax.Array
    keys: jax.Array
    values: jax.Array


class Span(NamedTuple):
    """Products of a decay within blocks of h time steps, [C / h, h, N]: over those of the block
    before each, and after it; and over the whole block, [C / h, N]."""

    before: jax.Array
    after: jax.Array
    whole: jax.Array


# Powers of two: decays of each key or value that are no farther from 1 are mild, where those of a
# chunk come to no more altogether. A gradient to such a decay loses as many binary digits.
APART, ALTOGETHER = 4, 50


def is_finite(steps: Steps) -> jax.Array:
    """Whether all numbers are: sums of products would spread others over the whole chunk."""
    return jnp.stack([jnp.isfinite(a).all() for a in jax.tree.leaves(steps)]).all()


def is_mild(steps: Steps) -> jax.Array:
    """Whether decays of each key or value may be divided by one another."""
    decays = [d for d in (steps.key, steps.value) if d is not None]
    apart = [jnp.abs(jnp.log2(jnp.abs(d))) for d in decays]
    mild = [(a <= APART).all() & (a.sum(0) <= ALTOGETHER).all() for a in apart]
    return jnp.stack(mild).all()


def by_quotients(matrix: jax.Array, steps: Steps) -> tuple[jax.Array, jax.Array]:
    """What `by_halves` gives: S divided by its decays up to each time step has none."""
    of_z = None
    read, fed, keys, values = steps.read, steps.fed, steps.keys, steps.values
    whole = []
    if steps.key is not None:
        before, upto = _up_to_each(steps.key)
        read, fed, keys = read * before, fed / upto, keys / upto
        whole.append(upto[-1])
    if steps.value is not None:
        of_z, upto = _up_to_each(steps.value)
        values = values / upto
        whole.append(upto[-1].T)
    new, z = by_halves(matrix, Steps(steps.scalar, None, None, read, fed, keys, values))
    for factor in whole:
        new = new * factor
    return new, z if of_z is None else z * of_z


def _up_to_each(decay: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Products [C, 1, N] of the decays before each time step, and with its own."""
    upto = jnp.cumprod(decay, 0)
    before = jnp.concatenate([jnp.ones_like(upto[:1]), upto[:-1]])
    return before[:, None], upto[:, None]


def by_halves(matrix: jax.Array, steps: Steps) -> tuple[jax.Array, jax.Array]:
    """S behind the chunk, and z [C, R, M]; C is a power of two, and nothing feeds back where D has
    a factor of values."""
    size, count, _ = steps.read.shape
    feedback = steps.fed.shape[1]
    written = jnp.concatenate([steps.fed, steps.keys], 1)
    decay, of_keys, of_values = _decays(steps)
    spans = spans_of(decay) if decay is not None else []
    read, left = steps.read, written
    if spans:
        read, left = read * spans[-1].before[0][:, None], left * spans[-1].after[0][:, None]
        matrix, entered = matrix * spans[-1].whole, matrix
    else:
        entered = matrix
    z = (_rows(read) @ entered.T).reshape(size, count, -1)
    values = steps.values
    if of_values is not None:
        value_spans = spans_of(of_values)
        z *= value_spans[-1].before[0][:, None]
        z += _through_middles(steps.read, written, values, spans, value_spans)
        values = values * value_spans[-1].after[0][:, None]
        matrix = matrix * value_spans[-1].whole.T
        return matrix + _rows(values).T @ _rows(left), z
    scores = _scores(steps.read, written, spans, of_keys)
    z += _apply(scores[:, :, :, feedback:], values)
    if feedback:
        system = scores[:, :feedback, :, :feedback].reshape(size * feedback, -1)
        known = _rows(z[:, :feedback])
        found = solve_unit_lower(system, known, feedback).reshape(size, feedback, -1)
        z = jnp.concatenate(
            [found, z[:, feedback:] + _apply(scores[:, feedback:, :, :feedback], found)], 1
        )
        values = jnp.concatenate([found, values], 1)
    return matrix + _rows(values).T @ _rows(left), z


def _decays(steps: Steps) -> tuple[jax.Array | None, bool, jax.Array | None]:
    """The decay along the keys [C, N or 1], whether it is of each key, and that along the values;
    the scalar is part of one of them."""
    scalar, key, value = steps.scalar, steps.key, steps.value
    scalar = None if scalar is None else scalar[:, None]
    if value is not None:
        return key, key is not None, value if scalar is None else value * scalar
    if key is not None:
        return key if scalar is None else key * scalar, True, None
    return scalar, False, None


def spans_of(decay: jax.Array) -> list[Span]:
    """Of [C, N], for h = 1, 2, 4, ..., C."""
    one = jnp.ones_like(decay)[:, None]
    spans = [Span(one, one, decay)]
    while len(spans[-1].whole) > 1:
        before, after, whole = (a.reshape(len(a) // 2, 2, *a.shape[1:]) for a in spans[-1])
        left, right = whole[:, 0], whole[:, 1]
        spans.append(
            Span(
                jnp.concatenate([before[:, 0], before[:, 1] * left[:, None]], 1),
                jnp.concatenate([after[:, 0] * right[:, None], after[:, 1]], 1),
                left * right,
            )
        )
    return spans


def _scores(read: jax.Array, written: jax.Array, spans: list[Span], of_keys: bool) -> jax.Array:
    """What each w_t finds of what was written under each key before, [C, R, C, W]."""
    size, count, _ = read.shape
    many = written.shape[1]
    if of_keys:
        blocks = jnp.zeros((size, count, many), read.dtype)
        for span in spans[:-1]:
            blocks = _joined(blocks, _crossing(read, written, span))
        return blocks.reshape(size, count, size, many)
    if spans:
        mask = jnp.zeros((size, 1, 1), read.dtype)
        for span in spans[:-1]:
            before, after = _halves(span.before)[:, 1], _halves(span.after)[:, 0]
            mask = _joined(mask, before * jnp.swapaxes(after, 1, 2))
        mask = mask[0]
    else:
        mask = jnp.tri(size, k=-1, dtype=read.dtype)
    products = _rows(read) @ _rows(written).T
    return products.reshape(size, count, size, many) * mask[:, None, :, None]


def _crossing(read: jax.Array, written: jax.Array, span: Span | None, block: int = 0) -> jax.Array:
    """In blocks of two halves, what the second half finds of what the first one writes
    [C / 2h, h R, h W]."""
    h = block if span is None else span.before.shape[1]
    right = read.reshape(-1, 2, h, *read.shape[1:])[:, 1]
    left = written.reshape(-1, 2, h, *written.shape[1:])[:, 0]
    if span is not None:
        right = right * _halves(span.before)[:, 1][:, :, None]
        left = left * _halves(span.after)[:, 0][:, :, None]
    n = read.shape[-1]
    right, left = (a.reshape(len(a), -1, n) for a in (right, left))
    return jnp.matmul(right, jnp.swapaxes(left, 1, 2))


def _through_middles(read, written, values, spans, value_spans) -> jax.Array:
    """z [C, R, M] of what the chunk itself writes, where D has a factor of values."""
    size, count, _ = read.shape
    z = jnp.zeros((size, count, values.shape[-1]), read.dtype)
    for i, span in enumerate(value_spans[:-1]):
        h = span.before.shape[1]
        crossing = _crossing(read, written, spans[i] if spans else None, h)
        left = values.reshape(-1, 2, h, *values.shape[1:])[:, 0]
        left = left * _halves(span.after)[:, 0][:, :, None]
        found = jnp.matmul(crossing, left.reshape(len(left), -1, left.shape[-1]))
        found = found.reshape(len(left), h, count, -1)
        found = found * _halves(span.before)[:, 1][:, :, None]
        z += jnp.stack([jnp.zeros_like(found), found], 1).reshape(z.shape)
    return z


def _halves(a: jax.Array) -> jax.Array:
    return a.reshape(len(a) // 2, 2, *a.shape[1:])


def _joined(blocks: jax.Array, crossing: jax.Array) -> jax.Array:
    """Lower triangular blocks twice as large, of two along the diagonal and one below."""
    first, second = jnp.split(_halves(blocks), 2, 1)
    first, second = first[:, 0], second[:, 0]
    above = jnp.concatenate([first, jnp.zeros_like(first)], -1)
    return jnp.concatenate([above, jnp.concatenate([crossing, second], -1)], -2)


def _apply(scores: jax.Array, values: jax.Array) -> jax.Array:
    """[C, R, C, W] of values [C, W, M]: [C, R, M]."""
    size, count = scores.shape[:2]
    flat = scores.reshape(size * count, -1) @ _rows(values)
    return flat.reshape(size, count, -1)


def _rows(a: jax.Array) -> jax.Array:
    return a.reshape(a.shape[0] * a.shape[1], *a.shape[2:])


def solve_unit_lower(system: jax.Array, known: jax.Array, block: int) -> jax.Array:
    """x = known + system @ x with a system [N, N] that is 0 on and above its diagonal of blocks.

    By the inverse, of blocks twice as large from those of the last ones: LAPACK's substitution is
    slow for many small systems.
    """
    inverse = lax.stop_gradient(_inverse(lax.stop_gradient(system), block))
    return lax.custom_linear_solve(
        lambda x: x - system @ x,
        known,
        lambda _, b: inverse @ b,
        lambda _, b: inverse.T @ b,
    )


def _inverse(system: jax.Array, block: int) -> jax.Array:
    """Of 1 - system."""
    size, h = len(system), block
    blocks = jnp.broadcast_to(jnp.eye(h, dtype=system.dtype), (size // h, h, h))
    while h < size:
        count = size // (2 * h)
        below = system.reshape(count, 2, h, count, 2, h)[:, 1, :, :, 0]
        own = jnp.eye(count, dtype=bool)[:, None, :, None]
        below = jnp.where(own, below, 0).sum(2)
        first, second = _halves(blocks)[:, 0], _halves(blocks)[:, 1]
        blocks = _joined(blocks, second @ below @ first)
        h *= 2
    return blocks[0]
