"""The text of a run, as ids: read once, and refused by the flag that named it."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxrnn.data import Corpus, Level, Vocabulary, build_vocabulary, load_corpus, split


class Text(NamedTuple):
    """A corpus as ids: what to train on [N], what to validate on [M], and how it was read."""

    vocabulary: Vocabulary
    train: np.ndarray
    valid: np.ndarray
    sha256: dict[str, str]


def read_corpus(name: str) -> Corpus:
    """`load_corpus` of what follows `--corpus`.

    Raises:
      ValueError: whatever is wrong with it, with the flag's name.
    """
    try:
        return _corpus(name, _stamp(name))
    except (ValueError, OSError) as error:
        raise ValueError(f"--corpus: {error}") from error


def read_text(
    corpus: str, level: Level, *, valid_fraction: float, limit: int | None = None
) -> Text:
    """A corpus by name, divided into symbols of `level`.

    Every symbol is in the vocabulary, held out or not; with a `limit` it is made of the training
    part, and the rare symbols of that are the unknown one.

    Raises:
      ValueError: as `read_corpus`; a fraction outside [0, 1), a limit below 2.
    """
    read_corpus(corpus)
    return _text(corpus, _stamp(corpus), level, valid_fraction, limit)


def _stamp(name: str) -> tuple[int, int] | None:
    """Of a file, what is another when it was edited: then it is read anew."""
    path = Path(name).expanduser()
    return (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else None


@lru_cache(maxsize=2)
def _corpus(name: str, stamp: tuple[int, int] | None) -> Corpus:
    return load_corpus(name)


@lru_cache(maxsize=2)
def _text(
    name: str, stamp: tuple[int, int] | None, level: Level, valid_fraction: float, limit: int | None
) -> Text:
    corpus = _corpus(name, stamp)
    train, valid = split(corpus, valid_fraction)
    if limit is None:
        # a word may be cut in two where the parts meet, and each half is a word to be read
        between = "" if level == "character" else " "
        vocabulary = build_vocabulary(train + between + valid, level, words=corpus.words)
    else:
        vocabulary = build_vocabulary(train, level, limit=limit, words=corpus.words)
    if left_out := vocabulary.count_left_out(train + valid):
        print(f"{name}: {left_out:,} symbols are part of no word and are left out", flush=True)
    return Text(vocabulary, vocabulary.encode(train), vocabulary.encode(valid), corpus.sha256)
