"""The sources, and for each the commands that decide what it claims: a new source is an entry here.

A flag in braces, such as {text}, is the directory of the job of that name.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

PresetName = Literal["smoke", "quick", "published"]


class Job(NamedTuple):
    """A command to run.

    Attributes:
      name: of its directory and its log.
      experiment: the module in `experiments`.
      flags: as on a command line, without the one that names its directory.
      seconds: what it usually takes on two CPU cores.
      into: the flag that names its directory.
    """

    name: str
    experiment: str
    flags: str = ""
    seconds: float = 60.0
    into: str = "--run"

    @property
    def command(self) -> str:
        return f"python -m experiments.{self.experiment} {self.flags}".rstrip()

    @property
    def needs(self) -> list[str]:
        """The jobs whose directories it reads."""
        words = self.flags.split()
        return list(dict.fromkeys(word[1:-1] for word in words if word.startswith("{")))


class Source(NamedTuple):
    """What is reproduced.

    Attributes:
      name: a short one.
      title: author, title, year.
      link: where it is; "" of what has no place of its own.
      says: what it claims, in a sentence.
      jobs: by preset.
      decided_by: patterns of names of claims, each with the command that decides them, where no
        job of the preset does.
      own: no source, but what jaxrnn aims at by itself.
    """

    name: str
    title: str
    link: str
    says: str
    jobs: Mapping[PresetName, Sequence[Job]]
    decided_by: Mapping[str, str] = {}
    own: bool = False


TOY = Job("toy", "toy", "", 25)
TEXT = Job("text", "char", "--preset quick --cells gru lstm", 200)
SMALL_TEXT = TEXT._replace(flags="--preset smoke --cells gru lstm", seconds=20)
SEEN = Job(
    "seen",
    "inspect",
    "--run {text} --setting gru --beside {text} --beside-setting lstm",
    60,
    "--out",
)
FIRST_EPOCHS = Job("first_epochs", "char", "--epochs 3 --init published", 75)
FIRST_EPOCHS_OURS = Job("first_epochs_default", "char", "--epochs 3", 75)
EVERY_CELL = "--preset cells"
WORD = Job("word", "word", "--preset quick", 100)
NOTEBOOK = "--preset notebook --valid-fraction 0 --sample-length 0"
DIAGNOSIS = Job("saturation", "word", "--preset saturation", 150)
MEMORIZATION = Job("memorization", "memorization", "", 130)
BASELINES = Job("baselines", "baselines", "--preset quick", 360)
STYLES = Job("styles", "truncation", "--preset quick", 340)
TASKS = "--preset quick --tasks parity adding --cells gru min_gru"

SOURCES = (
    Source(
        "R2RT I",
        "R2RT, Recurrent Neural Networks in Tensorflow I (2016)",
        "https://r2rt.com/recurrent-neural-networks-in-tensorflow-i.html",
        "A small recurrent network learns a dependency on an input some time steps back as far as "
        "its errors go back, and no farther.",
        {
            "smoke": [TOY._replace(flags="--preset smoke", seconds=15)],
            "quick": [TOY],
            "published": [TOY],
        },
    ),
    Source(
        "Styles",
        "R2RT, Styles of Truncated Backpropagation (2016)",
        "https://r2rt.com/styles-of-truncated-backpropagation.html",
        "At equal truncation true truncated backpropagation is ahead of TensorFlow's style, less "
        "so the longer it is; backpropagation through the whole sequence is as good.",
        {
            "smoke": [],
            "quick": [STYLES],
            "published": [STYLES._replace(flags="", seconds=40_000)],
        },
        {
            "true - TensorFlow*": "python -m experiments.truncation --part published",
            "*: lowest validation loss": "python -m experiments.truncation --part published "
            "--corpus ptb",
            "*": "python -m experiments.truncation",
        },
    ),
    Source(
        "R2RT II",
        "R2RT, Recurrent Neural Networks in Tensorflow II (2016)",
        "https://r2rt.com/recurrent-neural-networks-in-tensorflow-ii.html",
        "A stack of recurrent layers learns to write Shakespeare character by character; the "
        "layer-norm LSTM learns the most in an epoch, then the GRU, then the LSTM.",
        {
            "smoke": [SMALL_TEXT],
            "quick": [
                FIRST_EPOCHS,
                TEXT,
            ],
            "published": [
                FIRST_EPOCHS._replace(flags="--epochs 3 --init published --seeds 3", seconds=200),
                FIRST_EPOCHS_OURS._replace(flags="--epochs 3 --seeds 3", seconds=200),
                TEXT,
                Job("cells", "char", EVERY_CELL, 1300),
                Job("custom", "char", "--preset custom", 400),
                Job("best_characters", "char", "--preset best", 3400),
            ],
        },
        {
            "*epoch 20*": f"python -m experiments.char {EVERY_CELL}",
            "layer-norm LSTM / LSTM*": f"python -m experiments.char {EVERY_CELL}",
            "epoch 3, default*": "python -m experiments.char --epochs 3",
        },
    ),
    Source(
        "Coady",
        "Pat Coady, RNN language model with TensorBoard (2017)",
        "https://pat-coady.github.io/rnn/",
        "A word model learns three books about Sherlock Holmes from a few candidates at a time; "
        "at a low learning rate its units saturate and do not recover.",
        {
            "smoke": [],
            "quick": [
                WORD,
                Job("notebook", "word", f"{NOTEBOOK} --epochs 1", 40),
                DIAGNOSIS,
            ],
            "published": [
                WORD,
                Job("notebook", "word", NOTEBOOK, 1500),
                Job("word_published", "word", "--preset published", 1500),
                DIAGNOSIS,
                Job("best_words", "word", "--preset best", 400),
            ],
        },
        {"noise-contrastive*": f"python -m experiments.word {NOTEBOOK}"},
    ),
    Source(
        "OpenSUTD",
        "OpenSUTD, Machine Learning Workshop, exploring_rnn (2019)",
        "https://github.com/OpenSUTD/machine-learning-workshop",
        "An LSTM of 16 units learns a paragraph by heart where a plain network of as many does "
        "not, since it looks farther back.",
        {
            "smoke": [],
            "quick": [MEMORIZATION],
            "published": [MEMORIZATION._replace(flags="--seeds 16", seconds=500)],
        },
    ),
    Source(
        "Rhodes",
        "Nadja Rhodes (iconix), OpenAI Scholar, weeks 1 and 2 (2018)",
        "https://iconix.github.io/",
        "N-grams of long contexts copy their text; recurrent networks predict better than counting "
        "and do not.",
        {
            "smoke": [],
            "quick": [
                BASELINES._replace(flags="--preset quick --levels character", seconds=190),
            ],
            "published": [
                BASELINES,
                Job("baselines_published", "baselines", "", 900),
            ],
        },
        {"nats per held-out word*": "python -m experiments.baselines --preset quick"},
    ),
    Source(
        "Distill",
        "Andreas Madsen, Visualizing memorization in RNNs, Distill (2019)",
        "https://doi.org/10.23915/distill.00016",
        "GRU and LSTM are nearly as accurate, but the GRU uses what it read longer ago; the more "
        "of a word was read, the more often it is right.",
        {"smoke": [SEEN], "quick": [SEEN], "published": [SEEN]},
    ),
    Source(
        "Battery",
        "Deletang et al. (2022), Grazzi et al. (2024), Arjovsky et al. (2016)",
        "https://arxiv.org/abs/2411.12537",
        "Which tasks a cell can learn, and go on with at lengths that it was never trained at, "
        "follows from its transitions.",
        {
            "smoke": [],
            "quick": [Job("battery", "battery", TASKS, 80)],
            "published": [Job("battery", "battery", "--preset published", 20_000)],
        },
        {
            "adding*": "python -m experiments.battery --preset memory",
            "*": "python -m experiments.battery --preset published",
        },
    ),
    Source(
        "Speed",
        "What jaxrnn aims at: cells written plainly, as fast as others' by hand",
        "",
        "A cell that is written as one time step of one example trains faster than the same "
        "mathematics in a loop of another library.",
        {
            "smoke": [],
            "quick": [Job("speed", "speed", "--case cells --seconds 2", 70)],
            "published": [Job("speed", "speed", "", 480)],
        },
        {"*": "python -m experiments.speed"},
        own=True,
    ),
)


def sources_here() -> list[Source]:
    """The sources whose experiments this folder has."""

    def here(job: Job) -> bool:
        return importlib.util.find_spec(f"experiments.{job.experiment}") is not None

    return [s for s in SOURCES if all(here(job) for jobs in s.jobs.values() for job in jobs)]


def jobs_of(sources: Sequence[Source], preset: PresetName) -> list[Job]:
    """What is to be run, each once, and what another needs before it."""
    found = {job.name: job for source in sources for job in source.jobs[preset]}
    every = {job.name: job for source in SOURCES for job in source.jobs[preset]}
    ordered: dict[str, Job] = {}
    for job in found.values():
        ordered |= {name: every[name] for name in job.needs}
        ordered[job.name] = job
    return list(ordered.values())
