"""Transcription of slstm, for input_size 3 and hidden_size 4: equations 8 to 14 of the paper.

The stabiliser is left out of them; it comes to the carry alone.
"""

import numpy as np

PARAMETERS = {"w_ih": (3, 16), "w_hh": (1, 4, 16), "b": (1, 16)}


def initial_carry(params):
    return (*(np.zeros((1, 4)) for _ in range(3)), np.full((1, 4), -1e4))


def step(params, carry, x):
    h, scaled_c, scaled_n, m = (leaf[0] for leaf in carry)
    c, n = scaled_c * np.exp(m), scaled_n * np.exp(m)

    def before(k):
        own = slice(4 * k, 4 * k + 4)
        return x @ params["w_ih"][:, own] + h @ params["w_hh"][0, :, own] + params["b"][0, own]

    for_z, for_i, for_f, for_o = (before(k) for k in range(4))
    z, i, f, o = np.tanh(for_z), np.exp(for_i), sigmoid(for_f), sigmoid(for_o)
    c = f * c + i * z
    n = f * n + i
    h = o * (c / n)
    m = np.maximum(np.log(f) + m, for_i)
    return tuple(leaf[None] for leaf in (h, c / np.exp(m), n / np.exp(m), m)), h


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
