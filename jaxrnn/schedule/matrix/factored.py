"""Values as sums of products: what a step makes of a matrix S, without ever forming a matrix.

A term is a product of small arrays, each spread over some axes of the value, and at most once of
the core: S itself, or z = S w, what a contraction of S with a vector gave.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.jaxprs.equations import is_float


class NotAffine(Exception):
    """Why a value is no sum of such products; `str()` is a line."""


class Factor(NamedTuple):
    """An array spread over those axes of the value, in ascending order; none is of size 1.

    Attributes:
      identity: whether it is 1 where its two axes agree, and 0 elsewhere.
      one: where it is 1 along its only axis, and 0 elsewhere; None for another.
    """

    array: Any
    axes: tuple[int, ...]
    identity: bool = False
    one: int | None = None


class Core(NamedTuple):
    """S, or what a contraction of it gave, along those axes of the value, one for each of its own
    that is not of size 1.

    Attributes:
      read: the number of the contraction; None for S itself.
      axes: of the value; None where z was contracted in turn.
    """

    read: int | None
    axes: tuple[int, ...] | None


class Term(NamedTuple):
    core: Core | None
    factors: tuple[Factor, ...]

    def moved(self, place: Callable[[int], int]) -> "Term":
        """With other axes."""
        core = self.core
        if core is not None and core.axes is not None:
            core = core._replace(axes=tuple(map(place, core.axes)))
        return Term(core, tuple(_spread(f, map(place, f.axes)) for f in self.factors))


class Value(NamedTuple):
    shape: tuple[int, ...]
    terms: tuple[Term, ...]

    @property
    def of_matrix(self) -> bool:
        """Whether S itself is in it."""
        return any(t.core is not None and t.core.read is None for t in self.terms)

    @property
    def free(self) -> bool:
        return all(t.core is None for t in self.terms)


def lifted(array: Any, shape: Sequence[int], dtype: Any) -> Value:
    """Of an array of that shape, or a scalar in its place; floats in that type."""
    array = jnp.asarray(array)
    if jnp.issubdtype(array.dtype, jnp.inexact) and array.dtype != dtype:
        array = array.astype(dtype)
    return Value(tuple(shape), (Term(None, (Factor(squeezed(array), long_axes(array.shape)),)),))


class Known(NamedTuple):
    """What there is whatever goes in: an identity matrix along two axes, the same all along the
    others; zeros where there are none."""

    axes: tuple[int, ...] = ()

    def value(self, kind: Any, dtype: Any) -> Value:
        """Floats in that type."""
        if not self.axes:
            return zeros(kind.shape)
        eye = jnp.eye(kind.shape[self.axes[0]], dtype=dtype if is_float(kind) else kind.dtype)
        return Value(kind.shape, (Term(None, (Factor(eye, self.axes, identity=True),)),))


def zeros(shape: Sequence[int]) -> Value:
    return Value(tuple(shape), ())


def long_axes(shape: Sequence[int]) -> tuple[int, ...]:
    """Those that are not of size 1."""
    return tuple(i for i, n in enumerate(shape) if n != 1)


def long_sizes(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def squeezed(array: Any) -> Any:
    """The same array where there is nothing to squeeze."""
    shape = long_sizes(array.shape)
    return array if len(shape) == array.ndim else array.reshape(shape)


def _spread(factor: Factor, axes: Any) -> Factor:
    axes = tuple(axes)
    order = sorted(range(len(axes)), key=axes.__getitem__)
    array = factor.array
    if order != list(range(len(axes))):
        array = jnp.transpose(array, order)
    return factor._replace(array=array, axes=tuple(axes[i] for i in order))


def product(factors: Sequence[Factor], axes: Sequence[int] | None = None) -> Factor:
    """Their product over the axes of all, or over `axes`, to which each is aligned by size 1."""
    every = tuple(sorted({a for f in factors for a in f.axes})) if axes is None else tuple(axes)

    def aligned(factor):
        sizes = dict(zip(factor.axes, factor.array.shape, strict=True))
        return factor.array.reshape([sizes.get(a, 1) for a in every])

    arrays = [aligned(f) for f in factors]
    if not arrays:
        return Factor(jnp.asarray(1).reshape((1,) * len(every)), every)
    return Factor(functools.reduce(operator.mul, arrays), every)


def compact(value: Value, axes: Sequence[int]) -> Any:
    """A free value as an array over some of its axes, of size 1 along the others."""
    if not value.free:
        raise NotAffine("a value that reads it where none may")
    if not value.terms:
        return jnp.asarray(0).reshape((1,) * len(axes))
    arrays = [product(t.factors, axes).array for t in value.terms]
    return functools.reduce(operator.add, arrays)


def whole(value: Value) -> Any:
    """A free value as the array that it is."""
    return jnp.broadcast_to(compact(value, range(len(value.shape))), value.shape)


def negated(value: Value) -> Value:
    return value._replace(terms=tuple(_times(t, Factor(jnp.asarray(-1), ())) for t in value.terms))


def added(one: Value, other: Value) -> Value:
    return Value(one.shape, one.terms + other.terms)


def multiplied(one: Value, other: Value) -> Value:
    if not (one.free or other.free):
        raise NotAffine("a product of two values that read it")
    terms = [
        Term(a.core if b.core is None else b.core, a.factors + b.factors)
        for a in one.terms
        for b in other.terms
    ]
    return Value(one.shape, tuple(terms))


def each_number(function: Callable[..., Any], values: Sequence[Value], dtype: Any) -> Value:
    """An elementwise function of free values, over no more axes than they are spread over."""
    axes = sorted({a for v in values for t in v.terms for f in t.factors for a in f.axes})
    shape = max((v.shape for v in values), key=len)
    arrays = [compact(v, axes) for v in values]
    sizes = jnp.broadcast_shapes(*(a.shape for a in arrays))
    made = jnp.asarray(function(*(jnp.broadcast_to(a, sizes) for a in arrays)))
    if jnp.issubdtype(made.dtype, jnp.inexact):
        made = made.astype(dtype)
    return Value(shape, (Term(None, (Factor(made, tuple(axes)),)),))


def rearranged(value: Value, place: Callable[[int], int], shape: Sequence[int]) -> Value:
    return Value(tuple(shape), tuple(t.moved(place) for t in value.terms))


def reshaped(value: Value, shape: Sequence[int]) -> Value:
    """Axes of size 1 come and go."""
    old, new = long_axes(value.shape), long_axes(shape)
    if [value.shape[i] for i in old] != [shape[i] for i in new]:
        raise NotAffine("reshape of it")
    return rearranged(value, dict(zip(old, new, strict=True)).__getitem__, shape)


def sliced(value: Value, axis: int, start: int, stop: int) -> Value:
    """From one place of an axis to another.

    Raises:
      NotAffine: it is an axis of S, or of what was read of it.
    """
    terms = []
    for core, factors in value.terms:
        if core is not None and axis in (core.axes or ()):
            raise NotAffine("slice")
        if all(f.one is None or f.axes != (axis,) or start <= f.one < stop for f in factors):
            terms.append(Term(core, tuple(_sliced(f, axis, start, stop) for f in factors)))
    shape = (*value.shape[:axis], stop - start, *value.shape[axis + 1 :])
    return Value(shape, tuple(terms))


def _sliced(factor: Factor, axis: int, start: int, stop: int) -> Factor:
    if axis not in factor.axes:
        return factor
    places = [slice(start, stop) if a == axis else slice(None) for a in factor.axes]
    array = factor.array[tuple(places)]
    axes = tuple(a for a, n in zip(factor.axes, array.shape, strict=True) if n != 1)
    one = None if factor.one is None or not axes else factor.one - start
    return Factor(squeezed(array), axes, one=one)


def _times(term: Term, factor: Factor) -> Term:
    return term._replace(factors=(*term.factors, factor))


def is_array(value: Any) -> bool:
    return not isinstance(value, Value)


def dtype_inside(dtype: Any) -> Any:
    """In which products are summed: of narrow floats float32."""
    return jnp.dtype(dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32)


def as_inside(array: Any, kind: Any) -> Any:
    """As wide as inside, but real where the step has it real: beside a complex matrix all is
    complex, and what compares or takes a root does something else then."""
    if not is_float(kind):
        return array
    real = not jnp.issubdtype(kind.dtype, jnp.complexfloating)
    return (jnp.real(array) if real else array).astype(dtype_inside(kind.dtype))


def as_given(array: Any, kind: Any) -> Any:
    """As the step has it."""
    return as_inside(array, kind).astype(kind.dtype) if is_float(kind) else array
