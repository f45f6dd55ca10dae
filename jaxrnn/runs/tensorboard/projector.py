"""Files of the embedding projector: vectors with words beside them."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxrnn.runs.files import write_atomic

MOST = 2048
"""How many vectors are shown: more are slow in a browser."""


def write_projector(
    folder: Path,
    words: Sequence[str],
    vectors: Mapping[str, Float[np.ndarray, "V ..."]],
    most: int = MOST,
) -> None:
    """Puts embeddings of the first `most` words into the folder of a member's events.

    Args:
      words: row to word.
      vectors: name of an embedding to its rows, one a word. One of fewer than two words is left
        out: there is nothing to compare it with.

    Raises:
      ValueError: an embedding has more or fewer rows than there are words.
    """
    count = min(len(words), most)
    config = []
    for name, rows in vectors.items():
        if len(rows) != len(words):
            raise ValueError(
                f"embedding {name!r} has {len(rows)} rows, there are {len(words)} words; "
                "give a row for each"
            )
        if count < 2:
            continue
        flat = np.asarray(rows[:count], np.float32).reshape(count, -1)
        text = "\n".join("\t".join(format(x, ".6g") for x in row) for row in flat.tolist())
        write_atomic(folder / f"{name}.tsv", text + "\n")
        config.append(
            f'embeddings {{\n  tensor_name: "{name}"\n  tensor_path: "{name}.tsv"\n'
            f"  tensor_shape: {count}\n  tensor_shape: {flat.shape[1]}\n"
            '  metadata_path: "words.tsv"\n}\n'
        )
    if config:
        # Two columns: the projector takes a first line for a header only where it has a tab, and
        # leaves out a line that is blank.
        rows = [f"{visible(word)}\t{rank}" for rank, word in enumerate(words[:count])]
        write_atomic(folder / "words.tsv", "\n".join(["word\trank", *rows]) + "\n")
        write_atomic(folder / "projector_config.pbtxt", "".join(config))


def visible(word: str) -> str:
    """A word on one line, in one column, and not blank: line ends, tabs and other control
    characters, the backslash and half characters are escaped, a space alone is drawn."""
    if not word:
        return "(empty)"
    if word.isspace() and word.isprintable():
        return "␣" * len(word)
    return "".join(_escaped(c) if _must_be_escaped(c) else c for c in word)


def _must_be_escaped(character: str) -> bool:
    odd = ("Cc", "Cs", "Zl", "Zp", "Zs")
    return character == "\\" or (character != " " and unicodedata.category(character) in odd)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
