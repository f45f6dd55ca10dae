"""The pure functions of the experiments: they vmap, and the host traces and compiles them once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments_support import SMALL_TOY, config_of, small_char, training_of, write_text
from tiers import mostly_full

from experiments import char, toy
from jaxrnn import cells
from jaxrnn.cells import elman
from jaxrnn.gradients import STYLES
from jaxrnn.runs.config import record_of, replaced


def small_config(experiment, tmp_path):
    if experiment is toy:
        sizes = {"num_steps": (3,), "state_size": (2,), "epochs": (2,)}
        return replaced(toy.Config(), **sizes, length=1000, batch_size=10)
    return replaced(config_of(char, *small_char(write_text(tmp_path))), log_every=5)


@pytest.mark.full
@pytest.mark.parametrize("experiment", mostly_full([toy, char], toy))
def test_a_training_vmaps_over_key_and_learning_rate(experiment, tmp_path):
    train = training_of(experiment, small_config(experiment, tmp_path))
    keys, rates = jax.random.split(jax.random.key(0), 3), jnp.array([0.0, 0.01, 0.1])
    states, chunk = jax.vmap(train.init)(keys, rates), jax.jit(jax.vmap(train.chunk))
    losses = []
    for _ in range(train.chunks):
        states, metrics = chunk(states)
        losses.append(np.where(metrics["step"] > 0, metrics["loss"], np.nan))
    losses = np.concatenate(losses, 1)
    assert np.all(states.step == 2 * train.steps_per_epoch)

    # each of them is its training alone
    one = jax.jit(train.chunk)
    for member in range(3):
        state, alone = train.init(keys[member], rates[member]), []
        for _ in range(train.chunks):
            state, metrics = one(state)
            alone.append(np.where(metrics["step"] > 0, metrics["loss"], np.nan))
        np.testing.assert_allclose(losses[member], np.concatenate(alone), rtol=1e-4)
    start = train.init(keys[0], rates[0])
    assert jax.tree.all(
        jax.tree.map(lambda a, b: bool((a == b[0]).all()), start.params, states.params)
    )


@pytest.mark.parametrize(
    ("experiment", "name"),
    mostly_full(
        [(experiment, name) for experiment in (toy, char) for name in STYLES],
        *((toy, name) for name in STYLES),
        (char, "tbptt"),
    ),
)
def test_every_style_trains(experiment, name, tmp_path):
    """A chunk gives back the state that it was given, and the style is the one asked for."""
    config = replaced(small_config(experiment, tmp_path), estimator=name)
    train = training_of(experiment, config)
    state = jax.eval_shape(train.init, jax.random.key(0), 0.1)
    after, metrics = jax.eval_shape(train.chunk, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert metrics["loss"].dtype == jnp.float32
    cell = elman(2, 4)
    params = cell.init(jax.random.key(0))
    built = STYLES[name](cell, lambda outputs, targets: outputs, 3, 3)
    carry = jax.eval_shape(lambda: built.init(params, jax.random.key(0), 2))
    assert type(state.carry) is type(carry)


@pytest.mark.parametrize("experiment", mostly_full([toy, char], toy))
def test_no_python_runs_per_training_step(experiment, tmp_path, monkeypatch, compilations):
    """A cell's step is traced as often for six epochs as for one, and nothing compiles anew."""
    traced = [0]

    def counting(input_size, hidden_size):
        cell = elman(input_size, hidden_size)

        def step(params, carry, x):
            traced[0] += 1
            return cell.step(params, carry, x)

        return cell._replace(step=step)

    monkeypatch.setitem(cells.CELLS, "counting", counting)
    traces, compiled = [], []
    for epochs in (1, 6):
        traced[0], before = 0, compilations("mapped")
        if experiment is char:
            flags = [*small_char(write_text(tmp_path)), "--epochs", str(epochs)]
        else:
            one = ["--num-steps", "2", "--state-size", "2", "--epochs", str(epochs)]
            flags = [*SMALL_TOY, *one]
        run = str(tmp_path / str(epochs))
        assert experiment.main([*flags, "--cell", "counting", "--run", run]) == 0
        traces.append(traced[0])
        compiled.append(compilations("mapped") - before)
    assert traces[0] == traces[1] > 0
    assert compiled[0] == compiled[1]


def test_the_defaults_are_the_published_settings():
    assert toy.PRESETS["published"] == toy.Config()
    assert char.PRESETS["published"] == char.Config()
    found = record_of(toy.Config())
    assert found["num_steps"] == [1, 5, 10]
    assert found["state_size"] == [4, 4, 16]
    assert found["epochs"] == [2, 1, 10]
    assert (found["batch_size"], found["optimizer"], found["learning_rate"]) == (
        200,
        "adagrad",
        0.1,
    )
    assert (found["length"], found["seeds"]) == (1_000_000, 8)
    found = record_of(char.Config())
    names = ("corpus", "num_layers", "hidden_size", "batch_size", "num_steps", "learning_rate")
    assert [found[name] for name in names] == ["tiny-shakespeare", 3, 100, 32, 200, 1e-4]


def test_claims_are_about_the_published_setting_alone():
    config = toy.Config()
    results = [{"setting": n, "spread": {"median": 0.5192}} for n in toy.settings(config)]
    assert [claim.holds for claim in toy.claims(config, results)] == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]
    changed = replaced(config, optimizer="adam")
    assert [claim.holds for claim in toy.claims(changed, results)] == [None] * 6
    one = replaced(config, num_steps=(5,), state_size=(4,), epochs=(1,), seeds=2, seed=3)
    assert [claim.holds for claim in toy.claims(one, results[1:2])] == [
        None,
        True,
        None,
        None,
        True,
        None,
    ]
