"""The benchmark computes the same on every side, times them in turns, says what is missing, and
holds its targets against its own rows."""

import sys
from importlib.util import find_spec
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments_support import error_of, files_of, summary
from jax import lax
from jax.experimental import rnn
from matplotlib.image import imread
from tiers import mostly_full

from experiments import speed
from experiments.speed import (
    compiling,
    custom,
    generating,
    layers,
    libraries,
    matrix,
    measuring,
    members,
    memory,
    report,
    schedules,
    targets,
    tensorboard,
    toy,
    training,
    words,
)
from experiments.speed.cells import CUSTOM
from experiments.speed.machine import gradient_flops, matmul_flops, matmul_rate, step_flops
from experiments.speed.measuring import (
    Case,
    Measured,
    Side,
    Unsuitable,
    disagreement,
    gather,
    measure,
)
from experiments.speed.model import VOCAB_SIZE, make_problem
from experiments.speed.presets import PRESETS, Shape
from jaxrnn.analysis.plots import ratio_chart
from jaxrnn.cells import CELLS
from jaxrnn.laws import CELL_LAWS, subject

SMOKE, QUICK = PRESETS["smoke"], PRESETS["quick"]
SMALL = Shape(4, 6, 5)
FIELDS = {"case", "peer", "shape", "ratio", "ours_ms", "peer_ms"}
MODULES = {
    "Flax": "flax",
    "Haiku": "haiku",
    "Equinox": "equinox",
    "Keras": "keras",
    "PyTorch": "torch",
}
AS_OURS = "Flax, 2 devices, pages kept"
INSTALLED = {name for name, module in MODULES.items() if find_spec(module) is not None}


@pytest.fixture
def as_users_have_it():
    """The peers are written as their users write them, who have not made JAX strict."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def two_devices(monkeypatch):
    """Even the smallest batch is divided."""
    monkeypatch.setattr(layers, "choose_devices", lambda *arguments: 2)


def torch_sides(*names):
    return set(names) if "PyTorch" in INSTALLED else set()


# Equal mathematics


def agreeing(case):
    """The names of all sides, once each was seen to compute what the first one does."""
    expected = case.sides[0].check()
    for side in case.sides[1:]:
        allowed = max(case.tolerance, side.tolerance)
        assert disagreement(side.check(), expected, allowed) is None, side.name
    return {side.name for side in case.sides}


@pytest.mark.full
@pytest.mark.usefixtures("as_users_have_it", "two_devices")
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_layers_of_every_library(name):
    case = layers.layer_case(name, SMALL, tuple(MODULES))
    expected = {"jaxrnn", "jaxrnn, one device", AS_OURS} | INSTALLED
    if name == "gru" and "Haiku" in INSTALLED:
        expected -= {"Haiku"}
        assert "not the same function" in case.missing["Haiku"]
    assert agreeing(case) == expected


@pytest.mark.full
@pytest.mark.usefixtures("as_users_have_it")
def test_weights_for_cudnn():
    """JAX's own reference of cuDNN's layout computes what our LSTM computes."""
    problem = layers.make_problem(CELLS["lstm"], Shape(2, 3, 4))
    flat = libraries.cudnn_weights(problem.params)
    found = libraries.cudnn_back(problem.params, flat)
    jax.tree.map(np.testing.assert_array_equal, found, jax.tree.map(np.asarray, problem.params))
    zeros, lengths = jnp.zeros((1, 2, 4)), jnp.full(2, 3, jnp.int32)
    weights = rnn.unpack_lstm_weights(flat, 4, 4, 1, False)
    xs = problem.xs.swapaxes(0, 1)
    ys, _, _ = rnn.lstm_ref(xs, zeros, zeros, *weights, lengths, 4, 4, 1, 0.0, False)
    ours = layers.our_layer(problem).forward(problem.params, problem.xs)
    np.testing.assert_allclose(ys.swapaxes(0, 1), ours, rtol=1e-5, atol=1e-6)


def test_cudnn_is_for_a_gpu():
    params = layers.make_problem(CELLS["lstm"], Shape(2, 3, 4)).params
    with pytest.raises(Unsuitable, match="NVIDIA's GPUs"):
        libraries.cudnn_layer("lstm", params)
    with pytest.raises(Unsuitable, match="LSTM alone"):
        libraries.cudnn_layer("gru", params)


@pytest.mark.full
@pytest.mark.parametrize("name", ["elman", "lstm", "lru"])
def test_every_schedule_that_is_another_program(name):
    others = {"scan", "checkpointed", "associative" if name == "lru" else "newton"}
    case = schedules.schedule_case(name, SMALL, "bfloat16")
    # Newton's method does not compute in 16 bits
    narrow = {f"{side}, bfloat16" for side in {"jaxrnn"} | others - {"newton"}}
    assert agreeing(case) == {"jaxrnn"} | others | narrow
    assert case.missing["distributed"] == "the same program as jaxrnn"


def test_a_preset_for_gpus_says_so_on_a_cpu(capsys, tmp_path):
    flags = ["--preset", "gpu", "--run", tmp_path / "run"]
    assert "--preset gpu is for a GPU" in error_of(capsys, speed.main, flags)
    assert not files_of(tmp_path)


@pytest.mark.full
@pytest.mark.usefixtures("as_users_have_it", "two_devices")
@pytest.mark.parametrize("name", CUSTOM)
def test_custom_cells_of_every_library(name):
    expected = {"jaxrnn", "jaxrnn, one device", "Flax", AS_OURS}
    assert agreeing(custom.custom_case(name, SMALL)) == expected | torch_sides("PyTorch loop")


@pytest.mark.full
@pytest.mark.usefixtures("as_users_have_it", "two_devices")
def test_training_steps_of_every_library():
    case = training.char_step_case(SMALL, 2, QUICK.libraries)
    expected = {"jaxrnn", "jaxrnn, one device", "jaxrnn, pages returned", "Flax", AS_OURS}
    assert agreeing(case) == expected | torch_sides("PyTorch", "PyTorch, pages kept")


@pytest.mark.full
@pytest.mark.usefixtures("as_users_have_it", "two_devices")
def test_ours_in_bfloat16_beside_the_same_in_float32():
    narrow, name = SMOKE._replace(precision="bfloat16", libraries=()), "jaxrnn, bfloat16"
    for cases in (layers.gru_cases, training.char_step_cases):
        (case,) = cases(narrow)
        found = measure(case, 3, 0)
        assert not found.wrong
        assert len(found.times[name]) == 3
        (side,) = [side for side in case.sides if side.name == name]
        assert disagreement(side.check(), case.sides[0].check(), 1e-6) is not None


@pytest.mark.full
@pytest.mark.parametrize("samples", [1, 3])
def test_generated_characters(samples):
    case = generating.generate_case(SMOKE, samples)
    assert agreeing(case) == {"jaxrnn"} | torch_sides("PyTorch loop")
    assert case.sides[0].call().shape == (SMOKE.generated, samples)


@pytest.mark.full
def test_compiling_is_done_anew(compilations):
    side = compiling.compile_case(SMOKE, 2, []).sides[0]
    before = compilations("train_step")
    side.call()
    side.call()
    assert compilations("train_step") == before + 2


def in_pieces(cell, params, carry, xs, *, schedule):
    """`unroll` with a bounded schedule, as short as it gets: 5 checkpointed pieces."""
    if schedule != "checkpointed":
        return memory_unroll(cell, params, carry, xs, schedule=schedule)
    piece = jax.checkpoint(
        lambda carry, xs: memory_unroll(cell, params, carry, xs, schedule="scan")
    )
    cut = jax.tree.map(lambda a: a.reshape(5, -1, *a.shape[1:]), xs)
    carry, ys = lax.scan(piece, carry, cut)
    return carry, jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), ys)


memory_unroll = memory.unroll


@pytest.mark.full
def test_bounded_memory(monkeypatch):
    monkeypatch.setattr(memory, "unroll", in_pieces)
    monkeypatch.setattr(memory, "get_args", lambda schedules: ("auto", "scan", "checkpointed"))
    case = memory.memory_case(SMOKE._replace(bounded=Shape(4, 500, 40)))
    assert agreeing(case) == {memory.BOUNDED, memory.PLAIN, "jaxrnn, default"}
    rows = rows_of(case, measure(case, 1, 0))
    row = next(row for row in rows if row["peer"] == memory.PLAIN)
    assert row["ours_bytes"] < 0.5 * row["peer_bytes"]


@pytest.mark.full
def test_a_schedule_that_unroll_does_not_have(monkeypatch):
    monkeypatch.setattr(memory, "get_args", lambda schedules: ("auto", "scan"))
    case = memory.memory_case(SMOKE)
    assert "no schedule 'checkpointed'" in case.missing[memory.BOUNDED]
    rows = rows_of(case, measure(case, 1, 0))
    assert {row["peer"] for row in rows} == {memory.PLAIN, "jaxrnn, default"}
    assert all(row["ratio"] is None and row["missing"] for row in rows)


@pytest.mark.full
@pytest.mark.parametrize("name", [n for n, cell in CUSTOM.items() if cell not in CELLS.values()])
def test_custom_cells_obey_the_laws(name, subtests):
    """Those that are not the library's: these are tried with it."""
    tried = subject(CUSTOM[name])
    for law, holds in CELL_LAWS.items():
        with subtests.test(law):
            holds(tried)


# What the machine could do


def test_operations_of_a_matmul():
    a, b = jnp.ones((3, 4)), jnp.ones((4, 5))
    assert matmul_flops(jnp.matmul, a, b) == 2 * 3 * 4 * 5
    assert matmul_flops(jax.jit(lambda a, b: jnp.tanh(a @ b) + 1), a, b) == 2 * 3 * 4 * 5
    batched = jax.vmap(jnp.matmul)
    assert matmul_flops(batched, jnp.ones((7, 3, 4)), jnp.ones((7, 4, 5))) == 7 * 2 * 3 * 4 * 5


@pytest.mark.parametrize(("name", "gates"), [("elman", 1), ("gru", 3), ("lstm", 4)])
def test_operations_of_a_layer(name, gates):
    inputs, size = 7, 5
    cell, x = CELLS[name](inputs, size), jnp.ones(inputs)
    assert step_flops(cell, x) == 2 * (inputs + size) * gates * size
    assert gradient_flops(cell, x, 11, 3) == 3 * 11 * 3 * 2 * (inputs + size) * gates * size


@pytest.mark.full
def test_operations_of_the_model():
    problem = make_problem(SMALL, 2)
    layer, head = 2 * (5 + 5) * 4 * 5, 2 * 5 * VOCAB_SIZE
    assert step_flops(problem.model, jnp.int32(0)) == 2 * layer + head  # a row of E is no matmul


def test_the_gradient_holds_three_matmuls_for_one():
    """All that `gradient_flops` counts is in the gradient's own program."""
    problem = layers.make_problem(CELLS["lstm"], Shape(3, 1, 5))

    def gradients(params, xs):
        ys, pull = jax.vjp(layers.our_layer(problem).forward, params, xs)
        return pull(jnp.ones_like(ys))

    found = matmul_flops(gradients, problem.params, problem.xs)
    assert found == gradient_flops(problem.cell, problem.xs[0, 0], 1, 3)


def test_the_limit_is_a_rate():
    assert 0 < matmul_rate(32, repeats=1) < 1e16


# Measuring


def side(name, result, log):
    """One that writes its name down with every call."""
    return Side(name, lambda: log.append(name), lambda: result)


def test_sides_take_turns():
    log = []
    case = Case("", "", [side("a", 1.0, log), side("b", 1.0, log)], {})
    found = measure(case, repeats=4, seconds=60)
    assert {name: len(times) for name, times in found.times.items()} == {"a": 4, "b": 4}
    assert log == ["a", "b", *"aabb" * 4]  # once first; then untimed and timed in turns


def test_each_side_with_the_memory_of_its_users(monkeypatch):
    log = []
    monkeypatch.setattr(measuring, "keep_pages", lambda: log.append("keep"))
    monkeypatch.setattr(measuring, "return_pages", lambda: log.append("return"))
    monkeypatch.setattr(measuring, "BRIEF", -1.0)
    sides = [side("ours", 1.0, log)._replace(pages_kept=True), side("theirs", 1.0, log)]
    found = measure(Case("", "", sides, {}), repeats=2, seconds=0)
    assert {name: len(times) for name, times in found.times.items()} == {"ours": 2, "theirs": 2}
    # once first, which counts unless something was changed for it; then untimed after each change
    once = ["return", "theirs", "keep", "ours", "ours"]
    assert log == [*once, "return", "theirs", "theirs", "keep", "ours", "ours"]


def test_the_first_of_calls_that_are_not_brief_counts(monkeypatch):
    monkeypatch.setattr(measuring, "BRIEF", -1.0)
    log = []
    found = measure(Case("", "", [side("a", 1.0, log)], {}), repeats=4, seconds=60)
    assert len(found.times["a"]) == len(log) == 4


def test_a_long_call_is_timed_once(monkeypatch):
    monkeypatch.setattr(measuring, "LONG", -1.0)
    log = []
    found = measure(Case("", "", [side("a", 1.0, log)], {}), repeats=4, seconds=60)
    assert len(found.times["a"]) == len(log) == 1


def test_the_memory_of_a_call():
    grown = measuring.peak_resident(lambda: np.ones(50_000_000).sum())
    if grown is None:
        pytest.skip("the system does not say")
    assert 300e6 < grown < 1000e6


def test_a_case_ends_in_time():
    found = measure(Case("", "", [side("a", 1.0, [])], {}), repeats=1000, seconds=0)
    assert len(found.times["a"]) == 3


def test_a_side_that_disagrees_is_not_timed():
    case = Case("", "", [side("jaxrnn", 1.0, []), side("theirs", 1.1, [])], {})
    found = measure(case, 1, 0)
    assert set(found.times) == {"jaxrnn"}
    assert found.wrong == {"theirs": "the result differs by 0.1"}
    (row,) = rows_of(case, found)
    assert row["ratio"] is None
    assert "computes something else" in row["missing"]


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"w": np.array([1.0, 2.0])}, None),
        ({"w": np.array([1.0, 2.001])}, None),
        ({"w": np.array([1.0, 2.1])}, "['w'] differs by 0.1"),
        ({"w": np.array([1.0, np.nan])}, "['w'] differs by nan"),
        ({"w": np.array([1.0])}, "['w'] has shape (1,), ours (2,)"),
        ({"v": np.array([1.0, 2.0])}, "it has other results"),
    ],
)
def test_disagreement(found, says):
    assert disagreement(found, {"w": np.array([1.0, 2.0])}, 1e-3) == says


@pytest.mark.parametrize("module", mostly_full(["torch", "haiku"], "haiku"))
def test_a_library_that_is_not_installed(module, monkeypatch):
    """In place of the measurement there is a row that says so, and no ratio."""
    monkeypatch.setitem(sys.modules, module, None)
    name = next(name for name, found in MODULES.items() if found == module)
    case = layers.layer_case("lstm", SMALL, (name,))
    assert [side.name for side in case.sides] == ["jaxrnn"]
    (row,) = rows_of(case, measure(case, 1, 0))
    assert (row["peer"], row["ratio"], row["peer_ms"]) == (name, None, None)
    assert "not installed" in row["missing"]


@pytest.mark.full
@pytest.mark.usefixtures("as_users_have_it")
def test_every_pytorch_side_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for case in (
        custom.custom_case("two-speed", SMALL),
        training.char_step_case(SMALL, 2, ("PyTorch",)),
        toy.toy_step_case(10),
        words.word_case(SMALL, 70, 2),
        generating.generate_case(SMOKE, 1),
    ):
        assert case.missing
        for name in case.missing:
            assert name.startswith("PyTorch")
            assert name not in {side.name for side in case.sides}


@pytest.mark.full
@pytest.mark.usefixtures("as_users_have_it")
def test_torch_compile_may_fail(monkeypatch):
    torch = pytest.importorskip("torch")

    def fails(function):
        def call(*arguments):
            raise RuntimeError("no C++\ncompiler")

        return call

    monkeypatch.setattr(torch, "compile", fails)
    case = custom.custom_case("two-speed", SMALL, torch_compile=True)
    (why,) = case.missing.values()
    assert why == "torch.compile fails: no C++ compiler"


def test_other_faults_of_a_builder_are_not_hidden():
    def broken():
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError):
        gather({"Flax": broken})


# Rows and targets


def rows_of(case, found):
    return report.rows_of(case, report.numbers_of(case, found, 1e9), report.reasons_of(case, found))


def test_a_row():
    sides = [side("jaxrnn", 0, []), side("Flax", 0, [])._replace(devices=2)]
    case = Case("lstm", "B 1", sides, {"PyTorch": "gone"}, flops=1e6, makes=5)
    times = {"jaxrnn": np.array([1.0, 2.0, 9.0]), "Flax": np.array([4.0, 5.0, 5.0])}
    flax, torch = rows_of(case, Measured(times, {}, {}))
    assert flax["ratio"] == 2.5
    assert (flax["ours_ms"], flax["peer_ms"], flax["peer_devices"]) == (2.0, 5.0, 2)
    assert flax["ours_of_limit"] == pytest.approx(0.5)  # 1e6 operations in 2 ms at 1e9 a second
    assert flax["ours_per_second"] == pytest.approx(2500)
    assert flax["ours_spread"] == [1.5, 5.5]
    assert torch == {
        "case": "lstm",
        "peer": "PyTorch",
        "shape": "B 1",
        "ratio": None,
        "ours_ms": 2.0,
        "peer_ms": None,
        "missing": "gone",
    } | {key: value for key, value in flax.items() if key.startswith("ours_")}


def ideal_rows():
    """Rows of the quick preset in which ours is 20 times as fast as any peer."""
    found = []
    for case, peers in (("lstm", ("Flax", "PyTorch")), ("gru", ("Flax", "PyTorch"))):
        found += [(case, peer, str(shape)) for peer in peers for shape in QUICK.layers]
    found += [(case, peer, str(QUICK.cell)) for case in CUSTOM for peer in ("Flax", "PyTorch loop")]
    alone = [("lstm", QUICK.layers), ("gru", QUICK.layers), *((n, [QUICK.cell]) for n in CUSTOM)]
    found += [
        (case, layers.flax_as_ours(layers.chosen_devices(shape)), str(shape))
        for case, shapes in alone
        for shape in shapes
    ]
    model = f"{QUICK.model}, 3 layers"
    found += [("char-step", "Flax", model), ("char-step", "PyTorch", model)]
    toy_shape = toy.shape_of(QUICK.toy_steps)
    found += [("toy-step", peer, toy_shape) for peer in ("PyTorch eager", "jitted Python loop")]
    found += [("word", "PyTorch", words.shape_of(QUICK.word, QUICK.words))]
    samples = [generating.shape_of(QUICK, number) for number in QUICK.samples]
    found += [("generate", "PyTorch loop", each) for each in samples]
    found += [("tensorboard", tensorboard.WITHOUT, tensorboard.shape_of(QUICK.logged))]
    for task in members.TASKS:
        shape = members.shape_of(task, QUICK.members, QUICK.member_steps)
        found.append(("members", members.ALONE, shape))
    rows = [
        {"case": case, "peer": peer, "shape": shape, "ratio": 20.0, "ours_ms": 1.0, "peer_ms": 20.0}
        for case, peer, shape in found
    ]
    times = {"ratio": 1.0, "ours_ms": 1000.0, "peer_ms": 1000.0}
    rows.append({"case": "compile", "peer": "plain scan", "shape": model, **times})
    few, shape = compiling.shorter(QUICK.growth_steps[0]), compiling.growth_shape(QUICK)
    rows.append({"case": compiling.GROWTH, "peer": few, "shape": shape, **times})
    sizes = {"ratio": 20.0, "ours_bytes": 5, "peer_bytes": 100}
    for name in matrix.STEPS:
        shape = f"{name}, {QUICK.matrix[0]}"
        rows.append({"case": "matrix-state", "peer": matrix.PLAIN, "shape": shape, **sizes})
    shape = f"{QUICK.bounded}, 3 layers"
    rows.append({"case": "memory", "peer": memory.PLAIN, "shape": shape, **sizes})
    return rows


def test_targets_that_are_reached():
    claims = targets.claims(ideal_rows(), QUICK)
    assert [claim.name for claim in claims if claim.holds is not True] == []
    assert len({claim.name for claim in claims}) == len(claims)


@pytest.mark.parametrize("index", range(len(ideal_rows())))
def test_every_row_decides_a_target(index):
    """A bad number fails one; a missing one leaves it open."""
    rows = ideal_rows()
    row = rows[index]
    bad = {"ratio": 0.1, "ours_ms": 1e5, "ours_bytes": 99}
    rows[index] = row | {key: value for key, value in bad.items() if key in row}
    assert any(claim.holds is False for claim in targets.claims(rows, QUICK))
    rows[index] = row | dict.fromkeys(bad)
    held = [claim.holds for claim in targets.claims(rows, QUICK)]
    assert None in held
    assert False not in held


def test_other_shapes_decide_nothing():
    rows = [row | {"shape": "B 1, T 2, H 3"} for row in ideal_rows()]
    assert {claim.holds for claim in targets.claims(rows, QUICK)} == {None}


def test_a_missing_peer_is_never_a_win():
    rows = [row | {"ratio": None} for row in ideal_rows() if "PyTorch" in row["peer"]]
    assert {claim.holds for claim in targets.claims(rows, QUICK)} == {None}


def test_nothing_of_the_plot_is_cut(tmp_path):
    """However many sides there are, and however long their names."""
    sides = {f"PyTorch loop, torch.compile of a step, {n}": 1.0 + n for n in range(19)}
    path = tmp_path / "ratios.png"
    label = "peer's median / ours: to the right of 1, ours is faster"
    rows = {f"tensorboard, B 32, T 50, H 100, a line every {n} steps": sides for n in range(30)}
    ratio_chart(path, rows, label=label)
    picture = imread(path)[..., :3]
    edges = [picture[:2], picture[-2:], picture[:, :2], picture[:, -2:]]
    assert all((edge == 1).all() for edge in edges)


def test_geometric_mean():
    assert targets.geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    assert targets.geometric_mean([1.0, None]) is None


# The command


def test_every_case_has_a_name():
    assert list(speed.CASES) == list(get_args(speed.CaseName))


@pytest.mark.full
@pytest.mark.usefixtures("as_users_have_it")
def test_the_whole_table(tmp_path, capsys, monkeypatch):
    """But for layers, cells, training steps and schedules, whose cases are tried above; with one
    task of those that read a text, and models of a layer."""
    monkeypatch.setattr(members, "TASKS", members.TASKS[:2])
    monkeypatch.setitem(PRESETS, "smoke", PRESETS["smoke"]._replace(num_layers=1))
    tried = {"lstm", "gru", "cells", "char-step", "linear", "schedules"}
    run, named = tmp_path / "run", {*speed.CASES} - tried
    flags = ["--preset", "smoke", "--repeats", "1", "--case", *sorted(named)]
    assert speed.main([*flags, "--run", str(run)]) == 0
    shown, errors = capsys.readouterr()
    assert errors == ""
    found = summary(run)
    assert found["experiment"] == "speed"
    cases = {row["case"] for row in found["results"]}
    assert cases == {*named, compiling.GROWTH}
    for row in found["results"]:
        assert row.keys() >= FIELDS
        assert row["peer"] in shown
        if row["ratio"] is not None:
            assert row["ratio"] == pytest.approx(row["peer_ms"] / row["ours_ms"])
    # a side that computes something else has no ratio, and ends the command with an error
    timed = {"toy-step": set(), "compile": set()}
    for row in found["results"]:
        if row["ratio"] is not None and row["case"] in timed:
            timed[row["case"]].add(row["peer"])
    assert timed["toy-step"] == {"jitted Python loop"} | torch_sides("PyTorch eager")
    assert timed["compile"] == {"plain scan", "Python loop"}
    assert {claim["holds"] for claim in found["claims"]} == {None}  # tiny shapes decide nothing
    assert {"environment.json", "summary.json", "plots/ratios.png"} <= files_of(run).keys()


@pytest.mark.full
@pytest.mark.usefixtures("as_users_have_it")
def test_cases_by_name(tmp_path, capsys):
    flags = ["--preset", "smoke", "--case", "gru", "--repeats", "1"]
    assert speed.main([*flags, "--run", str(tmp_path / "run")]) == 0
    assert {row["case"] for row in summary(tmp_path / "run")["results"]} == {"gru"}


def test_a_disagreement_ends_the_command_with_an_error(tmp_path, capsys, monkeypatch):
    def cases(preset):
        yield Case("gru", "B 1", [side("jaxrnn", 1.0, []), side("Flax", 2.0, [])], {})

    monkeypatch.setitem(speed.CASES, "gru", cases)
    flags = ["--preset", "smoke", "--case", "gru", "--run", tmp_path / "run"]
    assert "gru, B 1: Flax" in error_of(capsys, speed.main, flags)
    (row,) = summary(tmp_path / "run")["results"]
    assert row["ratio"] is None


@pytest.mark.parametrize("value", ["-1", "nan", "1e9"])
def test_seconds_out_of_range(tmp_path, capsys, value):
    flags = ["--seconds", value, "--run", tmp_path / "run"]
    assert "--seconds is" in error_of(capsys, speed.main, flags)
    assert not (tmp_path / "run").exists()
