"""Words of many scripts: nothing of a word is lost."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.data import Vocabulary, build_vocabulary, words
from jaxrnn.data.words import count_left_out, join_words

# A bar where Unicode has a boundary without white space (as Perl 5.36 finds them, \b{wb}).
DIVIDED = (
    "मेरा नाम हिन्दी है|।",
    "தமிழ் மொழி",
    "ส|วั|ส|ดี|ค|รั|บ",
    unicodedata.normalize("NFD", "café naïve"),
    "don’t stop",
    "l’été",
    "it's '|tis dogs|'",
    "łódź",
    "שָׁלוֹם",
    'צה"ל',
    "well|—|known (|yes|) “|no|” …",
    "3.14 1,000 e.g|. a|.|1 a:b|: a_b_1",
    "中|文|字 ひ|ら|カタカナ_x ｶﾅ 한국어",
    "٣٫١٤ قال",
    "👩\u200d👩\u200d👧|🇩🇪|🇫🇷|👍🏽|x *|@|/",
    "co\u00adoperate",
    "a\u0301\u0323’\u0301b",
)


@pytest.mark.parametrize("divided", DIVIDED, ids=ascii)
def test_words_are_divided_where_unicode_says(divided):
    text, expected = divided.replace("|", ""), re.split(r"[| ]", divided)
    assert words(text) == expected
    vocabulary = build_vocabulary(text, "word")
    assert vocabulary.divide(vocabulary.decode(vocabulary.encode(text))) == expected


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_but_white_space_is_left_out(text):
    found = words(text)
    spaces = {symbol for symbol in text.lower() if symbol.isspace() or symbol == "\u200b"}
    assert "".join(found) == "".join(c for c in text.lower() if c not in spaces)
    assert count_left_out(text) == 0
    assert words(join_words(found)) == found


def test_what_the_published_rule_leaves_out_is_counted():
    text = "Don’t *stop* — a\u0301 “b”"
    assert words(text, "published") == ["don", "t", "stop", "a", "b"]
    assert count_left_out(text, "published") == 7
    vocabulary = build_vocabulary(text, "word", words="published")
    assert vocabulary.count_left_out(text) == 7
    assert build_vocabulary(text, "character").count_left_out(text) == 0


def test_a_vocabulary_keeps_its_rule():
    for rule in ("unicode", "published"):
        vocabulary = build_vocabulary("don’t stop", "word", words=rule)
        again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
        assert again == vocabulary
        assert again.divide("don’t") == words("don’t", rule)
    # as it was written before there were two
    older = Vocabulary.from_json({"level": "word", "symbols": ["don", "t"], "unknown": None})
    assert older.encode("don’t").tolist() == [0, 1]
