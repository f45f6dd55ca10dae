"""Transcription of layer_norm_lstm, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {
    "w_ih": (3, 16),
    "w_hh": (4, 16),
    "scale": (16,),
    "shift": (16,),
    "scale_c": (4,),
    "shift_c": (4,),
}


def initial_carry(params):
    return np.zeros(4), np.zeros(4)


def step(params, carry, x):
    h, c = carry

    def gate(k):
        own = slice(4 * k, 4 * k + 4)
        z = x @ params["w_ih"][:, own] + h @ params["w_hh"][:, own]
        return layer_norm(z, params["scale"][own], params["shift"][own])

    i, f, o, g = (gate(k) for k in range(4))
    c = c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(g)
    h = np.tanh(layer_norm(c, params["scale_c"], params["shift_c"])) * sigmoid(o)
    return (h, c), h


def layer_norm(z, scale, shift):
    mean = np.sum(z) / 4
    variance = np.sum((z - mean) ** 2) / 4
    return scale * (z - mean) / np.sqrt(variance + 1e-5) + shift


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
