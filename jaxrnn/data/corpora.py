"""Texts by name: the published corpora, Python's own sources, any text file."""

import os
import sysconfig
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from jaxrnn.data.published import CORPORA, read_bytes, read_published, whole
from jaxrnn.data.words import WordRule


class Corpus(NamedTuple):
    """A text and where it came from.

    Attributes:
      name: what it was asked for by.
      train: the text, or its training part where the source brings its own parts.
      valid: the source's own validation part, "" where it brings none.
      test: the source's own test part, "" where it brings none.
      sha256: name of each file to the checksum of the bytes that were read.
      words: the rule by which its words are found, see `jaxrnn.data.words`.
    """

    name: str
    train: str
    valid: str
    test: str
    sha256: dict[str, str]
    words: WordRule = "unicode"


def load_corpus(name: str) -> Corpus:
    """Reads a text.

    A registered corpus is read from the folder that the environment variable JAXRNN_DATA names; a
    file that is not there is downloaded, once, into pooch's cache or the folder that JAXRNN_CACHE
    names. Either way its checksum is verified. A user's own file is kept character for character,
    line endings included; only a byte order mark at its start is dropped.

    Args:
      name: one of `CORPORA`; or "stdlib", the sources of the running Python's standard library (no
        network; about 11 MB, not the same in every Python); or the path of a UTF-8 text file. What
        has a separator or a suffix, or exists, is a path. The registry comes first: for a file
        called like a corpus write "./ptb".

    Raises:
      ValueError: an unknown name; a file that is empty, binary or not UTF-8; a wrong checksum.
      OSError: a file that cannot be read (FileNotFoundError, IsADirectoryError, ...) or downloaded.
    """
    assemble, words = whole, "unicode"
    if name in CORPORA:
        files = {file.path: read_published(file) for file in CORPORA[name].files}
        _, assemble, words = CORPORA[name]
    elif name == "stdlib":
        files = {name: _standard_library()}
    elif names_file(name):
        path = Path(name).expanduser()
        files = {path.name: read_bytes(path, "name")}
    else:
        known = ", ".join([*CORPORA, "stdlib"])
        raise ValueError(f"name is {name!r}; give one of {known}, or the path to a text file")
    parts = assemble(*(_decode(data, name) for data in files.values()))
    checksums = {file: sha256(data).hexdigest() for file, data in files.items()}
    return Corpus(name, *parts, checksums, words)


def names_file(name: str) -> bool:
    """Whether `load_corpus` takes the name for a path."""
    return name not in CORPORA and name != "stdlib" and _is_path(name)


def split(corpus: Corpus, valid_fraction: float) -> tuple[str, str]:
    """The parts to train on and to validate on, (train, valid).

    They are the corpus's own where it brings a valid part, and `valid_fraction` is then ignored.
    Otherwise the last `valid_fraction` of the characters is valid: none of them at 0.

    Raises:
      ValueError: a fraction outside [0, 1).
    """
    if not 0 <= valid_fraction < 1:
        raise ValueError(
            f"valid_fraction is {valid_fraction!r}; give a part from 0 up to but not 1"
        )
    if corpus.valid:
        return corpus.train, corpus.valid
    boundary = int(len(corpus.train) * (1 - valid_fraction))
    return corpus.train[:boundary], corpus.train[boundary:]


def _is_path(name: str) -> bool:
    return Path(name).name != name or bool(Path(name).suffix) or os.path.exists(name)


def _standard_library() -> bytes:
    """Every source file that is UTF-8, in the order of their paths."""
    left_out = {"site-packages", "dist-packages", "test", "idlelib", "lib2to3", "__pycache__"}
    paths = []
    for folder, subfolders, names in os.walk(sysconfig.get_path("stdlib")):
        subfolders[:] = set(subfolders) - left_out  # not entered: site-packages may be large
        paths += [Path(folder, name) for name in names if name.endswith(".py")]
    sources = (read_bytes(path, "a file of stdlib") for path in sorted(paths))
    return b"".join(data for data in sources if _is_utf8(data))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decode(data: bytes, name: str) -> str:
    """The text of a file's bytes, without a byte order mark."""
    if (position := data.find(b"\0")) >= 0:
        raise ValueError(f"name is {name!r}, binary (NUL at byte {position}); give a UTF-8 text")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"name is {name!r}, not UTF-8 at byte {error.start}; save the file as UTF-8"
        ) from error
    if not text.strip():
        raise ValueError(f"name is {name!r}, an empty file; give one with text in it")
    return text
