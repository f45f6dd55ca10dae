"""Transcription of cfc, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 4), "w_hh": (4, 4), "b": (4,), "w_heads": (4, 12), "b_heads": (12,)}


def initial_carry(params):
    return np.zeros(4)


def step(params, h, x):
    inside = np.concatenate([x, h]) @ np.vstack([params["w_ih"], params["w_hh"]]) + params["b"]
    backbone = 1.7159 * np.tanh(0.666 * inside)
    f, g, k = np.split(backbone @ params["w_heads"] + params["b_heads"], 3)
    gate = 1 / (1 + np.exp(f * 1.0))
    h = gate * np.tanh(g) + (1 - gate) * np.tanh(k)
    return h, h
