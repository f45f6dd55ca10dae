"""Numbers of which each member of a sweep has its own, in one compiled program."""

from typing import Any

from jax.typing import DTypeLike
from jaxtyping import Array, Float


class Swept(float):
    """A rate, say, that differs between members: as a float it is one member's, for what checks it
    or asks whether it is 0, which is the same for all; `traced` is what each computes with.

    Attributes:
      traced: the number of the member that is computed.
      used: whether `own` gave it away. What never was would be the same number for all members.
    """

    traced: Float[Array, ""]
    used: bool

    def __new__(cls, number: float, traced: Float[Array, ""]):
        swept = super().__new__(cls, number)
        swept.traced, swept.used = traced, False
        return swept


def own(number: float, dtype: DTypeLike = float) -> Any:
    """What to compute with among arrays of `dtype`: of a swept number what is traced, any other as
    it is."""
    if not isinstance(number, Swept):
        return number
    number.used = True
    return number.traced.astype(dtype)
