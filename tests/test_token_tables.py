"""What a model computes of a token alone, read from a table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Cell, chain, elman, embed, generate, gru, linear, lstm, one_hot
from jaxrnn.jaxprs.equations import trace
from jaxrnn.token_tables import with_table

KEY, V = jax.random.key(0), 7


def twice(cell):
    """A model that reads its token in two places, behind its layer too."""

    def step(params, carry, token):
        carry, y = cell.step(params, carry, token)
        return carry, (y, jnp.sin(token.astype(float)))

    return Cell(cell.init, cell.init_carry, step)


MODELS = {
    "embedding": chain(embed(V, 5), gru(5, 4), linear(4, V)),
    "one-hot": chain(one_hot(V), lstm(V, 4), elman(4, 3), linear(3, V)),
    "behind it too": twice(chain(embed(V, 5), elman(5, 4))),
}


def products(step, *arguments):
    return sum(e.primitive.name == "dot_general" for e in trace(step, *arguments).equations)


@pytest.mark.parametrize("name", MODELS)
def test_a_row_of_the_table_is_what_the_token_gives(name):
    """A product fewer, of every token, from the first time step and from a later one."""
    cell = MODELS[name]
    params = cell.init(KEY)
    carry = cell.init_carry(params, KEY)
    step = with_table(cell, params, carry, V, V)
    for token in [*range(V)] * 2:
        expected = cell.step(params, carry, jnp.int32(token))
        found = step(carry, jnp.int32(token))
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
        carry = expected[0]
    whole = products(lambda c, t: cell.step(params, c, t), carry, jnp.int32(0))
    assert products(step, carry, jnp.int32(0)) == whole - 1


def test_no_table_where_it_would_be_for_nothing():
    """It has more rows than tokens are read, or no product."""
    cell = MODELS["embedding"]
    params = cell.init(KEY)
    carry = cell.init_carry(params, KEY)

    def counted(cell, *sizes):
        return products(with_table(cell, params, carry, *sizes), carry, jnp.int32(0))

    assert counted(cell, V, V) + 1 == counted(cell, V, V - 1) == counted(cell, 10**8, 10**9)


def test_what_a_step_prints_is_printed_once_a_token(capfd):

    def step(params, carry, token):
        jax.debug.print("read {}", token)
        return carry + params[token] @ params, carry

    cell = Cell(lambda key: jnp.eye(3), lambda params, key: jnp.zeros(3), step)
    prompt = jnp.zeros((1, 1), jnp.int32)
    jax.block_until_ready(generate(cell, jnp.eye(3), KEY, prompt, 5, temperature=0.0))
    jax.effects_barrier()
    assert capfd.readouterr().out.count("read") == 1 + 5
