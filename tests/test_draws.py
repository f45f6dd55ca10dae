"""Random draws of the tests are those of users: the hash by its published answers."""

import jax
import numpy as np
from jax.extend.random import threefry2x32_p

# Key, counter and hash, from `kat_vectors` of Random123 (Salmon et al., 2011), 20 rounds.
ANSWERS = """
00000000 00000000 00000000 00000000 6b200159 99ba4efe
ffffffff ffffffff ffffffff ffffffff 1cb996fc bb002be7
13198a2e 03707344 243f6a88 85a308d3 c4923a9c 483df7a0
"""


def test_the_hash_has_its_published_answers():
    """However tests/conftest.py has it compiled: many at once, and one for each."""
    rows = [[int(word, 16) for word in line.split()] for line in ANSWERS.split("\n") if line]
    words = np.array(rows, np.uint32)

    def hashed(key_1, key_2, x_1, x_2):
        return threefry2x32_p.bind(key_1, key_2, x_1, x_2)

    found = jax.jit(hashed)(*words[:, :4].T)
    np.testing.assert_array_equal(np.stack(found, 1), words[:, 4:])
    found = jax.jit(jax.vmap(hashed))(*words[:, :4].T)
    np.testing.assert_array_equal(np.stack(found, 1), words[:, 4:])
