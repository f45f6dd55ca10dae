"""TensorBoard's files, read back as TensorBoard reads them where it is installed."""

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.runs.tensorboard.board import Board, plain
from jaxrnn.runs.tensorboard.events import EventFile, check_events
from jaxrnn.runs.tensorboard.projector import visible, write_projector
from jaxrnn.runs.tensorboard.protos import Event, HParamsPluginData, Summary


def events_of(folder: Path) -> list[Any]:
    """Every event of a folder, in TensorBoard's order, by the format of its records: a length, its
    checksum, the message, its checksum."""
    found = []
    for path in sorted(folder.glob("*tfevents*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def scalars_of(folder: Path) -> list[tuple[str, int, float]]:
    return [
        (value.tag, event.step, value.simple_value)
        for event in events_of(folder)
        for value in event.summary.value
        if value.HasField("simple_value")
    ]


def hparams_messages(folder: Path) -> list[Any]:
    return [
        HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for event in events_of(folder)
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "hparams"
    ]


def hparams_of(folder: Path) -> dict[str, Any]:
    """The row of a member."""
    fields = hparams_messages(folder)[0].session_start_info.hparams
    return {name: getattr(v, v.WhichOneof("kind")) for name, v in fields.items()}


def accumulated(folder: Path) -> Any:
    """What TensorBoard itself keeps of a folder."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    everything = {name: 0 for name in ("scalars", "histograms", "images", "tensors")}
    return accumulator.EventAccumulator(str(folder), size_guidance=everything).Reload()


def test_what_was_flushed_is_on_the_disk(tmp_path):
    board = Board(tmp_path, 0)
    for step in range(5_000):
        board.scalars(step, {"a": step})
    board.flush()
    assert [step for _, step, _ in scalars_of(tmp_path)] == list(range(5_000))
    board.close()


def test_writers_of_one_folder_and_second_keep_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxrnn.runs.tensorboard.events.time.time", lambda: 1e9)
    boards = [Board(tmp_path, 0) for _ in range(4)]
    for step in range(100):
        for board in boards:
            board.scalars(step, {"a": 1.0})
    for board in boards:
        board.close()
    assert len(scalars_of(tmp_path)) == 400
    again = Board(tmp_path, 0)  # after close
    again.scalars(100, {"a": 1.0})
    again.close()
    assert len(scalars_of(tmp_path)) == 401


@pytest.mark.parametrize("checkpoint", [0, 6])
def test_what_a_checkpoint_has_not_seen_is_taken_back(tmp_path, checkpoint):
    """Steps 1 to 9 were logged, then the run went on from the checkpoint to step 12."""
    for first, last in ((0, 9), (checkpoint + 1 if checkpoint else 0, 12)):
        board = Board(tmp_path, first)
        for step in range(max(first, 1), last + 1):
            board.scalars(step, {"a": 100 * last + step})
        board.close()
    assert len(scalars_of(tmp_path)) == 9 + 12 - checkpoint
    kept = accumulated(tmp_path).Scalars("a")
    assert [event.step for event in kept] == list(range(1, 13))
    assert [event.value for event in kept] == [
        *(900.0 + step for step in range(1, checkpoint + 1)),
        *(1200.0 + step for step in range(checkpoint + 1, 13)),
    ]


def test_a_killed_process_leaves_what_can_be_read(tmp_path):
    file = EventFile(tmp_path, 0)
    file.append(1, summary=Summary(value=[Summary.Value(tag="a", simple_value=1.0)]))
    file.close()
    (path,) = tmp_path.glob("*tfevents*")
    path.write_bytes(path.read_bytes()[:-3] + b"")
    board = Board(tmp_path, 1)
    board.scalars(1, {"a": 2.0})
    board.close()
    assert [event.value for event in accumulated(tmp_path).Scalars("a")] == [2.0]


def test_a_file_is_checked_for_altered_bits(tmp_path, capsys):
    """One cut off, as a kill leaves it, is not altered: TensorBoard reads on where it ends."""
    board = Board(tmp_path / "seed_0", 0)
    for step in range(3):
        board.scalars(step, {"loss": 0.5})
    board.close()
    (path,) = tmp_path.rglob("events.out.tfevents.*")
    whole = path.read_bytes()
    cut = range(len(whole) - 30, len(whole) + 1)
    for end in cut:
        path.write_bytes(whole[:end])
        check_events(tmp_path)
    assert capsys.readouterr().err == ""
    for bit in range(0, 8 * len(whole), 13):
        altered = bytearray(whole)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        check_events(tmp_path)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"warning: {path}: what stands behind ")
        assert "is not as it was written" in line


def test_hparams_keep_their_types(tmp_path):
    given_values = {
        "f": np.float32(0.5),
        "i": np.int64(3),
        "t": (1, 5, 10),
        "n": None,
        "b": True,
        "s": "lstm",
        "x": float("inf"),
    }
    board = Board(tmp_path, 0)
    board.hparams(given_values)
    board.scalars(7, {"loss/validation": 1.5})
    board.ended("success")
    board.close()
    assert hparams_of(tmp_path) == {
        "f": 0.5,
        "i": 3.0,
        "t": "1 5 10",
        "n": "None",
        "b": True,
        "s": "lstm",
        "x": "inf",
    }
    assert hparams_messages(tmp_path)[1].session_end_info.status == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert plain(jnp.float32(2.0)) == 2.0


ODD = ["\n", "\t", " ", "", "<b>bold</b>", "\N{GRINNING FACE}", "\r", "\u2028", "\\n", "\ud800"]


def test_odd_words_take_a_line_and_a_column_each(tmp_path):
    write_projector(tmp_path, ODD, {"embed": np.arange(3.0 * len(ODD)).reshape(-1, 3)})
    lines = (tmp_path / "words.tsv").read_bytes().decode().split("\n")
    assert lines[0] == "word\trank"
    rows = [line.split("\t") for line in lines[1:-1]]
    assert [len(row) for row in rows] == [2] * len(ODD)
    assert len({row[0] for row in rows}) == len(ODD)
    assert all(row[0].strip() and len(row[0].splitlines()) == 1 for row in rows)
    assert rows[4][0] == "<b>bold</b>"
    assert rows[5][0] == "\N{GRINNING FACE}"
    vectors = (tmp_path / "embed.tsv").read_text().splitlines()
    assert len(vectors) == len(ODD)


@given(st.text())
def test_a_word_is_always_visible(word):
    shown = visible(word)
    assert shown.strip()
    assert "\t" not in shown
    assert shown.splitlines() == [shown]
    shown.encode()


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_words_are_no_embedding(tmp_path, count):
    write_projector(tmp_path, ["word"] * count, {"embed": np.ones((count, 2))})
    assert not list(tmp_path.iterdir())


def test_the_projector_takes_the_first_words_of_both_embeddings(tmp_path):
    words = [f"w{i}" for i in range(30)]
    vectors = {name: np.random.default_rng(0).normal(size=(30, 4)) for name in ("embed", "head")}
    write_projector(tmp_path, words, vectors, most=20)
    assert len((tmp_path / "words.tsv").read_text().splitlines()) == 21
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert config.count("tensor_path") == 2
    for name in vectors:
        read = np.loadtxt(tmp_path / f"{name}.tsv", delimiter="\t")
        np.testing.assert_allclose(read, vectors[name][:20], rtol=1e-5)
    with pytest.raises(ValueError, match="30 rows, there are 29 words"):
        write_projector(tmp_path, words[:-1], vectors)


def test_a_text_is_shown_as_it_is(tmp_path):
    board = Board(tmp_path, 0)
    board.text(1, "samples/text", "# no heading\n<b>not bold</b>\n")
    board.close()
    (value,) = [v for event in events_of(tmp_path) for v in event.summary.value]
    lines = value.tensor.string_val[0].decode().split("\n")
    assert all(line.startswith("    ") for line in lines)  # code, to Markdown
    assert [line[4:] for line in lines] == ["# no heading", "<b>not bold</b>", ""]


def test_what_is_no_picture_is_refused(tmp_path):
    board = Board(tmp_path, 0)
    with pytest.raises(ValueError, match="give the bytes of a PNG file"):
        board.image(1, "plots/a", b"GIF89a")
    board.close()


@pytest.mark.full
def test_neither_torch_nor_tensorflow_is_needed():
    """tensorboardX takes torch where it is installed; here it is as if it were not."""
    without = "sys.modules |= dict.fromkeys(['torch', 'tensorflow', 'tensorboard'])"
    code = f"import sys; {without}; import jaxrnn.runs.tensorboard.boards; print('fine')"
    folder = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout == "fine\n"
