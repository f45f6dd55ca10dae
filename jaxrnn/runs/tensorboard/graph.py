"""The graph of a training step: its jaxpr as the nodes that TensorBoard draws.

Drawn is one time step of one example, forward, backward and through the optimizer: what a
researcher wrote. How `unroll` lays that out over time and the batch is what `explain` tells.
"""

import string
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrnn.base import Batch, PyTree, named_leaves
from jaxrnn.jaxprs.equations import Equation, Program, Variable, is_variable, shapes_of, trace
from jaxrnn.jaxprs.naming import is_transposed, scope_of
from jaxrnn.optimizers import updates_of
from jaxrnn.runs.tensorboard.protos import GraphDef
from jaxrnn.training import Ingredients
from jaxrnn.unstable import CUSTOM, is_literal

# The types of TensorFlow that have a name of their own there; a key, for one, has none.
_TYPES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int8": 6,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "float16": 19,
    "uint32": 22,
}
# of names; more of it and TensorBoard cannot find them
_ALLOWED = frozenset(string.ascii_letters + string.digits + "_.-/")
_LONGEST = 200  # characters of an attribute: what is longer is a jaxpr, of a loop or a branch


def training_graph(ingredients: Ingredients, batch: Batch) -> Any:
    """A GraphDef in nested scopes.

    The parts of the model (layer_1, ...) are scopes, each with its params and its carry as scopes
    inside; "loss"; "gradient" with a scope for each part; "optimizer" with a scope for each leaf of
    params and "all" for what concerns every one; "inputs" with x and target. The batch's arrays may
    be shapes.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(ingredients.cell.init, key)
    carry = jax.eval_shape(ingredients.cell.init_carry, params, key)
    opt_state = jax.eval_shape(ingredients.optimizer.init, params)
    x, target = shapes_of(batch.inputs, 2), shapes_of(batch.targets, 2)

    def gradient(params, carry, x, target):
        def mean_loss(params):
            _, y = ingredients.cell.step(params, carry, x)
            with jax.named_scope("loss"):
                # objectives may count on axes of time and batch
                y, wanted = jax.tree.map(lambda a: a[None, None], (y, target))
                return ingredients.objective(y, wanted).mean()

        return jax.grad(mean_loss)(params)

    def update(grads, params, opt_state):
        # where an optimizer looks at the loss too, that is not drawn
        updates, _ = updates_of(ingredients.optimizer, grads, opt_state, params, jnp.float32(0))
        return optax.apply_updates(params, updates)

    drawing = _Drawing()
    leaves = _paths(params)
    of_params = drawing.inputs([_inserted(leaf, "params") for leaf in leaves], params)
    of_carry = drawing.inputs([_inserted(path, "carry") for path in _paths(carry)], carry)
    of_x = drawing.inputs([_join("inputs/x", path) for path in _paths(x)], x)
    of_target = drawing.inputs([_join("inputs/target", path) for path in _paths(target)], target)
    sources = [*of_params, *of_carry, *of_x, *of_target]
    grads = drawing.program(_read(gradient, params, carry, x, target), sources, [])
    owners = [_owner(path, leaves) for path in _paths(opt_state)]
    names = [
        _join(f"optimizer/{leaf or ''}", "state", path.removesuffix(leaf or ""))
        for path, leaf in zip(_paths(opt_state), owners, strict=True)
    ]
    of_state = drawing.inputs(names, opt_state)
    step = _read(update, params, params, opt_state)
    new = drawing.program(step, [*grads, *of_params, *of_state], [*leaves, *leaves, *owners])
    for leaf, source in zip(leaves, new, strict=True):
        drawing.node(_join("optimizer", leaf, "new_params"), "Identity", [source], [])
    return drawing.graph


def _read(function: Callable[..., PyTree], *arguments: PyTree) -> Program:
    return trace(function, *arguments, custom=CUSTOM, functions=True)


def _paths(tree: PyTree) -> list[str]:
    """Of each leaf, `layer_1/w_ih`."""
    return list(named_leaves(tree, "/"))


def _join(*names: str) -> str:
    return "/".join(word for name in names for word in name.split("/") if word)


def _inserted(path: str, word: str) -> str:
    """`layer_1/params/w_ih`: beside the operations of layer_1."""
    part, _, rest = path.partition("/")
    return _join(part, word, rest)


def _owner(path: str, leaves: Sequence[str]) -> str | None:
    """The leaf of params of which an optimizer keeps something at `path`."""
    ending = (leaf for leaf in leaves if leaf and f"/{path}".endswith(f"/{leaf}"))
    return max(ending, key=len, default=None)


class _Drawing:
    """A GraphDef that grows."""

    def __init__(self):
        self.graph = GraphDef()
        self.graph.versions.producer = 22
        self._taken: set[str] = set()

    def inputs(self, names: Sequence[str], tree: PyTree) -> list[str]:
        """A node for each leaf of `tree`; returns their names."""
        shapes = jax.tree.leaves(tree)
        return [
            self.node(name, "Placeholder", [], [shape])
            for name, shape in zip(names, shapes, strict=True)
        ]

    def program(
        self, program: Program, sources: Sequence[str], owners: Sequence[str | None]
    ) -> list[str]:
        """The nodes of a program whose inputs are `sources`; returns those of its outputs.

        With `owners`, the leaf of params that each input belongs to, it is an optimizer's.
        """
        named = dict(zip(program.inputs, sources, strict=True))
        owned = dict(zip(program.inputs, owners, strict=True)) if owners else {}
        for variable in program.constants:
            named[variable] = self.node("constants/constant", "Const", [], [variable.aval])
        for equation in program.equations:
            scope = scope_of(equation)
            if owners:
                mine = _owner_of(equation, owned)
                owned |= dict.fromkeys(equation.outvars, mine)
                scope = ("optimizer", mine or "all", *scope)
            elif is_transposed(equation):
                scope = ("gradient", *scope)
            kind = equation.primitive.name
            inputs = [named[v] for v in equation.invars if is_variable(v)]
            shapes = [v.aval for v in equation.outvars]
            node = self.node(_join(*scope, kind), kind, inputs, shapes)
            self._attributes(equation)
            for i, variable in enumerate(equation.outvars):
                named[variable] = f"{node}:{i}" if i else node
        return [
            named[v] if is_variable(v) else self.node("constants/constant", "Const", [], [v.aval])
            for v in program.outputs
        ]

    def node(self, name: str, kind: str, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        """Adds a node; returns its name, which has a number behind it where another has it."""
        name = self._free("".join(c if c in _ALLOWED else "_" for c in name))
        node = self.graph.node.add(name=name, op=kind, input=inputs)
        if shapes and str(shapes[0].dtype) in _TYPES:
            node.attr["T"].type = _TYPES[str(shapes[0].dtype)]
        for shape in shapes:
            sizes = node.attr["_output_shapes"].list.shape.add()
            for size in shape.shape:
                sizes.dim.add(size=size)
        return name

    def _attributes(self, equation: Equation) -> None:
        """What an equation says besides its inputs, on the node that was added last."""
        told = {name: str(value) for name, value in equation.params.items()}
        literals = [str(v.val) for v in equation.invars if is_literal(v)]
        if literals:
            told["literals"] = ", ".join(literals)
        for name, text in told.items():
            self.graph.node[-1].attr[name].s = text[:_LONGEST].encode()

    def _free(self, name: str) -> str:
        """TensorBoard takes a node that has the name of a scope for the scope."""
        free, number = name, 1
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._taken |= {free} | {free[:i] for i, letter in enumerate(free) if letter == "/"}
        return free


def _owner_of(equation: Equation, owned: dict[Variable, str | None]) -> str | None:
    """The leaf of params that an equation of an optimizer works on: the arrays that it reads belong
    to no other. What reads numbers only, such as the norm that all are clipped by, is of none."""
    mine = {
        owned.get(v) for v in equation.invars if is_variable(v) and getattr(v.aval, "ndim", 0) > 0
    } - {None}
    return mine.pop() if len(mine) == 1 else None
