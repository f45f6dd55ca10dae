"""Binary sequences with known lags, whose best achievable losses have a closed form."""

from itertools import combinations, product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32

from jaxrnn.base import Key, draw_bernoulli, require_positive
from jaxrnn.data.streams import Streams, streams


class LagTask(NamedTuple):
    """Targets that depend on the inputs `lag` time steps ago.

        X_t ~ Bernoulli(0.5), independent
        P(Y_t = 1) = base + sum over (lag, weight) of weight * X_{t - lag}

    A task describes the data and is static: under `jit` close over it or mark it so.

    Attributes:
      base: the probability of a one when every lagged input is zero.
      lags: (lag in time steps, weight in probability), each lag once.
    """

    base: float
    lags: tuple[tuple[int, float], ...]


TOY = LagTask(0.5, ((3, 0.5), (8, -0.25)))
"""P(Y_t = 1) = 0.5 + 0.5 X_(t-3) - 0.25 X_(t-8), of R2RT, "Recurrent Neural Networks in Tensorflow
I" (11 July 2016)."""


def lag_sequence(
    task: LagTask, key: Key, length: int
) -> tuple[Int32[Array, " length"], Int32[Array, " length"]]:
    """Draws one sequence on the device: (inputs [length], targets [length]), zeros and ones.

    The first targets look back past the start and see the end of the inputs, as in the published
    generator, whose negative indices wrap.

    Raises:
      ValueError: a task that is no probability, or a length below 1.
    """
    _check(task)
    require_positive(length=length)
    key_inputs, key_targets = jax.random.split(key)
    inputs = draw_bernoulli(key_inputs, 0.5, (length,)).astype(jnp.float32)
    probability = jnp.full((length,), task.base, jnp.float32)
    for lag, weight in task.lags:
        probability += weight * jnp.roll(inputs, lag)
    targets = jax.random.bernoulli(key_targets, probability)
    return inputs.astype(jnp.int32), targets.astype(jnp.int32)


def lag_streams(task: LagTask, key: Key, length: int, batch_size: int) -> Streams:
    """One sequence of `lag_sequence`, cut into streams that are read side by side: inputs and
    targets [length // batch_size, batch_size]."""
    return Streams(*(streams(each, batch_size) for each in lag_sequence(task, key, length)))


def loss_floors(task: LagTask) -> dict[tuple[int, ...], float]:
    """The best achievable loss in nats per time step, for every subset of the lags.

    The floor of a subset is the conditional entropy of Y_t given the inputs at those lags alone: no
    model that sees only these does better on average. All 2^n settings of the n lagged inputs are
    enumerated.

    Returns:
      Lags known, in the task's order, to nats. For `TOY`: () 0.6616, (3,) 0.5192, (8,) 0.6277,
      (3, 8) 0.4545.

    Raises:
      ValueError: a task that is no probability.
    """
    _check(task)
    n = len(task.lags)
    settings = np.array(list(product((0.0, 1.0), repeat=n)))
    weights = np.array([weight for _, weight in task.lags])
    # Rounding may carry a sum of weights a hair past 0 or 1; axis i is the input at lag i.
    probability = np.clip(task.base + settings @ weights, 0.0, 1.0).reshape((2,) * n)

    def floor(known: tuple[int, ...]) -> float:
        one = probability.mean(axis=tuple(axis for axis in range(n) if axis not in known))
        sides = np.stack([one, 1.0 - one])
        surprise = np.abs(np.log(np.where(sides > 0.0, sides, 1.0)))  # 0 log 0 is 0
        return float(np.mean(np.sum(sides * surprise, axis=0)))

    subsets = (known for size in range(n + 1) for known in combinations(range(n), size))
    return {tuple(task.lags[axis][0] for axis in known): floor(known) for known in subsets}


def named_floors(task: LagTask) -> dict[str, float]:
    """`loss_floors` by what is known, in words for tables and plots: "t-3 and t-8", "neither"."""
    floors = loss_floors(task).items()
    return {" and ".join(f"t-{lag}" for lag in known) or "neither": nats for known, nats in floors}


def _check(task: LagTask) -> None:
    lags = [lag for lag, _ in task.lags]
    if min(lags, default=1) < 1 or len(set(lags)) < len(lags):
        raise ValueError(f"lags is {task.lags!r}; give positive lags, each of them once")
    weights = np.array([weight for _, weight in task.lags])
    lowest = task.base + np.minimum(weights, 0.0).sum()
    highest = task.base + np.maximum(weights, 0.0).sum()
    if not (lowest >= -1e-9 and highest <= 1 + 1e-9):  # not a chain of "or": a nan must fail
        raise ValueError(
            f"task is {task!r}, whose P(Y=1) spans {lowest:g} to {highest:g}; "
            "give a base and weights that stay inside [0, 1]"
        )
