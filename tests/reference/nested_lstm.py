"""Transcription of nested_lstm of depth 2, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {
    "[0].w_ih": (3, 16),
    "[0].w_hh": (4, 16),
    "[0].b": (16,),
    "[1].w_ih": (4, 16),
    "[1].w_hh": (4, 16),
    "[1].b": (16,),
}


def initial_carry(params):
    return np.zeros(4), np.zeros(4), np.zeros(4)


def step(params, carry, x):
    h, outer, inner = carry
    i, f, o, g = gates(params, "[0]", x, h)
    inner_x, inner_h = i * g, f * outer
    inner_i, inner_f, inner_o, inner_g = gates(params, "[1]", inner_x, inner_h)
    inner = inner_f * inner + inner_i * inner_g
    outer = inner_o * np.tanh(inner)
    h = o * np.tanh(outer)
    return (h, outer, inner), h


def gates(params, level, x, h):
    z = x @ params[f"{level}.w_ih"] + h @ params[f"{level}.w_hh"] + params[f"{level}.b"]
    return sigmoid(z[:4]), sigmoid(z[4:8]), sigmoid(z[8:12]), np.tanh(z[12:])


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
