"""A recurrence for all time steps at once, by Newton's method, with a certificate.

Of a guess s at the carries of all time steps the residual is r_t = step(s_(t-1)) - s_t. An
iteration takes every time step for linear around its guess, and solves for what has to be added:
d_t = J_t d_(t-1) + r_t, by an associative scan. Near the solution the number of right digits
doubles each time. Each example iterates by itself, until its residual and its last correction,
which is what it was wrong by, are of the size of rounding.

Damping: where the residual grows more than `GROWTH` times, or is not finite, the step is taken back
and J is halved for the next one. J = 0 makes one more time step right with each iteration, however
the recurrence behaves; a J that is too large makes none right.

At the solution the derivative is that of the recurrence itself, by one linear recurrence more,
forwards or backwards.

Reference: Lim et al. (2024), "Parallelizing non-linear sequential models over the sequence length",
https://arxiv.org/abs/2309.12252; Gonzalez et al. (2024), https://arxiv.org/abs/2407.19115, where J
is damped too; Danieli et al. (2025), https://arxiv.org/abs/2510.21450
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrnn.base import Carry, Params, Size, X, Y
from jaxrnn.jaxprs.equations import as_function, is_float, struct_of
from jaxrnn.schedule.agreeing import all_agree
from jaxrnn.schedule.devices import vary_like
from jaxrnn.schedule.linear.blocks import shifted
from jaxrnn.schedule.newton.jacobians import Jacobian
from jaxrnn.schedule.newton.structure import from_vector, numbers_in, to_vector
from jaxrnn.schedule.reading import Step
from jaxrnn.schedule.rules import Moving, Rule, apply_rule
from jaxrnn.schedule.running import Solver, run_loops, run_plan
from jaxrnn.schedule.scanning import as_in_loop
from jaxrnn.schedule.stages import Loop, Plan

MOST_ITERATIONS = 64
"""After so many the plain loop runs."""
GROWTH = 10
"""How many times the residual may grow in an iteration. It does grow, at first and at time steps
that come late, where no larger one helps: with 1.5 a GRU of large weights stood still for ever."""
RESIDUAL, ERROR = 32, 64
"""Units of rounding, relative to a leaf's largest number: the largest residual, and the largest
last correction. In single precision these are 4e-6 and 8e-6."""


class Certificate(NamedTuple):
    """What the iterations over a loop came to, for each example [B].

    Attributes:
      converged: whether both tolerances hold.
      iterations: how many were done, the last of which shows that it is over.
      residual: the largest |step(s_(t-1)) - s_t|, relative to the largest number of its leaf.
      error: the largest number of the last correction, in the same way.
      damping: the smallest factor of J.
    """

    converged: jax.Array
    iterations: jax.Array
    residual: jax.Array
    error: jax.Array
    damping: jax.Array


class _Guess(NamedTuple):
    s: jax.Array
    factor: jax.Array
    certificate: Certificate
    rounds: jax.Array
    going: jax.Array


def run_newton(
    step: Step,
    plan: Plan,
    params: Params,
    carry: Carry,
    xs: X,
    emit: Size,
    plain: Callable[[Params, Carry, X], tuple[Carry, Y]],
) -> tuple[Carry, Y]:
    """Like `run_plan`; what `plain` gives, where some loop of some example does not converge."""
    found, certificates = iterate(step, plan, params, carry, xs)
    given = params, carry, xs
    if not certificates:
        return _at(step, plan, found, emit)(*given)
    converged = all_agree(jnp.stack([each.converged.all() for each in certificates]))
    # nothing of the branch that is not taken is kept for the backward pass
    plain = jax.checkpoint(plain, prevent_cse=False)
    return lax.cond(converged, _at(step, plan, found, emit), plain, *given)


def _at(step: Step, plan: Plan, found: list[jax.Array], emit: Size):
    def run(params, carry, xs):
        left = iter(found)

        def known(loop, weights, first, streams, length):
            return _at_solution(_Loop(loop, length), next(left), weights, first, streams)

        return run_plan(step, plan, params, carry, xs, emit, _unless_free(known))

    return run


def iterate(
    step: Step, plan: Plan, params: Params, carry: Carry, xs: X
) -> tuple[list[jax.Array], list[Certificate]]:
    """The numbers [T, B, N] of the carry of each loop that is solved, in the order of the plan, and
    how far the iterations got. A loop behind one that did not converge is not begun."""
    step = step._replace(closed_over=lax.stop_gradient(step.closed_over))
    found, certificates = [], []

    def solve(loop, weights, first, streams, length):
        problem = _Loop(loop, length)
        before = [each.converged for each in certificates]
        s, certificate = _iterated(problem, weights, first, streams, before)
        found.append(s)
        certificates.append(certificate)
        return problem.leaves(s)

    given = lax.stop_gradient((params, carry, xs))
    run_loops(step, plan, *given, _unless_free(solve))
    return found, certificates


def _unless_free(solve: Solver) -> Solver:
    """Where no carry reaches the next one all are there after one step, whatever is before it."""

    def solver(loop, weights, first, streams, length):
        if loop.newton.kind != "free":
            return solve(loop, weights, first, streams, length)
        problem = _Loop(loop, length)
        return problem.leaves(problem.from_first(weights, first, streams))

    return solver


class _Loop(NamedTuple):
    """A loop as a function of the numbers of its carry, [T, B, N]."""

    loop: Loop
    length: int

    @property
    def jacobian(self) -> Jacobian:
        loop = self.loop
        assert loop.newton is not None
        return Jacobian(
            loop.newton, loop.equations, loop.carried, loop.targets, loop.weights, loop.streams
        )

    @property
    def epsilon(self) -> float:
        """A unit of rounding of the narrowest leaf."""
        return max(float(jnp.finfo(v.aval.dtype).eps) for v in self.loop.carried)

    def leaves(self, numbers: jax.Array) -> list[jax.Array]:
        kinds = [struct_of(v) for v in self.loop.carried]
        return jax.vmap(jax.vmap(lambda each: from_vector(each, kinds)))(numbers)

    def over_time(self, function, before, weights, streams):
        """`function` of the carry, the weights and the streams of an example at a time step."""
        over_examples = jax.vmap(function, (0, None, 0))
        everywhere = jax.vmap(over_examples, (0, None, 0))
        return as_in_loop(self.loop.equations, everywhere)(before, weights, streams)

    def next(self, before: jax.Array, weights: list, streams: list) -> jax.Array:
        """The step from those carries."""
        loop = self.loop
        inputs = [*loop.carried, *loop.weights, *loop.streams]
        function = as_function(loop.equations, inputs, loop.targets)
        kinds = [struct_of(v) for v in loop.carried]

        def one(numbers, weights, streams):
            return to_vector(function(*from_vector(numbers, kinds), *weights, *streams))

        return self.over_time(one, before, weights, streams)

    def from_first(self, weights: list, first: list, streams: list) -> jax.Array:
        """The step from the first carry at every time step."""
        start = jax.vmap(to_vector)(first)
        before = jnp.broadcast_to(start, (self.length, *start.shape))
        return self.next(before, weights, streams)

    def parts(self, before: jax.Array, weights: list, streams: list):
        return self.over_time(self.jacobian.at, before, weights, streams)

    def relative(self, a: jax.Array, s: jax.Array) -> jax.Array:
        """The largest number of a, relative to the largest of its leaf in s, of each example."""
        bounds = np.cumsum([numbers_in(v) for v in self.loop.carried])[:-1]
        found = [
            jnp.abs(part).max((0, 2)) / jnp.maximum(jnp.abs(of).max((0, 2)), jnp.finfo(s).tiny)
            for part, of in zip(*(jnp.split(x, bounds, -1) for x in (a, s)), strict=True)
            if part.size
        ]
        return jnp.stack(found).max(0)


def _iterated(problem: _Loop, weights, first, streams, before: list[jax.Array]):
    """The solution; the first guess is the step from the first carry."""
    jacobian = problem.jacobian
    start = jax.vmap(to_vector)(first)
    s = problem.from_first(weights, first, streams)
    epsilon = problem.epsilon

    def body(guess: _Guess) -> _Guess:
        s, factor, so_far, rounds, _ = guess
        earlier = shifted(s, start)
        r = problem.next(earlier, weights, streams) - s
        first_part, *others = problem.parts(earlier, weights, streams)
        scale = factor.reshape(1, -1, *(1,) * (first_part.ndim - 2))
        correction = jacobian.try_to_solve((first_part * scale, *others), r)
        trial = s + correction
        left = problem.next(shifted(trial, start), weights, streams) - trial
        grown = problem.relative(left, s) > GROWTH * problem.relative(r, s) + RESIDUAL * epsilon
        finite = jnp.isfinite(trial).all((0, 2)) & jnp.isfinite(left).all((0, 2))
        taken = finite & ~grown
        now = Certificate(
            converged=so_far.converged,
            iterations=jnp.where(so_far.converged, so_far.iterations, rounds + 1),
            residual=problem.relative(left, trial),
            error=problem.relative(correction, trial),
            damping=jnp.minimum(so_far.damping, factor),
        )
        small = (now.residual <= RESIDUAL * epsilon) & (now.error <= ERROR * epsilon)
        now = now._replace(converged=so_far.converged | (taken & (factor == 1) & small))
        # what has converged stays as it is
        moving = taken & ~so_far.converged
        kept = so_far._replace(iterations=now.iterations, damping=now.damping)
        certificate = jax.tree.map(lambda a, b: jnp.where(moving, a, b), now, kept)
        factor = jnp.where(taken, jnp.minimum(2 * factor, 1), factor / 2)
        s = jnp.where(moving[None, :, None], trial, s)
        return _Guess(s, factor, certificate, rounds + 1, going(certificate.converged, rounds + 1))

    def going(converged, rounds):
        return ~all_agree(converged) & (rounds < MOST_ITERATIONS)

    ones = vary_like(jnp.ones_like(s[0, :, 0]), s)
    nothing = Certificate(ones < 0, (0 * ones).astype(jnp.int32), ones, ones, ones)
    nothing = nothing._replace(residual=ones * jnp.inf, error=ones * jnp.inf)
    none = vary_like(jnp.int32(0), s)
    begun = all_agree(jnp.stack([vary_like(jnp.array(True), s), *(c.all() for c in before)]))
    guess = _Guess(s, ones, nothing, none, begun)
    guess = lax.while_loop(lambda guess: guess.going, body, guess)
    return guess.s, guess.certificate


def _at_solution(problem: _Loop, s, weights, first, streams) -> list[jax.Array]:
    """The carries, with their derivatives to the weights, the first carry and the streams."""

    def function(s, weights, first, streams):
        return s

    def forward(*args):
        return (found := apply_rule(rule, *args)), found

    def earlier(s, first):
        return shifted(s, jax.vmap(to_vector)(first))

    def step_from(s):
        return lambda weights, first, streams: problem.next(earlier(s, first), weights, streams)

    def tangent(args, s, tangents):
        _, weights, first, streams = args
        moving = jax.tree.leaves(tangents[1:], is_leaf=lambda d: d is None)
        places = tuple(i for i, d in enumerate(moving) if d is not None)
        step, numbers = Moving(places).apart(step_from(s), (weights, first, streams))
        _, source = jax.jvp(step, (numbers,), ([moving[i] for i in places],))
        parts = problem.parts(earlier(s, first), weights, streams)
        return problem.jacobian.solve(parts, source)

    def backward(args, s, cotangent):
        _, weights, first, streams = args
        if cotangent is None:
            return jax.tree.map(lambda _: None, args)
        parts = problem.parts(earlier(s, first), weights, streams)
        d = problem.jacobian.solve_back(parts, cotangent)
        leaves, tree = jax.tree.flatten((weights, first, streams))
        places = tuple(i for i, a in enumerate(leaves) if is_float(a))
        step, numbers = Moving(places).apart(step_from(s), (weights, first, streams))
        _, pull = jax.vjp(step, numbers)
        found = dict(zip(places, *pull(d), strict=True))
        return None, *tree.unflatten(found.get(i) for i in range(len(leaves)))

    rule = Rule(function, forward, backward, tangent=tangent)
    return problem.leaves(apply_rule(rule, s, weights, first, streams))
