"""What the laws of styles do not see of the online ones: whole models, closed forms, memory."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn import (
    CELLS,
    Batch,
    Cell,
    bptt,
    chain,
    dropout,
    elman,
    embed,
    eprop,
    gru,
    linear,
    lstm,
    one_hot,
    pausable,
    rflo,
    rtrl,
    snap,
    uoro,
)
from jaxrnn.jaxprs.reach import reach
from jaxrnn.models import cross_entropy

KEY = jax.random.key(0)
STYLES = [rtrl, snap, uoro, rflo, eprop]
T, B = 3, 2


def model(*layers: Cell) -> Cell:
    return chain(embed(5, 3), dropout(0.3), *layers, head=linear(4, 5))


def normal(*shape):
    """Drawn by numpy: to compile a draw of every shape would take longer."""
    return jnp.asarray(np.random.default_rng(1).standard_normal(shape), jnp.float32)


def drawn_tokens(count):
    return jnp.asarray(np.random.default_rng(1).integers(0, 5, (count, B)), jnp.int32)


def over_batches(estimator, params, tokens):
    """The mean gradient of the batches that the tokens [N T + 1, B] make, with fixed params."""
    carry, grads = estimator.init(params, KEY, tokens.shape[1]), []
    estimate = jax.jit(estimator.estimate)
    for start in range(0, len(tokens) - 1, T):
        batch = Batch(tokens[start : start + T], tokens[start + 1 : start + T + 1])
        found, carry, _ = estimate(params, carry, batch)
        grads.append(found)
    return jax.tree.map(lambda *g: sum(g) / len(g), *grads), carry


def after_two(estimator, params, batch):
    """The gradient of a batch that comes after the same batch."""
    estimate, carry = jax.jit(estimator.estimate), estimator.init(params, KEY, B)
    _, carry, _ = estimate(params, carry, batch)
    return estimate(params, carry, batch)[0]


def largest_difference(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(jnp.abs(a - b).max()) for a, b in pairs)


LAYERS = {
    "elman": (elman(3, 4),),
    "lstm": (lstm(3, 4),),
    "two grus": (gru(3, 4), dropout(0.2), gru(4, 4)),
}


@pytest.mark.parametrize("layers", mostly_full(LAYERS))  # by default the law of it
def test_rtrl_is_bptt_over_all_batches(layers):
    """A whole model with fixed params, its dropout with keys and counts in the carry."""
    cell = model(*LAYERS[layers])
    params, tokens = cell.init(KEY), drawn_tokens(4 * T + 1)
    found, _ = over_batches(rtrl(cell, cross_entropy, schedule="scan"), params, tokens)
    whole = bptt(cell, cross_entropy, schedule="scan")
    carry = whole.init(params, KEY, B)
    expected, _, _ = jax.jit(whole.estimate)(params, carry, Batch(tokens[:-1], tokens[1:]))
    assert largest_difference(found, expected) < 1e-6
    truncated, _ = over_batches(whole, params, tokens)
    assert largest_difference(truncated, expected) > 1e-3


@pytest.mark.parametrize("style", STYLES)
def test_the_head_takes_no_influence(style):
    small, large = (
        influence(style, chain(embed(5, 3), gru(3, 4), linear(4, size))) for size in (5, 500)
    )
    assert floats(small) == floats(large) > 0


def influence(style, cell):
    return style(cell, cross_entropy).init(cell.init(KEY), KEY, B).influence


def floats(tree) -> int:
    return sum(a.size for a in jax.tree.leaves(tree) if jnp.issubdtype(a.dtype, jnp.inexact))


@pytest.mark.parametrize(
    ("style", "factory", "kept"),
    [(rtrl, gru, 4), (snap, gru, 1), (rflo, gru, 1), (snap, elman, 1), (snap, lstm, 2)],
)
def test_numbers_of_the_carry_kept_for_each_param(style, factory, kept):
    cell = chain(one_hot(3), factory(3, 4))
    assert floats(influence(style, cell)) == kept * B * floats(cell.init(KEY))


def test_a_layer_has_no_influence_on_those_before():
    cell = chain(one_hot(3), gru(3, 4), gru(4, 5))
    params = cell.init(KEY)
    assert floats(influence(rtrl, cell)) == B * (
        (4 + 5) * floats(params["1"]) + 5 * floats(params["2"])
    )


def decaying(keep: float) -> Cell:
    """h' = keep h + w x, one number of each."""

    def step(w, h, x):
        h = keep * h + w * x
        return h, h

    return Cell(lambda key: jnp.ones(()), lambda w, key: jnp.zeros(()), step)


@pytest.mark.parametrize("style", [rtrl, snap, rflo])
def test_one_linear_unit(style):
    """dh_n/dw = 1 + keep + ... + keep^(n - 1) with x = 1, across batches."""
    keep = 0.5
    estimator = style(decaying(keep), lambda outputs, targets: outputs)
    carry, ones = estimator.init(jnp.ones(()), KEY, B), jnp.ones((T, B))
    estimate = jax.jit(estimator.estimate)
    for n in range(3):
        grad, carry, _ = estimate(jnp.ones(()), carry, Batch(ones, ones))
        steps = np.arange(n * T + 1, (n + 1) * T + 1)
        np.testing.assert_allclose(grad, np.mean((1 - keep**steps) / (1 - keep)), rtol=1e-6)


def by_hand(cell, params, xs, mask, passes):
    """sum over t of the derivative of sum(h_t) with J' = mask * (I + D J), and what D J reads of D
    decided by `passes`; J [C, P] for one example, all of it dense."""
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    h, total = cell.init_carry(params, KEY), 0.0
    step = jax.jit(lambda params, h, x: cell.step(params, h, x)[0])
    influence = np.zeros((h.size, flat.size))
    derivatives = jax.jit(
        jax.jacobian(lambda flat, h, x: cell.step(unravel(flat), h, x)[0], argnums=(0, 1))
    )
    for x in xs:
        immediate, d = map(np.asarray, derivatives(flat, h, x))
        # the loss of this time step, through the carry in front of it
        total = total + immediate.sum(0) + d.sum(0) @ influence
        influence = mask * (immediate + passes(params, h, x, d) @ influence)
        h = step(params, h, x)
    return unravel(jnp.asarray(total, flat.dtype))


def gate_of_gru(params, h, x, d):
    z = jax.nn.sigmoid(x @ params.w_ih[:, 4:8] + params.b[4:8] + h @ params.w_hh[:, 4:8])
    return np.diag(np.asarray(z))


@pytest.mark.parametrize(
    ("style", "passes"), [(snap, lambda params, h, x, d: d), (rflo, gate_of_gru)]
)
def test_a_gru_by_hand(style, passes):
    """Each weight of a gru acts on one unit: SnAp keeps that one, and RFLO's goes on by z."""
    cell = gru(3, 4)
    params = cell.init(KEY)
    xs = normal(6, 3)
    units = jax.tree.map(lambda a: jnp.broadcast_to(jnp.arange(a.shape[-1]) % 4, a.shape), params)
    mask = np.asarray(jax.flatten_util.ravel_pytree(units)[0]) == np.arange(4)[:, None]
    expected = by_hand(cell, params, xs, mask, passes)
    estimator = style(cell, lambda outputs, targets: outputs.sum(-1) * len(xs), schedule="scan")
    inputs = xs[:, None]
    found, _, _ = jax.jit(estimator.estimate)(
        params, estimator.init(params, KEY, 1), Batch(inputs, inputs[:, :, 0])
    )
    assert largest_difference(found, expected) < 1e-5
    changed = by_hand(cell, params, xs, np.ones_like(mask), lambda params, h, x, d: d)
    assert largest_difference(changed, expected) > 1e-2


@jax.custom_vjp
def spike(v):
    """A step, with the derivative of a smooth one."""
    return (v > 0).astype(v.dtype)


spike.defvjp(lambda v: (spike(v), v), lambda v, g: (g / (1 + jnp.abs(v)) ** 2,))


@jax.custom_jvp
def through(v):
    return jax.lax.stop_gradient(jnp.round(v))


through.defjvps(lambda dv, out, v: dv)


def spiking(fire):
    def step(params, carry, x):
        h = fire(x @ params["w"] + carry @ params["u"])
        return h, h

    return Cell(
        init=lambda key: {"w": jax.random.normal(key, (2, 3)), "u": 0.5 * jnp.ones((3, 3))},
        init_carry=lambda params, key: jnp.ones(3),
        step=step,
    )


@pytest.mark.parametrize("fire", mostly_full([spike, through], spike))
def test_a_derivative_that_the_values_do_not_show(fire):
    """What a function declares of its derivative counts, number by number."""
    cell = spiking(fire)
    params, inputs = cell.init(KEY), normal(T, B, 2)
    found = []
    for style in (rtrl, bptt):
        estimator = style(cell, lambda outputs, targets: outputs.sum(-1), schedule="scan")
        carry = estimator.init(params, KEY, B)
        found.append(jax.jit(estimator.estimate)(params, carry, Batch(inputs, inputs))[0])
    assert largest_difference(*found) < 1e-5
    pattern, _ = reach(lambda *given: cell.step(*given)[0], (params,), jnp.ones(3), jnp.ones(2))
    assert pattern.nnz == 3 * 3 + 2 * 3  # a unit's own weights


@jax.custom_jvp
def spike_with_both(v):
    """`spike` again, with a forward derivative beside the same backward one."""
    return (v > 0).astype(v.dtype)


spike_with_both.defjvps(lambda dv, out, v: dv / (1 + jnp.abs(v)) ** 2)


@pytest.mark.parametrize("style", mostly_full(STYLES, rflo))
def test_a_backward_pass_alone_suffices(style):
    found = []
    for fire in (spike, spike_with_both):
        cell = spiking(fire)
        params, inputs = cell.init(KEY), normal(T, B, 2)
        estimator = style(cell, lambda outputs, targets: outputs.sum(-1), schedule="scan")
        found.append(after_two(estimator, params, Batch(inputs, inputs)))
    assert largest_difference(*found) < 1e-5
    assert jnp.any(found[0]["w"] != 0)


@pytest.mark.full
@pytest.mark.parametrize("style", STYLES)
def test_an_x_that_is_given(style):
    """Of a cell that takes a pair, and is never paused: the gradients of the cell itself."""
    cell, inputs = elman(3, 4), normal(T, B, 3)
    params, found = cell.init(KEY), []
    for fed, xs, x in (
        (cell, inputs, None),
        (pausable(cell), (inputs, jnp.ones((T, B), bool)), (inputs[0, 0], jnp.array(True))),
    ):
        estimator = style(fed, lambda outputs, targets: outputs.sum(-1), x=x, schedule="scan")
        found.append(after_two(estimator, params, Batch(xs, inputs)))
    assert largest_difference(*found) < 1e-6


@pytest.mark.full
@pytest.mark.parametrize("style", STYLES)
def test_tokens_and_one_hot_vectors_are_one(style):
    """A row that is looked up and x @ E have the same influence on what comes after."""
    cell = chain(embed(5, 3), elman(3, 4), linear(4, 5))
    params = cell.init(KEY)
    tokens = drawn_tokens(2 * T)
    found = []
    for inputs in (tokens, jax.nn.one_hot(tokens, 5)):
        estimator = style(cell, cross_entropy, schedule="scan")
        estimate, carry = jax.jit(estimator.estimate), estimator.init(params, KEY, B)
        for half in (slice(T), slice(T, None)):
            grads, carry, _ = estimate(params, carry, Batch(inputs[half], tokens[half]))
        found.append(grads)
    assert largest_difference(*found) < 1e-6


def turning(input_size, hidden_size):
    """A complex matrix that params hold as such."""

    def step(w, h, x):
        h = h @ w + jax.lax.complex(x, -x)
        return h, h.real * h.imag

    def init(key):
        re, im = jax.random.normal(key, (2, input_size, hidden_size)) / 3
        return jax.lax.complex(re, im)

    return Cell(init, lambda w, key: w[0] * 0, step)


COMPLEX = [(name, rtrl) for name in ("lru", "s5", "turning", "rtu")]
COMPLEX += [("lru", snap), ("s5", snap)]


@pytest.mark.parametrize(("name", "style"), mostly_full(COMPLEX, ("lru", rtrl), ("turning", rtrl)))
def test_complex_and_paired_carries_are_exact(name, style):
    """Over four batches of fixed params the gradient of bptt with all of them as one: of complex
    units that see themselves alone by snap too."""
    cell = turning(4, 4) if name == "turning" else CELLS[name](4, 4)
    params, inputs = cell.init(KEY), normal(4 * T, B, 4)

    def objective(y, target):
        return jnp.square(y - target).sum(-1)

    whole = Batch(inputs, inputs[::-1])
    exact = bptt(cell, objective)
    expected, _, _ = jax.jit(exact.estimate)(params, exact.init(params, KEY, B), whole)
    estimator = style(cell, objective)
    estimate, carry, total = jax.jit(estimator.estimate), estimator.init(params, KEY, B), []
    for start in range(0, 4 * T, T):
        batch = jax.tree.map(lambda a, start=start: a[start : start + T], whole)
        grads, carry, _ = estimate(params, carry, batch)
        total.append(grads)
    found = jax.tree.map(lambda *g: sum(g) / 4, *total)
    kinds = [[a.dtype for a in jax.tree.leaves(tree)] for tree in (found, params)]
    assert kinds[0] == kinds[1]
    scale = max(float(jnp.abs(a).max()) for a in jax.tree.leaves(expected))
    assert largest_difference(found, expected) < 1e-5 * max(1, scale)
    # two numbers for each param, where units see themselves alone
    kept = sum(a.size for a in jax.tree.leaves(carry.influence)) / B
    many = sum(a.size for a in jax.tree.leaves(params))
    assert kept <= 2 * many or name == "turning"


@pytest.mark.parametrize("style", STYLES)
def test_refusals(style):
    cell = decaying(0.5)
    paused = pausable(elman(3, 4))
    with pytest.raises(
        ValueError, match=rf"what x the cell takes.*give {style.__name__}\(\.\.\., x="
    ):
        style(paused, lambda y, t: y).init(paused.init(KEY), KEY, B)
    estimator, ones = style(cell, lambda y, t: y), jnp.ones((T, B))
    with pytest.raises(ValueError, match="1 steps of history"):
        estimator.estimate(
            jnp.ones(()), estimator.init(jnp.ones(()), KEY, B), Batch(ones, ones[1:])
        )
