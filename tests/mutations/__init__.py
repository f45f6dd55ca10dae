"""The faults of `python tests/mutants.py`, by where they are: each is the fields of a `Mutant`."""

from mutations import around, gradients, models, training

FAULTS = [*models.FAULTS, *gradients.FAULTS, *training.FAULTS, *around.FAULTS]
