"""How a symbol is shown, so that every one of Unicode is seen, and none moves another.

What has no look of its own (control and format characters, zero-width ones, strange spaces) has its
number in its place; a character that turns the direction of text or joins its neighbours is never
in the page itself.
"""

import unicodedata
from typing import NamedTuple

UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0\u2800\ufffc")
"""Letters and marks by their category, and yet they have no look."""


class Symbol(NamedTuple):
    """How a symbol of a vocabulary looks and sounds.

    Attributes:
      text: the symbol itself.
      shown: what is drawn; of visible characters alone.
      name: what a screen reader says.
      kind: "plain"; "space"; "line", after which a line ends; or "mark", drawn in place of what
        cannot be seen.
      unknown: whether the vocabulary has only its unknown symbol for it.
    """

    text: str
    shown: str
    name: str
    kind: str
    unknown: bool


def describe(symbol: str, *, unknown: bool = False) -> Symbol:
    """How to show a symbol, a character or a longer one."""
    if symbol in ("\n", "<eos>"):
        return Symbol("\n", "↵", "new line", "line", unknown)
    if symbol == " ":
        return Symbol(symbol, " ", "space", "space", unknown)
    shown = "".join(mark_of(c) if is_unseen(c) else c for c in symbol)
    if symbol[:1] and unicodedata.category(symbol[0]).startswith("M") and not is_unseen(symbol[0]):
        shown = "◌" + shown  # a mark needs something to stand on
    single = len(symbol) == 1
    kind = "mark" if single and is_unseen(symbol) else "plain"
    return Symbol(symbol, shown, _spoken(symbol) if single else shown, kind, unknown)


def is_unseen(character: str) -> bool:
    """Whether a character, drawn as it is, would not be seen or would change others."""
    if character == " ":
        return False
    point = ord(character)
    variation = 0xFE00 <= point <= 0xFE0F or 0xE0100 <= point <= 0xE01EF
    return variation or character in UNSEEN or unicodedata.category(character)[0] in "CZ"


def mark_of(character: str) -> str:
    """What stands for a character that cannot be seen: its number. Of Unicode's pictures of control
    characters most typefaces have none."""
    return f"U+{ord(character):04X}"


def _spoken(character: str) -> str:
    name = unicodedata.name(character, "").lower()
    if is_unseen(character):
        return f"{name or 'character'} U+{ord(character):04X}".strip()
    # letters and digits are said as they are; of others a screen reader may say nothing
    return character if character.isalnum() or not name else name


def missing_names(symbols: list[str], most: int = 8) -> str:
    """Symbols by name, for an error of one line."""
    named = [
        f"{s!r} (U+{ord(s):04X} {unicodedata.name(s, 'no name')})" if len(s) == 1 else repr(s)
        for s in symbols[:most]
    ]
    more = f" and {len(symbols) - most:,} more" if len(symbols) > most else ""
    return ", ".join(named) + more
