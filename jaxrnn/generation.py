"""Sample tokens from a cell."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jaxrnn.base import Cell, Key, Params, require_positive
from jaxrnn.padding import pausable
from jaxrnn.token_tables import with_table
from jaxrnn.tokens import is_known
from jaxrnn.unroll import try_integers, unroll
from jaxrnn.unstable import draws_depend_on_mapping


def generate(
    cell: Cell,
    params: Params,
    key: Key,
    prompt: Int[Array, "P B"],
    length: int,
    *,
    prompt_length: Int[Array, " B"] | None = None,
    temperature: float | Float[Array, ""] = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Int[Array, "length B"]:
    """`length` tokens after each prompt; pure, one scan, jitted by the caller.

    Args:
      cell: tokens [] to logits [V], the evaluation model.
      params: its parameters.
      key: what the draws come from; sample b at step t depends on B too.
      prompt: at least one token each. One outside the vocabulary is refused; inside `jit`, where
        it is not known, see `jaxrnn.compose.embed`.
      length: how many tokens to draw.
      prompt_length: how many tokens of each column of `prompt` count, so that prompts padded
        behind with `pad_prompts` share one compiled program, 1 to P. None means all.
      temperature: divides the logits; 0 takes the likeliest token.
      top_k: draw from the k likeliest tokens only.
      top_p: draw from the likeliest tokens that together hold at least this probability (after
        temperature and top_k). Reference: Holtzman et al. (2020),
        https://arxiv.org/abs/1904.09751

    Raises:
      ValueError: an empty prompt, one of a length that it has not, a token outside the vocabulary
        or a setting outside its range.
    """
    require_positive(length=length)
    if length > 10_000_000:
        raise ValueError(f"length is {length}; give at most 10,000,000")
    _check_settings(prompt, temperature, top_k, top_p)
    batch_size = prompt.shape[1]
    if prompt_length is None:
        prompt_length = jnp.full(batch_size, prompt.shape[0], jnp.int32)
    if is_known(prompt_length):
        _check_lengths(prompt, prompt_length)
    key_carry, key_draw = jax.random.split(key)
    reader = _remembering_output(cell)
    state = jax.vmap(reader.init_carry, in_axes=(None, 0))(
        params, jax.random.split(key_carry, batch_size)
    )
    active = jnp.arange(prompt.shape[0], dtype=jnp.int32)[:, None] < prompt_length[None]
    if is_known(active):
        try_integers(reader, params, state, jnp.where(active, prompt, prompt[:1]))
    state, _ = unroll(pausable(reader), params, state, (prompt, active))

    noise_of = _noise(key_draw, state[1])
    blocks = -(-length // max(AT_ONCE // max(state[1].size, 1), 1))
    steps = -(-length // blocks)  # of each block, so that few are drawn in vain

    first = jax.tree.map(lambda a: a[0], state[0])
    read = with_table(cell, params, first, state[1].shape[-1], batch_size * length)

    def draw(state, noise):
        tokens = _sample(noise, state[1], temperature, top_k, top_p)
        return jax.vmap(read)(state[0], tokens), tokens

    def block(state, ts):
        return lax.scan(draw, state, noise_of(ts))

    ts = jnp.arange(blocks * steps, dtype=jnp.int32).reshape(blocks, steps)
    _, tokens = lax.scan(block, state, ts)
    return tokens.reshape(-1, batch_size)[:length]


def pad_prompts(prompts: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Prompts of any lengths as `(prompt [P, B], prompt_length [B])`, P the next power of two, so
    that a prompt of a new length rarely compiles again."""
    lengths = [len(prompt) for prompt in prompts]
    if not lengths or min(lengths) < 1:
        raise ValueError("a prompt is empty; give each at least one token")
    padded = np.zeros((1 << (max(lengths) - 1).bit_length(), len(prompts)), np.int32)
    for b, prompt in enumerate(prompts):
        padded[: len(prompt), b] = prompt
    return padded, np.array(lengths, np.int32)


def _remembering_output(cell: Cell) -> Cell:
    """`cell` with its latest output in the carry (zeros at first) and no output."""

    def init_carry(params, key):
        carry = cell.init_carry(params, key)
        _, y = jax.eval_shape(cell.step, params, carry, jnp.int32(0))
        return carry, jnp.zeros(y.shape, y.dtype)

    def step(params, carry, token):
        return cell.step(params, carry[0], token), ()

    return Cell(cell.init, init_carry, step)


AT_ONCE = 2**15
"""Numbers of noise that are drawn for the next time steps: on a CPU a few take as long as many."""


def _noise(key, logits):
    """`ts [K] -> noise [K, B, V]`, whose sum with the logits of each time step is largest where
    `jax.random.categorical` draws."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    dtype = (logits[:0] / 1).dtype  # integers become floats

    def of_step(t):
        return jax.random.gumbel(jax.random.fold_in(key, t), logits.shape, dtype)

    if draws_depend_on_mapping(key):
        return partial(lax.map, of_step)
    return jax.vmap(of_step)


# At and below this temperature the likeliest token is drawn whatever the draw, and logits divided
# by it may no longer be finite.
COLD = 1e-20


def _sample(noise, logits, temperature, top_k, top_p):
    warm = jnp.asarray(temperature, jnp.float32) > COLD
    logits = logits / jnp.where(warm, jnp.asarray(temperature, logits.dtype), 1)
    if top_k is not None:
        least = lax.top_k(logits, min(top_k, logits.shape[-1]))[0][..., -1:]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    if top_p is not None:
        logits = jnp.where(logits < _least_of_nucleus(logits, top_p), -jnp.inf, logits)
    return (logits + jnp.where(warm, noise, 0)).argmax(-1).astype(jnp.int32)


def _least_of_nucleus(logits, top_p):
    """The smallest logit of the fewest tokens that together hold at least `top_p`."""
    ordered = jnp.sort(logits, axis=-1, descending=True)
    probabilities = jax.nn.softmax(ordered)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    return jnp.where(before < top_p, ordered, jnp.inf).min(-1, keepdims=True)


def _check_lengths(prompt, lengths):
    numbers, most = np.asarray(lengths), prompt.shape[0]
    if np.any((numbers < 1) | (numbers > most)):
        raise ValueError(
            f"prompt_length is {numbers}; give each prompt 1 to {most}, the tokens that it has"
        )


def _check_settings(prompt, temperature, top_k, top_p):
    if prompt.ndim != 2 or prompt.shape[0] < 1:
        raise ValueError(
            f"prompt has shape {prompt.shape}; give [P, B] with at least one token each"
        )
    # a traced temperature cannot be looked at here
    if not isinstance(temperature, Tracer) and not 0 <= float(temperature) < np.inf:
        raise ValueError(f"temperature is {temperature}; give 0 (the likeliest token) or more")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; give at least 1, or leave it out")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(
            f"top_p is {top_p}; give a probability above 0 and up to 1, or leave it out"
        )
