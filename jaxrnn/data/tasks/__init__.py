"""Tasks by which cells are judged, one file each. Every factory works without arguments."""

from collections.abc import Callable

from jaxrnn.data.tasks.adding import adding
from jaxrnn.data.tasks.arrays import arrays as arrays
from jaxrnn.data.tasks.brackets import modular_brackets
from jaxrnn.data.tasks.copying import copy
from jaxrnn.data.tasks.digits import digits, permuted_digits
from jaxrnn.data.tasks.dyck import dyck
from jaxrnn.data.tasks.flip_flop import flip_flop
from jaxrnn.data.tasks.induction import induction
from jaxrnn.data.tasks.lag import lag
from jaxrnn.data.tasks.modular_arithmetic import modular_arithmetic
from jaxrnn.data.tasks.parity import parity
from jaxrnn.data.tasks.recall import recall
from jaxrnn.data.tasks.reversing import reversing
from jaxrnn.data.tasks.selective_copy import selective_copy
from jaxrnn.data.tasks.sines import sines
from jaxrnn.data.tasks.sorting import sorting
from jaxrnn.data.tasks.task import Example as Example
from jaxrnn.data.tasks.task import Scored as Scored
from jaxrnn.data.tasks.task import Task as Task
from jaxrnn.data.tasks.word_problem import word_problem

TASKS: dict[str, Callable[[], Task]] = {
    "lag": lag,
    "copy": copy,
    "selective_copy": selective_copy,
    "adding": adding,
    "parity": parity,
    "modular_arithmetic": modular_arithmetic,
    "modular_brackets": modular_brackets,
    "word_s3": lambda: word_problem("S3"),
    "word_s5": lambda: word_problem("S5"),
    "word_a5": lambda: word_problem("A5"),
    "flip_flop": flip_flop,
    "dyck": dyck,
    "recall": recall,
    "induction": induction,
    "reversing": reversing,
    "sorting": sorting,
    "sines": sines,
    "digits": digits,
    "permuted_digits": permuted_digits,
}
"""The tasks by name."""
NEEDS = {"digits": "sklearn", "permuted_digits": "sklearn"}
"""Tasks whose data come with a package that is an extra."""
