"""Texts as runs read them."""

import pytest

from jaxrnn.runs.text import read_corpus, read_text


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("one two three four", encoding="utf-8")
    return path


@pytest.mark.parametrize("level", ["character", "word", "token"])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 0.7])
def test_without_a_limit_every_symbol_is_known(path, level, fraction):
    """Also those that only the held-out part has, and halves of a word that is cut in two."""
    text = read_text(str(path), level, valid_fraction=fraction)
    assert text.vocabulary.unknown is None
    whole = path.read_text(encoding="utf-8")
    boundary = int(len(whole) * (1 - fraction))
    parts = whole[:boundary], whole[boundary:]
    if level != "character":
        parts = tuple(part.strip() for part in parts)
    assert tuple(map(text.vocabulary.decode, (text.train, text.valid))) == parts
    assert (level == "character") == (" " in text.vocabulary.symbols)


def test_with_a_limit_the_rest_is_unknown(path):
    text = read_text(str(path), "word", valid_fraction=0.3, limit=3)
    assert text.vocabulary.size == 3
    assert text.vocabulary.unknown == 0
    assert (text.valid == 0).all()  # "e four": words of the held-out part alone


def test_a_file_is_read_once_and_anew_when_it_was_edited(path):
    first = read_text(str(path), "character", valid_fraction=0.1)
    assert read_text(str(path), "character", valid_fraction=0.1) is first
    path.write_text("something else", encoding="utf-8")
    second = read_text(str(path), "character", valid_fraction=0.0)
    assert second.vocabulary.decode(second.train) == "something else"
    assert second.sha256 != first.sha256
    assert read_corpus(str(path)).sha256 == second.sha256


def test_what_is_no_text_is_named_by_its_flag(tmp_path):
    with pytest.raises(ValueError, match=r"--corpus: name is .*missing\.txt"):
        read_text(str(tmp_path / "missing.txt"), "character", valid_fraction=0.1)
