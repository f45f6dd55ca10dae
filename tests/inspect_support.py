"""What the tests of inspect share."""

import json
import shutil
from pathlib import Path

from experiments_support import unbind

from jaxrnn.data import words


def read_as_words(run: Path, copy: Path, text: str) -> Path:
    """A copy of a run of characters whose model reads the words of `text` in their place; the first
    of its vocabulary is the unknown one, and where there are too many the last are unknown."""
    shutil.copytree(run, copy)
    path = copy / "vocabulary.json"
    size = len(json.loads(path.read_text(encoding="utf-8"))["symbols"])
    known = dict.fromkeys(words(text))
    symbols = ["<unk>", *known, *(f"w{i}" for i in range(size))][:size]
    path.write_text(json.dumps({"level": "word", "symbols": symbols, "unknown": 0}))
    unbind(copy)
    return copy
