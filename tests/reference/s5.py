"""Transcription of s5, for input_size 3 and hidden_size 4."""

import numpy as np

PARAMETERS = {"lambda_re": (4,), "lambda_im": (4,), "log_step": (4,)}
PARAMETERS |= {"b_re": (3, 4), "b_im": (3, 4), "c_re": (4, 4), "c_im": (4, 4), "d": (3, 4)}


def initial_carry(params):
    return np.zeros(4, complex)


def step(params, s, x):
    eigenvalue = np.minimum(params["lambda_re"], -1e-4) + 1j * params["lambda_im"]
    bar = np.exp(eigenvalue * np.exp(params["log_step"]))
    b_bar = (params["b_re"] + 1j * params["b_im"]) * ((bar - 1) / eigenvalue)
    s = bar * s + x @ b_bar
    c = params["c_re"] + 1j * params["c_im"]
    # with the conjugates that are not kept
    y = (s @ c + s.conj() @ c.conj()).real + x @ params["d"]
    return s, y
