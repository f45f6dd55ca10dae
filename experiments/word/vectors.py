"""What the embeddings of a trained model say of words: neighbours, and analogies."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxrnn.data import Vocabulary

Vectors = Float[np.ndarray, "V E"]
WORDS = ("run", "mr", "red", "he", "was", "holmes")
"""Of these the nearest words are shown; the first two are the page's."""
ANALOGIES = (("had", "has", "was"), ("do", "doing", "go"), ("he", "his", "she"))
"""a is to b as c is to what, b - a + c; the first is the page's."""
MOST = 5
FREQUENT = 2048
"""Neighbours are sought among so many of the most frequent words, as many as the page looks at:
vectors of rare words are hardly moved from where they began."""


def nearest(vectors: Vectors, vocabulary: Vocabulary, signs: Mapping[str, int]) -> list[str]:
    """The words with the largest cosine to a signed sum of words' unit vectors, these words left
    out; none where one of them is not in the vocabulary."""
    symbols = vocabulary.symbols
    if not {*signs} <= {*symbols}:
        return []
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    wanted = sum(sign * unit[symbols.index(word)] for word, sign in signs.items())
    order = np.argsort(-(unit[:FREQUENT] @ wanted), kind="stable")
    return [symbols[i] for i in order if symbols[i] not in signs][:MOST]


def describe(vectors: Vectors, vocabulary: Vocabulary) -> dict[str, Any]:
    """Neighbours and analogies of the words that are in the vocabulary."""
    near = partial(nearest, vectors, vocabulary)
    return {
        "nearest": {w: found for w in WORDS if (found := near({w: 1}))},
        "analogies": [
            {"a": a, "b": b, "c": c, "found": found}
            for a, b, c in ANALOGIES
            if (found := near({b: 1, a: -1, c: 1}))
        ],
    }


def shown(words: Sequence[str]) -> str:
    """Words for a line of a table; what would break it is shown by its escape."""
    return ", ".join(w if w.isprintable() else repr(w)[1:-1] for w in words)
