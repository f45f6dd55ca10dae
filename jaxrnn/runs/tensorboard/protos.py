"""The messages that event files are made of: those that come with tensorboardX, so that neither
TensorFlow nor torch is needed. Their classes are made when they are imported, unseen by type
checkers."""

from importlib import import_module
from typing import Any


def _of(module: str) -> Any:
    return import_module(f"tensorboardX.proto.{module}_pb2")


Event: Any = _of("event").Event
SessionLog: Any = _of("event").SessionLog
Summary: Any = _of("summary").Summary
SummaryMetadata: Any = _of("summary").SummaryMetadata
HistogramProto: Any = _of("summary").HistogramProto
TensorProto: Any = _of("tensor").TensorProto
TensorShapeProto: Any = _of("tensor_shape").TensorShapeProto
GraphDef: Any = _of("graph").GraphDef
HParamsPluginData: Any = _of("plugin_hparams").HParamsPluginData
DT_STRING: int = _of("types").DT_STRING
