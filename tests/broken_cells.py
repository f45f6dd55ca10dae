"""Cells that each break one law, as a researcher's own file would hold them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap

from jaxrnn import Cell, elman, linear


def _made(step, init=lambda cell, key: cell.init(key), init_carry=None):
    """An elman cell with some of its three functions exchanged."""

    def factory(input_size, hidden_size):
        cell = elman(input_size, hidden_size)
        return Cell(
            init=lambda key: init(cell, key),
            init_carry=init_carry or cell.init_carry,
            step=lambda params, carry, x: step(cell, params, carry, x),
        )

    return factory


def _grows(cell, params, h, x):
    h, y = cell.step(params, h, x)
    return jnp.concatenate([h, h]), y


def _narrows(cell, params, h, x):
    h, y = cell.step(params, h, x)
    return h.astype(jnp.bfloat16), y


def _restructures(cell, params, h, x):
    h, y = cell.step(params, h, x)
    return {"h": h}, y


def _spare(cell, key):
    params = cell.init(key)
    return {"elman": params, "w_skip": jnp.ones_like(params.w_ih)}


def _half_used(cell, key):
    params = cell.init(key)
    return {"elman": params, "b": jnp.zeros(params.b.size + 2)}


def _zeros(params, key):
    return jnp.zeros_like(params["elman"].b)


def _ignores_spare(cell, params, h, x):
    return cell.step(params["elman"], h, x)


def _uses_half(cell, params, h, x):
    h, y = cell.step(params["elman"], h, x)
    return h, y * (1 + params["b"][: y.size])


def _for_batches(cell, params, h, x):
    joined = jnp.concatenate([x, h], axis=1)
    h = jnp.tanh(joined @ jnp.concatenate([params.w_ih, params.w_hh]) + params.b[None])
    return h, h


def _batch_of_one(cell, params, h, x):
    h = jnp.tanh((x @ params.w_ih + params.b)[None] + h @ params.w_hh)
    return h, h


def _rounds(cell, params, h, x):
    h, y = cell.step(params, h, x)
    return h, jnp.round(8 * y) / 8


def _rounds_its_memory(cell, params, h, x):
    return cell.step(params, jnp.round(8 * h) / 8, x)


def _stops(cell, params, h, x):
    return cell.step(params, jax.lax.stop_gradient(h), x)


def _normalises(cell, params, h, x):
    return cell.step(params, h / (1e-3 + jnp.sqrt(jnp.sum(h * h))), x)


def _numbers_its_calls(input_size, hidden_size):
    cell = elman(input_size, hidden_size)
    calls = itertools.count()

    def step(params, h, x):
        return cell.step(params, h, x * (1 + 0.1 * next(calls)))

    return cell._replace(step=step)


def _keeps_a_list(input_size, hidden_size):
    cell = elman(input_size, hidden_size)
    earlier = [jnp.zeros(hidden_size)]

    def step(params, h, x):
        h, y = cell.step(params, h, x)
        earlier.append(h)
        return h, y + earlier[-2]

    return cell._replace(step=step)


def _draws_from_numpy(cell, params, h, x):
    return cell.step(params, h, x + np.float32(np.random.normal()))


@custom_vmap
def _centred(y):
    return y


@_centred.def_vmap
def _centred_batch(axis_size, in_batched, y):
    return y - y.mean(0, keepdims=True), True


def _centres_the_batch(cell, params, h, x):
    h, y = cell.step(params, h, x)
    return h, _centred(y)


def _far_from_zero(cell, params, h, x):
    h, y = cell.step(params, h - 1000, x)
    return h + 1000, y


carry_shape_drifts = _made(_grows)
carry_dtype_drifts = _made(_narrows)
carry_structure_drifts = _made(_restructures)
parameter_unused = _made(_ignores_spare, _spare, _zeros)
parameter_half_unused = _made(_uses_half, _half_used, _zeros)
batch_axis_assumed = _made(_for_batches)
batch_axis_in_carry = _made(_batch_of_one, init_carry=lambda params, key: params.b[None] * 0)
output_rounded = _made(_rounds)
memory_rounded = _made(_rounds_its_memory)
gradient_stopped = _made(_stops)
gradient_nan = _made(_normalises)
calls_numbered = _numbers_its_calls
list_kept = _keeps_a_list
noise_outside_jax = _made(_draws_from_numpy)
examples_mixed = _made(_centres_the_batch)
memoryless = linear
much_for_8_bits = _made(_far_from_zero, init_carry=lambda params, key: params.b * 0 + 1000)
