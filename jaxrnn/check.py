"""`python -m jaxrnn.check path/to/file.py:factory`: the laws, held against a cell in any file.

Prints a line per law and how the cell is unrolled; exits with 0 if all hold, 1 if one is broken,
and 2 if there is no cell to try.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import tyro

from jaxrnn.base import PyTree, require_positive
from jaxrnn.laws import (
    CELL_LAWS,
    LEARNING_LAWS,
    REFERENCE_LAWS,
    STEP_LAWS,
    Subject,
    subject,
    what_is_broken,
)
from jaxrnn.models import count_parameters, find_cell
from jaxrnn.runs.command import parse
from jaxrnn.unroll import explain


@dataclass(frozen=True)
class Check:
    """Which cell, and at what size."""

    cell: tyro.conf.Positional[str]
    """path/to/file.py:factory, where factory(input_size, hidden_size) returns a jaxrnn.Cell; or the
    name of a cell of jaxrnn."""
    input_size: int = 3
    hidden_size: int = 4


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(
        Check,
        prog="python -m jaxrnn.check",
        description="Hold the laws that every recurrent cell must obey against one cell.",
        argv=sys.argv[1:] if argv is None else argv,
    )
    try:
        tried = _subject(options)
    except ValueError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(_describe(options, tried))
    broken = _report(tried)
    if not broken & STEP_LAWS.keys():
        print(f"\n{_explain(tried)}")
    return 1 if broken else 0


def _subject(options: Check) -> Subject:
    """Raises: ValueError, whatever kept the cell from being made."""
    require_positive(input_size=options.input_size, hidden_size=options.hidden_size)
    try:
        factory = find_cell(options.cell)
    except SystemExit as stop:
        raise ValueError(f"{options.cell} exits with {stop.code} when it is run") from stop
    try:
        return subject(factory, options.input_size, options.hidden_size)
    except (Exception, SystemExit) as error:
        call = f"{options.cell} with ({options.input_size}, {options.hidden_size})"
        raise ValueError(f"{call}: {type(error).__name__}: {error}") from error


def _report(tried: Subject) -> set[str]:
    """Prints the verdict of every law and returns the names of those that are broken."""
    broken: set[str] = set()
    for name, law in (CELL_LAWS | LEARNING_LAWS).items():
        if broken & STEP_LAWS.keys():
            _print_verdict(name, "not tried, since step cannot be unrolled")
            continue
        fault = what_is_broken(law, tried)
        if fault is not None:
            broken.add(name)
        _print_verdict(name, "ok" if fault is None else f"BROKEN: {fault}")
    for name in REFERENCE_LAWS:
        _print_verdict(name, "not given")
    return broken


def _explain(tried: Subject) -> str:
    """How the cell is unrolled over as many time steps as a training step has."""
    xs = jnp.tile(tried.xs, (20, 1, 1))
    try:
        return str(explain(tried.cell, tried.params, tried.carry, xs))
    except Exception as error:  # a law above says what is wrong with the cell
        return f"schedule not known: {type(error).__name__}"


def _print_verdict(law: str, verdict: str) -> None:
    width = max(map(len, CELL_LAWS | LEARNING_LAWS | REFERENCE_LAWS))
    print(f"{law:<{width}}  {verdict}", flush=True)


def _describe(options: Check, tried: Subject) -> str:
    carry = jax.tree.map(lambda a: a[0], tried.carry)
    return (
        f"{options.cell}, input_size {options.input_size}, hidden_size {options.hidden_size}: "
        f"{count_parameters(tried.params)} parameters\n"
        f"params  {_shapes(tried.params)}\ncarry   {_shapes(carry)}\n"
    )


def _shapes(tree: PyTree) -> str:
    leaves = jax.tree.leaves_with_path(tree)
    named = [(jax.tree_util.keystr(path).removeprefix("."), leaf) for path, leaf in leaves]
    shapes = [f"{name} {leaf.dtype}{list(leaf.shape)}".strip() for name, leaf in named]
    return ", ".join(shapes) or "none"


if __name__ == "__main__":
    sys.exit(main())
