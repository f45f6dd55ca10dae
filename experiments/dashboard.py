"""Dashboard: TensorBoard on the runs of this folder.

Question:  What happens inside a model while it learns: losses, saturation, gradients, embeddings?
Command:   python -m experiments.dashboard
Expected:  a page at http://localhost:6006, for every run that was trained with --tensorboard
Run time:  until Ctrl-C

It is seen from this machine only.
"""

import importlib.metadata
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxrnn.runs.command import run_command
from jaxrnn.starting import installing

LEAST = (2, 18)
"""TensorBoard up to 2.17 fails with numpy 2."""


@dataclass(frozen=True)
class Arguments:
    """What to show, and where."""

    runs: Path = Path("runs")
    """A folder with runs below it, or a run."""
    port: int = 6006
    """Of the page; 0 takes one that is free."""


def require_tensorboard() -> None:
    """Raises: ValueError where TensorBoard is missing or too old, with what to do."""
    remedy = installing("dashboard")
    try:
        version = importlib.metadata.version("tensorboard")
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(f"TensorBoard is not installed; {remedy}") from None
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) < LEAST:
        least = ".".join(map(str, LEAST))
        raise ValueError(f"TensorBoard is {version}, this needs {least} or newer; {remedy}")


def require_free(port: int) -> None:
    """Raises: ValueError where the page cannot be at `port` of this machine, with what to do."""
    if not 0 <= port < 2**16:
        raise ValueError(f"--port is {port}; give 0 to {2**16 - 1}")
    with socket.socket() as trial:
        # what a server that ended a moment ago has left does not count
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("localhost", port))
        except OSError as error:
            reason = str(error.strerror).lower()
            raise ValueError(
                f"--port {port} cannot be had: {reason}; give another, or 0 for one that is free"
            ) from None


def command(arguments: Arguments) -> list[str]:
    """TensorBoard's own command line.

    Raises:
      ValueError: nothing to show.
    """
    if not any(arguments.runs.rglob("tensorboard")):
        raise ValueError(
            f"--runs {arguments.runs} has no run with a TensorBoard; train one with --tensorboard"
        )
    shown = ["--logdir", str(arguments.runs), "--host", "localhost", "--port", str(arguments.port)]
    # as many samples of a tag as a long training has: the first and the last are kept anyway
    return [sys.executable, "-m", "tensorboard.main", *shown, "--samples_per_plugin", "text=100"]


def main(argv: Sequence[str] | None = None) -> int:
    def body(arguments: Arguments) -> None:
        require_tensorboard()
        started = command(arguments)
        require_free(arguments.port)
        raise SystemExit(subprocess.run(started, check=False).returncode)

    return run_command("experiments.dashboard", Arguments, body, description=__doc__, argv=argv)


if __name__ == "__main__":
    raise SystemExit(main())
