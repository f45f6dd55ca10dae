"""Tasks in the setting of a paper: what its figures hold for."""

from collections.abc import Callable
from typing import NamedTuple

from jaxrnn.data.tasks.adding import adding
from jaxrnn.data.tasks.brackets import modular_brackets
from jaxrnn.data.tasks.copying import copy
from jaxrnn.data.tasks.induction import induction
from jaxrnn.data.tasks.modular_arithmetic import modular_arithmetic
from jaxrnn.data.tasks.parity import parity
from jaxrnn.data.tasks.recall import recall
from jaxrnn.data.tasks.reversing import reversing
from jaxrnn.data.tasks.selective_copy import selective_copy
from jaxrnn.data.tasks.task import Task

GRAZZI = "Grazzi et al. (2024), https://arxiv.org/abs/2411.12537, table 3"
DELETANG = "Deletang et al. (2022), https://arxiv.org/abs/2207.02098"
ARJOVSKY = "Arjovsky et al. (2016), https://arxiv.org/abs/1511.06464"
MAMBA = "Gu and Dao (2023), https://arxiv.org/abs/2312.00752"
BASED = "Arora et al. (2024), https://arxiv.org/abs/2402.18668"
ZOOLOGY = "Arora et al. (2023), https://arxiv.org/abs/2312.04927"


class Published(NamedTuple):
    """A task as a paper trains it.

    Attributes:
      task: with the paper's lengths, and what it scores.
      source: the paper.
      num_layers, hidden_size, batch_size, training_steps: the paper's; 0 where it has no one figure
        for all cells.
    """

    task: Task
    source: str
    num_layers: int = 0
    hidden_size: int = 0
    batch_size: int = 0
    training_steps: int = 0


def _grazzi(task: Task) -> Published:
    """Blocks of 128, trained on 3 to 40 and tested on 40 to 256, batches of 1,024."""
    lengths = (max(3, task.shortest), 40)
    task = task._replace(train_lengths=lengths, test_lengths=(40, 256))
    return Published(task, GRAZZI, 2, 128, 1024, 100_000)


def _at(task: Task, *lengths: int) -> Task:
    """Trained at the first of the lengths, tested at all."""
    return task._replace(train_lengths=(lengths[0], lengths[0]), test_lengths=lengths)


PUBLISHED: dict[str, Callable[[], Published]] = {
    "parity": lambda: _grazzi(parity(every=False)),
    "modular_arithmetic": lambda: _grazzi(modular_arithmetic(every=False)),
    "modular_brackets": lambda: _grazzi(modular_brackets()),
    # 1 to 40 symbols, with as many answers and the delimiter; tested on 100 and 200
    "reversing": lambda: Published(
        reversing()._replace(train_lengths=(3, 81), test_lengths=(81, 201, 401)),
        DELETANG,
        hidden_size=256,
        batch_size=128,
    ),
    "adding": lambda: Published(_at(adding(), 200), ARJOVSKY),
    "copy": lambda: Published(_at(copy(), 120), ARJOVSKY),
    "selective_copy": lambda: Published(_at(selective_copy(16), 4096), MAMBA),
    "induction": lambda: Published(_at(induction(), 256, 512, 1024), MAMBA),
    "recall": lambda: Published(_at(recall(8192), 256), ZOOLOGY),
}
"""By the names of `TASKS`; what a paper says of them is in the docstring of each."""


def _deletang(task: Task) -> Published:
    """256 units, trained on 1 to 40 and tested on up to 500, batches of 128; so many steps as the
    example of the paper's code has."""
    lengths = (max(1, task.shortest), 40)
    task = task._replace(train_lengths=lengths, test_lengths=(40, 100, 500))
    return Published(task, DELETANG, 1, 256, 128, 10_000)


AS_DELETANG: dict[str, Callable[[], Published]] = {
    "parity": lambda: _deletang(parity(every=False)),
    "modular_arithmetic": lambda: _deletang(modular_arithmetic(every=False)),
    "reversing": PUBLISHED["reversing"],
}
"""Tasks of which `PUBLISHED` has another paper's setting, as the older paper has them."""
