"""Transcription of rg_lru, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 4), "w_gates": (1, 4, 8), "b": (1, 8), "decay": (4,)}


def initial_carry(params):
    return np.zeros(4)


def step(params, h, x):
    u = x @ params["w_ih"]
    w_a, w_x = params["w_gates"][0, :, :4], params["w_gates"][0, :, 4:]
    r = sigmoid(u @ w_a + params["b"][0, :4])
    i = sigmoid(u @ w_x + params["b"][0, 4:])
    a = sigmoid(params["decay"]) ** (8 * r)
    h = a * h + np.sqrt(1 - a**2) * (i * u)
    return h, h


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
