"""What every gradient style must obey.

Each law calls the style on several batches in a row with the carry threaded, because one batch
cannot show an error in what is carried. What a style declares of itself says what the laws expect:
an "unbiased" one is tried with many keys and its mean gradient compared; an "approximate" one with
a cell on which it has to be exact.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxrnn.base import Batch, Cell, Objective, Params, PyTree
from jaxrnn.gradients import Style
from jaxrnn.laws.by_hand import by_hand, first_carry, plain_loop
from jaxrnn.laws.comparing import LawBroken, require_close, require_same_type
from jaxrnn.laws.drawing import require_mean
from jaxrnn.laws.style_cases import (
    AT_THE_EDGE,
    BATCH_SIZE,
    CROSSED,
    GATED,
    NUM_BATCHES,
    ONE_WINDOW,
    OVERLAPPING,
    TOUCHING,
    Case,
    as_declared,
    cell_for,
    compiled,
    drawn,
    setting,
    squares,
    tried,
)
from jaxrnn.unroll import Schedule

ROUNDING = 2e-5
DRAWS = 4096  # keys that an unbiased style is tried with
KEYS = 8  # that a gradient has to be the same for, where nothing is drawn

_ESTIMATE, _BY_HAND = "the estimator", "by hand"


def carry_type_preserved(style: Style) -> None:
    """The carry is a `lax.scan` carry, each leaf with the batch as its leading axis, and grads
    have the type of params."""
    for case in tried(style, OVERLAPPING, TOUCHING):
        params, (batch, *_) = setting(cell_for(style), case)
        estimator = compiled(style, cell_for(style), squares, case)
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
    equals_by_hand(style, ONE_WINDOW)


def equals_gradients_by_hand(style: Style) -> None:
    """Windows that touch, and windows that overlap with some and no history; see
    `equals_by_hand`."""
    for case in tried(style, TOUCHING, OVERLAPPING, AT_THE_EDGE):
        equals_by_hand(style, case)


def equals_by_hand(style: Style, case: Case, cell: Cell | None = None) -> None:
    """Each batch gives the average over its groups of `stride` time steps of the gradient of their
    mean loss, taken through a plain loop over the group's window, or of all its losses with the
    errors weighted by how they survive. Params change between the batches, as in training.

    Args:
      cell: of real numbers or complex ones; if not given, one on which the style is exact.
    """
    case, cell = as_declared(style, case), cell or cell_for(style)
    params, batches = setting(cell, case)
    carry, estimate = _drawn(style, cell, squares, case, params)
    expected = by_hand(style, cell, case, params, batches, 0.5)
    for n, (batch, (params, right, loss)) in enumerate(zip(batches, expected, strict=True)):
        grads, carry, metrics = estimate(params, carry, batch)
        where = f"of batch {n} with {case}"
        _require_mean(f"gradient {where}, params", grads, (_BY_HAND, right))
        found = jax.tree.map(lambda loss: loss[0], metrics["loss"])
        require_close(f"loss {where}", (_ESTIMATE, found), (_BY_HAND, loss), ROUNDING)


def errors_travel_as_declared(style: Style) -> None:
    """The gradient of the counter cell `c' = c + w x`, x = 1, loss c', is the mean number of time
    steps that an error travels: window - (stride - 1) / 2 with full history, the windows cut at
    the batch's edge without. A style that carries credit across batches adds all time steps before
    the batch."""
    counter = Cell(
        init=lambda key: jnp.ones(()),
        init_carry=lambda w, key: jnp.zeros(()),
        step=lambda w, c, x: (c + w * x, c + w * x),
    )
    pairs = [(4, 4), (7, 3)]
    cases = [
        as_declared(style, Case(window, stride, 3 * stride, history))
        for window, stride in pairs
        for history in {0, window - stride}
    ]
    cases = list(dict.fromkeys(cases))
    for case in cases if style.truncates else cases[:1]:
        carry, estimate = _drawn(style, counter, lambda outputs, _: outputs, case, jnp.ones(()))
        ones = jnp.ones((case.history + case.scored, BATCH_SIZE))
        batch = Batch(ones, ones[: case.scored])
        for n in range(NUM_BATCHES):
            distance, carry, _ = estimate(jnp.ones(()), carry, batch)
            before = n * case.scored if style.carries_credit else 0
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
    cell = cell_for(style)
    for case in tried(style, TOUCHING, OVERLAPPING, AT_THE_EDGE):
        params, batches = setting(cell, case)
        found = _estimates(style, case)
        position = first_carry(cell, params)
        for n, (batch, (_, _, metrics)) in enumerate(zip(batches, found, strict=True)):
            _, outputs = plain_loop(cell)(params, position, batch.inputs)
            loss = squares(outputs[case.history :], batch.targets).mean()
            what = f"loss of batch {n} with {case}"
            require_close(what, (_ESTIMATE, metrics["loss"]), ("a plain loop", loss), ROUNDING)
            if style.carries:
                position, _ = plain_loop(cell)(params, position, batch.inputs[: case.scored])


def learnt_initial_carry(style: Style) -> None:
    """The initial carry, where it is a parameter, receives a gradient from sequences that start
    in the batch and none from those that continue, unless the style carries credit across
    batches."""
    for case in tried(style, TOUCHING, OVERLAPPING, AT_THE_EDGE):
        for n, (grads, _, _) in enumerate(_estimates(style, case)):
            felt = bool(jnp.any(grads["h0"] != 0))
            fresh = n == 0 or not style.carries
            if felt != (fresh or style.carries_credit):
                raise LawBroken(
                    f"the sequences of batch {n} {'start' if fresh else 'continue'} in it, and the "
                    f"gradient to the learnt initial carry is {grads['h0']}, with {case}"
                )


def sequences_do_not_meet(style: Style) -> None:
    """A batch whose sequences began at different times gives the mean of what they give apart: in
    batches of the same sequence twice, which all are one program."""
    case = as_declared(style, OVERLAPPING if style.truncates else TOUCHING)
    params, batches = setting(cell_for(style), case)
    estimator = compiled(style, cell_for(style), squares, case)
    twice = [jax.tree.map(lambda a: a[:, :1].repeat(BATCH_SIZE, axis=1), b) for b in batches[:2]]

    @jax.jit
    def firsts(one, other):
        """A carry with the first sequences of these two."""
        return jax.tree.map(lambda a, b: jnp.concatenate([a[:1], b[:1]]), one, other)

    starts = [estimator.init(params, jax.random.key(seed), BATCH_SIZE) for seed in range(2)]
    start, fresh = (firsts(carry, carry) for carry in starts)
    _, begun, _ = estimator.estimate(params, start, twice[0])
    apart = [estimator.estimate(params, carry, twice[1]) for carry in (begun, fresh)]
    grads, after, metrics = estimator.estimate(params, firsts(begun, fresh), twice[1])
    mean = jax.tree.map(lambda a, b: (a + b) / 2, *((g, m["loss"]) for g, _, m in apart))
    together = firsts(*(carry for _, carry, _ in apart))
    result = ("together", (grads, metrics["loss"]))
    require_close("(gradient, loss)", result, ("apart", mean), ROUNDING)
    require_close("carry", ("together", after), ("apart", together), ROUNDING)


def every_schedule_is_the_plain_scan(style: Style) -> None:
    """Batch for batch, every schedule of `unroll` gives the gradient, the loss and the carry of the
    plain loop, to windows that overlap, some of them cut at the batch's edge."""
    # what "auto" chooses is "distributed" or "associative", and these are for the law of cells
    schedules_are_the_plain_scan(style, ["auto", "checkpointed"])


def schedules_are_the_plain_scan(style: Style, schedules: Sequence[Schedule]) -> None:
    """The same of these."""
    case = as_declared(style, OVERLAPPING if style.truncates else TOUCHING)
    plain = _estimates(style, case, "scan")
    for schedule in schedules:
        for n, pair in enumerate(zip(_estimates(style, case, schedule), plain, strict=True)):
            what = f"(gradient, carry, metrics) of batch {n} with {case}"
            require_close(what, (schedule, pair[0]), ("scan", pair[1]), ROUNDING)


def _estimates(style: Style, case: Case, schedule: Schedule = "scan") -> list[PyTree]:
    """What the style gives batch after batch."""
    params, batches = setting(cell_for(style), case)
    estimator = compiled(style, cell_for(style), squares, case, schedule)
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

    estimator = compiled(style, cell, spread, case)
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


def accuracy_as_declared(style: Style) -> None:
    """Only what is declared exact gives the same gradient for every key and every cell: an unbiased
    style differs from key to key, an approximate one from the gradient by hand where numbers of the
    carry mix, and yet points the same way."""
    (case,) = tried(style, TOUCHING)[:1]
    cell = CROSSED if style.accuracy == "approximate" else GATED
    params, batches = setting(cell, case)
    estimator = compiled(style, cell, squares, case)
    keys = jax.random.split(jax.random.key(0), KEYS)
    carries = [estimator.init(params, key, BATCH_SIZE) for key in keys]
    errors, keys_matter = [], False
    expected = by_hand(style, cell, case, params, batches, 0.0)
    for batch, (_, right, _) in zip(batches, expected, strict=True):
        found = [estimator.estimate(params, carry, batch) for carry in carries]
        carries = [carry for _, carry, _ in found]
        one, *others = (ravel_pytree(grads)[0] for grads, _, _ in found)
        exact = ravel_pytree(right)[0]
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
            f"the gradient is off by {max(errors):.2g} of its length where the carry mixes, and "
            f"the style is declared {style.accuracy}"
        )
    if style.accuracy == "approximate" and min(errors) >= 1:
        raise LawBroken(f"the gradient is off by {min(errors):.2g} of its length: zero is nearer")


def _drawn(style: Style, cell: Cell, objective: Objective, case: Case, params: Params):
    """A carry and an estimate with a leading axis of draws, one of them where nothing is drawn."""
    if style.accuracy == "unbiased":
        estimator = drawn(style, cell, objective, case, DRAWS)
        return estimator.init(params, jax.random.key(0), BATCH_SIZE), estimator.estimate
    estimator = compiled(style, cell, objective, case)
    carry = estimator.init(params, jax.random.key(0), BATCH_SIZE)
    return carry, lambda *given: _as_draws(*estimator.estimate(*given))


def _as_draws(grads, carry, metrics):
    grads, metrics = jax.tree.map(lambda a: a[None], (grads, metrics))
    return grads, carry, metrics


def _require_mean(what: str, draws: PyTree, right: tuple[str, PyTree]) -> None:
    """The mean of the draws is what it should be: to rounding, where one was drawn."""
    if jax.tree.leaves(draws)[0].shape[0] > 1:
        require_mean(f"mean {what}", draws, right[1])
    else:
        require_close(what, (_ESTIMATE, jax.tree.map(lambda a: a[0], draws)), right, ROUNDING)
