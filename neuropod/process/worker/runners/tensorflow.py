"""TensorFlow, frozen graphs and SavedModels, by whatever version from 1.13 on is installed."""

import os
import tempfile
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from . import ops
from .arrays import is_text, of_objects, own, to_list, to_unicode
from .errors import NeuropodError, said
from .facts import read_object

__all__ = ["load"]

FROZEN = "0/data/model.pb"
SAVED = "0/data/savedmodel"
MODEL_CONFIG = "0/config.json"
_CPU = "/device:CPU:0"


def load(folder: str, config: Dict[str, Any], visible_gpu: Optional[int], threads: Optional[int]) -> "TensorFlowRunner":
    tensorflow = _import()
    tf = tensorflow.compat.v1
    tf.logging.set_verbosity(tf.logging.ERROR)
    ops.load_libraries(folder, config, tensorflow.load_op_library)
    gpu = visible_gpu is not None and visible_gpu >= 0 and tf.test.is_gpu_available()
    device = "/device:GPU:{}".format(visible_gpu) if gpu else _CPU
    graph = tf.Graph()
    session = tf.Session(graph=graph, config=_session_config(tf, tensorflow.__version__, gpu, threads))
    if os.path.isfile(os.path.join(folder, FROZEN)):
        nodes = _load_frozen(tf, folder, session, device)
    elif os.path.isdir(os.path.join(folder, SAVED)):
        nodes = _load_saved(tf, os.path.join(folder, SAVED), session, device)
    else:
        raise NeuropodError("neither {} nor {}/ is there; a TensorFlow package needs one".format(FROZEN, SAVED))
    return TensorFlowRunner(tf, session, nodes)


def _import() -> Any:
    """Returns the module; without the lines that its import writes to the terminal, unless it fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow

            return tensorflow
        except BaseException:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)


def _session_config(tf: Any, version: str, gpu: bool, threads: Optional[int]) -> Any:
    config = tf.ConfigProto(allow_soft_placement=True)
    # operators run one after the other in the caller's thread; large ones still spread over the cores. TensorFlow 1.13
    # ends the process when it is told so
    if tuple(map(int, version.split(".")[:2])) >= (1, 15):
        config.inter_op_parallelism_threads = -1
    if threads:
        config.intra_op_parallelism_threads = threads
    config.gpu_options.allow_growth = True
    if not gpu:
        config.device_count["GPU"] = 0
    return config


def _load_frozen(tf: Any, folder: str, session: Any, device: str) -> Dict[str, str]:
    config = read_object(folder, MODEL_CONFIG)
    mapping = config.get("node_name_mapping")
    if not isinstance(mapping, dict) or not all(isinstance(node, str) for node in mapping.values()):
        raise NeuropodError("{}: 'node_name_mapping' must be an object of node names".format(MODEL_CONFIG))
    nodes = {name: node if ":" in node else node + ":0" for name, node in mapping.items()}
    graph = session.graph
    try:
        with open(os.path.join(folder, FROZEN), "rb") as stream:
            definition = tf.GraphDef.FromString(stream.read())
        for node in definition.node:
            if node.device != _CPU:
                node.device = device
        with graph.as_default():
            tf.import_graph_def(definition, name="")
    # protobuf raises its own, which moved between its versions
    except Exception as error:
        raise NeuropodError("{}: TensorFlow cannot load it: {}".format(FROZEN, said(error))) from error
    for name, node in nodes.items():
        try:
            graph.get_tensor_by_name(node)
        except (KeyError, ValueError) as error:
            raise NeuropodError("'{}' maps to the node '{}', which is not in the graph".format(name, node)) from error
    for name in _init_ops(config.get("init_op_names")):
        try:
            operation = graph.get_operation_by_name(name.partition(":")[0])
        except KeyError as error:
            raise NeuropodError("the graph has no init op '{}'".format(name)) from error
        session.run(operation)
    return nodes


def _init_ops(names: Any) -> List[str]:
    """Returns the operators to run once; genuine old packages hold an empty object here, which means none."""
    if isinstance(names, str):
        return [names]
    return [str(name) for name in names] if isinstance(names, list) else []


def _load_saved(tf: Any, folder: str, session: Any, device: str) -> Dict[str, str]:
    try:
        with session.graph.as_default(), session.graph.device(device):
            meta = tf.saved_model.loader.load(session, ["serve"], folder)
    except Exception as error:
        raise NeuropodError("{}: TensorFlow cannot load it: {}".format(SAVED, said(error))) from error
    if "serving_default" not in meta.signature_def:
        raise NeuropodError("{} has no signature 'serving_default'; save it with one".format(SAVED))
    signature = meta.signature_def["serving_default"]
    return {name: info.name for side in (signature.inputs, signature.outputs) for name, info in side.items()}


class TensorFlowRunner(object):
    """A session, whose variables are the model's state, and a callable for each set of names."""

    def __init__(self, tf: Any, session: Any, nodes: Dict[str, str]) -> None:
        self._tf = tf
        self._session = session
        self._nodes = nodes
        self._callables: Dict[Tuple[Tuple[str, ...], Tuple[str, ...]], Any] = {}

    def run(self, inputs: Dict[str, Any], wanted: Sequence[str]) -> Dict[str, Any]:
        key = (tuple(inputs), tuple(wanted))
        if key not in self._callables:
            self._callables[key] = self._prepare(*key)
        call, fixed = self._callables[key]
        for name, sizes in fixed:
            _check_sizes(name, sizes, inputs[name].shape)
        values = call(*[_fed(name, array) for name, array in inputs.items()])
        given = list(inputs.values())
        return {name: _fetched(name, value, given) for name, value in zip(wanted, values)}

    def close(self) -> None:
        self._callables.clear()
        self._session.close()

    def _prepare(self, feeds: Sequence[str], fetches: Sequence[str]) -> Any:
        for name in (*feeds, *fetches):
            if name not in self._nodes:
                raise NeuropodError(
                    "Node {} not found in node_name_mapping; it holds {}".format(name, ", ".join(self._nodes))
                )
        from tensorflow.core.protobuf import config_pb2

        options = config_pb2.CallableOptions(
            feed=[self._nodes[name] for name in feeds], fetch=[self._nodes[name] for name in fetches]
        )
        call = self._session._make_callable_from_options(options)
        shapes = [(name, self._session.graph.get_tensor_by_name(self._nodes[name]).shape) for name in feeds]
        known = [(name, shape.as_list()) for name, shape in shapes if shape.ndims is not None]
        return call, [(name, sizes) for name, sizes in known if any(size is not None for size in sizes)]


def _check_sizes(name: str, sizes: Sequence[Optional[int]], shape: Sequence[int]) -> None:
    """Raises NeuropodError for sizes that the graph was not made for: a prepared call takes them, and computes
    something wrong."""
    if len(shape) != len(sizes):
        raise NeuropodError("the graph takes '{}' with {} axes, got {}".format(name, len(sizes), len(shape)))
    for axis, size in enumerate(sizes):
        if size is not None and shape[axis] != size:
            raise NeuropodError(
                "the graph takes '{}' only with the size {} on axis {}, got {}; its spec should say so".format(
                    name, size, axis, shape[axis]
                )
            )


def _fed(name: str, array: Any) -> Any:
    if not is_text(array):
        return array
    return of_objects(array, [text.encode("utf-8") for text in to_list(array, "input '{}'".format(name))])


def _fetched(name: str, value: Any, given: Sequence[Any]) -> Any:
    array = np.asarray(value)
    return to_unicode(array, "output '{}'".format(name)) if is_text(array) else own(array, given)
