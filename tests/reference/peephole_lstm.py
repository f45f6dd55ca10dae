"""Transcription of peephole_lstm, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 16), "w_hh": (4, 16), "b": (16,), "peep": (12,)}


def initial_carry(params):
    return np.zeros(4), np.zeros(4)


def step(params, carry, x):
    h, c = carry
    w_ii, w_if, w_io, w_ig = (params["w_ih"][:, k : k + 4] for k in (0, 4, 8, 12))
    w_hi, w_hf, w_ho, w_hg = (params["w_hh"][:, k : k + 4] for k in (0, 4, 8, 12))
    b_i, b_f, b_o, b_g = (params["b"][k : k + 4] for k in (0, 4, 8, 12))
    p_i, p_f, p_o = (params["peep"][k : k + 4] for k in (0, 4, 8))
    i = sigmoid(x @ w_ii + h @ w_hi + p_i * c + b_i)
    f = sigmoid(x @ w_if + h @ w_hf + p_f * c + b_f)
    g = np.tanh(x @ w_ig + h @ w_hg + b_g)
    new = f * c + i * g
    o = sigmoid(x @ w_io + h @ w_ho + p_o * new + b_o)
    h = o * np.tanh(new)
    return (h, new), h


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
