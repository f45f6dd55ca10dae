"""Tokens of every integer type are the same tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Batch, embed, one_hot
from jaxrnn.candidates import Negatives
from jaxrnn.models import TokenModel, build_model
from jaxrnn.rows import narrow

KEY = jax.random.key(0)
TYPES = (np.int8, np.uint8, np.int16, np.uint16, np.uint32)
# the first sizes of vocabularies that types of 8 and of 16 bits do not hold, and others
SIZES = (129, 257, 300, 32_769, 65_537, 70_000)
SOME = np.array([0, 1, 44, 127])


def of_every_type(function):
    """What `function` makes of the same tokens, by their type: one compiled program for all."""
    made = jax.jit(lambda many: [function(tokens) for tokens in many])(
        [SOME.astype(kind) for kind in (np.int32, *TYPES)]
    )
    return made[0], dict(zip(TYPES, made[1:], strict=True))


@pytest.mark.parametrize("factory", [lambda v: embed(v, 2), one_hot], ids=["embed", "one_hot"])
def test_a_token_of_any_integer_type_is_the_same_token(factory):
    def output(cell, tokens):
        # to draw tables would take most of the time
        params = jax.tree.map(
            lambda a: jnp.arange(a.size, dtype=a.dtype).reshape(a.shape),
            jax.eval_shape(cell.init, KEY),
        )
        return jax.vmap(lambda x: cell.step(params, (), x)[1])(tokens)

    def outputs(tokens):
        return [output(factory(size), tokens) for size in SIZES]

    expected, found = of_every_type(outputs)
    for kind, ys in found.items():
        for size, y, right in zip(SIZES, ys, expected, strict=True):
            np.testing.assert_array_equal(y, right, err_msg=f"{kind.__name__}, {size}")


def test_a_one_hot_vector_has_a_single_one():
    vectors = jax.vmap(lambda x: one_hot(300).step((), (), x)[1])(SOME.astype(np.uint8))
    np.testing.assert_array_equal(vectors, np.eye(300)[SOME])


def test_tokens_of_any_integer_type_are_read_as_forms_and_flags():
    capitals = tuple((form, form % 2) for form in range(300))
    model = build_model(TokenModel(300, 2, "feed_forward", 2, capitals=capitals))
    params = model.init(KEY)
    carry = model.init_carry(params, KEY)
    expected, found = of_every_type(jax.vmap(lambda x: model.step(params, carry, x)[1]))
    for kind, ys in found.items():
        np.testing.assert_allclose(ys, expected, rtol=1e-6, err_msg=kind.__name__)


def test_a_batch_is_narrowed_alike_whatever_the_type_of_its_tokens():
    drawn = Negatives(jnp.array([44, 7, 299]), jnp.float32(4))

    def narrowed(tokens):
        twice = jnp.stack([tokens, tokens])  # in the places of repetitions stands V, 300
        return narrow(Batch(twice, twice), 300, ("embed", "head"), drawn)

    expected, found = of_every_type(narrowed)
    for batch in found.values():
        jax.tree.map(np.testing.assert_array_equal, batch, expected)


@pytest.mark.parametrize("cell", [embed(5, 3), one_hot(5)])
@pytest.mark.parametrize("x", [True, 1.0], ids=["truth value", "float"])
def test_what_is_neither_a_token_nor_a_vector_is_refused(cell, x):
    with pytest.raises(ValueError, match=r"a token is \w+\[\]; give an integer, such as tokens"):
        cell.step(cell.init(KEY), (), jnp.asarray(x))
