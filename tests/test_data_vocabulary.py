"""Vocabularies: what goes in comes out, and the published counts."""

import json
import re
import sys
import time
from collections import Counter

import numpy as np
import pytest
from data_support import corpus_or_skip
from hypothesis import example, given
from hypothesis import strategies as st

from jaxrnn.data import Vocabulary, build_vocabulary, capital_table, words

LEVELS = ["character", "word", "token"]
# Every code point, also the halves of surrogate pairs, which strict encodings refuse.
any_text = st.text(st.characters(exclude_categories=()), min_size=1)
# Few symbols, so that they repeat, tie and meet at every mark.
prose = st.text(st.sampled_from("aB'_-(). ,;\n\t\"&é□😀<unk>eos"), min_size=1)


@given(any_text | prose, st.booleans())
def test_characters_round_trip(text, unknown):
    vocabulary = build_vocabulary(text, "character", unknown=unknown)
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int32
    assert ids.tolist() == [vocabulary.symbols.index(character) for character in text]
    assert vocabulary.decode(ids) == text


@given(any_text | prose, st.sampled_from(["unicode", "published"]))
@example("(\u0301(", "unicode")  # an accent that stands alone
def test_words_round_trip(text, rule):
    text += " it"
    vocabulary = build_vocabulary(text, "word", words=rule)
    decoded = vocabulary.decode(vocabulary.encode(text))
    assert words(decoded, rule) == words(text, rule)


@given(any_text | prose)
def test_tokens_round_trip(text):
    text += "\n"
    vocabulary = build_vocabulary(text, "token")
    ids = vocabulary.encode(text)
    assert np.sum(ids == vocabulary.symbols.index("<eos>")) >= text.count("\n")
    np.testing.assert_array_equal(vocabulary.encode(vocabulary.decode(ids)), ids)


@given(any_text | prose, st.sampled_from(LEVELS), st.integers(2, 12))
def test_the_most_frequent_symbols_stay(text, level, limit):
    text += " it\n"
    everything = build_vocabulary(text, level, unknown=True)
    limited = build_vocabulary(text, level, limit=limit)
    assert limited.symbols == everything.symbols[:limit]
    assert limited.unknown == 0
    counts = np.bincount(everything.encode(text), minlength=everything.size)[1:].tolist()
    symbols = everything.symbols[1:]
    assert sorted(zip([-count for count in counts], symbols, strict=True)) == [
        (-count, symbol) for count, symbol in zip(counts, symbols, strict=True)
    ]
    # Ids keep their meaning where they stay, and all others are the unknown one.
    ids = everything.encode(text)
    np.testing.assert_array_equal(limited.encode(text), np.where(ids < limit, ids, 0))


@given(any_text | prose, any_text | prose, st.sampled_from(LEVELS))
def test_missing_symbols_are_named_or_unknown(text, other, level):
    text += " it\n"
    strict = build_vocabulary(text, level)
    lenient = build_vocabulary(text, level, unknown=True)
    missing = strict.missing(other)
    assert len(set(missing)) == len(missing)
    assert set(missing).isdisjoint(strict.symbols)
    if not missing:
        strict.encode(other)
        return
    with pytest.raises(ValueError, match="of text is") as raised:
        strict.encode(other)
    assert repr(missing[0]) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert 0 in lenient.encode(other)


@given(st.text() | prose, st.sampled_from(LEVELS), st.booleans())
@example("\ud83d\ude00", "character", False)  # two halves, which stay two symbols
def test_json_round_trip(text, level, unknown):
    vocabulary = build_vocabulary(text + " it", level, unknown=unknown)
    assert Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json()))) == vocabulary


def test_the_unknown_symbol_in_the_text_is_the_unknown_one():
    characters = build_vocabulary("a□□□b", "character", unknown=True)
    assert characters.symbols == ("□", "a", "b")
    assert characters.encode("□z").tolist() == [0, 0]
    tokens = build_vocabulary("no <unk> it\n", "token", unknown=True)
    assert tokens.symbols == ("<unk>", "<eos>", "it", "no")
    assert build_vocabulary("no <unk> it\n", "token").unknown is None
    assert build_vocabulary("□", "character", unknown=True).size == 1


def test_decoded_words_read_as_prose():
    text = 'he said ( softly ) , " no ! " ; well : why ?'
    vocabulary = build_vocabulary(text, "word")
    decoded = vocabulary.decode(vocabulary.encode(text))
    assert decoded == 'he said (softly), " no! "; well: why?'


def test_newlines_are_tokens():
    vocabulary = build_vocabulary(" the N\n the <unk> \n", "token")
    assert vocabulary.decode(vocabulary.encode("N\nthe\n")) == "N \n the \n"


def test_the_position_of_a_missing_symbol():
    text = "to be or not to be"
    with pytest.raises(ValueError, match="character 7 of text is 'X'"):
        build_vocabulary(text, "character").encode("to be oX nYt")
    with pytest.raises(ValueError, match="word 3 of text is 'maybe'"):
        build_vocabulary(text, "word").encode("to be or maybe not")


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: build_vocabulary("", "character"), "text has 0 characters"),
        (lambda: build_vocabulary(" *\n", "word", words="published"), "no word"),
        (lambda: build_vocabulary(" \n", "word"), "no word"),
        (lambda: words("a", rule="latin"), "rule"),  # pyright: ignore[reportArgumentType]
        (lambda: build_vocabulary("ab", "character", limit=1), "limit is 1"),
        (lambda: build_vocabulary("ab", "character").decode([2]), "ids holds 2"),
        (lambda: build_vocabulary("ab", "character").decode([0, -1]), "ids holds -1"),
        (lambda: build_vocabulary("ab", "character").decode(np.eye(2, dtype=int)), "ids"),
        (lambda: Vocabulary("character", ("a", "a"), None), "symbols has 2"),
        (lambda: Vocabulary("character", ("a",), 1), "unknown is 1"),
    ],
)
def test_misuse_is_refused(call, problem):
    # With the annotations checked as well, that check may be the first to object.
    with pytest.raises((ValueError, TypeError), match=problem):
        call()


def test_empty_prompts_and_results():
    vocabulary = build_vocabulary("ab", "character")
    assert vocabulary.encode("").shape == (0,)
    assert vocabulary.decode([]) == ""


def test_capitals_are_forms_with_a_flag():
    table = capital_table(Vocabulary("character", tuple("aAbBQ?"), None))
    # there is no q in this text, and yet Q is a capital
    assert table == ((0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (3, 0))


@pytest.mark.full
def test_no_two_characters_of_unicode_meet_as_capitals():
    """Not even those whose lower case is two characters, or another capital's."""
    every = tuple(map(chr, range(sys.maxunicode + 1)))
    table = capital_table(Vocabulary("character", every, None))
    assert len(set(table)) == len(every)
    forms = np.array(table)[:, 0]
    assert np.array_equal(np.unique(forms), np.arange(forms.max() + 1))
    flags = {symbol: flag for symbol, (_, flag) in zip(every, table, strict=True)}
    assert "".join(symbol for symbol in "aÉΣЖİßẞςǅ\u212a7□" if flags[symbol]) == "ÉΣЖ"


def test_sherlock_has_the_published_counts():
    corpus = corpus_or_skip("sherlock")
    text, rule = corpus.train, corpus.words
    assert text.count("\n") == 24_080
    found = words(text, rule)
    assert found == re.findall(r"[\w']+|[;:\-()&.,!?\"]", text.lower())
    assert found == [word for line in text.splitlines() for word in words(line, rule)]
    counts = Counter(found)
    assert (counts.total(), len(counts)) == (247_812, 11_756)
    assert sum(count == 1 for count in counts.values()) == 4_947
    vocabulary = build_vocabulary(text, "word", words=rule)
    frequencies = np.bincount(vocabulary.encode(text)) / counts.total()
    assert -np.sum(frequencies * np.log(frequencies)) == pytest.approx(6.141, abs=5e-4)


def test_a_million_characters_encode_at_once():
    text = corpus_or_skip("tiny-shakespeare").train
    vocabulary = build_vocabulary(text, "character")
    assert vocabulary.size == 65
    start = time.perf_counter()
    ids = vocabulary.encode(text)
    assert time.perf_counter() - start < 0.2
    assert vocabulary.decode(ids) == text
