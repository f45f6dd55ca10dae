"""What every gradient style must obey.

Each law calls the style on several batches in a row with the carry threaded, because one batch
cannot show an error in what is carried.
"""

from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp

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
NUM_DRAWS = 2000  # of a style that draws: what holds of its mean is seen through so many keys


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
    mean loss, taken through a plain loop over the group's window. Params change between the
    batches, as in training. Of a style that draws, the mean over keys does so with each error's
    way back weighted by its mean factor."""
    case = as_declared(style, case)
    if style.survival is not None:
        _mean_equals_by_hand(style, case)
        return
    params, estimator, batches = _setting(style, case)
    carry = estimator.init(params, jax.random.key(0), BATCH_SIZE)
    position = None
    for n, batch in enumerate(batches):
        grads, carry, metrics = estimator.estimate(params, carry, batch)
        expected, loss, position = _by_hand(params, position, batch, case)
        where = f"of batch {n} with {case}"
        require_close(
            f"gradient {where}, params", (_ESTIMATE, grads), (_BY_HAND, expected), ROUNDING
        )
        require_close(f"loss {where}", (_ESTIMATE, metrics["loss"]), (_BY_HAND, loss), ROUNDING)
        params = jax.tree.map(lambda p, g: p - 0.5 * g, params, expected)
        position = position if style.carries else None


def _mean_equals_by_hand(style: Style, case: Case) -> None:
    assert style.survival is not None
    weights = style.survival(case.window, case.scored)
    params, estimator, batches = _setting(style, case)
    carries, position = _carries(estimator, params), None
    for n, batch in enumerate(batches):
        grads, carries = _draws(estimator, params, carries, batch)

        def losses(every, batch=batch, position=position):
            carry, found = position, []
            for params, x, target in zip(every, batch.inputs, batch.targets, strict=True):
                carry, y = _step(params, _first_carry(params) if carry is None else carry, x)
                found.append(_objective(y, target).mean())
            return jnp.stack(found), carry

        expected, position = gradient_by_survival(losses, params, weights)
        require_mean(f"mean gradient of batch {n} with {case}, params", grads, expected)
        params = jax.tree.map(lambda p, g: p - 0.5 * g, params, expected)


def _carries(estimator: GradientEstimator, params: Params) -> Carry:
    """Those of many keys, a leading axis of `NUM_DRAWS`."""
    keys = jax.random.split(jax.random.key(0), NUM_DRAWS)
    return jax.vmap(lambda key: estimator.init(params, key, BATCH_SIZE))(keys)


def _draws(
    estimator: GradientEstimator, params: Params, carries: Carry, batch: Batch
) -> tuple[Params, Carry]:
    """The gradients and the carries of many keys."""
    every = jax.vmap(estimator.estimate, in_axes=(None, 0, None))
    grads, carries, _ = every(params, carries, batch)
    return grads, carries


def errors_travel_as_declared(style: Style) -> None:
    """The gradient of the counter cell `c' = c + w x`, x = 1, loss c', is the mean number of time
    steps that an error travels: window - (stride - 1) / 2 with full history, the windows cut at
    the batch's edge without. Of a style that draws, its mean over keys is."""
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
        ones = jnp.ones((case.history + case.scored, BATCH_SIZE))
        batch = Batch(ones, ones[: case.scored])
        if style.survival is not None:
            expected = float(style.survival(case.window, case.scored).sum()) / case.scored
            carries = _carries(estimator, jnp.ones(()))
            for n in range(NUM_BATCHES):
                distances, carries = _draws(estimator, jnp.ones(()), carries, batch)
                what = f"mean distance that an error of batch {n} travels with {case}"
                require_mean(what, distances, jnp.float32(expected))
            continue
        expected = _mean_distance(case)
        carry = estimator.init(jnp.ones(()), jax.random.key(0), BATCH_SIZE)
        for n in range(NUM_BATCHES):
            distance, carry, _ = estimator.estimate(jnp.ones(()), carry, batch)
            if abs(float(distance) - expected) > 1e-4:
                raise LawBroken(
                    f"an error of batch {n} travels {float(distance):g} time steps in the "
                    f"mean, it should {expected:g}, with {case}"
                )


def _mean_distance(case: Case) -> float:
    """The last of a group's errors goes back its whole window, the one before it one step less."""
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
        position = _first_carry(params)
        for n, batch in enumerate(batches):
            _, carry, metrics = estimator.estimate(params, carry, batch)
            _, outputs = _loop(params, position, batch.inputs)
            loss = _objective(outputs[case.history :], batch.targets).mean()
            what = f"loss of batch {n} with {case}"
            require_close(what, (_ESTIMATE, metrics["loss"]), ("a plain loop", loss), ROUNDING)
            if style.carries:
                position, _ = _loop(params, position, batch.inputs[: case.scored])


def learnt_initial_carry(style: Style) -> None:
    """The initial carry, where it is a parameter, receives a gradient from sequences that start
    in the batch and none from those that continue."""
    for case in (Case(4, 4, 4, 0), Case(4, 2, 4, 2), Case(2, 1, 3, 0)):
        params, estimator, batches = _setting(style, as_declared(style, case))
        carry = estimator.init(params, jax.random.key(0), BATCH_SIZE)
        for n, batch in enumerate(batches):
            grads, carry, _ = estimator.estimate(params, carry, batch)
            felt = bool(jnp.any(grads["h0"] != 0))
            fresh = n == 0 or not style.carries
            if felt != fresh:
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


def _cell() -> Cell:
    """A gru with a learnt initial carry."""
    cell = gru(INPUT_SIZE, HIDDEN_SIZE)
    return Cell(
        init=lambda key: {"gru": cell.init(key), "h0": jnp.linspace(-0.5, 0.5, HIDDEN_SIZE)},
        init_carry=lambda params, key: params["h0"],
        step=lambda params, h, x: cell.step(params["gru"], h, x),
    )


_CELL = _cell()


def _objective(outputs, targets):
    return jnp.square(outputs - targets).sum(-1)


def _setting(
    style: Style, case: Case, schedule: Schedule = "auto"
) -> tuple[Params, GradientEstimator, list[Batch]]:
    """Batches that overlap by their history, cut from one long sequence."""
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
    return _CELL.init(key_params), _compiled(style, _CELL, _objective, case, schedule), batches


def _compiled(
    style: Style, cell: Cell, objective: Objective, case: Case, schedule: Schedule = "auto"
) -> GradientEstimator:
    estimator = style(cell, objective, case.window, case.stride, schedule=schedule)
    return estimator._replace(estimate=jax.jit(estimator.estimate))


def _first_carry(params: Params) -> Carry:
    return jnp.broadcast_to(params["h0"], (BATCH_SIZE, HIDDEN_SIZE))


_step = jax.jit(jax.vmap(_CELL.step, in_axes=(None, 0, 0)))


def _loop(params, carry, inputs):
    outputs = []
    for x in inputs:
        carry, y = _step(params, carry, x)
        outputs.append(y)
    return carry, jnp.stack(outputs)


def _by_hand(params: Params, position: Carry | None, batch: Batch, case: Case):
    """`position` is the carry in front of the batch, None where the sequences start there."""

    def start(params, first):
        """The carry in front of step `first`; a window that begins later sees only its value."""
        carry = _first_carry(params) if position is None else position
        return (
            carry
            if first == 0
            else jax.lax.stop_gradient(_loop(params, carry, batch.inputs[:first])[0])
        )

    def group_loss(params, group):
        stop = case.history + (group + 1) * case.stride
        first = max(0, stop - case.window)
        _, outputs = _loop(params, start(params, first), batch.inputs[first:stop])
        targets = batch.targets[group * case.stride : (group + 1) * case.stride]
        return _objective(outputs[-case.stride :], targets).mean()

    groups = case.scored // case.stride
    found = [jax.value_and_grad(group_loss)(params, group) for group in range(groups)]
    loss, grads = jax.tree.map(lambda *a: sum(a) / groups, *found)
    end, _ = _loop(params, start(params, 0), batch.inputs[: case.scored])
    return grads, loss, end
