"""Arrays as text for a page: quantised to bytes where a colour is made of them, in base64."""

import base64
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def packed(values: ArrayLike, kind: str) -> str:
    """Numbers of a little-endian numpy `kind`, such as "<f4", in base64."""
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode("ascii")


def packed_rows(values: np.ndarray) -> dict[str, Any]:
    """Rows [P, L] of numbers from 0 on, each beside its largest: the byte b stands for
    (b / 255)^2 of that, so that what is 1/65,000 of it is still not nothing."""
    # what has grown beyond all numbers is as much as there is, beside which the rest is nothing
    values = np.nan_to_num(values)
    largest = values.max(axis=1, initial=0)
    share = values / np.where(largest > 0, largest, 1)[:, None]
    return {
        "bytes": packed(np.round(255 * np.sqrt(share)), "u1"),
        "largest": packed(largest, "<f4"),
    }


def packed_units(values: np.ndarray) -> dict[str, Any]:
    """Values [N, U], unit by unit: the byte b stands for low + b / 255 (high - low) of its unit."""
    low, high = values.min(axis=0), values.max(axis=0)
    share = (values - low) / np.where(high > low, high - low, 1)
    return {
        "bytes": packed(np.round(255 * share).T, "u1"),
        "low": packed(low, "<f4"),
        "high": packed(high, "<f4"),
    }
