"""One long sequence as parallel streams, and the streams as segments, one to a training step."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Int32, Integer

from jaxrnn.base import Batch, PyTree, require_positive


class Streams(NamedTuple):
    """What a cell reads and what it should answer, in parallel and time first.

    Attributes:
      inputs: leaves [L, B, ...].
      targets: leaves [L, B, ...], a target for every input.
    """

    inputs: PyTree
    targets: PyTree


def streams(
    tokens: Integer[Array | np.ndarray, " N"], batch_size: int
) -> Int32[Array | np.ndarray, "L B"]:
    """Cuts [N] into B = batch_size contiguous stretches, the columns of [L, B] with L = N // B.

    The last N - L B tokens are dropped.

    Raises:
      ValueError: a batch size below 1, or above N.
    """
    require_positive(batch_size=batch_size)
    length = len(tokens) // batch_size
    if length < 1:
        raise ValueError(
            f"batch_size is {batch_size}, the text has {len(tokens)} tokens; "
            "give a smaller batch_size or a longer text"
        )
    return tokens[: length * batch_size].reshape(batch_size, length).T.astype(np.int32)


def text_streams(tokens: Integer[Array | np.ndarray, " N"], batch_size: int) -> Streams:
    """Streams whose targets are the next token of the same column, [N // B - 1, B] each.

    As TensorFlow's `ptb_iterator` has them: a column's last token is a target and never an input.

    Raises:
      ValueError: a batch size below 1, or fewer than two tokens to a column.
    """
    columns = streams(tokens, batch_size)
    if len(columns) < 2:
        raise ValueError(
            f"batch_size is {batch_size}, the text has {len(tokens)} tokens, and an input with its "
            f"target needs {2 * batch_size}; give a smaller batch_size or a longer text"
        )
    return Streams(columns[:-1], columns[1:])


def num_segments(streams: Streams, num_steps: int, history: int = 0) -> int:
    """How many segments of T = num_steps scored steps, after K = history steps, the streams hold.

    Segment i covers the inputs [i T, i T + K + T) and the targets [i T + K, i T + K + T); rows that
    fill no segment are left over.

    Raises:
      ValueError: sizes out of range, leaves that disagree on L or B, or streams shorter than a
        segment.
    """
    require_positive(num_steps=num_steps)
    if history < 0:
        raise ValueError(f"history is {history!r}; give a whole number of at least 0")
    shapes = {leaf.shape[:2] for leaf in jax.tree.leaves(streams)}
    if len(shapes) != 1 or any(len(shape) < 2 for shape in shapes):
        raise ValueError(f"streams has leaves with axes {sorted(shapes)}; give all the same [L, B]")
    length, batch_size = shapes.pop()
    if length < history + num_steps:
        raise ValueError(
            f"num_steps is {num_steps} with history {history}: batch_size {batch_size} then needs "
            f"{(history + num_steps) * batch_size} tokens, the streams have {length * batch_size}; "
            "give a smaller num_steps or batch_size, or a longer text"
        )
    return (length - history) // num_steps


def segment(
    streams: Streams, index: Integer[ArrayLike, ""], num_steps: int, history: int = 0
) -> Batch:
    """Segment `index` of the streams: inputs [K + T, B, ...] and targets [T, B, ...].

    Pure, and `index` may be traced. It must lie in [0, num_segments): past the end a slice would
    silently be the last rows.

    Raises:
      ValueError: as `num_segments`.
    """
    num_segments(streams, num_steps, history)  # for its checks
    start = index * num_steps
    inputs = partial(lax.dynamic_slice_in_dim, start_index=start, slice_size=history + num_steps)
    targets = partial(lax.dynamic_slice_in_dim, start_index=start + history, slice_size=num_steps)
    return Batch(jax.tree.map(inputs, streams.inputs), jax.tree.map(targets, streams.targets))
