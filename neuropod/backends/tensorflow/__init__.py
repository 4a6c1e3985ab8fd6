"""TensorFlow: frozen graphs and SavedModels, both through a session, the only way that copies nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.foreign import said

from ...errors import NeuropodError
from ...frameworks.handoff import Empty, private_copy, why_copied
from ...frameworks.strings import is_string, of_tensor, to_unicode
from ...frameworks.tensorflow import import_tensorflow
from ...frameworks.versions import framework_version
from ...package import custom_ops
from ...package.config import Config
from ...package.package import DATA, MODEL_CONFIG, OPS, Package
from .aliases import kept_outputs
from .operators import check_frozen, check_saved

__all__ = ["FRAMEWORK", "RUNS_CODE", "copy_reason", "load", "version"]

FRAMEWORK = "tensorflow"
RUNS_CODE = False

FROZEN = f"{DATA}/model.pb"
SAVED = f"{DATA}/savedmodel"


def version() -> str:
    return framework_version("tensorflow", import_tensorflow)


def copy_reason(array: NDArray[Any]) -> str | None:
    return why_copied(array, aligned=True)


def load(package: Package, visible_gpu: int | None) -> TensorFlowRunner:
    tf = import_tensorflow()
    if package.config.custom_ops:
        custom_ops.load_libraries(package.files.folder(OPS), package.config.custom_ops, tf.load_op_library)
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph, config=_session_config(tf, visible_gpu))
    device = _device(tf, visible_gpu)
    try:
        if package.has(FROZEN):
            nodes = _load_frozen(tf, package, session, device)
        elif package.under(SAVED):
            nodes = _load_saved(tf, package, session, device)
        else:
            raise NeuropodError(f"neither {FROZEN} nor {SAVED}/ is there; a TensorFlow package needs one")
    except BaseException:
        session.close()
        raise
    return TensorFlowRunner(session, nodes, package.config)


class TensorFlowRunner:
    """A session, whose variables are the model's state, and a callable per set of names."""

    def __init__(self, session: Any, nodes: Mapping[str, str], config: Config) -> None:
        self._session = session
        self._nodes = nodes
        self._inputs = tuple(row.name for row in config.inputs)
        self._callables: dict[tuple[tuple[str, ...], tuple[str, ...]], _Callable] = {}

    def run(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        return self._call(inputs, wanted)(inputs)

    def run_into(
        self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str], empty: Empty
    ) -> dict[str, NDArray[Any]]:
        """`backends.RunnerInto`: TensorFlow makes its outputs' memory itself."""
        return self._call(inputs, wanted)(inputs, may_share=True)

    def _call(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> _Callable:
        key = (tuple(inputs), tuple(wanted))
        call = self._callables.get(key)
        if call is None:
            call = self._callables[key] = self._make(*key)
        return call

    def _make(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> _Callable:
        for name in (*feeds, *fetches):
            if name not in self._nodes:
                raise NeuropodError(f"Node {name} not found in node_name_mapping; it holds {', '.join(self._nodes)}")
        return _Callable(self._session, {n: self._nodes[n] for n in feeds}, {n: self._nodes[n] for n in fetches})

    def close(self) -> None:
        self._callables.clear()
        self._session.close()


class _Callable:
    """One set of feeds and fetches, prepared: a call costs microseconds where Session.run costs a hundred."""

    def __init__(self, session: Any, feeds: Mapping[str, str], fetches: Mapping[str, str]) -> None:
        self._feeds = tuple(feeds)
        self._fetches = tuple(fetches)
        self._run = _prepare(session, list(feeds.values()), list(fetches.values()))
        sizes = {name: _own_sizes(session.graph.get_tensor_by_name(node)) for name, node in feeds.items()}
        self._sizes = [(name, *own) for name, own in sizes.items() if own is not None]
        kept = kept_outputs(session.graph, feeds.values(), fetches.values())
        self._kept = tuple(node in kept for node in fetches.values())

    def __call__(self, inputs: Mapping[str, NDArray[Any]], may_share: bool = False) -> dict[str, NDArray[Any]]:
        for name, rank, fixed in self._sizes:
            shape = inputs[name].shape
            if len(shape) != rank:
                raise NeuropodError(f"the graph takes '{name}' with {rank} axes, got {len(shape)}")
            for axis, size in fixed:
                if shape[axis] != size:
                    raise _wrong_size(name, axis, size, shape[axis])
        values = self._run(*[_feed(inputs[name]) for name in self._feeds])
        return {
            name: _fetched(name, value, kept and not may_share)
            for name, value, kept in zip(self._fetches, values, self._kept, strict=True)
        }


def _own_sizes(tensor: Any) -> tuple[int, list[tuple[int, int]]] | None:
    """Returns the rank of a graph's tensor, and its sizes that are fixed by their axes; None where all are open."""
    if tensor.shape.rank is None:
        return None
    fixed = [(axis, size) for axis, size in enumerate(tensor.shape.as_list()) if size is not None]
    return (tensor.shape.rank, fixed) if fixed else None


def _wrong_size(name: str, axis: int, size: int, found: int) -> NeuropodError:
    """Returns the error for an array that is not of the sizes that the graph was made for: a prepared call takes it,
    and computes something wrong. Old packages may leave open in the spec what is fixed in the graph."""
    return NeuropodError(
        f"the graph takes '{name}' only with the size {size} on axis {axis}, got {found}; its spec should say so"
    )


def _feed(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(object) if array.dtype.kind == "T" else array


def _fetched(name: str, value: Any, kept: bool) -> NDArray[Any]:
    array = np.asarray(value)
    if is_string(array) or array.dtype == object:
        with of_tensor(f"output '{name}'"):
            return to_unicode(array)
    return private_copy(array) if kept else array


def _prepare(session: Any, feeds: list[str], fetches: list[str]) -> Callable[..., Any]:
    from tensorflow.core.protobuf import config_pb2

    options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
    run: Callable[..., Any] = session._make_callable_from_options(options)
    return run


def _session_config(tf: Any, visible_gpu: int | None) -> Any:
    """Operators run one after the other in the caller's thread (5 us a small call, 27 with TensorFlow's own pool);
    large operators still spread over all cores."""
    config = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=-1, allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    if visible_gpu is None or visible_gpu < 0:
        config.device_count["GPU"] = 0
    return config


def _device(tf: Any, visible_gpu: int | None) -> str:
    gpu = visible_gpu is not None and visible_gpu >= 0 and bool(tf.config.list_physical_devices("GPU"))
    return f"/device:GPU:{visible_gpu}" if gpu else "/device:CPU:0"


def _load_frozen(tf: Any, package: Package, session: Any, device: str) -> dict[str, str]:
    config = package.read_object(MODEL_CONFIG)
    graph_def = _graph_def(tf, package)
    nodes, init_ops = _node_names(package, config.get("node_name_mapping")), _init_ops(config.get("init_op_names"))
    package.require_data(FROZEN, partial(check_frozen, graph_def, [*nodes.values(), *init_ops]))
    for node in graph_def.node:
        if node.device != "/device:CPU:0":
            node.device = device
    try:
        with session.graph.as_default():
            tf.graph_util.import_graph_def(graph_def, name="")
    except (ValueError, tf.errors.OpError) as error:
        raise NeuropodError(f"{FROZEN}: TensorFlow cannot load it: {said(error)}") from error
    _check_nodes(package, session.graph, nodes)
    for op in init_ops:
        session.run(_operation(package, session.graph, op))
    return nodes


def _graph_def(tf: Any, package: Package) -> Any:
    return _parsed(tf.compat.v1.GraphDef, package, FROZEN, "frozen graph")


def _parsed(message: Any, package: Package, name: str, what: str) -> Any:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return message.FromString(package.read(name))
    except DecodeError as error:
        raise NeuropodError(f"{name} is no {what} ({said(error)}); pack it again") from error


def _check_saved(package: Package) -> None:
    """TensorFlow reads saved_model.pb where there is one, and there must be one."""
    from tensorflow.core.protobuf import saved_model_pb2

    name = f"{SAVED}/saved_model.pb"
    assets = {asset.removeprefix(f"{SAVED}/assets/") for asset in package.under(f"{SAVED}/assets")}
    for meta in _parsed(saved_model_pb2.SavedModel, package, name, "SavedModel").meta_graphs:
        package.require_data(name, partial(check_saved, meta, assets))


def _node_names(package: Package, mapping: object) -> dict[str, str]:
    if not isinstance(mapping, dict) or not all(isinstance(node, str) for node in mapping.values()):
        raise NeuropodError(f"{MODEL_CONFIG}: 'node_name_mapping' must be an object of node names")
    return {name: node if ":" in node else f"{node}:0" for name, node in mapping.items()}


def _check_nodes(package: Package, graph: Any, nodes: Mapping[str, str]) -> None:
    for name, node in nodes.items():
        try:
            graph.get_tensor_by_name(node)
        except (KeyError, ValueError) as error:
            raise NeuropodError(f"'{name}' maps to the node '{node}', which is not in the graph") from error


def _init_ops(names: object) -> list[str]:
    """Returns the operators to run once; genuine old packages hold an empty object here, which means none."""
    if isinstance(names, str):
        return [names]
    return [str(name) for name in names] if isinstance(names, list) else []


def _operation(package: Package, graph: Any, name: str) -> Any:
    try:
        return graph.get_operation_by_name(name.partition(":")[0])
    except KeyError as error:
        raise NeuropodError(f"the graph has no init op '{name}'") from error


@contextmanager
def _only_errors(tf: Any) -> Iterator[None]:
    """Silences the advice to use tf.saved_model.load, which has no session."""
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(before)


def _load_saved(tf: Any, package: Package, session: Any, device: str) -> dict[str, str]:
    _check_saved(package)
    folder = package.files.folder(SAVED)
    try:
        with session.graph.as_default(), session.graph.device(device), _only_errors(tf):
            meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder))
    except (OSError, RuntimeError, ValueError, tf.errors.OpError) as error:
        raise NeuropodError(f"{SAVED}: TensorFlow cannot load it: {said(error)}") from error
    if not any(name.startswith(f"{SAVED}/assets/") for name in package.files.names):
        package.files.close()  # variables are in the session now; only vocabularies may be read later
    if "serving_default" not in meta.signature_def:
        raise NeuropodError(f"{SAVED} has no signature 'serving_default'; save it with one")
    signature = meta.signature_def["serving_default"]
    return {name: info.name for side in (signature.inputs, signature.outputs) for name, info in side.items()}
