"""Synthetic tasks, corpora, vocabularies, and streams cut into segments."""

from jaxrnn.data.capitals import capital_table
from jaxrnn.data.corpora import CORPORA, Corpus, load_corpus, split
from jaxrnn.data.published import is_here
from jaxrnn.data.streams import Streams, num_segments, segment, streams, text_streams
from jaxrnn.data.synthetic import TOY, LagTask, lag_sequence, lag_streams, loss_floors, named_floors
from jaxrnn.data.vocabulary import Level, Vocabulary, build_vocabulary
from jaxrnn.data.words import WordRule, words

__all__ = [
    "CORPORA",
    "TOY",
    "Corpus",
    "LagTask",
    "Level",
    "Streams",
    "Vocabulary",
    "WordRule",
    "build_vocabulary",
    "capital_table",
    "is_here",
    "lag_sequence",
    "lag_streams",
    "load_corpus",
    "loss_floors",
    "named_floors",
    "num_segments",
    "segment",
    "split",
    "streams",
    "text_streams",
    "words",
]
