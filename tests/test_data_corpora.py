"""Corpora: the right bytes or one line that says what is wrong."""

import codecs
import logging
import threading
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from data_support import corpus_or_skip
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.data import CORPORA, Corpus, load_corpus, split

PTB = {
    "ptb/ptb.train.txt": b" the <unk> rose N\n no it was n't\n",
    "ptb/ptb.valid.txt": b" it rose\n",
    "ptb/ptb.test.txt": b" no <unk>\n",
}
# Port 9 of this machine ("discard") is not listened to: a refusal, at once and without a network.
UNREACHABLE = "http://127.0.0.1:9"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


def write(folder, contents):
    for path, data in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """JAXRNN_DATA, empty, with an empty cache beside it and no proxy between us and ourselves."""
    logging.getLogger("pooch").setLevel(logging.WARNING)
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("JAXRNN_DATA", str(folder))
    monkeypatch.setenv("JAXRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return folder


@pytest.fixture
def ptb(monkeypatch):
    """Registers small files as the treebank's; they are at the URL given, at first at none."""

    def register(url):
        files = tuple(
            file._replace(url=f"{url}/{file.path}", sha256=sha256(PTB[file.path]).hexdigest())
            for file in CORPORA["ptb"].files
        )
        monkeypatch.setitem(CORPORA, "ptb", CORPORA["ptb"]._replace(files=files))

    register(UNREACHABLE)
    return register


@pytest.fixture
def server(tmp_path):
    """Serves the folder it gives, at the URL it gives, until it is shut down."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def raises(kind, match, name):
    """`load_corpus(name)` fails in one line, without the system's number for it."""
    with pytest.raises(kind, match=match) as raised:
        load_corpus(name)
    assert "\n" not in str(raised.value)
    assert "[Errno" not in str(raised.value)


def test_tiny_shakespeare():
    corpus = corpus_or_skip("tiny-shakespeare")
    assert (len(corpus.train), len(set(corpus.train))) == (1_115_394, 65)
    assert len(corpus.train.split()) == 202_651
    # nanoGPT's 90/10 split of the same text, data/shakespeare_char/prepare.py.
    assert [len(part) for part in split(corpus, 0.1)] == [1_003_854, 111_540]


def test_nvidia():
    corpus = corpus_or_skip("nvidia")
    assert (len(corpus.train), len(set(corpus.train))) == (1_069, 32)
    assert corpus.train.count("_") / 1_069 == pytest.approx(0.148, abs=1e-3)


def test_nvidia_is_cut_out_of_the_notebook():
    notebook = rb'"import re\n", "text = \"GPU, by Nvidia. \"" ], "text = text.lower()\n",'
    (file,) = CORPORA["nvidia"].files
    assert file.extract(notebook) == b"gpu_by_nvidia._"
    assert file.extract(b"{}") == b""


def test_sherlock_is_the_books_alone():
    text = corpus_or_skip("sherlock").train
    assert "Gutenberg" not in text
    assert "\r" not in text
    assert "\ufeff" not in text
    titles = [
        "ADVENTURES OF SHERLOCK HOLMES",
        "THE HOUND OF THE BASKERVILLES",
        "The Sign of the Four",
    ]
    places = [text.index(title) for title in titles]
    assert places == sorted(places)


def test_own_parts_come_from_the_data_folder(data, ptb):
    write(data, PTB)
    corpus = load_corpus("ptb")
    train, valid, test = (content.decode() for content in PTB.values())
    digests = {path: sha256(content).hexdigest() for path, content in PTB.items()}
    assert corpus == Corpus("ptb", train, valid, test, digests)
    assert split(corpus, 0.5) == (train, valid)


def test_what_the_data_folder_lacks_is_downloaded_once(data, ptb, server):
    folder, url = server
    here, *elsewhere = PTB
    write(data, {here: PTB[here]})
    write(folder, {path: PTB[path] for path in elsewhere})
    ptb(url)
    corpus = load_corpus("ptb")
    ptb(UNREACHABLE)
    assert load_corpus("ptb") == corpus
    assert [corpus.train, corpus.valid, corpus.test] == [text.decode() for text in PTB.values()]


def test_a_spoilt_cache_is_downloaded_again(data, ptb, server, tmp_path):
    folder, url = server
    write(folder, PTB)
    ptb(url)
    corpus = load_corpus("ptb")
    write(tmp_path / "cache", {"ptb/ptb.test.txt": b"spoilt"})
    assert load_corpus("ptb") == corpus


def test_a_download_that_is_cut_out_is_checked_after_that(data, server, monkeypatch):
    folder, url = server
    write(folder, {"notebook": rb'"text = \"Nvidia, a\""'})
    (file,) = CORPORA["nvidia"].files
    digest = sha256(b"nvidia_a").hexdigest()
    file = file._replace(url=f"{url}/notebook", sha256=digest)
    monkeypatch.setitem(CORPORA, "nvidia", CORPORA["nvidia"]._replace(files=(file,)))
    assert load_corpus("nvidia") == Corpus("nvidia", "nvidia_a", "", "", {file.path: digest})


def test_a_wrong_checksum_stops(data, ptb, server):
    folder, url = server
    write(folder, PTB | {"ptb/ptb.valid.txt": b"changed"})
    ptb(url)
    found = sha256(b"changed").hexdigest()
    expected = sha256(PTB["ptb/ptb.valid.txt"]).hexdigest()
    raises(ValueError, f"{url}/ptb/ptb.valid.txt has sha256 {found}, expected {expected}", "ptb")
    # A wrong file that the user gave is not quietly replaced by a right one from elsewhere.
    write(data, {"ptb/ptb.train.txt": b"changed"})
    raises(ValueError, f"{data}/ptb/ptb.train.txt has sha256 {found}", "ptb")


def test_no_network(data, ptb):
    raises(OSError, f"{UNREACHABLE}/ptb/ptb.train.txt cannot be .*set JAXRNN_DATA", "ptb")


def test_a_file_that_the_server_lacks(data, ptb, server):
    ptb(server[1])
    raises(OSError, "HTTPError", "ptb")


def test_a_data_folder_that_is_none(data, ptb, monkeypatch):
    monkeypatch.setenv("JAXRNN_DATA", str(data / "nothing"))
    raises(NotADirectoryError, "JAXRNN_DATA is .*nothing", "ptb")


def test_stdlib_is_python():
    corpus = load_corpus("stdlib")
    assert corpus.sha256 == {"stdlib": sha256(corpus.train.encode()).hexdigest()}
    assert "class ThreadingHTTPServer" in corpus.train
    assert Path(pytest.__file__).read_text() not in corpus.train
    assert corpus.valid == corpus.test == ""


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), bom=...)
def test_a_file_is_kept_character_for_character(text: str, bom: bool, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "text.txt"
    path.write_bytes(codecs.BOM_UTF8 * bom + text.encode())
    expected = text if bom else text.removeprefix("\ufeff")
    if not expected.strip():
        raises(ValueError, "empty", str(path))
        return
    corpus = load_corpus(str(path))
    assert corpus == Corpus(
        str(path), expected, "", "", {"text.txt": sha256(path.read_bytes()).hexdigest()}
    )


def test_which_names_are_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"README": b"readme", "ptb": b"mine", "text.md": b"markdown"})
    assert load_corpus("README").train == "readme"
    assert load_corpus("./ptb").train == "mine"
    assert load_corpus("text.md").train == "markdown"
    raises(ValueError, "name is 'shakespeare'; give one of tiny-shakespeare.*stdlib", "shakespeare")
    raises(ValueError, "or the path to a text file", "")
    raises(FileNotFoundError, "name is 'other.txt'", "other.txt")
    raises(FileNotFoundError, "name is ", "no\n/such")
    raises(IsADirectoryError, "name is", str(tmp_path))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n", "empty"),
        (b"GIF\0", "NUL at byte 3"),
        (b"caf\xe9", "not UTF-8 at byte 3"),
        (b"\xef\xbb\xbfcaf\xe9", "not UTF-8 at byte 6"),
    ],
)
def test_files_that_are_no_text(tmp_path, content, problem):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    raises(ValueError, f"name is .*text.txt.*{problem}", str(path))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    raises(PermissionError, r"text.txt' \(Permission denied\)", str(tmp_path / "text.txt"))


@given(st.text(min_size=1), st.floats(0, 1, exclude_max=True))
def test_split_cuts_once(text, fraction):
    train, valid = split(Corpus("mine", text, "", "", {}), fraction)
    assert train + valid == text
    assert len(valid) == pytest.approx(len(text) * fraction, abs=1)
    assert split(Corpus("mine", text, "", "", {}), 0.0) == (text, "")


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_split_refuses_other_fractions(fraction):
    with pytest.raises(ValueError, match="valid_fraction is"):
        split(Corpus("mine", "text", "valid", "", {}), fraction)
