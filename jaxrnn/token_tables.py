"""What a model computes of a token alone, for all tokens at once."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrnn.base import Carry, Cell, Params, PyTree
from jaxrnn.jaxprs.equations import as_function, made_by, needed, read_by, trace, variables

MOST_BYTES = 32 * 2**20
"""Of a table: a row of a larger one is no sooner read from memory than computed."""


def with_table(
    cell: Cell, params: Params, carry: Carry, vocab_size: int, tokens: int
) -> Callable[[Carry, jax.Array], tuple[Carry, PyTree]]:
    """`(carry, token) -> (carry, y)`, one time step of one example. Products of the token alone, as
    of its embedding with the first layer's weights, are rows of a table of all tokens; `cell.step`
    itself where there are none, it prints, or the table would be large or have more rows than are
    read.

    Args:
      cell: tokens [] to y.
      carry: of one example; shapes do.
      vocab_size: tokens are 0 to `vocab_size - 1`.
      tokens: how many are read.
    """
    program = trace(cell.step, params, carry, jnp.int32(0))
    of_params, of_carry, token = (jax.tree.leaves(part) for part in program.arguments)
    on_carry, on_token = {*of_carry}, {*token}
    fixed, alone, behind = [], [], []
    for equation in program.equations:
        read = {*variables(equation.invars)}
        if read & on_carry:
            on_carry.update(equation.outvars)
            behind.append(equation)
        elif read & on_token:
            on_token.update(equation.outvars)
            alone.append(equation)
        else:
            fixed.append(equation)
    made = {*made_by(alone)}
    rows = [v for v in read_by(behind, variables(program.outputs)) if v in made]
    size = vocab_size * sum(v.aval.size * v.aval.dtype.itemsize for v in rows)
    multiplied = any(e.primitive.name == "dot_general" for e in needed(alone, rows, token))
    if program.effects or not multiplied or vocab_size > tokens or size > MOST_BYTES:
        return lambda carry, token: cell.step(params, carry, token)
    known = [*program.constants, *of_params]
    values = [*program.constants.values(), *jax.tree.leaves(params)]
    row_of = as_function(needed([*fixed, *alone], rows, token), [*known, *token], rows)
    rest = needed([*fixed, *behind], program.outputs, rows)
    step_of = as_function(rest, [*known, *of_carry, *token, *rows], program.outputs)
    table = jax.vmap(lambda token: row_of(*values, token))(jnp.arange(vocab_size, dtype=jnp.int32))

    def step(carry: Carry, token: jax.Array) -> tuple[Carry, PyTree]:
        found = [column[token] for column in table]
        return program.built(step_of(*values, *jax.tree.leaves(carry), token, *found))

    return step
