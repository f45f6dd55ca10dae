"""A mixture of sine waves: its next value."""

import math

import jax
import jax.numpy as jnp

from jaxrnn.base import require_positive
from jaxrnn.data.tasks.task import Example, Task, constantly, deterministic, places

SLOWEST, FASTEST = 1 / 32, 1 / 4
"""Periods per time step."""


def sines(waves: int = 2) -> Task:
    """The sum of `waves` sine waves of drawn frequencies and phases and of equal amplitudes, so
    that its variance is 1: who always answers 0 has that squared error. Each wave has a band of
    frequencies of its own. A sum of k waves obeys a linear recurrence of 2k terms, so what follows
    can be known from 4k values; places before that are not scored.
    """
    require_positive(waves=waves)
    amplitude = math.sqrt(2 / waves)
    known = 4 * waves

    def draw(key, size, length):
        key_frequencies, key_phases = jax.random.split(key)
        part = jax.random.uniform(key_frequencies, (waves,), jnp.float32)
        # the middle half of its band, so that no two frequencies meet
        band = (places(waves).astype(jnp.float32) + 0.25 + 0.5 * part) / waves
        frequencies = SLOWEST * (FASTEST / SLOWEST) ** band
        phases = 2 * math.pi * jax.random.uniform(key_phases, (waves,), jnp.float32)
        times = places(length + 1).astype(jnp.float32)
        angles = 2 * math.pi * frequencies[:, None] * times[None] + phases[:, None]
        values = amplitude * jnp.sin(angles).sum(0)[:, None]
        at = places(length)
        scored = jnp.logical_and(at >= known - 1, at < size)
        return Example(values[:-1], values[1:], scored)

    return deterministic(
        draw,
        reads=1,
        answers=1,
        metric="mean squared error",
        chance=constantly(waves * amplitude**2 / 2),
        shortest=known,
        train_lengths=(64, 64),
        test_lengths=(64, 128, 256),
    )
