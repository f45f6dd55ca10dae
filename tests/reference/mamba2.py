"""Transcription of mamba2, for input_size 3, hidden_size 4 and state_size 16."""

import numpy as np

PARAMETERS = {"w_ih": (3, 36), "w_delta": (3, 1), "b_delta": (1,), "a_log": (1,), "d": (1,)}


def initial_carry(params):
    return np.zeros((1, 4, 16))


def step(params, h, x):
    u, b, c = np.split(x @ params["w_ih"], [4, 20])
    delta = np.log(1 + np.exp(x @ params["w_delta"] + params["b_delta"]))[0]
    decay = np.exp(delta * -np.exp(params["a_log"][0]))
    h, y = np.array(h), np.zeros(4)
    for p in range(4):
        for s in range(16):
            h[0, p, s] = decay * h[0, p, s] + delta * b[s] * u[p]
            y[p] += c[s] * h[0, p, s]
        y[p] += params["d"][0] * u[p]
    return h, y
