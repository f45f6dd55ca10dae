"""Battery: what a cell remembers and what it can compute, beside others that are tuned as fairly.

Question:  On which tasks does a cell learn, at which learning rates, and does it go on at lengths
           that it was never trained at? Every cell has as many parameters and its own best rate.
Command:   python -m experiments.battery --preset quick --cells gru lstm my.py:cell --tasks all
Expected:  parity trained on up to 40 time steps and tested at 256: scaled accuracy 1.000 by gru,
           and of 0.014 by min_gru, whose transitions lie in [0, 1] (--tasks parity
           --cells gru min_gru --rates 1e-2 3e-3 --epochs 1)
Run time:  about half a minute on two CPU cores for each cell on each task of the quick preset,
           which has 48 of them

Tasks are those of `jaxrnn.data.tasks`, or path/to/file.py:factory. The rates are a sweep, trained
side by side; what --resume goes on with is the sweep, member by member.
"""

from experiments.battery.config import PRESETS, rates, settings
from experiments.battery.results import compared, report
from experiments.battery.training import build
from jaxrnn import runs

EXPERIMENT = runs.Experiment(
    "battery", __doc__, PRESETS, settings, build, report, swept=rates, compared=compared
)
main = EXPERIMENT.main
