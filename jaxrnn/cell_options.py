"""What stands in brackets behind a cell's name: further arguments of its factory, as in
`delta_net(heads=4,eigenvalues=-1..1)`."""

import functools
import inspect
import math
import re
import types
from collections.abc import Callable, Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jaxrnn.cells import CellFactory

GRAMMAR = "NAME(OPTION=VALUE,...), as in delta_net(heads=4,eigenvalues=-1..1)"
BRACKETS = re.compile(r"(.*?[\w.])\(([^()]*)\)", re.DOTALL)
"""Those at the end: a folder on the way to a file may have brackets of its own."""
OPTION = re.compile(r"(\w+)=([\w.+-]+)")
INTERVAL = re.compile(r"\[([^\[\],]*),([^\[\],]*)\]")


def without_options(name: str) -> str:
    """A cell's name without what stands in brackets behind it."""
    found = BRACKETS.fullmatch(name)
    return found.group(1) if found else name


def written_options(name: str) -> str:
    """The options of a cell's name with their brackets, one spelling for all that mean the same:
    without blanks, and [-1, 1] as -1..1; empty where there are none.

    The text is fit for the name of a file.
    """
    found = BRACKETS.fullmatch(name)
    if found is None:
        return ""
    text = INTERVAL.sub(r"\1..\2", re.sub(r"\s", "", found.group(2)))
    return f"({text})" if text else ""


def outside_brackets(text: str) -> list[str]:
    """The parts of a list that has commas between them, and cells with options among them."""
    parts, open_brackets = [""], 0
    for letter in text:
        open_brackets = max(0, open_brackets + (letter in "([") - (letter in ")]"))
        if letter == "," and not open_brackets:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def with_options(name: str, factory: CellFactory) -> CellFactory:
    """`factory` with the options that `name` has; what it refuses names the cell.

    Raises:
      ValueError: an option that the factory does not have, or has twice, or a value that it does
        not take, in one line.
    """
    written = written_options(name)
    if not written:
        return factory
    given = dict(_read(name, written[1:-1], factory))

    @functools.wraps(factory)
    def with_these(input_size: int, hidden_size: int):
        try:
            return factory(input_size, hidden_size, **given)
        except ValueError as error:
            raise ValueError(f"cell {name}: {error}") from error

    return with_these


def _read(name: str, text: str, factory: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    options, seen = _options_of(factory), set()
    for part in text.split(","):
        found = OPTION.fullmatch(part)
        if found is None:
            raise ValueError(f"cell {name}: {part!r} is no option with a value; give {GRAMMAR}")
        option, value = found.groups()
        if option not in options:
            known = f"it has {', '.join(options)}" if options else "it has none"
            raise ValueError(f"cell {name}: there is no option {option}; {known}")
        if option in seen:
            raise ValueError(f"cell {name} has {option} twice; give it once")
        seen.add(option)
        kind = options[option]
        values = list(_meanings(kind, value))
        if not values:
            raise ValueError(f"cell {name}: {option} is {value}; give {_said(kind)}")
        yield option, values[0]


def _options_of(factory: Callable[..., Any]) -> dict[str, Any]:
    """Option to type: all that the factory takes by name besides the two sizes."""
    further = list(inspect.signature(factory).parameters.values())[2:]
    try:
        hints = get_type_hints(factory)
    except Exception:  # a name that is known to type checkers alone
        hints = {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        each.name: hints.get(each.name, _kind_of(each.default))
        for each in further
        if each.kind in named
    }


def _kind_of(default: Any) -> Any:
    """The type of an option that has none written down."""
    known = isinstance(default, bool | int | float | str)
    return type(default) if known else bool | int | float | str


def _meanings(kind: Any, text: str) -> Iterator[Any]:
    """What a text may say as a value of the type, the nearest first."""
    if get_origin(kind) is Literal:
        yield from (choice for choice in get_args(kind) if _written(choice) == text)
    elif get_origin(kind) in (Union, types.UnionType):
        for each in get_args(kind):
            yield from _meanings(each, text)
    elif kind is bool:
        yield from (truth for truth in (True, False) if str(truth).lower() == text.lower())
    elif kind is type(None):
        yield from [None] if text == "None" else []
    elif kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            return
        if math.isfinite(number):
            yield number
    elif kind is str or kind is Any:
        yield text


def _written(choice: Any) -> str:
    return INTERVAL.sub(r"\1..\2", str(choice).replace(" ", ""))


def _said(kind: Any) -> str:
    """What a message calls the values of a type."""
    if get_origin(kind) is Literal:
        return " or ".join(map(_written, get_args(kind)))
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(map(_said, get_args(kind)))
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    return names.get(kind, "None" if kind is type(None) else "another: no text can say this one")
