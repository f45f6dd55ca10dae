"""Keys of the older kind, uint32 words of `jax.random.PRNGKey`, draw what the newer ones do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn import (
    Batch,
    artbp,
    bptt,
    chain,
    dropout,
    elman,
    embed,
    generate,
    learnt_carry,
    resettable,
    stateless,
    unroll_padded,
    uoro,
    variational_dropout,
    weight_drop,
    zoneout,
)

CELL = chain(
    drop=dropout(0.5),
    held=variational_dropout(0.5, 2),
    layer=learnt_carry(zoneout(elman(3, 3), 0.1)),
)


def squares(outputs, targets):
    return jnp.square(outputs - targets).sum(-1)


def dropping(cell, objective):
    return weight_drop(bptt(cell, objective, schedule="scan"), 0.5)


def require_equal_draws(function):
    """What a function of a key gives is the same for the same key of either kind."""
    new, old = jax.jit(lambda *keys: [function(key) for key in keys])(
        jax.random.key(3), jax.random.PRNGKey(3)
    )
    jax.tree.map(np.testing.assert_array_equal, as_words(old), as_words(new))


def as_words(tree):
    def words(a):
        return jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a

    return jax.tree.map(words, tree)


def gradients(style, batch_size):
    """Of a key."""
    cell = learnt_carry(elman(3, 3))
    params = cell.init(jax.random.key(0))

    def estimated(key):
        estimator = style(cell, squares)
        batch = Batch(jnp.ones((2, batch_size, 3)), jnp.ones((2, batch_size, 3)))
        return estimator.estimate(params, estimator.init(params, key, batch_size), batch)

    return estimated


STYLES = {
    "artbp": lambda cell, objective: artbp(cell, objective, window=2, schedule="scan"),
    "uoro": lambda cell, objective: uoro(cell, objective, schedule="scan"),
    "stateless": lambda cell, objective: stateless(bptt(cell, objective, schedule="scan")),
    "weight_drop": dropping,
}


# of one sequence, and with keys of four words, weights are dropped below
@pytest.mark.parametrize("name", mostly_full(STYLES, "artbp", "stateless"))
def test_a_style_that_draws(name):
    require_equal_draws(gradients(STYLES[name], 2))


@pytest.mark.parametrize("batch_size", mostly_full([1, 3], 1))
def test_dropped_weights_of_other_batch_sizes(batch_size):
    require_equal_draws(gradients(dropping, batch_size))


@pytest.mark.full
def test_resets_padding_and_samples():
    cell = resettable(CELL)
    words = chain(embed=embed(5, 3), drop=dropout(0.5))

    def run(key):
        params = cell.init(key)
        carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, jax.random.split(key, 2))
        xs = jnp.ones((4, 2, 3)), jnp.arange(8).reshape(4, 2) == 3
        lengths = jnp.array([4, 2])
        _, ys = unroll_padded(cell, params, carry, xs, lengths, schedule="scan")
        return ys, generate(words, words.init(key), key, jnp.zeros((1, 2), jnp.int32), 4)

    require_equal_draws(run)


@pytest.mark.full
def test_keys_of_four_words():
    with jax.default_prng_impl("rbg"):
        require_equal_draws(gradients(dropping, 3))
