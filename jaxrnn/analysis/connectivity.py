"""Connectivity: how much each prediction depends on each earlier input.

Both published measures are gradients of a prediction, made one number per input:

    SQUARE_ROOT   sum over dimensions of |d loss / d embedding|^0.5; the embedding is `at="embed"`
                  where the model's embedding has that name
    SQUARED       sum over dimensions of (d target logit / d one-hot input)^2

Everything here is [..., L] by lag: entry k is about the input k time steps before the prediction's
own, so lag 0 is the newest input that the prediction has seen.

References: `labs/exploring_rnn.ipynb` of https://github.com/OpenSUTD/machine-learning-workshop;
Madsen (2019), Visualizing memorization in RNNs, https://doi.org/10.23915/distill.00016
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxrnn.analysis.activations import count_time_steps, first_of
from jaxrnn.analysis.named import name_values, require_name
from jaxrnn.analysis.vectors import from_vector, to_vector
from jaxrnn.base import Carry, Cell, Key, Params, PyTree, X, Y, require_positive
from jaxrnn.jaxprs.equations import is_float
from jaxrnn.models import cross_entropy


class Measure(NamedTuple):
    """A definition of connectivity.

    Attributes:
      of: `(y, target) -> number`, of one prediction; its gradient is taken.
      reduce: `gradient [D] -> number`, of the gradient to one input; 0 of zeros.
    """

    of: Callable[[Y, PyTree], Array]
    reduce: Callable[[Float[Array, " D"]], Float[Array, ""]]


def target_logit(y: Float[Array, " V"], target: Array) -> Float[Array, ""]:
    """The logit of the character that comes next."""
    return y[target]


SQUARE_ROOT = Measure(cross_entropy, lambda gradient: jnp.sqrt(jnp.abs(gradient)).sum())
"""Sum over dimensions of |d loss / d embedding|^0.5, of OpenSUTD's notebook."""
SQUARED = Measure(target_logit, lambda gradient: (gradient**2).sum())
"""Sum over dimensions of (d target logit / d one-hot input)^2, of Madsen (2019)."""


def connectivity(
    cell: Cell,
    params: Params,
    carry: Carry,
    xs: X,
    targets: PyTree,
    measure: Measure,
    *,
    at: str = "",
    lags: int | None = None,
) -> Float[Array, "T L"]:
    """Of every prediction with every input that came before it, in one pass backwards over time.

    At time step t the cotangents of the next L predictions go one step back together, as one
    product with each weight, and each leaves what it has of the input at t. Time is that of L
    backward passes, memory L times the carry and T times L numbers.

    Args:
      cell: tokens to logits, or whatever `measure` is made for.
      params: its parameters.
      carry: of one example, before the first time step.
      xs: leaves [T, ...]; float vectors (one-hot ones for a model of tokens) where `at` is "".
      targets: leaves [T, ...], of each prediction.
      measure: `SQUARE_ROOT`, `SQUARED` or another.
      at: gradients are to the value of this name (`jaxrnn.analysis.named`), such as the embedding;
        "" takes the input itself.
      lags: L, how many of the latest inputs; all T by default.

    Returns:
      [T, L]; 0 where an input would lie before the first one. `by_position` turns it into [T, T].

    Raises:
      ValueError: integers as inputs where `at` is "", no value of that name, xs and targets that
        differ in T, lags below 1 or above T.
    """
    steps = _count(xs, targets)
    lags = steps if lags is None else lags
    require_positive(lags=lags)
    if lags > steps:
        raise ValueError(f"lags is {lags}, xs has {steps} time steps; give at most as many")
    nudged, still = _nudged_step(cell, params, carry, first_of(xs), at)

    def forward(carry, x):
        return cell.step(params, carry, x)[0], carry

    _, before = lax.scan(forward, carry, xs)

    def back(cotangents, now):
        before, x, target = now

        def local(vector, nudge):
            new, y = nudged(from_vector(vector, before), x, nudge)
            return to_vector(new), measure.of(y, target)

        (_, score), pull = jax.vjp(local, to_vector(before), still)
        one, none = jnp.ones_like(score), jnp.zeros_like(score)
        own = pull((jnp.zeros_like(cotangents[0]), one))
        later = jax.vmap(lambda cotangent: pull((cotangent, none)))(cotangents[:-1])
        # row k is the prediction k steps ahead: a step back, and each is one row further
        cotangents, gradients = jax.tree.map(
            lambda first, rest: jnp.concatenate([first[None], rest]), own, later
        )
        return cotangents, jax.vmap(measure.reduce)(gradients)

    nothing = jnp.broadcast_to(jnp.zeros_like(to_vector(carry)), (lags, to_vector(carry).size))
    _, ahead = lax.scan(back, nothing, (before, xs, targets), reverse=True)
    return _by_prediction(ahead)


def window_connectivity(
    cell: Cell,
    params: Params,
    key: Key,
    windows: X,
    targets: PyTree,
    measure: Measure,
    *,
    at: str = "",
    chunk: int = 64,
) -> Float[Array, "N W"]:
    """Of the last prediction of each window with the window's inputs, each window read from a fresh
    carry.

    Args:
      key: what `init_carry` draws from, for every window alike.
      windows: leaves [N, W, ...]; `sliding` makes them.
      targets: leaves [N, ...], of each window's last prediction.
      chunk: windows that are worked on together; memory grows with it.
      cell, params, measure, at: as in `connectivity`.

    Raises:
      ValueError: as `connectivity` does.
    """
    _count(windows, targets)
    require_positive(chunk=chunk)
    steps = count_time_steps("windows", jax.tree.map(lambda a: a[0], windows))
    carry = cell.init_carry(params, key)
    nudged, still = _nudged_step(cell, params, carry, first_of(first_of(windows)), at)

    def of_one(given):
        xs, target = given

        def score(nudges):
            def step(carry, now):
                return nudged(carry, *now)

            _, ys = lax.scan(step, carry, (xs, nudges))
            return measure.of(jax.tree.map(lambda a: a[-1], ys), target)

        gradients = jax.grad(score)(jnp.broadcast_to(still, (steps, *still.shape)))
        return jax.vmap(measure.reduce)(gradients)[::-1]

    return lax.map(of_one, (windows, targets), batch_size=chunk)


def sliding(xs: X, size: int) -> X:
    """Every stretch of `size` time steps: leaves [T, ...] to [T - size + 1, size, ...].

    Raises:
      ValueError: a size below 1 or above T.
    """
    steps = count_time_steps("xs", xs)
    require_positive(size=size)
    if size > steps:
        raise ValueError(f"size is {size}, xs has {steps} time steps; give at most as many")
    places = jnp.arange(steps - size + 1)[:, None] + jnp.arange(size)[None]
    return jax.tree.map(lambda a: a[places], xs)


def by_position(by_lag: Float[Array, "T L"]) -> Float[Array, "T T"]:
    """[t', t], the prediction at t' with the input at t; 0 for later inputs and for lags that
    `by_lag` does not reach."""
    steps, lags = by_lag.shape
    lag = jnp.arange(steps)[:, None] - jnp.arange(steps)[None]
    there = (lag >= 0) & (lag < lags)
    found = jnp.take_along_axis(by_lag, jnp.clip(lag, 0, lags - 1), axis=1)
    return jnp.where(there, found, 0)


def _nudged_step(
    cell: Cell, params: Params, carry: Carry, x: X, at: str
) -> tuple[Callable[[Carry, X, Float[Array, " D"]], tuple[Carry, Y]], Float[Array, " D"]]:
    """`(carry, x, nudge) -> (carry, y)` with the nudge on the input or the value `at`, and a nudge
    of zeros."""
    if at:
        named = name_values(cell, params, carry, x)
        value = require_name(named, at)
        zeros = jnp.zeros(value.shape, value.dtype)

        def nudged(carry, x, nudge):
            return named.nudged(params, carry, x, at, from_vector(nudge, zeros))

        return nudged, to_vector(zeros)
    if not all(map(is_float, jax.tree.leaves(x))):
        kinds = ", ".join(sorted({str(leaf.dtype) for leaf in jax.tree.leaves(x)}))
        raise ValueError(
            f"xs is of {kinds}, to which no gradient exists; give one-hot vectors, "
            'jax.nn.one_hot(xs, vocab_size), or name a value behind them, such as at="embed"'
        )

    def nudged(carry, x, nudge):
        return cell.step(params, carry, from_vector(to_vector(x) + nudge, x))

    return nudged, jnp.zeros_like(jax.eval_shape(to_vector, x))


def _count(xs: Any, targets: Any) -> int:
    one, other = count_time_steps("xs", xs), count_time_steps("targets", targets)
    if one != other:
        raise ValueError(f"xs has a first axis of {one}, targets of {other}; give the same")
    return one


def _by_prediction(ahead: Float[Array, "T L"]) -> Float[Array, "T L"]:
    """[t, k], the input at t for the prediction k later, to [t', k], the prediction at t'."""
    steps, lags = ahead.shape
    time, lag = jnp.arange(steps)[:, None], jnp.arange(lags)[None]
    return jnp.where(time >= lag, ahead[jnp.maximum(time - lag, 0), lag], 0)
