"""What is counted: n-grams of the run's own text, and those whose figures are known."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.baselines.config import Config, text_of
from experiments.baselines.samples import written_by_counts
from jaxrnn.counts import CountModel, count, unsmoothed, witten_bell
from jaxrnn.data import Level, is_here
from jaxrnn.runs import Text, read_text
from jaxrnn.runs.interrupt import Interrupted, interrupts
from jaxrnn.runs.text import read_corpus

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


def counted(levels: Mapping[Level, Config]) -> dict[str, Any]:
    """A row and the samples of every n-gram, by level, and the known figures: JSON.

    Raises:
      Interrupted: somebody asked to stop, which is noticed between two n-grams.
    """
    found: dict[str, Any] = {level: [] for level in levels}
    with interrupts() as asked:
        for level, config in levels.items():
            text = text_of(config)
            kinds = [("unsmoothed", context) for context in config.unsmoothed]
            kinds += [("witten-bell", context) for context in config.interpolated]
            for family, context in kinds:
                if asked.requested:
                    raise Interrupted("stopped while counting")
                model, row = counted_one(text, family, context)
                samples = written_by_counts(config, text, model)
                found[level].append({"row": row, "samples": samples})
                print(f"{level}s, {row['model']}  {row['seconds']:.1f} s", flush=True)
    here = [known for known in KNOWN if next(iter(levels.values())).known and is_here(known.corpus)]
    return found | {"known": [{**known._asdict(), "nats": _nats(known)} for known in here]}


def counted_one(text: Text, family: str, context: int) -> tuple[CountModel, dict[str, Any]]:
    """An n-gram of a family, and its row: what it came to on the text held out."""
    start = time.monotonic()
    model = FAMILIES[family](count(text.train, text.vocabulary.size, context), context)
    nats = model.nats(text.valid)
    seconds = time.monotonic() - start
    unseen = float(np.isinf(nats).mean())
    return model, {
        "model": f"{family} {context}",
        "family": family,
        "context": context,
        "parameters": len(model.counts.keys) - 1,
        # one unseen token makes it infinite; how many there are says more
        "nats_per_token": None if unseen else float(nats.mean()),
        "unseen": unseen,
        "seconds": seconds,
    }


def _nats(known: Known) -> float:
    vocabulary = read_text(known.corpus, known.level, valid_fraction=0.0).vocabulary
    tokens = vocabulary.encode(read_corpus(known.corpus).train)
    boundary = int(0.9 * len(tokens))
    model = witten_bell(count(tokens[:boundary], vocabulary.size, known.context), known.context)
    return float(model.nats(tokens[boundary:]).mean())
