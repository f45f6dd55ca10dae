"""Sides that do the same work, timed in turns after their results were seen to agree."""

import contextlib
import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrnn.runs.allocator import keep_pages, return_pages

# A side whose call is shorter goes once untimed before each measurement: in a training loop, too,
# it finds the caches and threads as it left them, and not as another library did. Of a longer one
# the first call counts, since its check has made it ready.
BRIEF = 0.5  # seconds

# How far a gradient that is computed in bfloat16 (8 bits) may differ.
NARROW = 0.1

# How far a gradient in float32 may differ: the matmuls of accelerators keep 10 bits of a factor.
EXACT, ROUNDED = 1e-3, 2e-2

# One whose call is longer is timed once, the first time.
LONG = 5.0  # seconds

LEAST_TURNS = 3


class Side(NamedTuple):
    """One way of doing the work of a case.

    Attributes:
      name: of the row.
      call: does the work `steps` times and waits until it is done.
      check: numbers that all sides of a case share, as numpy arrays; called before `call`.
      steps: how often a call does the work.
      devices: how many JAX devices it uses.
      pages_kept: whether the process keeps its memory from call to call, as our experiments have
        it; the users of other libraries leave malloc as it is.
      temporary_bytes: of the compiled program, or None where there is none.
      tolerance: how far its check may differ, where that is more than the case's.
    """

    name: str
    call: Callable[[], Any]
    check: Callable[[], Any]
    steps: int = 1
    devices: int = 1
    pages_kept: bool = False
    temporary_bytes: int | None = None
    tolerance: float = 0.0


class Case(NamedTuple):
    """Sides to compare, ours first.

    Attributes:
      name: what is done.
      shape: how large it is.
      sides: ours, then those it is compared with.
      missing: a side that cannot be had, and why.
      flops: of the matmuls of the work, where that is a measure of it.
      tolerance: how far a check may differ, as a fraction of its largest number.
      makes: how many things (characters, say) come of it.
      ours: name of the side that the others are compared with.
      resident: whether to look at the memory of the process, too.
    """

    name: str
    shape: str
    sides: list[Side]
    missing: dict[str, str]
    flops: float | None = None
    tolerance: float = EXACT
    makes: int | None = None
    ours: str = "jaxrnn"
    resident: bool = False


def gather(builders: dict[str, Callable[[], Side]]) -> tuple[list[Side], dict[str, str]]:
    """The sides that can be built here, and why the others cannot.

    A builder raises ImportError where its library is not installed, and Unsuitable where the
    library cannot do the same work.
    """
    sides, missing = [], {}
    for name, build in builders.items():
        try:
            sides.append(build())
        except ModuleNotFoundError as error:
            missing[name] = f"{error.name} is not installed"
        except (ImportError, Unsuitable) as error:
            missing[name] = str(error)
    return sides, missing


class Unsuitable(Exception):
    """Why a library cannot do the work of a case."""


def compiled(function: Callable, *arguments: Any) -> tuple[Callable, int | None]:
    """`function` jitted and compiled for `arguments`, and its temporary bytes on each device."""
    program = jax.jit(function).lower(*arguments).compile()
    return program, temporary_bytes(program)


def temporary_bytes(program: Any) -> int | None:
    analysis = program.memory_analysis()
    return None if analysis is None else int(analysis.temp_size_in_bytes)


def disagreement(found: Any, expected: Any, tolerance: float) -> str | None:
    """Where two trees of numbers differ by more than `tolerance` of the largest number of a leaf,
    or None."""
    theirs, ours = (dict(jax.tree.leaves_with_path(tree)) for tree in (found, expected))
    if theirs.keys() != ours.keys():
        return "it has other results"
    for path, leaf in ours.items():
        mine, other = np.asarray(leaf, float), np.asarray(theirs[path], float)
        name = jax.tree_util.keystr(path) or "the result"
        if mine.shape != other.shape:
            return f"{name} has shape {other.shape}, ours {mine.shape}"
        apart = float(np.max(np.abs(mine - other), initial=0))
        if not apart <= tolerance * max(float(np.max(np.abs(mine), initial=0)), 1e-30):
            return f"{name} differs by {apart:.3g}"
    return None


def tolerance() -> float:
    """Of a case in float32, by the platform."""
    return EXACT if jax.default_backend() == "cpu" else ROUNDED


class Measured(NamedTuple):
    """What was found of the sides of a case, by name.

    Attributes:
      times: milliseconds for the work once, [turns].
      wrong: where a side computes something else; it is not timed.
      resident: by how many bytes the process grew at most, where the case asks for it.
    """

    times: dict[str, np.ndarray]
    wrong: dict[str, str]
    resident: dict[str, int | None]


def measure(case: Case, repeats: int, seconds: float) -> Measured:
    """Checks that the sides agree with the first one, then times them in turns: `repeats` turns, or
    fewer (at least `LEAST_TURNS`) once they took `seconds`."""
    expected, wrong = case.sides[0].check(), {}
    for side in case.sides[1:]:
        if where := disagreement(side.check(), expected, max(case.tolerance, side.tolerance)):
            wrong[side.name] = where
    sides = [side for side in case.sides if side.name not in wrong]
    # one way of keeping memory after the other
    sides.sort(key=lambda side: side.pages_kept)
    kept, first = _prepare(sides[0], None), {}
    times: dict[str, list[float]] = {side.name: [] for side in sides}
    for side in sides:
        before, kept = kept, _prepare(side, kept)
        first[side.name] = _seconds(side)
        if first[side.name] > LONG or (first[side.name] >= BRIEF and kept == before):
            times[side.name].append(1e3 * first[side.name] / side.steps)
    end = time.perf_counter() + seconds
    for turn in range(repeats):
        if turn >= LEAST_TURNS and time.perf_counter() > end:
            break
        for side in sides:
            if first[side.name] > LONG or (turn == 0 and times[side.name]):
                continue
            before, kept = kept, _prepare(side, kept)
            if first[side.name] < BRIEF or kept != before:
                side.call()
            times[side.name].append(1e3 * _seconds(side) / side.steps)
    resident = {side.name: peak_resident(side.call) for side in sides if case.resident}
    return Measured({name: np.array(ms) for name, ms in times.items()}, wrong, resident)


def _prepare(side: Side, kept: bool | None) -> bool:
    """Has the process keep its memory as `side` wants it; `kept` is how it does until now."""
    if side.pages_kept != kept:
        (keep_pages if side.pages_kept else return_pages)()
    return side.pages_kept


def _seconds(side: Side) -> float:
    start = time.perf_counter()
    side.call()
    return time.perf_counter() - start


def peak_resident(call: Callable[[], Any]) -> int | None:
    """By how many bytes the process grew at most during `call`, beyond what it had kept from
    earlier; None where the system does not say (all but Linux)."""
    # what malloc has kept of earlier calls would be used again unseen
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        # sets the high-water mark back to what is resident now
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        call()
        return max(_status("VmHWM") - before, 0)
    except OSError:
        return None


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
