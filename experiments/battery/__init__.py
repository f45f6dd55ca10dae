"""Battery: what a cell remembers and what it can compute, beside others that are tuned as fairly.

Question:  On which tasks does a cell learn, at which learning rates, and does it go on at lengths
           that it was never trained at? Every cell has as many parameters and its own best rate.
Command:   python -m experiments.battery --preset quick
Expected:  of 6 cells of 10,000 parameters, parity trained on up to 40 time steps and tested at 256:
           scaled accuracy 1.000 by elman, gru, lstm and mgu, below 0.02 by min_gru, whose
           transitions lie in [0, 1], and by lru; modular arithmetic 0.650 by lstm; selective copy
           0.502 by gru; a page for each cell, cards/CELL.html
Run time:  about 25 minutes of a processor for the quick preset's 6 cells on 8 tasks, below 20
           minutes on two CPU cores

Tasks are those of `jaxrnn.data.tasks`, or path/to/file.py:factory. The rates are a sweep, halved
for each cell on each task; what --resume goes on with is the sweep, member by member.
"""

from experiments.battery.config import PRESETS, resolved, searched, settings
from experiments.battery.estimate import notice
from experiments.battery.results import compared, report
from experiments.battery.training import build
from jaxrnn import runs

EXPERIMENT = runs.Experiment(
    "battery",
    __doc__,
    PRESETS,
    settings,
    build,
    report,
    resolved,
    swept=searched,
    notice=notice,
    compared=compared,
)
main = EXPERIMENT.main
