"""The scheduler: what leaves the loop over time, and the deferred gradient.

`reading` turns a step into equations, `planning` distributes them over stages (`weighing` tells
what is too large for an array of all time steps), and `running` carries them out. A stage that is a
recurrence runs in `loops`, which also decides what is saved, and in its backward pass in
`backward`, whose time step `reversing` works out from the `readers` of weights and sums of
`cotangents`; or, where it is linear (`affine`), in `linear`; or, where it is over a matrix that is
read through vectors, in `chunked`. That form is found by `matrix`, which has the equations run over
sums of products (`factored`, `interpreting`), and laid out by `layouts` for `chunks`. `stepping`
does a time step of either pass for the whole batch. Any other loop `newton` solves for all time
steps at once, where that is asked for: by its `jacobians`, whose `structure` is read from the
equations, and the recurrences over them, in `blocks`.
What `reversible` finds no backward pass of takes the plain loop.
`choosing` says which schedule a step takes and `explaining` tells a reader.
"""

from jaxrnn.schedule.certifying import Certified, certify_choice
from jaxrnn.schedule.choosing import Choice, Schedule, choose, rule
from jaxrnn.schedule.devices import vary_alike
from jaxrnn.schedule.explaining import Explanation, explain_choice, segment_length
from jaxrnn.schedule.newton import run_newton
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
