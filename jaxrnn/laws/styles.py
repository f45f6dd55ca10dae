"""What every gradient style must obey.

Each law calls the style on several batches in a row with the carry threaded, because one batch
cannot show an error in what is carried. What a style declares of itself says what the laws expect:
an "unbiased" one is tried with many keys and its mean gradient compared; an "approximate" one with
a cell on which it has to be exact.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from jaxrnn.base import Batch, Carry, Cell, GradientEstimator, Objective, Params, PyTree
from jaxrnn.cells import gru
from jaxrnn.gradients import Style
from jaxrnn.laws.comparing import LawBroken, require_close, require_same_type
from jaxrnn.laws.drawing import gradient_by_survival, require_mean
from jaxrnn.unroll import Schedule

INPUT_SIZE, HIDDEN_SIZE = 3, 4
BATCH_SIZE = 2
NUM_BATCHES = 3
ROUNDING = 2e-5
DRAWS = 4096  # keys that an unbiased style is tried with


class Case(NamedTuple):
    """A window and a stride, and batches of K = history and T = scored time steps."""

    window: int
    stride: int
    scored: int
    history: int


def as_declared(style: Style, case: Case) -> Case:
    """The case as the style takes it: without truncation every batch is one window, no history.
    Of windows of drawn lengths a batch holds as many as come out; a length that is 1 in the mean
    would be no draw."""
    scored = case.scored
    if style.survival is not None:
        return Case(max(2, case.window), scored, scored, 0)
    return case if style.truncates else Case(scored, scored, scored, 0)


def carry_type_preserved(style: Style) -> None:
    """The carry is a `lax.scan` carry, each leaf with the batch as its leading axis, and grads
    have the type of params."""
    for case in (Case(4, 2, 4, 2), Case(3, 3, 6, 0)):
        params, estimator, (batch, *_) = _setting(style, as_declared(style, case))
        carry = estimator.init(params, jax.random.key(0), BATCH_SIZE)
        for leaf in jax.tree.leaves(carry):
            if leaf.shape[:1] != (BATCH_SIZE,):
                raise LawBroken(f"a leaf of the carry is {leaf.shape}; its first axis is the batch")
        grads, after, _ = jax.eval_shape(estimator.estimate, params, carry, batch)
        require_same_type("carry", carry, after)
        require_same_type("params", params, grads)


def one_window_is_bptt(style: Style) -> None:
    """With window = stride = T and no history, each batch gives `jax.grad` of the mean loss of a
    plain loop from where the sequences stand."""
    equals_by_hand(style, Case(window=5, stride=5, scored=5, history=0))


def equals_gradients_by_hand(style: Style) -> None:
    """Windows that touch, windows that overlap with all, some and no history; see
    `equals_by_hand`."""
    cases = (Case(3, 3, 6, 0), Case(5, 2, 4, 3), Case(5, 2, 4, 1), Case(4, 1, 3, 0))
    for case in dict.fromkeys(as_declared(style, case) for case in cases):
        equals_by_hand(style, case)


def equals_by_hand(style: Style, case: Case) -> None:
    """Each batch gives the average over its groups of `stride` time steps of the gradient of their
    mean loss, taken through a plain loop over the group's window, or of all its losses with the
    errors weighted by how they survive. Params change between the batches, as in training."""
    case = as_declared(style, case)
    params, estimator, batches = _setting(style, case)
    carry, estimate = _drawn(style, estimator, params)
    position: Position = _first_carry
    for n, batch in enumerate(batches):
        grads, carry, metrics = estimate(params, carry, batch)
        expected, loss, end = _by_hand(style, params, position, batch, case)
        where = f"of batch {n} with {case}"
        _require_mean(f"gradient {where}, params", grads, (_BY_HAND, expected))
        found = jax.tree.map(lambda loss: loss[0], metrics["loss"])
        require_close(f"loss {where}", (_ESTIMATE, found), (_BY_HAND, loss), ROUNDING)
        changed = jax.tree.map(lambda p, g: p - 0.5 * g, params, expected)
        position = _next_position(style, end, params, changed)
        params = changed


def errors_travel_as_declared(style: Style) -> None:
    """The gradient of the counter cell `c' = c + w x`, x = 1, loss c', is the mean number of time
    steps that an error travels: window - (stride - 1) / 2 with full history, the windows cut at
    the batch's edge without. A style that remembers adds all time steps before the batch."""
    counter = Cell(
        init=lambda key: jnp.ones(()),
        init_carry=lambda w, key: jnp.zeros(()),
        step=lambda w, c, x: (c + w * x, c + w * x),
    )
    pairs = [(4, 4), (8, 8), (4, 2), (4, 1), (7, 3), (1, 1)]
    cases = [
        as_declared(style, Case(window, stride, 3 * stride, history))
        for window, stride in pairs
        for history in {0, window - stride}
    ]
    for case in dict.fromkeys(cases):
        estimator = _compiled(style, counter, lambda outputs, targets: outputs, case)
        carry, estimate = _drawn(style, estimator, jnp.ones(()))
        ones = jnp.ones((case.history + case.scored, BATCH_SIZE))
        batch = Batch(ones, ones[: case.scored])
        for n in range(NUM_BATCHES):
            distance, carry, _ = estimate(jnp.ones(()), carry, batch)
            before = n * case.scored if style.remembers else 0
            expected = before + _mean_distance(style, case)
            what = f"mean distance that an error of batch {n} travels with {case}"
            _require_mean(what, distance, ("the style's declaration", jnp.float32(expected)))


def _mean_distance(style: Style, case: Case) -> float:
    """The last of a group's errors goes back its whole window, the one before it one step less."""
    if style.survival is not None:
        return float(style.survival(case.window, case.scored).sum()) / case.scored
    groups = case.scored // case.stride
    windows = [
        min(case.window, case.history + case.stride * (group + 1)) for group in range(groups)
    ]
    return sum(windows) / groups - (case.stride - 1) / 2


def carry_continues(style: Style) -> None:
    """The losses of batch n are those of one plain loop over the whole sequence, or over the batch
    alone for a style that carries nothing."""
    for case in (Case(3, 3, 6, 0), Case(5, 2, 4, 3), Case(4, 1, 3, 1)):
        case = as_declared(style, case)
        params, estimator, batches = _setting(style, case)
        carry = estimator.init(params, jax.random.key(0), BATCH_SIZE)
        cell, position = _cell(style), _first_carry(params)
        for n, batch in enumerate(batches):
            _, carry, metrics = estimator.estimate(params, carry, batch)
            _, outputs = _loop(cell, params, position, batch.inputs)
            loss = _objective(outputs[case.history :], batch.targets).mean()
            what = f"loss of batch {n} with {case}"
            require_close(what, (_ESTIMATE, metrics["loss"]), ("a plain loop", loss), ROUNDING)
            if style.carries:
                position, _ = _loop(cell, params, position, batch.inputs[: case.scored])


def learnt_initial_carry(style: Style) -> None:
    """The initial carry, where it is a parameter, receives a gradient from sequences that start
    in the batch and none from those that continue, unless the style remembers their start."""
    for case in (Case(4, 4, 4, 0), Case(4, 2, 4, 2), Case(2, 1, 3, 0)):
        params, estimator, batches = _setting(style, as_declared(style, case))
        carry = estimator.init(params, jax.random.key(0), BATCH_SIZE)
        for n, batch in enumerate(batches):
            grads, carry, _ = estimator.estimate(params, carry, batch)
            felt = bool(jnp.any(grads["h0"] != 0))
            fresh = n == 0 or not style.carries
            if felt != (fresh or style.remembers):
                raise LawBroken(
                    f"the sequences of batch {n} {'start' if fresh else 'continue'} in it, and the "
                    f"gradient to the learnt initial carry is {grads['h0']}, with {case}"
                )


def sequences_do_not_meet(style: Style) -> None:
    """A batch whose sequences began at different times gives the mean of what they give apart."""
    case = as_declared(style, Case(4, 2, 4, 2))
    params, estimator, batches = _setting(style, case)
    fresh = estimator.init(params, jax.random.key(1), BATCH_SIZE)
    _, begun, _ = estimator.estimate(
        params, estimator.init(params, jax.random.key(0), BATCH_SIZE), batches[0]
    )
    apart = [estimator.estimate(params, carry, batches[1]) for carry in (begun, fresh)]
    both = jax.tree.map(lambda *a: jnp.concatenate(a), begun, fresh)
    twice = jax.tree.map(lambda a: jnp.concatenate([a, a], axis=1), batches[1])
    grads, after, metrics = estimator.estimate(params, both, twice)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, *((g, m["loss"]) for g, _, m in apart))
    together = jax.tree.map(lambda *a: jnp.concatenate(a), *(carry for _, carry, _ in apart))
    result = ("together", (grads, metrics["loss"]))
    require_close("(gradient, loss)", result, ("apart", mean), ROUNDING)
    require_close("carry", ("together", after), ("apart", together), ROUNDING)


def every_schedule_is_the_plain_scan(style: Style) -> None:
    """Batch for batch, every schedule of `unroll` gives the gradient, the loss and the carry of the
    plain loop, to windows that touch, overlap, and are cut at the batch's edge."""
    for case in (Case(3, 3, 6, 0), Case(5, 2, 4, 3), Case(4, 1, 3, 0)):
        case = as_declared(style, case)
        plain = _estimates(style, case, "scan")
        for schedule in sorted(set(get_args(Schedule)) - {"scan"}):
            for n, pair in enumerate(zip(_estimates(style, case, schedule), plain, strict=True)):
                what = f"(gradient, carry, metrics) of batch {n} with {case}"
                require_close(what, (schedule, pair[0]), ("scan", pair[1]), ROUNDING)


def _estimates(style: Style, case: Case, schedule: Schedule) -> list[PyTree]:
    params, estimator, batches = _setting(style, case, schedule)
    carry, found = estimator.init(params, jax.random.key(0), BATCH_SIZE), []
    for batch in batches:
        found.append(estimator.estimate(params, carry, batch))
        carry = found[-1][1]
    return found


def fresh_starts_draw_anew(style: Style) -> None:
    """A random initial carry differs from sequence to sequence, and from batch to batch where
    batches start fresh."""
    cell = Cell(
        init=lambda key: jnp.ones(()),
        init_carry=lambda params, key: jax.random.normal(key),
        step=lambda params, carry, x: (carry, params * carry),
    )
    case = as_declared(style, Case(2, 2, 2, 0))

    def spread(outputs, targets):
        return jnp.square(outputs - outputs.mean(1, keepdims=True))

    estimator = _compiled(style, cell, spread, case)
    carry = estimator.init(jnp.ones(()), jax.random.key(0), BATCH_SIZE)
    steps = jnp.ones((case.scored, BATCH_SIZE))
    losses = []
    for _ in range(NUM_BATCHES):
        _, carry, metrics = estimator.estimate(jnp.ones(()), carry, Batch(steps, steps))
        losses.append(float(metrics["loss"]))
    if min(losses) == 0:
        raise LawBroken("all sequences of a batch start from the same draw of init_carry")
    kinds = 1 if style.carries else NUM_BATCHES
    if len(set(losses)) != kinds:
        raise LawBroken(
            f"{NUM_BATCHES} batches begin from {len(set(losses))} draws of init_carry, they should "
            f"from {kinds}"
        )


_ESTIMATE, _BY_HAND = "the estimator", "by hand"


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


_GATED, _SELF_FED = _gated(), _self_fed()


def _cell(style: Style) -> Cell:
    """One on which the style gives, or gives in the mean, what it declares."""
    return _SELF_FED if style.accuracy == "approximate" else _GATED


def _objective(outputs, targets):
    return jnp.square(outputs - targets).sum(-1)


def _setting(
    style: Style, case: Case, schedule: Schedule = "auto", cell: Cell | None = None
) -> tuple[Params, GradientEstimator, list[Batch]]:
    """Batches that overlap by their history, cut from one long sequence."""
    cell = cell or _cell(style)
    key_params, key_inputs, key_targets = jax.random.split(jax.random.key(4), 3)
    length = NUM_BATCHES * case.scored + case.history
    inputs = jax.random.normal(key_inputs, (length, BATCH_SIZE, INPUT_SIZE))
    targets = jax.random.normal(key_targets, (length, BATCH_SIZE, HIDDEN_SIZE))
    batches = [
        Batch(
            inputs[start : start + case.history + case.scored],
            targets[start + case.history : start + case.history + case.scored],
        )
        for start in range(0, NUM_BATCHES * case.scored, case.scored)
    ]
    return cell.init(key_params), _compiled(style, cell, _objective, case, schedule), batches


def _compiled(
    style: Style, cell: Cell, objective: Objective, case: Case, schedule: Schedule = "auto"
) -> GradientEstimator:
    estimator = style(cell, objective, case.window, case.stride, schedule=schedule)
    return estimator._replace(estimate=jax.jit(estimator.estimate))


def _first_carry(params: Params) -> Carry:
    return jnp.broadcast_to(params["h0"], (BATCH_SIZE, HIDDEN_SIZE))


@functools.cache
def _step(cell: Cell):
    return jax.jit(jax.vmap(cell.step, in_axes=(None, 0, 0)))


def _loop(cell, params, carry, inputs):
    outputs = []
    for x in inputs:
        carry, y = _step(cell)(params, carry, x)
        outputs.append(y)
    return carry, jnp.stack(outputs)


# The carry in front of a batch, as a function of the params that gradients are taken to.
Position = Callable[[Params], Carry]


def _by_hand(
    style: Style,
    params: Params,
    position: Position,
    batch: Batch,
    case: Case,
    cell: Cell | None = None,
) -> tuple[Params, Array, Position]:
    """The gradient that the style declares, the loss and the position behind the batch."""
    cell = cell or _cell(style)
    if style.survival is not None:
        weights = style.survival(case.window, case.scored)
        return _by_survival(cell, params, position, batch, weights)

    def start(params, first):
        """The carry in front of step `first`; a window that begins later sees only its value."""
        carry = position(params)
        return (
            carry
            if first == 0
            else jax.lax.stop_gradient(_loop(cell, params, carry, batch.inputs[:first])[0])
        )

    def group_loss(params, group):
        stop = case.history + (group + 1) * case.stride
        first = max(0, stop - case.window)
        _, outputs = _loop(cell, params, start(params, first), batch.inputs[first:stop])
        targets = batch.targets[group * case.stride : (group + 1) * case.stride]
        return _objective(outputs[-case.stride :], targets).mean()

    groups = case.scored // case.stride
    found = [jax.value_and_grad(group_loss)(params, group) for group in range(groups)]
    loss, grads = jax.tree.map(lambda *a: sum(a) / groups, *found)
    return (
        grads,
        loss,
        lambda params: _loop(cell, params, start(params, 0), batch.inputs[: case.scored])[0],
    )


def _by_survival(cell: Cell, params: Params, position: Position, batch: Batch, weights: np.ndarray):
    """The same where the error of each time step arrives with a weight at each step before."""

    def losses(every: list[Params]):
        carry, found = position(every[0]), []
        for params, x, target in zip(every, batch.inputs, batch.targets, strict=True):
            carry, y = _step(cell)(params, carry, x)
            found.append(_objective(y, target).mean())
        return jnp.stack(found), carry

    grads, _ = gradient_by_survival(losses, params, weights)
    every, end = losses([params] * len(weights))
    return grads, every.mean(), lambda params: end


def _next_position(style: Style, end: Position, before: Params, after: Params) -> Position:
    """Where the next batch stands, its params being `after` in place of `before`."""
    if not style.carries:
        return _first_carry
    if not style.remembers:
        value = end(before)
        return lambda params: value
    # what is added to the params is added to those of all time steps
    change = jax.tree.map(jnp.subtract, before, after)
    return lambda params: end(jax.tree.map(jnp.add, params, change))


def _drawn(style: Style, estimator: GradientEstimator, params: Params):
    """A carry and an estimate with a leading axis of draws, one of them where nothing is drawn."""
    keys = jax.random.split(jax.random.key(0), DRAWS if style.accuracy == "unbiased" else 1)
    carry = jax.vmap(lambda key: estimator.init(params, key, BATCH_SIZE))(keys)
    return carry, jax.jit(jax.vmap(estimator.estimate, in_axes=(None, 0, None)))


def _require_mean(what: str, draws: PyTree, right: tuple[str, PyTree]) -> None:
    """The mean of the draws is what it should be: to rounding, where one was drawn."""
    if jax.tree.leaves(draws)[0].shape[0] > 1:
        require_mean(f"mean {what}", draws, right[1])
    else:
        require_close(what, (_ESTIMATE, jax.tree.map(lambda a: a[0], draws)), right, ROUNDING)


def accuracy_as_declared(style: Style) -> None:
    """Only what is declared exact gives the same gradient for every key and every cell: an unbiased
    style differs from key to key, an approximate one from the gradient by hand where numbers of the
    carry mix, and yet points the same way."""
    case = as_declared(style, Case(3, 3, 6, 0))
    params, estimator, batches = _setting(style, case, cell=_GATED)
    position: Position = _first_carry
    carries = [estimator.init(params, jax.random.key(seed), BATCH_SIZE) for seed in range(8)]
    errors, keys_matter = [], False
    for batch in batches:
        found = [estimator.estimate(params, carry, batch) for carry in carries]
        carries = [carry for _, carry, _ in found]
        expected, _, end = _by_hand(style, params, position, batch, case, _GATED)
        position = _next_position(style, end, params, params)
        one, *others = (ravel_pytree(grads)[0] for grads, _, _ in found)
        exact = ravel_pytree(expected)[0]
        apart = max(float(jnp.linalg.norm(one - other)) for other in others)
        keys_matter |= apart > 1e-3 * float(jnp.linalg.norm(exact))
        errors.append(float(jnp.linalg.norm(one - exact) / jnp.linalg.norm(exact)))
    if keys_matter != (style.accuracy == "unbiased"):
        raise LawBroken(
            f"the gradient {'differs' if keys_matter else 'does not differ'} from key to key, and "
            f"the style is declared {style.accuracy}"
        )
    if style.accuracy != "unbiased" and (max(errors) > 1e-3) != (style.accuracy == "approximate"):
        raise LawBroken(
            f"the gradient is off by {max(errors):.2g} of its length on a gru, and the style is "
            f"declared {style.accuracy}"
        )
    if style.accuracy == "approximate" and min(errors) >= 1:
        raise LawBroken(f"the gradient is off by {min(errors):.2g} of its length: zero is nearer")
