"""Counting models against slow transcriptions, and on the texts whose figures are known."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrnn.analysis.copying import copied_shares
from jaxrnn.counts import count, extend, path, unsmoothed, witten_bell, write
from jaxrnn.data import is_here, load_corpus
from jaxrnn.runs.text import read_text

MODELS = {"unsmoothed": unsmoothed, "witten_bell": witten_bell}
VOCAB_SIZE = 4
texts = st.lists(st.integers(0, VOCAB_SIZE - 1), min_size=1, max_size=40)


def grams(text, length):
    return [tuple(text[i : i + length]) for i in range(len(text) - length + 1)]


def followers(text, context):
    """How often each token followed the context, one place of the text after another."""
    return Counter(g[-1] for g in grams(text, len(context) + 1) if g[:-1] == tuple(context))


def slow(name, text, context, token):
    """The probability of a token after the whole context, from the definition; NaN for 0/0."""
    after = followers(text, context)
    total, kinds = sum(after.values()), len(after)
    if name == "unsmoothed":
        return after[token] / total if total else math.nan
    shorter = slow(name, text, context[1:], token) if len(context) else 1 / VOCAB_SIZE
    return (after[token] + kinds * shorter) / (total + kinds) if total else shorter


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=40)
@given(train=texts, held_out=texts, longest=st.integers(0, 5), less=st.integers(0, 2))
def test_nats_are_those_of_the_definition(name, train, held_out, longest, less):
    context = max(longest - less, 0)
    model = MODELS[name](count(np.array(train), VOCAB_SIZE, longest), context)
    expected = []
    for i, token in enumerate(held_out):
        p = slow(name, train, held_out[max(i - context, 0) : i], token)
        expected.append(-math.log(p) if p > 0 else math.inf)
    np.testing.assert_allclose(model.nats(np.array(held_out)), expected, rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=40)
@given(train=texts, before=st.lists(st.integers(0, VOCAB_SIZE - 1), max_size=7))
def test_probabilities_are_those_of_the_definition_and_sum_to_one(name, train, before):
    model = MODELS[name](count(np.array(train), VOCAB_SIZE, 3), 3)
    found = model.probabilities(path(model.counts, before))
    context = before[max(len(before) - 3, 0) :]
    while name == "unsmoothed" and not followers(train, context):
        if not context:
            return  # of a single token nothing is known but the token
        context = context[1:]
    expected = [slow(name, train, context, token) for token in range(VOCAB_SIZE)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.sum(), 1)


@settings(max_examples=40)
@given(train=texts, longest=st.integers(0, 4))
def test_every_gram_is_counted_once(train, longest):
    counts = count(np.array(train), VOCAB_SIZE, longest)
    expected = Counter(gram for n in range(1, longest + 2) for gram in grams(train, n))
    assert len(counts.keys) == 1 + len(expected)
    assert np.all(np.diff(counts.keys) > 0)
    for gram, times in expected.items():
        node = path(counts._replace(context=longest + 1), gram)[len(gram)]
        assert counts.occurrences[node] == times


def test_a_path_goes_on():
    counts = count(np.array([0, 1, 2, 0, 1, 3]), VOCAB_SIZE, 2)
    nodes = path(counts, [])
    for end, token in enumerate([2, 0, 1, 1], start=1):
        nodes = extend(counts, nodes, token)
        np.testing.assert_array_equal(nodes, path(counts, [2, 0, 1, 1][:end]))
    assert (nodes < 0).tolist() == [False, False, True]


def test_what_is_written_follows_the_text():
    text = np.array([0, 1, 2, 3] * 20)
    random = np.random.default_rng(0)
    for temperature in (0.0, 0.2, 1.0):
        written = write(
            unsmoothed(count(text, 4, 3), 2), [0, 1], 10, temperature=temperature, random=random
        )
        assert written.tolist() == [2, 3, 0, 1, 2, 3, 0, 1, 2, 3]


def test_a_temperature_raises_probabilities_to_a_power():
    """Of a text of 3 to 1, at temperature 1/2 9 to 1."""
    model = witten_bell(count(np.array([0, 0, 0, 1] * 5000), 2, 0), 0)
    for temperature, odds in ((1.0, 3), (0.5, 9), (2.0, math.sqrt(3))):
        random = np.random.default_rng(1)
        found = write(model, [0], 4000, temperature=temperature, random=random)
        # four standard deviations of a share of 4,000
        assert abs(found.mean() - 1 / (1 + odds)) < 4 * math.sqrt(0.25 / 4000)


def test_the_end_of_the_text_is_no_dead_end():
    """Behind the last tokens nothing is known: the longest end that was followed decides."""
    model = unsmoothed(count(np.array([0, 1, 0, 2, 3]), 4, 3), 3)
    assert write(model, [0, 2, 3], 20, temperature=1.0, random=np.random.default_rng(0)).size == 20


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([], 4, 1), "tokens is empty"),
        (([1, 4], 4, 1), "tokens holds 4; give tokens from 0 to 3"),
        (([-1], 4, 1), "tokens holds -1"),
        (([1], 4, -1), "context is -1"),
        (([1], 0, 1), "vocab_size is 0"),
    ],
)
def test_counts_of_nothing(arguments, named):
    tokens, vocab_size, context = arguments
    with pytest.raises(ValueError, match=named):
        count(np.array(tokens, int), vocab_size, context)


@pytest.mark.parametrize("name", MODELS)
def test_no_model_looks_further_than_was_counted(name):
    with pytest.raises(ValueError, match="context is 3; give 0 to 2"):
        MODELS[name](count(np.array([0, 1]), 2, 2), 3)


@pytest.mark.parametrize("name", MODELS)
def test_no_model_scores_what_is_no_token(name):
    model = MODELS[name](count(np.array([0, 1]), 2, 1), 1)
    with pytest.raises(ValueError, match="tokens holds 2; give tokens from 0 to 1"):
        model.nats(np.array([0, 2]))
    assert model.nats(np.array([], int)).shape == (0,)


@pytest.mark.full
@pytest.mark.skipif(not is_here("tiny-shakespeare"), reason="tiny-shakespeare is not here")
def test_the_known_figures_of_characters():
    text = read_text("tiny-shakespeare", "character", valid_fraction=0.1)
    counts = count(text.train, text.vocabulary.size, 5)
    known = [3.347, 2.486, 2.049, 1.774, 1.669, 1.698]
    found = [witten_bell(counts, context).nats(text.valid).mean() for context in range(6)]
    np.testing.assert_allclose(found, known, atol=0.002)
    # the unsmoothed entropies of the whole text by itself
    whole = np.concatenate([text.train, text.valid])
    counts = count(whole, text.vocabulary.size, 5)
    known = [3.313, 2.453, 1.908, 1.498, 1.225, 0.996]
    found = [unsmoothed(counts, context).nats(whole).mean() for context in range(6)]
    np.testing.assert_allclose(found, known, atol=0.002)


@pytest.mark.full
@pytest.mark.skipif(not is_here("sherlock"), reason="sherlock is not here")
def test_the_known_figures_of_words():
    text = read_text("sherlock", "word", valid_fraction=0.1)
    tokens = text.vocabulary.encode(load_corpus("sherlock").train)
    boundary = int(0.9 * len(tokens))  # by words, as the figures have it
    counts = count(tokens[:boundary], text.vocabulary.size, 2)
    found = [witten_bell(counts, n).nats(tokens[boundary:]).mean() for n in range(3)]
    np.testing.assert_allclose(found, [6.220, 5.316, 5.331], atol=0.002)


TEXT = "to be, or not to be: that is the question"


@pytest.mark.parametrize("length", [1, 2, 3, 5, 10, 20, 40, 41])
def test_a_text_is_a_copy_of_itself(length):
    assert copied_shares([TEXT, TEXT[::-1]], TEXT, length)[0] == 1
    assert copied_shares([TEXT.upper().replace(" ", "_")], TEXT, max(length, 2)) in ([0], [None])


@given(
    st.lists(st.text("ab", max_size=30), max_size=3),
    st.text("abc", max_size=30),
    st.integers(1, 12),
)
def test_copied_shares_are_those_of_the_definition(some, source, length):
    known = {source[i : i + length] for i in range(len(source) - length + 1)}
    expected = []
    for text in some:
        mine = [text[i : i + length] in known for i in range(len(text) - length + 1)]
        expected.append(np.mean(mine) if mine else None)
    assert copied_shares(some, source, length) == expected


def test_half_a_copy():
    """Of 20 characters, 10 of which are copied, 11 stretches of 10 hold 1 copied one."""
    assert copied_shares([TEXT[:10] + "#" * 10], TEXT, 10) == [1 / 11]


def test_stretches_of_no_length():
    with pytest.raises(ValueError, match="length is 0"):
        copied_shares([TEXT], TEXT, 0)
