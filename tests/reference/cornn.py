"""Transcription of cornn, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 4), "w_hh": (4, 4), "w_zh": (4, 4), "b": (4,)}
DT, GAMMA, EPSILON = 0.5, 1.0, 1.0


def initial_carry(params):
    return np.zeros(4), np.zeros(4)


def step(params, carry, x):
    y, z = carry
    weights = np.vstack([params["w_hh"], params["w_zh"], params["w_ih"]])
    sigma = np.tanh(np.concatenate([y, z, x]) @ weights + params["b"])
    z_new = z + DT * sigma - DT * GAMMA * y - DT * EPSILON * z
    y_new = y + DT * z_new
    return (y_new, z_new), y_new
