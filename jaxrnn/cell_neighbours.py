"""What a researcher's file imports from beside it: found without running it, and found by it from
any folder."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


def folder_of(path: Path) -> Path:
    """Where a file's neighbours are: in the folder NAME_modules of a file NAME.py, where there is
    one (a run keeps them there), or beside it."""
    kept = path.with_name(f"{path.stem}_modules")
    return kept if kept.is_dir() else path.parent


def neighbours(path: Path) -> dict[str, bytes]:
    """The content of every file beside `path` that it imports, or that these import, by its path
    from there; of a package all its files of Python. What is elsewhere is not looked at."""
    folder, found = folder_of(path), {}
    waiting = [path.read_bytes()]
    while waiting:
        for name in sorted(_imported(waiting.pop())):
            module, package = folder / f"{name}.py", folder / name / "__init__.py"
            files = [module]
            if package.is_file():  # Python prefers it, too
                files = sorted(package.parent.rglob("*.py"))
            for file in files:
                place = file.relative_to(folder).as_posix()
                if file.is_file() and place not in found and file.resolve() != path.resolve():
                    found[place] = file.read_bytes()
                    waiting.append(found[place])
    return found


def code_sha256(path: Path) -> str:
    """Of a file and all its neighbours together; of a file without any, that of its bytes."""
    digest = hashlib.sha256(path.read_bytes())
    for place, content in sorted(neighbours(path).items()):
        digest.update(f"\0{place}\0".encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()


@contextmanager
def importing_neighbours(path: Path) -> Iterator[None]:
    """Imports find the neighbours of `path` first, and those of no other file under their names."""
    folder = str(folder_of(path).resolve())
    names = {Path(place).parts[0].removesuffix(".py") for place in neighbours(path)}
    before = _take(names)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        if before:
            _take(names)
            sys.modules.update(before)


def _take(names: set[str]) -> dict[str, ModuleType]:
    """Takes the modules of these names, and what is in them, out of those that Python knows."""
    taken = [name for name in sys.modules if name.partition(".")[0] in names]
    return {name: sys.modules.pop(name) for name in taken}


def _imported(source: bytes) -> set[str]:
    """The first names of all modules that a source imports absolutely."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # whoever runs it says so
        return set()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names
