"""Transcription of lru, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"nu": (4,), "theta": (4,), "gamma": (4,)}
PARAMETERS |= {"b_re": (3, 4), "b_im": (3, 4), "c_re": (4, 4), "c_im": (4, 4), "d": (3, 4)}


def initial_carry(params):
    return np.zeros(4, complex)


def step(params, h, x):
    eigenvalue = np.exp(-np.exp(params["nu"]) + 1j * np.exp(params["theta"]))
    b = params["b_re"] + 1j * params["b_im"]
    c = params["c_re"] + 1j * params["c_im"]
    h = eigenvalue * h + np.exp(params["gamma"]) * (x @ b)
    y = (h @ c).real + x @ params["d"]
    return h, y
