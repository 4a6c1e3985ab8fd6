"""Which operators make a TensorFlow graph code: those that do more than compute. Read before it is loaded.

TensorFlow runs operators without a state already while it imports a graph, to learn sizes, so it does not matter what a
graph is asked for. Only those that save and restore variables stand in every SavedModel: they must not be reached from
what is run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ...errors import MoreThanData, NeuropodError

__all__ = ["INIT_COLLECTIONS", "check_frozen", "check_saved", "operators_run"]

INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
"""Where a MetaGraphDef names what is run when it is loaded."""

# without "Experimental" in front and a version behind
_PYTHON = "PyFunc PyFuncStateless EagerPyFunc"
_FILES = (
    "ReadFile WriteFile MatchingFiles DumpTensor FixedLengthRecordReader LMDBReader TFRecordReader TextLineReader "
    "WholeFileReader RecordInput Skipgram LoadAndRemapMatrix GenerateVocabRemapping CalibrationStatisticsSaver "
    "CreateSummaryFileWriter CreateSummaryDbWriter StatsAggregatorSetSummaryWriter ImportEvent DTensorRestore "
    "DebugIdentity DebugNanCount DebugNumericSummary Copy CopyHost"
)
_DATASETS = (
    "CSVDataset CacheDataset DatasetToTFRecord FixedLengthRecordDataset LMDBDataset ListSnapshotChunksDataset "
    "LoadDataset MatchingFilesDataset SaveDataset SnapshotChunkDataset SnapshotDataset SnapshotDatasetReader "
    "SnapshotNestedDatasetReader SqlDataset TFRecordDataset TextLineDataset"
)
_NETWORK = (
    "DataServiceDataset RegisterDataset FileSystemSetConfiguration RpcCall RpcClient RpcServer RpcServerRegister "
    "RpcServerStart"
)
_OTHER = "DatasetFromGraph TRTEngineOp Abort"  # graphs hidden in text; ending the process
_REFUSED = frozenset(" ".join((_PYTHON, _FILES, _DATASETS, _NETWORK, _OTHER)).split())
_SAVING = frozenset(("Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints", "DistributedSave"))
_VOCABULARIES = frozenset(("InitializeTableFromTextFile", "InitializeTableFromTextFileV2"))  # a SavedModel has assets
_RESTORING = frozenset(("Restore", "RestoreSlice", "RestoreV2"))
# a path where otherwise there is a name: operator -> its attribute, and what that begins with when it is not a path
_PATHS = {
    "Print": ("output_stream", ("std", "log(")),
    "DecodeProto": ("descriptor_source", ("local://", "bytes://")),
    "EncodeProto": ("descriptor_source", ("local://", "bytes://")),
    "FixedUnigramCandidateSampler": ("vocab_file", ()),
}
_DECORATION = re.compile(r"^Experimental|V\d+$")
_KIND = "api_implements"  # TensorFlow may call one function of a kind in place of another
_ASSET_COLLECTION = "saved_model_assets"


def check_frozen(graph: Any, names: Iterable[str]) -> None:
    """Raises MoreThanData where the GraphDef could do more than compute, when the nodes of these names are run."""
    found = _check_all(graph)
    _refuse_reached(graph, found & (_SAVING | _RESTORING | _VOCABULARIES), names)


def check_saved(meta: Any, assets: Collection[str]) -> None:
    """The same for one MetaGraphDef, of which the signatures, the init operator and the operator that restores are run.

    assets: the names of the files in the SavedModel's folder of assets.
    """
    found = _check_all(meta.graph_def)
    for asset in _assets(meta):
        if asset not in assets:
            raise NeuropodError(f"the model reads the file '{asset}', which is not among its assets; save it again")
    run = [i.name for s in meta.signature_def.values() for side in (s.inputs, s.outputs) for i in side.values()]
    for key in INIT_COLLECTIONS:
        if key in meta.collection_def:
            run += meta.collection_def[key].node_list.value
    _refuse_reached(meta.graph_def, found & (_SAVING | _RESTORING), run)
    _refuse_reached(meta.graph_def, found & _SAVING, [meta.saver_def.restore_op_name])


def _check_all(graph: Any) -> frozenset[str]:
    """Returns all operators there are; raises MoreThanData for those that a graph that is data may not have."""
    found = frozenset(node.op for node in _nodes(graph))
    for operator in found:
        plain = _DECORATION.sub("", operator)
        if plain in _REFUSED:
            raise _refusal(operator)
        if plain in _PATHS:
            for node in _nodes(graph):
                if node.op == operator:
                    _check_path(node, *_PATHS[plain])
    return found


def _assets(meta: Any) -> Iterator[str]:
    from tensorflow.core.protobuf.meta_graph_pb2 import AssetFileDef

    yield from (asset.filename for asset in meta.asset_file_def)
    if _ASSET_COLLECTION in meta.collection_def:
        for packed in meta.collection_def[_ASSET_COLLECTION].any_list.value:
            yield AssetFileDef.FromString(packed.value).filename


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _check_path(node: Any, key: str, harmless: tuple[str, ...]) -> None:
    value = node.attr[key].s.decode("utf-8", "replace") if key in node.attr else ""
    if value and not value.startswith(harmless):
        raise _refusal(f"{node.op} with {key} '{value}'")


def _refusal(operator: str) -> NeuropodError:
    return MoreThanData(f"the graph has the operator {operator}, which does more than compute")


def _refuse_reached(graph: Any, operators: frozenset[str], names: Iterable[str]) -> None:
    if operators:  # otherwise it is decided already, and quickly
        for node in _Reach(graph).run(names):
            if node.op in operators:
                raise _refusal(node.op)


def operators_run(graph: Any, names: Iterable[str]) -> frozenset[str]:
    """Returns the operators that are run with the nodes, or tensors, of these names; those of functions too."""
    return frozenset(node.op for node in _Reach(graph).run(names))


class _Reach:
    """What is run when a node is: the nodes it takes from, and the functions that any of them calls."""

    def __init__(self, graph: Any) -> None:
        self._nodes: Mapping[str, Any] = {node.name: node for node in graph.node}
        self._functions = {function.signature.name: function for function in graph.library.function}
        self._gradients = {g.function_name: g.gradient_func for g in graph.library.gradient}
        self._kinds = {name: f.attr[_KIND].s for name, f in self._functions.items() if _KIND in f.attr}

    def run(self, names: Iterable[str]) -> Iterator[Any]:
        """Yields every node that is run with the nodes, or tensors, of these names."""
        seen: set[str] = set()
        functions: dict[str, None] = {}
        todo = list(names)
        while todo:
            name = todo.pop().removeprefix("^").partition(":")[0]
            if name in seen or name not in self._nodes:
                continue
            seen.add(name)
            node = self._nodes[name]
            yield node
            todo.extend(node.input)
            functions.update(dict.fromkeys(self._called(node)))
        yield from self._run_functions(list(functions))

    def _run_functions(self, todo: list[str]) -> Iterator[Any]:
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            if name in seen or name not in self._functions:
                continue
            seen.add(name)
            if name in self._gradients:
                todo.append(self._gradients[name])
            if name in self._kinds:
                todo.extend(other for other, kind in self._kinds.items() if kind == self._kinds[name])
            for node in self._functions[name].node_def:
                yield node
                todo.extend(self._called(node))

    def _called(self, node: Any) -> Iterator[str]:
        yield node.op  # a function's name may be in the place of an operator's
        for value in node.attr.values():
            yield from _function_names(value)


def _function_names(value: Any) -> Iterator[str]:
    """Yields the functions that an attribute names, and those that their own attributes name."""
    found = [value.func] if value.HasField("func") else list(value.list.func)
    for function in found:
        yield function.name
        for inner in function.attr.values():
            yield from _function_names(inner)
