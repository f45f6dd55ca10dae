"""Which schedule a step takes."""

import warnings
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.base import Carry, Cell, Params, Size, X
from jaxrnn.schedule.carrying import taken_apart
from jaxrnn.schedule.loop.reversible import require_reversible
from jaxrnn.schedule.planning import make_plan
from jaxrnn.schedule.reading import Step, Unreadable, read_step, sliced_first
from jaxrnn.schedule.stages import Loop, Plan
from jaxrnn.unstable import HAS_RULES

Schedule = Literal[
    "auto", "scan", "distributed", "associative", "chunked", "newton", "checkpointed"
]

# Bytes of the derivatives of a recurrence at all time steps, beyond which Newton's method is
# refused: the associative scan over them has two to three times as much besides.
MOST_BYTES = 4 * 2**30


class Chunks(NamedTuple):
    """How "auto" works out large matrices chunk by chunk.

    Attributes:
      size: time steps of a chunk, a power of two.
      least: time steps from which on it does.
    """

    size: int
    least: int


# A time step of the loop passes over the whole matrix several times. Of 64 x 64 numbers, 4 examples
# and 2,048 time steps a gradient takes on two cores, in chunks of 32 time steps, 29 ms with a decay
# of each key, 32 by the delta rule and 38 by the gated one; that of the plain loop 180, 245 and 333
# (`python -m experiments.speed --case matrix-state`). Chunks of 16 are slower at most of them, of
# 64 at the delta rule. Of few time steps the gradient still wins; a forward pass alone, at 64 a
# chunk, took up to twice the loop's.
ON_A_CPU = Chunks(32, 16)
# Products want more rows there, and a time step costs a launch: unmeasured.
ELSEWHERE = Chunks(64, 128)


class Choice(NamedTuple):
    """What `unroll` does, and why.

    Attributes:
      schedule: "scan", "distributed", "associative", "chunked", "newton" or "checkpointed".
      reason: of the schedule, a line.
      step, plan: what was read, and what is done with it; None for the plain scan.
    """

    schedule: str
    reason: str
    step: Step | None = None
    plan: Plan | None = None


def rule(platform: str, length: Size) -> tuple[str, str]:
    """The schedule that "auto" takes on a platform ("cpu", "gpu", "tpu") for T = `length`, and why.

    On a CPU a linear recurrence stays a loop, whose time steps are a few instructions each: the
    parallel form passes over its arrays O(log T) times. On accelerators a time step costs a launch;
    that this decides is unmeasured (`python -m experiments.speed --preset gpu` measures it).
    Newton's method is for those who ask for it: on a CPU its iterations take longer than the loop.
    """
    if length == 1:
        return "scan", "a single time step: there is no loop"
    if platform == "cpu":
        return "distributed", "on a CPU: a loop for every recurrence, all else at once"
    return "associative", f"on a {platform}: few time steps one after another; unmeasured"


def choose(
    cell: Cell, params: Params, carry: Carry, xs: X, schedule: Schedule, platform: str
) -> Choice:
    """carry leaves [B, ...], xs leaves [T, B, ...]."""
    length, batch_size = jax.tree.leaves(xs)[0].shape[:2]
    name, reason = rule(platform, length) if schedule == "auto" else (schedule, "as asked")
    if name == "newton":
        reason = _of_newton(platform)
    if name == "scan":
        return Choice("scan", reason)
    if not length or not batch_size:
        return Choice("scan", "nothing to do: no time step or no example")
    if name == "newton" and not isinstance(length, int):
        return Choice(
            "scan", f"symbolic length: Newton's method has to know the {length} time steps"
        )
    # how often to halve a symbolic number of time steps is not known
    in_parallel = name in ("associative", "newton") and isinstance(length, int)
    known = isinstance(length, int) and isinstance(batch_size, int)
    # of symbolic sizes nothing can be weighed, and where there are no time steps nothing need be
    rows = length * batch_size if known and name != "newton" else 0
    chunks = ON_A_CPU if platform == "cpu" else ELSEWHERE
    try:
        _require_rules()
        step = sliced_first(taken_apart(read_step(cell, params, carry, xs)))
        plan = make_plan(
            step,
            in_parallel,
            rows,
            bulky_in_parallel=schedule != "auto",
            in_chunks=_in_chunks(schedule, length, chunks.least),
            chunk=chunks.size,
            by_newton=name == "newton",
        )
        require_reversible(plan)
    except Unreadable as cause:
        # bounded memory needs no analysis
        return Choice("checkpointed" if name == "checkpointed" else "scan", str(cause))
    require_memory(plan, length, batch_size)
    if schedule == "auto" and any(isinstance(s, Loop) and s.matrix for s in plan):
        name, reason = "chunked", f"matrices chunk by chunk; else {reason}"
    return Choice(name, reason, step, plan)


def _of_newton(platform: str) -> str:
    if platform == "cpu":
        return "as asked; on a CPU the loop is faster"
    return f"as asked; on a {platform} its speed is unmeasured"


def jacobian_bytes(loop: Loop, length: int, batch_size: Size) -> int:
    """Of d carry' / d carry at all time steps, where Newton's method takes the loop."""
    if loop.newton is None or not isinstance(batch_size, int):
        return 0
    itemsize = max(jnp.finfo(v.aval.dtype).bits // 8 for v in loop.carried)
    return length * batch_size * loop.newton.entries * itemsize


def require_memory(plan: Plan, length: Size, batch_size: Size) -> None:
    """
    Raises:
      ValueError: if the derivatives of a loop take more than `MOST_BYTES`.
    """
    for loop in plan:
        if isinstance(loop, Loop) and loop.newton is not None and isinstance(length, int):
            size = jacobian_bytes(loop, length, batch_size)
            if size > MOST_BYTES:
                raise ValueError(
                    f"schedule is 'newton', whose derivatives of all {length} time steps and "
                    f"{batch_size} examples ({loop.newton}) take {size / 2**30:.1f} GiB, more than "
                    f"{MOST_BYTES / 2**30:.0f}; give fewer time steps, examples or units, or "
                    "schedule='distributed'"
                )


def _in_chunks(schedule: Schedule, length: Size, least: int) -> Literal["none", "bulky", "all"]:
    # of a symbolic number of time steps there is no number of chunks
    if not isinstance(length, int):
        return "none"
    if schedule == "auto":
        return "bulky" if length >= least else "none"
    return "all" if schedule in ("chunked", "newton") else "none"


def _require_rules() -> None:
    """Says so once (as Python's warnings do) where this JAX lacks what the schedules stand on."""
    if HAS_RULES:
        return
    cause = (
        f"no rules: JAX {jax.__version__} has no primitives with rules of their own where this "
        "release of jaxrnn looks for them"
    )
    warnings.warn(
        f"{cause}; every cell takes the plain loop, which is right and slower. Install a newer "
        "jaxrnn, or an older JAX",
        stacklevel=2,
    )
    raise Unreadable(cause)
