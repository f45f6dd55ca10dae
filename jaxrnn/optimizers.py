"""Optimizers: the rules of optax on clipped gradients, the learning rate in their state.

These are names for what is used often: any transformation of optax goes wherever they go, such as
`optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))`. `optax.inject_hyperparams` of a
function of the learning rate that makes it puts that into the state, where sweeps set it.

Of complex params a rule that divides by the size of gradients (Adam, Adagrad, RMSProp) takes that
of the complex number, so that real and imaginary part keep its direction; clipping counts both
parts. `optax.contrib.split_real_and_imaginary` around a rule makes two real params of each.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxrnn.base import Params, require_one_of, require_positive
from jaxrnn.swept import own

Optimizer = optax.GradientTransformation
Decay = Literal["none", "linear", "cosine"]


def clipped_adam(learning_rate: float = 1e-3, max_norm: float | None = 1.0) -> Optimizer:
    """Adam on gradients clipped to a global norm of `max_norm`; None does not clip.

    Reference: Kingma and Ba (2015), https://arxiv.org/abs/1412.6980; clipping of Pascanu et al.
    (2013), https://arxiv.org/abs/1211.5063
    """
    return _clipped(optax.adam, learning_rate, max_norm)


def clipped_adagrad(learning_rate: float = 0.1, max_norm: float | None = 1.0) -> Optimizer:
    """Adagrad, its accumulator beginning at 0.1 as in TensorFlow, on clipped gradients.

    Reference: Duchi et al. (2011), https://jmlr.org/papers/v12/duchi11a.html
    """
    return _clipped(optax.adagrad, learning_rate, max_norm)


def clipped_momentum(
    learning_rate: float = 0.05, max_norm: float | None = 1.0, momentum: float = 0.8
) -> Optimizer:
    """Gradient descent with momentum, on clipped gradients.

    Reference: Polyak (1964), https://doi.org/10.1016/0041-5553(64)90137-5
    """
    return _clipped(
        lambda learning_rate: optax.sgd(learning_rate, own(momentum)), learning_rate, max_norm
    )


def clipped_adamw(
    learning_rate: float = 1e-3, max_norm: float | None = 1.0, weight_decay: float = 0.01
) -> Optimizer:
    """Adam on clipped gradients; beside it every matrix shrinks by learning_rate * weight_decay of
    itself at each update. Vectors (biases, scales) do not.

    Reference: Loshchilov and Hutter (2019), https://arxiv.org/abs/1711.05101
    """

    def rule(learning_rate):
        return optax.adamw(learning_rate, weight_decay=own(weight_decay), mask=_matrices)

    return _clipped(rule, learning_rate, max_norm)


def clipped_rmsprop(learning_rate: float = 1e-3, max_norm: float | None = 1.0) -> Optimizer:
    """RMSProp on clipped gradients: the mean of their squares forgets a tenth at each update.

    Reference: Tieleman and Hinton (2012), lecture 6.5 of "Neural Networks for Machine Learning"
    """
    return _clipped(optax.rmsprop, learning_rate, max_norm)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": clipped_adam,
    "adamw": clipped_adamw,
    "adagrad": clipped_adagrad,
    "momentum": clipped_momentum,
    "rmsprop": clipped_rmsprop,
}
"""The optimizers by name, as `--optimizer NAME` takes them."""


def updates_of(
    optimizer: Optimizer, grads: Params, opt_state: optax.OptState, params: Params, value: Array
) -> tuple[Params, optax.OptState]:
    """What one training step adds to `params`, and the optimizer's state after it.

    `grads` are as JAX has them: of a complex param dL/dx - i dL/dy, the conjugate of the direction
    in which the loss rises, which is what optimizers take. `value` is the loss, for those that ask
    for it (`optax.contrib.reduce_on_plateau`, `optax.polyak_sgd`).

    Raises:
      ValueError: an optimizer that asks for more, such as a function to search along a line.
    """
    rising = jax.tree.map(jnp.conj, grads)  # of real numbers they are the same
    update = optax.with_extra_args_support(optimizer).update
    try:
        return update(rising, opt_state, params, value=value)
    except TypeError as error:
        if "required keyword-only argument" not in str(error):
            raise
        raise ValueError(
            f"the optimizer did not get what it asks for ({error}): a training step gives it "
            "value=, the loss, and no more; make what is around it an "
            "optax.GradientTransformationExtraArgs that passes this on, or write a training step "
            "around its own update"
        ) from error


def with_learning_rate(opt_state: optax.OptState, learning_rate: ArrayLike) -> optax.OptState:
    """An optimizer's state with another learning rate, which may be traced; all of them, where
    groups of params have their own.

    Raises:
      ValueError: a state without one, or with one that follows a schedule.
    """
    if not optax.tree.get_all_with_path(opt_state, "learning_rate", _is_injected):
        raise ValueError(
            f"learning_rate is {learning_rate}, and the optimizer has none in its state; make it "
            "settable with optax.inject_hyperparams(optax.adam)(learning_rate=1e-3), take one of "
            "jaxrnn.OPTIMIZERS, or leave learning_rate out"
        )
    if optax.tree.get_all_with_path(opt_state, "learning_rate", _is_scheduled):
        raise ValueError(
            f"learning_rate is {learning_rate}, and a schedule of the optimizer would replace it; "
            "inject what the schedule is made of, as in optax.inject_hyperparams(lambda "
            "learning_rate: optax.adam(schedule(learning_rate)))(learning_rate=1e-3), or leave "
            "learning_rate out"
        )
    rate = jnp.asarray(learning_rate, jnp.float32)
    return optax.tree.set(opt_state, _is_injected, learning_rate=rate)


# A param may be called "learning_rate" too, and is then in the state beside it.
def _is_injected(path: tuple, _) -> bool:
    return getattr(path[-2], "name", None) == "hyperparams" if path[1:] else False


def _is_scheduled(path: tuple, _) -> bool:
    return getattr(path[-2], "name", None) == "hyperparams_states" if path[1:] else False


def _clipped(rule, learning_rate, max_norm):
    """The learning rate goes into the optimizer's state, so that a sweep can `vmap` over it."""

    def build(learning_rate):
        clip = optax.identity() if max_norm is None else optax.clip_by_global_norm(own(max_norm))
        return optax.chain(clip, rule(learning_rate))

    return optax.inject_hyperparams(build)(learning_rate=learning_rate)


def _matrices(params: Params) -> Params:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


# Not optax's schedules: they raise under strict dtype promotion.
FALLS: dict[Decay, Callable[[Array], Array]] = {
    "none": jnp.ones_like,
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + jnp.cos(jnp.pi * done)) / 2,
}
"""What is left of the learning rate, by the part of the training steps that is done."""


def decaying(
    optimizer: Optimizer, decay: Decay, training_steps: int, *, warmup: int = 0
) -> Optimizer:
    """`optimizer` whose updates are scaled: up to 1 over the first `warmup` training steps, from
    then on down to 0 behind the last of `training_steps`, along a line or half a cosine.

    The learning rate in its state stays what it was, the highest; see `current_learning_rate`.

    Raises:
      ValueError: an unknown decay, or a warmup that leaves no training step.

    Reference: half a cosine, without restarts: Loshchilov and Hutter (2017),
    https://arxiv.org/abs/1608.03983
    """
    require_positive(training_steps=training_steps)
    if not 0 <= warmup < training_steps:
        raise ValueError(
            f"warmup is {warmup}; give 0 to {training_steps - 1}, fewer than all training steps"
        )
    require_one_of(FALLS, decay=decay)
    if decay == "none" and not warmup:
        return optimizer

    def scale(count):
        steps = count.astype(jnp.float32)
        rise = jnp.minimum((steps + 1) / (warmup + 1), 1)
        done = jnp.maximum((steps - warmup) / (training_steps - warmup), 0)
        return rise * FALLS[decay](jnp.minimum(done, 1))

    def update(updates, state, params=None):
        fall = scale(state.updates)
        updates = jax.tree.map(lambda u: u * fall.astype(u.dtype), updates)
        return updates, Decayed(state.updates + 1, fall)

    def init(params):
        return Decayed(jnp.int32(0), jnp.float32(1))

    return optax.chain(optimizer, Optimizer(init, update))


class Decayed(NamedTuple):
    """How many updates there were, and what the last one was scaled by."""

    updates: Int[Array, ""]
    fall: Float[Array, ""]


def current_learning_rate(opt_state: optax.OptState) -> Array | None:
    """What the last update was scaled by, the highest before the first; None where the optimizer
    keeps no learning rate in its state. Of several, for groups of params, the first."""
    rates = optax.tree.get_all_with_path(opt_state, "learning_rate", _is_injected)
    falls = optax.tree.get_all_with_path(opt_state, "fall", _is_decayed)
    if not rates:
        return None
    return rates[0][1] * (falls[0][1] if falls else 1.0)


def _is_decayed(path: tuple, _) -> bool:
    return getattr(path[-1], "tuple_name", None) == "Decayed"
