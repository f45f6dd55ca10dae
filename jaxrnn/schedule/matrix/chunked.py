"""A loop over a matrix, chunk by chunk: one scan over chunks, products of matrices in each.

For gradients S is kept once a chunk, and each chunk runs again in the backward pass. Inside,
floats are of 32 bits at least.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.jaxprs.equations import Variable, is_float
from jaxrnn.schedule.agreeing import all_agree
from jaxrnn.schedule.devices import vary_alike, vary_like
from jaxrnn.schedule.loop.reversing import floats_of
from jaxrnn.schedule.matrix.chunks import Steps, by_halves, by_quotients, is_finite, is_mild
from jaxrnn.schedule.matrix.factored import as_given, dtype_inside, is_array, long_sizes, whole
from jaxrnn.schedule.matrix.finding import Matrix, interpreted
from jaxrnn.schedule.matrix.layouts import Along, pieces_of, steps_of
from jaxrnn.schedule.products import as_rows
from jaxrnn.schedule.reading import Leaf
from jaxrnn.schedule.rules import Moving, Rule, apply_rule
from jaxrnn.schedule.stages import Loop
from jaxrnn.schedule.stepping import over_batch

# S behind a chunk, and z, out of S before it.
Way = Callable[[jax.Array, Steps], tuple[jax.Array, jax.Array]]


def run_chunked(loop: Loop, weights: list, carry: list, streams: list, length: int):
    """Like `run_loop`, of a loop over a matrix; there are no new carry leaves of every step.

    Numbers that are not finite a product of matrices would spread over their whole chunk, to
    earlier time steps too. Where such ones go in, or come about in between, each time step is done
    as the plain loop does it, and a reset (0 in place of S) cuts off what was before. So is each of
    the backward pass where a cotangent that goes into it is not finite.
    """
    matrix, (leaf,), (first,) = loop.matrix, loop.carry, carry
    assert matrix is not None
    size = size_of(matrix.size, length)
    count = -(-length // size)
    missing = count * size - length
    dtype = dtype_inside(leaf.old.aval.dtype)

    def in_chunks(a):
        # at a last chunk that is not full the last time step is repeated, and changes nothing
        if missing:
            a = jnp.concatenate([a, jnp.broadcast_to(a[-1:], (missing, *a.shape[1:]))])
        return a.reshape(count, size, *a.shape[1:])

    real = (jnp.arange(count * size) < length).reshape(count, size)
    given = weights, first.astype(dtype), ([in_chunks(a) for a in streams], real)
    last, out = apply_rule(_rule(loop, matrix, leaf, bool(missing)), *vary_alike(given))
    out = [a.reshape(count * size, *a.shape[2:])[:length] for a in out]
    return [last.astype(first.dtype)], [], out


def _rule(loop: Loop, matrix: Matrix, leaf: Leaf, masked: bool) -> Rule:
    """(weights, first S, (chunks, what is real of them)) to S at the end and what is emitted. Its
    backward pass is in the same ways as the forward pass, of which S at each chunk is kept."""

    def example(weights):
        return _Example(loop, matrix, leaf, dict(zip(loop.weights, weights, strict=True)))

    def in_products(way):
        def body(weights, state, xs):
            return example(weights).run(way, masked)(state, *xs)

        return body

    def one_by_one(weights, state, xs):
        step = example(weights).of_batch()

        def one(state, now):
            streams, real = now
            new, *out = step([state, *streams])
            return jnp.where(real, new, state), out

        new, out = lax.scan(one, state.astype(leaf.old.aval.dtype), xs)
        return new.astype(state.dtype), out, vary_like(jnp.asarray(True), state)

    ways = [one_by_one, in_products(by_halves), in_products(by_quotients)]

    def along_chunks(way):
        def body(weights, state, xs):
            new, out, finite = way(weights, state, xs)
            return new, (state, out, finite)

        # inside a loop there is nothing that the barriers of the default would have to keep apart
        body = jax.checkpoint(body, prevent_cse=False)

        def run(weights, start, xs):
            return lax.scan(lambda state, x: body(weights, state, x), start, xs)

        return run

    def forward(weights, start, xs):
        # once for all chunks: in each of them the choice took as long as the products
        held = lax.stop_gradient(weights)
        over_examples = jax.vmap(example(held).fit_for, (1, None), axis_size=len(start))
        fit = lax.map(lambda chunk: over_examples(*chunk), lax.stop_gradient(xs))
        finite, *mild = (all_agree(each) for each in fit)
        of_way = [along_chunks(way) for way in ways]
        found = (
            lax.cond(mild[0], of_way[2], of_way[1], weights, start, xs)
            if mild
            else of_way[1](weights, start, xs)
        )
        finite &= all_agree(found[1][2]) & all_agree(jnp.isfinite(lax.stop_gradient(start)))
        last, (states, out, _) = lax.cond(
            finite, lambda *given: found, of_way[0], weights, start, xs
        )
        return (last, out), (states, finite, *mild)

    def backward(args, kept, cotangents):
        states, finite, *mild = kept
        weights, start, xs = args
        leaves, tree = jax.tree.flatten(args)
        moving = Moving(tuple(i for i, a in enumerate(leaves) if is_float(a)))
        held = [w for w in weights if is_float(w)]
        emitted = floats_of(loop.emitted)
        shape = xs[1].shape + start.shape[:1]
        d_last, d_out = cotangents
        d_out = [d for v, d in zip(loop.emitted, d_out, strict=True) if is_float(v.aval)]
        d_out = [
            vary_like(jnp.zeros(shape + v.aval.shape, v.aval.dtype), start) if d is None else d
            for v, d in zip(emitted, d_out, strict=True)
        ]
        nothing = [vary_like(jnp.zeros_like(a), a) for a in (start, *held)]
        d_first = nothing[0] if d_last is None else d_last
        finite &= jnp.stack([jnp.isfinite(d).all() for d in (d_first, *d_out)]).all()

        def back(way):
            def of_floats(weights, state, xs):
                new, out, _ = way(weights, state, xs)
                return new, [a for a in out if is_float(a)]

            def one(carry, now):
                d_new, d_held = carry
                state, x, d_out = now
                function, numbers = moving.apart(of_floats, (weights, state, x))
                _, pull = jax.vjp(function, numbers)
                (d,) = pull((d_new, d_out))
                d_state, d_x = d[len(held)], d[len(held) + 1 :]
                return (d_state, [a + b for a, b in zip(d_held, d, strict=False)]), d_x

            one = jax.checkpoint(one, prevent_cse=False)

            def run():
                (d_start, d_held), d_xs = lax.scan(
                    one, (d_first, nothing[1:]), (states, xs, d_out), reverse=True
                )
                return [*d_held, d_start, *d_xs]

            return run

        way, *by = (all_agree(each).astype(jnp.int32) for each in (finite, *mild))
        way *= 1 + sum(by)
        found = lax.switch(way, [back(way) for way in ways[: 2 + len(mild)]])
        by_place = dict(zip(moving.places, found, strict=True))
        return tree.unflatten(by_place.get(i) for i in range(len(leaves)))

    return Rule(lambda *args: forward(*args)[0], forward, backward)


def size_of(size: int, length: int) -> int:
    """Time steps of a chunk: fewer, but not below 16, where much of the last one would be for
    nothing."""
    size = min(size, 2 ** (length - 1).bit_length())
    while size > 16 and -length % size > max(-length % (size // 2), length // 8):
        size //= 2
    return size


class _Example(NamedTuple):
    """The time steps of a chunk, of one example; `held` are the values of the weights."""

    loop: Loop
    matrix: Matrix
    leaf: Leaf
    held: dict[Variable, Any]

    def values(self, now) -> dict[Variable, Any]:
        return self.held | dict(zip(self.loop.streams, now, strict=True))

    def apart(self, now) -> tuple[Steps, ...]:
        """A time step, along each axis along which the matrix is read."""
        aval = self.leaf.old.aval
        reading = interpreted(self.matrix, self.leaf, self.values(now), None)
        vectors = reading.vectors
        pieces = pieces_of(reading.values[self.leaf.new], [axis for _, axis in vectors])
        shape, dtype = long_sizes(aval.shape), dtype_inside(aval.dtype)
        return tuple(steps_of(a, pieces, vectors, shape, dtype) for a in self.matrix.along)

    def emitted(self, now, found) -> list[jax.Array]:
        """What there is of a time step behind the loop, with z of each contraction."""
        values = interpreted(self.matrix, self.leaf, self.values(now), found).values
        made = [values[v] for v in self.loop.emitted]
        return [
            as_given(m if is_array(m) else whole(m), v.aval)
            for v, m in zip(self.loop.emitted, made, strict=True)
        ]

    def fit_for(self, chunk, real) -> list[jax.Array]:
        """Whether products of matrices serve, and where it decays whether quotients do."""
        steps = jax.vmap(self.apart, axis_size=len(real))(chunk)
        fit = [jnp.stack([is_finite(each) for each in steps]).all()]
        if any(d is not None for each in steps for d in each[:3]):
            fit.append(jnp.stack([is_mild(each) for each in steps]).all())
        return fit

    def run(self, way: Way, masked: bool):
        """A chunk of all examples: S [B, ...] and streams [C, B, ...]."""

        def of_chunk(state, chunk, real):
            size = len(real)
            apart = jax.vmap(self.apart, axis_size=size)
            steps = jax.vmap(apart, 1, axis_size=len(state))(chunk)
            found: dict[int, jax.Array] = {}
            news = []
            for along, each in zip(self.matrix.along, steps, strict=True):
                each = _only(real, each) if masked else each
                new, z = _along(along, state, each, way)
                news.append(new)
                found |= dict(zip(along.reads, z, strict=False))
            read = [found[r] for r in range(len(found))]
            finite = jnp.stack([jnp.isfinite(a).all() for a in (news[0], *read)]).all()
            emitted = jax.vmap(self.emitted, axis_size=size)
            out = jax.vmap(emitted, (1, 0), 1, axis_size=len(state))(chunk, read)
            return news[0], out, finite

        return of_chunk

    def of_batch(self):
        """A time step of all examples, as it is written."""
        moving = [self.leaf.old, *self.loop.streams]
        outputs = [self.leaf.new, *self.loop.emitted]
        return over_batch(self.loop.equations, self.held, moving, outputs, {})


def _only(real: jax.Array, steps: Steps) -> Steps:
    """Other time steps neither decay nor write."""

    def where(a, neutral) -> Any:
        if a is None:
            return None
        return jnp.where(real.reshape(1, -1, *[1] * (a.ndim - 2)), a, neutral)

    scalar, key, value = (where(a, 1) for a in steps[:3])
    return steps._replace(scalar=scalar, key=key, value=value, keys=where(steps.keys, 0))


def _along(along: Along, state: jax.Array, steps: Steps, way: Way):
    """S [B, ...] behind a chunk, and z of each contraction along an axis, [B, C, axes of S but that
    one]; of steps [B, C, ...]."""
    count, shape = len(state), long_sizes(state.shape[1:])
    sizes = [shape[a] for a in along.order]
    decays: Any = [None if a is None else 2 for a in steps[:3]]
    others: Any = [3, 3, 3, 4]

    # the heads of all examples along one axis: XLA on a CPU is slower at products of more axes
    def together(a, heads):
        return as_rows(jnp.moveaxis(a, heads, 1))

    ordered = state.reshape(count, *shape)
    ordered = jnp.transpose(ordered, (0, *(1 + a for a in along.order)))
    ordered = ordered.reshape(-1, *along.sizes(shape)[1:])
    new, z = jax.vmap(way)(ordered, jax.tree.map(together, steps, Steps(*decays, *others)))
    new = new.reshape(count, *sizes)
    new = jnp.transpose(new, (0, *(1 + along.order.index(a) for a in range(len(shape)))))
    new = new.reshape(state.shape)
    # [B heads, C, R, M] to R times [B, C, axes of S]
    left = along.order[:-1]
    z = jnp.transpose(z.reshape(count, len(z) // count, *z.shape[1:]), (3, 0, 2, 1, 4))
    z = z.reshape(*z.shape[:3], *sizes[:-1])
    axes = sorted(range(len(left)), key=left.__getitem__)
    return new, jnp.transpose(z, (0, 1, 2, *(3 + a for a in axes)))
