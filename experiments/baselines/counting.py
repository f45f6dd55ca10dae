"""What is counted: n-grams of the run's own text, and those whose figures are known."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from experiments.baselines.config import Config, Part
from jaxrnn.counts import CountModel, count, unsmoothed, witten_bell
from jaxrnn.data import Level, is_here
from jaxrnn.runs.text import Text, read_corpus, read_text

FAMILIES = {"unsmoothed": unsmoothed, "witten-bell": witten_bell}


class Known(NamedTuple):
    """An interpolated n-gram whose figure is known: nats per token of the last tenth of the tokens,
    counted on those before."""

    corpus: str
    level: Level
    context: int
    nats: float


KNOWN = (
    Known("tiny-shakespeare", "character", 4, 1.669),
    Known("sherlock", "word", 1, 5.316),
)


class Counted(NamedTuple):
    """An n-gram and what it came to.

    Attributes:
      name: of the model, e.g. "unsmoothed 4".
      family: which of `FAMILIES`.
      model: the counts.
      nats: the mean over the tokens held out; infinite where one of them has probability 0.
      unseen: the share of those.
      seconds: of counting and of scoring.
    """

    name: str
    family: str
    model: CountModel
    nats: float
    unseen: float
    seconds: float

    def row(self) -> dict[str, Any]:
        return {
            "model": self.name,
            "family": self.family,
            "context": self.model.context,
            "parameters": len(self.model.counts.keys) - 1,
            # one unseen token makes it infinite; how many there are says more
            "nats_per_token": None if np.isinf(self.nats) else self.nats,
            "unseen": self.unseen,
            "seconds": self.seconds,
        }


def check(part: Part) -> None:
    """Contexts that can be counted.

    Raises:
      ValueError: one below 0, one twice, or one of more tokens than are sensible.
    """
    prefix = "--" if part.level == "character" else "--word-"
    for name, contexts in (("unsmoothed", part.unsmoothed), ("interpolated", part.interpolated)):
        if contexts and not 0 <= min(contexts) <= max(contexts) <= 64:
            raise ValueError(f"{prefix}{name} is {contexts}; give contexts of 0 to 64 tokens")
        if len(set(contexts)) < len(contexts):
            raise ValueError(f"{prefix}{name} is {contexts}; give each context once")


def counted(part: Part, text: Text) -> list[Callable[[], Counted]]:
    """The part's n-grams, each counted from the text when it is called for."""
    asked = [("unsmoothed", context) for context in part.unsmoothed]
    asked += [("witten-bell", context) for context in part.interpolated]

    def one(family, context):
        start = time.monotonic()
        counts = count(text.train, text.vocabulary.size, context)
        model = FAMILIES[family](counts, context)
        nats = model.nats(text.valid)
        seconds = time.monotonic() - start
        unseen = float(np.isinf(nats).mean())
        return Counted(f"{family} {context}", family, model, float(nats.mean()), unseen, seconds)

    return [lambda family=f, context=c: one(family, context) for f, c in asked]


def known_figures(config: Config) -> list[dict[str, Any]]:
    """What each of `KNOWN` comes to, where its text is on this machine."""
    if not config.known:
        return []
    return [{**known._asdict(), "nats": _known(known)} for known in KNOWN if is_here(known.corpus)]


def _known(known: Known) -> float:
    vocabulary = read_text(known.corpus, known.level, valid_fraction=0.0).vocabulary
    tokens = vocabulary.encode(read_corpus(known.corpus).train)
    boundary = int(0.9 * len(tokens))
    model = witten_bell(count(tokens[:boundary], vocabulary.size, known.context), known.context)
    return float(model.nats(tokens[boundary:]).mean())
