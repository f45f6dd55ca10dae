"""The scheduler: what leaves the loop over time, and the deferred gradient.

`reading` turns a step into equations, `carrying` its carry into the parts that it takes it apart
into, and `depending` tells which of them feed each other. `planning` distributes the equations over
`stages` (`weighing` tells what is too large for an array of all time steps), `running` carries them
out. A stage that is a recurrence is a room of its own for each form: a `loop`; `linear`, for all
time steps at once; `matrix`, chunk by chunk; and `newton`, by which any other is solved for all
time steps at once, where that is asked for.
`stepping` does a time step of a loop for the whole batch. `choosing` says which schedule a step
takes and `explaining` tells a reader.
"""

from jaxrnn.schedule.certifying import Certified, certify_choice
from jaxrnn.schedule.choosing import Choice, Schedule, choose, rule
from jaxrnn.schedule.devices import vary_alike
from jaxrnn.schedule.explaining import Explanation, explain_choice, segment_length
from jaxrnn.schedule.newton.solving import run_newton
from jaxrnn.schedule.running import run_plan
from jaxrnn.schedule.scanning import SHORT

__all__ = [
    "SHORT",
    "Certified",
    "Choice",
    "Explanation",
    "Schedule",
    "certify_choice",
    "choose",
    "explain_choice",
    "rule",
    "run_newton",
    "run_plan",
    "segment_length",
    "vary_alike",
]
