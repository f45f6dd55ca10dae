"""What a run does, and how large."""

from dataclasses import dataclass
from typing import Literal, get_args

from jaxrnn import runs
from jaxrnn.runs import Decided

SOURCE = "R2RT, Styles of Truncated Backpropagation (19 July 2016)"

StudyName = Literal["published", "fair", "estimators", "vanishing", "speed"]


@dataclass(frozen=True)
class Text(runs.TextConfig):
    corpus: str = ""
    """As in the character model; if not given, ptb where it was fetched before, else sherlock."""
    valid_fraction: float = 0.1
    """Part of the text, at its end, to validate on, where the corpus brings no such part."""
    limit: int = 10_000
    """Largest vocabulary of words; rarer ones become one unknown word."""


@dataclass(frozen=True)
class Gradient(runs.GradientConfig):
    estimator: Decided[str] = ""
    window: Decided[int] = 0
    stride: Decided[int] = 0
    history: Decided[int] = 0


@dataclass(frozen=True)
class Optimizer(runs.OptimizerConfig):
    learning_rate: Decided[float] = 0.0


@dataclass(frozen=True)
class Config:
    """The post's model, grid and protocol. Flags that begin with toy or text belong to the parts
    fair and estimators, whose models are of one-hot vectors, without dropout, and begin with the
    default weights."""

    part: tuple[StudyName, ...] = get_args(StudyName)
    """published: the post's grid. fair: every style at equal budgets. estimators: every style's
    gradient beside the full one. vanishing: gradients by the steps they went back.
    speed: true truncation beside TensorFlow style, time per target."""
    tokens: int | None = None
    """Words to train on, from the start of the text; all if not given."""
    window: tuple[int, ...] = (5, 10, 20, 40)
    """Steps an error goes back: the n of the post's rows."""
    num_steps: tuple[int, ...] = (20, 30, 40, 40)
    """Time steps of a training step of true truncation, one a window; TensorFlow style takes n."""
    learning_rate: tuple[float, ...] = (0.003, 0.001, 0.0003)
    grid: tuple[str, ...] = ()
    """Only these cells of the grid, by name or pattern: true_5_lr_0.003, 'tf_*'."""
    loss_scale: Literal["published", "mean"] = "published"
    """published: all gradients but the head's are num_steps / n times those of the mean loss."""
    carried: Literal["dropped", "kept"] = "dropped"
    """dropped: between training steps the carry goes through the output's dropout, as published."""
    edge: Literal["cut", "full"] = "cut"
    """cut: the first errors of a training step go back to its edge, as published; full: all the
    way, into history."""
    toy_window: tuple[int, ...] = (5, 10, 20)
    toy_num_steps: int = 40
    """Time steps of a training step of bptt, of windows of drawn lengths and of true truncation
    cut at its edge; the online styles take the shortest window."""
    toy_styles: tuple[str, ...] = ()
    """Only these styles on the toy task, by name; all if not given."""
    toy_hidden: int = 16
    toy_batch: int = 100
    toy_length: int = 2_000
    """Time steps of each stream in an epoch, in which each stream is drawn anew."""
    toy_epochs: int = 40
    toy_rate: float = 0.003
    text_window: tuple[int, ...] = (10,)
    text_num_steps: int = 40
    text_styles: tuple[str, ...] = ()
    """Only these styles trained on characters; their gradients are compared all the same."""
    text_hidden: int = 32
    text_limit: int = 40
    """Largest vocabulary of characters."""
    text_batch: int = 16
    text_tokens: int = 160_000
    """Characters to train on."""
    text_epochs: int = 10
    text_rate: float = 0.003
    speed_vocabulary: tuple[int, ...] = (10_000, 65)
    """Vocabularies of the models that are timed: the post's, and one of characters."""
    speed_hidden: tuple[int, ...] = (100, 256)
    speed_embedding: tuple[int, ...] = (50, 64)
    stretches: int = 16
    """Stretches of text, text_num_steps long, on which gradients are compared."""
    draws: int = 8
    """Keys to a stretch, for the styles that draw."""
    task: Decided[str] = ""
    """Of a training run: published, toy, text or reference, with which its name begins."""
    text: Text = Text()
    model: runs.ModelConfig = runs.ModelConfig(
        cell="elman", embedding_size=50, dropout=0.2, init="published"
    )
    gradient: Gradient = Gradient()
    optimizer: Optimizer = Optimizer()
    loop: runs.LoopConfig = runs.LoopConfig(epochs=20, seeds=3, log_every=100)


GRID = {"limit": 50, "tokens": 200, "hidden_size": 5, "embedding_size": 4, "batch_size": 4}
GRID |= {"window": (2, 4), "num_steps": (4, 4), "learning_rate": (0.003,), "epochs": 2}
TOY = {"toy_window": (3,), "toy_num_steps": 6, "toy_hidden": 3, "toy_batch": 4, "toy_length": 60}
TEXT = {"text_window": (3,), "text_num_steps": 6, "text_hidden": 3, "text_limit": 8}
TEXT |= {"text_batch": 4, "text_tokens": 600, "toy_epochs": 2, "text_epochs": 2, "stretches": 2}
MEASURED = {"speed_vocabulary": (50,), "speed_hidden": (5,), "speed_embedding": (4,), "draws": 2}

QUICK = {"limit": 1_000, "tokens": 20_000, "batch_size": 8, "epochs": 14, "seeds": 2}
QUICK |= {"window": (5, 20, 40), "num_steps": (20, 40, 40), "learning_rate": (0.003,)}
# of the toy task what its claims are about; of the rest a style each on characters
QUICK |= {"toy_styles": ("tbptt",), "toy_batch": 50, "toy_length": 1_000, "toy_epochs": 20}
QUICK |= {"toy_rate": 0.01, "text_hidden": 16, "text_limit": 30, "text_tokens": 40_000}
QUICK |= {"text_epochs": 5, "stretches": 12}

PUBLISHED = Config()
PRESETS = {
    "smoke": runs.replaced(PUBLISHED, **GRID, **TOY, **TEXT, **MEASURED, seeds=1, log_every=10),
    "quick": runs.replaced(PUBLISHED, **QUICK),
    "published": PUBLISHED,
}
