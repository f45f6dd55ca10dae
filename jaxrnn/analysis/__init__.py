"""Seeing what a model does and what a run did: arrays, files and plots.

`activations` has a cell's carries, outputs and named values over time (`named` says which names)
and their saturation; `connectivity` what each prediction owes to each input; `flow` how gradients
go back through the carry; `memory` turns these into numbers. All are pure functions of one example,
to be jitted and vmapped by the caller. `arrays` and `plots` write files.
"""
