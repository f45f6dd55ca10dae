"""What the tests of data share."""

import os
from pathlib import Path

import pytest

from jaxrnn.data import CORPORA, Corpus, load_corpus
from jaxrnn.data.published import cache_folder


def corpus_or_skip(name: str) -> Corpus:
    """A registered corpus that is already on this machine; tests never use the network."""
    data = os.environ.get("JAXRNN_DATA")
    folders = [cache_folder(), *([Path(data)] if data else [])]
    for file in CORPORA[name].files:
        if not any((folder / file.path).is_file() for folder in folders):
            pytest.skip(f"{file.path} is neither in JAXRNN_DATA nor in the cache of downloads")
    return load_corpus(name)
