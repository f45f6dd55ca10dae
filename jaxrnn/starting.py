"""What a command does before anything else is imported, which takes seconds: imported first, by
`jaxrnn` itself. In a program that only uses the library it does nothing."""

import atexit
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType, TracebackType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Which ask a command to stop. Windows has no SIGHUP."""


def module_of(arguments: list[str]) -> str | None:
    """The module behind `python -m`, if it is one of ours; of the command `jaxrnn` the one that it
    begins with."""
    if by_name(arguments):
        return "experiments"
    if "-m" not in arguments[1:-1]:
        return None
    name = arguments[arguments.index("-m", 1) + 1]
    return name if name.partition(".")[0] in ("experiments", "jaxrnn") else None


def by_name(arguments: list[str]) -> bool:
    """Whether it is the command `jaxrnn`, and not `python -m`."""
    return any(os.path.basename(each) in ("jaxrnn", "jaxrnn.exe") for each in arguments[1:2])


def called(module: str) -> str:
    """What starts the command of a module, said as this process was started: `jaxrnn new-cell`, or
    `python -m experiments.new_cell`."""
    if not by_name(sys.orig_argv):
        return f"python -m {module}"
    return "jaxrnn " + module.rpartition(".")[2].replace("_", "-")


def installing(extra: str) -> str:
    """What installs the packages of an extra, where the library is a checkout and where it came as
    a wheel."""
    if (Path(__file__).parents[1] / "pyproject.toml").is_file():
        return f"pip install -c constraints.txt -e '.[{extra}]'"
    return f"pip install 'jaxrnn[{extra}]'"


IS_COMMAND = module_of(sys.orig_argv) is not None


def leave(number: int, frame: FrameType | None) -> None:
    """Ends the process in one line. An exception would be a long traceback in the middle of an
    import, or be lost where Python calls back while it collects garbage."""
    os.write(2, b"interrupted before anything new was saved\n")
    os._exit(130)


def leave_at_once() -> None:
    """From here on a signal ends a command that has nothing to save whatever it computes. Python
    hears of one only when XLA has compiled or computed what it is at; a thread beside that does
    not wait."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    threading.Thread(target=lambda: leave(os.read(reader, 1)[0], None), daemon=True).start()


def leave_at_exit() -> None:
    """Lets Python end without taking down what still computes, which may crash it; what it would
    have said is said before."""

    def end():
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):  # none, or a closed one
                continue
        os._exit(130)

    atexit.register(end)


def _ignore() -> None:
    """All is done and said. Python takes its own handlers away before it takes itself down, which
    takes JAX a while: a signal would end the process without a word, as if it had failed."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What ends an import in one line, such as a variable of the environment that JAX cannot read;
    of what comes later `jaxrnn.runs.command` says so."""
    if os.environ.get("JAXRNN_TRACEBACK") or not issubclass(kind, Exception):
        sys.__excepthook__(kind, error, trace)
        return
    text = " ".join(str(error).split())
    print(f"error: {kind.__name__}: {text} (JAXRNN_TRACEBACK=1 shows where)", file=sys.stderr)


def _start() -> None:
    # a descriptor that is closed would be that of the next file, into which messages then go
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    sys.excepthook = _say
    atexit.register(_ignore)  # of what is registered the first is called last
    for number in SIGNALS:
        # "ignore", as `command &` and nohup set it, is meant
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, leave)


if IS_COMMAND:
    _start()
