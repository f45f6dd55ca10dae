"""A researcher's own task holds what it says of itself."""

import jax
import jax.numpy as jnp
import pytest

from jaxrnn.data.tasks import TASKS, Example
from jaxrnn.data.tasks.checking import require_sound

PARITY = TASKS["parity"]()._replace(train_lengths=(3, 5), test_lengths=(5, 7))


def drawing(**parts):
    """Parity, of which a draw has other parts: `bits, size, length -> part`."""

    def draw(key, size, length):
        bits = jax.random.bernoulli(key, 0.5, (length,)).astype(jnp.int32)
        usual = {"inputs": bits, "targets": bits, "scored": jnp.arange(length) < size}
        return Example(**usual | {name: of(bits, size, length) for name, of in parts.items()})

    return {"draw": draw, "draw_test": draw}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (drawing(scored=lambda b, n, t: jnp.ones(t + 1, bool)), r"scored of draw are bool\[6\]"),
        (drawing(scored=lambda b, n, t: b > -1), "draw scores what is behind the end"),
        (drawing(scored=lambda b, n, t: b > 1), "sequences of 3 time steps without a scored place"),
        (drawing(inputs=lambda b, n, t: b[1:]), r"are int32\[4\]; give integers \[5\]"),
        (drawing(inputs=lambda b, n, t: 3 * b), "inputs of draw reach from 0 to 3; give 0 to 1"),
        (drawing(targets=lambda b, n, t: b + 1), "targets of draw reach from 1 to 2; give 0 to 1"),
        (drawing(inputs=lambda b, n, t: jnp.full((t, 2), jnp.nan)), "inputs .* not all finite"),
        ({"draw_test": lambda key, size, length: size}, "draw_test returns"),
        ({"chance": lambda length: 1.0}, "chance at length 5 is 1.0"),
        ({"train_lengths": (5, 3)}, "train_lengths are 5 and 3; give the fewest and the most"),
        ({"test_lengths": ()}, r"test_lengths are \(\); give some, from 1 on"),
    ],
)
def test_what_is_wrong_with_a_task_is_named(given, problem):
    with pytest.raises(ValueError, match=f"^task mine.py:own: .*{problem}"):
        require_sound("mine.py:own", PARITY._replace(**given))


def test_tasks_of_the_library_are_sound():
    for name in ("parity", "adding", "sines"):
        require_sound(name, TASKS[name]())
