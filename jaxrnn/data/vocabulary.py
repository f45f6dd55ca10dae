"""Between text and ids: characters, words or tokens."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Int32, Integer

from jaxrnn.data.words import WordRule, count_left_out, join_words, words

Level = Literal["character", "word", "token"]
"""What a text is divided into."""


def _tokens(text: str) -> list[str]:
    return text.replace("\n", " <eos> ").split()


def _untokens(symbols: Sequence[str]) -> str:
    return " ".join("\n" if symbol == "<eos>" else symbol for symbol in symbols)


class _Rules(NamedTuple):
    """Of one level: text to symbols, symbols to text, and how an unknown symbol is shown."""

    divide: Callable[[str], Sequence[str]]
    join: Callable[[Sequence[str]], str]
    unknown: str


_RULES: dict[str, _Rules] = {
    "character": _Rules(str, "".join, "□"),
    "word": _Rules(words, join_words, "<unk>"),
    "token": _Rules(_tokens, _untokens, "<unk>"),
}


def _rules_of(level: str, rule: WordRule = "unicode") -> _Rules:
    if level not in _RULES:
        raise ValueError(f"level is {level!r}; give one of {', '.join(_RULES)}")
    if level == "word":
        return _RULES[level]._replace(divide=lambda text: words(text, rule))
    return _RULES[level]


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of a text, each with an id: its place in `symbols`.

    Attributes:
      level: "character"; "word", see `words`; or "token", what stands between whitespace, with
        `<eos>` for a newline: how the Penn Treebank is read.
      symbols: all different.
      unknown: the id that stands for every symbol that is not here, or None where those are errors.
      words: the rule by which words are found; of other levels it is not looked at.
    """

    level: Level
    symbols: tuple[str, ...]
    unknown: int | None
    words: WordRule = "unicode"

    def __post_init__(self):
        self._rules.divide("")  # says what is wrong with level and rule
        if not self.symbols or len(set(self.symbols)) < self.size:
            raise ValueError(f"symbols has {self.size} entries; give at least one, all different")
        if self.unknown is not None and not 0 <= self.unknown < self.size:
            raise ValueError(f"unknown is {self.unknown!r}; give None or an id below {self.size}")

    @property
    def size(self) -> int:
        """How many symbols there are, the unknown one included."""
        return len(self.symbols)

    def divide(self, text: str) -> list[str]:
        """The text's symbols, whether or not they are here."""
        return list(self._rules.divide(text))

    def encode(self, text: str) -> Int32[np.ndarray, " length"]:
        """The ids of the text's symbols.

        Raises:
          ValueError: a symbol that is not in a vocabulary without an unknown one.
        """
        if self.level == "character":
            last = len(self._id_by_code_point) - 1
            ids = self._id_by_code_point[np.minimum(_code_points(text), last)]
        else:
            symbols = self._rules.divide(text)
            ids = np.array([self._ids.get(symbol, self._absent) for symbol in symbols], np.int32)
        if np.any(ids < 0):
            position = int(np.argmin(ids))
            symbol = self._rules.divide(text)[position]
            raise ValueError(
                f"{self.level} {position} of text is {symbol!r}, not one of the {self.size} in the "
                "vocabulary; take it out, or build the vocabulary with unknown=True"
            )
        return ids

    def decode(self, ids: Integer[Array | np.ndarray, " length"] | Sequence[int]) -> str:
        """The text of one sequence of ids.

        Characters are simply joined. Words have a space between them, but none before
        `. , ! ? ; : )` and none after `(`. Tokens have a space, and `<eos>` is a newline again.

        Raises:
          ValueError: an id outside the vocabulary, or more than one sequence.
        """
        numbers = np.asarray(ids)
        if numbers.ndim != 1:
            raise ValueError(
                f"ids has shape {numbers.shape}; decode one sequence [length] at a time"
            )
        outside = (numbers < 0) | (numbers >= self.size)
        if np.any(outside):
            raise ValueError(f"ids holds {numbers[outside][0]}; give ids from 0 to {self.size - 1}")
        return self._rules.join([self.symbols[i] for i in numbers.tolist()])

    def missing(self, text: str) -> list[str]:
        """The symbols of the text that are not here, each once, in order of appearance."""
        symbols = dict.fromkeys(self._rules.divide(text))
        return [symbol for symbol in symbols if symbol not in self._ids]

    def to_json(self) -> dict[str, Any]:
        """Plain lists and strings, for `from_json`."""
        data = {"level": self.level, "symbols": list(self.symbols), "unknown": self.unknown}
        return data | ({"words": self.words} if self.level == "word" else {})

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Vocabulary":
        """The vocabulary that `to_json` described; one from before there were two rules for words
        has the published one."""
        rule = data.get("words", "published") if data["level"] == "word" else "unicode"
        return cls(data["level"], tuple(data["symbols"]), data["unknown"], rule)

    def count_left_out(self, text: str) -> int:
        """How many symbols of a text, white space aside, are in none of its words; of characters
        and tokens all are there."""
        return count_left_out(text, self.words) if self.level == "word" else 0

    @property
    def _rules(self) -> _Rules:
        return _rules_of(self.level, self.words)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self.symbols)}

    @property
    def _absent(self) -> int:
        """What a symbol that is not here becomes; -1 is found again as an error."""
        return -1 if self.unknown is None else self.unknown

    @cached_property
    def _id_by_code_point(self) -> np.ndarray:
        """Ids of characters; the last entry stands for every higher code point."""
        points = _code_points("".join(self.symbols))
        table = np.full(points.max() + 2, self._absent, np.int32)
        table[points] = np.arange(self.size)
        return table


def build_vocabulary(
    text: str,
    level: Level,
    *,
    limit: int | None = None,
    unknown: bool = False,
    words: WordRule = "unicode",
) -> Vocabulary:
    """The vocabulary of a text: the most frequent symbols first, ties in the symbols' own order.

    Args:
      text: to take the symbols from.
      level: "character", "word" or "token".
      limit: the largest size. It implies `unknown`, whose symbol counts; the rarest symbols give
        way. A limit that is not reached changes nothing more.
      unknown: puts a symbol for all others first, at id 0: "□" for characters, "<unk>" otherwise.
        Where the text itself has that symbol, it is the unknown one.
      words: the rule by which words are found, see `jaxrnn.data.words`.

    Raises:
      ValueError: an unknown level, a text without symbols, or a limit below 2.
    """
    rules = _rules_of(level, words)
    if limit is not None and limit < 2:
        raise ValueError(f"limit is {limit!r}; give at least 2, the unknown symbol and one other")
    counts = Counter(rules.divide(text))
    if not counts:
        raise ValueError(f"text has {len(text)} characters and no {level}; give a text with some")
    first = (rules.unknown,) if unknown or limit is not None else ()
    others = sorted(counts.keys() - set(first), key=lambda symbol: (-counts[symbol], symbol))
    return Vocabulary(level, (*first, *others)[:limit], 0 if first else None, words)


def _code_points(text: str) -> np.ndarray:
    # Half of a surrogate pair has no encoding of its own, and yet a string may hold one.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
