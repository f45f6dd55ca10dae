"""What the variables of a step depend on, and so which leaves of the carry feed each other."""

from collections.abc import Collection

from jaxrnn.jaxprs.equations import Variable, is_variable, variables
from jaxrnn.schedule.reading import Leaf, Step

# Which leaves of the carry each variable depends on within the step.
Reads = dict[Variable, frozenset[int]]


def same_at_every_step(step: Step) -> set[Variable]:
    """Variables of the params alone; what reads nothing (an iota) is the same at every step too."""
    fixed = {*step.params, *step.constants}
    for equation in step.equations:
        if all(v in fixed for v in variables(equation.invars)):
            fixed.update(equation.outvars)
    return fixed


def carry_read_by(step: Step) -> Reads:
    reads = {v: frozenset() for v in [*step.params, *step.x, *step.constants]}
    reads |= {leaf.old: frozenset([leaf.place]) for leaf in step.carry}
    for equation in step.equations:
        of_inputs = frozenset().union(*(reads[v] for v in variables(equation.invars)))
        reads.update(dict.fromkeys(equation.outvars, of_inputs))
    return reads


def components(
    step: Step, reads: Reads, bound: Collection[tuple[int, int]] = ()
) -> list[list[Leaf]]:
    """The strongly connected components of "feeds", each before those that it feeds; as if the
    first leaf of each of `bound`, places, read the second."""
    count = len(step.carry)
    reach = [set(reads[leaf.new]) if is_variable(leaf.new) else set() for leaf in step.carry]
    for one, other in bound:
        reach[one].add(other)
    for middle in range(count):
        for i in range(count):
            if middle in reach[i]:
                reach[i] |= reach[middle]
    found = [
        [j for j in range(count) if j == i or (j in reach[i] and i in reach[j])]
        for i in range(count)
    ]
    found = [members for i, members in enumerate(found) if members[0] == i]
    # what feeds a component reaches strictly less than it does
    found.sort(key=lambda members: len(set().union(*(reach[i] | {i} for i in members))))
    return [[step.carry[i] for i in members] for members in found]
