"""What a plan is made of: equations done once, for all time steps at once, in turn, in a loop."""

from typing import NamedTuple

from jaxrnn.jaxprs.equations import Atom, Equation, Variable, made_by, variables
from jaxrnn.schedule.linear.affine import Linear
from jaxrnn.schedule.matrix.finding import Matrix
from jaxrnn.schedule.newton.structure import Structure
from jaxrnn.schedule.reading import Leaf


class Once(NamedTuple):
    """Equations of the params alone."""

    equations: list[Equation]
    inputs: list[Variable]
    outputs: list[Variable]


class AllSteps(NamedTuple):
    """Equations that need no carry of a loop that is still to come: all time steps at once."""

    equations: list[Equation]
    inputs: list[Variable]
    outputs: list[Variable]


class InTurn(NamedTuple):
    """Equations that need no such carry either, and make what there should be no array of for all
    time steps: one time step after another, and again for the gradient."""

    equations: list[Equation]
    inputs: list[Variable]
    outputs: list[Variable]


class Loop(NamedTuple):
    """One recurrence: a strongly connected component of the carry graph.

    Attributes:
      carry: the leaves that it carries.
      equations: of one time step.
      weights: variables that are the same at every time step.
      learnt: those of them that gradients are taken of.
      streams: variables that come from outside at every time step.
      emitted: variables that later stages read at every time step.
      linear: how it is carry' = a * carry + b, a and b free of the carry, where it is worked out
        for all time steps in parallel.
      bulky: variables of which there should be no array of all time steps.
      matrix: how its carry is worked out chunk by chunk; None where it is not.
      no_matrix: why not, where that was asked.
      newton: the structure of d carry' / d carry, where its carries of all time steps are found
        together by Newton's method; None where they are not.
    """

    carry: list[Leaf]
    equations: list[Equation]
    weights: list[Variable]
    learnt: frozenset[Variable]
    streams: list[Variable]
    emitted: list[Variable]
    linear: Linear | None
    bulky: frozenset[Variable]
    matrix: Matrix | None = None
    no_matrix: str = ""
    newton: Structure | None = None

    @property
    def members(self) -> list[int]:
        return [leaf.place for leaf in self.carry]

    @property
    def carried(self) -> list[Variable]:
        return [leaf.old for leaf in self.carry]

    @property
    def targets(self) -> list[Atom]:
        return [leaf.new for leaf in self.carry]

    @property
    def outputs(self) -> list[Variable]:
        """What there is of every time step behind the loop."""
        if self.matrix is not None:
            return self.emitted
        made = set(made_by(self.equations))
        return [*self.carried, *self.emitted, *(v for v in variables(self.targets) if v in made)]


# What carries nothing.
Apart = Once | AllSteps | InTurn
Stage = Apart | Loop
Plan = list[Stage]
