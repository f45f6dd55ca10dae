"""What is left of JAX's unstable names: in one module, and jaxrnn without them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What no other file of the library may name.
PRIVATE = ("jax._src", "jax.extend", "jax.experimental", "jax.interpreters", "__version")


@pytest.mark.parametrize(
    "path",
    [p for p in (ROOT / "jaxrnn").rglob("*.py") if p.name != "unstable.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_unstable_names_are_in_one_module(path):
    code = path.read_text(encoding="utf-8")
    named = [name for name in PRIVATE if f"import {name}" in code or f"from {name}" in code]
    assert not named
    assert "jax.__version" not in code or path.name in ("environment.py", "choosing.py")


WITHOUT_RULES = """
import sys, warnings
sys.modules["jax.experimental.hijax"] = None
import jax, jax.numpy as jnp
from jax import lax
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("default")
    import jaxrnn
    cell = jaxrnn.gru(3, 4)
    params = cell.init(jax.random.key(0))
    carry, xs = jnp.zeros((2, 4)), jax.random.normal(jax.random.key(1), (9, 2, 3))
    def loss(schedule):
        return lambda params: jaxrnn.unroll(cell, params, carry, xs, schedule=schedule)[1].sum()
    for schedule in ("auto", "distributed", "associative", "checkpointed"):
        wanted, found = (jax.jit(jax.grad(loss(s)))(params) for s in ("scan", schedule))
        for a, b in zip(jax.tree.leaves(wanted), jax.tree.leaves(found)):
            assert jnp.allclose(a, b, atol=1e-5), schedule
        jax.jvp(loss(schedule), (params,), (params,))
    report = str(jaxrnn.explain(cell, params, carry, xs))
lines = [str(each.message) for each in said if "no rules" in str(each.message)]
assert len(lines) == 1, lines
assert "schedule scan: no rules: JAX" in report, report
print("right")
"""


def test_without_primitives_that_have_rules():
    """The plain loop, said in `explain` and once as a warning."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RULES], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "right", done.stderr[-2000:]
