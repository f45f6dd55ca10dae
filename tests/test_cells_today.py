"""What the cells of today are known for, in closed form; their values are held by the laws."""

import inspect
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from tiers import mostly_full

from jaxrnn.cells import (
    CELLS,
    cayley,
    cfc,
    cornn,
    delta_net,
    gated_delta_net,
    gla,
    hgrn2,
    lem,
    linoss,
    mamba2,
    mlstm,
    rg_lru,
    rtu,
    rwkv7,
    s5,
    slstm,
)

KEY = jax.random.key(0)
XS = np.asarray(jax.random.normal(jax.random.key(1), (5, 3)))
SHUT, OPEN = -30.0, 30.0
FACTORIES: dict[str, Any] = dict(CELLS)


def run(cell, params, xs, carry=None):
    """(carry, ys) of one example."""

    @jax.jit
    def loop(params, xs, carry):
        return jax.lax.scan(lambda carry, x: cell.step(params, carry, x), carry, xs)

    carry = cell.init_carry(params, KEY) if carry is None else carry
    return jax.tree.map(np.asarray, loop(params, jnp.asarray(xs), carry))


# Heads

# How many blocks of a leaf's columns each have the heads one after another; "first": the leaf's
# first axis is the heads. What is not named is the same for all.
BY_HEAD = {
    "slstm": {"w_ih": 1, "w_hh": "first", "b": "first"},
    "rg_lru": {"w_ih": 1, "w_gates": "first", "b": "first", "decay": 1},
    "mlstm": {"w_ih": 4, "b": 4, "w_gates": 2, "b_gates": 2},
    "mamba2": {"w_delta": 1, "b_delta": 1, "a_log": 1, "d": 1},
    "delta_net": {"w_ih": 3, "w_beta": 1},
    "gated_delta_net": {"w_ih": 3, "w_gates": 2, "b_alpha": 1, "a_log": 1},
    "gla": {"w_ih": 3, "w_up": 1, "b": 1},
    "hgrn2": {"w_ih": 3, "b": 3},
    "rwkv7": {"w_ih": 3, "w_up": 1, "b_d": 1, "b_a": 1, "removed": 1, "replaced": 1, "bonus": 1}
    | {"scale": 1, "shift": 1},
}


def of_head(leaf, blocks, head):
    if blocks == "first":
        return leaf[head : head + 1]
    parts = leaf.reshape(*leaf.shape[:-1], blocks, 2, -1)[..., head, :]
    return parts.reshape(*leaf.shape[:-1], -1)


def test_every_cell_with_heads_is_here():
    with_heads = {name for name in CELLS if "heads" in inspect.signature(CELLS[name]).parameters}
    assert with_heads == BY_HEAD.keys()


@pytest.mark.parametrize("name", BY_HEAD)
def test_two_heads_are_two_cells(name):
    both, alone = FACTORIES[name](3, 4, heads=2), FACTORIES[name](3, 2)
    generator = np.random.default_rng(0)
    params = jax.tree.map(lambda a: a + 0.3 * generator.normal(size=a.shape), both.init(KEY))
    params = jax.tree.map(lambda a: np.asarray(a, np.float32), params)
    if name == "rwkv7":  # which mixes the heads at last
        params = params._replace(w_out=np.eye(4, dtype=np.float32))
    found = run(both, params, XS)[1]
    for head in range(2):
        leaves = {k: of_head(getattr(params, k), n, head) for k, n in BY_HEAD[name].items()}
        if name == "mamba2":  # whose B and C are the same for all heads
            columns = np.r_[2 * head : 2 * head + 2, 4 : params.w_ih.shape[1]]
            leaves["w_ih"] = params.w_ih[:, columns]
        if name == "rwkv7":
            leaves["w_out"] = np.eye(2, dtype=np.float32)
        mine = run(alone, params._replace(**leaves), XS)[1]
        np.testing.assert_allclose(found[:, 2 * head : 2 * head + 2], mine, atol=1e-5)


# Transitions


def transition(cell, params, x):
    """The eigenvalues of what one time step makes of the carry."""
    flat, unravel = ravel_pytree(cell.init_carry(params, KEY))

    def after(flat):
        return ravel_pytree(cell.step(params, unravel(flat), x)[0])[0]

    return np.linalg.eigvals(np.asarray(jax.jit(jax.jacobian(after))(flat)))


GATES = {
    "delta_net": {"w_beta": OPEN},
    "gated_delta_net": {"w_gates": OPEN, "a_log": SHUT},
    "mamba2": {"b_delta": OPEN},
    "rg_lru": {"decay": SHUT, "b": OPEN},
}
"""With what a transition is at the lowest of its eigenvalues."""


@pytest.mark.parametrize("name", mostly_full(GATES, "delta_net", "rg_lru"))
def test_eigenvalues_reach_from_end_to_end(name):
    x, lowest = jnp.ones(3), {}
    for eigenvalues in ("[0, 1]", "[-1, 1]"):
        cell = FACTORIES[name](3, 2, eigenvalues=eigenvalues)
        params = cell.init(KEY)
        params = params._replace(
            **{k: jnp.full_like(getattr(params, k), value) for k, value in GATES[name].items()}
        )
        lowest[eigenvalues] = transition(cell, params, x).real.min()
    assert abs(lowest["[0, 1]"]) < 1e-4
    assert abs(lowest["[-1, 1]"] + 1) < 1e-4


def test_the_delta_rule_replaces_what_a_key_had():
    """With beta 1 what is read by the last key is the last value, whatever was written before."""
    cell = delta_net(3, 4)
    params = cell.init(KEY)
    _, k, v = np.split(params.w_ih, 3, axis=1)
    params = params._replace(w_ih=jnp.concatenate([k, k, v], axis=1))
    # x_0 is positive, so that the gate is open
    xs = np.concatenate([np.full((5, 1), 1.0, np.float32), XS[:, 1:]], axis=1)
    params = params._replace(w_beta=jnp.zeros((3, 1)).at[0].set(OPEN))
    _, ys = run(cell, params, xs)
    values = np.asarray(jax.nn.silu(xs @ v))
    np.testing.assert_allclose(ys, values, atol=1e-4)


def test_a_gate_that_is_open_leaves_the_delta_rule():
    plain, gated = delta_net(3, 4), gated_delta_net(3, 4)
    params = plain.init(KEY)
    gate = {"w_gates": jnp.pad(params.w_beta, ((0, 0), (0, 1)))}
    gate |= {"w_ih": params.w_ih, "a_log": jnp.full(1, SHUT), "b_alpha": jnp.zeros(1)}
    found = run(gated, gated.init(KEY)._replace(**gate), XS)
    np.testing.assert_allclose(found[1], run(plain, params, XS)[1], atol=1e-6)


def test_gated_linear_attention_sums_what_it_was_given():
    """Where nothing fades."""
    cell = gla(3, 4)
    params = cell.init(KEY)._replace(b=jnp.full(4, 100.0))
    s, ys = run(cell, params, XS)
    q, k, v = (XS @ w for w in np.split(params.w_ih, 3, axis=1))
    np.testing.assert_allclose(s[0], k.T @ v, atol=1e-5)
    scores = np.tril(q @ k.T)
    np.testing.assert_allclose(ys, scores @ v, atol=1e-5)


def test_a_forget_gate_has_its_lower_bound():
    cell = hgrn2(3, 4, lower_bound=0.9)
    params = cell.init(KEY)._replace(b=jnp.zeros(12).at[:4].set(-100.0))
    assert np.allclose(transition(cell, params, XS[0]), 0.9)


def test_oscillators_swing_on_or_fade():
    sizes = {}
    for kind in ("implicit", "symplectic"):
        cell = linoss(3, 4, discretisation=kind)
        sizes[kind] = np.abs(transition(cell, cell.init(KEY), XS[0]))
    np.testing.assert_allclose(sizes["symplectic"], 1, atol=1e-5)
    assert sizes["implicit"].max() < 1


def test_an_oscillator_without_a_network_is_one():
    """y'' = b - gamma y - epsilon y', from rest, at time 2."""
    gamma, epsilon, force = 5.0, 0.4, 0.3
    cell = cornn(1, 1, time_step=0.001, gamma=gamma, epsilon=epsilon)
    params = jax.tree.map(jnp.zeros_like, cell.init(KEY))._replace(b=jnp.full(1, np.arctanh(force)))
    _, ys = run(cell, params, np.zeros((2000, 1), np.float32))
    turns = math.sqrt(gamma - epsilon**2 / 4)
    fading = math.exp(-epsilon) * (math.cos(2 * turns) + epsilon / 2 / turns * math.sin(2 * turns))
    assert abs(ys[-1, 0] - force / gamma * (1 - fading)) < 2e-4


def test_steps_of_the_state_space_model_add_up():
    """With a steady input, five steps of t are one of five t: it is held exactly."""
    cell = s5(3, 4)
    params = cell.init(KEY)
    after_five, _ = run(cell, params, np.tile(XS[:1], (5, 1)))
    longer = params._replace(log_step=params.log_step + math.log(5))
    after_one, _ = run(cell, longer, XS[:1])
    np.testing.assert_allclose(after_five, after_one, atol=1e-6)


def test_the_state_space_model_begins_as_hippo():
    """Its eigenvalues are those of the HiPPO-LegS matrix without its part of rank 1."""
    n = np.arange(8)
    legs = -np.tril(np.sqrt(np.outer(2 * n + 1, 2 * n + 1)), -1) - np.diag(n + 1)
    normal = legs + np.outer(np.sqrt(n + 0.5), np.sqrt(n + 0.5))
    expected = np.sort_complex(np.linalg.eigvals(normal))
    params = s5(3, 4).init(KEY)
    half = np.asarray(params.lambda_re) + 1j * np.asarray(params.lambda_im)
    found = np.concatenate([half, half.conj()])
    np.testing.assert_allclose(np.sort(found.imag), np.sort(expected.imag), rtol=1e-5)
    np.testing.assert_allclose(found.real, expected.real, rtol=1e-5)


def test_an_orthogonal_matrix_keeps_lengths():
    cell = cayley(3, 6)
    params = cell.init(KEY)
    params = params._replace(b=jnp.zeros(6), skew=params.skew + jax.random.normal(KEY, (6, 6)))
    h = jnp.arange(1.0, 7.0)
    carry, _ = run(cell, params, np.zeros((50, 3), np.float32), h)
    np.testing.assert_allclose(np.linalg.norm(carry), np.linalg.norm(h), rtol=1e-4)


# First values, and numbers that are large


@pytest.mark.parametrize("factory", mostly_full([slstm, mlstm], mlstm))
def test_exponential_gates_do_not_overflow(factory):
    """exp(200) is no number of 32 bits."""
    cell = factory(3, 4)
    params = cell.init(KEY)

    def last(params, size):
        xs = size * jnp.asarray(XS)
        return jax.lax.scan(lambda carry, x: cell.step(params, carry, x), start, xs)[1][-1]

    start = cell.init_carry(params, KEY)
    if factory is mlstm:
        params = params._replace(w_gates=jnp.ones_like(params.w_gates))
    h, grads = jax.jit(jax.value_and_grad(lambda p: last(p, 200.0).sum()))(params)
    assert np.isfinite(h)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_input_gates_of_nearly_nothing_still_weigh_what_came():
    """exp(-100) is no number of 32 bits; of one thing that was seen it is the whole mean."""
    cell = slstm(3, 4)
    params = cell.init(KEY)
    biased = params._replace(b=params.b.at[:, 4:8].set(-100.0))
    _, plain = run(cell, params, XS[:1])
    _, faint = run(cell, biased, XS[:1])
    np.testing.assert_allclose(faint, plain, rtol=1e-5)


def test_decays_begin_where_papers_have_them():
    decay = np.asarray(rg_lru(3, 300).init(KEY).decay)
    kept = (1 / (1 + np.exp(-decay))) ** 8
    assert 0.9 - 1e-4 < kept.min() < 0.91
    assert 0.99 < kept.max() < 0.999 + 1e-4
    for params, bias in (
        ((made := mamba2(3, 300, heads=300).init(KEY)), made.b_delta),
        ((made := gated_delta_net(3, 300, heads=300).init(KEY)), made.b_alpha),
    ):
        delta = np.log1p(np.exp(np.asarray(bias)))
        assert 0.001 - 1e-5 < delta.min() < 0.0012
        assert 0.08 < delta.max() < 0.1 + 1e-5
        rate = np.exp(params.a_log)
        assert 1 <= rate.min() < 1.5
        assert 15.5 < rate.max() <= 16


@pytest.mark.parametrize(
    ("factory", "given", "message"),
    [
        *(
            (FACTORIES[name], {"heads": 3}, "heads is 3; give a number that divides hidden_size, 4")
            for name in BY_HEAD
        ),
        (delta_net, {"heads": 0}, "heads is 0; give a whole number of at least 1"),
        *(
            (factory, {"eigenvalues": "[0, 2]"}, r"'\[0, 2\]'; give one of \[0, 1\], \[-1, 1\]")
            for factory in (rg_lru, mamba2, delta_net, gated_delta_net)
        ),
        (mamba2, {"state_size": 0}, "state_size is 0"),
        (gla, {"rank": 0}, "rank is 0"),
        (rwkv7, {"rank": 0}, "rank is 0"),
        (hgrn2, {"lower_bound": 1.0}, "lower_bound is 1.0; give a number from 0 up to but not 1"),
        (linoss, {"discretisation": "exact"}, "'exact'; give one of implicit, symplectic"),
        (rtu, {"nonlinearity": "none"}, "'none'; give one of behind, inside"),
        (s5, {"step_min": 0.2}, "step_min is 0.2 and step_max 0.1; give 0 < step_min < step_max"),
        (cornn, {"time_step": 0.0}, "time_step is 0.0; give a number above 0 and up to 1"),
        (cornn, {"gamma": -1.0}, "gamma is -1.0; give a number of at least 0"),
        (lem, {"time_step": 2.0}, "time_step is 2.0; give a number above 0 and up to 1"),
        (cfc, {"time_step": 0.0}, "time_step is 0.0; give a time above 0"),
        (cayley, {"negative": 2.0}, "negative is 2.0; give a share from 0 to 1"),
    ],
)
def test_refusals(factory, given, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(factory)(3, 4, **given)  # as without jaxtyping, which refuses some first
