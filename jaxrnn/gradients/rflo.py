"""Random feedback local online learning."""

from typing import Any

import jax
from jax import lax

from jaxrnn.base import Cell, GradientEstimator, Objective
from jaxrnn.gradients.influence import closure, sparse_influence
from jaxrnn.gradients.online import online
from jaxrnn.schedule.reading import as_function, flatten, is_float, is_variable, variables
from jaxrnn.unroll import Schedule

PRODUCTS = ("dot_general", "conv_general_dilated")


def rflo(cell: Cell, objective: Objective, *, schedule: Schedule = "auto") -> GradientEstimator:
    """`rtrl` whose influence J does not pass through recurrent weights: what a neuron keeps by
    itself, its leak or its gate, takes J on, and a product of the carry with a matrix of params
    does not.

        J' = I + F J,    F = d step / d carry with every such product held fixed

    These products are found in the cell's equations, so F is 1 - 1 / tau in the paper's network,
    z in a gru, f between the c of an lstm, and 0 in an elman layer. Biased, but exact where no such
    product is on the way. The paper also sends the errors back through random fixed weights; here
    they come through the true ones (as in Marschall, Cho and Savin 2020,
    https://jmlr.org/papers/v21/19-562.html, where the two approximations are apart).

    Per time step and example, with C floats in the carry, P in the params that reach it and S
    numbers of the carry for each of them (1 for a gru, 2 for an lstm): memory O(S P), time O(S^2 P)
    and few backward passes through the step where F mixes few numbers. In a chain a time step goes
    through all layers, so a param reaches every number of the layers above its own. Beside it a
    batch keeps its T carries. `schedule` is that of `unroll`.

    Reference: Murray (2019), https://doi.org/10.7554/eLife.43299
    """
    build = sparse_influence(local=products_held, keeps=closure)
    return online("rflo", build, cell, objective, schedule)


def products_held(cell: Cell) -> Cell:
    """`cell` with a step of the same values through which no derivative to the carry passes a
    product of the carry with params."""

    def step(params, carry, x):
        given = (params, carry, x)
        closed, shape = jax.make_jaxpr(cell.step, return_shape=True)(*given)
        equations, outputs, constants = flatten(closed)
        names, values = closed.jaxpr.invars, jax.tree.leaves(given)
        split = len(jax.tree.leaves(params)), len(jax.tree.leaves((params, carry)))
        of_params, of_carry = set(names[: split[0]]), set(names[split[0] : split[1]])
        known = dict(constants) | dict(zip(names, values, strict=True))
        for equation in equations:
            inputs = variables(equation.invars)
            arguments = [known[v] for v in inputs]
            if equation.primitive.name in PRODUCTS and _meet(inputs, of_params, of_carry):
                arguments = [
                    lax.stop_gradient(a) if v in of_carry else a
                    for v, a in zip(inputs, arguments, strict=True)
                ]
            found = as_function([equation], inputs, equation.outvars)(*arguments)
            known.update(zip(equation.outvars, found, strict=True))
            for group in (of_params, of_carry):
                if any(v in group for v in inputs):
                    group.update(v for v in equation.outvars if is_float(v.aval))
        leaves = [known[v] if is_variable(v) else v.val for v in outputs]
        return jax.tree.unflatten(jax.tree.structure(shape), leaves)

    return cell._replace(step=step)


def _meet(inputs: list[Any], of_params: set[Any], of_carry: set[Any]) -> bool:
    return any(v in of_params for v in inputs) and any(v in of_carry for v in inputs)
