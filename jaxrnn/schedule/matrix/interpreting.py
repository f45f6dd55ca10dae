"""The equations of a step over values as sums of products (`jaxrnn.schedule.matrix.factored`).

Every way of writing the same product comes to the same: `dot_general` is a multiplication over all
axes of both and a sum, as a broadcast, `*` and `sum` are.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.jaxprs.equations import (
    Atom,
    Equation,
    Variable,
    as_function,
    is_float,
    is_variable,
    operation_of,
    primitives,
)
from jaxrnn.schedule.matrix.contracting import contracted
from jaxrnn.schedule.matrix.factored import (
    Core,
    Factor,
    Known,
    NotAffine,
    Term,
    Value,
    added,
    as_given,
    as_inside,
    compact,
    each_number,
    is_array,
    lifted,
    long_axes,
    multiplied,
    negated,
    rearranged,
    reshaped,
    sliced,
    whole,
    zeros,
)

# What is done to each number by itself. Of a value that is free of the matrix it is done before it
# is broadcast.
ELEMENTWISE = primitives(
    """
    abs sign floor ceil round exp exp2 expm1 log log1p tanh logistic sqrt rsqrt cbrt square
    integer_pow pow sin cos erf max min rem clamp eq ne lt le gt ge and or not xor is_finite
    select_n
    """
)
# What is kept as sums of products.
PRODUCTS = primitives(
    """
    neg add sub add_any mul div dot_general reduce_sum broadcast_in_dim reshape slice squeeze
    transpose convert_element_type copy name
    """
)


def as_large_as_a_matrix(shape: Sequence[int]) -> int:
    """Numbers from which on a value is not made of vectors, but kept as a product of them: of all
    heads or of one, or a matrix by which either axis is multiplied."""
    return min(math.prod(shape[-2:]), sorted(shape)[-2] ** 2)


class Reading:
    """Runs equations over values; notes each contraction of the matrix.

    Args:
      matrix: variable of the matrix.
      dtype: in which floats are worked out.
      known: what there is whatever goes in.
      found: z of each contraction, along the axes of S without the one of the contraction; None
        where they are still to be found.

    Attributes:
      vectors: of each contraction, the vector over axes of S, and the axis of the contraction.
      lifted: arrays that were read as a value.
    """

    def __init__(
        self,
        matrix: Variable,
        dtype: Any,
        known: Mapping[Variable, Known],
        found: Sequence[Any] | None = None,
    ):
        self.large = as_large_as_a_matrix(matrix.aval.shape)
        self.dtype = dtype
        self.found = found
        self.vectors: list[tuple[Factor, int]] = []
        core = Term(Core(None, long_axes(matrix.aval.shape)), ())
        self.known = {v: what.value(v.aval, dtype) for v, what in known.items()}
        self.values: dict[Variable, Any] = {matrix: Value(matrix.aval.shape, (core,))}
        self.lifted: dict[Variable, Value] = {}

    def know(self, values: Mapping[Variable, Any]) -> None:
        self.values.update({v: self.known.get(v, a) for v, a in values.items()})

    def run(self, equation: Equation) -> None:
        """
        Raises:
          NotAffine: what it makes is no sum of products.
        """
        inputs = [self.of(atom) for atom in equation.invars]
        (made,) = equation.outvars if len(equation.outvars) == 1 else (None,)
        if made is None or not self._as_products(equation, inputs, made):
            if any(not is_array(v) and not v.free for v in inputs):
                raise NotAffine(operation_of(equation))
            arrays = [v if is_array(v) else whole(v) for v in inputs]
            arrays = [
                as_given(jnp.asarray(a), atom.aval)
                for a, atom in zip(arrays, equation.invars, strict=True)
            ]
            reads = [a for a in equation.invars if is_variable(a)]
            by_variable = dict(zip(equation.invars, arrays, strict=True)) if reads else {}
            reads = list(dict.fromkeys(reads))
            out = as_function([equation], reads, equation.outvars)(*(by_variable[v] for v in reads))
            self.values.update(zip(equation.outvars, out, strict=True))
            return
        self.values[made] = self._products(equation, inputs, made.aval)

    def of(self, atom: Atom) -> Any:
        return self.values[atom] if is_variable(atom) else atom.val

    def _as_products(self, equation: Equation, inputs: list[Any], made: Variable) -> bool:
        name = equation.primitive.name
        repeated = name == "broadcast_in_dim" and equation.invars[0].aval.size == 1
        if all(is_array(v) for v in inputs) and made.aval.size < self.large and not repeated:
            return False
        return name in PRODUCTS | ELEMENTWISE

    def _products(self, equation: Equation, inputs: list[Any], aval: Any) -> Value:
        name, params = equation.primitive.name, equation.params
        values = [
            self._lifted(atom, v) if is_array(v) else v
            for atom, v in zip(equation.invars, inputs, strict=True)
        ]
        if name in ELEMENTWISE:
            return self._each_number(equation, values, aval)
        if name in _BINARY:
            # a scalar may stand for an array of one number
            values = [v._replace(shape=aval.shape) for v in values]
        if name == "dot_general":
            x, y = values
            return self._dot(x, y, params["dimension_numbers"])
        if name == "reduce_sum":
            return self._summed(values[0], [int(a) for a in params["axes"]])
        if name == "broadcast_in_dim":
            if _is_zero(equation.invars[0]):
                return zeros(aval.shape)
            places = [int(a) for a in params["broadcast_dimensions"]]  # NumPy's, some of them
            return rearranged(values[0], places.__getitem__, aval.shape)
        if name == "transpose":
            place = {int(old): new for new, old in enumerate(params["permutation"])}
            return rearranged(values[0], place.__getitem__, aval.shape)
        if name in ("reshape", "squeeze"):
            return self._reshaped(values[0], aval.shape)
        if name == "slice":
            return self._sliced(values[0], params)
        if name == "convert_element_type":
            return self._converted(values[0], equation, aval)
        return _BINARY[name](*values) if name in _BINARY else _UNARY[name](values[0])

    def _lifted(self, atom: Atom, array: Any) -> Value:
        """The same factor wherever it is read: what is written under one key is known by that."""
        if not is_variable(atom):
            return lifted(array, atom.aval.shape, self.dtype)
        if atom not in self.lifted:
            self.lifted[atom] = lifted(array, atom.aval.shape, self.dtype)
        return self.lifted[atom]

    def _each_number(self, equation: Equation, values: list[Value], aval: Any) -> Value:
        name = equation.primitive.name
        diagonal = name == "select_n" and _is_identity(values[0])
        if all(v.free for v in values) and not diagonal and not _chooses_products(name, values):
            kinds = [atom.aval for atom in equation.invars]

            def function(*arrays):
                arrays = [as_inside(a, kind) for a, kind in zip(arrays, kinds, strict=True)]
                return equation.primitive.bind(*arrays, **equation.params)

            return each_number(function, values, self.dtype)
        if name != "select_n" or len(values) != 3 or not values[0].free:
            raise NotAffine(name)
        which, *cases = values
        which = which._replace(shape=aval.shape)
        shares = [
            each_number(
                lambda a, k=k: (a.astype(bool) == bool(k)).astype(self.dtype), [which], self.dtype
            )
            for k in (0, 1)
        ]
        if diagonal:
            ((eye,),) = (term.factors for term in which.terms)
            own = (eye._replace(array=eye.array.astype(self.dtype)),)
            shares[1] = which._replace(terms=(Term(None, own),))
        parts = [multiplied(c, share) for c, share in zip(cases, shares, strict=True)]
        return added(*(p._replace(shape=aval.shape) for p in parts))

    def _converted(self, value: Value, equation: Equation, aval: Any) -> Value:
        if is_float(aval) and is_float(equation.invars[0].aval):
            return value  # inside all are of one type
        if not value.free:
            raise NotAffine("convert_element_type")
        return each_number(lambda a: a.astype(aval.dtype), [value], self.dtype)

    def _sliced(self, value: Value, params: Any) -> Value:
        if any(n != 1 for n in params["strides"] or ()):
            raise NotAffine("slice")
        ends = zip(params["start_indices"], params["limit_indices"], value.shape, strict=True)
        for axis, (start, stop, size) in enumerate(ends):
            if (start, stop) != (0, size):
                value = sliced(value, axis, start, stop)
        return value

    def _reshaped(self, value: Value, shape: Sequence[int]) -> Value:
        try:
            return reshaped(value, shape)
        except NotAffine:
            if not value.free:
                raise
            return lifted(whole(value).reshape(shape), shape, self.dtype)

    def _dot(self, x: Value, y: Value, numbers: Any) -> Value:
        """Over all axes of both: of the batch, of x alone, of y alone, the contracted ones."""
        (of_x, of_y), (batch_x, batch_y) = jax.tree.map(int, numbers)
        own_x = [i for i in range(len(x.shape)) if i not in (*of_x, *batch_x)]
        own_y = [i for i in range(len(y.shape)) if i not in (*of_y, *batch_y)]
        every_x, every_y = [*batch_x, *own_x, *of_x], [*batch_y, *own_y, *of_y]
        shape = [*(x.shape[i] for i in (*batch_x, *own_x)), *(y.shape[i] for i in own_y)]
        free = len(shape)
        shape += [x.shape[i] for i in of_x]
        start_y, batch = len(batch_x) + len(own_x), len(batch_x)
        place_x = {a: i if i < start_y else i + len(own_y) for i, a in enumerate(every_x)}
        place_y = {a: i if i < batch else i + len(own_x) for i, a in enumerate(every_y)}
        both = multiplied(
            rearranged(x, place_x.__getitem__, shape), rearranged(y, place_y.__getitem__, shape)
        )
        return self._summed(both, range(free, len(shape)))

    def _summed(self, value: Value, axes: Sequence[int]) -> Value:
        for axis in sorted(axes, reverse=True):
            value = contracted(value, axis, self._read)
        return value

    def _read(self, core: Core, vector: Factor, axis: int) -> Term:
        axes = core.axes or ()
        if any(a not in axes for a in vector.axes):
            raise NotAffine("a product with a matrix")
        place = {a: i for i, a in enumerate(axes)}
        own = sorted((place[a], i) for i, a in enumerate(vector.axes))
        array = jnp.transpose(vector.array, [i for _, i in own])
        along = place[axis]
        self.vectors.append((Factor(array, tuple(p for p, _ in own)), along))
        left = [a for a in axes if a != axis]
        if self.found is None:
            return Term(Core(len(self.vectors) - 1, tuple(left)), ())
        z = self.found[len(self.vectors) - 1]
        order = sorted(range(len(left)), key=left.__getitem__)
        z = jnp.transpose(z, order)
        return Term(None, (Factor(z, tuple(sorted(left))),))


def _chooses_products(name: str, values: list[Value]) -> bool:
    """Whether outer products are left out by what is spread over an axis at most, a mask: they stay
    products."""
    if name != "select_n":
        return False
    mask, *cases = ([[f.axes for f in t.factors if f.axes] for t in v.terms] for v in values)
    return len({a for term in mask for axes in term for a in axes}) <= 1 and any(
        len(term) > 1 for case in cases for term in case
    )


def _is_identity(value: Value) -> bool:
    """Whether it is an identity matrix by itself."""
    return len(value.terms) == 1 and [f.identity for f in value.terms[0].factors] == [True]


def _is_zero(atom: Atom) -> bool:
    return not is_variable(atom) and is_float(atom.aval) and not np.any(atom.val)


def _divided(value: Value, by: Value) -> Value:
    if not by.free:
        raise NotAffine("div")
    terms = [f for t in by.terms for f in t.factors]
    if len(by.terms) == 1:
        inverse = tuple(Factor(1 / f.array, f.axes) for f in terms)
        return multiplied(value, Value(by.shape, (Term(None, inverse),)))
    axes = sorted({a for f in terms for a in f.axes})
    inverse = Factor(1 / compact(by, axes), tuple(axes))
    return multiplied(value, Value(by.shape, (Term(None, (inverse,)),)))


_BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "add": added,
    "add_any": added,
    "sub": lambda a, b: added(a, negated(b)),
    "mul": multiplied,
    "div": _divided,
}
_UNARY: dict[str, Callable[[Value], Value]] = {
    "neg": negated,
    "copy": lambda a: a,
    "name": lambda a: a,
}
