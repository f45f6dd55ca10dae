"""Transcription of mogrifier_lstm with 5 rounds, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {
    "q[0]": (4, 3),
    "q[1]": (4, 3),
    "q[2]": (4, 3),
    "r[0]": (3, 4),
    "r[1]": (3, 4),
    "lstm.w_ih": (3, 16),
    "lstm.w_hh": (4, 16),
    "lstm.b": (16,),
}


def initial_carry(params):
    return np.zeros(4), np.zeros(4)


def step(params, carry, x):
    h, c = carry
    x = 2 * sigmoid(h @ params["q[0]"]) * x
    h = 2 * sigmoid(x @ params["r[0]"]) * h
    x = 2 * sigmoid(h @ params["q[1]"]) * x
    h = 2 * sigmoid(x @ params["r[1]"]) * h
    x = 2 * sigmoid(h @ params["q[2]"]) * x
    z = x @ params["lstm.w_ih"] + h @ params["lstm.w_hh"] + params["lstm.b"]
    i, f, o = sigmoid(z[:4]), sigmoid(z[4:8]), sigmoid(z[8:12])
    c = f * c + i * np.tanh(z[12:])
    h = o * np.tanh(c)
    return (h, c), h


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
