"""A recurrence as a loop, with a backward pass of its own.

`forward` is the scan that saves what was costly to compute, and decides what that is; `backward`
goes back over the time steps, each of which `reversing` works out from the `readers` of weights and
sums of `cotangents`. What `reversible` finds no backward pass of takes the plain loop.
"""
