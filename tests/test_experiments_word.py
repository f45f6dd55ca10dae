"""The word model: what it trains, what it reports, and texts that are hardly any."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments_support import (
    config_of,
    error_of,
    files_of,
    logged,
    refusal,
    summary,
    training_of,
)
from tiers import mostly_full

from experiments import generate, word
from experiments.word import config as names
from experiments.word.claims import all_claims, notebook_claims, saturation_claims, vector_claims
from experiments.word.config import Config
from experiments.word.report import unigram_entropy
from experiments.word.training import WATCHED, narrowed_tables, shares_saturated, words_of
from experiments.word.vectors import nearest, shown
from jaxrnn import runs
from jaxrnn.data import Vocabulary, build_vocabulary
from jaxrnn.gradients.stateless import Restarts
from jaxrnn.gradients.weight_drop import Dropping
from jaxrnn.models import build_model, cross_entropy
from jaxrnn.runs.config import flags_of, replaced
from jaxrnn.runs.sampling import SUMS

LINE = "the hound of the baskervilles said mr holmes to dr watson , and he was right ."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("word")


@pytest.fixture(scope="module")
def text(folder):
    """900 words; a word follows the one before it in the list, mostly."""
    rng, path, place = np.random.default_rng(0), folder / "text.txt", 0
    words, found = LINE.split(), []
    for _ in range(900):
        found.append(words[place])
        place = (place + 1) % len(words) if rng.random() < 0.8 else int(rng.integers(len(words)))
    path.write_text(" ".join(found), encoding="utf-8")
    return path


def small(text):
    """43 windows or 11 segments an epoch."""
    sizes = "--cell elman --hidden-size 6 --embedding-size 4 --dense-size 5 --batch-size 16"
    rest = "--num-steps 4 --negatives 5 --epochs 2 --log-every 10 --sample-length 6 --devices 1"
    return ["--corpus", str(text), *sizes.split(), *rest.split()]


KINDS = {
    "published": [],
    "whole": ["--loss", "full"],
    "streams": [
        *("--reading", "streams", "--loss", "sampled", "--optimizer", "adam"),
        *("--max-norm", "1.0", "--learning-rate", "0.01", "--seeds", "2"),
        *("--tied", "--embedding-size", "5"),
    ],
    "regularised": [
        *("--reading", "streams", "--loss", "full", "--optimizer", "rmsprop"),
        *("--dense-size", "0", "--dropout", "0.2"),
        *("--weight-drop", "0.2", "--learning-rate", "0.01", "--decay", "cosine"),
    ],
}


@pytest.fixture(scope="module")
def trained(folder, text):
    def run(kind):
        path = folder / kind
        if not path.exists():
            assert word.main([*small(text), *KINDS[kind], "--run", str(path)]) == 0
        return path

    return run


@pytest.mark.parametrize("kind", mostly_full(KINDS, "published"))
def test_a_run_has_its_row_its_samples_and_its_plots(kind, trained):
    run = trained(kind)
    (row,) = summary(run)["results"]
    assert row["loss_kind"] == json.loads((run / "config.json").read_text())["config"]["loss"]
    assert (row["model"], row["cell"]) == ("word", "elman")
    np.testing.assert_allclose(row["perplexity"], np.exp(row["valid_loss"]))
    assert row["valid_loss"] == row["valid_spread"]["median"]
    assert row["seeds"] == ([0, 1] if kind == "streams" else [0])
    assert len(row["valid_losses"]) == len(row["train_losses"]) == 2
    assert row["seconds"] > 0
    _, params, vocabulary, _ = runs.load(run)
    assert vocabulary is not None
    assert row["parameters"] == sum(a.size for a in jax.tree.leaves(params))
    assert row["vocabulary"] == vocabulary.size
    names = {f"epoch_{i:03d}_{way}_seed_0.txt" for i in (1, 2) for way in ("argmax", "sampled")}
    names |= {SUMS}
    assert files_of(run / "samples").keys() == names
    assert files_of(run / "plots").keys() == {"training_loss.png", "validation_loss.png"}


@pytest.mark.parametrize("kind", mostly_full(["published", "streams"], "published"))
def test_validation_is_the_whole_softmax_whatever_is_trained(kind, trained):
    """Of the last params: every window from a carry of its own, or all words as they come."""
    run = trained(kind)
    config = json.loads((run / "config.json").read_text())["config"]
    cell, params, _, _ = runs.load(run, which="last")
    tokens = words_of(replaced(Config(), corpus=config["corpus"])).valid
    step, objective = jax.jit(cell.step), jax.jit(cross_entropy)

    def losses(tokens, scored):
        carry, found = cell.init_carry(params, jax.random.key(0)), []
        for place in range(len(tokens) - 1):
            carry, logits = step(params, carry, tokens[place])
            found.append(float(objective(logits, tokens[place + 1])))
        return found[-scored:]

    if kind == "published":
        parts = [losses(tokens[i : i + 5], 1) for i in range(len(tokens) - 4)]
    else:
        columns = tokens[: len(tokens) // 16 * 16].reshape(16, -1)
        parts = [losses(column, len(column) - 1) for column in columns]
    (*_, logged_loss) = (
        line["valid_loss"] for line in logged(run) if line["seed"] == 0 and "valid_loss" in line
    )
    np.testing.assert_allclose(np.mean(np.concatenate(parts)), logged_loss, rtol=1e-4)


@pytest.mark.full
def test_windows_come_in_another_order_every_epoch(text):
    """Each once: with a learning rate of 0 the losses of two epochs are the same set."""
    flags = {"corpus": str(text), "hidden_size": 3, "embedding_size": 2, "dense_size": 2}
    flags |= {"num_steps": 4, "batch_size": 16, "loss": "full", "epochs": 2, "log_every": 100}
    training = training_of(word, replaced(Config(), **flags))
    state, chunk, epochs = training.init(jax.random.key(0), 0.0), jax.jit(training.chunk), []
    for _ in range(training.chunks):
        state, metrics = chunk(state)
        epochs.append(np.asarray(metrics["loss"]))
    assert training.steps_per_epoch == 810 // 16 - 1 - 3
    assert not np.array_equal(*epochs)
    np.testing.assert_allclose(np.sort(epochs[0]), np.sort(epochs[1]), rtol=1e-6)


@pytest.mark.full
def test_a_model_learns_the_order_of_words(text):
    """From candidates alone, far below what the words' frequencies tell."""
    flags = {"corpus": str(text), "hidden_size": 16, "embedding_size": 8, "dense_size": 0}
    flags |= {"init": "default", "cell": "gru", "num_steps": 4, "batch_size": 16, "epochs": 20}
    config = replaced(Config(), **flags, negatives=8)
    setting = word.build(word.settings(config)["word"])
    training = setting.training
    state, chunk = training.init(jax.random.key(0), 0.05), jax.jit(training.chunk)
    for _ in range(training.chunks):
        state, _ = chunk(state)
    found = float(jax.jit(setting.validate)(state.params)["valid_loss"])
    assert found < unigram_entropy(words_of(config).train) - 0.5


@pytest.mark.full
def test_a_run_is_resumed(text, folder, trained):
    run = folder / "resumed"
    flags = [*small(text), "--epochs", "1", "--sample-length", "0"]
    assert word.main([*flags, "--run", str(run)]) == 0
    assert word.main(["--resume", str(run), "--epochs", "2"]) == 0
    assert logged(run) == logged(trained("published"))


def test_text_is_written_from_a_run(trained, capsys):
    run = trained("published")
    capsys.readouterr()
    flags = ["--run", str(run), "--prompt", "the hound", "--length", "12"]
    assert generate.main([*flags, "--temperature", "0"]) == 0
    written = capsys.readouterr().out
    assert written.startswith("the hound")
    assert len(written.split()) > 10


# What can be wrong


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"negatives": 17}, "--negatives is 17, the vocabulary has 16 words"),
        ({"negatives": 0}, "--negatives is 0"),
        ({"tied": True, "embedding_size": 7}, "tied needs an --embedding-size of 5"),
        ({"estimator": "rtrl"}, "give --reading streams, or --estimator tbptt"),
        ({"embedding_size": 0}, "--embedding-size is 0"),
        ({"dense_size": -1}, "--dense-size is -1"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"num_steps": 60}, "--num-steps is 1 with history 59"),
        ({"sample_length": -1}, "--sample-length is -1"),
        ({"history": 2}, "--history is 2, and a window is history up to the word that it predicts"),
        ({"study": "saturation", "connect": "residual"}, "--connect is residual, and --study"),
        ({"study": "saturation", "tied": True}, "--tied is True, and --study saturation looks"),
    ],
)
def test_what_cannot_be_trained_is_refused(text, changes, message):
    config = config_of(word, *small(text))
    assert message in refusal(word, replaced(config, **changes))


def test_the_command_says_so_and_leaves_nothing(text, tmp_path, capsys):
    run = tmp_path / "run"
    flags = [*small(text), "--negatives", "17", "--run", run]
    assert "--negatives is 17" in error_of(capsys, word.main, flags)
    assert not run.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "an empty file; give one with text"),
        ("\n \t\n", "an empty file; give one with text"),
        ("... %% \N{SLEUTH OR SPY}", "--batch-size is 16, the text has"),
        ("\N{ZERO WIDTH SPACE}", "no word"),
        ("%%", "--batch-size is 16, the text has 1 tokens"),
        ("word", "--batch-size is 16, the text has 1 tokens"),
        ("a b c", "--batch-size is 16, the text has 2 tokens"),
    ],
)
def test_texts_of_hardly_a_word(content, message, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(content, encoding="utf-8")
    assert message in refusal(word, config_of(word, *small(path)))


@pytest.mark.full
def test_nothing_to_validate_on(text, tmp_path):
    """As published, everything trains."""
    run = tmp_path / "run"
    flags = [*small(text), "--valid-fraction", "0", "--epochs", "1", "--run", str(run)]
    assert word.main(flags) == 0
    found = summary(run)
    (row,) = found["results"]
    assert row["valid_loss"] is row["perplexity"] is None
    assert [claim["holds"] for claim in found["claims"]] == [None, None, None]


@pytest.mark.parametrize(("limit", "size"), [(1_000_000, 17), (5, 5)])
def test_a_limit_of_the_vocabulary(text, limit, size):
    """Above the number of words it adds the unknown one alone."""
    flags = {"corpus": str(text), "limit": limit, "negatives": 5, "batch_size": 16}
    config = replaced(Config(), **flags, num_steps=4)
    vocabulary = words_of(config).vocabulary
    assert vocabulary.size == size
    assert vocabulary.symbols[0] == "<unk>"
    training = training_of(word, config)
    state = jax.eval_shape(training.init, jax.random.key(0), 0.1)
    assert state.params["head"]["b"].shape == (size,)
    after, _ = jax.eval_shape(training.chunk, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)


# Words


ODD = ("the", "a\nb", "c\td", "<script>alert(1)</script>", "\N{SLEUTH OR SPY}", "[red]")


def test_words_that_hold_anything_stand_in_one_line():
    line = shown(ODD)
    assert line.split(", ") == ["the", "a\\nb", "c\\td", *ODD[3:]]
    vocabulary = Vocabulary("word", ODD, None)
    vectors = np.eye(6) + 0.1 * np.eye(6)[[1, 0, 3, 2, 5, 4]]
    assert nearest(vectors, vocabulary, {"a\nb": 1})[0] == "the"
    assert nearest(vectors, vocabulary, {"[red]": 1})[0] == "\N{SLEUTH OR SPY}"
    assert nearest(vectors, vocabulary, {"absent": 1}) == []
    assert Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json()))) == vocabulary


@pytest.mark.full
def test_a_text_of_odd_tokens_trains(tmp_path):
    """HTML and emoji are words where they stand between spaces, and a newline has a symbol."""
    path = tmp_path / "text.txt"
    path.write_text("<b>hi</b> \N{SLEUTH OR SPY} it's\n[red] a\tb " * 60, encoding="utf-8")
    vocabulary = build_vocabulary(path.read_text(encoding="utf-8"), "token")
    assert set(vocabulary.symbols) >= {"<b>hi</b>", "\N{SLEUTH OR SPY}", "<eos>"}
    run = tmp_path / "run"
    assert word.main([*small(path), "--epochs", "1", "--run", str(run)]) == 0


def test_analogies_of_made_up_vectors():
    words = ("had", "has", "was", "is", "other")
    numbers = np.array([[1, 0, 1], [1, 1, 1], [0, 0, 1], [0, 1, 1], [-1, -1, -1]], float)
    vocabulary = Vocabulary("word", words, None)
    assert nearest(numbers, vocabulary, {"has": 1, "had": -1, "was": 1})[0] == "is"
    assert nearest(numbers, vocabulary, {"has": 1, "had": -1, "absent": 1}) == []
    with np.errstate(all="raise"):  # a vector of zeros has no direction
        assert nearest(np.zeros((5, 3)), vocabulary, {"had": 1}) == [*words[1:]]


# Saturation


@pytest.mark.full
def test_shares_of_saturated_units(text):
    flags = {"cell": "elman", "hidden_size": 6, "embedding_size": 4, "dense_size": 5}
    flags |= {"init": "default", "loss": "full", "num_steps": 4}
    config = replaced(Config(), corpus=str(text), **flags)
    cell = build_model(word.build(config).model)
    params = jax.tree.map(lambda a: 3 * a, cell.init(jax.random.key(0)))
    tokens = np.arange(12).reshape(4, 3)
    layer, h, outputs = jax.tree.map(np.asarray, params["layer_1"]), np.zeros((3, 6)), []
    for row in tokens:
        x = np.asarray(params["embed"]["w"])[row]
        h = np.tanh(x @ layer.w_ih + h @ layer.w_hh + layer.b)
        outputs.append(h)
    dense = np.tanh(h @ np.asarray(params["hidden"]["linear"]["w"]))
    found = shares_saturated(config, params, jnp.asarray(tokens))
    expected = {"saturated": np.stack(outputs), "saturated_dense": dense}
    assert found.keys() == WATCHED.keys()
    for name, units in expected.items():
        np.testing.assert_allclose(found[name], np.mean(np.abs(units) > 0.97), rtol=1e-6)
    assert 0 < found["saturated"] < 1


@pytest.mark.full
def test_the_study_trains_its_settings_in_turn(text, tmp_path, monkeypatch):
    """Two that differ in name alone: a program is compiled for each other one."""
    two = {names.BASIC: {}, names.RECOVERING: {}}
    monkeypatch.setattr(names, "SATURATION", two)
    run = tmp_path / "run"
    flags = [*small(text), "--study", "saturation", "--epochs", "1", "--sample-length", "0"]
    assert word.main([*flags, "--run", str(run)]) == 0
    found = summary(run)
    assert [row["model"] for row in found["results"]] == list(two)
    assert [row["cell"] for row in found["results"]] == ["elman", "elman"]
    for row in found["results"]:
        lines = [line for line in logged(run) if line["setting"] == row["model"]]
        shares = [line["saturated"] for line in lines if "saturated" in line]
        assert row["saturation"]["saturated"]["highest"] == max(shares)
        assert row["saturation"]["saturated"]["last"] == shares[-1]
    assert {claim["holds"] for claim in found["claims"]} == {None}
    assert (run / "plots" / "saturation.png").exists()


def test_a_study_changes_the_preset_of_its_name():
    """Where no other preset is named; a run that goes on has its config already."""
    assert word.from_its_preset(["--study", "saturation", "--epochs", "2"]) == [
        *("--preset", "saturation", "--study", "saturation", "--epochs", "2")
    ]
    for argv in (
        ["--study=saturation", "--preset", "smoke"],
        ["--resume", "runs/a", "--study", "saturation"],
        ["--study", "none"],
        ["--study", "nonsense"],
        ["--study"],
        ["--epochs", "2"],
    ):
        assert word.from_its_preset(argv) == argv


def test_claims_of_the_study():
    config = word.PRESETS["saturation"]

    def rows(**found):
        return [
            {
                "model": name,
                "last_losses": [loss],
                "saturation": {
                    field: {"highest": high, "last": last}
                    for field in ("saturated", "saturated_dense")
                },
            }
            for name, (loss, high, last) in found.items()
        ]

    page = {
        names.BASIC: (10.0, 0.9, 0.8),
        names.RECOVERING: (5.0, 0.9, 0.4),
        names.CLIPPED: (11.0, 0.3, 0.3),
        names.SHORT: (9.0, 0.4, 0.1),
        names.GRU: (8.0, 0.2, 0.2),
        names.LSTM: (8.0, 0.2, 0.2),
    }
    assert [claim.holds for claim in saturation_claims(config, rows(**page))] == [True] * 9
    other = page | {names.BASIC: (4.0, 0.1, 0.1), names.RECOVERING: (5.0, 0.9, 0.6)}
    assert not any(claim.holds for claim in saturation_claims(config, rows(**other))[:5])
    changed = replaced(config, learning_rate=0.01)
    assert {claim.holds for claim in saturation_claims(changed, rows(**page))} == {None}


# Claims and presets


def test_unigram_entropy():
    np.testing.assert_allclose(unigram_entropy(np.array([3, 3, 5, 9])), 1.5 * np.log(2))


def test_claims_of_the_notebook():
    config = word.PRESETS["notebook"]
    losses = np.linspace(5, 1, 75).tolist()
    claims = {claim.name.split(":")[0]: claim for claim in notebook_claims(config, losses)}
    assert len(claims) == 8
    assert [claim.observed for claim in claims.values()][-1] == 1
    assert claims["noise-contrastive loss at the end of epoch 2"].holds is False
    assert claims["noise-contrastive loss at the end of epoch 75"].holds is True
    assert notebook_claims(config, losses[:9])[3].holds is None
    assert notebook_claims(replaced(config, learning_rate=0.1), losses) == []
    assert notebook_claims(replaced(config, valid_fraction=0.0, seeds=3), losses)


@pytest.mark.parametrize(
    ("losses", "holds"),
    [
        ([5.4, 5.3], [True, True, True]),
        ([6.2, 6.1], [False, True, False]),
        ([5.0, 5.1], [True, False, True]),
        ([5.9], [True, None, False]),
    ],
)
def test_claims_of_a_model(losses, holds):
    row = {"valid_losses": losses, "valid_loss": min(losses), "last_losses": []}
    claims = all_claims(word.PRESETS["best"], row, 6.0)
    assert [claim.holds for claim in claims] == holds
    other = all_claims(replaced(word.PRESETS["best"], corpus="ptb"), row, 6.0)
    assert other[2].holds is None


def test_the_presets_are_the_pages_and_the_notebooks():
    assert word.PRESETS["published"] == Config()
    page, notebook = (flags_of(word.PRESETS[name]) for name in ("published", "notebook"))
    published = {"embedding_size": 64, "hidden_size": 192, "dense_size": 96, "batch_size": 32}
    published |= {"num_steps": 20, "epochs": 75, "learning_rate": 0.05, "momentum": 0.8}
    published |= {"negatives": 64, "loss": "nce", "reading": "windows", "optimizer": "momentum"}
    assert published.items() <= page.items()
    assert {"hidden_size": 128, "dense_size": 196}.items() <= notebook.items()


def test_first_weights_as_published(text):
    config = replaced(Config(), corpus=str(text), loss="full")  # of fewer words than negatives
    model = build_model(word.build(config).model)
    params = jax.jit(model.init)(jax.random.key(0))
    embedding = np.abs(params["embed"]["w"])
    assert 0.0095 < embedding.max() < 0.01
    np.testing.assert_allclose(params["hidden"]["linear"]["w"].std(), 0.1 / np.sqrt(192), rtol=0.02)
    assert not params["head"]["b"].any()
    assert jnp.isfinite(params["layer_1"].w_hh).all()


@pytest.mark.parametrize("estimator", ["rtrl", "uoro"])
def test_an_online_style_reads_whole_tables(text, estimator):
    """What it carries is laid out for them."""
    config = config_of(word, "--preset", "smoke", "--corpus", text, "--reading", "streams")
    online = replaced(config, estimator=estimator, loss="full")
    assert narrowed_tables(online, 20, by_rows=True) == ()
    line = refusal(word, replaced(online, loss="sampled"))
    assert "--loss is sampled, which trains rows of the tables that each training step" in line
    assert f"--estimator {estimator} carries on the influence" in line


def test_a_window_has_the_mask_of_its_training_step(text):
    """The same for every sequence, which each begin anew inside of it."""
    config = config_of(word, "--preset", "smoke", "--corpus", text, "--weight-drop", "0.5")
    training = training_of(word, config)
    carry = jax.eval_shape(lambda key: training.init(key, 0.1).carry, jax.random.key(0))
    assert isinstance(carry, Dropping)
    assert isinstance(carry.sequences, Restarts)


def test_claims_of_word_vectors():
    """By the better embedding of the two."""

    def holds(found, near, preset="quick"):
        analogy = {"a": "had", "b": "has", "c": "was", "found": found}
        one = {"nearest": {"mr": near}, "analogies": [analogy]}
        row = {"words": {"input": {"nearest": {}, "analogies": []}, "output": one}}
        return [claim.holds for claim in vector_claims(word.PRESETS[preset], row)]

    assert holds(["been", "is"], ["mrs", "dr", "x"]) == [True, True]
    assert holds(["been"], ["mrs", "x"]) == [False, False]
    assert holds(["is"], ["mrs", "dr"], "smoke") == []
