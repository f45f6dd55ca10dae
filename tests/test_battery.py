"""The battery: what is trained on what, and what is said of it."""

import shutil
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from experiments_support import SMALL_TOY, error_of, summary

from experiments import battery, toy
from experiments.battery import estimate, training
from experiments.battery.claims import claims
from experiments.battery.config import PRESETS, names_of, searched, settings
from experiments.battery.found import Found, rows_of
from experiments.battery.results import draws_of
from jaxrnn import runs
from jaxrnn.base import Batch
from jaxrnn.data.tasks import Scored
from jaxrnn.data.tasks.published import PUBLISHED
from jaxrnn.runs.command import in_flags
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.lock import releasing_locks
from jaxrnn.runs.opening import open_directory, with_stored_code
from jaxrnn.runs.sweep.directory import read_sweep
from jaxrnn.sizes import parameters_of, size_by_parameters
from jaxrnn.tasks import find_task, scaled, task_objective, task_score

OWN = """
import numpy as np

from jaxrnn.data.tasks import arrays


def ends():
    tokens = np.random.default_rng(0).integers(0, 3, (50, 9))
    return arrays(tokens, tokens[:, -1])


def endless():
    return ends()._replace(test_lengths=())


def nothing():
    return None
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path / "own.py"


def test_a_task_of_a_file_of_ones_own(own):
    task = find_task(f"{own}:ends")
    assert (task.reads, task.answers, task.test_lengths) == (3, 3, (9,))
    with pytest.raises(ValueError, match="returns NoneType; let it return a"):
        find_task(f"{own}:nothing")
    with pytest.raises(ValueError, match=r"own.py:endless: test_lengths are \(\)"):
        find_task(f"{own}:endless")
    with pytest.raises(ValueError, match="task 'parties' is not known; give one of lag, copy"):
        find_task("parties")


def test_losses_have_the_unit_of_their_task():
    parts = settings(PRESETS["smoke"])
    found = {name: battery.build(part).loss_unit for name, part in parts.items()}
    assert found["parity-gru"] == "nats"
    assert found["adding-gru"] == "squared error"


def test_losses_and_scores_are_of_scored_places_alone():
    values, weights = jnp.array([[0, 1], [1, 1]]), jnp.array([[2.0, 0.0], [0.0, 2.0]])
    right, wrong = jnp.array([9.0, 0.0]), jnp.array([0.0, 9.0])
    outputs = jnp.stack([jnp.stack([right, jnp.full(2, jnp.nan)]), jnp.stack([right, right])])
    task, targets = find_task("parity"), Scored(values, weights)
    assert task_score(task, outputs, targets) == 0.5
    losses = task_objective(task)(outputs, targets)
    each = optax.softmax_cross_entropy_with_integer_labels(outputs[1, 1], jnp.int32(1))
    plain = optax.softmax_cross_entropy_with_integer_labels(wrong, jnp.int32(1))
    np.testing.assert_allclose(losses, [[2 * plain, 0], [0, 2 * each]], rtol=1e-5)


def test_a_scaled_score_is_zero_at_chance_and_one_where_all_is_right():
    for name, best in (("parity", 1.0), ("modular_brackets", 1.0), ("adding", 0.0)):
        task = find_task(name)
        assert scaled(task, task.chance(40), 40) == 0
        assert scaled(task, best, 40) == 1


def test_every_cell_meets_every_task_with_as_many_parameters():
    config = PRESETS["smoke"]
    parts = settings(config)
    assert list(parts) == ["parity-elman", "parity-gru", "adding-elman", "adding-gru"]
    for part in parts.values():
        model = battery.build(part).model
        assert parameters_of(model) <= config.parameters
        assert size_by_parameters(model, config.parameters) == model.hidden_size
    assert searched(config) == (["learning_rate=0.003,0.01"], 2)
    assert searched(runs.replaced(config, epochs=1)).halving == 0  # nothing to choose after
    assert searched(runs.replaced(config, rates=(1e-2,))).halving == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tasks": ()}, "--tasks is empty"),
        ({"rates": ()}, "--rates is empty"),
        ({"halve_rates": 1}, "--halve-rates is 1"),
        ({"seconds": 0.0}, "--seconds is 0.0; give more than 0"),
        ({"seconds": float("nan")}, "--seconds is nan; give more than 0"),
        ({"tasks": ("parity", "parity")}, "--tasks holds parity 2 times"),
        ({"tasks": ("all", "lag")}, "--tasks holds all beside others"),
        ({"cells": ("gru", "gru")}, "--cells holds gru 2 times"),
    ],
)
def test_what_nobody_can_mean_is_refused(changes, problem):
    with pytest.raises(ValueError, match=problem):
        settings(runs.replaced(PRESETS["smoke"], **changes))


@pytest.mark.parametrize(
    ("module", "given", "said"),
    [
        (battery, ["--heads", "0"], "--heads is 0; give a whole number of at least 1"),
        (battery, ["--rates", "0.001", "-1"], "--rates is -1.0; give 0 or more"),
        (battery, ["--steps", "0"], "--steps is 0; give a whole number of at least 1"),
        (toy, ["--sweep", "heads=0,3"], "--sweep heads=0: --heads is 0; give a whole number"),
    ],
)
def test_what_is_refused_is_called_by_its_flag(module, given, said, tmp_path, capsys):
    """And by the value that was typed; the battery's own sweep is nobody's flag."""
    base = ["--preset", "smoke"] if module is battery else SMALL_TOY
    line = error_of(capsys, module.main, [*base, *given, "--run", tmp_path / "run"])
    assert line.startswith(f"error: {said}")
    assert not (tmp_path / "run").exists()


def test_names_of_flags_and_words_are_told_apart():
    config = PRESETS["smoke"]
    said = "heads is picky of /tmp/hidden_size and 'num_steps'; give a smaller hidden_size or cell"
    assert in_flags(said, config) == (
        "--heads is picky of /tmp/hidden_size and 'num_steps'; give a smaller --hidden-size or cell"
    )
    of_the_cell = "cell delta_net(heads=3): heads is 3; give another"
    assert in_flags(of_the_cell, config) == of_the_cell


def test_all_are_those_whose_data_are_here():
    found = names_of(runs.replaced(PRESETS["smoke"], tasks=("all",)))
    assert {"parity", "sines"} <= set(found)


def found(cell, rate, *scores, epochs=2):
    values = [float(score) for score in scores]
    course = [float(np.mean(values))] * epochs
    return Found(
        "run", "parity", cell, rate, 9, epochs, course, {40: values, 256: values}, [0.1, 0.2], 1.0
    )


def test_each_cell_has_its_own_best_rate_and_window():
    every = [
        *(found("gru", 1e-3, 0.5, 0.6), found("gru", 3e-3, 0.98, 0.98), found("gru", 1e-2, 1, 1)),
        *(found("elman", 1e-3, 0.7, 0.9), found("elman", 3e-3, 0.1, -np.inf)),
        found("elman", 1e-2, -np.inf, -np.inf),
    ]
    gru, elman = rows_of(every)
    assert (gru["rate"], gru["window"], gru["iqm"][40]) == (1e-2, [3e-3, 1e-2], 1)
    assert (elman["rate"], elman["window"]) == (1e-3, [1e-3, 1e-3])
    assert elman["iqm"][40] == pytest.approx(0.8)
    assert elman["interval"][40] == pytest.approx([0.7, 0.9])


def test_the_best_rate_is_one_that_was_trained_to_the_end():
    """The window is of what all rates had after the rung, where they were trained alike."""
    (row,) = rows_of([found("gru", 1e-3, 0.9, 0.9, epochs=1), found("gru", 1e-2, 0.8, 0.8)])
    assert (row["rate"], row["window"]) == (1e-2, [1e-3, 1e-3])


@pytest.mark.full
def test_the_map_and_the_lengths_are_drawn(tmp_path):
    every = [found("gru", 1e-2, 1, 1), found("elman", 1e-2, -np.inf, 0.3)]
    for name, draw in draws_of(every).items():
        draw(tmp_path / f"{name}.png")
    assert {path.name for path in tmp_path.iterdir()} == {"battery.png", "lengths_parity.png"}


def test_claims_are_of_what_was_trained_as_they_say():
    config = runs.replaced(PRESETS["smoke"], tasks=("parity", "copy", "adding"))
    best = {
        ("parity", "gru"): ({40: [1.0, 0.2], 256: [1.0, 0.1]}, [0.0, 0.6]),
        ("parity", "min_gru"): ({40: [1.0, 0.2], 256: [0.02, 0.4]}, [0.0, 0.6]),
        ("copy", "lstm"): ({40: [0.4]}, [1.8]),
        ("adding", "lstm"): ({50: [0.4], 200: [1.0]}, [0.1]),
    }
    verdicts = {claim.name: claim.holds for claim in claims(config, best)}
    assert verdicts == {
        "parity to 40, tested at 256: gru solves it": True,
        "parity to 40, tested at 256: min_gru, transitions in [0, 1], does not": False,
        "copy: lstm loses less than without memory, as a part of that": True,
        # it was trained at 50
        "adding, trained at T = 200: lstm below a tenth of the constant answer's error": None,
    }


@pytest.mark.parametrize("own", [{"cells": ("own.py:gru",)}, {"tasks": ("own.py:parity",)}])
def test_nothing_is_claimed_of_what_is_called_as_one_of_the_library(own):
    config = runs.replaced(PRESETS["smoke"], **{"tasks": ("parity",), "cells": ("gru",)} | own)
    assert not claims(config, {("parity", "gru"): ({40: [1.0], 256: [1.0]}, [0.0])})


def test_claims_about_options_of_a_cell():
    """Negative eigenvalues, and states of several sizes; modular arithmetic at the paper's size."""
    negative, name = "delta_net(heads=2,eigenvalues=-1..1)", "arithmetic to 40, tested at 256"
    best = {
        ("parity", negative): ({40: [1.0], 256: [0.95, 0.1]}, [0.0]),
        ("parity", "mamba2"): ({40: [1.0], 256: [0.02, 0.0]}, [0.0]),
        ("modular_arithmetic", "delta_net"): ({40: [1.0], 256: [0.6, 0.1]}, [0.0]),
        ("modular_arithmetic", negative): ({40: [1.0], 256: [0.95, 0.1]}, [0.0]),
        ("recall", "delta_net(heads=8)"): ({64: [0.1, 0.2]}, [1.0]),
        ("recall", "delta_net"): ({64: [0.6]}, [1.0]),
    }

    def verdicts(**changes):
        config = runs.replaced(PRESETS["smoke"], tasks=("parity",), **changes)
        return {claim.name: claim.holds for claim in claims(config, best)}

    recall = "recall by state: delta_net recalls so much more than delta_net(heads=8)"
    assert verdicts(tasks_as="published") == {
        recall: True,
        f"parity to 40, tested at 256: {negative}, transitions in [-1, 1], solves it": True,
        "parity to 40, tested at 256: mamba2, transitions in [0, 1], does not": True,
        f"modular {name}: delta_net, transitions in [0, 1], does not": False,
        f"modular {name}: {negative}, transitions in [-1, 1], learns it": True,
    }
    assert verdicts()[f"modular {name}: delta_net, transitions in [0, 1], does not"] is None
    best["recall", "delta_net"] = ({64: [0.1]}, [1.0])
    assert verdicts()[recall] is False
    del best["recall", "delta_net"]
    assert verdicts()[recall] is None


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_tasks_have_their_lengths(name):
    task, source, *sizes = PUBLISHED[name]()
    assert "https://" in source
    assert task.shortest <= task.train_lengths[0] <= task.train_lengths[1] == task.test_lengths[0]
    assert min(sizes) >= 0


@pytest.mark.full
def test_the_whole_of_it_with_a_task_of_ones_own(own, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    small = ["--preset", "smoke", "--cells", "gru", "--epochs", "1"]
    assert battery.main([*small, "--tasks", "parity", f"{own}:ends", "--run", str(run)]) == 0
    assert "scaled score at the length of training" in capsys.readouterr().out
    assert read_sweep(run).fields == {"learning_rate": [3e-3, 1e-2]}
    rows = summary(run)["results"]
    assert [(row["task"], row["cell"]) for row in rows] == [("parity", "gru"), ("ends", "gru")]
    assert (run / "plots" / "battery.png").is_file()
    card = (run / "cards" / "gru.html").read_text(encoding="utf-8")
    assert "Gated recurrent unit" in card
    # without the file, and from another folder
    own.rename(own.with_name("away.py"))
    monkeypatch.chdir(tmp_path)
    shutil.move("run", "moved")
    assert battery.main(["--resume", "moved"]) == 0
    assert summary(Path("moved"))["results"] == rows


def test_a_batch_of_a_training_step_is_its_own():
    part = next(iter(settings(PRESETS["smoke"]).values()))
    parts = battery.build(part).training.ingredients
    assert parts is not None
    batch = jax.eval_shape(parts.batch)
    assert isinstance(batch, Batch)
    assert batch.inputs.shape == (40, 8)
    assert Path(battery.__file__).name == "__init__.py"


def test_a_run_keeps_the_code_of_its_task(own, tmp_path):
    """As of its cell; it is held against what it was, and trusted before it is run."""
    config = runs.replaced(PRESETS["smoke"], tasks=(f"{own}:ends",))
    flags = TrainingFlags(run=tmp_path / "run")
    with releasing_locks():
        begun = open_directory(battery.EXPERIMENT, config, flags, [], [], [0], jax.devices()[:1])
    assert begun.task.read_text() == OWN
    resumed = TrainingFlags(resume=tmp_path / "run")
    assert with_stored_code(config, resumed).tasks == (f"{begun.task}:ends",)
    with pytest.raises(ValueError, match=r"--no-cell-code: .*run has code of its own"):
        with_stored_code(config, replace(resumed, no_cell_code=True))
    own.write_text(OWN + "# another\n")
    with pytest.raises(ValueError, match=r"the task in .* is not the one the run began with"):
        with_stored_code(config, resumed)


def test_a_hidden_size_is_found_by_the_seconds_once_for_all_rates(monkeypatch):
    """On a clock on which a hidden unit takes a second; a resumed run has the size that it had."""
    asked = []

    def seconds(setting, *_):
        asked.append(setting.model.hidden_size)
        return float(asked[-1])

    monkeypatch.setattr(training, "measured_seconds", seconds)
    config = runs.replaced(PRESETS["smoke"], tasks=("parity",), cells=("elman",), equal="seconds")
    (part,) = settings(runs.replaced(config, seconds=13.0)).values()
    assert battery.build(part).model.hidden_size == 8
    asked.clear()
    assert battery.build(runs.replaced(part, learning_rate=0.5)).model.hidden_size == 8
    (again,) = settings(replace(config, sizes=(("parity-elman", 12),))).values()
    assert battery.build(again).model.hidden_size == 12
    assert not asked


def test_long_presets_say_what_they_would_take(monkeypatch):
    monkeypatch.setattr(estimate, "_step_seconds", lambda part: 0.5)
    published = runs.replaced(PRESETS["published"], cells=("gru", "elman"))
    # 2 cells on 2 tasks, 3 rates of 3 seeds, 100,000 steps of half a second on two devices
    days = 2 * 2 * 9 * 100_000 * 0.5 / len(jax.devices()) / 86_400
    assert estimate.notice(published).startswith(f"about {days:.1f} days of training")
    assert estimate.notice(PRESETS["smoke"]) == ""


def test_halved_rates_have_fewer_steps():
    config = runs.replaced(PRESETS["smoke"], rates=(1e-3, 1e-2, 1e-1), epochs=2, seeds=2, steps=5)
    assert estimate.member_steps(config) == (3 + 1) * 5 * 2
    assert estimate.member_steps(runs.replaced(config, halve_rates=0)) == 3 * 2 * 5 * 2
