"""Seeing what a model does and what a run did: arrays, files and plots.

`named` finds the values inside a step and names them; `activations` has these and a cell's carries
and outputs over time; `saturation` how often units are at an end of their range; `connectivity`
what each prediction owes to each input; `flow` how gradients go back through the carry; `memory`
turns these into numbers. All are pure functions of one example, to be jitted and vmapped by the
caller. `arrays` and `plots` write files.

`statistics` is what several seeds say: interquartile means with intervals, comparisons, windows of
learning rates; `coverage` how often such an interval holds the truth.
"""
