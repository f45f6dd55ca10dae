"""A linear recurrence for all time steps at once.

`affine` tells whether one is linear, each number by itself or with few others. `parallel` carries
out carry' = a * carry + b; `blocks` the same with matrices for a, which Newton's method needs.
"""
