"""Cells by name: those of the registry, and a researcher's own in a file."""

import functools
import hashlib
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from jaxrnn.cell_neighbours import importing_neighbours
from jaxrnn.cell_options import with_options, without_options, written_options
from jaxrnn.cells import CELLS, CellFactory


def find_cell(name: str) -> CellFactory:
    """The factory behind a name in `CELLS` or behind `path/to/file.py:factory`, a researcher's
    own file; with further arguments of it where the name has some, as in `delta_net(heads=4)`.

    Raises:
      ValueError: unknown name, option or value of one, no such factory in the file, or a file that
        fails when it is run. The factory raises it too where it would end the program.
    """
    plain = without_options(name)
    if plain in CELLS:
        return with_options(name, CELLS[plain])
    path, colon, _ = plain.rpartition(":")
    if not colon or not path.endswith(".py"):
        known = ", ".join(CELLS)
        raise ValueError(
            f"cell {name!r} is not known; give one of {known}, or path/to/file.py:factory"
        )
    found = cast(CellFactory, factory_in(plain))
    return with_options(name, _that_stays(plain, Path(path), found))


def factory_in(name: str) -> Callable[..., Any]:
    """What `path/to/file.py:factory` names; the file is run.

    Raises:
      ValueError: no such file or factory, or a file that fails when it is run.
    """
    path, _, attribute = name.rpartition(":")
    factory = getattr(_run_file(Path(path)), attribute, None)
    if not callable(factory):
        raise ValueError(
            f"{path} has no factory {attribute!r}; name a function defined in the file"
        )
    return factory


def cell_file(name: str) -> Path | None:
    """The researcher's own file that a cell's name points to, if it does."""
    path, colon, _ = without_options(name).rpartition(":")
    return Path(path) if colon else None


def cell_name(name: str) -> str:
    """What a cell is called: its name, or that of its factory in a file, with its options as
    `written_options` has them."""
    return without_options(name).rpartition(":")[2] + written_options(name)


def check_cells(names: Sequence[str]) -> None:
    """Cells that one run can hold: it names its settings by them, and keeps one file of theirs.

    Raises:
      ValueError: two cells of one name, or cells from two files.
    """
    require_apart("--cells", names, cell_name)
    files = {str(path) for name in names if (path := cell_file(name)) is not None}
    if len(files) > 1:
        raise ValueError(
            f"--cells names {len(files)} files, {' and '.join(sorted(files))}; "
            "put the factories into one"
        )


def require_apart(flag: str, names: Sequence[str], called: Callable[[str], str]) -> None:
    """No two names are called alike.

    Raises:
      ValueError: two are.
    """
    for name, times in Counter(map(called, names)).most_common(1):
        if times > 1:
            same = dict.fromkeys(each for each in names if called(each) == name)
            apart = f"one of {', '.join(same)}, or rename the factory"
            remedy = apart if len(same) > 1 else "it once"
            raise ValueError(f"{flag} holds {name} {times} times; give {remedy}")


def _that_stays(name: str, path: Path, factory: CellFactory) -> CellFactory:
    """`factory` that does not end the program: its exit would look like a success."""

    @functools.wraps(factory)
    def staying(*arguments, **options):
        try:
            with importing_neighbours(path):  # a factory may import when it is called
                return factory(*arguments, **options)
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise ValueError(f"{name} {_ending(error, 'when it is called')}") from error

    return staying


def _ending(error: BaseException, when: str) -> str:
    if isinstance(error, SystemExit):
        return f"exits with {error.code} {when}"
    return f"fails {when}: {type(error).__name__}: {error}"


def _run_file(path: Path):
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give the file that holds the factory")
    # a name of its own for each path, so that two files called cell.py do not meet
    name = f"jaxrnn_user_cell_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up the module of their annotations
    try:
        with importing_neighbours(path):
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ValueError(f"{path} {_ending(error, 'when it is run')}") from error
    return module
