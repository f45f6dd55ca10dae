"""How many members a device computes side by side, chosen by a short measurement."""

import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxrnn.runs.preparing import Prepared
from jaxrnn.runs.processes import agreed
from jaxrnn.runs.progress import warn

WORTH_IT = 20.0
"""Seconds of training above which it is measured: to compile another program takes some of them."""
LONG = 20
"""Chunks of training below which it is not: two of them are lost on each trial."""
BETTER = 0.9
"""Of the seconds that a chunk takes one after another: what is less is taken."""
SOME = 8
"""Of many members: so many at once may stay in a core's cache where all do not."""


def choose_at_once(first: Prepared, recorded: Any) -> Prepared:
    """The setting prepared as it trains fastest; how that was chosen is in its `members`.

    One after another is what it begins with; where that would take long, the same two chunks are
    timed with some and with all of a device's members side by side.

    Args:
      first: with one at a time.
      recorded: what a run that goes on says of it, `Prepared.members`; None of a new one.
    """
    if recorded is not None:
        at_once = recorded.get("at_once", 1)  # what was trained before there was a choice has 1
        return first if at_once == 1 else first.again(at_once)._replace(members=recorded)
    share, chunks = -(-len(first.seeds) // len(first.devices)), first.setting.training.chunks
    if share == 1 or chunks < LONG:
        return first
    alone, took = _trial(first)
    seconds, different, best = {1: took}, {1: 0.0}, first
    if chunks * took >= WORTH_IT:
        for at_once in sorted({min(SOME, share), share}):
            try:
                other = first.again(at_once)
                metrics, took = _trial(other)
            except jax.errors.JaxRuntimeError as error:  # no memory for so many, say
                warn(f"{at_once} members at once: {str(error).splitlines()[0]:.120}")
                continue
            seconds[at_once], different[at_once] = took, _difference(metrics, alone)
            if took < BETTER * min(seconds[n] for n in seconds if n != at_once):
                best = other
    chosen = best.members["at_once"]
    return best._replace(
        members={
            "at_once": chosen,
            "devices": len(first.devices),
            "seconds_per_chunk": {str(n): took for n, took in seconds.items()},
            "difference": different[chosen],
        }
    )


def describe(members: Mapping[str, Any]) -> str | None:
    """A line about what was chosen; None where there was no choice."""
    seconds = members.get("seconds_per_chunk", {})
    if len(seconds) < 2:
        return None
    chosen = members["at_once"]
    times = ", ".join(f"{n} {took:.3g} s" for n, took in seconds.items())
    exact = (
        "bit for bit those of each alone"
        if chosen == 1
        else (f"off those of each alone by {members['difference']:.1e} of the loss")
    )
    where = f"at once on each of {members['devices']} devices"
    return f"{chosen} members {where} ({times} a chunk); their numbers are {exact}"


def _trial(prepared: Prepared) -> tuple[dict[str, np.ndarray], float]:
    """The metrics of the first chunk, and the seconds of the second: the first compiles."""
    state, metrics = prepared.chunk(prepared.init())
    metrics = jax.device_get(metrics)
    start = time.monotonic()
    jax.block_until_ready(prepared.chunk(state))
    return metrics, agreed(time.monotonic() - start)


def _difference(metrics: dict[str, np.ndarray], alone: dict[str, np.ndarray]) -> float:
    """The largest difference of a loss, relative to the loss."""
    here, there = (np.asarray(each["loss"], np.float64) for each in (metrics, alone))
    both = np.isfinite(here) & np.isfinite(there)
    return float(
        np.max(np.abs(here - there)[both] / np.maximum(np.abs(there[both]), 1e-30), initial=0.0)
    )
