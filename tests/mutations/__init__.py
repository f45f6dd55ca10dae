"""The faults of `python tests/mutants.py`, by where they are: each is the fields of a `Mutant`."""

from mutations import around, gradients, models, several, training

FAULTS = [*models.FAULTS, *gradients.FAULTS, *training.FAULTS, *around.FAULTS, *several.FAULTS]
