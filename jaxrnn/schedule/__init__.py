"""The scheduler: what leaves the loop over time, and the deferred gradient.

`reading` turns a step into equations, `parts` takes costly functions of the parts that are read,
`planning` distributes the equations over stages, and `running` carries the stages out. A stage that
is a recurrence runs in `loops` and, on its way back, in `backward`, whose time step `reversing`
works out from the `readers` of weights and sums of `cotangents`; or, where it is linear, in
`linear`. `stepping` does a time step of either way for the whole batch.
`choosing` says which schedule a step takes and `explaining` tells a reader.
"""

from jaxrnn.schedule.choosing import Choice, Schedule, choose, rule
from jaxrnn.schedule.devices import vary_alike
from jaxrnn.schedule.explaining import Explanation, explain_choice, segment_length
from jaxrnn.schedule.reading import is_float
from jaxrnn.schedule.running import run_plan
from jaxrnn.schedule.scanning import SHORT

__all__ = [
    "SHORT",
    "Choice",
    "Explanation",
    "Schedule",
    "choose",
    "explain_choice",
    "is_float",
    "rule",
    "run_plan",
    "segment_length",
    "vary_alike",
]
