"""Functions with a backward pass of their own that every transformation of JAX takes.

`jax.custom_vjp` raises where it meets `jax.jvp`. A primitive of `jax.experimental.hijax` has both
rules: the backward pass is the given one, the forward derivative that of the plain function or one
that is given too.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.schedule.devices import zeros
from jaxrnn.unstable import HiPrimitive, Zero


class Rule(NamedTuple):
    """A pure function of arrays, or trees of them, and its backward pass.

    Attributes:
      function: (*args) -> out.
      forward: (*args) -> (out, kept), where derivatives are taken.
      backward: (args, kept, cotangents) -> the arguments' cotangents, a tuple of trees like them.
        `cotangents` is like out, with None in place of zero; so is what it returns.
      mapped: (args, axes, size) -> (out, out_axes), the function under `jax.vmap` where there is a
        better way than mapping each of these; `axes` is like args, None where an argument is the
        same for all, and `out_axes` like out.
      tangent: (args, out, tangents) -> the tangent of out, where there is a better way than that of
        the plain function; `tangents` is like args, with None in place of zero, and out is of
        floats alone.
    """

    function: Callable[..., Any]
    forward: Callable[..., Any]
    backward: Callable[[Any, Any, Any], Any]
    mapped: Callable[[Any, Any, int], Any] | None = None
    tangent: Callable[[Any, Any, Any], Any] | None = None


def apply_rule(rule: Rule, *args: Any) -> Any:
    """`rule.function(*args)`, whose backward pass is the rule's."""
    return _Ruled(rule, args)(*args)


@jax.tree_util.register_static
class Moving(NamedTuple):
    """Which leaves of the arguments have a tangent. The others are constants of the function whose
    derivative is taken: JAX has rules that take no tangent of some argument, not even zeros."""

    places: tuple[int, ...]

    def apart(self, function: Callable[..., Any], primals: Any) -> tuple[Callable, list[Any]]:
        """The function of these leaves alone, and their values."""
        leaves, tree = jax.tree.flatten(primals)

        def of_these(numbers):
            changed = dict(zip(self.places, numbers, strict=True))
            return function(*tree.unflatten(changed.get(i, a) for i, a in enumerate(leaves)))

        return of_these, [leaves[i] for i in self.places]

    def taken(self, tangents: Any) -> list[Any]:
        leaves = jax.tree.leaves(tangents, is_leaf=_is_zero)
        return [_made(leaves[i]) for i in self.places]


def _made(tangent: Any) -> Any:
    """Zeros for what JAX knows to be zero."""
    if not _is_zero(tangent):
        return tangent
    if tangent.aval.dtype == jax.dtypes.float0:
        return np.zeros(tangent.aval.shape, jax.dtypes.float0)
    return zeros(tangent.aval)


def _is_zero(a: Any) -> bool:
    return isinstance(a, Zero)


def _nones(tree: Any) -> Any:
    """None for what JAX knows to be zero."""
    return jax.tree.map(lambda d: None if _is_zero(d) else d, tree, is_leaf=_is_zero)


def _is_none(a: Any) -> bool:
    return a is None


class _Ruled(HiPrimitive):
    rule: Rule
    # where no argument has a tangent, the output has none either: JAX 0.12 asks all the same
    skip_linearization_on_zero_tangents = True

    def __init__(self, rule: Rule, args: Any):
        self.in_avals = jax.tree.map(jax.typeof, args)
        self.out_aval = jax.tree.map(jax.typeof, jax.eval_shape(rule.function, *args))
        self.params = {"rule": rule}
        super().__init__()

    def __hash__(self):
        return id(self.rule)

    def __eq__(self, other):
        return self is other

    def expand(self, *args):
        return self.rule.function(*args)

    def jvp(self, primals, tangents):
        if self.rule.tangent is not None:
            out = self(*primals)
            return out, self.rule.tangent(primals, out, _nones(tangents))
        there = [not _is_zero(a) for a in jax.tree.leaves(tangents, is_leaf=_is_zero)]
        moving = Moving(tuple(i for i, is_there in enumerate(there) if is_there))
        function, numbers = moving.apart(self.expand, primals)
        return jax.jvp(function, (numbers,), (moving.taken(tangents),))

    def lin(self, nzs_in, *primals):
        if self.rule.tangent is not None:
            out = self(*primals)
            return out, (primals, out)
        moving = Moving(tuple(i for i, has in enumerate(jax.tree.leaves(nzs_in)) if has))
        function, numbers = moving.apart(self.expand, primals)
        out, linear = jax.linearize(function, numbers)
        return out, (linear, moving)

    def linearized(self, residuals, *tangents):
        if self.rule.tangent is not None:
            primals, out = residuals
            return self.rule.tangent(primals, out, _nones(tangents))
        linear, moving = residuals
        return linear(moving.taken(tangents))

    def batch(self, axis_data, args, dims):
        if all(d is None for d in jax.tree.leaves(dims, is_leaf=_is_none)):
            return self(*args), jax.tree.map(lambda _: None, self.out_aval)
        if self.rule.mapped is not None:
            return self.rule.mapped(args, dims, axis_data.size)
        rule = _over_members(self.rule, dims, axis_data)
        return apply_rule(rule, *args), jax.tree.map(lambda _: 0, self.out_aval)

    def vjp_fwd(self, nzs_in, /, *args):
        out, kept = self.rule.forward(*args)
        return out, (args, kept)

    def vjp_bwd(self, res, outgrad, /, *arg_accums):
        args, kept = res
        found = self.rule.backward(args, kept, _nones(outgrad))
        accumulators, tree = jax.tree.flatten(arg_accums)
        for accumulator, d in zip(accumulators, tree.flatten_up_to(found), strict=True):
            if d is not None and hasattr(accumulator, "accum"):
                accumulator.accum(d)

    def transpose(self, out_ct, *maybe_accums):
        """Where the derivative of something is this itself, in arguments that it is linear in: its
        backward pass at zeros of these."""
        given, tree = jax.tree.flatten(maybe_accums)
        linear = Moving(tuple(i for i, a in enumerate(given) if hasattr(a, "accum")))
        at = [
            zeros(a) if i in linear.places else given[i] for i, a in enumerate(self.in_avals_flat)
        ]
        function, numbers = linear.apart(lambda *args: self(*args), tree.unflatten(at))
        _, pull = jax.vjp(function, numbers)
        (found,) = pull(jax.tree.map(_made, out_ct, is_leaf=_is_zero))
        for i, d in zip(linear.places, found, strict=True):
            given[i].accum(d)


def _over_members(rule: Rule, axes: Any, axis_data: Any) -> Rule:
    """The rule of many members at once. An argument that is the same for all stays one, and its
    cotangent is summed over the members."""
    vmap = functools.partial(
        jax.vmap,
        axis_size=axis_data.size,
        axis_name=axis_data.name,
        spmd_axis_name=axis_data.spmd_name or axis_data.explicit_mesh_axis,
    )
    each = jax.tree.leaves(axes, is_leaf=_is_none)

    def backward(args, kept, cotangents):
        tree = jax.tree.structure(args)

        def flat(args, kept, cotangents):
            return tree.flatten_up_to(rule.backward(args, kept, cotangents))

        found = vmap(flat, in_axes=(axes, 0, 0))(args, kept, cotangents)
        back = [
            d if d is None else d.sum(0) if axis is None else jnp.moveaxis(d, 0, axis)
            for d, axis in zip(found, each, strict=True)
        ]
        return jax.tree.unflatten(tree, back)

    one_tangent = rule.tangent

    def tangent(args, out, tangents):
        assert one_tangent is not None
        moving = jax.tree.unflatten(
            jax.tree.structure(args),
            [
                None if d is None else axis
                for d, axis in zip(jax.tree.leaves(tangents, is_leaf=_is_none), each, strict=True)
            ],
        )
        return vmap(one_tangent, in_axes=(axes, 0, moving))(args, out, tangents)

    return Rule(
        vmap(rule.function, in_axes=axes),
        vmap(rule.forward, in_axes=axes),
        backward,
        tangent=None if one_tangent is None else tangent,
    )
