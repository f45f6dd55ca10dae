"""Transcription of lstm, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 16), "w_hh": (4, 16), "b": (16,)}


def initial_carry(params):
    return np.zeros(4), np.zeros(4)


def step(params, carry, x):
    h, c = carry
    w_ii, w_if, w_io, w_ig = (params["w_ih"][:, gate : gate + 4] for gate in (0, 4, 8, 12))
    w_hi, w_hf, w_ho, w_hg = (params["w_hh"][:, gate : gate + 4] for gate in (0, 4, 8, 12))
    b_i, b_f, b_o, b_g = (params["b"][gate : gate + 4] for gate in (0, 4, 8, 12))
    i = sigmoid(x @ w_ii + h @ w_hi + b_i)
    f = sigmoid(x @ w_if + h @ w_hf + b_f)
    o = sigmoid(x @ w_io + h @ w_ho + b_o)
    g = np.tanh(x @ w_ig + h @ w_hg + b_g)
    c = f * c + i * g
    h = o * np.tanh(c)
    return (h, c), h


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
