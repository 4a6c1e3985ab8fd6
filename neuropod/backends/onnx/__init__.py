"""ONNX, run by onnxruntime: data, not code. It reads numpy's own memory and hands out its own, both without a copy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.foreign import said
from perceptum.install import install_command
from perceptum.plural import a_or_an

from ...errors import NeuropodError
from ...frameworks.handoff import Empty, why_copied
from ...frameworks.strings import is_string, of_tensor, to_list, to_unicode
from ...frameworks.versions import framework_version
from ...package.package import DATA, OPS, Package
from .binding import Binding
from .files import external_files

__all__ = ["FRAMEWORK", "MODEL", "RUNS_CODE", "copy_reason", "import_onnxruntime", "load", "open_session", "version"]

FRAMEWORK = "onnxruntime"
RUNS_CODE = False
WRITES_IN_PLACE = True

MODEL = f"{DATA}/model.onnx"

_FATAL = 4  # onnxruntime raises its errors; it need not write them to the terminal too


def version() -> str:
    return framework_version("onnxruntime", import_onnxruntime)


def copy_reason(array: NDArray[Any]) -> str | None:
    return why_copied(array)


def load(package: Package, visible_gpu: int | None) -> OnnxRunner:
    model = package.read(MODEL)
    weights = external_files(model)
    for name in weights:
        if not package.has(f"{DATA}/{name}"):
            raise NeuropodError(f"{MODEL} keeps weights in the file '{name}', which is not in the package's {DATA}")
    folder = package.files.folder(OPS) if package.config.custom_ops else Path()
    libraries = [folder / name for name in package.config.custom_ops]
    if not weights:
        return OnnxRunner(open_session(model, libraries, visible_gpu))
    # onnxruntime maps the weights of a file that it is given by path
    session = open_session(package.files.folder(DATA) / Path(MODEL).name, libraries, visible_gpu)
    return OnnxRunner(session)


class OnnxRunner:
    """A session of onnxruntime; several threads may run it at once."""

    def __init__(self, session: Any) -> None:
        self._session: Any = session
        self._binding = Binding(session)

    def run(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        feeds = {name: _feed(name, array) for name, array in inputs.items()}
        # onnxruntime computes all outputs and hands over these; its only_execute_path_to_fetches does nothing (1.32)
        values = self._session.run(wanted, feeds)
        return {name: _fetched(name, value) for name, value in zip(wanted, values, strict=False)}

    def run_into(
        self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str], empty: Empty
    ) -> dict[str, NDArray[Any]]:
        """`backends.RunnerInto`: onnxruntime writes large outputs where `empty` makes room, if their shape is known."""
        places = self._binding.places(inputs, wanted, empty)
        found = self._binding.run(inputs, wanted, places) if places else None
        failed = bool(places) and found is None
        if found is None:
            found = self.run(inputs, wanted)
        if len(places) < len(wanted) or failed:
            self._binding.learn(inputs, found, failed)
        return found

    def close(self) -> None:
        self._session = None
        self._binding.close()


def open_session(model: bytes | Path, libraries: Sequence[Path], visible_gpu: int | None) -> Any:
    """Returns a session on the model's bytes, or on its file; raises a NeuropodError that says why it cannot."""
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    # not its own format, which it would otherwise recognize: nothing here has checked what that holds
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.intra_op_num_threads = _threads()
    # its threads spin while a call lasts and sleep when it ends: a waiting model takes no core from its neighbours
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        for library in libraries:
            options.register_custom_ops_library(str(library))
        source = model if isinstance(model, bytes) else str(model)
        return ort.InferenceSession(source, options, providers=_providers(ort, visible_gpu))
    except _errors() as error:
        raise NeuropodError(f"{MODEL}: onnxruntime cannot load it: {said(error)}") from error


def _threads() -> int:
    """Returns how many threads compute: what a worker's limits say, or one for each core that this process may use;
    onnxruntime by itself counts those of the machine."""
    given = os.environ.get("PERCEPTUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def _providers(ort: Any, visible_gpu: int | None) -> list[Any]:
    cpu: list[Any] = ["CPUExecutionProvider"]
    if visible_gpu is None or visible_gpu < 0 or "CUDAExecutionProvider" not in ort.get_available_providers():
        return cpu
    return [("CUDAExecutionProvider", {"device_id": visible_gpu}), *cpu]


def _errors() -> tuple[type[Exception], ...]:
    """Returns what onnxruntime raises when it cannot load: a separate class for each of its states."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
    return (RuntimeError, ValueError, *(getattr(state, name) for name in names))


def _feed(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Returns the array itself; but onnxruntime misreads bytes, and cannot read numpy's newer text."""
    if array.dtype.kind not in "STU" or (array.dtype.kind == "U" and not _has_zero_within(array)):
        return array
    out = np.empty(array.size, object)
    with of_tensor(f"input '{name}'"):
        out[:] = to_list(array)
    return out.reshape(array.shape)


def _has_zero_within(text: NDArray[Any]) -> bool:
    """Returns whether a zero comes before other characters: onnxruntime takes it for the end of a text."""
    width = text.dtype.itemsize // 4
    if width < 2 or not text.size:
        return False
    characters = text.reshape(-1).view(np.uint32).reshape(text.size, width)
    return bool(((characters[:, :-1] == 0) & (characters[:, 1:] != 0)).any())


def _fetched(name: str, value: Any) -> NDArray[Any]:
    if not isinstance(value, np.ndarray):
        raise NeuropodError(f"output '{name}' is {a_or_an(type(value).__name__)}; a model returns tensors")
    if value.dtype != object and not is_string(value):
        return value
    with of_tensor(f"output '{name}'"):
        return to_unicode(value)


def import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise NeuropodError(f"running ONNX needs onnxruntime: {install_command('onnx')}") from error
    return onnxruntime
