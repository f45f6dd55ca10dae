"""What a page shows: predictions, units and connectivity; small enough, and every symbol seen."""

import base64
import sys
import unicodedata

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn import CELLS, chain, embed, linear, one_hot
from jaxrnn.analysis.connectivity import SQUARE_ROOT, SQUARED, connectivity
from jaxrnn.analysis.page import Chart, Curve, Reading, render_page
from jaxrnn.analysis.page.packing import packed_rows, packed_units
from jaxrnn.analysis.page.reading import (
    Predictions,
    both_measures,
    most_varied,
    predict,
    unit_values,
)
from jaxrnn.analysis.page.symbols import describe, is_unseen

KEY = jax.random.key(0)
V, E, H, N = 5, 3, 4, 9
TOKENS = jax.random.randint(jax.random.key(1), (N,), 0, V)


def model_of(cell="lstm", reader="embed"):
    first, size = (embed(V, E), E) if reader == "embed" else (one_hot(V), V)
    model = chain(**{reader: first}, layer=CELLS[cell](size, H), head=linear(H, V))
    params = model.init(KEY)
    return model, params, model.init_carry(params, KEY)


def test_predictions_are_those_of_the_softmax():
    model, params, carry = model_of()
    found = jax.jit(lambda p: predict(model, p, carry, TOKENS, most=V))(params)
    for i in range(N - 1):
        carry, logits = model.step(params, carry, TOKENS[i])
        p = np.asarray(jax.nn.softmax(logits))
        came = p[TOKENS[i + 1]]
        assert np.isclose(found.loss[i], -np.log(came), rtol=1e-5)
        assert np.isclose(found.entropy[i], -(p * np.log(p)).sum(), rtol=1e-5)
        assert found.rank[i] == 1 + (p > came).sum()
        assert np.allclose(found.probability[i], np.sort(p)[::-1], rtol=1e-5)
        assert np.allclose(p[found.likeliest[i]], found.probability[i], rtol=1e-5)


@pytest.mark.parametrize("reader", mostly_full(["embed", "one_hot"], "one_hot"))
def test_both_measures_without_a_text_of_one_hot_vectors(reader):
    model, params, carry = model_of(reader=reader)
    wide, targets = jax.nn.one_hot(TOKENS[:-1], V), TOKENS[1:]

    def found_and_expected(params):
        found = both_measures(model, params, carry, TOKENS, lags=4, vocab_size=V)
        xs, at = (TOKENS[:-1], "embed") if reader == "embed" else (wide, "")
        root = connectivity(model, params, carry, xs, targets, SQUARE_ROOT, at=at, lags=4)
        squared = connectivity(model, params, carry, wide, targets, SQUARED, lags=4)
        return found, {"square_root": root, "squared": squared}

    found, expected = jax.jit(found_and_expected)(params)
    for name, rows in expected.items():
        assert rows[:, 0].min() > 0
        assert np.allclose(found[name], rows, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("cell", "names"),
    [("lstm", ["layer/h", "layer/c"]), ("gru", ["layer"])],
)
def test_units_are_the_carry(cell, names):
    model, params, carry = model_of(cell)
    found = unit_values(model, params, carry, TOKENS)
    assert list(found) == names
    assert all(values.shape == (N, H) for values in found.values())


def test_units_of_complex_carries_are_two():
    model, params, carry = model_of("lru")
    found = unit_values(model, params, carry, TOKENS)
    assert {name.rpartition(" ")[2] for name in found} == {"(real)", "(imaginary)"}
    assert all(jnp.isrealobj(values) for values in found.values())


def test_units_by_pattern():
    model, params, carry = model_of()
    found = unit_values(model, params, carry, TOKENS, ("*/c", "layer/tanh*"))
    assert list(found) == ["layer/tanh_1", "layer/c", "layer/tanh_2"]
    with pytest.raises(ValueError, match=r"--units is 'x\*'; the names are embed, layer/gate_1"):
        unit_values(model, params, carry, TOKENS, ("x*",))


def test_of_too_many_units_those_that_vary_the_most():
    spread = np.array([0.0, 3, 1, 2])
    wave = np.array([[1.0], [-1]])
    kept = most_varied({"a": wave * spread, "b": wave * spread[::-1]}, 4)
    assert [numbers.tolist() for numbers in kept.values()] == [[1, 3], [0, 2]]
    every = most_varied({"a": wave * spread}, 9)
    assert every["a"].tolist() == [0, 1, 2, 3]


def test_bytes_are_as_near_as_they_are_said_to_be():
    values = np.random.default_rng(0).normal(size=(50, 6)).cumsum(0)
    values[:, 2] = 1.5
    packed = packed_units(values)
    found = np.frombuffer(base64.b64decode(packed["bytes"]), np.uint8).reshape(6, 50).T
    low, high = (np.frombuffer(base64.b64decode(packed[k]), "<f4") for k in ("low", "high"))
    assert (np.abs(low + found / 255 * (high - low) - values) <= (high - low) / 509).all()
    rows = np.exp(values)
    rows[3] = 0
    packed = packed_rows(rows)
    found = np.frombuffer(base64.b64decode(packed["bytes"]), np.uint8).reshape(rows.shape)
    largest = np.frombuffer(base64.b64decode(packed["largest"]), "<f4")[:, None]
    assert np.allclose((found / 255) ** 2 * largest, rows, atol=(largest / 254).max())
    assert (found.max(1) == 255).tolist() == [i != 3 for i in range(50)]


def test_gradients_beyond_all_numbers_are_still_bytes():
    packed = packed_rows(np.array([[1.0, np.inf, 3.0]], np.float32))
    assert list(base64.b64decode(packed["bytes"])) == [0, 255, 0]


def reading_of(symbols, *, units, lags, seed=0):
    """A reading with numbers drawn at random."""
    rng = np.random.default_rng(seed)
    steps = len(symbols) - 1
    vocabulary = list(dict.fromkeys(symbols))
    ids = rng.integers(0, len(vocabulary), (steps, 6))
    ones = np.ones(steps, np.float32)
    rows = rng.random((steps, lags), np.float32)
    drawn = ones, ones, ids[:, 0] + 1, ids, rng.random((steps, 6), np.float32)
    predictions = Predictions(*map(jnp.asarray, drawn))
    memory = {"mean lag": ones, "half-life": ones}
    return Reading(
        name="run",
        facts={"loss": "1 nat"},
        symbols=symbols,
        unknown=[],
        vocabulary=vocabulary,
        predictions=predictions,
        connectivity={"square_root": rows, "squared": rows},
        memory={"square_root": memory, "squared": memory},
        units={"layer": rng.random((len(symbols), units), np.float32)},
        charts=[Chart("Loss", "x", "y", [Curve("loss", np.arange(9), np.arange(9))])],
    )


@pytest.mark.parametrize("count", [1, 2])
def test_a_page_of_a_large_model_stays_below_10_megabytes(count):
    symbols = [chr(97 + i % 26) for i in range(5000)]
    readings = [reading_of(symbols, units=2000, lags=100, seed=i) for i in range(count)]
    assert len(render_page("large", "character", readings).encode()) < 10_000_000


def test_readings_of_other_texts_are_no_comparison():
    readings = [reading_of(list(text), units=2, lags=2) for text in ("abc", "abd")]
    with pytest.raises(ValueError, match="different texts"):
        render_page("two", "character", readings)


@pytest.mark.full
def test_what_is_drawn_can_be_seen():
    """Of all of Unicode; and what turns or joins text is not drawn itself."""
    every = [chr(point) for point in range(sys.maxunicode + 1)]
    # of a thousand that are not assigned, or private, one stands for all
    every = [c for i, c in enumerate(every) if unicodedata.category(c)[0] != "C" or i % 1000 < 64]
    every += ["\u200b", "\u202a", "\u202e", "\u2066", "\u2069", "\ufeff", "\U000e0001"]
    for character in every:
        symbol = describe(character)
        assert symbol.text == character
        assert symbol.name
        for drawn in symbol.shown:
            assert unicodedata.category(drawn)[0] not in "CZ" or drawn == " ", ascii(character)
            assert unicodedata.bidirectional(drawn) not in {"LRE", "RLO", "PDI", "RLI", "PDF"}


@pytest.mark.parametrize(
    ("symbol", "shown", "kind", "name"),
    [
        ("a", "a", "plain", "a"),
        (" ", " ", "space", "space"),
        ("\n", "↵", "line", "new line"),
        ("<eos>", "↵", "line", "new line"),
        ("\t", "U+0009", "mark", "character U+0009"),
        ("\x7f", "U+007F", "mark", "character U+007F"),
        ("\u200b", "U+200B", "mark", "zero width space U+200B"),
        ("\u202e", "U+202E", "mark", "right-to-left override U+202E"),
        ("\ufe0f", "U+FE0F", "mark", "variation selector-16 U+FE0F"),
        ("\u0301", "◌\u0301", "plain", "combining acute accent"),
        ("<", "<", "plain", "less-than sign"),
        ("ש", "ש", "plain", "ש"),
        ("wo\u202erd", "woU+202Erd", "plain", "woU+202Erd"),
    ],
)
def test_how_symbols_look_and_sound(symbol, shown, kind, name):
    found = describe(symbol)
    assert (found.shown, found.kind, found.name) == (shown, kind, name)


def test_unseen_characters_are_few_among_letters():
    assert not any(map(is_unseen, "aZ09éß漢字שע👩 .,;<>&"))
