"""Checking, reading and writing config.json by itself, as dicts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perceptum.features import DTYPES, Row

from ..errors import NeuropodError
from ..package.config import Config
from ..package.package import CONFIG
from ..package.rows import read_row

__all__ = [
    "ALLOWED_DTYPES",
    "canonicalize_tensor_spec",
    "read_neuropod_config",
    "validate_neuropod_config",
    "validate_tensor_spec",
    "write_neuropod_config",
]

ALLOWED_DTYPES = list(DTYPES)


def validate_tensor_spec(spec: Iterable[Mapping[str, Any]]) -> None:
    """Raises NeuropodError where a row's name, dtype or shape is none; a dtype must have its own name already."""
    for row in spec:
        _row(row)


def validate_neuropod_config(config: Mapping[str, Any]) -> None:
    """Raises NeuropodError where a config is none; every input must have a device."""
    _config(config)
    without = {row["name"] for row in config["input_spec"]} - set(config["input_tensor_device"])
    if without:
        raise NeuropodError(f"Some input tensors do not have devices specified: {without}")


def canonicalize_tensor_spec(spec: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows with each dtype's own name: "double" becomes float64. Raises NeuropodError as packagers do."""
    rows = []
    for said in spec:
        row = read_row(said)
        as_list = isinstance(said, Mapping) and isinstance(said["shape"], list)
        rows.append({"name": row.name, "dtype": row.dtype, "shape": list(row.shape) if as_list else row.shape})
    return rows


def write_neuropod_config(
    neuropod_path: str | os.PathLike[str],
    model_name: str,
    platform: str,
    input_spec: Iterable[Mapping[str, Any]],
    output_spec: Iterable[Mapping[str, Any]],
    platform_version_semver: str = "*",
    custom_ops: Sequence[str] | None = None,
    input_tensor_device: Mapping[str, str] | None = None,
    default_input_tensor_device: str = "GPU",
    **_: Any,
) -> None:
    """Writes config.json into a package's folder, byte for byte as the packagers do; other keywords are ignored."""
    inputs = canonicalize_tensor_spec(input_spec)
    devices = {row["name"]: default_input_tensor_device for row in inputs} | dict(input_tensor_device or {})
    plain = {
        "name": model_name,
        "platform": platform,
        "platform_version_semver": platform_version_semver,
        "input_spec": inputs,
        "output_spec": canonicalize_tensor_spec(output_spec),
        "custom_ops": list(custom_ops or ()),
        "input_tensor_device": devices,
    }
    Path(neuropod_path, CONFIG).write_text(_config(plain).to_json(), encoding="utf-8")


def read_neuropod_config(neuropod_path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what config.json in a package's folder says, with a device for every input."""
    config = Config.from_json(Path(neuropod_path, CONFIG).read_bytes())
    plain: dict[str, Any] = json.loads(config.to_json())
    return plain


def _row(row: Mapping[str, Any]) -> Row:
    """Checks a row of a config, where a dtype has its own name already."""
    read = read_row(row)
    if isinstance(row, Mapping) and row["dtype"] != read.dtype:
        raise NeuropodError(f"{row['dtype']} is not an allowed data type! Tensor '{read.name}': {', '.join(DTYPES)}")
    return read


def _config(plain: Mapping[str, Any]) -> Config:
    ops = plain.get("custom_ops", [])
    if not isinstance(ops, list):
        raise NeuropodError(f"Optional field 'custom_ops' must be a list! Got value {ops} of type {type(ops)}")
    return Config(
        name=plain["name"],
        platform=plain["platform"],
        inputs=tuple(_row(row) for row in plain["input_spec"]),
        outputs=tuple(_row(row) for row in plain["output_spec"]),
        custom_ops=tuple(ops),
        input_tensor_device=plain["input_tensor_device"],
        platform_version_semver=plain.get("platform_version_semver", "*"),
    )
