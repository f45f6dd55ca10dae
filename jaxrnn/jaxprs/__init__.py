"""Reading jaxprs: the equations of a function, what each needs, and how they are called.

`equations` has them flat, with what they call in place of calls; `naming` has the scopes that they
stand in and the names of the values between them; `reach` which numbers of a result are made of
which numbers that go in. The scheduler, the gradient styles, analysis and TensorBoard all read
through this; it knows none of them.
"""
