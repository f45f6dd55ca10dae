"""Drawing characters from R2RT's model, each from the one before."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.speed.machine import step_flops
from experiments.speed.measuring import Case, Side, compiled, gather
from experiments.speed.model import Problem, make_problem, torch_model
from experiments.speed.presets import Preset
from jaxrnn import generate
from jaxrnn.parallel import Devices, by_sequence, dividing, whole_on

CHECKED = 20
"""The likeliest characters that the sides must have in common: drawn ones they cannot."""


def generate_cases(preset: Preset) -> Iterator[Case]:
    for samples in preset.samples:
        yield generate_case(preset, samples)


def generate_case(preset: Preset, samples: int) -> Case:
    """`samples` samples at once; a step is one more character of all of them."""
    problem = make_problem(preset.model, preset.num_layers)
    prompt = problem.batch.inputs[:1, :1].repeat(samples, axis=1)
    peers, missing = gather({"PyTorch loop": lambda: torch_side(problem, prompt, preset.generated)})
    devices = dividing(samples, jax.devices())
    ours = [our_side("jaxrnn", problem, prompt, preset.generated, devices)]
    if len(devices) > 1:
        one = our_side("jaxrnn, one device", problem, prompt, preset.generated, devices[:1])
        ours.append(one)
    return Case(
        "generate",
        shape_of(preset, samples),
        [*ours, *peers],
        missing,
        flops=samples * step_flops(problem.model, jax.ShapeDtypeStruct((), jnp.int32)),
        tolerance=0,
        makes=samples,
    )


def shape_of(preset: Preset, samples: int) -> str:
    return f"{samples} at once, H {preset.model.hidden_size}, {preset.num_layers} layers"


def our_side(name: str, problem: Problem, prompt: jax.Array, length: int, devices: Devices) -> Side:
    """As `experiments.generate` does it: samples divided over the devices."""

    def sample(params, key, prompt, temperature):
        return generate(problem.model, params, key, prompt, length, temperature=temperature)

    def at(temperature):
        whole = whole_on((problem.params, jax.random.key(2), jnp.float32(temperature)), devices)
        params, key, temperature = whole
        return params, key, by_sequence(prompt, devices), temperature

    drawn, likeliest = at(1), at(0)
    program, temporary = compiled(sample, *drawn)

    def call():
        # what is drawn comes back to be read
        return np.asarray(program(*drawn))

    def check():
        return np.asarray(program(*likeliest))[:CHECKED]

    return Side(name, call, check, steps=length, devices=len(devices), temporary_bytes=temporary)


def torch_side(problem: Problem, prompt: jax.Array, length: int) -> Side:
    import torch  # pyright: ignore[reportMissingImports]

    model = torch_model(problem.params)
    first = torch.tensor(np.asarray(prompt), dtype=torch.int64)

    def sample(draw: Any, length: int):
        tokens, carry, drawn = first, None, []
        with torch.inference_mode():
            for _ in range(length):
                logits, carry = model(tokens, carry)
                tokens = draw(logits[0])
                drawn.append(tokens)
        return torch.cat(drawn).numpy()

    def likeliest(logits):
        return logits.argmax(-1)[None]

    def at_random(logits):
        return torch.multinomial(torch.softmax(logits, dim=-1), 1).T

    return Side(
        "PyTorch loop",
        lambda: sample(at_random, length),
        lambda: sample(likeliest, min(length, CHECKED)),
        steps=length,
    )
