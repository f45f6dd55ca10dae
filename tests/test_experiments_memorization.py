"""The memorization experiment: its phases against a plain loop, its claims on known rows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from drawing import some_params
from experiments_support import error_of, files_of, logged, refusal, summary
from stopping import assert_same_run, dies_after

from experiments import memorization
from experiments.memorization.config import Config, read_text
from experiments.memorization.phases import phased_training, windows_of
from experiments.memorization.showing import (
    PARAMETERS,
    all_claims,
    memory_of,
    places_in,
    shown_in,
)
from jaxrnn import runs
from jaxrnn.interop import model_from_keras
from jaxrnn.interop.files import load_keras, save_keras
from jaxrnn.interop.keras import to_keras
from jaxrnn.models import build_model, cross_entropy
from jaxrnn.runs.config import replaced

TEXT = "the_rose_by_any_other_name_would_smell"
KEY = jax.random.key(3)
SMALL = replaced(
    Config(),
    cell="elman",
    window=7,
    hidden_size=4,
    embedding_size=3,
    most_epochs=(2, 6, 5),
    learning_rate=(1e-2, 3e-2, 1e-3),
    batch_size=(1, 2, 1),
    patience=(0, 2, 3),
    shuffled=(False, True, False),
)
TOKENS = jnp.array([ord(character) % 11 for character in TEXT])
MODEL = build_model(runs.token_model(SMALL.model, 11))


def every_state(config: Config, epochs: int, rate: float | None = None):
    training = phased_training(memorization.settings(config)["elman"], MODEL, TOKENS)
    state = training.init(KEY, config.learning_rate[0] if rate is None else rate)
    chunk = jax.jit(training.chunk)
    states = [state]
    for _ in range(epochs):
        state, _ = chunk(state)
        states.append(state)
    return states


def test_windows_and_what_follows_them():
    xs, targets = windows_of(jnp.arange(10), 7)
    assert xs.T.tolist() == [list(range(n, n + 7)) for n in range(3)]
    assert targets.tolist() == [7, 8, 9]


@pytest.mark.full
def test_an_epoch_is_a_plain_loop_over_windows():
    """31 windows in batches of two: the last has one."""
    config = replaced(SMALL, batch_size=(2, 2, 1))
    before, after = every_state(config, 1)
    xs, targets = windows_of(TOKENS, 7)
    assert len(targets) == 31
    optimizer = optax.adam(1e-2)

    @jax.jit
    def update(params, opt_state, xs, targets):
        def loss(params):
            def last(window):
                carry = MODEL.init_carry(params, KEY)
                step = functools.partial(MODEL.step, params)
                return jax.lax.scan(step, carry, window)[1][-1]

            return cross_entropy(jax.vmap(last)(xs), targets).mean()

        value, grads = jax.value_and_grad(loss)(params)
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state, value

    params, opt_state, total = before.params, optimizer.init(before.params), 0.0
    for start in range(0, 31, 2):
        rows = slice(start, start + 2)
        params, opt_state, value = update(params, opt_state, xs[:, rows].T, targets[rows])
        total += float(value) * len(targets[rows])
    for one, other in zip(jax.tree.leaves(after.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(after.carry.latest[0], total / 31, rtol=1e-4)


@pytest.mark.full
def test_what_learns_nothing_stops_when_its_patience_ends():
    """At a rate of next to nothing the accuracy is that of the first epoch, and no better."""
    states = every_state(SMALL, 11, rate=1e-12)
    phases = [int(state.carry.phase) for state in states]
    # two epochs without patience, then 1 + 2, then 1 + 3, and nothing more
    assert phases == [0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3]
    last, rest = states[9], states[10:]
    for state in rest:
        jax.tree.map(np.testing.assert_array_equal, state.params, last.params)
    rates = [float(optax.tree.get(states[i].opt_state, "learning_rate")) for i in (0, 2, 5)]
    np.testing.assert_allclose(rates, [1e-12, 3e-12, 1e-13], rtol=1e-5)


@pytest.mark.full
def test_a_phase_with_patience_ends_at_its_best_epoch():
    config = replaced(SMALL, most_epochs=(1, 12, 1), learning_rate=(1e-2, 0.5, 1e-3))
    states = every_state(config, 13)
    phases = [int(state.carry.phase) for state in states]
    end = phases.index(2)
    accuracies = [float(state.carry.latest[1]) for state in states[2 : end + 1]]
    best = 2 + int(np.argmax(accuracies))
    assert best < end  # so steep that the last epoch was not the best
    jax.tree.map(
        np.testing.assert_array_equal,
        states[end].params,
        states[best].params,
    )
    moments = optax.tree.get(states[end].opt_state, "mu")  # of a fresh optimizer
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(moments))


def test_phases_that_do_not_fit_together():
    for changes, message in [
        ({"patience": (1,)}, "--patience and --shuffled have 3, 3, 3, 1, 3 entries"),
        ({"batch_size": (1, 0, 1)}, "--batch-size is 0"),
        ({"patience": (0, -1, 0)}, "--patience is -1"),
        ({"learning_rate": (0.0, 1.0, 1.0)}, "--learning-rate holds 0.0"),
        ({"init": "published", "num_layers": 2}, "--num-layers is 2, and --init published"),
    ]:
        assert message in refusal(memorization, replaced(SMALL, **changes))


def test_memory_is_that_of_the_windows_into_nvidia():
    places = places_in(1005)
    assert len(places) == 18
    lags = np.zeros((18, 64), np.float32)
    lags[:, 0] = 1  # windows 130 and 699 look at the newest character alone
    lags[1:17] = np.eye(64)[20]
    found = memory_of(lags, 1005)
    assert found == {"mean_lag": 20, "half_life": 20, "share_beyond_16": 1}
    assert places_in(100) == [99]
    assert shown_in(1005) == range(130, 194)
    assert shown_in(140) == range(130, 140)
    assert shown_in(30) == range(30)


def row(cell, **numbers):
    published = {
        "lstm": {"loss": 0.3344, "accuracy": 0.9264, "mean_lag": 8.0, "share_beyond_16": 0.2},
        "elman": {"loss": 1.2073, "accuracy": 0.6308, "mean_lag": 3.0, "share_beyond_16": 0.1},
    }
    return {"cell": cell, "parameters": PARAMETERS[cell]} | published[cell] | numbers


def test_claims_hold_of_the_published_numbers():
    assert all(claim.holds for claim in all_claims(Config(), [row("lstm"), row("elman")]))


def test_claims_fail_of_others_and_are_open_without():
    rows = [row("lstm", accuracy=0.5, parameters=3200), row("elman", mean_lag=9.0)]
    failed = [claim.name for claim in all_claims(Config(), rows) if claim.holds is False]
    assert len(failed) == 4
    shorter = all_claims(replaced(Config(), most_epochs=(1, 1, 1, 1)), [row("lstm"), row("elman")])
    assert [claim.holds for claim in shorter] == [True, True] + [None] * 7
    only_one = all_claims(replaced(Config(), cell="lstm"), [row("lstm")])
    assert [claim.holds for claim in only_one] == [True, None, True, None, True] + [None] * 4


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Of a run of two seeds; each batch size compiles a program: there is one."""
    text = tmp_path_factory.mktemp("text") / "text.txt"
    text.write_text(TEXT * 2, encoding="utf-8")
    sizes = "--window 7 --hidden-size 4 --embedding-size 3 --batch-size 2 2 2 2 --seeds 2"
    return ["--preset", "smoke", "--corpus", str(text), *sizes.split(), "--devices", "1"]


@pytest.fixture(scope="module")
def done(flags, tmp_path_factory):
    """Of one model, which costs half of what both do."""
    path = tmp_path_factory.mktemp("memorization") / "run"
    assert memorization.main([*flags, "--cell", "elman", "--run", str(path)]) == 0
    return path


def test_a_run_has_its_rows_and_figures(done):
    holds_rows_and_figures(done, ["elman"])


@pytest.mark.full
def test_a_run_of_both_models_has_the_rows_and_figures_of_both(flags, tmp_path):
    assert memorization.main([*flags, "--run", str(tmp_path / "run")]) == 0
    holds_rows_and_figures(tmp_path / "run", ["lstm", "elman"])


def holds_rows_and_figures(run, cells):
    rows = summary(run)["results"]
    each = [(cell, seed) for cell in cells for seed in (0, 1)]
    assert [(r["cell"], r["seed"]) for r in rows] == each
    wanted = {"cell", "seed", "loss", "accuracy", "parameters", "mean_lag", "share_beyond_16"}
    assert all(wanted <= r.keys() for r in rows)
    assert all(0 <= r["mean_lag"] <= 6 for r in rows)
    names = {path.name for path in (run / "plots").iterdir()}
    kinds = ("connectivity", "activations")
    pictures = {f"{kind}_{cell}.png" for kind in kinds for cell in cells}
    assert names == pictures | {"learning_curves.png"}
    mine = [line for line in logged(run) if (line["setting"], line["seed"]) == ("elman", 1)]
    assert [line["phase"] for line in mine if "phase" in line] == [0, 1, 2, 3]
    for cell in cells:
        parts = {"elman": ["h"], "lstm": ["h", "c"]}[cell]
        with np.load(run / f"{cell}.npz") as arrays:
            assert {"connectivity", *(f"activations/{part}" for part in parts)} == {*arrays}


@pytest.mark.full
def test_a_run_that_was_killed_goes_on(done, flags, tmp_path):
    path = tmp_path / "run"
    arguments = [*flags, "--cell", "elman", "--run", str(path), "--checkpoint-seconds", "0"]
    dies_after(9, lambda: memorization.main(arguments))
    assert memorization.main(["--resume", str(path)]) == 0
    assert_same_run(done, path, members=2)


def test_a_trained_run_is_shown_again(done, tmp_path):
    before = files_of(done)
    assert memorization.main(["--from", str(done), "--out", str(tmp_path)]) == 0
    assert files_of(done) == before
    assert len(files_of(tmp_path)) == 3
    with np.load(tmp_path / "elman.npz") as again, np.load(done / "elman.npz") as first:
        np.testing.assert_array_equal(again["connectivity"], first["connectivity"])


@pytest.mark.parametrize("cell", ["lstm", "elman", "gru", "gru_reset_before"])
def test_a_model_of_keras_is_the_model(cell, tmp_path):
    pytest.importorskip("h5py")
    config = runs.token_model(replaced(SMALL, cell=cell).model, 11)
    params = some_params(build_model(config))
    path = tmp_path / "model.h5"
    save_keras(path, layers_of(cell, params))
    model, found = model_from_keras(load_keras(path), 11)
    assert model == config
    assert jax.tree.structure(found) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, found, params)


def layers_of(cell, params):
    return {
        "embedding": {"embeddings": params["embed"]["w"]},
        "recurrent": to_keras(cell, params["layer_1"]),
        "dense": {"kernel": params["head"]["w"], "bias": params["head"]["b"]},
    }


def test_what_is_refused(done, tmp_path, capsys):
    def error(*flags):
        return error_of(capsys, memorization.main, flags)

    assert "does not exist" in error("--from", tmp_path / "none")
    assert "does not exist" in error("--from", tmp_path / "none.h5")
    text = tmp_path / "short.txt"
    text.write_text("short", encoding="utf-8")
    new = ("--corpus", text, "--run", tmp_path / "run")
    assert "--window is 64" in error(*new)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def published_text(flags, monkeypatch):
    """In place of the notebook's, which is not here."""
    corpus = flags[flags.index("--corpus") + 1]
    text = read_text(replaced(Config(), corpus=corpus))
    monkeypatch.setattr(memorization, "read_text", lambda config: text)
    return text


@pytest.mark.full
def test_a_model_of_keras_is_shown(published_text, tmp_path, capsys):
    pytest.importorskip("h5py")
    size = published_text.vocabulary.size
    model = build_model(runs.token_model(SMALL.model, size))
    save_keras(tmp_path / "model.h5", layers_of("elman", model.init(KEY)))
    assert memorization.main(["--from", str(tmp_path / "model.h5")]) == 0
    shown = {"elman.npz", "plots/connectivity_elman.png", "plots/activations_elman.png"}
    assert files_of(tmp_path / "model").keys() == shown
    count = sum(leaf.size for leaf in jax.tree.leaves(model.init(KEY)))
    assert {"elman", f"{count}"} <= {*capsys.readouterr().out.replace("│", " ").split()}


def test_what_is_no_model_of_the_text(published_text, tmp_path, capsys):
    pytest.importorskip("h5py")
    layers = layers_of("elman", some_params(MODEL))
    path = tmp_path / "model.h5"
    assert published_text.vocabulary.size != 11
    for given, message in [
        (layers, r"params['embed']['w'] has shape (11, 3)"),
        ({name: layers[name] for name in ("embedding", "recurrent")}, "one dense layer"),
        (layers | {"second": layers["recurrent"]}, "one recurrent layer"),
    ]:
        save_keras(path, given)
        said = error_of(capsys, memorization.main, ["--from", path])
        assert f"--from {path}: " in said
        assert message in said


def test_ids_are_those_of_the_tokenizer_of_keras(flags):
    """The most frequent first, of several the earliest; 0 is nothing of the text."""
    text = read_text(replaced(Config(), corpus=flags[flags.index("--corpus") + 1], window=7))
    counts = [TEXT.count(symbol) for symbol in text.vocabulary.symbols]
    assert counts[0] == 0
    assert counts[1:] == sorted(counts[1:], reverse=True)
    ones = [symbol for symbol, n in zip(text.vocabulary.symbols, counts, strict=True) if n == 1]
    assert ones == sorted(ones, key=TEXT.index)
