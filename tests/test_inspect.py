"""The command that shows a run: its files, what they hold, and one line where it cannot."""

import json

import jax
import numpy as np
import pytest
from experiments_support import error_of
from inspect_support import read_as_words
from trained_runs import char_run, toy_run

from experiments import inspect
from experiments.inspect.claims import accuracy_by_letters, claims
from jaxrnn import runs
from jaxrnn.data import load_corpus, words

TEXT = "the rose by any other name\nwould smell as sweet "


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspect")
    (folder / "read.txt").write_text(TEXT, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two seeds."""
    return char_run(tmp_path_factory)


@pytest.fixture(scope="module")
def word_run(run, folder):
    """The same model with words in place of its characters."""
    return read_as_words(run, folder / "words", TEXT)


def flags(run, folder, *more):
    given = ["--run", run, "--text", folder / "read.txt", "--lags", 12, *more]
    return [str(flag) for flag in given]


def arrays_of(out, end=""):
    with np.load(out / f"inspect{end}.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def found(run, folder):
    """What the command writes about one run."""
    out = folder / "found"
    assert inspect.main(flags(run, folder, "--member", 1, "--out", out)) == 0
    return out


def test_page_arrays_and_figures(found):
    assert (found / "inspect.html").stat().st_size > 10_000
    figures = sorted(path.name for path in (found / "plots").iterdir())
    assert figures == [
        "inspect_by_lag.png",
        "inspect_connectivity_square_root.png",
        "inspect_connectivity_squared.png",
        "inspect_surprise.png",
    ]


def test_the_arrays_are_the_models(run, found):
    """Losses and carries of the cell that is read step by step."""
    cell, params, vocabulary, _ = runs.load(run, 1)
    assert vocabulary is not None
    tokens = vocabulary.encode(TEXT)
    carry, losses, hs = cell.init_carry(params, jax.random.key(0)), [], []
    step = jax.jit(cell.step)
    for token, target in zip(tokens, [*tokens[1:], 0], strict=True):
        carry, logits = step(params, carry, token)
        losses.append(-jax.nn.log_softmax(logits)[target])
        hs.append(carry["layer_1"])
    arrays = arrays_of(found)
    assert np.allclose(arrays["predictions/loss"], losses[:-1], atol=1e-5)
    assert np.allclose(arrays["units/layer_1"], hs, atol=1e-5)
    assert arrays["connectivity/squared"].shape == (len(tokens) - 1, 12)


def test_of_units_what_is_asked_for(run, folder):
    out = folder / "units"
    assert inspect.main(flags(run, folder, "--units", "layer_1/t*", "--out", out)) == 0
    arrays = arrays_of(out)
    (name,) = [name for name in arrays if name.startswith("units/")]
    assert name == "units/layer_1/tanh"
    assert -1 < arrays[name].min() < 0 < arrays[name].max() < 1


@pytest.mark.full
def test_a_part_of_a_text(run, folder):
    out = folder / "part"
    more = ["--start", 4, "--length", 9, "--at", 5, "--draw", "layer_1 2", "--out", out]
    assert inspect.main(flags(run, folder, *more)) == 0
    assert (out / "plots" / "inspect_layer_1_2.png").is_file()
    assert len(arrays_of(out)["predictions/loss"]) == 8


@pytest.mark.full
def test_two_runs(run, folder):
    out = folder / "two"
    more = ["--beside", run, "--beside-member", 1, "--out", out]
    assert inspect.main(flags(run, folder, *more)) == 0
    first, second = (arrays_of(out, end) for end in ("", "_beside"))
    assert not np.allclose(first["predictions/loss"], second["predictions/loss"])
    assert (out / "plots" / "inspect_surprise_beside.png").is_file()


@pytest.mark.full
def test_words_known_and_unknown(word_run, folder):
    out, path = folder / "word_out", folder / "sentence.txt"
    path.write_text("The rose, they say, smells.", encoding="utf-8")
    assert inspect.main(["--run", str(word_run), "--text", str(path), "--out", str(out)]) == 0
    assert len(arrays_of(out)["predictions/loss"]) == len(words(path.read_text())) - 1


def test_characters_that_the_vocabulary_lacks(run, tmp_path, capsys):
    path = tmp_path / "other.txt"
    path.write_text("the rosé\u200b", encoding="utf-8")
    line = error_of(capsys, inspect.main, ["--run", run, "--text", path])
    assert "'é' (U+00E9 LATIN SMALL LETTER E WITH ACUTE)" in line
    assert "'\\u200b' (U+200B ZERO WIDTH SPACE)" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--length", "1"], "--length is 1"),
        (["--length", "1000000"], "--length is 1000000"),
        (["--lags", "0"], "lags is 0"),
        (["--start", "-1"], "--start is -1"),
        (["--start", "4000"], "leave at least 2 to read"),
        (["--at", "0"], "--at is 0"),
        (["--at", "4000"], "--at is 4000"),
        (["--draw", "layer_9/h 2"], "the layers are layer_1"),
        (["--draw", "layer_1 6"], "layer_1 has units 0 to 5"),
        (
            ["--units", "layer_9/*"],
            "--units is 'layer_9/*'; the names are embed, layer_1, layer_1/t",
        ),
        (["--member", "2"], "member is 2"),
        (["--setting", "none"], "setting is 'none'"),
        (["--beside-member", "1"], "need --beside"),
        (["--beside", "nowhere"], "nowhere does not exist"),
        (["--text", "nowhere.txt"], "--text: "),
    ],
)
def test_what_cannot_be_shown_is_one_line(run, folder, capsys, arguments, message):
    assert message in error_of(capsys, inspect.main, flags(run, folder, *arguments))


def test_a_model_that_diverged(run, folder, capsys, monkeypatch):
    def diverged(*arguments, **options):
        cell, params, *rest = runs.load(*arguments, **options)
        return cell, jax.tree.map(lambda a: a * np.float32(np.nan), params), *rest

    monkeypatch.setattr("experiments.inspect.reading.load", diverged)
    line = error_of(capsys, inspect.main, flags(run, folder))
    assert "computes nan on this text" in line


@pytest.mark.full
def test_a_text_of_two_characters(run, folder, capsys):
    """One prediction, one lag."""
    out = folder / "short"
    assert inspect.main(flags(run, folder, "--length", 2, "--out", out)) == 0
    assert arrays_of(out)["connectivity/squared"].shape == (1, 1)


def test_runs_that_read_differently(run, word_run, folder, capsys):
    line = error_of(capsys, inspect.main, flags(run, folder, "--beside", word_run))
    assert "reads a character at a time" in line


def test_a_run_that_reads_no_text(folder, tmp_path_factory, capsys):
    run = toy_run(tmp_path_factory)
    assert "reads no text" in error_of(capsys, inspect.main, flags(run, folder))


@pytest.mark.full
def test_a_folder_of_its_own_has_a_summary(found, run, folder):
    """That of the run is never touched."""
    kept = json.loads((found / "summary.json").read_text())
    assert kept["experiment"] == "inspect"
    (row,) = kept["results"]
    assert row["symbols"] == len(TEXT)
    assert kept["claims"] == []
    before = (run / "summary.json").read_bytes()
    assert inspect.main(flags(run, folder, "--length", 4)) == 0
    assert (run / "summary.json").read_bytes() == before


@pytest.mark.full
def test_what_the_run_held_out_is_read(run, folder):
    out = folder / "held_out"
    given = ["--run", str(run), "--lags", "5", "--out", str(out)]
    assert inspect.main(given) == 0
    record = json.loads((run / "config.json").read_text())["config"]
    text = load_corpus(record["corpus"]).train
    (row,) = json.loads((out / "summary.json").read_text())["results"]
    held_out = len(text) - int(len(text) * (1 - record["valid_fraction"]))
    assert abs(row["symbols"] - min(held_out, 5000)) <= 1


def test_accuracy_by_letters_seen():
    symbols = list("ab abcdefg")
    right = np.array([True, False, False, True, True, True, False, True, True])
    #        of:       b     " "    a      b     c     d     e      f     g
    assert accuracy_by_letters(symbols, right) == [0.0, 1.0, 1.0, 1.0, 2 / 3]
    assert accuracy_by_letters(list("a 1"), np.array([True, True])) == [None] * 5


def test_claims_of_two_cells():
    def row(cell, accuracy, lag, symbols=5000):
        seen = [0.3, 0.5, 0.6, 0.7, 0.7]
        memory = {"squared": {"mean lag": lag}}
        found = {"cell": cell, "level": "character", "symbols": symbols, "accuracy": accuracy}
        return found | {"accuracy_by_letters": seen, "memory": memory}

    def holds(*rows):
        return [claim.holds for claim in claims(rows)]

    assert holds(row("gru", 0.55, 9.0), row("lstm", 0.54, 8.0)) == [True] * 4
    assert holds(row("lstm", 0.5, 9.0), row("gru", 0.55, 8.0)) == [False, False, True, True]
    assert holds(row("gru", 0.55, 9.0), row("elman", 0.54, 8.0)) == [None, None, None, True]
    assert holds(row("gru", 0.55, 9.0, 100), row("lstm", 0.54, 8.0)) == [None] * 4
