"""What the laws of gradient styles try a style on: windows and strides, batches, cells."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import Batch, Cell, GradientEstimator, Objective, Params
from jaxrnn.cells import gru
from jaxrnn.gradients import Style
from jaxrnn.unroll import Schedule

INPUT_SIZE, HIDDEN_SIZE = 3, 4
BATCH_SIZE = 2
NUM_BATCHES = 3


class Case(NamedTuple):
    """A window and a stride, and batches of K = history and T = scored time steps."""

    window: int
    stride: int
    scored: int
    history: int


# The same few in all laws, and all with as many scored time steps: what was compiled for one of
# them serves the next, and to a style that does not truncate they are one case.
ONE_WINDOW = Case(4, 4, 4, 0)
TOUCHING = Case(2, 2, 4, 0)
# the first of its two windows is cut at the batch's edge, the second is whole
OVERLAPPING = Case(5, 2, 4, 1)
AT_THE_EDGE = Case(3, 1, 4, 0)


def as_declared(style: Style, case: Case) -> Case:
    """The case as the style takes it: without truncation every batch is one window, no history.
    Of windows of drawn lengths a batch holds as many as come out; a length that is 1 in the mean
    would be no draw."""
    scored = case.scored
    if style.survival is not None:
        return Case(max(2, case.window), scored, scored, 0)
    return case if style.truncates else Case(scored, scored, scored, 0)


def tried(style: Style, *cases: Case) -> list[Case]:
    """The cases as the style takes them; the first alone where it does not truncate, to which all
    are one window."""
    declared = list(dict.fromkeys(as_declared(style, case) for case in cases))
    return declared if style.truncates else declared[:1]


def _gated() -> Cell:
    """A gru with a learnt initial carry."""
    cell = gru(INPUT_SIZE, HIDDEN_SIZE)
    return Cell(
        init=lambda key: {"gru": cell.init(key), "h0": jnp.linspace(-0.5, 0.5, HIDDEN_SIZE)},
        init_carry=lambda params, key: params["h0"],
        step=lambda params, h, x: cell.step(params["gru"], h, x),
    )


def _self_fed() -> Cell:
    """Each number of the carry is fed by itself alone; with a learnt initial carry."""

    def step(params, h, x):
        h = jnp.tanh(x @ params["w_ih"] + params["a"] * h + params["b"])
        return h, h

    return Cell(
        init=lambda key: {
            "w_ih": jax.random.normal(key, (INPUT_SIZE, HIDDEN_SIZE)),
            "a": jnp.linspace(0.5, 1.0, HIDDEN_SIZE),
            "b": jnp.zeros(HIDDEN_SIZE),
            "h0": jnp.linspace(-0.5, 0.5, HIDDEN_SIZE),
        },
        init_carry=lambda params, key: params["h0"],
        step=step,
    )


def _crossed() -> Cell:
    """A gate, and two halves of the carry that read each other: a param needs three time steps
    to reach all of it."""
    half = HIDDEN_SIZE // 2

    def step(params, h, x):
        z = jax.nn.sigmoid(x @ params["w_z"])
        other = jnp.einsum("ai,aij->aj", h.reshape(2, half)[::-1], params["w_hh"]).ravel()
        h = z * h + (1 - z) * jnp.tanh(x @ params["w_ih"] + other)
        return h, h

    def init(key):
        keys = jax.random.split(key, 3)
        return {
            "w_z": jax.random.normal(keys[0], (INPUT_SIZE, HIDDEN_SIZE)),
            "w_ih": jax.random.normal(keys[1], (INPUT_SIZE, HIDDEN_SIZE)),
            "w_hh": jax.random.normal(keys[2], (2, half, half)),
            "h0": jnp.linspace(-0.5, 0.5, HIDDEN_SIZE),
        }

    return Cell(init, lambda params, key: params["h0"], step)


GATED, SELF_FED, CROSSED = _gated(), _self_fed(), _crossed()


def cell_for(style: Style) -> Cell:
    """One on which the style gives, or gives in the mean, what it declares."""
    return SELF_FED if style.accuracy == "approximate" else GATED


def squares(outputs, targets):
    return jnp.square(outputs - targets).sum(-1)


@functools.lru_cache(maxsize=64)
def setting(cell: Cell, case: Case) -> tuple[Params, list[Batch]]:
    """Params, and batches that overlap by their history, cut from one long sequence."""
    # drawn by numpy: to compile JAX's draws of every length takes as long as the styles themselves
    generator, length = np.random.default_rng(4), NUM_BATCHES * case.scored + case.history
    inputs, targets = (
        generator.standard_normal((length, BATCH_SIZE, size)).astype(np.float32)
        for size in (INPUT_SIZE, HIDDEN_SIZE)
    )
    batches = [
        Batch(
            jnp.asarray(inputs[start : start + case.history + case.scored]),
            jnp.asarray(targets[start + case.history : start + case.history + case.scored]),
        )
        for start in range(0, NUM_BATCHES * case.scored, case.scored)
    ]
    return cell.init(jax.random.key(4)), batches


def compiled(
    style: Style, cell: Cell, objective: Objective, case: Case, schedule: Schedule = "scan"
) -> GradientEstimator:
    """The style's estimator, its `estimate` jitted; the same one for every law that asks for it.

    By the plain loop, which compiles in a fraction of the time that these short sequences take
    where they are written out; that every schedule means the same is a law of its own.
    """
    return _compiled(style, cell, objective, case, schedule)


@functools.lru_cache(maxsize=64)
def _compiled(style, cell, objective, case, schedule) -> GradientEstimator:
    estimator = style(cell, objective, case.window, case.stride, schedule=schedule)
    return estimator._replace(estimate=jax.jit(estimator.estimate))


@functools.lru_cache(maxsize=64)
def drawn(
    style: Style, cell: Cell, objective: Objective, case: Case, count: int
) -> GradientEstimator:
    """The same with `count` draws of the carry, all at once: what comes out has them as its leading
    axis. The key of `init` is that of all of them."""
    estimator = compiled(style, cell, objective, case)
    begin = jax.jit(
        lambda params, key: jax.vmap(lambda key: estimator.init(params, key, BATCH_SIZE))(
            jax.random.split(key, count)
        )
    )
    return GradientEstimator(
        init=lambda params, key, batch_size: begin(params, key),
        estimate=jax.jit(jax.vmap(estimator.estimate, in_axes=(None, 0, None))),
    )
