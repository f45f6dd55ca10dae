"""Every block of code on the pages runs, every command there is one, and every public name has a
place."""

import ast
import contextlib
import importlib
import importlib.util
import io
import re
import shutil
from pathlib import Path

import jax
import pytest
import tyro
from experiments_support import write_text
from page_blocks import DOCS, PAGES, ROOT, blocks_of, commands_of
from trained_runs import char_run

from experiments import __main__ as console

BLOCKS = {name: blocks_of(path.read_text(encoding="utf-8")) for name, path in PAGES.items()}
PYTHON = {
    name: [b for b in blocks if b.language == "python" and "tested in" not in b.said]
    for name, blocks in BLOCKS.items()
}
FIRST = {
    name: [b for b in blocks if not b.said.keys() & {"full", "runs"}]
    for name, blocks in PYTHON.items()
}
RUN = {name: [b for b in blocks if "run" in b.said] for name, blocks in BLOCKS.items()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a reader is: a folder with a text, on the path of Python."""
    shutil.copy(write_text(tmp_path), tmp_path / "my.txt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def run_blocks(name, blocks, folder, factory):
    """A page's blocks, in order, in one namespace."""
    names = {"__name__": "page"}
    for block in blocks:
        needed = block.said.get("needs")
        if needed and importlib.util.find_spec(needed) is None:
            continue
        if "runs" in block.said:
            shutil.copytree(char_run(factory), folder / block.said["runs"])
        if "file" in block.said:
            (folder / block.said["file"]).write_text(block.source, encoding="utf-8")
        padded = "\n" * (block.line - 1) + block.source  # a traceback names the line of the page
        # as a reader has it
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            exec(compile(padded, name, "exec"), names)


@pytest.mark.parametrize("name", [name for name, blocks in FIRST.items() if blocks])
def test_the_first_blocks_of_a_page_run(name, folder, tmp_path_factory):
    run_blocks(name, FIRST[name], folder, tmp_path_factory)


@pytest.mark.full
@pytest.mark.filterwarnings("default")  # of other libraries
@pytest.mark.parametrize("name", [n for n in PYTHON if len(FIRST[n]) < len(PYTHON[n])])
def test_all_blocks_of_a_page_run(name, folder, tmp_path_factory):
    run_blocks(name, PYTHON[name], folder, tmp_path_factory)


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name, blocks in RUN.items() if blocks])
def test_the_commands_that_a_page_runs_run(name, folder):
    for block in RUN[name]:
        for command in commands_of(block.source):
            if command[0] == "--help":
                assert console.main(command) == 0
            else:
                assert importlib.import_module(console.module_of(command[0])).main(command[1:]) == 0


class Read(BaseException):
    """A command line was read."""


def test_every_command_is_one(monkeypatch):
    """By its own flags, whatever they are; nothing is trained or opened."""
    read = tyro.cli

    def stop(*arguments, **options):
        read(*arguments, **options)
        raise Read

    monkeypatch.setattr(tyro, "cli", stop)
    wrong, seen = [], set()
    for name, blocks in BLOCKS.items():
        for block in blocks:
            if block.language != "sh":
                continue
            for command in commands_of(block.source):
                if not command or command[0].startswith("-") or tuple(command) in seen:
                    continue
                seen.add(tuple(command))
                if said := what_is_wrong(command):
                    wrong.append((name, command, said))
    assert not wrong
    assert len(seen) > 40


def what_is_wrong(command):
    """What a command says of its own flags; "" where it takes them. A run that is gone on with is
    not there, so `--resume` is read as the directory of a new one."""
    module = console.module_of(command[0])
    argv = ["--run" if word == "--resume" else word for word in command[1:]]
    argv = [re.sub(r"\$\w+", "1", word) for word in argv]  # of a job
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.suppress(Read):
        importlib.import_module(module).main(argv)
        return said.getvalue() or "it did something without reading its flags"
    return ""


def test_every_block_is_tested():
    """Those of Python and of shell; what a block is tested by elsewhere names the page."""
    for name, blocks in BLOCKS.items():
        for block in blocks:
            assert block.language in ("python", "sh", "yaml"), f"{name}:{block.line}"
            assert "shown" not in block.said or block.language == "sh", f"{name}:{block.line}"
            if "tested in" in block.said:
                path = ROOT / block.said["tested in"]
                assert f'"{Path(name).name}"' in path.read_text(encoding="utf-8"), path


# What of jaxrnn is public: the packages that say so by `__all__`, of all other modules on the pages
# every name without an underscore. What those of the first say lies where it is defined.
INSIDE = {"jaxrnn.schedule"}
"""Packages whose `__all__` is for other parts of the library."""


def module_file(module):
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def definitions(module):
    """The names that a module defines or imports: ("defined", documented) or ("from", module)."""
    tree = ast.parse(module_file(module).read_text(encoding="utf-8"))
    found, body = {}, tree.body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = ("defined", ast.get_docstring(node) is not None)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            found |= {t.id: ("defined", text) for t in targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: ("from", node.module) for a in node.names}
    return found


def home(module, name):
    """The module that defines a name, and whether it is documented there."""
    kind, said = definitions(module)[name]
    return home(said, name) if kind == "from" else (module, said)


def exported(module):
    """A module's `__all__`; None where it has none."""
    for node in ast.parse(module_file(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def shown():
    """The modules on the pages of the API, with those below one whose submodules are shown."""
    found = set()
    for path in DOCS.joinpath("api").glob("*.md"):
        text = path.read_text(encoding="utf-8")
        for module, options in re.findall(r"^::: (\S+)\n((?:    .*\n)*)", text + "\n", re.M):
            found.add(module)
            if "show_submodules: true" in options:
                folder = module_file(module).parent
                found |= {f"{module}.{p.stem}" for p in folder.glob("[a-z]*.py")}
    return found


def test_every_public_name_has_a_place_on_a_page():
    pages, missing = shown(), []
    for path in sorted((ROOT / "jaxrnn").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for name in [] if module in INSIDE else exported(module) or []:
            where, documented = home(module, name)
            if where not in pages or not documented:
                missing.append(f"{module}.{name}")
    assert not missing, f"{len(missing)} public names have no place or no docstring: {missing}"


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [name for name in PAGES if name != "README.md" and f" {name}\n" not in menu] == []


def test_the_check_can_fail():
    assert "--epochz" in what_is_wrong(["toy", "--epochz", "3"])
    assert list(commands_of("srun jaxrnn toy --seeds 2 & # comment")) == [["toy", "--seeds", "2"]]
    assert home("jaxrnn", "gru") == ("jaxrnn.cells.gru", True)
