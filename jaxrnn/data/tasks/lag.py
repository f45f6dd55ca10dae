"""Coins whose probability depends on the inputs 3 and 8 time steps back, or at other lags."""

import jax.numpy as jnp

from jaxrnn.data.synthetic import TOY, LagTask, lag_sequence, loss_floors
from jaxrnn.data.tasks.task import Example, Task, constantly, places


def lag(task: LagTask = TOY) -> Task:
    """Answers are drawn, so the floor is above zero. The first ones look back past the start and
    are not scored.

    Reference: R2RT, Recurrent Neural Networks in Tensorflow I (11 July 2016).
    """
    furthest = max((lag for lag, _ in task.lags), default=0)
    one = task.base + sum(weight for _, weight in task.lags) / 2

    def draw(key, size, length):
        inputs, targets = lag_sequence(task, key, length)
        at = places(length)
        return Example(inputs, targets, jnp.logical_and(at >= furthest, at < size))

    return Task(
        draw=draw,
        draw_test=draw,
        reads=2,
        answers=2,
        metric="accuracy",
        chance=constantly(max(one, 1 - one)),
        floor=constantly(loss_floors(task)[tuple(lag for lag, _ in task.lags)]),
        shortest=furthest + 1,
        train_lengths=(40, 40),
        test_lengths=(40, 80, 160),
    )
