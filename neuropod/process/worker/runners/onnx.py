"""ONNX, by whatever version of onnxruntime is installed."""

import os
from typing import Any, Dict, Optional, Sequence

import numpy as np

from . import ops
from .arrays import is_text, of_objects, own, to_list, to_unicode
from .errors import NeuropodError, said

__all__ = ["load"]

MODEL = os.path.join("0", "data", "model.onnx")
_FATAL = 4


def load(folder: str, config: Dict[str, Any], visible_gpu: Optional[int], threads: Optional[int]) -> "OnnxRunner":
    import onnxruntime as ort

    path = os.path.join(folder, MODEL)
    if not os.path.isfile(path):
        raise NeuropodError("the file {} is missing; an onnx package needs it".format(MODEL))
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    # onnxruntime counts the machine's cores, not those that this process may use
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    # old versions have no such entries
    if hasattr(options, "add_session_config_entry"):
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.add_session_config_entry("session.force_spinning_stop", "1")
    for library in ops.paths(folder, config):
        options.register_custom_ops_library(library)
    try:
        return OnnxRunner(_session(ort, path, options, visible_gpu))
    # a class of its own for each of onnxruntime's states
    except Exception as error:
        raise NeuropodError("{}: onnxruntime cannot load it: {}".format(MODEL, said(error))) from error


def _session(ort: Any, path: str, options: Any, visible_gpu: Optional[int]) -> Any:
    if not hasattr(ort, "get_available_providers"):  # before 1.3 a build had one provider
        return ort.InferenceSession(path, options)
    gpu = visible_gpu is not None and visible_gpu >= 0 and "CUDAExecutionProvider" in ort.get_available_providers()
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"] if gpu else ["CPUExecutionProvider"]
    settings = [{"device_id": str(visible_gpu)}, {}] if gpu else [{}]
    try:
        return ort.InferenceSession(path, options, providers=providers, provider_options=settings)
    except TypeError:  # before 1.6 providers were set afterwards
        session = ort.InferenceSession(path, options)
        session.set_providers(providers)
        return session


class OnnxRunner(object):
    """A session of onnxruntime."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, inputs: Dict[str, Any], wanted: Sequence[str]) -> Dict[str, Any]:
        feeds = {name: _fed(name, array) for name, array in inputs.items()}
        values = self._session.run(list(wanted), feeds)
        given = list(inputs.values())
        return {name: _fetched(name, value, given) for name, value in zip(wanted, values)}

    def close(self) -> None:
        self._session = None


def _fed(name: str, array: Any) -> Any:
    return of_objects(array, to_list(array, "input '{}'".format(name))) if is_text(array) else array


def _fetched(name: str, value: Any, given: Sequence[Any]) -> Any:
    if not isinstance(value, np.ndarray):
        raise NeuropodError("output '{}' is of type {}; a model returns tensors".format(name, type(value).__name__))
    return to_unicode(value, "output '{}'".format(name)) if is_text(value) else own(value, given)
