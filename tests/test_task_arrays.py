"""Tasks from a user's own arrays."""

import sys
from types import ModuleType, SimpleNamespace

import jax
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn.data.tasks import TASKS, arrays

COUNT, ROOM = 40, 7
RANDOM = np.random.default_rng(0)
LENGTHS = RANDOM.integers(1, ROOM + 1, COUNT)


def batch_of(task, length=ROOM):
    found = jax.jit(lambda key: task.batch(key, length, 64))(jax.random.key(0))
    return jax.tree.map(np.asarray, found)


def numbered():
    """Vectors that tell which sequence and which time step they are; NaN is padding."""
    inputs = np.stack(np.broadcast_arrays(np.arange(COUNT)[:, None], np.arange(ROOM)), -1)
    inside = np.arange(ROOM) < LENGTHS[:, None]
    return np.where(inside[..., None], inputs, np.nan)


def test_a_class_to_a_sequence_is_asked_for_at_its_end():
    labels = np.arange(COUNT) % 3
    task = arrays(numbered(), labels, LENGTHS)
    assert (task.reads, task.answers, task.metric) == (2, 3, "accuracy")
    inputs, (values, weights) = batch_of(task)
    which = inputs[0, :, 0].astype(int)
    tested = jax.jit(lambda key: task.test(key, ROOM, 9).inputs)(jax.random.key(0))
    assert which.max() < 0.8 * COUNT <= tested[0, :, 0].min()
    np.testing.assert_array_equal(weights.argmax(0), LENGTHS[which] - 1)
    np.testing.assert_array_equal(values[weights.argmax(0), range(64)], labels[which])
    behind = np.arange(ROOM)[:, None] >= LENGTHS[which]
    assert not inputs[behind].any()
    assert not weights[behind].any()


@pytest.mark.parametrize("length", mostly_full([3, ROOM + 4], 3))
def test_room_is_cut_and_padded(length):
    task = arrays(numbered(), np.arange(COUNT) % 3, LENGTHS)
    inputs, (_, weights) = batch_of(task, length)
    ends = np.minimum(LENGTHS[inputs[0, :, 0].astype(int)], length)
    np.testing.assert_array_equal(weights.argmax(0), ends - 1)
    np.testing.assert_allclose(weights.mean(0), 1, rtol=1e-6)


def test_numbers_at_every_time_step():
    targets = np.where(np.isnan(numbered()[..., 0]), np.nan, numbered().sum(-1))
    task = arrays(numbered(), targets, LENGTHS)
    assert (task.answers, task.metric) == (1, "mean squared error")
    inputs, (values, weights) = batch_of(task)
    np.testing.assert_array_equal(values[..., 0][weights > 0], inputs.sum(-1)[weights > 0])
    lengths = LENGTHS[inputs[0, :, 0].astype(int)]
    np.testing.assert_array_equal((weights > 0).sum(0), lengths)


def test_chance_is_the_best_constant_answer_of_training_on_what_is_tested():
    labels = np.where(np.arange(COUNT) < 30, 1, 0)  # 32 are trained on, 8 tested
    labels[32] = 1
    assert arrays(np.zeros((COUNT, ROOM)), labels).chance(ROOM) == pytest.approx(1 / 8)
    numbers = np.where(np.arange(COUNT) < 32, 2.0, 5.0)
    assert arrays(np.zeros((COUNT, ROOM)), numbers).chance(ROOM) == pytest.approx(9)


def test_a_file_is_its_arguments(tmp_path):
    np.savez(tmp_path / "data.npz", inputs=np.eye(20, dtype=int), targets=np.arange(20) % 2)
    task = arrays(**np.load(tmp_path / "data.npz"))
    assert (task.reads, task.answers, task.train_lengths) == (2, 2, (20, 20))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"inputs": np.zeros(9)}, r"inputs are float64\[9\]; give tokens \[N, T\]"),
        ({"targets": np.zeros(3)}, r"targets have shape \[3\]; give one entry to each of 9"),
        ({"lengths": np.full(9, 6)}, "lengths reach from 6 to 6; give 1 to 5"),
        ({"lengths": np.ones(9)}, r"lengths are float64\[9\]; give 9 whole numbers"),
        ({"inputs": np.full((9, 5), np.nan)}, "inputs holds numbers that are not finite"),
        ({"targets": np.full(9, -1)}, "targets holds -1; count tokens and classes from 0"),
        ({"targets": np.full(9, 2**40)}, "targets holds 1099511627776; count tokens"),
        ({"held_out": 0.01}, "held_out is 0.01, 0 of 9 sequences"),
        ({"held_out": float("nan")}, "held_out is nan, 0 of 9 sequences"),
        ({"targets": np.array([*"abcabcabc"])}, r"targets are <U1\[9\]; give integers or floats"),
        ({"targets": np.arange(9) > 4}, r"targets are bool\[9\]; .* a.astype\(int\)"),
        ({"inputs": np.zeros((9, 5)) + 1j}, r"inputs are complex128\[9, 5\]; give integers"),
        ({"inputs": np.zeros((9, 5, 0))}, r"inputs have shape \[9, 5, 0\]; give at least one"),
        ({"targets": np.zeros(9, int)}, "targets of the 2 held-out sequences are all what"),
        ({"targets": np.full(9, 0.1)}, "targets of the 2 held-out sequences are all what"),
    ],
)
def test_arrays_that_cannot_be_meant(given, problem):
    usual = {"inputs": np.zeros((9, 5)), "targets": np.arange(9) % 2}
    with pytest.raises(ValueError, match=problem):
        arrays(**usual | given)


def test_digits_say_what_they_need(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match="needs scikit-learn"):
        TASKS["digits"]()


def test_digits_are_pixels_one_by_one(monkeypatch):
    """By an image of the same form, where scikit-learn is not there."""
    data = np.tile(np.arange(64.0) / 4, (50, 1))
    module = ModuleType("sklearn.datasets")
    found = SimpleNamespace(data=data, target=np.arange(50) % 10)
    module.__dict__["load_digits"] = lambda: found
    monkeypatch.setitem(sys.modules, "sklearn", ModuleType("sklearn"))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", module)
    tasks = [TASKS[name]() for name in ("digits", "permuted_digits")]
    draw = jax.jit(lambda key: [task.batch(key, 64, 1).inputs[:, 0, 0] for task in tasks])
    plain, permuted = map(np.asarray, draw(jax.random.key(0)))
    np.testing.assert_allclose(plain, np.arange(64) / 64)
    assert (permuted != plain).any()
    np.testing.assert_allclose(np.sort(permuted), plain)
