"""What a run depends on besides its config: versions, devices, the code, the texts."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from jaxrnn.runs.code import describe_code
from jaxrnn.runs.files import read_json
from jaxrnn.runs.progress import warn

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorboardX")
DIFF_LIMIT = 1_000_000  # characters
TRUE = ("1", "true", "t", "yes", "y", "on")
NUMERICS = {
    "threefry_partitionable": True,
    "default_prng_impl": "threefry2x32",
    "default_matmul_precision": None,
}
"""JAX's settings that change what a run draws or computes, with JAX's defaults: an older run has
them, unless its environment said otherwise."""


def describe_environment(
    texts: dict[str, str], devices_used: int, source: Path | None = None
) -> dict[str, Any]:
    """The content of environment.json; starts JAX's backend if nothing has yet.

    Args:
      texts: the sha256 of every text the run reads, by name.
      devices_used: how many of the devices there are the run trains on.
      source: the file or folder of the experiment.
    """
    import jax

    devices = jax.devices()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": {name: _version(name) for name in PACKAGES},
        "devices": {
            "backend": jax.default_backend(),
            "count": len(devices),
            "used": devices_used,
            "kinds": sorted({device.device_kind for device in devices}),
        },
        "x64": bool(jax.config.jax_enable_x64),  # pyright: ignore[reportAttributeAccessIssue]
        "numerics": {name: getattr(jax.config, f"jax_{name}") for name in NUMERICS},
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name == "XLA_FLAGS" or name.startswith("JAX_")
        },
        "git": describe_checkout(Path(__file__).parents[2]),
        "code": describe_code(source),
        "texts": texts,
    }


def recorded_devices(run: Path) -> int:
    """The number of devices a run trained on, from its environment.json; starts no backend.

    Raises: FileNotFoundError; ValueError if the file does not say.
    """
    path = Path(run) / "environment.json"
    found = _field(_field(read_json(path), "devices"), "used")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        said = f"{path} records no device count (devices.used is {found!r:.60})"
        raise ValueError(f"{said}; restore it from a copy")
    return found


def recorded_texts(run: Path) -> dict[str, str]:
    """The sha256 of every text that a run reads, by name, from its environment.json.

    Raises: FileNotFoundError; ValueError if the file does not say.
    """
    path = Path(run) / "environment.json"
    found = _field(read_json(path), "texts")
    if not isinstance(found, dict):
        said = f"{path} records no texts (texts is {found!r:.60})"
        raise ValueError(f"{said}; restore it from a copy")
    return found


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def recorded_x64(run: Path) -> bool:
    """Whether a run computes with `jax_enable_x64`, from its environment.json: its types and draws
    are those that it began with, wherever it goes on. False where it has none yet.

    Raises: ValueError if the file cannot be read.
    """
    path = Path(run) / "environment.json"
    if not path.is_file():
        return False
    recorded = read_json(path)
    try:
        # older runs have what the environment said
        said = str(recorded["variables"].get("JAX_ENABLE_X64", "")).lower()
        found = recorded.get("x64", said in TRUE)
    except (LookupError, TypeError, AttributeError):
        raise ValueError(f"{path} records no variables; restore it from a copy") from None
    if not isinstance(found, bool):
        raise ValueError(f"{path}: x64 is {found!r:.60}; restore it from a copy")
    return found


@contextmanager
def as_recorded(run: Path | None) -> Iterator[None]:
    """Computes with the types and draws that a run began with, from its environment.json; what is
    set otherwise here, and a JAX of another version, is said in a line each. None: a new run.

    Raises: ValueError if the file cannot be read.
    """
    import jax

    with ExitStack() as settings:
        path = None if run is None else Path(run) / "environment.json"
        if run is not None and path is not None and path.is_file():
            settings.enter_context(jax.enable_x64(recorded_x64(run)))
            recorded = read_json(path)
            for name, value in _numerics(path, recorded).items():
                here = getattr(jax.config, f"jax_{name}")
                if value != here:
                    warn(f"JAX_{name.upper()} is {here} here; {run} goes on with {value}")
                    settings.enter_context(getattr(jax, name)(value))
            version = _field(_field(recorded, "versions"), "jax")
            if version != jax.__version__:
                warn(
                    f"{run} began with jax {version}, this is {jax.__version__}; its numbers may "
                    "differ from those that it would have had"
                )
        yield


def _numerics(path: Path, recorded: Any) -> dict[str, Any]:
    found = recorded.get("numerics")
    if found is None:
        said = recorded["variables"].get("JAX_THREEFRY_PARTITIONABLE", "1").lower()
        return NUMERICS | {"threefry_partitionable": said in TRUE}
    for name, default in NUMERICS.items():
        value = _field(found, name)
        allowed = str | None if default is None else type(default)
        if not isinstance(value, allowed):
            said = f"{path}: numerics.{name} is {value!r:.60}"
            raise ValueError(f"{said}; restore it from a copy")
    return {name: _field(found, name) for name in NUMERICS}


def describe_checkout(folder: Path) -> dict[str, Any] | None:
    """Commit, uncommitted diff and names of untracked files of the git checkout at `folder`.

    None where `folder` is not the top of a checkout (an installed package) or git does not answer.
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    # A virtual environment inside somebody else's checkout is not our checkout.
    if top is None or Path(top.strip()).resolve() != folder.resolve():
        return None
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    diff = _git(folder, "diff", "--no-ext-diff", "--no-color", "HEAD")
    others = _git(folder, "ls-files", "--others", "--exclude-standard", "-z")
    if diff is not None and len(diff) > DIFF_LIMIT:
        diff = f"{diff[:DIFF_LIMIT]}\n... cut: {DIFF_LIMIT} of {len(diff)} characters\n"
    return {
        "commit": commit and commit.strip(),
        "diff": diff,
        "untracked": None if others is None else others.split("\0")[:-1],
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    # GIT_DIR and its like, set inside a hook, would point at another repository.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")
