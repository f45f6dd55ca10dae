"""Transcription of lem, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 16), "w_hh": (4, 12), "w_zh": (4, 4), "b": (16,)}


def initial_carry(params):
    return np.zeros(4), np.zeros(4)


def step(params, carry, x):
    y, z = carry

    def from_x(k):
        own = slice(4 * k, 4 * k + 4)
        return x @ params["w_ih"][:, own] + params["b"][own]

    w_1, w_2, w_z = (params["w_hh"][:, 4 * k : 4 * k + 4] for k in range(3))
    dt_1 = sigmoid(y @ w_1 + from_x(0))
    dt_2 = sigmoid(y @ w_2 + from_x(1))
    z = z - dt_1 * z + dt_1 * np.tanh(y @ w_z + from_x(2))
    y = y - dt_2 * y + dt_2 * np.tanh(z @ params["w_zh"] + from_x(3))
    return (y, z), y


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
