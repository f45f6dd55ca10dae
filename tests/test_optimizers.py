"""What a training step makes of gradients: complex params."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import (
    OPTIMIZERS,
    Batch,
    Cell,
    bptt,
    clipped_momentum,
    init_state,
    make_train_step,
    stateless,
    unroll,
)

KEY = jax.random.key(0)
BEGIN, GOAL = 0.8 * np.exp(0.5j), 0.8 * np.exp(1.0j)


def whole(param):
    return param


def from_parts(param):
    return jax.lax.complex(param[0], param[1])


FIRST = {whole: jnp.complex64(BEGIN), from_parts: jnp.array([BEGIN.real, BEGIN.imag])}


def turning(of_params):
    """h' = lambda h + x with the output Im h', of a lambda that `of_params` makes of one param."""

    def init_carry(params, key):
        return jnp.zeros((), jnp.complex64)

    def step(params, h, x):
        h = of_params(params) * h + x
        return h, h.imag

    return Cell(lambda key: FIRST[of_params], init_carry, step)


def impulse():
    """A batch of the outputs of GOAL."""
    xs = jnp.zeros((8, 1), jnp.complex64).at[0].set(1)
    _, ys = unroll(turning(whole), jnp.complex64(GOAL), jnp.zeros(1, jnp.complex64), xs)
    return Batch(xs, ys)


def trained(of_params, optimizer, steps):
    """The losses of training steps and the param after them; a scan, so no type changes."""
    cell = turning(of_params)
    estimator = stateless(bptt(cell, lambda y, target: (y - target) ** 2))
    state = init_state(cell, estimator, optimizer, KEY, 1)
    batch, train_step = impulse(), make_train_step(estimator, optimizer)
    state, metrics = jax.lax.scan(lambda s, _: train_step(s, batch), state, length=steps)
    return metrics["loss"], state.params


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_complex_params_are_trained_downhill(name):
    rate = {"adagrad": 0.1, "momentum": 0.05}.get(name, 0.03)
    optimizer = OPTIMIZERS[name](rate)
    with jax.numpy_dtype_promotion("standard"):  # optax's own
        losses, param = jax.jit(lambda: trained(whole, optimizer, 100))()
    assert losses[-1] < 0.02 * losses[0]
    assert abs(param - GOAL) < 0.05


@pytest.mark.parametrize(
    "optimizer",
    [optax.sgd(0.03), clipped_momentum(0.05, 0.1), clipped_momentum(0.05, None)],
    ids=["sgd", "clipped momentum", "momentum"],
)
def test_a_complex_param_is_trained_as_its_real_and_imaginary_parts_are(optimizer):
    (losses, param), (expected, parts) = jax.jit(
        lambda: [trained(of_params, optimizer, 20) for of_params in (whole, from_parts)]
    )()
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(np.array([param.real, param.imag]), parts, rtol=1e-4)


def test_adam_on_real_and_imaginary_parts_is_a_wrapper_of_optax():
    wrapped = optax.contrib.split_real_and_imaginary(optax.adam(0.03))
    with jax.numpy_dtype_promotion("standard"):
        (losses, _), (expected, _) = jax.jit(
            lambda: [trained(whole, wrapped, 20), trained(from_parts, optax.adam(0.03), 20)]
        )()
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
