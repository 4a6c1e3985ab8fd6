"""Writing a TensorFlow package: a frozen graph with its node names, or a SavedModel."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perceptum.foreign import foreign, said

from ...errors import NeuropodError
from ...frameworks.tensorflow import import_tensorflow
from ...package.archive import copy_file
from ...package.config import Config
from ...package.package import MODEL_CONFIG
from ..signature import check_sizes, warn_of_chance
from . import FROZEN, SAVED
from .operators import INIT_COLLECTIONS
from .state import check_state, random_operators

__all__ = ["write_frozen", "write_saved"]

INIT_SIGNATURE = "__saved_model_init_op"
_PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_OPEN = "make it with None for that size"
_TRACK = "make it an attribute of what is saved, so that it is saved too"


def write_frozen(
    folder: Path,
    config: Config,
    path: str | os.PathLike[str] | None,
    graph_def: Any,
    nodes: Mapping[str, str] | None,
    init_ops: Sequence[str],
) -> None:
    if nodes is None:
        raise NeuropodError("node_name_mapping is required when using `frozen_graph_path` or `graph_def`")
    missing = [row.name for row in (*config.inputs, *config.outputs) if row.name not in nodes]
    if missing:
        raise NeuropodError(
            "Expected an item in `node_name_mapping` for every tensor in input_spec and output_spec. "
            f"Missing: `{_names(missing)}`"
        )
    target = folder / FROZEN
    target.parent.mkdir(parents=True)
    if path is not None:
        copy_file(path, target)
    else:
        target.write_bytes(graph_def.SerializeToString(deterministic=True))
    _check_frozen(target, config, nodes, init_ops)
    _write_config(folder, nodes, init_ops)


def _check_frozen(file: Path, config: Config, nodes: Mapping[str, str], init_ops: Sequence[str]) -> None:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        graph = import_tensorflow().compat.v1.GraphDef.FromString(file.read_bytes())
    except DecodeError as error:
        raise NeuropodError(f"the frozen graph is not a GraphDef ({said(error)})") from error
    placeholders = {node.name: node.attr["shape"].shape for node in graph.node if node.op in _PLACEHOLDERS}
    feeds = {row.name: nodes[row.name].partition(":")[0] for row in config.inputs}
    shapes = {name: _sizes(placeholders[node]) for name, node in feeds.items() if node in placeholders}
    check_sizes("graph", config.inputs, shapes, _OPEN)
    run = [nodes[row.name] for row in config.outputs]
    check_state(graph, run, init_ops, "name the operator that does in init_op_names, or freeze the graph")
    warn_of_chance(random_operators(graph, run))


def _sizes(shape: Any) -> list[int | None] | None:
    """Returns a TensorShapeProto's sizes, None where any will do; None for any shape, as an empty one of old graphs
    may mean too."""
    if shape.unknown_rank or not shape.dim:
        return None
    return [dim.size if dim.size >= 0 else None for dim in shape.dim]


def write_saved(
    folder: Path,
    config: Config,
    path: str | os.PathLike[str] | None,
    trackable: Any,
    nodes: Mapping[str, str] | None,
    init_ops: Sequence[str],
) -> None:
    tf = import_tensorflow()
    target = folder / SAVED
    target.parent.mkdir(parents=True)
    if path is not None:
        if not Path(path, "saved_model.pb").is_file():
            raise NeuropodError(f"saved_model_dir '{os.fspath(path)}' holds no saved_model.pb")
        shutil.copytree(path, target, copy_function=copy_file)
    else:
        with foreign("TensorFlow cannot save trackable_obj", NeuropodError):
            tf.saved_model.save(trackable, str(target))
    _check_saved(target, config)
    _write_config(folder, nodes, init_ops)


def _check_saved(target: Path, config: Config) -> None:
    meta = _meta_graph(target)
    signature = meta.signature_def["serving_default"]
    _check_names(set(signature.inputs), set(signature.outputs), config)
    shapes = {name: _sizes(info.tensor_shape) for name, info in signature.inputs.items()}
    check_sizes("SavedModel", config.inputs, shapes, _OPEN)
    run = [signature.outputs[row.name].name for row in config.outputs]
    check_state(meta.graph_def, run, _run_at_load(meta), _TRACK)
    warn_of_chance(random_operators(meta.graph_def, run))


def _meta_graph(target: Path) -> Any:
    """Returns the graph that is served; the model itself is not loaded for it."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        saved = saved_model_pb2.SavedModel.FromString((target / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise NeuropodError(f"The supplied SavedModel's saved_model.pb is not one ({said(error)})") from error
    for meta in saved.meta_graphs:
        if "serve" in meta.meta_info_def.tags and "serving_default" in meta.signature_def:
            return meta
    raise NeuropodError("The supplied SavedModel has no signature 'serving_default'; save it with one")


def _run_at_load(meta: Any) -> list[str]:
    """Returns the operators that TensorFlow runs when it loads a SavedModel."""
    run = [meta.saver_def.restore_op_name]
    for key in INIT_COLLECTIONS:
        if key in meta.collection_def:
            run += meta.collection_def[key].node_list.value
    if INIT_SIGNATURE in meta.signature_def:
        run += [info.name for info in meta.signature_def[INIT_SIGNATURE].outputs.values()]
    return run


def _check_names(inputs: set[str], outputs: set[str], config: Config) -> None:
    """Inputs must be the spec's, both ways; outputs may be more."""
    expected = {row.name for row in config.inputs}
    if expected - inputs:
        raise NeuropodError(
            f"The supplied SavedModel is missing the following inputs in the spec: `{_names(expected - inputs)}`"
        )
    if inputs - expected:
        raise NeuropodError(
            f"The supplied SavedModel expects inputs that are not in the spec: `{_names(inputs - expected)}`"
        )
    absent = {row.name for row in config.outputs} - outputs
    if absent:
        raise NeuropodError(
            f"The supplied SavedModel does not return the following outputs in the spec: `{_names(absent)}`"
        )


def _write_config(folder: Path, nodes: Mapping[str, str] | None, init_ops: Sequence[str]) -> None:
    plain = {"node_name_mapping": None if nodes is None else dict(nodes), "init_op_names": list(init_ops)}
    (folder / MODEL_CONFIG).write_text(json.dumps(plain), encoding="utf-8")


def _names(names: Any) -> str:
    return "{" + ", ".join(map(repr, sorted(names))) + "}"
