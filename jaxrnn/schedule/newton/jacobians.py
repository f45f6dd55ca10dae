"""d carry' / d carry of all time steps, in the structure that it has, and the linear recurrences
over it: h_t = J_t h_(t-1) + b_t, and the one that goes back through this one."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.jaxprs.equations import Atom, Equation, Variable, as_function, struct_of
from jaxrnn.schedule.devices import vary_like
from jaxrnn.schedule.linear.blocks import in_parallel, recurrence, shifted, transposed
from jaxrnn.schedule.newton.structure import Structure, from_vector, halved, to_vector
from jaxrnn.unstable import jaxprs_in

# What has a backward pass alone: no derivative goes forward through it.
BACKWARD_ALONE = "custom_vjp_call"

# J in parts, each [T, B, ...]: blocks [units, K, K]; or d carry' / d z [N, R] and d z / d carry
# [R, N], N numbers in the carry.
Parts = tuple[jax.Array, ...]


class Jacobian(NamedTuple):
    """The derivative of the equations of a loop, `targets` to `carried`; the equations read `held`
    at every time step and `moving` besides."""

    structure: Structure
    equations: Sequence[Equation]
    carried: Sequence[Variable]
    targets: Sequence[Atom]
    held: Sequence[Variable]
    moving: Sequence[Variable]

    def at(self, before: jax.Array, held: Sequence[Any], moving: Sequence[Any]) -> Parts:
        """At the numbers [N] of the carry of one example and time step."""
        around = [*held, *moving]
        kinds = [struct_of(v) for v in self.carried]
        if self.structure.narrow:
            return self._through_the_narrow(before, around, kinds)
        inputs = [*self.carried, *self.held, *self.moving]
        function = as_function(self.equations, inputs, self.targets)
        units = self.structure.units

        def of_carry(numbers):
            return to_vector(function(*from_vector(numbers, kinds), *around))

        # one direction for the first number of every unit, one for the second, and so on
        ways = np.stack(
            [np.isin(np.arange(len(before)), units[:, j]) for j in range(units.shape[1])]
        )
        ways = vary_like(jnp.asarray(ways, before.dtype), before)
        backward = only_backward(self.equations)
        found = (_rows if backward else _columns)(of_carry, before, ways)
        padded = jnp.concatenate([found, jnp.zeros_like(found[:, :1])], 1)
        blocks = padded[:, units]  # [K, units, K], of the direction, by what is read
        return (jnp.moveaxis(blocks, 0, 1 if backward else 2),)

    def _through_the_narrow(self, before, around, kinds) -> Parts:
        narrow = self.structure.narrow
        halves = halved(self.structure, self.equations, self.targets)
        inputs = [*self.carried, *self.held, *self.moving]
        into = as_function(halves.before, inputs, narrow)
        out_of = as_function(halves.behind, [*narrow, *inputs], self.targets)
        leaves = from_vector(before, kinds)
        z = to_vector(into(*leaves, *around))
        shapes = [struct_of(v) for v in narrow]

        def read(numbers):
            return to_vector(into(*from_vector(numbers, kinds), *around))

        def of_z(numbers):
            return to_vector(out_of(*from_vector(numbers, shapes), *leaves, *around))

        ways = vary_like(jnp.eye(len(z), dtype=z.dtype), z)
        return _columns(of_z, z, ways).T, _rows(read, before, ways)

    def solve(self, parts: Parts, b: jax.Array) -> jax.Array:
        """h_t = J_t h_(t-1) + b_t [T, B, N], nothing before the first time step."""
        return self._solved(parts, b, recurrence)

    def try_to_solve(self, parts: Parts, b: jax.Array) -> jax.Array:
        """The same, in parallel, finite or not."""
        return self._solved(parts, b, in_parallel)

    def solve_back(self, parts: Parts, b: jax.Array) -> jax.Array:
        """h_t = J_(t+1)^T h_(t+1) + b_t, nothing behind the last time step."""
        if not self.structure.narrow:
            (blocks,) = parts
            new = recurrence(transposed(blocks), self._in_units(b), reverse=True)
            return self._as_numbers(new)
        out_of, into = (jnp.flip(shifted(a, jnp.zeros_like(a[0]), True), 0) for a in parts)
        return jnp.flip(_by_z(into.mT, out_of.mT, jnp.flip(b, 0), recurrence), 0)

    def _solved(self, parts: Parts, b: jax.Array, recur: Callable[..., jax.Array]) -> jax.Array:
        if self.structure.narrow:
            out_of, into = parts
            return _by_z(out_of, into, b, recur)
        (blocks,) = parts
        return self._as_numbers(recur(blocks, self._in_units(b)))

    def _in_units(self, b: jax.Array) -> jax.Array:
        padded = jnp.concatenate([b, jnp.zeros_like(b[..., :1])], -1)
        return padded[..., self.structure.units]

    def _as_numbers(self, h: jax.Array) -> jax.Array:
        units, size = self.structure.units, self.structure.size
        place = np.zeros(size + 1, int)
        place[units.ravel()] = np.arange(units.size)
        return h.reshape(*h.shape[:-2], units.size)[..., place[:size]]


def _by_z(out_of: jax.Array, into: jax.Array, b: jax.Array, recur) -> jax.Array:
    """The recurrence over what is read of h: z_t = Q_t h_(t-1), where J = P Q."""
    before = shifted(out_of, jnp.zeros_like(out_of[0])), shifted(b, jnp.zeros_like(b[0]))
    a = jnp.matmul(into, before[0], precision="highest")
    z = recur(a, _times(into, before[1]))
    return _times(out_of, z) + b


def _times(matrices: jax.Array, vectors: jax.Array) -> jax.Array:
    return jnp.matmul(matrices, vectors[..., None], precision="highest")[..., 0]


def _columns(function, at, ways) -> jax.Array:
    """The derivative in each of the directions."""
    _, push = jax.linearize(function, at)
    return jax.vmap(push)(ways)


def _rows(function, at, ways) -> jax.Array:
    """What each of the directions of the result reads."""
    _, pull = jax.vjp(function, at)
    return jax.vmap(lambda way: pull(way)[0])(ways)


def only_backward(equations: Sequence[Equation]) -> bool:
    """Whether a derivative has to go backwards."""
    return any(
        e.primitive.name == BACKWARD_ALONE
        or any(only_backward(inner.eqns) for inner in jaxprs_in(e))
        for e in equations
    )
