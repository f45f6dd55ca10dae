"""Transcription of gru, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 12), "w_hh": (4, 12), "b": (12,), "b_hn": (4,)}


def initial_carry(params):
    return np.zeros(4)


def step(params, h, x):
    w_ir, w_iz, w_in = params["w_ih"][:, :4], params["w_ih"][:, 4:8], params["w_ih"][:, 8:]
    w_hr, w_hz, w_hn = params["w_hh"][:, :4], params["w_hh"][:, 4:8], params["w_hh"][:, 8:]
    b_r, b_z, b_n = params["b"][:4], params["b"][4:8], params["b"][8:]
    r = sigmoid(x @ w_ir + h @ w_hr + b_r)
    z = sigmoid(x @ w_iz + h @ w_hz + b_z)
    n = np.tanh(x @ w_in + b_n + r * (h @ w_hn + params["b_hn"]))
    h = (1 - z) * n + z * h
    return h, h


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
