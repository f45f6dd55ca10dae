"""A cell against its transcription: a module with `PARAMETERS`, the recorded tree (leaf name to
shape), and `initial_carry(params)` and `step(params, carry, x)`, written in numpy from the
equations, where params is a dict of float64 arrays under the same names."""

import jax
import numpy as np

from jaxrnn.laws.comparing import LawBroken, leaf_name, require_close, widened
from jaxrnn.laws.subject import Subject, nearby

DOUBLE_ROUNDING = 1e-12


def equals_its_transcription(subject: Subject) -> None:
    """Carry and output of every time step, in double precision, and the carry before the first."""
    reference = subject.reference
    with jax.enable_x64(True):
        params = nearby(widened(subject.params), np.random.default_rng(0))
        plain = {name: np.asarray(leaf) for name, leaf in _named_leaves(params).items()}
        carry = widened(subject.cell.init_carry(params, subject.keys[0]))
        plain_carry = reference.initial_carry(plain)
        _require_same("carry before the first time step", carry, plain_carry)
        for t, x in enumerate(widened(subject.xs[:, 0])):
            carry, y = subject.cell.step(params, carry, x)
            plain_carry, plain_y = reference.step(plain, plain_carry, np.asarray(x))
            _require_same(f"carry after time step {t}", carry, plain_carry)
            _require_same(f"y of time step {t}", y, plain_y)


def parameters_as_recorded(subject: Subject) -> None:
    """The names and shapes of params are those on record, so that saved weights still fit."""
    recorded = subject.reference.PARAMETERS
    found = {name: tuple(leaf.shape) for name, leaf in _named_leaves(subject.params).items()}
    for name in [*recorded, *found]:
        if recorded.get(name) != found.get(name):
            raise LawBroken(
                f"params.{name} has shape {found.get(name, 'none, it is missing')}; recorded is "
                f"{recorded.get(name, 'no such leaf')}"
            )


def _named_leaves(params) -> dict[str, jax.Array]:
    leaves = jax.tree.leaves_with_path(params)
    return {leaf_name("", path).removeprefix("."): leaf for path, leaf in leaves}


def _require_same(what: str, cell_tree, reference_tree) -> None:
    mine, theirs = jax.tree.leaves(cell_tree), jax.tree.leaves(reference_tree)
    require_close(f"{what}, leaf ", ("cell", mine), ("transcription", theirs), DOUBLE_ROUNDING)
