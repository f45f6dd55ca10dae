"""Transcription of feed_forward, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (12, 4), "b": (4,)}


def initial_carry(params):
    return np.zeros((3, 3))


def step(params, before, x):
    h = params["b"].copy()
    for place, seen in enumerate([*before, x]):
        for i in range(3):
            h = h + seen[i] * params["w_ih"][3 * place + i]
    return np.array([before[1], before[2], x]), np.tanh(h)
