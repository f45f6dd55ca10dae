"""A text as words and marks, by Unicode's rule or by a published one."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from jaxrnn.base import require_one_of

WordRule = Literal["unicode", "published"]
"""By what rule words are found, see `words`."""

_PUBLISHED = re.compile(r"[\w']+|[;:\-()&.,!?\"]")

# Unicode's word boundaries over kinds of characters, a letter each (see `_kind`). What is attached
# to a character (m: combining marks, format characters; j: the joiner of emoji) stays with it. A
# word is made of letters (a; h: Hebrew) and digits (n), or of katakana (k), and of underscores (_)
# between them. A full stop or an apostrophe (.) holds letters together, and digits; a colon (:)
# letters alone, a comma (,) digits alone. Every other symbol (x) is by itself, but for the two
# letters of a flag (r) and for pictographs (p) that are joined.
_LETTERS = '(?:h[mj]*"(?=h)|[ah][mj]*)+'
_DIGITS = "(?:n[mj]*)+"
_RUN = f"(?:(?:{_LETTERS}(?:[.:][mj]*{_LETTERS})*|{_DIGITS}(?:[.,][mj]*{_DIGITS})*)+|(?:k[mj]*)+)"
_UNICODE = re.compile(
    f"(?:_[mj]*)*{_RUN}(?:(?:_[mj]*)+{_RUN})*(?:_[mj]*)*|(?:_[mj]*)+"
    "|r[mj]*(?:r[mj]*)?"
    '|[xp.:,"][mj]*(?:(?<=j)p[mj]*)*'
    "|[mj]+"
)
_BETWEEN_LETTERS = frozenset(":\u00b7\u0387\u055f\u05f4\u2027\ufe13\ufe55\uff1a")
_BETWEEN_DIGITS = frozenset(
    ",;\u037e\u0589\u060c\u060d\u066c\u07f8\u2044\ufe10\ufe14\ufe50\ufe54\uff0c\uff1b"
)
_BETWEEN_EITHER = frozenset("'.\u2018\u2019\u2024\ufe52\uff07\uff0e")
_LETTERS_TOO = frozenset("\u055a\u055b\u055c\u055e\u058a\u05f3")
# Written without spaces: where their words end, no rule over characters can tell. A letter with its
# marks is then a symbol by itself.
_WITHOUT_SPACES = (
    *("CJK", "IDEOGRAPHIC", "HIRAGANA", "HENTAIGANA", "HANGZHOU", "NUSHU", "TANGUT", "KHITAN"),
    *("THAI", "LAO", "KHMER", "MYANMAR", "TAI ", "NEW TAI", "AHOM"),
)


def words(text: str, rule: WordRule = "unicode") -> list[str]:
    """Lower-cased words, and marks each by itself.

    "unicode" divides at Unicode's word boundaries and leaves out nothing but white space: accents
    and vowel signs stay with their letters, an apostrophe of either shape holds a word together,
    "3.14" is one word. Of a script without spaces between words every letter is one, with its
    marks.

    "published" finds words of letters, digits, underscores and apostrophes, and the marks
    `; : - ( ) & . , ! ? "`; the rest is left out (`count_left_out` says how much). It splits words
    at combining marks and typographic apostrophes.

    Reference: Unicode Standard Annex 29, https://www.unicode.org/reports/tr29/, by general
    categories where it has lists of its own. Source of "published": pat-coady/rnn,
    src/docload.py, where the same is done line by line.
    """
    require_one_of(("unicode", "published"), rule=rule)
    text = text.lower()
    if rule == "published":
        return _PUBLISHED.findall(text)
    kinds = text.translate({ord(symbol): _kind(symbol) for symbol in set(text)})
    return [text[slice(*found.span())] for found in _UNICODE.finditer(kinds)]


def count_left_out(text: str, rule: WordRule = "unicode") -> int:
    """How many symbols of a text, white space aside, are in none of its words."""
    there = sum(not _is_space(symbol) for symbol in text.lower())
    return there - sum(map(len, words(text, rule)))


def join_words(symbols: Sequence[str]) -> str:
    """Words with a space between them, but none before `. , ! ? ; : )` and none after `(`."""
    text = re.sub(r" ([.,!?;:)])", r"\1", " ".join(symbols))
    # a mark that stands alone would be attached to what it then follows
    return re.sub(
        r"\( (.)", lambda f: f[0] if _kind(f[1]) in "mj" else f"({f[1]}", text, flags=re.S
    )


def _is_space(symbol: str) -> bool:
    return symbol.isspace() or symbol == "\u200b"


def _kind(symbol: str) -> str:
    if _is_space(symbol):
        return " "
    for kind, those in ((".", _BETWEEN_EITHER), (":", _BETWEEN_LETTERS), (",", _BETWEEN_DIGITS)):
        if symbol in those:
            return kind
    category, name = unicodedata.category(symbol), unicodedata.name(symbol, "")
    if symbol == '"':
        return symbol
    if name == "ZERO WIDTH JOINER":
        return "j"
    if category[0] == "M" or category == "Cf" or "SOUND MARK" in name or "EMOJI MODIFIER" in name:
        return "m"
    if category == "Nd" or name == "ARABIC DECIMAL SEPARATOR":
        return "n"
    if category == "Pc":
        return "_"
    if "KATAKANA" in name or name.startswith("VERTICAL KANA"):
        return "k"
    if name.startswith("REGIONAL INDICATOR"):
        return "r"
    letter = category[0] == "L" or category == "Nl" or symbol in _LETTERS_TOO
    if letter and name and not name.startswith(_WITHOUT_SPACES):
        return "h" if name.startswith("HEBREW") and category == "Lo" else "a"
    if "MODIFIER LETTER" in name or (category == "So" and "LATIN" in name and "LETTER" in name):
        return "a"
    return "p" if category in ("So", "Sm") and symbol >= "\u2190" else "x"
