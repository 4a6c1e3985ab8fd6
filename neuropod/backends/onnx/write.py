"""Writing an ONNX package: the model, and the files beside it that hold its weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...errors import NeuropodError
from ...package.archive import copy_file
from ...package.config import Config
from ...package.package import OPS
from ..signature import check_names, check_sizes, check_types
from . import MODEL, open_session
from .binding import DTYPES
from .files import external_files

__all__ = ["write"]

# what onnxruntime calls the dtypes of a spec
_DTYPES = {"tensor(string)": "string", **{kind: dtype.name for kind, dtype in DTYPES.items()}}


def write(folder: Path, config: Config, model: Any, model_path: str | os.PathLike[str] | None) -> None:
    """Writes a ModelProto, its bytes or its file, and checks it against the spec."""
    target = folder / MODEL
    target.parent.mkdir(parents=True)
    if model_path is None:
        target.write_bytes(_bytes(model))
    else:
        copy_file(model_path, target)
    for name in external_files(target.read_bytes()):
        _copy_weights(name, model_path, target.parent)
    session = open_session(target, [folder / OPS / op for op in config.custom_ops], None)
    inputs, outputs = ({v.name: v.type for v in side} for side in (session.get_inputs(), session.get_outputs()))
    defaults = {v.name: v.type for v in session.get_overridable_initializers()}
    named = {row.name for row in config.inputs}
    check_names("ONNX model", config, {**inputs, **{n: t for n, t in defaults.items() if n in named}}, outputs)
    for rows, types in ((config.inputs, {**defaults, **inputs}), (config.outputs, outputs)):
        check_types("ONNX model", rows, {name: _DTYPES.get(kind, kind) for name, kind in types.items()})
    taken = (*session.get_overridable_initializers(), *session.get_inputs())
    check_sizes("ONNX model", config.inputs, {v.name: v.shape for v in taken}, "export it with dynamic axes")


def _bytes(model: Any) -> bytes:
    if isinstance(model, bytes):
        return model
    if not hasattr(model, "SerializeToString"):
        raise NeuropodError(f"model must be an onnx.ModelProto or its bytes, got {type(model).__name__}")
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _copy_weights(name: str, model_path: str | os.PathLike[str] | None, folder: Path) -> None:
    if model_path is None:
        raise NeuropodError(f"the model keeps weights in the file '{name}'; give model_path, which it is beside")
    source = Path(model_path).parent / name
    if not source.is_file():
        raise NeuropodError(f"the model keeps weights in '{source}', which is not a file; put it back beside the model")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    copy_file(source, folder / name)
