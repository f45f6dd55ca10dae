"""S_t = D_t S_{t-1} + (V_t + Z_t F_t) K_t^T, read as z_t = S_{t-1} w_t, chunk by chunk.

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

from jaxrnn.schedule.products import as_rows, product


class Steps(NamedTuple):
    """The time steps of a chunk, of one matrix S [M, N]; N is the axis along which it is read.

    Attributes:
      scalar, key, value: factors of D, [C], [C, N] and [C, M]; None for 1.
      read: w [C, R, N]; what the first of them give feeds back.
      keys, values: what is written, [C, W, N] and [C, W, M].
      fed: by how much z of each of these w is written beside a value, [C, W, F].
    """

    scalar: jax.Array | None
    key: jax.Array | None
    value: jax.Array | None
    read: jax.Array
    keys: jax.Array
    values: jax.Array
    fed: jax.Array


class Span(NamedTuple):
    """Products of a decay within blocks of h time steps, [C / h, h, N]: over those of the block
    before each, and after it; and over the whole block, [C / h, N]."""

    before: jax.Array
    after: jax.Array
    whole: jax.Array


# Powers of two: decays that are no farther from 1 are mild, where those of a chunk come to no more
# altogether. A gradient to such a decay loses as many binary digits.
APART, ALTOGETHER = 4, 50

SMALL = 4
"""Rows of matrices up to which many products are sums of one elementwise function: on a CPU each of
those of 4 rows takes as long as one of 32 (jaxlib 0.10.2)."""


def is_finite(steps: Steps) -> jax.Array:
    """Whether all numbers are: sums of products would spread others over the whole chunk."""
    return jnp.stack([jnp.isfinite(a).all() for a in jax.tree.leaves(steps)]).all()


def is_mild(steps: Steps) -> jax.Array:
    """Whether the decays may be divided by one another."""
    decays = [d for d in _decays(steps)[::2] if d is not None]
    apart = [jnp.abs(jnp.log2(jnp.abs(d))) for d in decays]
    mild = [(a <= APART).all() & (a.sum(0) <= ALTOGETHER).all() for a in apart]
    return jnp.stack(mild).all()


def by_quotients(matrix: jax.Array, steps: Steps) -> tuple[jax.Array, jax.Array]:
    """What `by_halves` gives: S divided by its decays up to each time step has none."""
    of_z = None
    read, keys, values = steps.read, steps.keys, steps.values
    whole = []
    decay, _, of_values = _decays(steps)
    if decay is not None:
        before, upto = _up_to_each(decay)
        read, keys = _scaled(read, before), _scaled(keys, _inverse_of(upto))
        whole.append(upto[-1:])
    if of_values is not None:
        of_z, upto = _up_to_each(of_values)
        values = _scaled(values, _inverse_of(upto))
        whole.append(upto[-1:].T)
    new, z = by_halves(matrix, Steps(None, None, None, read, keys, values, steps.fed))
    for factor in whole:
        new = new * factor
    return new, z if of_z is None else _scaled(z, of_z)


@jax.custom_jvp
def _inverse_of(decay: jax.Array) -> jax.Array:
    return 1 / decay


@_inverse_of.defjvp
def _(primals, tangents):
    """Without the powers of JAX's own rule: that of the second derivative overflows."""
    inverse = _inverse_of(*primals)
    return inverse, -inverse * (inverse * tangents[0])


def _up_to_each(decay: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Products [C, N] of the decays before each time step, and with its own."""
    upto = jnp.cumprod(decay, 0)
    return jnp.concatenate([jnp.ones_like(upto[:1]), upto[:-1]]), upto


def by_halves(matrix: jax.Array, steps: Steps) -> tuple[jax.Array, jax.Array]:
    """S behind the chunk, and z [C, R, M]; C is a power of two, and nothing feeds back where D has
    a factor of values."""
    decay, of_keys, of_values = _decays(steps)
    spans = spans_of(decay) if decay is not None else []
    before, after = (spans[-1].before[0], spans[-1].after[0]) if spans else (None, None)
    onward = matrix * spans[-1].whole if spans else matrix
    left, values = as_rows(_scaled(steps.keys, after)), steps.values
    size, count = len(steps.read), steps.fed.shape[2]

    def entered(read):
        """What there is of S before the chunk, [C R, M]."""
        return product(as_rows(_scaled(read, before)), matrix, "b")

    if of_values is not None:
        over = spans_of(of_values)
        z = _scaled(_unrows(entered(steps.read), size), over[-1].before[0])
        z += _through_middles(steps.read, steps.keys, values, spans, over)
        values = _scaled(values, over[-1].after[0])
        return onward * over[-1].whole.T + product(as_rows(values), left, "a"), z
    found = []
    if count:
        feeding = steps.read[:, :count]
        scores = _scores(feeding, steps.keys, spans, of_keys)
        known = entered(feeding) + product(scores, as_rows(values))
        z = _unrows(solve_unit_lower(_system(scores, steps.fed), known, count), size)
        values = values + _fed_into(steps.fed, z)
        found.append(z)
    if count < steps.read.shape[1]:
        read = steps.read[:, count:]
        scores = _scores(read, steps.keys, spans, of_keys)
        found.append(_unrows(entered(read) + product(scores, as_rows(values)), size))
    z = found[0] if len(found) == 1 else jnp.concatenate(found, 1)
    return onward + product(as_rows(values), left, "a"), z


def _system(scores: jax.Array, fed: jax.Array) -> jax.Array:
    """[C F, C F]: what each w_t that feeds back finds of what z before it has written."""
    size, writes, count = fed.shape
    scores = scores.reshape(len(scores), size, writes)
    each = [_repeated(scores[:, :, w].T, count).T * fed[:, w].reshape(1, -1) for w in range(writes)]
    return sum(each[1:], start=each[0])


def _fed_into(fed: jax.Array, z: jax.Array) -> jax.Array:
    """What z [C, F, M] adds to the values, [C, W, M]."""
    _, writes, count = fed.shape

    def into(w):
        each = [z[:, f] * fed[:, w, f, None] for f in range(count)]
        return sum(each[1:], start=each[0])

    return jnp.stack([into(w) for w in range(writes)], 1)


def _scaled(a: jax.Array, factor: jax.Array | None) -> jax.Array:
    """[C, K, N] times [C, N or 1]. As rows: of arrays with further axes XLA on a CPU sums up the
    gradient of a factor at a fraction of the speed."""
    if factor is None:
        return a
    return _unrows(as_rows(a) * _repeated(factor, a.shape[1]), len(a))


def _repeated(a: jax.Array, count: int) -> jax.Array:
    """Each row so many times."""
    return a if count == 1 else as_rows(jnp.stack([a] * count, 1))


def _decays(steps: Steps) -> tuple[jax.Array | None, bool, jax.Array | None]:
    """The decay along the keys [C, N or 1], whether it is of each key, and that along the values;
    the scalar is part of one of them. With an axis of heads behind C, too."""
    scalar, key, value = steps.scalar, steps.key, steps.value
    scalar = None if scalar is None else scalar[..., None]
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
    """What each w_t finds of what was written under each key before, [C R, C W]."""
    size, count, _ = read.shape
    many = written.shape[1]
    if of_keys:
        blocks = jnp.zeros((size, count, many), read.dtype)
        for span in spans[:-1]:
            blocks = _joined(blocks, _crossing(read, written, span))
        return blocks[0]
    if spans:
        mask = jnp.zeros((size, 1, 1), read.dtype)
        for span in spans[:-1]:
            before, after = _halves(span.before)[:, 1], _halves(span.after)[:, 0]
            mask = _joined(mask, before * jnp.swapaxes(after, 1, 2))
        mask = mask[0]
    else:
        mask = jnp.tri(size, k=-1, dtype=read.dtype)
    mask = _repeated(_repeated(mask, count).T, many).T
    return product(as_rows(read), as_rows(written), "b") * mask


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


def _unrows(a: jax.Array, size: int) -> jax.Array:
    return a.reshape(size, -1, *a.shape[1:])


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
        lambda _, b: product(inverse, b, "a"),
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
        multiplied = jnp.matmul if h > SMALL else _summed
        blocks = _joined(blocks, multiplied(multiplied(second, below), first))
        h *= 2
    return blocks[0]


def _summed(a: jax.Array, b: jax.Array) -> jax.Array:
    return (a[..., None] * b[..., None, :, :]).sum(-2)
