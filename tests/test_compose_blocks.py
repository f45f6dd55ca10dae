"""What stacks of today put around a cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    elman,
    gated_mlp,
    multi_head,
    pointwise,
    pre_norm,
    rms_norm,
    short_convolution,
)

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (6,))


def moved(cell):
    """Params off those that are 1 or 0 at first."""
    generator = np.random.default_rng(0)
    return jax.tree.map(
        lambda a: np.float32(a + 0.3 * generator.normal(size=a.shape)), cell.init(KEY)
    )


def normalised(x, scale):
    return scale * x / np.sqrt(np.mean(np.square(x)) + 1e-6)


def gated(x, params):
    gate, up = np.split(x @ params["w_in"], 2)
    return (gate / (1 + np.exp(-gate)) * up) @ params["w_out"]


def test_a_block_adds_what_it_finds_to_what_goes_past():
    mixer = elman(6, 6)
    cell = pre_norm(mixer, 6, 9)
    params = moved(cell)
    carry = cell.init_carry(params, KEY)
    new, y = jax.jit(cell.step)(params, carry, X)
    first, second = params["mixer"], params["mlp"]
    seen = normalised(np.asarray(X), first["norm"]["scale"])
    h = np.tanh(seen @ first["cell"].w_ih + first["cell"].b)
    between = np.asarray(X) + h
    expected = between + gated(normalised(between, second["norm"]["scale"]), second["mlp"])
    np.testing.assert_allclose(new["mixer"]["cell"], h, atol=1e-5)
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_what_stands_behind_its_gated_layer_sees_what_that_adds():
    doubled = pre_norm(elman(6, 6), 6, 9, behind=pointwise(lambda added: 2 * added))
    plain = pre_norm(elman(6, 6), 6, 9)
    params = moved(plain)
    carry = plain.init_carry(params, KEY)
    between = X + plain.step(params, carry, X)[0]["mixer"]["cell"]
    twice = doubled.step(with_behind(params), with_behind(carry), X)[1] - between
    np.testing.assert_allclose(
        twice, 2 * (plain.step(params, carry, X)[1] - between), rtol=1e-4, atol=1e-5
    )


def with_behind(tree):
    return tree | {"mlp": tree["mlp"] | {"behind": ()}}


def test_a_short_convolution_is_one():
    cell = short_convolution(2, width=3)
    params, xs = moved(cell), np.random.default_rng(1).normal(size=(7, 2)).astype(np.float32)
    carry = cell.init_carry(params, KEY)
    _, ys = jax.lax.scan(lambda carry, x: cell.step(params, carry, x), carry, jnp.asarray(xs))
    for channel in range(2):
        newest_first = params["w"][::-1, channel]
        expected = np.convolve(xs[:, channel], newest_first)[:7] + params["b"][channel]
        np.testing.assert_allclose(ys[:, channel], expected, atol=1e-5)


def test_heads_are_cells_side_by_side():
    one = elman(6, 2)
    cell = multi_head(one, 3)
    params = cell.init(KEY)
    # drawn apart, and of the size of one
    assert not np.allclose(params.w_ih[0], params.w_ih[1])
    carry = cell.init_carry(params, KEY) + 0.5
    new, y = cell.step(params, carry, X)
    for head in range(3):
        own = jax.tree.map(lambda a, head=head: a[head], params)
        expected = one.step(own, carry[head], X)[1]
        np.testing.assert_allclose(new[head], expected, atol=1e-6)
        np.testing.assert_allclose(y[2 * head : 2 * head + 2], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("factory", "given", "message"),
    [
        (rms_norm, {"size": 0}, "size is 0"),
        (gated_mlp, {"size": 3, "inner_size": 0}, "inner_size is 0"),
        (short_convolution, {"size": 3, "width": 0}, "width is 0"),
        (multi_head, {"cell": elman(3, 4), "heads": 0}, "heads is 0"),
    ],
)
def test_refusals(factory, given, message):
    with pytest.raises(ValueError, match=message):
        factory(**given)
