"""The product of permutations so far: the word problem of a group."""

from itertools import permutations
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrnn.base import require_one_of
from jaxrnn.data.tasks.task import Example, Task, answered, constantly, deterministic, integers

Group = Literal["S3", "S5", "A5"]
Permutation = tuple[int, ...]


def elements(group: Group) -> list[Permutation]:
    """The permutations of a group in the order of their numbers: p[i] is where i goes."""
    require_one_of(("S3", "S5", "A5"), group=group)
    kind, size = group[0], int(group[1:])
    found = list(permutations(range(size)))
    return found if kind == "S" else [each for each in found if _is_even(each)]


def word_problem(group: Group = "S3", every: bool = True) -> Task:
    """Elements of a group, each as probable; the answer is the product of those so far, the
    earlier one applied first. S5 and A5 are not solvable: no constant number of layers whose
    time steps are all worked out in parallel tracks them, unless TC0 = NC1.

    Args:
      group: of permutations: S3 has 6, S5 120, A5 60.
      every: score every place, or the last one alone.

    Reference: Merrill et al. (2024), https://arxiv.org/abs/2404.08819
    """
    every_one = elements(group)
    number = {each: i for i, each in enumerate(every_one)}
    product = np.array(
        [[number[tuple(b[i] for i in a)] for b in every_one] for a in every_one], np.int32
    )

    def draw(key, size, length):
        words = integers(key, (length,), 0, len(every_one))
        table = jnp.asarray(product)

        def multiply(so_far, word):
            new = table[so_far, word]
            return new, new

        _, rest = lax.scan(multiply, words[0], words[1:])
        targets = jnp.concatenate([words[:1], rest])
        return Example(words, targets, answered(every, size, length))

    return deterministic(
        draw,
        reads=len(every_one),
        answers=len(every_one),
        metric="scaled accuracy",
        chance=constantly(1 / len(every_one)),
        shortest=1,
        train_lengths=(2, 20),
        test_lengths=(20, 40, 80),
    )


def _is_even(permutation: Permutation) -> bool:
    inversions = sum(a > b for i, a in enumerate(permutation) for b in permutation[i + 1 :])
    return inversions % 2 == 0
