"""Transcription of min_lstm, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 12), "b": (12,)}


def initial_carry(params):
    return np.zeros(4)


def step(params, h, x):
    w_f, w_i, w_n = (params["w_ih"][:, k : k + 4] for k in (0, 4, 8))
    b_f, b_i, b_n = (params["b"][k : k + 4] for k in (0, 4, 8))
    f, i = sigmoid(x @ w_f + b_f), sigmoid(x @ w_i + b_i)
    f, i = f / (f + i), i / (f + i)
    h = f * h + i * (x @ w_n + b_n)
    return h, h


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
