"""Transcription of mixture_gru with 5 matrices, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {
    "w_ih": (3, 8),
    "w_hh": (4, 8),
    "b": (8,),
    "w_mix": (3, 20),
    "w_weigh": (3, 5),
    "u_weigh": (4, 5),
    "b_weigh": (5,),
    "w_candidate": (4, 4),
    "b_candidate": (4,),
}


def initial_carry(params):
    return np.zeros(4)


def step(params, h, x):
    w_ir, w_iu = params["w_ih"][:, :4], params["w_ih"][:, 4:]
    w_hr, w_hu = params["w_hh"][:, :4], params["w_hh"][:, 4:]
    r = sigmoid(x @ w_ir + h @ w_hr + params["b"][:4])
    u = sigmoid(x @ w_iu + h @ w_hu + params["b"][4:])
    weights = np.exp(x @ params["w_weigh"] + h @ params["u_weigh"] + params["b_weigh"])
    weights = weights / weights.sum()
    w = sum(weights[m] * params["w_mix"][:, 4 * m : 4 * m + 4] for m in range(5))
    c = np.tanh(x @ w + (r * h) @ params["w_candidate"] + params["b_candidate"])
    h = u * h + (1 - u) * c
    return h, h


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
