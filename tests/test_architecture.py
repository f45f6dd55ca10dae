"""Which part of the library may import which."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Every part of jaxrnn with those that it may import; what these may import, it may too.
# DESIGN section 2, and some arrows more: laws train a small model (training), and runs lay the
# members of a run over devices (parallel) and show in TensorBoard what analysis names. What check
# prints follows runs.command.
ARROWS: dict[str, tuple[str, ...]] = {
    "starting": (),
    "base": (),
    "swept": (),
    "unstable": (),
    "tokens": ("base",),
    "jaxprs": ("base", "unstable"),
    "schedule": ("jaxprs",),
    "unroll": ("schedule", "tokens"),
    "sheltering": ("jaxprs",),
    "padding": ("unroll", "sheltering"),
    "gradients": ("unroll", "swept"),
    "optimizers": ("base", "swept"),
    "training": ("gradients", "data", "rows"),
    "evaluation": ("training",),
    "parallel": ("training",),
    "cells": ("base",),
    "candidates": ("base",),
    "rows": ("candidates", "optimizers", "tokens"),
    "compose": ("tokens", "swept"),
    "data": ("base", "starting"),
    "counts": ("base",),
    "token_tables": ("jaxprs",),
    "generation": ("padding", "token_tables"),
    "cell_neighbours": (),
    "cell_options": ("cells",),
    "cell_files": ("cell_options", "cell_neighbours"),
    "token_model": ("base",),
    "models": ("cell_files", "compose", "data", "token_model"),
    "sizes": ("models",),
    "tasks": ("training", "models"),
    "laws": ("training", "models", "padding"),
    "runs": ("models", "parallel", "analysis", "evaluation", "generation", "starting"),
    "analysis": ("models", "unroll"),
    "interop": ("models", "unroll"),
    "check": ("laws", "runs"),
}
SCHEDULERS = ("schedule", "unroll", "gradients", "laws")
"""What knows how a loop is scheduled; who reads the equations of a step does so in `jaxprs`."""
STYLES: dict[str, tuple[str, ...]] = {
    "sequence": (),
    "windows": ("sequence",),
    "online": ("sequence",),
    "bptt": ("sequence",),
    "tbptt": ("bptt", "windows"),
    "stateless": ("sequence",),
    "weight_drop": ("sequence",),
    "cutting": ("bptt",),
    "artbp": ("cutting",),
    "random_length": ("cutting",),
    "rtrl": ("online",),
    "snap": ("online",),
    "rflo": ("online",),
    "uoro": ("online",),
    "eprop": ("online",),
}
"""The same inside jaxrnn.gradients: styles stand on what several of them share, never back."""
OUTSIDE = ("analysis", "runs", "interop")
"""What the core never imports."""

# What `import jaxrnn` must not pull in.
HEAVY = ("matplotlib", "orbax", "tensorboardX", "flax", "rich", "tyro", "pooch", "jinja2")
PEERS = ("torch", "keras", "h5py", "safetensors", "flax")


def allowed(part: str, arrows: dict[str, tuple[str, ...]] = ARROWS) -> set[str]:
    direct = set(arrows[part])
    return direct.union(*(allowed(each, arrows) for each in direct))


def imported(path: Path) -> set[str]:
    """Every module named by an import statement anywhere in the file, functions included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write the whole name"
            module = node.module or ""
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def parts_of(names: set[str]) -> set[str]:
    """The parts of jaxrnn among the imported names; a name taken from the package itself counts
    as "jaxrnn"."""
    found = set()
    for name in names:
        package, _, rest = name.partition(".")
        if package == "jaxrnn" and rest:
            part = rest.split(".")[0]
            found.add(part if part in ARROWS else "jaxrnn")
    return found


FILES = sorted((ROOT / "jaxrnn").rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / "jaxrnn").parts[0].removesuffix(".py")


def test_every_part_has_its_place():
    assert {part_of(path) for path in FILES} - {"__init__"} <= ARROWS.keys()


@pytest.mark.parametrize(
    "path", [p for p in FILES if part_of(p) != "__init__"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_follow_the_arrows(path):
    part = part_of(path)
    wrong = parts_of(imported(path)) - allowed(part) - {part}
    assert not wrong, f"{path} imports {sorted(wrong)}, and {part} may not"


def test_equations_are_read_below_the_schedule():
    others = [path for path in FILES if part_of(path) not in (*SCHEDULERS, "__init__")]
    assert not [path for path in others if "schedule" in parts_of(imported(path))]


def test_gradient_styles_stand_apart_from_what_they_share():
    folder = ROOT / "jaxrnn" / "gradients"
    for path in folder.rglob("*.py"):
        name = path.relative_to(folder).parts[0].removesuffix(".py")
        prefix = "jaxrnn.gradients."
        named = {n.removeprefix(prefix) for n in imported(path) if n.startswith(prefix)}
        used = {n.split(".")[0] for n in named} & STYLES.keys()
        if name in STYLES:
            assert used <= allowed(name, STYLES) | {name}, path
        else:
            assert name in ("__init__", "configured"), f"{path} has no place in STYLES"


def test_the_arrows_make_no_circle():
    for arrows in (ARROWS, STYLES):
        assert all(part not in allowed(part, arrows) for part in arrows)


def test_the_package_exports_only_its_core():
    assert not parts_of(imported(ROOT / "jaxrnn" / "__init__.py")) & {*OUTSIDE, "laws", "check"}


EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.py"))


def experiment_of(path: Path) -> str:
    """A module of `experiments`, or a package in it, whose rooms may import each other."""
    return path.relative_to(ROOT / "experiments").parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "path", EXPERIMENTS, ids=lambda path: str(path.relative_to(ROOT / "experiments"))
)
def test_experiments_stand_alone(path):
    named = [name.split(".") for name in imported(path)]
    used = {parts[1] for parts in named if parts[0] == "experiments" and len(parts) > 1}
    others = {experiment_of(other) for other in EXPERIMENTS} - {experiment_of(path)}
    assert not used & others


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_knows_no_experiment_no_test_and_no_other_framework(path):
    packages = {name.partition(".")[0] for name in imported(path)}
    assert not packages & {"experiments", "tests", "pytest", "hypothesis"}
    assert not packages & {"torch", "tensorflow", "tensorboard"}


def test_importing_jaxrnn_is_light():
    code = "import sys, jaxrnn; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert {"jax", "optax"} <= loaded
    assert not loaded & set(HEAVY)


def test_importing_weights_is_light():
    """Weights are plain arrays: no framework is needed to read them."""
    code = "import sys, jaxrnn.interop, jaxrnn.interop.files; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & set(PEERS)


def test_every_public_name_is_there():
    import jaxrnn

    assert sorted(jaxrnn.__all__) == sorted(set(jaxrnn.__all__))
    assert all(hasattr(jaxrnn, name) for name in jaxrnn.__all__)


def test_the_check_can_fail(tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text(
        "import jaxrnn.runs.config\n"
        "from jaxrnn.parallel import Devices\n"
        "def late():\n    from jaxrnn import laws, gru\n"
    )
    assert parts_of(imported(path)) == {"runs", "parallel", "laws", "jaxrnn"}
