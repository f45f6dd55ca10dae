"""Transcription of delta_net, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 12), "w_beta": (3, 1)}


def initial_carry(params):
    return np.zeros((1, 4, 4))


def step(params, s, x):
    q, k, v = (silu(x @ w) for w in np.split(params["w_ih"], 3, axis=1))
    q, k = (a / np.sqrt(a @ a + 1e-6) for a in (q, k))
    beta = 1 / (1 + np.exp(-(x @ params["w_beta"])))[0]
    s = s[0] @ (np.eye(4) - beta * np.outer(k, k)) + beta * np.outer(v, k)
    return s[None], s @ q


def silu(a):
    return a / (1 + np.exp(-a))
