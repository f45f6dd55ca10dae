"""Transcription of multiplicative_lstm, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_im": (3, 4), "w_hm": (4, 4), "w_ih": (3, 16), "w_mh": (4, 16), "b": (16,)}


def initial_carry(params):
    return np.zeros(4), np.zeros(4)


def step(params, carry, x):
    h, c = carry
    m = (x @ params["w_im"]) * (h @ params["w_hm"])
    w_ii, w_if, w_io, w_ig = (params["w_ih"][:, k : k + 4] for k in (0, 4, 8, 12))
    w_mi, w_mf, w_mo, w_mg = (params["w_mh"][:, k : k + 4] for k in (0, 4, 8, 12))
    b_i, b_f, b_o, b_g = (params["b"][k : k + 4] for k in (0, 4, 8, 12))
    i = sigmoid(x @ w_ii + m @ w_mi + b_i)
    f = sigmoid(x @ w_if + m @ w_mf + b_f)
    o = sigmoid(x @ w_io + m @ w_mo + b_o)
    g = x @ w_ig + m @ w_mg + b_g
    c = f * c + i * np.tanh(g)
    h = np.tanh(c) * o
    return (h, c), h


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
