"""The structure of d carry' / d carry, read from the equations of a loop.

It holds for every input: what can be other than zero is found, not measured. Numbers of the carry
that feed each other, directly or through others, are a unit; all of them are one where the
derivative is dense. Where all of the carry is read through fewer numbers z (h' = f(h @ V) with a
narrow V), the derivative is the product of d carry' / d z and d z / d carry.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from jaxrnn.jaxprs.equations import (
    Atom,
    Equation,
    Variable,
    as_function,
    is_float,
    is_variable,
    needed,
    struct_of,
    variables,
)
from jaxrnn.jaxprs.reach import Pattern, reach
from jaxrnn.schedule.linear.affine import MOST, units_of

# The carry is taken apart at z where it has at least so many times as many numbers: below that the
# two factors of the derivative are hardly smaller than their product.
NARROW = 4

Kind = Literal["free", "elementwise", "blocks", "low rank", "dense"]


class Structure(NamedTuple):
    """
    Attributes:
      kind: "free" where no carry reaches the next one.
      units: [units, K], the places of each unit's numbers among all numbers of the carry, a complex
        one counted as two; their count where a unit has fewer.
      narrow: the variables z; none where the rank is not low.
      rank: numbers in z.
      size: of the carry.
    """

    kind: Kind
    units: np.ndarray
    narrow: list[Variable]
    rank: int
    size: int

    @property
    def entries(self) -> int:
        """Numbers kept of the derivative, for an example and time step."""
        if self.narrow:
            return self.rank * (self.rank + 2 * self.size)
        count, each = self.units.shape
        return count * each * each

    def __str__(self) -> str:
        count, each = self.units.shape
        if self.kind == "low rank":
            return f"low rank, {self.rank} numbers through which all {self.size} are read"
        if self.kind == "blocks":
            return f"blocks, {count} of {each} x {each} numbers"
        if self.kind == "dense":
            return f"dense, {each} x {each} numbers"
        return self.kind


def find_structure(
    equations: Sequence[Equation],
    carried: Sequence[Variable],
    targets: Sequence[Atom],
    others: Sequence[Variable],
) -> Structure:
    """Of `targets` to `carried`, all of floats; `others` is what else the equations read."""
    function = as_function(equations, [*carried, *others], targets)
    pattern, _ = reach(function, [struct_of(v) for v in carried], *map(struct_of, others))
    pattern = _in_real_numbers(pattern, carried)
    size = pattern.shape[0]
    if not pattern.nnz:
        return Structure("free", np.arange(size)[:, None], [], 0, size)
    units = units_of(pattern)
    if units.size * units.shape[1] >= size**2:  # few units of very different sizes
        units = np.arange(size)[None]
    each = units.shape[1]
    kind = "elementwise" if each == 1 else "dense" if len(units) == 1 else "blocks"
    found = Structure(kind, units, [], 0, size)
    if each <= MOST:
        return found
    narrow = _narrowest(equations, carried, targets)
    rank = sum(map(numbers_in, narrow))
    thin = Structure("low rank", np.arange(rank)[None], narrow, rank, size)
    return thin if 0 < rank * NARROW <= size and thin.entries < found.entries else found


def numbers_in(atom: Atom) -> int:
    return atom.aval.size * (2 if jnp.issubdtype(atom.aval.dtype, jnp.complexfloating) else 1)


def _in_real_numbers(pattern: Pattern, carried: Sequence[Variable]) -> Pattern:
    """The pattern with a complex number as two real ones, which all reach all."""
    parts = []
    for v in [v for v in carried if v.aval.size]:
        one = sparse.eye(v.aval.size, format="csr", dtype=bool)
        parts.append(sparse.vstack([one] * (numbers_in(v) // v.aval.size)))
    spread = sparse.block_diag(parts, format="csr").astype(np.int32)
    return (spread @ pattern.astype(np.int32) @ spread.T).astype(bool)


def _narrowest(
    equations: Sequence[Equation], carried: Sequence[Variable], targets: Sequence[Atom]
) -> list[Variable]:
    """The variables with the fewest numbers through which the carry is read: a smallest cut of the
    graph of what is made of what, each variable as wide as it has numbers."""
    of_carry = dict.fromkeys(carried)
    edges = []
    for equation in equations:
        inputs = [v for v in variables(equation.invars) if v in of_carry]
        outputs = [v for v in equation.outvars if is_float(v.aval)]
        # what is no float has no derivative, and passes none on
        if inputs and equation.primitive.name != "stop_gradient":
            of_carry.update(dict.fromkeys(outputs))
            edges += [(v, w) for v in inputs for w in outputs]
    place = {v: 2 * i for i, v in enumerate(of_carry)}
    source, sink = 2 * len(place), 2 * len(place) + 1
    wide = 1 + sum(map(numbers_in, place))
    pipes = {(place[v], place[v] + 1): numbers_in(v) for v in place}
    pipes |= {(place[v] + 1, place[w]): wide for v, w in edges}
    pipes |= {(source, place[v]): wide for v in carried}
    pipes |= {(place[v] + 1, sink): wide for v in variables(targets) if v in place}
    (rows, columns), widths = zip(*pipes, strict=True), list(pipes.values())
    shape = (sink + 1, sink + 1)
    capacity = sparse.csr_matrix((np.array(widths, np.int32), (rows, columns)), shape=shape)
    left = capacity - csgraph.maximum_flow(capacity, source, sink).flow
    left.data = left.data > 0
    left.eliminate_zeros()
    behind = set(csgraph.breadth_first_order(left, source, return_predecessors=False).tolist())
    return [v for v, i in place.items() if i in behind and i + 1 not in behind]


class Halves(NamedTuple):
    """The equations of a loop before z and behind it."""

    before: list[Equation]
    behind: list[Equation]


def halved(structure: Structure, equations: Sequence[Equation], targets: Sequence[Atom]) -> Halves:
    made = [v for v in structure.narrow if is_variable(v)]
    return Halves(needed(equations, made, ()), needed(equations, targets, made))


def to_vector(leaves: Sequence[jax.Array]) -> jax.Array:
    """The numbers of one example; of a complex leaf the real parts, then the imaginary ones."""
    parts = []
    for leaf in leaves:
        parts += [leaf.real, leaf.imag] if jnp.iscomplexobj(leaf) else [leaf]
    wide = max((part.dtype for part in parts), key=lambda dtype: jnp.finfo(dtype).bits)
    return jnp.concatenate([part.astype(wide).ravel() for part in parts])


def from_vector(vector: jax.Array, kinds: Sequence[Any]) -> list[jax.Array]:
    """Leaves of these shapes and types."""
    leaves, start = [], 0

    def take(kind):
        nonlocal start
        start += kind.size
        return vector[start - kind.size : start].reshape(kind.shape)

    for kind in kinds:
        real = take(kind)
        both = jnp.issubdtype(kind.dtype, jnp.complexfloating)
        leaves.append((jax.lax.complex(real, take(kind)) if both else real).astype(kind.dtype))
    return leaves
