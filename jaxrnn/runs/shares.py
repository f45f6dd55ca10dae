"""Which of the members that are trained side by side belong to which run."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxrnn.base import PyTree
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.preparing import Prepared


class Share(NamedTuple):
    """One run's members.

    Attributes:
      prepared: as the run alone would have it: its own seeds and shapes. Its functions are those of
        all members.
      first: the place of the run's first member among all; None where all are its own.
    """

    run: RunDirectory
    prepared: Prepared
    first: int | None

    def of(self, tree: PyTree) -> PyTree:
        """The part of `tree`, leaves with a leading axis of all members, that is the run's."""
        if self.first is None:
            return tree
        return _part(tree, self.first, len(self.prepared.seeds))

    def rows(self, metrics: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same of metrics on the host."""
        if self.first is None:
            return metrics
        mine = slice(self.first, self.first + len(self.prepared.seeds))
        return {name: a[mine] for name, a in metrics.items()}


def shares_of(runs: Sequence[RunDirectory], prepared: Prepared) -> list[Share]:
    """An even share of the members for each run, in order."""
    if len(runs) == 1:
        return [Share(runs[0], prepared, None)]
    size = len(prepared.seeds) // len(runs)
    like = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((size, *a.shape[1:]), a.dtype), prepared.like
    )
    return [
        Share(run, prepared._replace(seeds=prepared.seeds[first : first + size], like=like), first)
        for run, first in zip(runs, range(0, len(prepared.seeds), size), strict=True)
    ]


@partial(jax.jit, static_argnums=2)
def _part(tree: PyTree, first: ArrayLike, size: int) -> PyTree:
    """Compiled once for all runs, since `first` is an argument."""
    return jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, first, size), tree)
