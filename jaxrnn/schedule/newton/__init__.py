"""Any recurrence for all time steps at once, by Newton's method.

`solving` iterates: `structure` is what the equations tell of d carry' / d carry, `jacobians` works
it out for all time steps and solves the linear recurrence over it.
"""
