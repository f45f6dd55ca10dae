"""Handwritten digits, 8 x 8 pixels one after the other, in their order or permuted."""

import importlib

import numpy as np

from jaxrnn.data.tasks.arrays import arrays
from jaxrnn.data.tasks.task import Task
from jaxrnn.starting import installing


def digits() -> Task:
    """1,797 digits that ship with scikit-learn (the extra `digits`),
    row by row; which one it was is asked for behind the last pixel. The last fifth, by other
    writers in part, is for testing. Figures for 28 x 28 pixels do not carry over.

    Raises:
      ValueError: scikit-learn is not there.
    """
    return _task(np.arange(64))


def permuted_digits() -> Task:
    """The same with the pixels in one drawn order, so that what belongs together is far apart."""
    return _task(np.random.default_rng(0).permutation(64))


def _task(order: np.ndarray) -> Task:
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise ValueError(
            f"task digits needs scikit-learn, which is not there; {installing('digits')}"
        ) from error
    found = datasets.load_digits()
    pixels = np.asarray(found.data, np.float32)[:, order, None] / 16
    return arrays(pixels, np.asarray(found.target))
