"""Transcription of rtu, for input_size 3 and hidden_size 4, in complex numbers."""

import numpy as np

PARAMETERS = {"nu": (4,), "theta": (4,), "w_ih": (3, 8), "w_out": (8, 4)}


def initial_carry(params):
    return np.zeros(4), np.zeros(4)


def step(params, carry, x):
    r = np.exp(-np.exp(params["nu"]))
    eigenvalue = r * np.exp(1j * np.exp(params["theta"]))
    w = params["w_ih"][:, :4] + 1j * params["w_ih"][:, 4:]
    h = eigenvalue * (carry[0] + 1j * carry[1]) + np.sqrt(1 - r**2) * (x @ w)
    seen = np.maximum(np.concatenate([h.real, h.imag]), 0)
    return (h.real, h.imag), seen @ params["w_out"]
