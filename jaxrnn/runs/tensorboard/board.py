"""What TensorBoard shows of one member: scalars, histograms, texts, images, a graph, its config."""

import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxrnn.base import PyTree
from jaxrnn.runs.tensorboard.buckets import to_message
from jaxrnn.runs.tensorboard.events import EventFile
from jaxrnn.runs.tensorboard.protos import (
    DT_STRING,
    HParamsPluginData,
    Summary,
    SummaryMetadata,
    TensorProto,
    TensorShapeProto,
)

_PNG = b"\x89PNG\r\n\x1a\n"
_STATUS = {"success": 1, "failure": 2}


class Board:
    """The event file of `folder`; see `EventFile` for `first_step` and for what is raised."""

    def __init__(self, folder: Path, first_step: int):
        self.folder = folder
        self._events = EventFile(folder, first_step)

    def scalars(self, step: int, numbers: Mapping[str, Any]) -> None:
        """Numbers by tag; what is no number is shown as such."""
        values = [Summary.Value(tag=tag, simple_value=float(n)) for tag, n in numbers.items()]
        self._append(step, values)

    def histograms(self, step: int, found: Mapping[str, PyTree]) -> None:
        """Histograms of `buckets`, on the host, by tag; those of no finite value are left out."""
        messages = {tag: to_message(h) for tag, h in found.items()}
        filled = {tag: message for tag, message in messages.items() if message is not None}
        self._append(step, [Summary.Value(tag=tag, histo=m) for tag, m in filled.items()])

    def text(self, step: int, tag: str, text: str) -> None:
        """A text as it is: TensorBoard would take it for Markdown, so it is shown as code."""
        code = "\n".join("    " + line for line in text.split("\n"))
        content = TensorProto(
            dtype=DT_STRING,
            string_val=[code.encode("utf-8", "backslashreplace")],
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
        )
        self._append(
            step, [Summary.Value(tag=tag, metadata=_metadata("text", b""), tensor=content)]
        )

    def image(self, step: int, tag: str, png: bytes) -> None:
        """A PNG file.

        Raises:
          ValueError: it is none.
        """
        if not png.startswith(_PNG) or len(png) < 24:
            raise ValueError(f"{tag} begins with {png[:8]!r}; give the bytes of a PNG file")
        width, height = struct.unpack(">II", png[16:24])
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
        self._append(step, [Summary.Value(tag=tag, image=image)])

    def graph(self, graph: Any) -> None:
        """A GraphDef."""
        self._events.append(0, graph_def=graph.SerializeToString())

    def hparams(self, values: Mapping[str, Any]) -> None:
        """The config, a row of the HPARAMS tab, whose metrics are this board's last scalars.

        No list of all hyper-parameters and metrics is written: TensorBoard would take that of one
        run for every run below `runs/`, where experiments differ.
        """
        data = HParamsPluginData(version=0)
        data.session_start_info.start_time_secs = time.time()
        for name, value in values.items():
            typed = plain(value)
            target = data.session_start_info.hparams[name]
            if isinstance(typed, bool):
                target.bool_value = typed
            elif isinstance(typed, float):
                target.number_value = typed
            else:
                target.string_value = typed
        self._hparams("_hparams_/session_start_info", data)

    def ended(self, status: str) -> None:
        """Marks the row of `hparams` with "success" or "failure"."""
        data = HParamsPluginData(version=0)
        data.session_end_info.status = _STATUS[status]
        data.session_end_info.end_time_secs = time.time()
        self._hparams("_hparams_/session_end_info", data)

    def flush(self) -> None:
        self._events.flush()

    def close(self) -> None:
        self._events.close()

    def _hparams(self, tag: str, data: Any) -> None:
        metadata = _metadata("hparams", data.SerializeToString())
        self._append(0, [Summary.Value(tag=tag, metadata=metadata)])

    def _append(self, step: int, values: list[Any]) -> None:
        if values:
            self._events.append(step, summary=Summary(value=values))


def plain(value: Any) -> bool | float | str:
    """What the HPARAMS tab can hold of a value: truth, number or text. None and sequences are
    texts, as they are written on a command line."""
    if isinstance(value, np.generic | np.ndarray) or hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value) if np.isfinite(value) else str(value)
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    return str(value)


def _metadata(plugin: str, content: bytes) -> Any:
    data = SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    return SummaryMetadata(plugin_data=data)
