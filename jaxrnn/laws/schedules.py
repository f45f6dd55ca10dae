"""That every schedule of `unroll` means the plain loop."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import PyTree
from jaxrnn.laws.comparing import as_numpy, named_floats, random_projection, require_close
from jaxrnn.laws.derivatives import Floats, Point
from jaxrnn.laws.subject import Subject
from jaxrnn.schedule import SHORT
from jaxrnn.unroll import Schedule, explain, unroll

# Two orders of the same float32 arithmetic, relative to a leaf's largest number.
ROUNDING = 1e-5
# The same for gradients, which add up what every time step contributes.
GRADIENT_ROUNDING = 1e-4


def every_schedule_is_the_plain_scan(subject: Subject) -> None:
    """Every schedule of `unroll` gives the values and the gradients of the plain loop; and so does
    the program that is compiled for the gradient of params alone, with only the later outputs in
    use: what is not asked for is left out of it, and the rest must not change."""
    later = schedules_are_the_plain_scan(subject, distinct_schedules(subject))
    floats, run = _running(subject)
    own, rest = _parted(floats, [name for name in floats if name.startswith("params")])
    if own:
        alone = jax.jit(jax.grad(lambda own: run("associative", rest | own).later))(own)
        plain = {name: later[name] for name in own}
        what = "gradient of params alone "
        require_close(what, ("associative", alone), ("scan", plain), GRADIENT_ROUNDING)


def schedules_are_the_plain_scan(
    subject: Subject, schedules: Sequence[Schedule]
) -> dict[str, np.ndarray]:
    """These give the values and the gradients of the plain loop, to params, carry and xs at
    once. Returns the plain loop's gradient with only the later outputs in use."""
    floats, run = _running(subject)

    def of(schedule, floats):
        found = run(schedule, floats)
        return found.whole, found.result

    def plain(floats):
        """Both gradients by one loop back, which is compiled once."""

        def of_both(floats):
            found = run("scan", floats)
            return jnp.stack([found.whole, found.later]), found.result

        total, back, result = jax.vjp(of_both, floats, has_aux=True)
        (grads,) = jax.vmap(back)(jnp.eye(2, dtype=total.dtype))
        return result, *(jax.tree.map(lambda a, i=i: a[i], grads) for i in (0, 1))

    def of_each(floats):
        return plain(floats), {
            schedule: jax.value_and_grad(partial(of, schedule), has_aux=True)(floats)
            for schedule in schedules
        }

    # one program: to compile takes most of the time of a law
    (wanted, wanted_grads, later), found = jax.tree.map(as_numpy, jax.jit(of_each)(floats))
    for schedule, ((_, result), grads) in found.items():
        require_close("(carry, ys)", (schedule, result), ("scan", wanted), ROUNDING)
        require_close("gradient ", (schedule, grads), ("scan", wanted_grads), GRADIENT_ROUNDING)
    return later


def newton_is_the_plain_scan(subject: Subject) -> None:
    """So does "newton", whether it converges or takes the plain loop."""
    schedules_are_the_plain_scan(subject, ["newton"])


def gradients_of_every_part(subject: Subject, place: Callable[[Floats], Floats] = dict) -> None:
    """The same of params, carry and xs, of each two of the three, and of each leaf of params alone,
    under every schedule.

    Args:
      place: puts the leaves of params, carry and xs, by name, where they belong, such as over
        several devices.
    """
    floats, run = _running(subject)
    of = {root: [n for n in floats if n.startswith(root)] for root in Point._fields}
    parts = {root: names for root, names in of.items() if names}
    parts |= {f"all but {root}": [n for n in floats if n not in of[root]] for root in of}
    parts |= {name: [name] for name in of["params"]}

    def later(schedule, own, rest):
        return run(schedule, rest | own).later

    wanted = jax.jit(jax.grad(partial(later, "scan")))(floats, {})
    there = place(floats)
    for schedule in distinct_schedules(subject):
        gradient = jax.jit(jax.grad(partial(later, schedule)))
        for part, names in parts.items():
            found = gradient(*_parted(there, names))
            plain = {name: wanted[name] for name in names}
            require_close(
                f"gradient of {part} alone ", (schedule, found), ("scan", plain), GRADIENT_ROUNDING
            )


def distinct_schedules(subject: Subject) -> list[Schedule]:
    """Those that are not the same program as another one, without "scan" and "auto", which is one
    of them. Without a linear recurrence "associative" is "distributed", and without a matrix
    "chunked".

    "newton" has a law of its own: to compile its iterations, and the plain loop behind them, takes
    several times as long as all others together.
    """
    given = subject.cell, *_long_enough(subject)
    says: dict[Schedule, str] = {"associative": "made parallel", "chunked": "chunked: "}
    return sorted(
        schedule
        for schedule in set(get_args(Schedule)) - {"scan", "auto", "newton"}
        if schedule not in says or says[schedule] in str(explain(*given, schedule=schedule))
    )


class _Ran(NamedTuple):
    """What comes out, and a number that all of it influences, and one for the later outputs."""

    whole: jax.Array
    later: jax.Array
    result: PyTree


def _running(subject: Subject):
    """The float leaves of params, carry and xs, and `(schedule, leaves) -> _Ran`."""
    floats, rebuild = named_floats(_long_enough(subject))

    def run(schedule, floats):
        result = _, ys = unroll(subject.cell, *rebuild(floats), schedule=schedule)
        half = jax.tree.leaves(ys)[0].shape[0] // 2
        later = jax.tree.map(lambda y: y[half:], ys)
        return _Ran(random_projection(result, seed=1), random_projection(later, seed=1), result)

    return floats, run


def _parted(floats: Floats, names: list[str]) -> tuple[Floats, Floats]:
    return {n: floats[n] for n in names}, {n: a for n, a in floats.items() if n not in names}


def _long_enough(subject: Subject) -> Point:
    """With more time steps than are written out."""
    times = SHORT // len(subject.xs) + 1
    return Point(subject.params, subject.carry, jnp.concatenate([subject.xs] * times))
