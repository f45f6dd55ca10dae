"""Several cells as one, and what goes past a cell."""

import jax
import jax.numpy as jnp

from jaxrnn.base import Cell


def chain(*cells: Cell, **named: Cell) -> Cell:
    """Cells one after another: the output of each is the x of the next.

    Params and carry are dicts under the names (positional cells are named "0", "1", ...), and
    each step runs inside `jax.named_scope(name)`, so that profiles and graphs show the same
    names.
    """
    parts = _named("chain", cells, named)

    def step(params, carry, x):
        new = {}
        for name, cell in parts.items():
            with jax.named_scope(name):
                new[name], x = cell.step(params[name], carry[name], x)
        return new, x

    return _together(parts, step)


def skip_chain(*cells: Cell, **named: Cell) -> Cell:
    """Cells one above another, each with a view of the input and of the output:

        y_1 = cell_1(x)
        y_n = cell_n([x, y_{n-1}])
        y   = [y_1, ..., y_N]

    x, each y_n and y are vectors: with inputs of I numbers and cells of H, the first cell takes I,
    the others I + H, and whatever reads y N * H. Names as in `chain`.

    Reference: Graves (2013), section 2, https://arxiv.org/abs/1308.0850
    """
    parts = _named("skip_chain", cells, named)

    def step(params, carry, x):
        new, outputs = {}, []
        for name, cell in parts.items():
            with jax.named_scope(name):
                seen = jnp.concatenate([x, outputs[-1]]) if outputs else x
                new[name], y = cell.step(params[name], carry[name], seen)
            outputs.append(y)
        return new, jnp.concatenate(outputs)

    return _together(parts, step)


def residual(cell: Cell) -> Cell:
    """y = x + cell(x); params and carry are those of `cell`.

    Raises (when a step is first traced):
      ValueError: y and x differ in shape.

    Reference: He et al. (2016), https://arxiv.org/abs/1512.03385; between recurrent layers, Wu et
    al. (2016), section 3.1, https://arxiv.org/abs/1609.08144
    """

    def step(params, carry, x):
        new, y = cell.step(params, carry, x)
        if x.shape != y.shape:
            raise ValueError(
                f"residual adds x of shape {x.shape} to y of shape {y.shape}; "
                "give a cell whose outputs are of the size of its inputs"
            )
        return new, x + y

    return cell._replace(step=step)


def _named(who, cells, named) -> dict[str, Cell]:
    numbered = {str(i): cell for i, cell in enumerate(cells)}
    if not (numbered or named):
        raise ValueError(f"{who} has no cells; give at least one")
    for name in numbered.keys() & named.keys():
        raise ValueError(f"{who} has two cells called {name!r}; give the named one another name")
    return numbered | named


def _together(parts: dict[str, Cell], step) -> Cell:
    """The params and carries of the parts under their names, each from a key of its own."""

    def keys(key):
        return dict(zip(parts, jax.random.split(key, len(parts)), strict=True))

    def init(key):
        return {name: parts[name].init(key) for name, key in keys(key).items()}

    def init_carry(params, key):
        return {name: parts[name].init_carry(params[name], key) for name, key in keys(key).items()}

    return Cell(init, init_carry, step)
