"""The gradient style that an experiment's config asks for."""

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import jax

from jaxrnn.base import Cell, GradientEstimator, Objective, named_leaves
from jaxrnn.gradients import STYLES, weight_drop
from jaxrnn.unroll import Schedule

# A name in STYLES, so that a new style is a choice of `--estimator` in every experiment.
if TYPE_CHECKING:
    EstimatorName = str
else:
    EstimatorName = Literal[tuple(STYLES)]


@runtime_checkable
class GradientConfig(Protocol):
    """The fields of a config that say how gradients are taken; of window and stride, 0 means
    num_steps."""

    @property
    def estimator(self) -> EstimatorName: ...
    @property
    def window(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def schedule(self) -> Schedule: ...


def configured_estimator(
    config: GradientConfig, cell: Cell, objective: Objective, *, num_steps: int, length: int
) -> GradientEstimator:
    """The config's style on `cell`, for batches of `num_steps` scored time steps cut from streams
    of `length`.

    Raises:
      ValueError: a window or a stride that the style does not read, a window longer than the
        streams or below the stride, a stride that does not divide num_steps, and whatever the style
        refuses.
    """
    style = STYLES[config.estimator]
    given = {"window": config.window, "stride": config.stride}
    for name, value in given.items():
        if value and name not in style.integers:
            raise ValueError(
                f"--{name} is {value}; the estimator {config.estimator} takes no {name}, "
                "leave it out"
            )
    if config.window > length:
        raise ValueError(
            f"--window is {config.window}, longer than the text: a stream has {length} time steps; "
            "give a smaller window or batch_size, or a longer text"
        )
    window, stride = (value or num_steps for value in given.values())
    if {"window", "stride"} <= set(style.integers):
        if window < stride:
            whose = "" if config.stride else ", which is num_steps where none is given"
            raise ValueError(
                f"--window is {window}, below the stride {stride}{whose}; "
                f"give --stride {window} or less, or a larger --window"
            )
        if num_steps % stride:
            raise ValueError(
                f"--stride is {stride}, --num-steps {num_steps}; "
                "give a stride that divides the time steps of a training step"
            )
    return style(cell, objective, window, stride, schedule=config.schedule)


def configured_weight_drop(
    estimator: GradientEstimator, rate: float, cell: Cell
) -> GradientEstimator:
    """`estimator` on `cell` with the recurrent matrices dropped at the config's rate; at 0 the
    estimator itself, so that what trains without has the carry that it had. Inside
    `batch_parallel`.

    Raises:
      ValueError: a rate outside [0, 1), or a cell without a matrix w_hh.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"--weight-drop is {rate}; give a rate from 0 up to but not 1")
    if not rate:
        return estimator
    leaves = named_leaves(jax.eval_shape(cell.init, jax.random.key(0)))
    if not any(name.split(".")[-1] == "w_hh" for name in leaves):
        raise ValueError(
            f"--weight-drop is {rate}, and no layer has a matrix w_hh, which it drops; leave it "
            "out, or give another --cell"
        )
    return weight_drop(estimator, rate)
