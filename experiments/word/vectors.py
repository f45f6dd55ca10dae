"""What the two embeddings of a trained model say of words: neighbours, and analogies."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxrnn.base import Params
from jaxrnn.data import Vocabulary

WORDS = ("run", "mr", "red", "he", "was", "holmes")
"""Of these the nearest words are shown; the first two are the page's."""
ANALOGIES = (("had", "has", "was"), ("do", "doing", "go"), ("he", "his", "she"))
"""a is to b as c is to what; the first is the page's."""
MOST = 5
FREQUENT = 2048
"""Neighbours are sought among so many of the most frequent words, as many as the page looks at:
vectors of rare words are hardly moved from where they began."""


class Vectors(NamedTuple):
    """Unit vectors of the words, [V, E], and their vocabulary."""

    unit: Float[np.ndarray, "V E"]
    vocabulary: Vocabulary


def unit_vectors(vectors: Float[np.ndarray, "V E"], vocabulary: Vocabulary) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return Vectors(vectors / np.maximum(norms, 1e-30), vocabulary)


def both_embeddings(params: Params, vocabulary: Vocabulary) -> dict[str, Vectors]:
    """Of the words that are read, and of those that are predicted; one where they are tied."""
    head = np.asarray(params["head"]["w"]).T
    read = params["embed"]["w"]
    found = {"output": unit_vectors(head, vocabulary)}
    if isinstance(read, tuple):  # tied
        return found
    return {"input": unit_vectors(np.asarray(read), vocabulary)} | found


def nearest(vectors: Vectors, word: str, count: int = MOST) -> list[str]:
    """The words with the largest cosine to a word's vector, the word itself left out; none of a
    word that is not in the vocabulary."""
    return _nearest_to(vectors, _vector(vectors, word), (word,), count)


def analogy(vectors: Vectors, a: str, b: str, c: str, count: int = MOST) -> list[str]:
    """The words nearest to b - a + c, those three left out."""
    of_a, of_b, of_c = (_vector(vectors, word) for word in (a, b, c))
    if of_a is None or of_b is None or of_c is None:
        return []
    return _nearest_to(vectors, of_b - of_a + of_c, (a, b, c), count)


def describe(vectors: Vectors) -> dict[str, Any]:
    """Neighbours and analogies of the words that are in the vocabulary."""
    return {
        "nearest": {w: found for w in WORDS if (found := nearest(vectors, w))},
        "analogies": [
            {"a": a, "b": b, "c": c, "found": found}
            for a, b, c in ANALOGIES
            if (found := analogy(vectors, a, b, c))
        ],
    }


def shown(words: Sequence[str]) -> str:
    """Words for a line of a table; what would break it is shown by its escape."""
    return ", ".join(w if w.isprintable() else repr(w)[1:-1] for w in words)


def _vector(vectors, word):
    symbols = vectors.vocabulary.symbols
    return vectors.unit[symbols.index(word)] if word in symbols else None


def _nearest_to(vectors, vector, without, count):
    if vector is None:
        return []
    order = np.argsort(-(vectors.unit[:FREQUENT] @ vector), kind="stable")
    symbols = (vectors.vocabulary.symbols[i] for i in order)
    kept = (symbol for symbol in symbols if symbol not in without)
    return [symbol for symbol, _ in zip(kept, range(count), strict=False)]
