"""Transcription of gru_reset_before, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 12), "w_hh": (4, 12), "b": (12,)}


def initial_carry(params):
    return np.zeros(4)


def step(params, h, x):
    w_ir, w_iz, w_in = (params["w_ih"][:, k : k + 4] for k in (0, 4, 8))
    w_hr, w_hz, w_hn = (params["w_hh"][:, k : k + 4] for k in (0, 4, 8))
    b_r, b_z, b_n = (params["b"][k : k + 4] for k in (0, 4, 8))
    r = sigmoid(x @ w_ir + h @ w_hr + b_r)
    z = sigmoid(x @ w_iz + h @ w_hz + b_z)
    n = np.tanh(x @ w_in + (r * h) @ w_hn + b_n)
    h = z * h + (1 - z) * n
    return h, h


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
