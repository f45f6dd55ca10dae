"""Tokens and targets outside the vocabulary are refused wherever they are known."""

import inspect
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn import (
    Batch,
    bptt,
    chain,
    elman,
    embed,
    evaluate,
    generate,
    linear,
    one_hot,
    unroll,
    unroll_padded,
)
from jaxrnn.evaluation import dynamic_evaluate
from jaxrnn.gradients import STYLES
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.optimizers import clipped_momentum
from jaxrnn.rows.narrowing import narrow

V, KEY = 5, jax.random.key(0)
OUTSIDE = (-100, -1, V, 300)
GOOD = jnp.zeros((3, 2), jnp.int32)
MODELS = {
    "embed": chain(read=embed(V, 2), layer=elman(2, 2), head=linear(2, V)),
    "one_hot": chain(read=one_hot(V), layer=elman(V, 2), head=linear(2, V)),
    "capitals": build_model(
        TokenModel(V, V, hidden_size=2, capitals=((0, 0), (1, 0), (0, 1), (1, 1), (2, 0)))
    ),
}


def begun(cell, batch_size=2):
    params = cell.init(KEY)
    return params, jax.vmap(cell.init_carry, in_axes=(None, 0))(
        params, jax.random.split(KEY, batch_size)
    )


def refused(token):
    return pytest.raises(ValueError, match=rf"{token} is outside the vocabulary; give 0 to {V - 1}")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("token", OUTSIDE)
def test_inputs(name, token):
    cell = MODELS[name]
    params, carry = begun(cell)
    xs = GOOD.at[1, 1].set(token)
    with refused(token):
        cell.step(params, jax.tree.map(lambda a: a[0], carry), xs[1, 1])
    for schedule in ("auto", "scan"):
        with refused(token):
            unroll(cell, params, carry, xs, schedule=schedule)
    with refused(token):
        unroll(cell, params, carry, np.asarray(xs))
    with refused(token):
        generate(cell, params, KEY, xs, 2)
    estimator = bptt(cell, cross_entropy)
    with refused(token):
        estimator.estimate(params, estimator.init(params, KEY, 2), Batch(xs, GOOD))


@pytest.mark.parametrize("token", OUTSIDE)
def test_targets(token):
    cell = MODELS["embed"]
    params, _ = begun(cell)
    batch = Batch(GOOD, GOOD.at[2, 0].set(token))
    estimator = bptt(cell, cross_entropy)
    with refused(token):
        estimator.estimate(params, estimator.init(params, KEY, 2), batch)
    with refused(token):
        evaluate(cell, cross_entropy, params, KEY, batch)
    with refused(token):
        dynamic_evaluate(cell, cross_entropy, clipped_momentum(), params, KEY, batch)
    with refused(token):
        narrow(batch, V, ("embed",))
    with refused(token):
        narrow(Batch(batch.targets, batch.inputs), V, ("embed",))


@pytest.mark.parametrize("style", mostly_full(STYLES, "tbptt", "rtrl"))
def test_every_gradient_style(style):
    """Also those whose windows or time steps are a loop, in which no number is known."""
    cell = MODELS["embed"]
    params, _ = begun(cell)
    estimator = STYLES[style](cell, cross_entropy, window=2, stride=1)
    carry = estimator.init(params, KEY, 2)
    for batch in (Batch(GOOD.at[1, 1].set(V), GOOD), Batch(GOOD, GOOD.at[1, 1].set(V))):
        with refused(V):
            estimator.estimate(params, carry, batch)


def test_what_pads_a_prompt_or_a_sequence_may_be_anything():
    cell = MODELS["embed"]
    params, carry = begun(cell)
    xs, lengths = GOOD.at[2, 0].set(-100), jnp.array([2, 3])
    _, expected = unroll_padded(cell, params, carry, GOOD, lengths)
    _, found = unroll_padded(cell, params, carry, xs, lengths)
    assert jnp.array_equal(found, expected)
    assert generate(cell, params, KEY, xs, 2, prompt_length=lengths).shape == (2, 2)
    with refused(-100):
        generate(cell, params, KEY, xs, 2, prompt_length=jnp.array([3, 3]))


@pytest.mark.parametrize("name", ["embed", "one_hot"])
def test_traced_as_the_docstring_says(name):
    cell, params = {"embed": (embed(V, 1), {"w": jnp.arange(V * 1.0)[:, None]})}.get(
        name, (one_hot(V), ())
    )
    given = jnp.array([-1, V, 300])
    ys = jax.jit(jax.vmap(lambda x: cell.step(params, (), x)[1]))(given)
    expected = [[4.0]] * 3 if name == "embed" else np.zeros((3, V))
    np.testing.assert_array_equal(ys, expected)


def test_traced_targets_as_the_docstring_says():
    losses = jax.jit(cross_entropy)(jnp.zeros((4, V)), jnp.array([-1, -100, V, 0]))
    np.testing.assert_array_equal(jnp.isnan(losses), [False, True, True, False])


def test_an_objective_with_weights_leaves_a_target_out():
    """The loss and its gradient are those of the counted targets alone, as in the docstring."""
    # Python 3.13 takes a docstring's own indentation away, 3.12 does not
    text = inspect.getdoc(cross_entropy) or ""
    lines = text[text.rindex("\n", 0, text.index("def ignoring")) :].split("A gradient style")[0]
    written = {"cross_entropy": cross_entropy, "jnp": jnp}
    exec(textwrap.dedent(lines), written)
    cell = MODELS["embed"]
    params, _ = begun(cell)
    inputs = jnp.array([[0, 1], [2, 3], [4, 0]])
    targets = np.array([[1, -100], [-100, 2], [3, -100]], np.int32)
    estimator = bptt(cell, written["ignoring"], schedule="scan")

    def by_hand(params):
        _, logits = unroll(cell, params, begun(cell)[1], inputs, schedule="scan")
        where = np.asarray(targets) >= 0
        return cross_entropy(logits[where], jnp.asarray(targets[where])).mean()

    @jax.jit
    def both(params):
        carry = estimator.init(params, KEY, 2)
        return (
            estimator.estimate(params, carry, Batch(inputs, jnp.asarray(targets))),
            jax.value_and_grad(by_hand)(params),
        )

    (grads, _, metrics), (loss, expected) = both(params)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), grads, expected)
