"""`python -m jaxrnn.check path/to/file.py:factory`: the laws, held against a cell in any file.

Prints a line per law, the smallest example of what is broken, how the cell is unrolled, and how
fast it is beside gru and lstm; exits with 0 if all laws hold, 1 if one is broken, and 2 if there is
no cell to try.
"""

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import tyro
from rich.console import Console
from rich.text import Text

from jaxrnn.base import PyTree, require_positive
from jaxrnn.cell_files import find_cell
from jaxrnn.cells import CellFactory
from jaxrnn.check import speed
from jaxrnn.check.smallest import Sizes, made, smallest
from jaxrnn.laws import (
    CELL_LAWS,
    LEARNING_LAWS,
    REFERENCE_LAWS,
    STEP_LAWS,
    Subject,
    what_is_broken,
)
from jaxrnn.models import count_parameters
from jaxrnn.runs.command import naming_flags, run_command
from jaxrnn.runs.progress import printable
from jaxrnn.starting import called
from jaxrnn.unroll import explain

LAWS = CELL_LAWS | LEARNING_LAWS

# Seconds for the smallest examples of all broken laws, and for the measurement.
SEARCH = 20.0
MEASURE = 4.0
LARGEST = 1_000  # of every size


@dataclass(frozen=True)
class Check:
    """Which cell, and at what size."""

    cell: tyro.conf.Positional[str]
    """path/to/file.py:factory, where factory(input_size, hidden_size) returns a jaxrnn.Cell; or the
    name of a cell of jaxrnn."""
    input_size: int = 3
    hidden_size: int = 4
    batch_size: int = 2
    num_steps: int = 5
    law: str | None = None
    """Only this one, by the name that the report gives it."""
    speed: bool = True
    """Whether to time the cell; a broken one is not timed."""

    def sizes(self) -> Sizes:
        return Sizes(self.input_size, self.hidden_size, self.batch_size, self.num_steps)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(
        "jaxrnn.check",
        Check,
        lambda options: sys.exit(_check(options)),
        description="Hold the laws that every recurrent cell must obey against one cell.",
        argv=argv,
    )


def _check(options: Check) -> int:
    """Prints the report and returns the exit code."""
    try:
        with naming_flags(options):
            laws = _laws(options)
            factory, tried = _subject(options)
    except ValueError as error:
        print(f"error: {printable(' '.join(str(error).split()))}", file=sys.stderr)
        return 2
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    console.print(_describe(options, tried))
    broken = _report(console, tried, laws)
    for text in _examples(options, factory, broken):
        console.print(text)
    if options.law is None and not broken.keys() & STEP_LAWS.keys():
        console.print(f"\n{_explain(tried)}")
    if options.speed and options.law is None and not broken:
        console.print(f"\n{_speed(factory)}")
    return 1 if broken else 0


def _laws(options: Check) -> dict[str, Callable[[Subject], None]]:
    """Raises: ValueError, no such law."""
    if options.law is None:
        return LAWS
    if options.law not in LAWS:
        raise ValueError(f"law is {options.law!r}; give one of {', '.join(map(repr, LAWS))}")
    return {options.law: LAWS[options.law]}


def _subject(options: Check) -> tuple[CellFactory, Subject]:
    """Raises: ValueError, whatever kept the cell from being made."""
    sizes = options.sizes()._asdict()
    require_positive(**sizes)
    for name, size in sizes.items():
        if size > LARGEST:
            raise ValueError(
                f"{name} is {size}; give at most {LARGEST:,}, laws are tried many times"
            )
    factory = find_cell(options.cell)
    try:
        return factory, made(factory, options.sizes())
    except (Exception, SystemExit) as error:
        call = f"{options.cell} with ({options.input_size}, {options.hidden_size})"
        raise ValueError(f"{call}: {type(error).__name__}: {error}") from error


def _report(
    console: Console, tried: Subject, laws: dict[str, Callable[[Subject], None]]
) -> dict[str, str]:
    """Prints the verdict of every law, and returns what those that are broken say."""
    broken: dict[str, str] = {}
    for name, law in laws.items():
        if broken.keys() & STEP_LAWS.keys():
            _print_verdict(console, name, "not tried, since step cannot be unrolled", "dim")
            continue
        fault = what_is_broken(law, tried)
        if fault is None:
            _print_verdict(console, name, "ok", "green")
        else:
            broken[name] = fault
            _print_verdict(console, name, f"BROKEN: {fault}", "bold red")
    for name in REFERENCE_LAWS if laws is LAWS else ():
        _print_verdict(console, name, "not given", "dim")
    return broken


def _print_verdict(console: Console, law: str, verdict: str, style: str) -> None:
    width = max(map(len, LAWS | REFERENCE_LAWS))
    console.print(Text.assemble(f"{law:<{width}}  ", (verdict, style)))


def _examples(options: Check, factory: CellFactory, broken: dict[str, str]):
    """Of each broken law the smallest sizes that show it, and the command that does."""
    # a training run has a size of its own
    sized = {law: fault for law, fault in broken.items() if law not in LEARNING_LAWS}
    for law, fault in sized.items():
        seconds = SEARCH / len(sized)
        sizes, found = smallest(factory, CELL_LAWS[law], options.sizes(), fault, seconds)
        if sizes == options.sizes():
            continue
        command = f"{called('jaxrnn.check')} {shlex.quote(options.cell)} {sizes.flags()}"
        yield Text.assemble(
            f"\nSmallest example of a broken {law!r}: {sizes}\n",
            ("  " + found, "red"),
            f"\n  {command} --law {shlex.quote(law)}",
        )


def _explain(tried: Subject) -> str:
    """How the cell is unrolled over as many time steps as a training step has."""
    xs = jnp.tile(tried.xs, (20, 1, 1))
    try:
        return str(explain(tried.cell, tried.params, tried.carry, xs))
    except Exception as error:  # a law above says what is wrong with the cell
        return f"schedule not known: {type(error).__name__}"


def _speed(factory: CellFactory) -> str:
    lines = [
        f"speed: the gradient of {speed.NUM_STEPS} time steps, batch_size {speed.BATCH_SIZE}, "
        f"input_size and hidden_size {speed.HIDDEN_SIZE}"
    ]
    try:
        times = speed.milliseconds(factory, MEASURE)
    except Exception as error:  # some cells are made for one size
        first = (str(error).strip().splitlines() or [""])[0]
        return f"{lines[0]}: not known, {type(error).__name__}: {first}"
    for name, ms in times.items():
        ratio = times[speed.OWN] / ms
        beside = "" if name == speed.OWN else f"  this cell takes {ratio:.2f} times as long"
        lines.append(f"  {name:<9}  {ms:8.2f} ms{beside}")
    return "\n".join(lines)


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
