"""Baselines: n-grams by counting, by a feed-forward network, by recurrent ones, on the same text.

Question:  What is a recurrent network worth beside what counting gives for nothing, on the same
           text and split, with as many parameters or as many seconds? And how much of what each
           writes is copied? After iconix, OpenAI Scholar weeks 1 and 2 (2018).
Command:   python -m experiments.baselines --preset quick
Expected:  nats per held-out character of Shakespeare: 1.669 by the best n-gram (context 4), near
           1.58 by a GRU of 150,000 parameters, 1.63 by a plain network, 1.67 by a feed-forward one,
           1.68 by an LSTM. Of what an n-gram of context 10 writes half the 20-character stretches
           are copied, of context 16 all; of a network's one in a hundred
Run time:  about 6 minutes on two CPU cores
"""

from experiments.baselines.config import PRESETS, resolved, settings
from experiments.baselines.networks import build
from experiments.baselines.results import report
from jaxrnn import runs

EXPERIMENT = runs.Experiment("baselines", __doc__, PRESETS, settings, build, report, resolved)
main = EXPERIMENT.main
