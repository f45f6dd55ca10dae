"""Transcription of rwkv7, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {
    "mix": (6, 3),
    "w_ih": (3, 12),
    "w_down": (3, 3, 16),
    "w_up": (3, 16, 4),
    "b_d": (4,),
    "b_a": (4,),
    "removed": (4,),
    "replaced": (4,),
    "bonus": (4,),
    "scale": (4,),
    "shift": (4,),
    "w_out": (4, 4),
}


def initial_carry(params):
    return np.zeros(3), np.zeros((1, 4, 4))


def step(params, carry, x):
    before, s = carry[0], carry[1][0]
    r, k, v, d, a, g = ((1 - mix) * x + mix * before for mix in params["mix"])
    w_r, w_k, w_v = np.split(params["w_ih"], 3, axis=1)
    down, up = params["w_down"], params["w_up"]
    r, k, v = r @ w_r, k @ w_k, v @ w_v
    d = np.tanh(d @ down[0]) @ up[0] + params["b_d"]
    w = np.exp(-np.exp(-0.5) * sigmoid(d))
    a = sigmoid(a @ down[1] @ up[1] + params["b_a"])
    g = sigmoid(g @ down[2]) @ up[2]
    kappa = k * params["removed"]
    kappa = kappa / np.sqrt(kappa @ kappa + 1e-6)
    key = k * (1 - params["replaced"]) + k * a * params["replaced"]
    s = s @ (np.diag(w) - np.outer(kappa, a * kappa)) + np.outer(v, key)
    read = s @ r
    read = (read - read.mean()) / np.sqrt(read.var() + 64e-5) * params["scale"] + params["shift"]
    p = read + np.sum(r * params["bonus"] * key) * v
    return (x, s[None]), (g * p) @ params["w_out"]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
