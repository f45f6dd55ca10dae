"""Several devices give what one gives."""

import functools
import os
import re
import subprocess
import sys
from typing import Any

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tiers import mostly_full

from jaxrnn import (
    STYLES,
    Batch,
    TrainState,
    bptt,
    chain,
    clipped_adam,
    clipped_momentum,
    dropout,
    elman,
    embed,
    generate,
    init_state,
    linear,
    make_train_step,
    one_hot,
    reinitialised,
    stateless,
    tbptt,
)
from jaxrnn.candidates import draw_negatives
from jaxrnn.candidates import noise_contrastive as nce
from jaxrnn.data import Streams, segment
from jaxrnn.laws.styles import Case, as_declared
from jaxrnn.models import cross_entropy
from jaxrnn.parallel import (
    Workload,
    batch_parallel,
    by_sequence,
    choose_devices,
    dividing,
    over_members,
    place,
    shardings,
    whole_on,
)
from jaxrnn.rows import narrow, row_momentum
from jaxrnn.training import Training, epoch_chunk

DEVICES = jax.devices()
# orthogonal first weights take longer to compile than all the rest
normal = jax.nn.initializers.normal()
CELL = reinitialised(
    chain(one_hot=one_hot(3), layer=elman(3, 4), dropout=dropout(0.2), head=linear(4, 3)), normal
)
KEY = jax.random.key(0)
BATCH_SIZE = 4


def assert_close(a, b, tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def random_batch(key, case: Case, batch_size: int = BATCH_SIZE) -> Batch:
    tokens = jax.random.randint(key, (case.history + case.scored + 1, batch_size), 0, 3)
    return Batch(tokens[:-1], tokens[case.history + 1 :])


AGAIN = "JAXRNN_TEST_DEVICES" in os.environ


@pytest.mark.skipif(AGAIN, reason="another number is asked for")
def test_two_devices():
    assert len(DEVICES) == 2


@pytest.mark.full
@pytest.mark.skipif(AGAIN, reason="this is such a process")
def test_more_devices():
    """The tests of this file once more, on three and four devices, in a process that has them."""
    command = [sys.executable, "-m", "pytest", "-q", __file__]
    environment = os.environ | {"JAXRNN_TEST_DEVICES": "4"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# One training, its batch divided

CASES = (Case(4, 2, 4, 1), Case(3, 3, 6, 0), Case(4, 1, 3, 3))
APPROXIMATIONS = ("snap", "snap_2", "rflo", "eprop")
# fewer sequences than devices, as many, and more that the devices divide or do not
BATCH_SIZES = {2: (1, 2, 4, 7), 3: (7,), 4: (3, 4, 7)}


def divisions():
    """Styles do not know how many sequences or devices there are: one is divided in every way, all
    into two parts with a sequence left over. Windows and strides matter to styles that truncate;
    approximations of an influence are carried as it is, and divided once below."""
    if AGAIN:
        return [("tbptt", CASES[0], size, count) for count in (3, 4) for size in BATCH_SIZES[count]]
    ways = [("tbptt", CASES[0], size, 2) for size in BATCH_SIZES[2]]
    ways += [("tbptt", case, 7, 2) for case in CASES]
    ways += [(name, CASES[0], 7, 2) for name in STYLES if name not in APPROXIMATIONS]
    # both branches together; an online style follows below
    return mostly_full(ways, ("bptt", CASES[0], 7, 2))


@pytest.mark.parametrize(("name", "case", "batch_size", "count"), divisions())
def test_a_divided_batch(name, case, batch_size, count):
    """Gradients, carries and losses of three batches in a row, with params that change between
    them as in training, to rounding."""
    case = as_declared(STYLES[name], case)
    estimator = STYLES[name](CELL, cross_entropy, case.window, case.stride, schedule="scan")
    divided = batch_parallel(estimator, DEVICES[:count])
    params = CELL.init(KEY)
    carry = estimator.init(params, KEY, batch_size)
    # where divided batches leave it, so that the first call compiles what the others use
    mesh = Mesh(np.array(DEVICES[:count]), ("batch",))
    even = batch_size % count == 0
    there = NamedSharding(mesh, PartitionSpec("batch") if even else PartitionSpec())
    carries = [carry, jax.device_put(carry, there)]
    estimates = [jax.jit(each.estimate) for each in (estimator, divided)]
    for n in range(3):
        batch = random_batch(jax.random.key(n), case, batch_size)
        one, two = (
            estimate(params, carry, batch)
            for estimate, carry in zip(estimates, carries, strict=True)
        )
        assert_close(one, two, 1e-5)
        carries = [one[1], two[1]]
        params = jax.tree.map(lambda p, g: p - 0.5 * g, params, one[0])


@pytest.mark.full
@pytest.mark.skipif(AGAIN, reason="it is done on two")
@pytest.mark.parametrize("name", [name for name in STYLES if STYLES[name].carries_credit])
def test_a_divided_batch_of_embedded_tokens(name):
    """An embedding compares its tokens with constants, and those styles take the step apart."""
    cell = reinitialised(chain(embed=embed(3, 2), layer=elman(2, 3), head=linear(3, 3)), normal)
    estimator = STYLES[name](cell, cross_entropy, 2, 2, schedule="scan")
    params = cell.init(KEY)
    carry, batch = estimator.init(params, KEY, 2), random_batch(KEY, Case(2, 2, 2, 0), 2)
    one, two = (
        jax.jit(each.estimate)(params, carry, batch)
        for each in (estimator, batch_parallel(estimator, DEVICES[:2]))
    )
    assert_close(one, two, 1e-5)


@pytest.mark.full
@pytest.mark.skipif(AGAIN, reason="it is done on two")
def test_devices_meet_once_in_a_training_step():
    """To average the gradients. What a batch is made from (its words, drawn negatives) each device
    computes for itself; left to choose, XLA divided that as well, and they met all along."""
    words = 50
    cell = reinitialised(
        chain(embed=embed(words, 2), layer=elman(2, 3), head=linear(3, words)), normal
    )
    estimator = batch_parallel(stateless(tbptt(cell, nce, window=4, stride=1)), DEVICES[:2])
    optimizer = clipped_momentum(0.1)
    by_rows = row_momentum(cell, estimator, optimizer, 0.9, ("embed", "head"))
    text = Streams(*jnp.ones((2, 12, 4), jnp.int32))

    def epoch_data(key):
        def batch_at(position) -> Any:
            batch = segment(text, position, 1, 3)
            return narrow(batch, words, ("embed", "head"), draw_negatives(key, words, 5))

        return batch_at

    chunk = epoch_chunk(
        by_rows.train_step,
        by_rows.estimator,
        epoch_data,
        steps_per_epoch=3,
        batch_size=4,
        chunks_per_epoch=1,
    )
    state = init_state(cell, estimator, optimizer, KEY, 4)
    members = place(jax.tree.map(lambda a: a[None], state), DEVICES[:2])
    state = jax.tree.map(lambda a: a[0], members)
    program = str(jax.jit(by_rows.within(chunk)).lower(state).compile().as_text())
    meetings = re.findall(r" (all-\w+|collective-permute|reduce-scatter)(?:-start)?\(", program)
    assert meetings == ["all-reduce"]


def test_one_device_changes_nothing():
    estimator = STYLES["bptt"](CELL, cross_entropy, 1, 1)
    assert batch_parallel(estimator, DEVICES[:1]) is estimator


# Several members


@functools.cache
def training() -> Training:
    cell = reinitialised(chain(one_hot=one_hot(3), layer=elman(3, 4), head=linear(4, 3)), normal)
    estimator, optimizer = bptt(cell, cross_entropy, schedule="scan"), clipped_adam(0.01)
    case = Case(4, 4, 4, 0)
    chunk = epoch_chunk(
        make_train_step(estimator, optimizer),
        estimator,
        lambda key: lambda position: random_batch(jax.random.fold_in(key, position), case),
        steps_per_epoch=5,
        batch_size=BATCH_SIZE,
        chunks_per_epoch=2,
    )

    def init(key, learning_rate):
        return init_state(cell, estimator, optimizer, key, BATCH_SIZE, learning_rate)

    return Training(init, chunk, chunks=4, steps_per_epoch=5)


MEMBERS = 4
MEMBER_KEYS = jax.vmap(functools.partial(jax.random.fold_in, KEY))(jnp.arange(MEMBERS))
RATES = jnp.array([0.001, 0.01, 0.03, 0.1])


@functools.cache
def compiled(count: int):
    """The training of all members, on the first `count` devices."""
    devices = DEVICES[:count]
    return tuple(jax.jit(over_members(f, devices)) for f in (training().init, training().chunk))


def trained(count: int, members=slice(None)):
    """The states of some of the members after all chunks, and their metrics."""
    init, chunk = compiled(count)
    states = place(init(MEMBER_KEYS[members], RATES[members]), DEVICES[:count])
    metrics = []
    for _ in range(training().chunks):
        states, seen = chunk(states)
        metrics.append(seen)
    return jax.device_get((states._replace(key=jax.random.key_data(states.key)), metrics))


COUNTS = [3, 4] if AGAIN else [1, 2]
SWEEPS = [(count, members) for count in COUNTS for members in (3, MEMBERS)]


@pytest.mark.full
@pytest.mark.parametrize(("count", "members"), SWEEPS)
def test_a_member_is_the_same_alone(count, members, compilations):
    """Bit for bit, whoever runs beside it, and whether the devices divide the members or not. All
    chunks of a sweep are one program."""
    together = trained(count, slice(members))
    assert compilations("mapped") == 2  # init and chunk
    for member in range(members):
        mine = jax.tree.map(lambda a, k=member: a[k : k + 1], together)
        assert_close(mine, trained(1, slice(member, member + 1)), 0)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("batch_size", [3, 4, 12])
@pytest.mark.parametrize("members", [1, 3, 4, 12])
def test_states_lie_where_they_are_used(count, members, batch_size):
    """What the devices divide is divided, the rest is whole on each of them."""
    state = TrainState(
        params={"w": np.zeros((members, 4, 3))},
        opt_state=jnp.zeros(members),
        carry=jnp.zeros((members, batch_size, 4)),
        key=jax.random.split(KEY, members),
        step=jnp.zeros(members, jnp.int32),
        position=jnp.zeros(members, jnp.int32),
    )
    placed, wanted = place(state, DEVICES[:count]), shardings(state, DEVICES[:count])
    for leaf, sharding in zip(jax.tree.leaves(placed), jax.tree.leaves(wanted), strict=True):
        assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
        assert len(leaf.sharding.device_set) == count
    share = members // count if members > 1 and members % count == 0 else members
    assert placed.params["w"].sharding.shard_shape((members, 4, 3)) == (share, 4, 3)
    rows = batch_size // count if members == 1 and batch_size % count == 0 else batch_size
    assert placed.carry.sharding.shard_shape((members, batch_size, 4)) == (share, rows, 4)


# How many devices

SIZES = st.integers(1, 300)


@given(
    platform=st.sampled_from(["cpu", "gpu", "tpu"]),
    available=st.integers(1, 16),
    workload=st.builds(Workload, SIZES, SIZES, SIZES, SIZES),
)
def test_a_choice_divides_the_batch_or_leaves_little_over(platform, available, workload):
    count = choose_devices(platform, available, workload)
    assert 1 <= count <= available
    left_over = 0 if workload.members > 1 else workload.batch_size % count
    assert left_over == 0 or (platform == "cpu" and workload.batch_size >= 16 * count)


@given(available=st.integers(1, 16), members=st.integers(2, 64))
def test_members_take_the_fewest_devices_that_end_as_soon(available, members):
    """What a run takes: the members of the busiest device, one after another."""

    def longest(count):
        return -(-members // count)

    count = choose_devices("cpu", available, Workload(members, 7, 1, 1))
    assert 1 <= count <= available
    assert longest(count) == min(longest(n) for n in range(1, available + 1))
    assert all(longest(fewer) > longest(count) for fewer in range(1, count))


@pytest.mark.parametrize(
    ("platform", "workload", "count"),
    [
        ("cpu", Workload(1, 32, 200, 100), 2),
        ("cpu", Workload(1, 33, 200, 100), 2),
        ("cpu", Workload(1, 31, 200, 100), 1),
        ("cpu", Workload(1, 32, 200, 1024), 1),
        ("cpu", Workload(1, 200, 5, 4), 1),
        ("gpu", Workload(1, 32, 200, 512), 2),
        ("gpu", Workload(1, 33, 200, 512), 1),
        ("cpu", Workload(8, 200, 5, 4), 2),
        ("cpu", Workload(3, 200, 5, 4), 2),
    ],
)
def test_choices_on_two(platform, workload, count):
    assert choose_devices(platform, 2, workload) == count


@pytest.mark.parametrize(
    ("batch_size", "available", "count"),
    [(1, 2, 1), (31, 2, 1), (32, 2, 2), (33, 2, 1), (64, 8, 4), (96, 4, 4), (1000, 1, 1)],
)
def test_sequences_are_divided_evenly(batch_size, available, count):
    assert list(dividing(batch_size, range(available))) == list(range(count))


def test_samples_over_devices_are_those_of_one():
    """Each device draws its own, and none waits for another."""
    model = chain(embed=embed(5, 3), layer=elman(3, 4), head=linear(4, 5))
    params = jax.tree.map(lambda a: 3 * a, model.init(KEY))
    prompt = jnp.arange(32, dtype=jnp.int32)[None] % 5
    write = jax.jit(lambda params, key, prompt: generate(model, params, key, prompt, 7))
    wanted = write(params, KEY, prompt)
    divided = *whole_on((params, KEY), DEVICES), by_sequence(prompt, DEVICES)
    found = write(*divided)
    np.testing.assert_array_equal(found, wanted)
    assert len(found.sharding.device_set) == len(DEVICES) > 1
    assert {each.data.shape for each in found.addressable_shards} == {(7, 32 // len(DEVICES))}
    program = write.lower(*divided).compile().as_text() or ""
    assert not re.search("all-gather|all-reduce|permute", program)
