"""Command lines: flags to a dataclass, and whatever goes wrong as one line."""

import contextlib
import errno
import io
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args

from jaxrnn.runs.config import flags_of
from jaxrnn.runs.interrupt import Interrupted
from jaxrnn.runs.processes import await_cause, leave_alone, leave_together
from jaxrnn.runs.progress import printable
from jaxrnn.starting import called, installing

T = TypeVar("T")


def run_command(
    module: str,
    cls: type[T],
    body: Callable[[T], object],
    *,
    description: str | None,
    argv: Sequence[str] | None,
) -> int:
    """A whole command: reads its flags, does its work, and returns its exit code.

    Args:
      module: called as `python -m MODULE`.
      cls: the dataclass of its flags.
      body: its work; what it says of an argument is said of the flag.
      description: a docstring, for --help.
      argv: the command line; None for this process's.
    """

    def whole() -> None:
        given = list(sys.argv[1:] if argv is None else argv)
        config = parse(cls, prog=called(module), description=description or "", argv=given)
        with naming_flags(config):
            body(config)

    return guarded(whole)


@contextlib.contextmanager
def naming_flags(config: Any) -> Iterator[None]:
    """A ValueError is said in the words of the command line that `config` came from; what is said
    of a file keeps the names that stand there."""
    try:
        yield
    except ValueError as error:
        said = in_flags(str(error), config)
        if said == str(error) or any(str(path) in str(error) for path in _paths(config)):
            raise
        raise ValueError(said) from error


def _paths(config: Any) -> list[Path]:
    values = flags_of(config).values()
    every = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    return [path for path in every if isinstance(path, Path) and path != Path()]


def in_flags(said: str, config: Any) -> str:
    """What the library says of its arguments, in the words of a command line: one that a flag of
    the config gave is called by that flag. A name without an underscore is an English word too, and
    is one only where it is said what it is."""

    def flag(found: re.Match[str]) -> str:
        return "--" + found[0].replace("_", "-")

    names = sorted(flags_of(config), key=len, reverse=True)
    apart = "|".join(name for name in names if "_" in name) or "(?!)"
    words = "|".join(name for name in names if "_" not in name) or "(?!)"
    said = re.sub(rf"(?<![\w'\"/.-])(?:{apart})(?![\w'\"/.(=-])", flag, said)
    # behind a cell's brackets it is an option of the cell
    return re.sub(rf"(?:^|(?<=[^)]: ))(?:{words})(?= is )", flag, said)


def guarded(body: Callable[[], None]) -> int:
    """Calls `body`; what goes wrong becomes one line on stderr and a non-zero exit code.

    JAXRNN_TRACEBACK=1 in the environment lets the traceback through. What a stream of few
    characters (ASCII, cp1252) cannot show is a question mark there, and no error.
    """
    try:
        with _replacing(sys.stdout):
            body()
        leave_together()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except Interrupted as interrupted:
        _say(f"interrupted: {interrupted}")
        leave_together()  # all were asked
        return 130
    except KeyboardInterrupt:
        _say("interrupted before anything new was saved")
        leave_alone(130, "was interrupted before anything new was saved")
        return 130
    except BrokenPipeError:  # e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _say("error: what reads the output has gone; everything saved before that is kept")
        return 1
    except Exception as error:
        if os.environ.get("JAXRNN_TRACEBACK"):
            raise
        await_cause(error)
        said = _without_platform() or one_line(error)
        _say(f"error: {said}")
        leave_alone(1, f"failed: {said}")
        return 1
    return 0


def _without_platform() -> str | None:
    """What is wrong where JAX has none of the platforms that it was told to take; else None."""
    asked = os.environ.get("JAX_PLATFORMS")
    if not asked:
        return None
    import jax

    try:
        jax.devices()
    except Exception:  # an AssertionError without a word, for one
        return f"JAX_PLATFORMS is {asked!r}, of which JAX finds no device here; unset it"
    return None


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # the terminal may be gone
        print(printable(line), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _replacing(stream: Any) -> Iterator[None]:
    if not isinstance(stream, io.TextIOWrapper):  # a notebook's, say, which takes every character
        yield
        return
    errors = stream.errors
    stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):  # closed meanwhile
            stream.reconfigure(errors=errors)


def one_line(error: Exception) -> str:
    """What an exception says, in one line, with its type unless it is one of ours."""
    text = _quoting_little(str(error).strip())
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        remedy = (
            "; see to it that you may read and write it, or go on with a copy" if denied else ""
        )
        text = f"{error.filename}: {error.strerror.lower()}{remedy}"
    if "\n" in text:
        text = textwrap.shorten(text, 400, placeholder=" ...")
    if isinstance(error, ValueError | OSError) and text:
        return text
    return f"{type(error).__name__}: {text} (JAXRNN_TRACEBACK=1 shows where)"


def parse(
    cls: type[T], *, prog: str, description: str, argv: Sequence[str], default: T | None = None
) -> T:
    """`argv` as a dataclass, by tyro. Where a field asks for a text or a path, every value is one.

    What cannot be read is one line on stderr and SystemExit(2).
    """
    import tyro
    from tyro.constructors import ConstructorRegistry

    registry = ConstructorRegistry()
    registry.primitive_rule(_optional_text)

    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            return tyro.cli(
                cls,
                prog=prog,
                # a blank line keeps the labels of a docstring apart
                description=re.sub(r"\n+(?=[A-Z][a-z ]+: )", "\n\n", _as_here(description)),
                default=tyro.MISSING_NONPROP if default is None else default,
                args=argv,
                config=(tyro.conf.OmitArgPrefixes,),
                registry=registry,
            )
    except SystemExit as stop:
        if stop.code:
            text = _quoting_little(_behind_a_flag(_condense(messages.getvalue()), argv))
            print(f"error: {printable(text)}; see {prog} --help", file=sys.stderr)
        raise


def _as_here(description: str) -> str:
    """A docstring whose commands are those of this process's kind, and of this installation."""
    text = re.sub(
        r"python -m ((?:experiments|jaxrnn)\.\w+)", lambda found: called(found[1]), description
    )
    extra = r"pip install -c constraints.txt -e '\.\[(\w+)\]'"
    return re.sub(extra, lambda found: installing(found[1]), text)


def _quoting_little(text: str) -> str:
    """`text` with at most 80 characters of each value, its beginning and its end."""

    def little(found: re.Match[str]) -> str:
        return f"{found[0][:40]}...{found[0][-37:]}"

    text = re.sub(r"""(['"])(?:(?!\1).){79,}\1""", little, text)
    return re.sub(r"\S{121,}", little, text)


def _behind_a_flag(text: str, argv: Sequence[str]) -> str:
    """tyro names what it did not expect; here also the flag that it stands behind."""
    found = re.match(r"Unrecognized options: ([^\s,]+)", text)
    if not found or found[1].startswith("-") or found[1] not in argv:
        return text
    before = [word for word in argv[: argv.index(found[1])] if word.startswith("--")]
    return f"{text} behind {before[-1].partition('=')[0]}" if before else text


def _optional_text(field: Any) -> Any:
    """A rule for tyro: of `str | None` and `Path | None`, "None" is the text and not Python's None,
    which is what leaving the flag out gives. An empty path would be the folder that one is in."""
    from tyro.constructors import PrimitiveConstructorSpec

    members = set(get_args(field.type))
    if field.type is Path:
        members = {Path}
    if members not in ({str, NoneType}, {Path, NoneType}, {Path}):
        return None  # tyro's own rules
    (kind,) = members - {NoneType}

    def read(given):
        if kind is Path and not given[0]:
            raise ValueError("it is empty; give a path")
        return kind(given[0])

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="STR" if kind is str else "PATH",
        instance_from_str=read,
        is_instance=lambda value: value is None or isinstance(value, kind),
        str_from_instance=lambda value: [str(value)],
    )


def _condense(boxed: str) -> str:
    """tyro's boxed message as one line: the complaint, and the flags it suggests."""
    rows = [
        row for row in (re.sub(r"[│╭╮╰╯]", "", row).strip() for row in boxed.splitlines()) if row
    ]
    # where the terminal has no box characters, rules are hyphens and the title is a row of its own
    rows = rows[2:] if re.fullmatch("-+", "".join(rows[1:2])) else rows
    rows = [row for row in rows if not re.fullmatch(r"-+|─+\s.*─|─+", row)]
    complaint = []
    for row in rows:
        if row.startswith(("Perhaps you meant", "Argument helptext", "For full helptext")):
            break
        complaint.append(row)
    suggested = re.findall(r"^--\S+", "\n".join(rows[len(complaint) :]), re.MULTILINE)
    text = (" ".join(complaint) or " ".join(rows) or "the command line cannot be read").rstrip(".")
    other = [flag for flag in dict.fromkeys(suggested) if flag not in re.findall(r"[\w-]+", text)]
    return f"{text} (perhaps {' or '.join(other)})" if other else text
