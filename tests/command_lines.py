"""Generated command lines, valid and hostile ones, over all commands."""

import importlib
from dataclasses import fields, is_dataclass
from random import Random
from typing import Any, get_args, get_type_hints

from jaxrnn.runs.flags import TrainingFlags

TRAINING = ("baselines", "battery", "char", "memorization", "toy", "truncation", "word")
COMMANDS = (*TRAINING, "generate", "inspect", "report", "speed", "check")

TEXTS = [
    "",
    " ",
    "None",
    "[1,2",
    "'",
    '"',
    "ä\u0301",
    "漢字",
    "\udc80",
    "\0",
    "\u2028",
    "\x1b[31m",
    "a\nb",
    "-",
    "--",
    "=",
    "%s",
]
TEXTS += [
    "/",
    "..",
    "/dev/null",
    "/proc/self/mem",
    "nowhere/at/all",
    "x" * 3000,
    "*",
    "~",
    "{",
    "gru",
]
NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "3",
    "-0",
    "1e3",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "1_000",
    "٣",
]
NUMBERS += ["1.5", "-2147483649", "4294967296", "9" * 40, "0.1", "True", "1,2", "(1, 2)"]


def module_of(command: str) -> Any:
    return importlib.import_module(
        "jaxrnn.check" if command == "check" else f"experiments.{command}"
    )


def flags_of(command: str) -> list[tuple[str, list[str]]]:
    """The command's flags, each with values of its kind; none of a flag that takes no value."""
    module = module_of(command)
    if command in TRAINING:
        kinds = [type(module.EXPERIMENT.presets["published"]), TrainingFlags]
        found = [("preset", [*module.EXPERIMENT.presets])]
    else:
        kinds, found = [module.Check if command == "check" else module.Config], []
    for kind in kinds:
        found += _fields(kind)
    return [("--" + name.replace("_", "-"), values) for name, values in found]


def _fields(kind: type) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    hints = get_type_hints(kind)
    for field in fields(kind):
        hint = hints[field.name]
        if isinstance(hint, type) and is_dataclass(hint):
            found += _fields(hint)
        else:
            found.append((field.name, _values(hint)))
    return found


def _values(hint: Any) -> list[str]:
    inner = [value for part in get_args(hint) for value in _values(part)]
    if isinstance(hint, str):
        return [hint]
    if hint is bool:
        return []
    of_kind = {int: ["1", "2", "3", "7"], float: ["0", "0.1", "0.5", "1"], str: ["gru", "elman"]}
    return inner or (of_kind.get(hint, []) if isinstance(hint, type) else [])


def command_line(generator: Random, command: str) -> list[str]:
    """Of one to four flags, mostly with values of their kind; at times hostile, repeated, misspelt,
    without a value or in the other form."""
    known = flags_of(command)
    argv: list[str] = []
    for _ in range(generator.randint(1, 4)):
        flag, values = generator.choice(known)
        chance = generator.random()
        count = 1 if values else 0
        if chance < 0.2:
            values = generator.choice([NUMBERS, TEXTS])
            count = generator.choice((1, 1, 1, 2))
        elif chance < 0.23:
            count = 0
        given = [generator.choice(values) for _ in range(count)]
        flag = _distorted(generator, flag)
        argv += [f"{flag}={given[0]}"] if given and generator.random() < 0.2 else [flag, *given]
        if generator.random() < 0.1:
            argv += [flag, *given]
    if generator.random() < 0.05:
        argv.insert(0, generator.choice(TEXTS))
    return argv


def _distorted(generator: Random, flag: str) -> str:
    chance = generator.random()
    if chance < 0.03:
        return flag[:-1]
    return flag.replace("--", "--no-") if chance < 0.06 else flag
