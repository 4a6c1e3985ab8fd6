"""Writing a TensorFlow package: a frozen graph with its node names, or a SavedModel."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import NeuropodError
from ..package import MODEL_CONFIG
from ..tensorflow_import import import_tensorflow
from .tensorflow import FROZEN, SAVED

__all__ = ["write_frozen", "write_saved"]


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
    target.write_bytes(Path(path).read_bytes() if path is not None else graph_def.SerializeToString(deterministic=True))
    _write_config(folder, nodes, init_ops)


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
        shutil.copytree(path, target)
    else:
        tf.saved_model.save(trackable, str(target))
    _check_signature(tf, target, config)
    _write_config(folder, nodes, init_ops)


def _check_signature(tf: Any, target: Path, config: Config) -> None:
    """Inputs must be the spec's, both ways; outputs may be more."""
    inputs, outputs = _signature(tf, target)
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


def _signature(tf: Any, target: Path) -> tuple[set[str], set[str]]:
    """Returns the names of the inputs and outputs of `serving_default`; the model itself is not loaded for it."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((target / "saved_model.pb").read_bytes())
    for meta in saved.meta_graphs:
        if "serve" in meta.meta_info_def.tags and "serving_default" in meta.signature_def:
            signature = meta.signature_def["serving_default"]
            return set(signature.inputs), set(signature.outputs)
    raise NeuropodError("The supplied SavedModel has no signature 'serving_default'; save it with one")


def _write_config(folder: Path, nodes: Mapping[str, str] | None, init_ops: Sequence[str]) -> None:
    plain = {"node_name_mapping": None if nodes is None else dict(nodes), "init_op_names": list(init_ops)}
    (folder / MODEL_CONFIG).write_text(json.dumps(plain), encoding="utf-8")


def _names(names: Any) -> str:
    return "{" + ", ".join(map(repr, sorted(names))) + "}"
