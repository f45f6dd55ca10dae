"""Each law can fail: broken cells and broken styles, and the law that has to name them."""

from types import SimpleNamespace

import broken_cells
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn.base import Batch, Cell, GradientEstimator
from jaxrnn.cells import elman
from jaxrnn.gradients import (
    STYLES,
    Style,
    artbp,
    bptt,
    random_length,
    rtrl,
    snap,
    stateless,
    tbptt,
    uoro,
)
from jaxrnn.gradients.sequence import proceed
from jaxrnn.laws import (
    CELL_LAWS,
    LEARNING_LAWS,
    PRECISION_LAWS,
    REFERENCE_LAWS,
    STYLE_LAWS,
    LawBroken,
    cells,
    learning,
    schedules,
    subject,
    what_is_broken,
)
from jaxrnn.laws.drawing import require_mean
from jaxrnn.laws.styles import DRAWS
from jaxrnn.unroll import unroll

SCHEDULES = "every schedule = plain scan"
LAWS = CELL_LAWS | PRECISION_LAWS | LEARNING_LAWS

# cell -> (law, what its message says)
FAULTS = {
    "carry_shape_drifts": ("carry type preserved", "enters as float32[4] and leaves as float32[8]"),
    "carry_dtype_drifts": ("carry type preserved", "leaves as bfloat16[4]"),
    "carry_structure_drifts": ("carry type preserved", "return the structure that went in"),
    "parameter_unused": ("no dead parameter", "params['w_skip'] influences no output"),
    "parameter_half_unused": ("no dead parameter", "params['b'][4] influences no output"),
    "batch_axis_assumed": ("takes one example, no batch axis", "step assumes a batch axis"),
    "batch_axis_in_carry": ("takes one example, no batch axis", "the first axis always 1"),
    "output_rounded": ("gradients = finite differences", "of the outputs to params.w_ih is zero"),
    "memory_rounded": ("gradients = finite differences", "of the outputs to carry is zero"),
    "gradient_stopped": ("gradients = finite differences", "by central differences"),
    "gradient_nan": ("gradients = finite differences", "is nan at"),
    "calls_numbered": ("resumable at any split", "does step keep anything outside the carry?"),
    "list_kept": ("resumable at any split", "outside its carry"),
    "noise_outside_jax": ("step is pure", "the same call again gives"),
    "examples_mixed": ("batch = stacked examples", "y of example 0"),
    "memoryless": ("learns a lag", "nats, not below"),
    "much_for_8_bits": ("bfloat16 = float32, roughly", "differs"),
}


# a cell that learns nothing is tried in every stack
@pytest.mark.parametrize("fault", mostly_full(FAULTS, *(f for f in FAULTS if f != "memoryless")))
def test_broken_cell_is_named(fault):
    law, message = FAULTS[fault]
    tried = subject(getattr(broken_cells, fault))
    assert message in (what_is_broken(LAWS[law], tried) or "it holds")


@pytest.mark.parametrize(("loss", "holds"), [(0.3, True), (0.6, False)])
def test_who_ends_as_the_memoryless_do_is_named(loss, holds, monkeypatch):
    """Not knowing costs log 2 nats, 0.69."""
    monkeypatch.setattr(learning, "_trained", lambda *given: loss)
    said = what_is_broken(LAWS["learns a lag"], subject(elman)) or "it holds"
    assert said == "it holds" if holds else "nats, not below 0.347" in said


# These break no law but their own.
LOCAL = (
    "parameter_unused",
    "parameter_half_unused",
    "output_rounded",
    "memory_rounded",
    "gradient_stopped",
    "gradient_nan",
    "examples_mixed",
    "memoryless",
)


@pytest.mark.full
@pytest.mark.parametrize("fault", LOCAL)
def test_no_other_law_complains(fault):
    tried = subject(getattr(broken_cells, fault))
    broken = {name for name, law in CELL_LAWS.items() if what_is_broken(law, tried)}
    assert broken <= {FAULTS[fault][0]}


def test_every_law_has_been_seen_to_fail():
    elsewhere = {"unroll = repeated step", "every schedule = plain scan"}
    assert {law for law, _ in FAULTS.values()} | elsewhere == LAWS.keys()


def test_an_unroll_that_is_no_scan_is_named(monkeypatch):
    def late(cell, params, carry, xs, *, schedule="auto"):
        """Wrong at the last time step."""
        carry, ys = unroll(cell, params, carry, xs)
        return carry, ys if schedule == "scan" else ys.at[-1].add(1.0)

    monkeypatch.setattr(cells, "unroll", late)
    monkeypatch.setattr(schedules, "unroll", late)
    tried = subject(elman)
    assert "y (time step 1) differs" in (
        what_is_broken(CELL_LAWS["unroll = repeated step"], tried) or "it holds"
    )
    assert "checkpointed gives" in (
        what_is_broken(CELL_LAWS["every schedule = plain scan"], tried) or "it holds"
    )


def test_a_schedule_with_a_wrong_gradient_is_named(monkeypatch):
    def truncating(cell, params, carry, xs, *, schedule="auto"):
        carry = carry if schedule == "scan" else jax.lax.stop_gradient(carry)
        return unroll(cell, params, carry, xs)

    monkeypatch.setattr(schedules, "unroll", truncating)
    law = CELL_LAWS["every schedule = plain scan"]
    assert "gradient ['carry']" in (what_is_broken(law, subject(elman)) or "it holds")


def test_a_gradient_of_params_alone_that_is_wrong_is_named(monkeypatch):
    """One that only the program without the other gradients has."""

    def halved(cell, params, carry, xs, *, schedule="auto"):
        end, ys = unroll(cell, params, carry, xs)
        # of an elman "associative" is tried in that program alone
        alone = schedule == "associative"
        return end, (ys + jax.lax.stop_gradient(ys)) / 2 if alone else ys

    monkeypatch.setattr(schedules, "unroll", halved)
    law = CELL_LAWS["every schedule = plain scan"]
    assert "gradient of params alone" in (what_is_broken(law, subject(elman)) or "it holds")


SHIFTED = SimpleNamespace(
    PARAMETERS={"w_ih": (3, 4), "w_hh": (4, 4), "bias": (4,)},
    initial_carry=lambda params: np.zeros(4),
    step=lambda params, h, x: 2 * (np.tanh(x @ params["w_ih"] + h @ params["w_hh"]),),
)


def test_a_wrong_transcription_is_named():
    tried = subject(elman, reference=SHIFTED)
    message = what_is_broken(REFERENCE_LAWS["equals its numpy transcription"], tried)
    assert message is not None
    assert message.startswith("carry after time step 0")
    message = what_is_broken(REFERENCE_LAWS["parameter tree as recorded"], tried)
    assert message == "params.bias has shape none, it is missing; recorded is (4,)"


# Unusual cells that are in order.


def float32_inside(input_size, hidden_size):
    cell = elman(input_size, hidden_size)
    return cell._replace(
        init_carry=lambda params, key: jnp.zeros(hidden_size, jnp.float32),
        step=lambda params, h, x: cell.step(params, h.astype(jnp.float32), x.astype(jnp.float32)),
    )


def complex_recurrence(input_size, hidden_size):
    def step(params, carry, x):
        count, (h, key) = carry["count"], carry["memory"]
        h = jnp.exp(1j * params["angle"]) * 0.9 * h + x @ params["w"]
        return {"count": count + 1, "memory": (h, key)}, (h.real, count)

    return Cell(
        init=lambda key: {
            "angle": jnp.linspace(0.0, 1.0, hidden_size),
            "w": jax.random.normal(key, (input_size, hidden_size), jnp.complex64),
            "version": jnp.int32(1),
        },
        init_carry=lambda params, key: {
            "count": jnp.int32(0),
            "memory": (jnp.zeros(hidden_size, params["w"].dtype), key),
        },
        step=step,
    )


def rectified_from_zero(input_size, hidden_size):
    """Weights that begin at zero, and a learnt initial carry."""

    def step(params, h, x):
        h = jax.nn.relu(x @ params["w"] + h @ params["u"] + params["b"])
        return h, params["scale"] * h

    return Cell(
        init=lambda key: {
            "w": jnp.zeros((input_size, hidden_size)),
            "u": jnp.eye(hidden_size),
            "b": jnp.zeros(hidden_size),
            "scale": jnp.zeros(hidden_size),
            "h0": jnp.zeros(hidden_size),
        },
        init_carry=lambda params, key: params["h0"],
        step=step,
    )


UNUSUAL = (float32_inside, complex_recurrence, rectified_from_zero)


@pytest.mark.parametrize("factory", mostly_full(UNUSUAL, complex_recurrence))
def test_unusual_cells_pass(factory, subtests):
    with jax.numpy_dtype_promotion("standard"):
        tried = subject(factory)
        for law, holds in CELL_LAWS.items():
            if law != SCHEDULES:
                with subtests.test(law):
                    holds(tried)


@pytest.mark.full
@pytest.mark.parametrize("factory", UNUSUAL)
def test_unusual_cells_may_be_scheduled(factory):
    with jax.numpy_dtype_promotion("standard"):
        CELL_LAWS[SCHEDULES](subject(factory))


# Styles


def _amnesiac(cell, objective, window, stride, schedule):
    """Starts every batch fresh."""
    return stateless(tbptt(cell, objective, window=window, stride=stride, schedule=schedule))


def _short(cell, objective, window, stride, schedule):
    """One time step short where windows overlap."""
    return tbptt(cell, objective, window=max(stride, window - 1), stride=stride, schedule=schedule)


def _adds_up(cell, objective, window, stride, schedule):
    """The sum of the gradients in place of their mean."""
    inner = tbptt(cell, objective, window=window, stride=stride, schedule=schedule)

    def estimate(params, carry, batch):
        grads, carry, metrics = inner.estimate(params, carry, batch)
        groups = batch.targets.shape[0] // stride
        return jax.tree.map(lambda g: g * groups, grads), carry, metrics

    return inner._replace(estimate=estimate)


def _always_fresh(cell, objective, window, stride, schedule):
    """Continues, but gives the initial carry a gradient for ever."""
    inner = bptt(cell, objective, schedule=schedule)

    def estimate(params, carry, batch):
        def mean_loss(params):
            initial = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, carry.key)
            value = jnp.where(carry.fresh[:, None], initial, carry.carry)
            end, outputs = unroll(
                cell,
                params,
                value + initial - jax.lax.stop_gradient(initial),
                batch.inputs,
                schedule=schedule,
            )
            return objective(outputs, batch.targets).mean(), end

        (loss, end), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        return grads, proceed(carry, end), {"loss": loss}

    return inner._replace(estimate=estimate)


def _swaps(cell, objective, window, stride, schedule):
    """Hands each sequence the carry of another."""
    inner = bptt(cell, objective, schedule=schedule)

    def estimate(params, carry, batch):
        grads, carry, metrics = inner.estimate(params, carry, batch)
        return grads, carry._replace(carry=jnp.flip(carry.carry, 0)), metrics

    return inner._replace(estimate=estimate)


def _repeats_its_draws(cell, objective, window, stride, schedule):
    inner = stateless(bptt(cell, objective, schedule=schedule))

    def estimate(params, carry, batch):
        grads, _, metrics = inner.estimate(params, carry, batch)
        return grads, carry, metrics

    return inner._replace(estimate=estimate)


def _unscannable(cell, objective, window, stride, schedule):
    inner = bptt(cell, objective, schedule=schedule)

    def estimate(params, carry, batch: Batch):
        grads, carry, metrics = inner.estimate(params, carry, batch)
        return grads, carry._replace(fresh=carry.fresh.astype(jnp.int32)), metrics

    return GradientEstimator(inner.init, estimate)


def _differs_by_schedule(cell, objective, window, stride, schedule):
    return tbptt(
        cell, objective, window=2 if schedule == "auto" else window, stride=1, schedule=schedule
    )


def _makes_up_for_nothing(cell, objective, window, stride, schedule):
    """Cuts at random, and claims to be without bias."""
    return random_length(cell, objective, window=window, schedule=schedule)


def _draws_once(cell, objective, window, stride, schedule):
    """The same cuts for every key."""
    inner = artbp(cell, objective, window=window, schedule=schedule)

    def init(params, key, batch_size):
        carry = inner.init(params, key, batch_size)
        return carry._replace(key=jax.random.split(jax.random.key(7), batch_size))

    return inner._replace(init=init)


def _unbiased(window, length):
    return np.tri(length)


def _forgets(cell, objective, window, stride, schedule):
    """Loses the influence where a batch ends."""
    inner = rtrl(cell, objective, schedule=schedule)

    def estimate(params, carry, batch):
        grads, carry, metrics = inner.estimate(params, carry, batch)
        influence = jax.tree.map(jnp.zeros_like, carry.influence)
        return grads, carry._replace(influence=influence), metrics

    return inner._replace(estimate=estimate)


def _small_in_the_mean(cell, objective, window, stride, schedule):
    inner = uoro(cell, objective, schedule=schedule)

    def estimate(params, carry, batch):
        grads, carry, metrics = inner.estimate(params, carry, batch)
        return jax.tree.map(lambda g: 0.8 * g, grads), carry, metrics

    return inner._replace(estimate=estimate)


def _drops_much(cell, objective, window, stride, schedule):
    return snap(cell, objective, schedule=schedule)


def _draws_nothing(cell, objective, window, stride, schedule):
    return rtrl(cell, objective, schedule=schedule)


_WHOLE_PAST = (True, False, True)
STYLE_FAULTS = {
    "forgets its influence": (
        Style(_forgets, *_WHOLE_PAST),
        "errors travel as far as the two integers say",
    ),
    "forgets what it began with": (Style(_forgets, *_WHOLE_PAST), "learnt initial carry"),
    "biased": (
        Style(_small_in_the_mean, *_WHOLE_PAST, "unbiased"),
        "equals the truncated gradients taken by hand",
    ),
    "calls itself exact": (Style(_drops_much, *_WHOLE_PAST), "accuracy as declared"),
    "calls itself random": (
        Style(_draws_nothing, *_WHOLE_PAST, "unbiased"),
        "accuracy as declared",
    ),
    "calls itself approximate": (
        Style(_draws_nothing, *_WHOLE_PAST, "approximate"),
        "accuracy as declared",
    ),
    "starts afresh": (Style(_amnesiac, True, True), "carry continues"),
    "one window short": (
        Style(_short, True, True),
        "errors travel as far as the two integers say",
    ),
    "adds up": (Style(_adds_up, True, True), "equals the truncated gradients taken by hand"),
    "initial carry for ever": (Style(_always_fresh, True, False), "learnt initial carry"),
    "swaps sequences": (Style(_swaps, True, False), "one window = bptt"),
    "meets sequences": (Style(_swaps, True, False), "sequences do not meet"),
    "repeats its draws": (Style(_repeats_its_draws, False, False), "fresh starts draw anew"),
    "unscannable": (Style(_unscannable, True, False), "carry type preserved"),
    "makes up for nothing": (
        Style(_makes_up_for_nothing, True, False, accuracy="unbiased", survival=_unbiased),
        "equals the truncated gradients taken by hand",
    ),
    "makes up for nothing in one window": (
        Style(_makes_up_for_nothing, True, False, accuracy="unbiased", survival=_unbiased),
        "one window = bptt",
    ),
    "draws once": (
        Style(_draws_once, True, False, accuracy="unbiased", survival=_unbiased),
        "errors travel as far as the two integers say",
    ),
    "differs by schedule": (Style(_differs_by_schedule, True, True), "every schedule = plain scan"),
}


BY_DEFAULT = ("unscannable", "repeats its draws", "adds up", "differs by schedule")


@pytest.mark.parametrize("fault", mostly_full(STYLE_FAULTS, *BY_DEFAULT))
def test_broken_style_is_named(fault):
    style, law = STYLE_FAULTS[fault]
    with pytest.raises(LawBroken):
        STYLE_LAWS[law](style)


def test_a_style_whose_mean_is_off_is_named():
    """By a third of what its draws vary, of as many as the laws draw."""
    drawn = np.random.default_rng(0).standard_normal((DRAWS, 3)).astype(np.float32)
    require_mean("gradient", drawn, np.zeros(3, np.float32))
    with pytest.raises(LawBroken, match=r"gradient at \[0\] is .* it should be 0\.3"):
        require_mean("gradient", drawn, np.full(3, 0.3, np.float32))


def test_every_style_law_has_been_seen_to_fail():
    assert {law for _, law in STYLE_FAULTS.values()} == STYLE_LAWS.keys()
    assert not {style for style, _ in STYLE_FAULTS.values()} & set(STYLES.values())
