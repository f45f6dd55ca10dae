"""The file primitives of a run: atomic text, valid JSON, checksums, a full disk named as such."""

import errno
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class DiskFull(OSError):
    """No space (or no quota) is left; `str()` is one line that names the file."""

    def __init__(self, path: Path):
        remedy = "nothing already written is lost; free some space and try again"
        super().__init__(errno.ENOSPC, f"the disk is full: could not write {path}; {remedy}")

    def __str__(self) -> str:
        return str(self.strerror)


class NotAFile(OSError):
    """What is there cannot be replaced by a file; `str()` is one line that names it."""

    def __init__(self, path: Path, kind: str):
        remedy = "give the name of a file, or of nothing yet"
        super().__init__(errno.EINVAL, f"{path} is {kind}, not a file; {remedy}")

    def __str__(self) -> str:
        return str(self.strerror)


def target_of(path: Path) -> Path:
    """Where to write what is to be at `path`: itself, or the file that a link leads to.

    Raises: NotAFile, if there is a device, a pipe, a folder or anything else that is no file, or a
    link that leads to none: to replace it would destroy it.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if os.path.islink(path):
            raise NotAFile(path, "a link that leads nowhere") from error
        return path  # what is wrong with its folder the write will tell
    for is_kind, kind in (
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISDIR, "a folder"),
    ):
        if is_kind(mode):
            raise NotAFile(path, kind)
    return Path(os.path.realpath(path))


def is_disk_full(error: BaseException) -> bool:
    """Whether `error` says that the disk or the user's quota is full."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # What Orbax passes on from TensorStore is a ValueError with the cause in its text.
    return "No space left on device" in str(error) or "quota exceeded" in str(error)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Names `path` in the error when the disk fills up while it is written. Raises: DiskFull."""
    try:
        yield
    except Exception as error:
        if is_disk_full(error) and not isinstance(error, DiskFull):
            raise DiskFull(path) from error
        raise


def reserve(path: Path, size: int) -> None:
    """Raises OSError (ENOSPC, EDQUOT) now if `size` bytes would not fit at `path`, an unused name.

    It claims the space and gives it back: only that notices a quota. Where the file system cannot
    claim, nothing is checked, and the write itself will tell.
    """
    try:
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
    except AttributeError:  # macOS, Windows
        pass
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    finally:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Waits until the file, or the entries of the folder, at `path` are on the disk."""
    if os.name == "nt":  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # some network and user-space file systems refuse it for a folder
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes `content`, text as UTF-8; killed meanwhile it leaves the old file or the new one.

    Raises: DiskFull; NotAFile; other OSErrors as they come.
    """
    path = target_of(Path(path))
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Removes what processes that were killed while they wrote left below `folder`, of which no
    other process writes; checkpoints are tidied by who writes them."""
    for path in Path(folder).rglob(".*"):
        if re.fullmatch(r"\..+\.\d+", path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def to_json(value: Any, *, indent: int | None = 2) -> str:
    """`value` as valid JSON, in insertion order.

    Arrays and scalars of numpy and JAX become lists and numbers, NaN and infinities null, a
    NamedTuple an object, a Path its text. Raises: ValueError on any other type.
    """
    plain = _plain(value)
    text = json.dumps(plain, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, e.g. from a file name that is not UTF-8
        text = json.dumps(plain, indent=indent, allow_nan=False)
    return text


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy and JAX, without importing them
        return _plain(value.tolist())
    raise ValueError(
        f"a {type(value).__name__} cannot be written as JSON; convert it: {value!r:.80}"
    )


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises: OSError, which says what is wrong with it and what to do."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        cause = str(error.strerror).lower()
        raise type(error)(f"{path} cannot be read: {cause}; make it a file you may read") from None


def write_json(path: Path, value: Any) -> None:
    """Writes `to_json(value)` and a newline, atomically. Raises: ValueError, DiskFull, OSError."""
    write_atomic(path, to_json(value) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises: OSError; ValueError if it is malformed."""
    try:
        return json.loads(read_bytes(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist; is the directory that of a run?") from None
    except (ValueError, RecursionError) as error:
        cause = str(error).split("\n")[0]
        raise ValueError(f"{path} is not valid JSON ({cause}); restore it from a copy") from None


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
