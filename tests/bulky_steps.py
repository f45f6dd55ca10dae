"""Steps with values that are larger than what goes in and out, written plainly."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn import Cell
from jaxrnn.base import draw_bernoulli

D = 64
SLOTS, FEW_SLOTS = 64, 4


def _weights(key):
    return {"w": jax.random.normal(key, (D, D)) / 8}


def _matrix(step):
    return Cell(_weights, lambda params, key: jnp.zeros((D, D)), step)


def _vector(step):
    return Cell(_weights, lambda params, key: jnp.zeros(D), step)


def _decayed(params, s, x):
    """A decay for each row, and an outer product: gated linear attention."""
    decay = jax.nn.sigmoid(x["f"] @ params["w"])
    s = decay[:, None] * s + jnp.outer(x["v"], x["k"])
    return s, s @ x["q"]


def _flat(params, s, x):
    """The same, carried as one vector."""
    s, y = _decayed(params, s.reshape(D, D), x)
    return s.ravel(), y


def _delta(params, s, x):
    """The delta rule: what is stored under a key is replaced."""
    key = x["k"] * lax.rsqrt(1e-6 + x["k"] @ x["k"])
    beta = jax.nn.sigmoid(x["f"] @ params["w"])[0]
    s = s + beta * jnp.outer(x["v"] - s @ key, key)
    return s, s @ x["q"]


def _momentum(params, carry, x):
    """A matrix that is written to another one, whole."""
    m, s = carry
    m = jax.nn.sigmoid(x["f"] @ params["w"])[:, None] * m + jnp.outer(x["v"], x["k"])
    s = 0.9 * s + m
    return (m, s), s @ x["q"]


def _read_late(params, carry, x):
    """A matrix that is read through what is made of it in a loop of its own."""
    s, h = carry
    s = 0.9 * s + jnp.outer(x["v"], x["k"])
    h = jnp.tanh(h @ params["w"] + s @ x["q"])
    return (s, h), s @ h


def _mixed(params, s, x):
    """A matrix that a weight turns."""
    s = 0.9 * jnp.tanh(s @ params["w"]) + jnp.outer(x["v"], x["k"])
    return s, s @ x["q"]


def _ring(params, carry, x):
    """Attention over the last time steps, in a ring buffer."""
    buffer, i = carry
    buffer = lax.dynamic_update_index_in_dim(buffer, x["k"] @ params["w"], i % SLOTS, 0)
    return (buffer, i + 1), jax.nn.softmax(buffer @ x["q"] / 8) @ buffer


def _few_slots(params, buffer, x):
    """Attention over a buffer of few time steps, to keys that a weight makes of it anew."""
    buffer = jnp.concatenate([buffer[1:], x["k"][None]])
    return buffer, jax.nn.softmax((buffer @ params["w"]) @ x["q"] / 8) @ buffer


def _outer(params, h, x):
    h = jnp.tanh(h @ params["w"] + jnp.exp(0.01 * jnp.outer(x["k"], x["k"])).sum(0) / D)
    return h, h


def _noise(params, carry, x):
    """Weights of which others are dropped at every step."""
    h, key, i = carry
    kept = draw_bernoulli(jax.random.fold_in(key, i), 0.9, (D, D))
    h = jnp.tanh(h @ jnp.where(kept, params["w"], 0) + x["k"])
    return (h, key, i + 1), h


def _by_token(params, h, x):
    h = jnp.tanh(h @ params["w"][x["token"]] + x["k"])
    return h, h


def _products(params, h, x):
    """A matrix of the inputs alone, which a sum and a product read."""
    a, b, c, d = (x[name].reshape(2, -1) for name in "kvfq")
    m = (a.T @ b) * (c.T @ d)
    h = jnp.tanh(h @ params["w"] + jnp.tile(m.sum(0), 2) / D)
    return h, m @ h[: len(m)]


def _made_weights(params, h, x):
    """Weights that another weight makes of the input: a hypernetwork."""
    weights = (x["k"] @ params["w"]).reshape(D, D)
    h = jnp.tanh(h @ weights + x["v"])
    return h, h


def _experts(params, h, x):
    """Two of eight matrices, chosen by the input."""
    share, chosen = lax.top_k(jax.nn.softmax(x["k"][:8]), 2)
    h = jnp.tanh(h @ jnp.einsum("k,kij->ij", share, params["w"][chosen]) + x["v"])
    return h, h


STEPS = {
    "decayed matrix": _matrix(_decayed),
    "a matrix as a vector": Cell(_weights, lambda params, key: jnp.zeros(D * D), _flat),
    "delta rule": _matrix(_delta),
    "momentum": Cell(
        _weights, lambda params, key: (jnp.zeros((D, D)), jnp.zeros((D, D))), _momentum
    ),
    "read late": Cell(_weights, lambda params, key: (jnp.zeros((D, D)), jnp.zeros(D)), _read_late),
    "turned matrix": _matrix(_mixed),
    "ring buffer": Cell(_weights, lambda params, key: (jnp.zeros((SLOTS, D)), jnp.int32(0)), _ring),
    "few slots": Cell(_weights, lambda params, key: jnp.zeros((FEW_SLOTS, D)), _few_slots),
    "outer product": _vector(_outer),
    "products of inputs": _vector(_products),
    "weights of inputs": Cell(
        lambda key: {"w": jax.random.normal(key, (D, D * D)) / D},
        lambda params, key: jnp.zeros(D),
        _made_weights,
    ),
    "experts": Cell(
        lambda key: {"w": jax.random.normal(key, (8, D, D)) / 8},
        lambda params, key: jnp.zeros(D),
        _experts,
    ),
    "noise": Cell(_weights, lambda params, key: (jnp.zeros(D), key, jnp.int32(0)), _noise),
    "weights by token": Cell(
        lambda key: {"w": jax.random.normal(key, (10, D, D)) / 8},
        lambda params, key: jnp.zeros(D),
        _by_token,
    ),
}


def inputs(num_steps: int, batch_size: int):
    key, shape = jax.random.key(0), (num_steps, batch_size)
    xs = {
        name: jax.random.normal(jax.random.fold_in(key, i), (*shape, D))
        for i, name in enumerate("fkvq")
    }
    return xs | {"token": jax.random.randint(key, shape, 0, 10)}
