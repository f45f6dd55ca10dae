"""Laws that hold for every task of the registry, on batches and on padded ones."""

import importlib.util
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn.data.tasks import NEEDS, TASKS
from jaxrnn.data.tasks.brackets import modular_brackets
from jaxrnn.data.tasks.copying import memoryless_loss
from jaxrnn.data.tasks.modular_arithmetic import modular_arithmetic
from jaxrnn.data.tasks.parity import parity
from jaxrnn.data.tasks.word_problem import elements
from tests.task_solvers import SOLVERS, check_answers

SEQUENCES, LOOKED_AT = 1024, 24
HERE = [name for name in TASKS if importlib.util.find_spec(NEEDS.get(name, "jax"))]
DRAWN = [name for name in TASKS if name not in NEEDS]


@cache
def task_of(name):
    return TASKS[name]()


def length_of(name):
    """None that the task is trained or tested at."""
    return task_of(name).shortest + 14


@cache
def draw_of(name):
    """Sequences of every length up to one, compiled once for all laws."""
    task = task_of(name)
    return jax.jit(lambda key: task.padded(key, (task.shortest, length_of(name)), SEQUENCES))


def key_of(seed):
    """Of the kind whose draws compile in half the time of the usual ones."""
    return jax.random.key(seed, impl="unsafe_rbg")


@cache
def drawn(name, seed=0):
    return jax.tree.map(np.asarray, draw_of(name)(key_of(seed)))


def test_every_drawn_task_has_a_solver():
    assert SOLVERS.keys() == set(DRAWN)


def shapes_and_types(name):
    task, length = task_of(name), length_of(name)
    assert length not in (*task.train_lengths, *task.test_lengths)
    inputs, (values, weights) = drawn(name)
    assert inputs.shape[:2] == values.shape[:2] == weights.shape == (length, SEQUENCES)
    assert weights.dtype == np.float32
    if inputs.ndim == 2:
        assert inputs.dtype == np.int32
        assert 0 <= inputs.min() <= inputs.max() < task.reads
    else:
        assert (inputs.dtype, inputs.shape[2]) == (np.float32, task.reads)
    if task.classifies:
        assert values.dtype == np.int32
        scored = values[weights > 0]
        assert 0 <= scored.min() <= scored.max() < task.answers
    else:
        assert (values.dtype, values.shape[2]) == (np.float32, task.answers)


def every_sequence_counts_alike(name):
    """The mean over all time steps is the mean over sequences of the mean over scored places."""
    weights = drawn(name).targets.weights
    np.testing.assert_allclose(weights.mean(0), 1, rtol=1e-5)
    assert all(len(np.unique(row[row > 0])) == 1 for row in weights.T[:LOOKED_AT])


def a_key_says_all(name):
    again, other = (jax.tree.map(np.asarray, draw_of(name)(key_of(seed))) for seed in (0, 1))
    jax.tree.map(np.testing.assert_array_equal, drawn(name), again)
    assert (drawn(name).inputs != other.inputs).any()


def answers_are_right_wherever_the_past_tells_them(name):
    inputs, (values, weights) = drawn(name)
    for b in range(LOOKED_AT):
        # what stands behind the last scored place is padding, or tells nothing more
        size = int(np.flatnonzero(weights[:, b])[-1]) + 1
        check_answers(SOLVERS[name], inputs[:size, b], values[:size, b], weights[:size, b] > 0)


def lengths_are_drawn_and_padding_is_zeros(name):
    task, length = task_of(name), length_of(name)
    inputs, (_, weights) = drawn(name)
    ends = length - (weights[::-1] > 0).argmax(0)
    assert ends.min() <= task.shortest + 1  # a place of a pair may be behind the last scored one
    assert ends.max() >= length - 1
    assert len(np.unique(ends)) >= 7
    shortest = inputs[:, ends <= task.shortest]
    assert not shortest[task.shortest + 1 :].any()


def chance_is_what_the_best_constant_answer_gets(name):
    task, length = task_of(name), length_of(name)
    expected = np.mean([task.chance(size) for size in range(task.shortest, length + 1)])
    _, (values, weights) = drawn(name)
    if task.classifies:
        counts = np.bincount(values.ravel(), weights.ravel(), minlength=task.answers)
        room = 5 * 0.5 / np.sqrt(SEQUENCES)
        assert counts.max() / weights.sum() == pytest.approx(expected, abs=room)
    else:
        mean = (values * weights[..., None]).mean((0, 1))
        found = (((values - mean) ** 2).mean(-1) * weights).mean()
        assert found == pytest.approx(expected, rel=0.1)


def lengths_that_a_task_lacks_are_refused(name):
    task = task_of(name)
    with pytest.raises(ValueError, match="length is 0"):
        task.batch(jax.random.key(0), 0, 2)
    if task.shortest > 1:
        few = task.shortest - 1
        with pytest.raises(ValueError, match=f"length is {few}; give at least {task.shortest}"):
            task.batch(jax.random.key(0), few, 2)
    low, high = task.train_lengths
    assert task.shortest <= low <= high == task.test_lengths[0]
    assert list(task.test_lengths) == sorted(set(task.test_lengths))


LAWS = [
    shapes_and_types,
    every_sequence_counts_alike,
    a_key_says_all,
    chance_is_what_the_best_constant_answer_gets,
    lengths_that_a_task_lacks_are_refused,
]
OF_DRAWN = [answers_are_right_wherever_the_past_tells_them, lengths_are_drawn_and_padding_is_zeros]


# Of those that draw as one of these does, the program of the draw alone takes seconds to compile.
KINDS = ("adding", "modular_arithmetic", "induction", "lag")


@pytest.mark.parametrize("name", HERE)
def test_what_a_draw_looks_like(name):
    """Of all, traced alone."""
    if name in NEEDS:  # arrays that are read
        pytest.skip("test_laws reads them")
    task, length = task_of(name), length_of(name)
    inputs, (values, weights) = jax.eval_shape(draw_of(name), key_of(0))
    assert inputs.shape[:2] == values.shape[:2] == weights.shape == (length, SEQUENCES)
    assert inputs.shape[2:] == (() if inputs.dtype == np.int32 else (task.reads,))
    assert values.shape[2:] == (() if task.classifies else (task.answers,))
    assert values.dtype == (np.int32 if task.classifies else np.float32)
    lengths_that_a_task_lacks_are_refused(name)


@pytest.mark.parametrize("name", mostly_full(HERE, *KINDS, *(n for n in HERE if n in NEEDS)))
def test_laws(name, subtests):
    """In one test, as they share what is drawn."""
    for law in LAWS + OF_DRAWN if name in DRAWN else LAWS:
        with subtests.test(law.__name__):
            law(name)


@pytest.mark.full
@pytest.mark.parametrize("name", HERE)
def test_sequences_of_one_length_and_vmap_over_keys(name):
    task, length = task_of(name), length_of(name)
    keys = jax.random.split(jax.random.key(0), 2)
    draw = jax.jit(lambda key: task.batch(key, length, 3))
    each = [draw(key) for key in keys]
    together = jax.jit(jax.vmap(lambda key: task.test(key, length, 3)))(keys)
    if name not in NEEDS:
        stacked = jax.tree.map(lambda *some: np.stack(some), *each)
        close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
        jax.tree.map(close, together, stacked)
    assert (np.asarray(each[0].targets.weights)[-2:] > 0).any()


@pytest.mark.parametrize("make", mostly_full([parity, modular_arithmetic], parity))
def test_the_last_place_alone_is_scored_where_that_is_asked_for(make):
    tasks = [make(every=each) for each in (True, False)]
    key = jax.random.key(0)
    every, last = jax.jit(lambda key: [task.padded(key, (1, 12), 16) for task in tasks])(key)
    np.testing.assert_array_equal(every.inputs, last.inputs)
    ends = jnp.where(every.targets.weights > 0, jnp.arange(12)[:, None], 0).max(0)
    assert (np.count_nonzero(last.targets.weights, axis=0) == 1).all()
    np.testing.assert_array_equal(last.targets.weights.argmax(0), ends)
    assert make(every=False).chance(9) <= make().chance(9)


def test_brackets_are_opened_as_deep_as_is_allowed_and_all_closed():
    task = modular_brackets(depth=2)
    inputs = np.asarray(jax.jit(lambda key: task.batch(key, 24, 64))(jax.random.key(0)).inputs)
    depth = np.cumsum((inputs == 8).astype(int) - (inputs == 9), axis=0)
    assert (depth.min(), depth.max()) == (0, 2)
    assert not depth[-1].any()
    assert ((inputs == 10).sum(0) == 1).all()


def test_groups_have_their_orders():
    assert [len(elements("S3")), len(elements("S5")), len(elements("A5"))] == [6, 120, 60]
    # an even permutation after an even one is even
    even = set(elements("A5"))
    assert all(tuple(b[i] for i in a) in even for a in list(even)[:9] for b in even)


def test_floors():
    assert memoryless_loss(120) == pytest.approx(10 * np.log(8) / 120)
    assert task_of("adding").chance(200) == pytest.approx(0.167, abs=5e-4)
    assert task_of("lag").floor(40) == pytest.approx(0.4545, abs=5e-5)
    assert task_of("parity").floor(40) == 0
