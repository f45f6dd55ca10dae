"""Streams and segments: nothing is lost, doubled or out of place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from tiers import mostly_full

from jaxrnn.data import Streams, num_segments, segment, streams, text_streams

# Shapes are static: every new one compiles, so there are few.
few = settings(max_examples=15)


@pytest.mark.parametrize("arrays", mostly_full([np, jnp], np))
@given(st.integers(1, 60), st.data())
@few
def test_columns_are_the_text_in_order(arrays, n, data):
    batch_size = data.draw(st.integers(1, n))
    tokens = arrays.arange(n)
    columns = streams(tokens, batch_size)
    length = n // batch_size
    assert columns.shape == (length, batch_size)
    assert columns.dtype == np.int32
    assert type(columns) is type(tokens)
    np.testing.assert_array_equal(columns.T.reshape(-1), np.arange(length * batch_size))


@given(st.integers(2, 60), st.data())
@few
def test_text_targets_are_the_next_token(n, data):
    batch_size = data.draw(st.integers(1, n // 2))
    inputs, targets = text_streams(np.arange(n), batch_size)
    assert inputs.shape == targets.shape == (n // batch_size - 1, batch_size)
    np.testing.assert_array_equal(targets, inputs + 1)


@given(
    length=st.integers(1, 30),
    num_steps=st.integers(1, 8),
    history=st.integers(0, 8),
    data=st.data(),
)
@few
def test_segments_tile_the_streams(length, num_steps, history, data):
    tokens = np.arange(2 * (history + num_steps + length))
    text = text_streams(tokens, 2)
    count = num_segments(text, num_steps, history)
    batches = [segment(text, i, num_steps, history) for i in range(count)]

    scored = np.concatenate([batch.targets for batch in batches])
    np.testing.assert_array_equal(scored, text.targets[history : history + count * num_steps])
    assert len(text.targets) - history - len(scored) < num_steps  # no further segment would fit
    for i, batch in enumerate(batches):
        first = i * num_steps
        np.testing.assert_array_equal(
            batch.inputs, text.inputs[first : first + history + num_steps]
        )
        np.testing.assert_array_equal(batch.inputs[history:] + 1, batch.targets)


@pytest.mark.parametrize("history", [0, 3])
def test_scan_and_vmap_over_the_index(history):
    inputs = {
        "tokens": jnp.arange(40).reshape(20, 2),
        "features": jnp.arange(120.0).reshape(20, 2, 3),
    }
    data = Streams(inputs, jnp.arange(40).reshape(20, 2))
    count = num_segments(data, 4, history)
    one_by_one = jax.tree.map(
        lambda *leaves: np.stack(leaves), *(segment(data, i, 4, history) for i in range(count))
    )

    def body(index, _):
        return index + 1, segment(data, index, 4, history)

    _, scanned = jax.jit(lambda: lax.scan(body, 0, length=count))()
    mapped = jax.vmap(lambda index: segment(data, index, 4, history))(jnp.arange(count))
    for batches in (scanned, mapped):
        assert jax.tree.structure(batches) == jax.tree.structure(one_by_one)
        jax.tree.map(np.testing.assert_array_equal, batches, one_by_one)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda tokens: streams(tokens, 0), "batch_size is 0; give"),
        (lambda tokens: streams(tokens, 11), "batch_size is 11, the text has 10 tokens; give"),
        (lambda tokens: text_streams(tokens, 6), "needs 12; give"),
        (lambda tokens: num_segments(text_streams(tokens, 2), 0), "num_steps is 0; give"),
        (lambda tokens: num_segments(text_streams(tokens, 2), 1, -1), "history is -1; give"),
        (
            lambda tokens: num_segments(text_streams(tokens, 2), 4, 1),
            "batch_size 2 then needs 10 tokens, the streams have 8; give",
        ),
        (lambda tokens: segment(text_streams(tokens, 2), 0, 5), "num_steps is 5 with history 0"),
        (
            lambda tokens: num_segments(Streams(streams(tokens, 2), streams(tokens, 5)), 1),
            r"axes \[\(2, 5\), \(5, 2\)\]; give",
        ),
        (lambda tokens: num_segments(Streams(tokens, tokens), 1), r"axes \[\(10,\)\]; give"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(call, problem):
    with pytest.raises(ValueError, match=problem) as raised:
        call(np.arange(10))
    assert "\n" not in str(raised.value)
