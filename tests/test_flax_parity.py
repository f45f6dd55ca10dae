"""elman, gru and lstm against Flax's cells on the same weights: outputs and gradients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn import CELLS, unroll

T, B, INPUT, HIDDEN = 7, 3, 4, 5
TOLERANCE = 1e-5


class Peer(NamedTuple):
    module: nn.RNNCellBase
    params: Callable[[Any], Any]
    """Our params as the module's."""
    carry: Callable[[Any], Any]
    """Our carry as the module's."""


def columns(matrix, count):
    return jnp.split(matrix, count, axis=-1)


def elman_params(p):
    return {"i": {"kernel": p.w_ih, "bias": p.b}, "h": {"kernel": p.w_hh}}


def gru_params(p):
    from_x, from_h, b = columns(p.w_ih, 3), columns(p.w_hh, 3), columns(p.b, 3)
    inputs = {
        f"i{gate}": {"kernel": from_x[k], "bias": b[k]} for k, gate in enumerate(("r", "z", "n"))
    }
    hidden = {f"h{gate}": {"kernel": from_h[k]} for k, gate in enumerate(("r", "z", "n"))}
    return inputs | hidden | {"hn": {"kernel": from_h[2], "bias": p.b_hn}}


def lstm_params(p):
    from_x, from_h, b = columns(p.w_ih, 4), columns(p.w_hh, 4), columns(p.b, 4)
    gates = list(enumerate(("i", "f", "o", "g")))
    inputs = {f"i{gate}": {"kernel": from_x[k]} for k, gate in gates}
    return inputs | {f"h{gate}": {"kernel": from_h[k], "bias": b[k]} for k, gate in gates}


PEERS = {
    "elman": Peer(nn.SimpleCell(HIDDEN), elman_params, lambda h: h),
    "gru": Peer(nn.GRUCell(HIDDEN), gru_params, lambda h: h),
    "lstm": Peer(nn.OptimizedLSTMCell(HIDDEN), lstm_params, lambda carry: (carry.c, carry.h)),
}


@pytest.mark.parametrize("name", mostly_full(PEERS, "elman"))
def test_outputs_and_gradients(name):
    cell, peer = CELLS[name](INPUT, HIDDEN), PEERS[name]
    generator = np.random.default_rng(0)

    def normal(like):
        return jnp.asarray(generator.standard_normal(like.shape), jnp.float32)

    params = jax.tree.map(normal, cell.init(jax.random.key(0)))
    one = cell.init_carry(params, jax.random.key(0))
    carry = jax.tree.map(lambda a: normal(jnp.zeros((B, *a.shape))), one)
    xs, weights = normal(jnp.zeros((T, B, INPUT))), normal(jnp.zeros((T, B, HIDDEN)))

    def ours(params, carry, xs):
        _, ys = unroll(cell, params, carry, xs)
        return jnp.sum(weights * ys), ys

    def theirs(params, carry, xs):
        carry, outputs = peer.carry(carry), []
        for x in xs:
            carry, y = peer.module.apply({"params": peer.params(params)}, carry, x)
            outputs.append(y)
        return jnp.sum(weights * jnp.stack(outputs)), jnp.stack(outputs)

    def both(loss):
        (_, ys), grads = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(
            params, carry, xs
        )
        return ys, grads

    with jax.numpy_rank_promotion("allow"):
        expected = both(theirs)
    for mine, theirs_ in zip(jax.tree.leaves(both(ours)), jax.tree.leaves(expected), strict=True):
        scale = max(1.0, float(jnp.abs(theirs_).max()))
        np.testing.assert_allclose(mine, theirs_, rtol=0, atol=TOLERANCE * scale)
