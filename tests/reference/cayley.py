"""Transcription of cayley, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 4), "skew": (4, 4), "b": (4,)}


def initial_carry(params):
    return np.zeros(4)


def step(params, h, x):
    a = params["skew"] - params["skew"].T
    w = np.linalg.inv(np.eye(4) + a) @ (np.eye(4) - a) @ np.diag([1, 1, -1, -1])
    z = x @ params["w_ih"] + h @ w
    h = z / np.abs(z) * np.maximum(np.abs(z) + params["b"], 0)
    return h, h
