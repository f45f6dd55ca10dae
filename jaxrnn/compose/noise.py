"""Regularisation by noise, in training; each of these cells takes `training`.

With `training=False` it is the evaluation model: it draws nothing, and has the same params and the
same carry. A cell that draws keeps {"key", "step"} in its carry and takes its draws from
`fold_in(key, step)`: so each example draws for itself, a sequence may be cut anywhere, and the
draws of all time steps are made at once.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrnn.base import Carry, Cell, draw_bernoulli, named_leaves
from jaxrnn.swept import own


def dropout(rate: float, *, training: bool = True) -> Cell:
    """Zeroes each number of x with probability `rate` and scales the others by 1 / (1 - rate).

    It belongs on non-recurrent connections: between the cells of a chain. Each example draws its
    own mask at each time step. In evaluation x is unchanged.

    Reference: Zaremba et al. (2014), https://arxiv.org/abs/1409.2329
    """
    return _dropping(rate, training, lambda step: step)


def variational_dropout(rate: float, hold: int = 0, *, training: bool = True) -> Cell:
    """`dropout` whose mask stays the same for `hold` time steps; 0: for the whole sequence.

    The time steps are counted from where the carry was made. With truncated training the carry
    goes on from batch to batch: there `hold` is the time steps of a batch, so that every training
    step draws anew. In evaluation x is unchanged.

    Reference: Gal and Ghahramani (2016), https://arxiv.org/abs/1512.05287, who also drop the
    recurrent connections: see `zoneout` and `weight_drop` for those. Between layers only, as here,
    Merity et al. (2018), section 4.2, https://arxiv.org/abs/1708.02182
    """
    if not isinstance(hold, int) or hold < 0:
        raise ValueError(
            f"hold is {hold!r}; give a number of time steps, or 0 for a whole sequence"
        )
    return _dropping(rate, training, lambda step: step // hold if hold else jnp.zeros_like(step))


def zoneout(cell: Cell, rate: float | Mapping[str, float], *, training: bool = True) -> Cell:
    """`cell` whose carry keeps each of its numbers, in place of the new one, with probability
    `rate`:

        carry' = where(bernoulli(rate), carry, cell's carry')            in training
        carry' = rate * carry + (1 - rate) * cell's carry'               in evaluation

    Floats only; counters go on. What `cell` gives out as it is in its carry (the h of most cells)
    comes out as the carry then has it. So put it around the recurrent cell itself, and what else
    there is around that.

    `rate` is one number, or one for each leaf of the carry that keeps anything, by its path: the
    paper's are {"c": 0.5, "h": 0.05}.

    Raises:
      ValueError: a rate outside [0, 1); in `init_carry`, a leaf that the carry does not have.

    Reference: Krueger et al. (2017), https://arxiv.org/abs/1606.01305
    """
    for number in rate.values() if isinstance(rate, Mapping) else [rate]:
        _require_rate(number, "that a number of the carry is kept")

    def init_carry(params, key):
        key_cell, key = jax.random.split(key)
        carry = cell.init_carry(params, key_cell)
        _rates(rate, carry)
        return {"cell": carry, "key": key, "step": jnp.int32(0)}

    def step(params, carry, x):
        new, y = cell.step(params, carry["cell"], x)
        kept = _zoned(carry, new, _rates(rate, new), training)
        # the same array, by identity: y may hold others of its shape
        after = {id(a): b for a, b in zip(*map(jax.tree.leaves, (new, kept)), strict=True)}
        y = jax.tree.map(lambda a: after.get(id(a), a), y)
        return carry | {"cell": kept, "step": carry["step"] + 1}, y

    return Cell(cell.init, init_carry, step)


def _zoned(carry, new, rates, training):
    leaves, tree = jax.tree.flatten(new)
    keys = [None] * len(leaves)
    if training:
        key = jax.random.fold_in(carry["key"], carry["step"])
        keys = jax.random.split(key, len(leaves)) if leaves else []

    def zone(key, rate, a, old):
        if not rate or not jnp.issubdtype(a.dtype, jnp.inexact):
            return a
        if not training:
            kept = own(rate, a.dtype)
            return kept * old + (1 - kept) * a
        return jnp.where(draw_bernoulli(key, own(rate), a.shape), old, a)

    return tree.unflatten(map(zone, keys, rates, leaves, jax.tree.leaves(carry["cell"])))


def _rates(rate: float | Mapping[str, float], carry: Carry) -> list[float]:
    """The rate of every leaf."""
    names = list(named_leaves(carry))
    if not isinstance(rate, Mapping):
        return [rate] * len(names)
    for name in rate:
        if name not in names:
            raise ValueError(f"rate names {name!r}, and the leaves of the carry are {names}")
    return [rate.get(name, 0.0) for name in names]


def _dropping(
    rate: float, training: bool, mask_of: Callable[[Int[Array, ""]], Int[Array, ""]]
) -> Cell:
    """Dropout; `mask_of(step)` is the number of the mask that a time step sees."""
    _require_rate(rate, "of a zero")

    def init_carry(params, key):
        return {"key": key, "step": jnp.int32(0)}

    def step(params, carry, x):
        new = carry | {"step": carry["step"] + 1}
        if rate == 0 or not training:
            return new, x
        key = jax.random.fold_in(carry["key"], mask_of(carry["step"]))
        keep = draw_bernoulli(key, 1 - own(rate), x.shape)
        return new, jnp.where(keep, x / (1 - own(rate, x.dtype)), 0)

    return Cell(lambda key: (), init_carry, step)


def _require_rate(rate: float, of_what: str) -> None:
    if not 0 <= rate < 1:
        raise ValueError(
            f"rate is {rate!r}; give the probability {of_what}, from 0 up to but not 1"
        )
