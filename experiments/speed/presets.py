"""How large everything is that gets timed."""

import math
from typing import Literal, NamedTuple, get_args

from jaxrnn.token_model import Precision

CaseName = Literal[
    "lstm",
    "gru",
    "cells",
    "linear",
    "matrix-state",
    "schedules",
    "char-step",
    "toy-step",
    "word",
    "generate",
    "compile",
    "memory",
    "tensorboard",
    "members",
]


ON_A_GPU: tuple[CaseName, ...] = ("lstm", "gru", "schedules")
"""What of it depends on how a time step is launched."""


class Shape(NamedTuple):
    """Of one layer or model; the input is as large as the hidden size."""

    batch_size: int
    num_steps: int
    hidden_size: int

    def __str__(self) -> str:
        return f"B {self.batch_size}, T {self.num_steps}, H {self.hidden_size}"


class Preset(NamedTuple):
    """What a run measures.

    Attributes:
      libraries: those whose own layers and models stand beside ours.
      layers: shapes of LSTM and GRU layers.
      cell: shape of the custom cells.
      linear: shapes of the layers with a linear recurrence.
      matrix: shapes of the layers whose carry is a matrix, as wide as it is high.
      schedules: shapes of the layers that every schedule unrolls.
      model: shape of R2RT's character model, 3 layers.
      num_layers: of the model.
      compile_steps: numbers of time steps for which the model is compiled.
      growth_steps: few and many, whose compiling is compared.
      loop_steps: numbers of time steps of a Python loop, where 50 take most of a minute already.
      torch_compile: whether a custom cell's step goes through `torch.compile`, which takes minutes.
      toy_steps: training steps of the toy's epoch.
      generated: characters in a sample.
      samples: how many at once.
      word: shape of the published word model.
      words: of its vocabulary.
      word_steps: training steps of its epoch.
      bounded: shape of the model whose memory is bounded.
      logged: shape of the model that is trained with TensorBoard and without.
      logged_steps: training steps of a turn.
      members: of a training run that are trained side by side.
      member_steps: training steps of a turn of each.
      matmul: rows of the matrices that show the machine's limit.
      left_out: cases that are measured only where they are asked for.
      precision: what ours computes in once more, if not in float32 alone.
      seconds: after so many no further case is begun.
    """

    libraries: tuple[str, ...] = ("Flax", "PyTorch")
    layers: tuple[Shape, ...] = (
        Shape(32, 200, 100),
        Shape(64, 50, 128),
        Shape(32, 100, 256),
        Shape(32, 64, 512),
        Shape(16, 32, 1024),
    )
    cell: Shape = Shape(32, 200, 100)
    linear: tuple[Shape, ...] = (Shape(32, 200, 100), Shape(4, 10_000, 100))
    matrix: tuple[Shape, ...] = (Shape(4, 2048, 64), Shape(4, 128, 64))
    schedules: tuple[Shape, ...] = (Shape(8, 512, 64),)
    model: Shape = Shape(32, 200, 100)
    num_layers: int = 3
    compile_steps: tuple[int, ...] = (200,)
    growth_steps: tuple[int, int] = (50, 2000)
    loop_steps: tuple[int, ...] = ()
    torch_compile: bool = False
    toy_steps: int = 1000
    generated: int = 1000
    samples: tuple[int, ...] = (1, 64)
    word: Shape = Shape(32, 20, 192)
    words: int = 11_756
    word_steps: int = 50
    bounded: Shape = Shape(4, 10_000, 100)
    logged: Shape = Shape(32, 50, 100)
    logged_steps: int = 200
    members: int = 32
    member_steps: int = 200
    matmul: int = 2048
    left_out: tuple[CaseName, ...] = ("linear", "matrix-state", "schedules")
    precision: Precision = "float32"
    seconds: float = math.inf


PRESETS = {
    "smoke": Preset(
        layers=(Shape(4, 6, 5),),
        cell=Shape(4, 6, 5),
        linear=(Shape(4, 6, 5),),
        matrix=(Shape(2, 70, 8),),
        schedules=(Shape(2, 6, 4),),
        model=Shape(4, 6, 5),
        num_layers=2,
        compile_steps=(2,),
        growth_steps=(2, 9),
        loop_steps=(2,),
        toy_steps=10,
        word=Shape(4, 6, 5),
        words=90,
        word_steps=4,
        generated=20,
        samples=(1, 3),
        bounded=Shape(2, 30, 4),
        logged=Shape(2, 6, 4),
        logged_steps=20,
        members=3,
        member_steps=5,
        matmul=64,
        left_out=(),
    ),
    "quick": Preset(),
    "full": Preset(
        libraries=("Flax", "Haiku", "Equinox", "Keras", "PyTorch"),
        compile_steps=(50, 200, 2000),
        loop_steps=(20, 50, 100),
        torch_compile=True,
        left_out=(),
    ),
    "gpu": Preset(
        libraries=("cuDNN", "Flax", "Equinox", "PyTorch"),
        layers=(Shape(256, 512, 512), Shape(64, 1024, 1024)),
        schedules=(Shape(64, 2048, 256),),
        matmul=8192,
        left_out=tuple(name for name in get_args(CaseName) if name not in ON_A_GPU),
        precision="bfloat16",
        seconds=400,
    ),
}
