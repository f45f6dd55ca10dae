"""`lax.scan`, written out where there are few time steps."""

from collections.abc import Callable
from typing import Any

from jax import lax

from jaxrnn.base import Size

# Loops of up to so many time steps are written out: where a step is as small as the toy's, the
# loop's own bookkeeping counts (`python -m experiments.speed --case toy-step`).
SHORT = 8


def scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    start: Any,
    xs: Any,
    length: Size,
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    if not isinstance(length, int):  # a symbolic one, which xs alone may tell
        return lax.scan(body, start, xs, reverse=reverse)
    return lax.scan(body, start, xs, length=length, reverse=reverse, unroll=length <= SHORT)
