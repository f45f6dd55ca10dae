"""What is trained: one word model, or one of each setting of a study."""

from dataclasses import dataclass
from typing import Any, Literal

from jaxrnn import runs
from jaxrnn.runs import replaced


@dataclass(frozen=True)
class Config:
    """Pat Coady's model and training, by the sizes of his page; the last tenth of the text is held
    out, which he did not."""

    dense_size: int = 96
    """Units of the tanh layer between the cell and the words; 0 has none."""
    reading: Literal["windows", "streams"] = "windows"
    """windows: each from a carry of its own, in shuffled order, and only its last output predicts,
    so that stride 0 is 1; streams: one after the other, the carry goes on, and every output
    predicts."""
    num_steps: int = 20
    """Words of a stream in a training step: a window's, or those that predict."""
    loss: Literal["full", "sampled", "nce"] = "nce"
    """full: cross-entropy. sampled: softmax over the target and negatives. nce: noise-contrastive
    estimation, as published. Validation is the cross-entropy, whatever is trained."""
    negatives: int = 64
    """Words drawn for a training step with sampled and nce, log-uniformly by rank."""
    study: Literal["none", "saturation"] = "none"
    """saturation: trains the settings of the diagnosis in turn, each a change of this config."""
    sample_length: int = 250
    """Words that the first seed writes at the end of each epoch, twice: always the likeliest, and
    drawn."""
    text: runs.TextConfig = runs.TextConfig(corpus="sherlock")
    model: runs.ModelConfig = runs.ModelConfig(hidden_size=192, embedding_size=64, init="small")
    gradient: runs.GradientConfig = runs.GradientConfig()
    optimizer: runs.OptimizerConfig = runs.OptimizerConfig("momentum", learning_rate=0.05)
    loop: runs.LoopConfig = runs.LoopConfig(epochs=75, log_every=250)


TINY = {"hidden_size": 6, "embedding_size": 5, "dense_size": 4, "negatives": 8, "num_steps": 4}
BRIEF = {"limit": 300, "batch_size": 64, "epochs": 2, "log_every": 500, "sample_length": 20}
# every word predicts, from all words before it: what learns the text soonest
LEARNING = {"reading": "streams", "init": "default", "loss": "sampled", "log_every": 50}
# gradients come to a norm of more than that; not Adam, which takes words that training never sees
# to a probability of nothing: 6.4 nats of validation after 2 epochs, 5.1 with momentum
LEARNING |= {"learning_rate": 2.0, "max_norm": 0.25}
LARGE = {"embedding_size": 128, "dense_size": 128}
LARGEST = {"embedding_size": 256, "hidden_size": 256, "dense_size": 0, "tied": True}
# the notebook of the basic cell
DIAGNOSIS = {"study": "saturation", "cell": "elman", "hidden_size": 128, "num_steps": 10}
SLOWLY = {"learning_rate": 0.001, "momentum": 0.9, "epochs": 1, "sample_length": 0}

PUBLISHED = Config()
PRESETS = {
    "smoke": replaced(PUBLISHED, **TINY, **BRIEF),
    "quick": replaced(PUBLISHED, **LEARNING, **LARGE, negatives=512, dropout=0.3, epochs=4),
    "published": PUBLISHED,
    # the notebook behind the page's sample of text
    "notebook": replaced(PUBLISHED, hidden_size=128, dense_size=196),
    "best": replaced(PUBLISHED, **LEARNING, **LARGEST, negatives=1024, dropout=0.5, epochs=30),
    "saturation": replaced(PUBLISHED, **LARGE, **DIAGNOSIS, **SLOWLY),
}

BASIC, RECOVERING, CLIPPED = "basic", "higher_rate", "clipped"
SHORT, WIDE, GRU, LSTM = "three_steps", "wide_weights", "gru", "lstm"
SATURATION: dict[str, dict[str, Any]] = {
    BASIC: {},
    RECOVERING: {"learning_rate": 0.05, "momentum": 0.8},
    CLIPPED: {"max_norm": 1.0},
    SHORT: {"num_steps": 3},
    WIDE: {"init": "default"},
    GRU: {"cell": "gru"},
    LSTM: {"cell": "lstm"},
}
"""What each setting of the diagnosis changes."""
PLAIN = {"connect": "plain", "tied": False, "zoneout": 0.0, "learnt_carry": False}
"""What the units that it looks at are outputs of: a cell as it is, on an embedding of its own."""


def settings(config: Config) -> dict[str, Config]:
    """One model, or those of the study."""
    if config.study == "none":
        return {"word": _complete(config)}
    for name, plain in PLAIN.items():
        if (value := getattr(config.model, name)) != plain:
            raise ValueError(
                f"--{name.replace('_', '-')} is {value}, and --study saturation looks at the units "
                "of a plain first layer; leave one of the two out"
            )
    return {name: _complete(replaced(config, **change)) for name, change in SATURATION.items()}


def _complete(config: Config) -> Config:
    """With what the estimator of a window reads, where nothing else is said."""
    gradient, steps = config.gradient, config.num_steps
    if config.reading == "streams":
        return config
    if gradient.estimator not in ("tbptt", "stateless"):
        raise ValueError(
            f"--estimator is {gradient.estimator}, which scores every word that it reads; "
            "give --reading streams, or --estimator tbptt"
        )
    if gradient.history:
        raise ValueError(
            f"--history is {gradient.history}, and a window is history up to the word that it "
            "predicts; leave it out, or give --reading streams"
        )
    window, stride = gradient.window or steps, gradient.stride or 1
    return replaced(config, window=window, stride=stride, history=steps - 1)
