"""Whether a cell can be unrolled in parallel by Newton's method, and in how many iterations."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.analysis.flow import lyapunov_exponents
from jaxrnn.base import Carry, Cell, Params, X
from jaxrnn.unroll import certify


class NewtonReport(NamedTuple):
    """What `unroll(..., schedule="newton")` of the same arguments does; `str()` is the report.

    Attributes:
      converged: whether all examples do; where one does not, all of them take the plain loop.
      iterations: of the slowest example, in all recurrences together; the last of each only shows
        that it is over.
      residual: the largest |carry_t - step(carry_(t-1))|, relative to the largest number of its
        leaf of the carry.
      error: the largest number of the last correction, in the same way: what the carries were wrong
        by before it.
      damping: the smallest factor that d carry' / d carry was multiplied with; 1 for Newton's own.
      structures: of d carry' / d carry of each recurrence that is solved. There is none where the
        recurrences are linear, or nothing but matrices that are worked out chunk by chunk.
      memory: bytes of these derivatives, at all time steps.
      exponent: the largest Lyapunov exponent of all examples, in nats per time step; minus infinity
        where a time step loses all differences, as a relu at 0 does, which tells little about the
        others.
      predicted: iterations that it lets expect (`predict_iterations`), for each recurrence.
      limit: iterations of a recurrence after which the plain loop runs.
      cause: why no iteration was begun, as `explain` has it; "" where they were.
    """

    converged: bool
    iterations: int
    residual: float
    error: float
    damping: float
    structures: tuple[str, ...]
    memory: int
    exponent: float
    predicted: int
    limit: int
    cause: str

    def __str__(self) -> str:
        if self.cause:
            return f"not begun, the plain loop: {self.cause}"
        what = "converged" if self.converged else "not converged, the plain loop"
        return "\n".join(
            [
                f"{what}: {self.iterations} iterations, damped by {self.damping:g} at most",
                f"  relative residual {self.residual:.1e}, last correction {self.error:.1e}",
                *(f"  derivative of the carry: {each}" for each in self.structures),
                f"  {self.memory / 2**20:.1f} MiB of derivatives",
                f"  largest Lyapunov exponent {self.exponent:.3f} nats a time step, which lets "
                f"expect {self.predicted} iterations (limit {self.limit})",
            ]
        )


def newton_report(cell: Cell, params: Params, carry: Carry, xs: X) -> NewtonReport:
    """Runs the iterations, and the loop over time for the exponent.

    Args:
      cell, params, carry, xs: as in `jaxrnn.unroll`, with known numbers.

    Raises:
      ValueError: as `unroll` does with schedule="newton".
    """
    found = certify(cell, params, carry, xs)
    length = jax.tree.leaves(xs)[0].shape[0]
    worst = found.certificate
    exponent = _largest_exponent(cell, params, carry, xs)
    epsilon = found.epsilon or float(jnp.finfo(jnp.float32).eps)
    return NewtonReport(
        converged=bool(worst.converged.all()),
        iterations=int(worst.iterations.max(initial=0)),
        residual=float(worst.residual.max(initial=0)),
        error=float(worst.error.max(initial=0)),
        damping=float(worst.damping.min(initial=1)),
        structures=found.structures,
        memory=found.memory,
        exponent=exponent,
        predicted=predict_iterations(exponent, length, epsilon),
        limit=found.limit,
        cause=found.cause,
    )


def _largest_exponent(cell: Cell, params: Params, carry: Carry, xs: X) -> float:
    """Minus infinity where there is nothing that could grow."""
    length, batch_size = jax.tree.leaves(xs)[0].shape[:2]
    floats = [a for a in jax.tree.leaves(carry) if jnp.issubdtype(a.dtype, jnp.inexact)]
    if not length or not batch_size or not sum(a.size for a in floats):
        return -math.inf
    key = jax.random.key(0)
    found = jax.vmap(
        lambda carry, xs: lyapunov_exponents(cell, params, carry, xs, key), in_axes=(0, 1)
    )(carry, xs)
    return float(found.max())


def predict_iterations(exponent: float, length: int, epsilon: float) -> int:
    """The iterations that a largest Lyapunov exponent lets expect; no bound.

    An error of each time step may be k = 1 + e^l + ... + e^(l (T - 1)) times as large in the end,
    l being the exponent. Newton's method doubles the right digits once the residual is below 1 / k.
    Counted here are log2 k iterations that each halve it until there, log2 log2 (1 / epsilon) more,
    and one that shows that it is over. So there are hardly more for a larger T where errors vanish,
    and in proportion to T where they grow. More than T, and the last, are never needed in exact
    numbers: each makes one more time step right.

    Reference: the condition k is that of Gonzalez et al. (2025), https://arxiv.org/abs/2508.16817;
    the halving is a rule of thumb.
    """
    if length < 1:
        return 0
    grown = _log2_of_sum(exponent, length)
    return math.ceil(min(length, grown + math.log2(-math.log2(epsilon)))) + 1


def _log2_of_sum(exponent: float, length: int) -> float:
    """log2 of 1 + e^l + ... + e^(l (T - 1)), without overflow."""
    if exponent == -math.inf:
        return 0.0
    largest = max(0.0, (length - 1) * exponent)
    if abs(exponent) * length < 1e-6:
        return math.log2(length)
    total = -math.expm1(-abs(exponent) * length) / -math.expm1(-abs(exponent))
    return (largest + math.log(total)) / math.log(2)
