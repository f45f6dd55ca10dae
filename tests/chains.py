"""How much of a compiled program has to be done one behind another."""

import re
from collections.abc import Iterable

import jax

NAME = re.compile(r"%([\w.\-]+)")
OPERATION = re.compile(r"[\])}] ([a-z\-]+)\(")
TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


def longest_chain(function, *args, trips: int) -> tuple[int, int]:
    """The longest chain of iterations of loops of a function as XLA compiles it, and of its
    instructions: those of a loop's body count once for every iteration.

    Args:
      trips: iterations of a loop of which the program does not tell how many it has.
    """
    text = jax.jit(function).lower(*args).compile().as_text()
    assert text is not None
    found: dict[str, tuple[int, int]] = {}
    name = ""
    for computation in text.split("\n\n"):  # the entry is the last, what another calls before it
        head, *lines = computation.strip("\n").split("\n")
        if head.endswith("{"):
            name = NAME.findall(head)[0]
            found[name] = _of_computation(lines, found, trips)
    return found[name]


def _of_computation(lines, found, trips: int) -> tuple[int, int]:
    behind: dict[str, tuple[int, int]] = {}
    for line in lines:
        made, _, rest = line.partition(" = ")
        if rest:
            names = NAME.findall(rest.partition(", metadata=")[0])
            before = _longest(behind[name] for name in names if name in behind)
            called = [found[name] for name in names if name in found]
            here = _of_instruction(OPERATION.findall(rest)[0], called, TRIPS.search(line), trips)
            behind[NAME.findall(made)[0]] = before[0] + here[0], before[1] + here[1]
    return _longest(behind.values())


def _of_instruction(operation: str, called: list, known, trips: int) -> tuple[int, int]:
    if operation == "while":
        count = int(known[1]) if known else trips
        loops, instructions = (sum(each) for each in zip(*called, strict=True))
        return count * max(1, loops), count * instructions
    if operation == "conditional":
        # the schedules have in front what runs where something is not finite or not converged
        return called[-1]
    return called[0] if operation == "call" else (0, 1)


def _longest(chains: Iterable[tuple[int, int]]) -> tuple[int, int]:
    loops, instructions = zip((0, 0), *chains, strict=True)
    return max(loops), max(instructions)
