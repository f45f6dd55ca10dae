"""What a run depends on besides its config: versions, devices, the code, the texts."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from jaxrnn.runs.files import read_json

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorboardX")
DIFF_LIMIT = 1_000_000  # characters


def describe_environment(texts: dict[str, str], devices_used: int) -> dict[str, Any]:
    """The content of environment.json; starts JAX's backend if nothing has yet.

    Args:
      texts: the sha256 of every text the run reads, by name.
      devices_used: how many of the devices there are the run trains on.
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
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name == "XLA_FLAGS" or name.startswith("JAX_")
        },
        "git": describe_checkout(Path(__file__).parents[2]),
        "texts": texts,
    }


def recorded_devices(run: Path) -> int:
    """The number of devices a run trained on, from its environment.json; starts no backend.

    Raises: FileNotFoundError; ValueError if the file does not say.
    """
    path = Path(run) / "environment.json"
    try:
        return int(read_json(path)["devices"]["used"])
    except (LookupError, TypeError):
        raise ValueError(f"{path} records no device count; restore it from a copy") from None


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
        return bool(recorded.get("x64", said in ("1", "true", "t", "yes", "y", "on")))
    except (LookupError, TypeError, AttributeError):
        raise ValueError(f"{path} records no variables; restore it from a copy") from None


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
