"""Published statements, held against what was trained here, where it was trained as they say."""

import math
from collections.abc import Mapping, Sequence

from experiments.battery.config import Config, names_of, task_of
from jaxrnn.cell_files import cell_file, cell_name
from jaxrnn.cell_options import without_options, written_options
from jaxrnn.data.tasks.published import ARJOVSKY, BASED, DELETANG, GRAZZI
from jaxrnn.runs.claims import Claim, above, at_least, at_most, below
from jaxrnn.tasks import task_file, task_name

PARITY = "parity to 40, tested at 256"
MODULAR = "modular arithmetic to 40, tested at 256"
SOLVE = ("elman", "gru", "lstm")
GATED = ("gru", "lstm")
UNIT_INTERVAL = (
    *("min_gru", "min_lstm", "gla", "hgrn2"),
    *("delta_net", "gated_delta_net", "rg_lru", "mamba2"),
)
"""Cells of the registry whose transitions have real eigenvalues in [0, 1], if nothing else is asked
for."""
NEGATIVE = "eigenvalues=-1..1"
"""The option that asks for [-1, 1]."""
STATES = ("delta_net(heads=8)", "delta_net")
"""One cell with a small state and a large one, H^2 / heads numbers of a layer of H."""

Scores = Mapping[int, Sequence[float]]
Best = Mapping[tuple[str, str], tuple[Scores, Sequence[float]]]
"""(task, cell) to scaled scores by length and losses, of all seeds at the best rate."""


def claims(config: Config, best: Best) -> list[Claim]:
    """Of the run's tasks and cells, those of the library: one of a researcher's file may be called
    gru too. Open (None) where it did not train or test at that length."""
    own_cells = {cell_name(name) for name in config.cells if cell_file(name) is not None}
    own_tasks = {task_name(name) for name in config.tasks if task_file(name) is not None}
    best = {
        (task, cell): scores
        for (task, cell), scores in best.items()
        if task not in own_tasks and cell not in own_cells
    }
    found: list[Claim] = [*_by_state(best)]
    # the best seed counts, as in the papers
    for task, cell in best:
        if task == "parity" and cell in SOLVE:
            name, source = f"{PARITY}: {cell} solves it", f"{DELETANG}; {GRAZZI}"
            found.append(at_least(name, source, _best_seed(best, task, cell, 256), 0.9))
        found += _by_eigenvalues(config, best, task, cell)
        if task == "reversing" and cell in GATED:
            name = f"reversed strings beyond the length of training: {cell} fails"
            observed = _best_seed(best, task, cell, _longest(config, task))
            found.append(at_most(name, DELETANG, observed, 0.5))
        if task == "adding" and cell in GATED:
            name = (
                f"adding, trained at T = 200: {cell} below a tenth of the constant answer's error"
            )
            found.append(below(name, ARJOVSKY, _lost(best, task, cell, 200), 0.1))
        if task == "copy" and cell in GATED:
            name = f"copy: {cell} loses less than without memory, as a part of that"
            found.append(below(name, ARJOVSKY, _copy(config, best, cell), 1.0))
    return found


def _by_eigenvalues(config: Config, best: Best, task: str, cell: str) -> list[Claim]:
    """What negative eigenvalues make possible, at the longest of the paper's lengths. Modular
    arithmetic takes models and training of the paper's size."""
    plain, negative = without_options(cell), NEGATIVE in written_options(cell)
    if plain not in UNIT_INTERVAL:
        return []
    observed = _best_seed(best, task, cell, 256)
    transitions = f"transitions in {'[-1, 1]' if negative else '[0, 1]'}"
    if task == "parity" and negative:
        return [at_least(f"{PARITY}: {cell}, {transitions}, solves it", GRAZZI, observed, 0.9, 1.0)]
    if task == "parity":
        return [at_most(f"{PARITY}: {cell}, {transitions}, does not", GRAZZI, observed, 0.1)]
    if task == "modular_arithmetic" and plain == "delta_net":
        name = f"{MODULAR}: {cell}, {transitions}"
        observed = observed if config.tasks_as == "published" else None
        if negative:
            return [at_least(f"{name}, learns it", GRAZZI, observed, 0.9, 0.971)]
        return [at_most(f"{name}, does not", GRAZZI, observed, 0.5, 0.314)]
    return []


def _by_state(best: Best) -> list[Claim]:
    """Recall of one cell with states of two sizes; open where the run has one of them alone."""
    found = [best[("recall", cell)][0] for cell in STATES if ("recall", cell) in best]
    if not found:
        return []
    small, large = STATES
    firsts = [max(next(iter(scores.values()))) for scores in found]
    more = firsts[1] - firsts[0] if len(firsts) == len(STATES) else None
    name = f"recall by state: {large} recalls so much more than {small}"
    return [above(name, BASED, more, 0.0)]


def _best_seed(best: Best, task: str, cell: str, length: int) -> float | None:
    scores, _ = best.get((task, cell), ({}, ()))
    return max(scores[length]) if length in scores else None


def _lost(best: Best, task: str, cell: str, length: int) -> float | None:
    """What is left of the constant answer's error, where that length was trained at."""
    scores, _ = best.get((task, cell), ({}, ()))
    return 1 - max(scores[length]) if length in list(scores)[:1] else None


def _copy(config: Config, best: Best, cell: str) -> float | None:
    _, losses = best.get(("copy", cell), ({}, ()))
    names = {task_name(name): name for name in names_of(config)}
    if not losses:
        return None
    return min(losses) / math.log(task_of(config, names["copy"]).answers)


def _longest(config: Config, task: str) -> int:
    names = {task_name(name): name for name in names_of(config)}
    return task_of(config, names[task]).test_lengths[-1] if task in names else 0
