"""Other people's cells and weights: Flax cells as cells (`jaxrnn.interop.flax`, which alone imports
Flax); weights from and to PyTorch, Keras and Flax as plain arrays, and as files."""

from jaxrnn.interop.flax_weights import from_flax, to_flax
from jaxrnn.interop.keras import from_keras, to_keras
from jaxrnn.interop.pytorch import from_pytorch, to_pytorch
from jaxrnn.interop.token_models import (
    Names,
    model_from_keras,
    model_from_pytorch,
    model_to_pytorch,
)

__all__ = [
    "Names",
    "from_flax",
    "from_keras",
    "from_pytorch",
    "model_from_keras",
    "model_from_pytorch",
    "model_to_pytorch",
    "to_flax",
    "to_keras",
    "to_pytorch",
]
