"""S_t = D_t S_{t-1} + (V_t + Z_t F_t) K_t^T out of the terms of what S becomes."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.schedule.matrix.chunks import Steps
from jaxrnn.schedule.matrix.factored import Factor, NotAffine, Value, long_sizes, product, reshaped

Factors = tuple[Factor, ...]


class Pieces(NamedTuple):
    """The terms of what a matrix becomes, each without its core.

    Attributes:
      decay: those of S.
      fed: those of what a contraction gave, by its number.
      written: those without a core.
    """

    decay: list[Factors]
    fed: dict[int, list[Factors]]
    written: list[Factors]


class Along(NamedTuple):
    """S [heads, values, axis], by axes of S: many matrices side by side, each read along one axis.

    Attributes:
      axis: along which it is read.
      heads: over which vectors along `axis` are spread too.
      values: all others.
      reads: the numbers of the contractions along the axis; the first `fed` feed back.
    """

    axis: int
    heads: tuple[int, ...]
    values: tuple[int, ...]
    reads: tuple[int, ...]
    fed: int

    @property
    def order(self) -> tuple[int, ...]:
        return (*self.heads, *self.values, self.axis)

    def sizes(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """Of heads, values and the axis."""
        heads, values = (math.prod(shape[a] for a in axes) for axes in (self.heads, self.values))
        return heads, values, shape[self.axis]


class _Write(NamedTuple):
    """What is written under one key: its factors, the values, and z of each contraction that feeds
    back by how much."""

    keys: list[Factor]
    values: list[Any]
    fed: list[list[Any]]


def pieces_of(value: Value, axes: Sequence[int]) -> Pieces:
    """By axes of S, which are those that are not of size 1.

    Args:
      value: what the matrix becomes.
      axes: of each contraction, the axis along which it was.

    Raises:
      NotAffine: it is not of this form.
    """
    pieces = Pieces([], {}, [])
    value = reshaped(value, long_sizes(value.shape))
    every = tuple(range(len(value.shape)))
    for core, factors in value.terms:
        if core is None:
            pieces.written.append(factors)
        elif core.read is None:
            if core.axes != every:
                raise NotAffine("it is carried on transposed")
            pieces.decay.append(factors)
        elif core.axes != tuple(a for a in every if a != axes[core.read]):
            raise NotAffine("what is read of it feeds back along another axis")
        else:
            pieces.fed.setdefault(core.read, []).append(factors)
    if not pieces.decay and pieces.fed:
        raise NotAffine("it is multiplied by a whole matrix, or one not seen to be a diagonal")
    if not pieces.decay:
        raise NotAffine("its carry does not read itself")
    return pieces


def layouts_of(
    pieces: Pieces, vectors: Sequence[tuple[Factor, int]], shape: Sequence[int]
) -> tuple[Along, ...]:
    """A layout for each axis along which S is read, that along which it feeds back first.

    Raises:
      NotAffine: there is none.
    """
    axes = list(dict.fromkeys([vectors[r][1] for r in pieces.fed] + [axis for _, axis in vectors]))
    if pieces.fed and len(axes) > 1:
        raise NotAffine("what is read of it feeds back, and it is read along several axes")
    return tuple(_along(axis, pieces, vectors, shape) for axis in axes or [len(shape) - 1])


def _along(axis, pieces: Pieces, vectors, shape) -> Along:
    others = {a for a in range(len(shape)) if a != axis}
    shares = [f for terms in pieces.fed.values() for factors in terms for f in factors]
    decay = _merged(pieces.decay)
    spread = {
        "its decay is of each element of the whole matrix": decay,
        "what is added is no sum of outer products": [f for t in pieces.written for f in t],
        "what is read of it feeds back through a whole matrix": shares,
        "it is read by more than a vector": [v for v, along in vectors if along == axis],
    }
    causes = [(cause, [f for f in every if axis in f.axes]) for cause, every in spread.items()]
    # what feeds back is scaled by one number for each matrix: an axis along which it is another is
    # one of heads, too, though the vectors are the same for all
    if pieces.fed:
        causes += [
            ("what feeds back is scaled along the axis that is not read along", shares),
            ("it feeds back, and decays along the axis that is not read along", decay),
        ]
    heads: set[int] = set()
    for cause, factors in causes:
        heads |= {a for f in factors for a in f.axes} - {axis}
        if heads == others:
            raise NotAffine(cause)
    values = others - heads
    reads = [*pieces.fed, *(r for r, (_, along) in enumerate(vectors) if along == axis)]
    return Along(
        axis,
        tuple(sorted(heads)),
        tuple(sorted(values)),
        tuple(dict.fromkeys(reads)),
        len(pieces.fed),
    )


def _merged(decay: list[Factors]) -> list[Factor]:
    """The factors of D; of a sum of several terms one, over the axes of all."""
    if len(decay) == 1:
        return list(decay[0])
    every = tuple(sorted({a for factors in decay for f in factors for a in f.axes}))
    terms = [product(factors, every).array for factors in decay]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    # an axis that none is spread over has size 1 in none
    return [Factor(total, every)]


def steps_of(
    along: Along, pieces: Pieces, vectors: Sequence[tuple[Factor, int]], shape, dtype
) -> Steps:
    """Of one time step, each with an axis of heads in front of N or M, or behind all others:
    [heads], [heads, N], [R, heads, N], [W, F, heads].

    What is written under the same key is written together: a delta rule's v - z under k once.
    """

    heads, values, size = along.sizes(shape)

    def over(factors, axes):
        inside = [f for f in factors if set(f.axes) <= {*along.heads, *axes}]
        order = (*along.heads, *axes)
        array = jnp.transpose(
            product(inside, sorted(order)).array, [sorted(order).index(a) for a in order]
        )
        sizes = [shape[a] for a in order]
        array = jnp.broadcast_to(array, sizes).astype(dtype)
        return array.reshape(heads, *([math.prod(shape[a] for a in axes)] if axes else []))

    def split(factors):
        keys = [f for f in factors if along.axis in f.axes]
        return keys, [f for f in factors if along.axis not in f.axes]

    def stacked(arrays, size):
        # at least one, of zeros: products of nothing have no shape
        return jnp.stack(arrays) if arrays else jnp.zeros((1, heads, size), dtype)

    keys, beside = split(_merged(pieces.decay))
    of_values = [f for f in beside if {*f.axes} & {*along.values}]
    of_heads = [f for f in beside if not {*f.axes} & {*along.values}]
    read = [over([vectors[r][0]], (along.axis,)) for r in along.reads]
    writes: dict[Any, _Write] = {}

    def under(factors):
        keys, beside = split(factors)
        name = tuple(sorted((id(f.array), f.axes) for f in keys))
        return writes.setdefault(name, _Write(keys, [], [[] for _ in range(along.fed)])), beside

    for place, r in enumerate(along.reads[: along.fed]):
        for factors in pieces.fed[r]:
            write, beside = under(factors)
            write.fed[place].append(over(beside, ()))
    for factors in pieces.written:
        write, beside = under(factors)
        write.values.append(over(beside, along.values))
    every = list(writes.values())
    fed = [[sum(f, start=jnp.zeros(heads, dtype)) for f in write.fed] for write in every]
    return Steps(
        scalar=over(of_heads, ()) if of_heads else None,
        key=over(keys, (along.axis,)) if keys else None,
        value=over(of_values, along.values) if of_values else None,
        read=stacked(read, size),
        keys=stacked([over(write.keys, (along.axis,)) for write in every], size),
        values=stacked(
            [sum(w.values, start=jnp.zeros((heads, values), dtype)) for w in every], values
        ),
        fed=jnp.asarray(fed).reshape(max(len(every), 1), along.fed, heads),
    )
