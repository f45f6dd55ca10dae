"""A matrix that is carried and read through vectors, chunk by chunk.

`finding` has the equations run (`interpreting`, and `contracting` for sums) over sums of products
(`factored`), so that every way of writing one recurrence comes to the same. `layouts` reads the
recurrence off what S becomes, `chunks` has the formulas of a chunk, and `chunked` runs one scan
over chunks.
"""
