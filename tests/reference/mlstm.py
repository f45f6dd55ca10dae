"""Transcription of mlstm, for input_size 3 and hidden_size 4: the paper's equations.

The stabiliser is left out of them; it comes to the carry alone.
"""

import numpy as np

PARAMETERS = {"w_ih": (3, 16), "b": (16,), "w_gates": (3, 2), "b_gates": (2,)}


def initial_carry(params):
    return np.zeros((1, 4, 4)), np.zeros((1, 4)), np.zeros(1)


def step(params, carry, x):
    scaled_c, scaled_n, m = (leaf[0] for leaf in carry)
    c, n = scaled_c * np.exp(m), scaled_n * np.exp(m)
    (w_q, w_k, w_v, w_o), (b_q, b_k, b_v, b_o) = (
        np.split(params[name], 4, axis=-1) for name in ("w_ih", "b")
    )
    q = x @ w_q + b_q
    k = 1 / np.sqrt(4) * (x @ w_k) + b_k
    v = x @ w_v + b_v
    for_i, for_f = x @ params["w_gates"] + params["b_gates"]
    i, f = np.exp(for_i), sigmoid(for_f)
    c = f * c + i * (v[:, None] * k[None, :])
    n = f * n + i * k
    h = sigmoid(x @ w_o + b_o) * (c @ q / max(abs(n @ q), 1))
    m = max(np.log(f) + m, for_i)
    return ((c / np.exp(m))[None], (n / np.exp(m))[None], np.array([m])), h


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
