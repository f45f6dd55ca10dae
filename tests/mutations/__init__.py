"""The faults of `python tests/mutants.py`, by where they are: each is the fields of a `Mutant`."""

from mutations import around, gradients, models, several, sweeps, training

FAULTS = [
    fault
    for room in (models, gradients, training, around, several, sweeps)
    for fault in room.FAULTS
]
