"""What every cell and every gradient style must obey.

A law is a function that raises `LawBroken` with a message for the researcher. The tests apply
the registries below to `CELLS`, `COMPOSITIONS` and `STYLES`; `python -m jaxrnn.check` applies them
to a cell in any file.
"""

from collections.abc import Callable
from typing import TypeVar

from jax.errors import UnexpectedTracerError

from jaxrnn.gradients import Style
from jaxrnn.laws import cells, derivatives, learning, precision, references, schedules, styles
from jaxrnn.laws.comparing import LawBroken
from jaxrnn.laws.compositions import COMPOSITIONS, EVALUATIONS
from jaxrnn.laws.subject import Subject, subject

STEP_LAWS: dict[str, Callable[[Subject], None]] = {
    "takes one example, no batch axis": cells.takes_one_example,
    "carry type preserved": cells.carry_type_preserved,
}
"""Of a single call of step; a cell that breaks one of them cannot be unrolled."""

CELL_LAWS: dict[str, Callable[[Subject], None]] = STEP_LAWS | {
    "unroll = repeated step": cells.unroll_is_repeated_step,
    "resumable at any split": cells.resumable,
    "batch = stacked examples": cells.batch_is_stacked_examples,
    "gradients = finite differences": derivatives.gradients_are_finite_differences,
    "no dead parameter": derivatives.no_dead_parameter,
    "step is pure": cells.step_is_pure,
    "every schedule = plain scan": schedules.every_schedule_is_the_plain_scan,
}
"""Of everything that calls itself a cell."""

REFERENCE_LAWS: dict[str, Callable[[Subject], None]] = {
    "equals its numpy transcription": references.equals_its_transcription,
    "parameter tree as recorded": references.parameters_as_recorded,
}
"""Of a cell with a transcription beside it (`tests/reference/NAME.py`)."""

PRECISION_LAWS: dict[str, Callable[[Subject], None]] = {
    "bfloat16 = float32, roughly": precision.computes_in_bfloat16,
}
"""Of a cell that `--precision bfloat16` is to serve; what draws or counts in floats may not obey
it."""

LEARNING_LAWS: dict[str, Callable[[Subject], None]] = {
    "learns a lag": learning.learns_a_lag,
}
"""Of a cell that remembers; it takes some seconds."""

STYLE_LAWS: dict[str, Callable[[Style], None]] = {
    "carry type preserved": styles.carry_type_preserved,
    "one window = bptt": styles.one_window_is_bptt,
    "errors travel as far as the two integers say": styles.errors_travel_as_declared,
    "equals the truncated gradients taken by hand": styles.equals_gradients_by_hand,
    "carry continues": styles.carry_continues,
    "learnt initial carry": styles.learnt_initial_carry,
    "fresh starts draw anew": styles.fresh_starts_draw_anew,
    "sequences do not meet": styles.sequences_do_not_meet,
    "accuracy as declared": styles.accuracy_as_declared,
    "every schedule = plain scan": styles.every_schedule_is_the_plain_scan,
}
"""Of every gradient style."""


T = TypeVar("T", Subject, Style)


def what_is_broken(law: Callable[[T], None], subject: T) -> str | None:
    """What the law has to say about the subject, on one line; None where it holds.

    A cell that raises, or exits, breaks whatever law was being tried.
    """
    try:
        law(subject)
    except LawBroken as broken:
        return " ".join(str(broken).split())
    except UnexpectedTracerError:
        return "step keeps a value of an earlier call outside its carry (JAX: a leaked tracer)"
    except (Exception, SystemExit) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        return f"{type(error).__name__}: {first}"
    return None


__all__ = [
    "CELL_LAWS",
    "COMPOSITIONS",
    "EVALUATIONS",
    "LEARNING_LAWS",
    "PRECISION_LAWS",
    "REFERENCE_LAWS",
    "STEP_LAWS",
    "STYLE_LAWS",
    "LawBroken",
    "Subject",
    "subject",
    "what_is_broken",
]
