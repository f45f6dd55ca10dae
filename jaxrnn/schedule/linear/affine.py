"""Which recurrences are affine in what they carry, each number by itself or with few others."""

from jaxrnn.jaxprs.equations import is_float, is_variable, needed, operation_of
from jaxrnn.schedule.reading import Leaf, Step

# Leaves that may feed each other: of each unit a block of so many rows and columns, of which the
# parallel form takes as many products of numbers as it has entries, times its rows.
MOST = 4

# Equations that keep "a * carry + b, elementwise" what it is.
_SUMS = ("add", "sub", "add_any", "neg", "copy", "name")


def why_not_linear(step: Step, carry: list[Leaf]) -> str | None:
    """What keeps a recurrence from being carry' = a * carry + b, elementwise, with a block of few
    rows for a where several leaves feed each other; None if nothing does."""
    if len(carry) > MOST:
        return f"several leaves of the carry feed each other, more than {MOST}"
    first, *others = (leaf.old.aval for leaf in carry)
    if any((aval.shape, aval.dtype) != (first.shape, first.dtype) for aval in others):
        return "several leaves of the carry feed each other, not all of one shape and type"
    if not is_float(first):
        return "its carry is not of floats"
    targets = [leaf.new for leaf in carry]
    if not all(map(is_variable, targets)):
        return "its carry becomes a constant"
    along = {leaf.old for leaf in carry}
    for equation in needed(step.equations, targets, ()):
        affine = [k for k, v in enumerate(equation.invars) if is_variable(v) and v in along]
        if not affine:
            continue
        name = operation_of(equation)
        shapes = {v.aval.shape for v in equation.outvars} | {
            equation.invars[k].aval.shape for k in affine
        }
        keeps = (
            name in _SUMS
            or (name == "mul" and len(affine) == 1)
            or (name == "div" and affine == [0])
            or (name == "select_n" and 0 not in affine)
        )
        if not keeps or shapes != {first.shape}:
            cause = f"{name} of the carry"
            return f"several leaves of the carry feed each other: {cause}" if others else cause
        along.update(equation.outvars)
    return None if along.issuperset(targets) else "its carry does not read itself"
