"""Word model: learn which word follows, on three books about Sherlock Holmes.

Question:  What does a recurrent network make of words that n-grams do not, what is learnt from a
           few candidates instead of the whole vocabulary, and what does saturation do to it? After
           Pat Coady's model, https://pat-coady.github.io/rnn (2017).
Command:   python -m experiments.word --preset quick
Expected:  validation loss near 5.04 nats per word, where words by their frequency alone have 6.14
           and a bigram 5.32; `--preset best` ends at 4.75
Run time:  about 1.5 minutes on two CPU cores, `--preset best` about 6

Without a preset it is the published training, 75 epochs of noise-contrastive estimation;
`--study saturation` alone is the preset of that name.
"""

import sys
from collections.abc import Sequence

from experiments.word.config import PRESETS, settings
from experiments.word.report import report
from experiments.word.training import build
from jaxrnn import runs
from jaxrnn.runs.flags import value_of

EXPERIMENT = runs.Experiment("word", __doc__, PRESETS, settings, build, report)


def main(argv: Sequence[str] | None = None) -> int:
    return EXPERIMENT.main(from_its_preset(list(sys.argv[1:] if argv is None else argv)))


def from_its_preset(argv: list[str]) -> list[str]:
    """A study changes the preset of its name, where the command line names no other."""
    study, *others = (value_of(flag, argv) for flag in ("--study", "--preset", "--resume"))
    return ["--preset", study, *argv] if study in PRESETS and others == [None, None] else argv
