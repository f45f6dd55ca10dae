"""`lax.scan`, written out where there are few time steps."""

from collections.abc import Callable
from typing import Any

from jax import lax

# Loops of up to so many time steps are written out: where a step is as small as the toy's, the
# loop's own bookkeeping counts (`python -m experiments.speed --case toy-step`).
SHORT = 8


def scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    start: Any,
    xs: Any,
    length: int,
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    return lax.scan(body, start, xs, length=length, reverse=reverse, unroll=length <= SHORT)
