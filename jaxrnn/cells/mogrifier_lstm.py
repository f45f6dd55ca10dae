"""Long short-term memory whose x and h gate each other before the step."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from jaxrnn.base import Cell
from jaxrnn.cells.lstm import LSTMParams, lstm
from jaxrnn.cells.weights import input_weights


class MogrifierLSTMParams(NamedTuple):
    """A `q` for every odd round, an `r` for every even one."""

    q: tuple[Float[Array, "H I"], ...]
    r: tuple[Float[Array, "I H"], ...]
    lstm: LSTMParams


def mogrifier_lstm(input_size: int, hidden_size: int, rounds: int = 5) -> Cell:
    """Mogrifier LSTM; x [I] to h [H].

        x <- 2 sigmoid(h Q_1) * x
        h <- 2 sigmoid(x R_2) * h
        x <- 2 sigmoid(h Q_3) * x, and so on for all rounds
        h', c' = lstm((h, c), x)

    The carry is that of `lstm`, (h [H], c [H]), zero at first; the output is h'. No round at all is
    the plain LSTM.

    Reference: Melis et al. (2020), https://arxiv.org/abs/1909.01792, with Q and R of full rank.
    """
    if not isinstance(rounds, int) or rounds < 0:
        raise ValueError(f"rounds is {rounds!r}; give a whole number of at least 0")
    inner = lstm(input_size, hidden_size)

    def init(key):
        key_lstm, *keys = jax.random.split(key, 1 + rounds)
        return MogrifierLSTMParams(
            q=tuple(input_weights(k, hidden_size, input_size) for k in keys[::2]),
            r=tuple(input_weights(k, input_size, hidden_size) for k in keys[1::2]),
            lstm=inner.init(key_lstm),
        )

    def init_carry(params, key):
        return inner.init_carry(params.lstm, key)

    def step(params, carry, x):
        h = carry.h
        for number in range(rounds):
            if number % 2 == 0:
                x = 2 * jax.nn.sigmoid(h @ params.q[number // 2]) * x
            else:
                h = 2 * jax.nn.sigmoid(x @ params.r[number // 2]) * h
        return inner.step(params.lstm, carry._replace(h=h), x)

    return Cell(init, init_carry, step)
