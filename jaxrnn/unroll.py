"""A cell over time."""

import functools
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool

from jaxrnn.base import Carry, Cell, Params, PyTree, Size, X, Y
from jaxrnn.schedule import (
    SHORT,
    Certified,
    Choice,
    Explanation,
    Schedule,
    certify_choice,
    choose,
    explain_choice,
    run_newton,
    run_plan,
    segment_length,
    vary_alike,
)
from jaxrnn.tokens import is_known


def unroll(
    cell: Cell, params: Params, carry: Carry, xs: X, *, schedule: Schedule = "auto"
) -> tuple[Carry, Y]:
    """Runs `cell` over time for a batch; means exactly `lax.scan` of the batched step.

    All schedules agree to rounding, in values and in derivatives:

    - "scan" is the plain loop and the specification.
    - "distributed" gives every recurrence of the step a loop of its own; what needs no carry of a
      later loop is done for all time steps at once, and the gradients of the weights after the
      reverse loop.
    - "associative" is the same, with linear recurrences worked out in O(log T), those too whose few
      leaves feed each other unit by unit (an oscillator, a rotation of two real leaves).
    - "chunked" is "distributed", with every matrix of the carry that is affine in itself and read
      through vectors (linear attention, the delta rule, however they are written) worked out chunk
      by chunk: products of matrices in a chunk, S kept once a chunk for gradients. Where NaN or
      infinity comes about, each time step is done as the plain loop does it.
    - "newton" takes "associative" and "chunked" where they fit, and solves every other recurrence
      of floats for all time steps at once by Newton's method, each iteration O(log T) deep. The
      structure of d carry' / d carry is read from the step. Where an example does not converge, the
      plain loop runs, which is what then comes out, bit for bit;
      `jaxrnn.analysis.newton.newton_report` says how it went. For accelerators, where that is
      unmeasured; on a CPU the loop is faster.
    - "checkpointed" is "distributed" on segments that run again in the backward pass, the gradients
      of the weights summed up in the reverse loop: memory for gradients is O(sqrt T).
    - "auto" chooses (`jaxrnn.schedule.rule`).

    A step that cannot be read takes the plain loop; `explain` says why.

    Args:
      cell: the recurrence.
      params: its parameters, shared by the whole batch.
      carry: leaves [B, ...], the carry before the first time step.
      xs: leaves [T, B, ...].
      schedule: one of those above.

    Returns:
      The carry after the last time step, leaves [B, ...], and ys, leaves [T, B, ...].

    Raises:
      ValueError: unknown schedule, leaves that disagree on T or B, "checkpointed" where T is
        symbolic (`jax.export`), "newton" where the derivatives of all time steps take more than
        4 GiB, or what the cell refuses, such as a token outside its vocabulary.
    """
    params, carry, xs, choice = _chosen(cell, params, carry, xs, schedule)
    if choice.schedule == "checkpointed":
        return _checkpointed(cell, choice, params, carry, xs)
    return _run(cell, choice, params, carry, xs, written_out=schedule == "auto")


def unroll_last(
    cell: Cell, params: Params, carry: Carry, xs: X, count: int, *, schedule: Schedule = "auto"
) -> tuple[Carry, Y]:
    """`unroll` that gives the last `count` of ys: what only the others would need is not computed.

    Args:
      count: 1 to T.

    Returns:
      The carry after the last time step, leaves [B, ...], and ys, leaves [count, B, ...].

    Raises:
      ValueError: as `unroll` does, or a count out of range.
    """
    params, carry, xs, choice = _chosen(cell, params, carry, xs, schedule)
    length = jax.tree.leaves(xs)[0].shape[0]
    if not 1 <= count <= length:
        raise ValueError(f"count is {count}, xs have {length} time steps; give 1 to {length}")
    if choice.plan is not None and choice.schedule != "checkpointed":
        return _run(cell, choice, params, carry, xs, emit=count)
    silent = cell._replace(step=lambda params, carry, x: (cell.step(params, carry, x)[0], ()))
    before, behind = (
        jax.tree.map(lambda a, part=part: a[part], xs)
        for part in (slice(length - count), slice(length - count, None))
    )
    if count < length:
        carry, _ = unroll(silent, params, carry, before, schedule=schedule)
    return unroll(cell, params, carry, behind, schedule=schedule)


def explain(
    cell: Cell, params: Params, carry: Carry, xs: X, *, schedule: Schedule = "auto"
) -> Explanation:
    """How `unroll` of the same arguments goes about it: what was hoisted, distributed, deferred or
    made parallel, and why not. `str()` of it is the report.

    Raises:
      ValueError: as `unroll` does.
    """
    params, carry, xs, choice = _chosen(cell, params, carry, xs, schedule)
    return explain_choice(choice, params, carry, xs)


def certify(cell: Cell, params: Params, carry: Carry, xs: X) -> Certified:
    """How the iterations of "newton" with the same arguments end.

    Raises:
      ValueError: as `unroll` does.
    """
    params, carry, xs, choice = _chosen(cell, params, carry, xs, "newton")
    return certify_choice(choice, params, carry, xs)


def _chosen(cell, params, carry, xs, schedule) -> tuple[Params, Carry, X, Choice]:
    if schedule not in get_args(Schedule):
        known = ", ".join(get_args(Schedule))
        raise ValueError(f"schedule is {schedule!r}; the schedules are {known}")
    check_axes(carry, xs)
    try_integers(cell, params, carry, xs)
    params, carry, xs = jax.tree.map(jnp.asarray, (params, carry, xs))
    params, carry, xs = vary_alike((params, carry, xs))
    return params, carry, xs, choose(cell, params, carry, xs, schedule, jax.default_backend())


def try_integers(cell: Cell, params: Params, carry: Carry, xs: X) -> None:
    """Traces the step with the lowest and the highest integers of `xs` as constants, where they are
    known. So a cell can refuse tokens that it does not have, which it cannot see in a loop.

    Raises:
      ValueError: what the cell raises.
    """
    leaves, structure = jax.tree.flatten(xs)
    whole = [jnp.issubdtype(jnp.result_type(leaf), jnp.integer) for leaf in leaves]
    if not any(whole) or not all(map(is_known, leaves)) or not all(map(jnp.size, leaves)):
        return
    others = [leaf[0] for leaf, is_whole in zip(leaves, whole, strict=True) if not is_whole]
    integers = [np.asarray(leaf) for leaf, is_whole in zip(leaves, whole, strict=True) if is_whole]
    for extreme in (np.min, np.max):
        with jax.ensure_compile_time_eval():
            constants = [jnp.asarray(extreme(leaf, axis=(0, 1))) for leaf in integers]

        def step(params, carry, others, constants=constants):
            mapped, constant = iter(others), iter(constants)
            x = [next(constant if is_whole else mapped) for is_whole in whole]
            return cell.step(params, carry, jax.tree.unflatten(structure, x))

        batched = jax.vmap(step, in_axes=(None, 0, 0), axis_size=leaves[0].shape[1])
        jax.eval_shape(batched, params, carry, others)


def _run(
    cell, choice: Choice, params, carry, xs, *, emit: Size | None = None, written_out: bool = False
):
    length = jax.tree.leaves(xs)[0].shape[0]
    short = written_out and isinstance(length, int) and length <= SHORT

    def plain(params, carry, xs):
        batched = jax.vmap(cell.step, in_axes=(None, 0, 0))
        return lax.scan(lambda carry, x: batched(params, carry, x), carry, xs, unroll=short)

    if choice.step is None or choice.plan is None:
        return plain(params, carry, xs)
    given = choice.step, choice.plan, params, carry, xs, emit or length
    if choice.schedule != "newton":
        return run_plan(*given)

    def late(params, carry, xs):
        carry, ys = plain(params, carry, xs)
        return carry, jax.tree.map(lambda a: a[length - (emit or length) :], ys)

    return run_newton(*given, late)


def _checkpointed(cell, choice: Choice, params, carry, xs):
    length = jax.tree.leaves(xs)[0].shape[0]
    size = segment_length(length)
    whole = length // size * size

    # inside a loop there is nothing that the barriers of the default would have to keep apart
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def segment(carry, xs):
        return _run(cell, choice, params, carry, xs)

    # no -1: a leaf may hold no numbers
    parts = jax.tree.map(lambda a: a[:whole].reshape(whole // size, size, *a.shape[1:]), xs)
    carry, ys = lax.scan(segment, carry, parts)
    ys = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), ys)
    if whole < length:
        carry, rest = segment(carry, jax.tree.map(lambda a: a[whole:], xs))
        ys = jax.tree.map(lambda *both: jnp.concatenate(both), ys, rest)
    return carry, ys


def where(condition: Bool[Array, "..."], a: PyTree, b: PyTree) -> PyTree:
    """`jnp.where` over trees, the condition along the leading axes of every leaf."""

    def choose(x, y):
        return jnp.where(
            condition.reshape(condition.shape + (1,) * (x.ndim - condition.ndim)), x, y
        )

    return jax.tree.map(choose, a, b)


def check_axes(carry: Carry, xs: X) -> None:
    leaves = jax.tree.leaves_with_path(xs)
    if not leaves:
        raise ValueError("xs has no leaves; give at least one array [T, B, ...]")
    for path, leaf in leaves:
        if leaf.ndim < 2:
            name = "xs" + jax.tree_util.keystr(path)
            raise ValueError(
                f"{name} has shape {leaf.shape}; give it time and batch axes [T, B, ...]"
            )
    sizes = {leaf.shape[:2] for _, leaf in leaves}
    if len(sizes) > 1:
        raise ValueError(f"the leaves of xs have (T, B) {sorted(sizes)}; give all the same")
    _check_batch(carry, sizes.pop()[1])


def _check_batch(carry: PyTree, batch_size: Size) -> None:
    for path, leaf in jax.tree.leaves_with_path(carry):
        if leaf.shape[:1] != (batch_size,):
            name = "carry" + jax.tree_util.keystr(path)
            raise ValueError(
                f"{name} has shape {leaf.shape}; its first axis is the batch, {batch_size} in xs"
            )
