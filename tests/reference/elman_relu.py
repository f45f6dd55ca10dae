"""Transcription of elman_relu, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"w_ih": (3, 4), "w_hh": (4, 4), "b": (4,)}


def initial_carry(params):
    return np.zeros(4)


def step(params, h, x):
    z = x @ params["w_ih"] + h @ params["w_hh"] + params["b"]
    h = np.where(z > 0, z, 0)
    return h, h
