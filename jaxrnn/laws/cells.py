"""What every cell must obey."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from jaxrnn.laws.comparing import (
    LawBroken,
    as_numpy,
    describe,
    require_close,
    require_same_type,
)
from jaxrnn.laws.schedules import ROUNDING
from jaxrnn.laws.subject import Subject, kept
from jaxrnn.unroll import unroll


def takes_one_example(subject: Subject) -> None:
    """`step` works on x [I] and the carry of one example, and brings no batch axis of its own."""
    cell, params = subject.cell, subject.params
    carry, x = _first_example(subject)
    try:
        after, y = jax.eval_shape(cell.step, params, carry, x)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        if _runs(cell, params, subject.carry, subject.xs[0]) or _runs(cell, params, carry, x[None]):
            raise LawBroken(
                f"step assumes a batch axis: it fails on one example, x {describe(x)} ({said}), "
                f"and works on a batch, x {describe(subject.xs[0])}; write it for x [I], vmap "
                "makes the batch"
            ) from error
        raise LawBroken(f"step fails on one example, x {describe(x)}: {said}") from error
    outcome = [*jax.tree.leaves(after), *jax.tree.leaves(y)]
    if outcome and all(leaf.ndim > 1 and leaf.shape[0] == 1 for leaf in outcome):
        raise LawBroken(
            f"the carry and y assume a batch axis: y is {describe(outcome[-1])}, the first axis "
            "always 1; leave it out, vmap makes the batch"
        )


def carry_type_preserved(subject: Subject) -> None:
    """The carry leaves `step` with the structure, shapes and dtypes it entered with."""
    carry, x = _first_example(subject)
    after, _ = jax.eval_shape(subject.cell.step, subject.params, carry, x)
    require_same_type("carry", carry, after)


def unroll_is_repeated_step(subject: Subject) -> None:
    """`unroll` equals a Python loop over the batched step: the plain loop of all time steps, and
    what "auto" makes of the first half, which is written out, so that each is compiled anew."""
    params, carry = subject.params, subject.carry
    batched = jax.jit(jax.vmap(subject.cell.step, in_axes=(None, 0, 0)))
    loops = _loops(subject)
    for t, x in enumerate(np.asarray(subject.xs)):
        carry, y = batched(params, carry, x)
        for (end, ys), length in ((loops.first_half, loops.half), (loops.whole, len(subject.xs))):
            if t < length:
                of_step = jax.tree.map(lambda a, t=t: a[t], ys)
                require_close(f"y (time step {t})", ("unroll", of_step), ("a loop", y), ROUNDING)
            if t + 1 == length:
                require_close("carry", ("unroll", end), ("a loop", carry), ROUNDING)


def resumable(subject: Subject) -> None:
    """A sequence cut in half and continued from the carry is the same sequence.

    A cell that keeps anything outside its carry (a counter, a list, a closed-over step number)
    fails, since each part has `step` traced anew.
    """
    half, (_, head), (end_of_whole, ys), (end, tail), _ = _loops(subject)
    if half == len(subject.xs):  # nothing to cut
        return
    at = f"(cut after {half} of {len(subject.xs)} time steps; does step keep anything "
    at += "outside the carry?)"
    early, late = (jax.tree.map(lambda a, s=s: a[s], ys) for s in (slice(half), slice(half, None)))
    require_close(f"y before the cut {at}", ("whole", early), ("in two", head), ROUNDING)
    require_close(f"y behind the cut {at}", ("whole", late), ("in two", tail), ROUNDING)
    require_close(f"carry {at}", ("whole", end_of_whole), ("in two", end), ROUNDING)


def batch_is_stacked_examples(subject: Subject) -> None:
    """Each example of a batch comes out as it does alone."""
    loops = _loops(subject)
    end, ys = loops.whole
    together = (end, jax.tree.map(lambda a: a.swapaxes(0, 1), ys))
    for b in range(subject.xs.shape[1]):
        mine, (end, y) = (
            jax.tree.map(lambda a, b=b: np.asarray(a[b]), of) for of in (together, loops.alone)
        )
        require_close(f"carry of example {b}", ("batch", mine[0]), ("alone", end), ROUNDING)
        require_close(f"y of example {b}", ("batch", mine[1]), ("alone", y), ROUNDING)


class _Loops(NamedTuple):
    """How many time steps are half of them, and what `unroll` gives of these, `(carry, ys)`; and
    what plain loops give: of all time steps the same; of the other half, from there; of each
    example alone, leaves [B, ...]."""

    half: int
    first_half: Any
    whole: Any
    second_half: Any
    alone: Any


@kept
def _loops(subject: Subject) -> _Loops:
    cell, half = subject.cell, max(1, len(subject.xs) // 2)

    @jax.jit
    def loops(params, carry, xs):
        loop = partial(unroll, cell, params, schedule="scan")
        first_half = unroll(cell, params, carry, xs[:half])
        # one example after the other, which compiles their loop once
        alone = lax.map(
            lambda one: lax.scan(partial(cell.step, params), *one), (carry, xs.swapaxes(0, 1))
        )
        return first_half, loop(carry, xs), loop(first_half[0], xs[half:]), alone

    found = loops(subject.params, subject.carry, subject.xs)
    return _Loops(half, *jax.tree.map(as_numpy, found))


def step_is_pure(subject: Subject) -> None:
    """The same call gives the same result, bit for bit, and compiled the same to rounding."""
    cell, params = subject.cell, subject.params
    carry, x = _first_example(subject)
    first = cell.step(params, carry, x)
    cell.step(params, first[0], subject.xs[-1, 0])
    again = cell.step(params, carry, x)
    require_close("(carry, y)", ("a call", first), ("the same call again", again), 0.0)
    compiled = jax.jit(cell.step)
    for _ in range(2):
        jitted = compiled(params, carry, x)
        require_close("(carry, y)", ("a call", first), ("compiled", jitted), ROUNDING)


def _first_example(subject: Subject):
    return jax.tree.map(lambda a: a[0], subject.carry), subject.xs[0, 0]


def _runs(cell, params, carry, x) -> bool:
    try:
        jax.eval_shape(cell.step, params, carry, x)
    except Exception:
        return False
    return True
