"""config.json: what a package says of itself. The bytes written are those of Uber's tool."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from perceptum.features import Row

from ..errors import NeuropodError
from .rows import read_rows

__all__ = ["MOST_JSON_BYTES", "Config", "parse_object"]

MOST_JSON_BYTES = 16 << 20
"""The most bytes of a file that describes a package. As Python's lists, three bytes of JSON take sixty."""

_DEVICES = ("GPU", "CPU")


@dataclass(frozen=True)
class Config:
    """What config.json says; `from_json` fills what old packages lack."""

    name: str
    platform: str
    inputs: tuple[Row, ...]
    outputs: tuple[Row, ...]
    custom_ops: tuple[str, ...] = ()
    """File names under 0/ops."""
    input_tensor_device: Mapping[str, str] = field(default_factory=dict)
    """Input name to "GPU" or "CPU"; an input that is not named here goes to the GPU."""
    platform_version_semver: str = "*"

    def __post_init__(self) -> None:
        for key in ("name", "platform", "platform_version_semver"):
            value = getattr(self, key)
            if not isinstance(value, str):
                raise NeuropodError(
                    f"Field '{key}' in config must be a string! Got value {value} of type {type(value)}."
                )
        for op in self.custom_ops:
            _check_op_name(op)
        _check_names(self.inputs, "input_spec")
        _check_names(self.outputs, "output_spec")
        self._check_devices()

    def _check_devices(self) -> None:
        unknown = set(self.input_tensor_device) - {row.name for row in self.inputs}
        if unknown:
            names = "{" + ", ".join(map(repr, sorted(unknown))) + "}"
            raise NeuropodError(f"Devices were specified for some tensors not in the `input_spec`: {names}")
        for name, device in self.input_tensor_device.items():
            if device not in _DEVICES:
                raise NeuropodError(
                    f"Device must either be 'GPU' or 'CPU'! Got value '{device}' for tensor named '{name}'."
                )

    def to_json(self) -> str:
        """Returns the text of config.json, byte for byte what Uber's packager wrote: seven keys, no last newline."""
        plain = {
            "name": self.name,
            "platform": self.platform,
            "platform_version_semver": self.platform_version_semver,
            "input_spec": [_plain(row) for row in self.inputs],
            "output_spec": [_plain(row) for row in self.outputs],
            "custom_ops": list(self.custom_ops),
            "input_tensor_device": {row.name: self.device(row.name) for row in self.inputs},
        }
        return json.dumps(plain, indent=4, sort_keys=True)

    def device(self, name: str) -> str:
        """Returns "GPU" or "CPU": where the model wants this input when there is a GPU."""
        return self.input_tensor_device.get(name, "GPU")

    @classmethod
    def from_json(cls, text: bytes) -> Config:
        plain = parse_object(text)
        missing = [key for key in ("name", "platform") if key not in plain]
        if missing:
            raise NeuropodError(f"the key '{missing[0]}' is missing")
        ops = plain.get("custom_ops") or []
        if not isinstance(ops, list):
            raise NeuropodError(f"Optional field 'custom_ops' must be a list! Got value {ops} of type {type(ops)}")
        devices = plain.get("input_tensor_device") or {}
        if not isinstance(devices, dict):
            raise NeuropodError(f"'input_tensor_device' must be an object, got {devices!r}")
        return cls(
            name=plain["name"],
            platform=plain["platform"],
            inputs=_rows(plain.get("input_spec"), "input_spec"),
            outputs=_rows(plain.get("output_spec"), "output_spec"),
            custom_ops=tuple(ops),
            input_tensor_device=devices,
            platform_version_semver=plain.get("platform_version_semver", "*"),
        )


def parse_object(text: bytes, most_bytes: int = MOST_JSON_BYTES) -> dict[str, Any]:
    """Returns the JSON object in `text`; raises NeuropodError where it is none, or longer than that."""
    if len(text) > most_bytes:
        raise NeuropodError(f"holds more than {most_bytes} bytes of JSON, more than any package needs; do not use it")
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NeuropodError(f"not JSON: {error}") from None
    if not isinstance(plain, dict):
        raise NeuropodError(f"must hold a JSON object, got {type(plain).__name__}")
    return plain


def _rows(rows: object, key: str) -> tuple[Row, ...]:
    if rows is None:
        return ()
    if not isinstance(rows, list):
        raise NeuropodError(f"'{key}' must be a list of rows, got {type(rows).__name__}")
    return read_rows(rows, key)


def _plain(row: Row) -> dict[str, Any]:
    """Returns the row as config.json holds it: params are stored beside it, where Uber's readers do not look."""
    return {"name": row.name, "dtype": row.dtype, "shape": list(row.shape)}


def _check_op_name(op: object) -> None:
    if not isinstance(op, str):
        raise NeuropodError(f"All items in 'custom_ops' must be strings! Got value {op} of type {type(op)}.")
    if op in ("", ".", "..") or "/" in op or "\\" in op:
        raise NeuropodError(f"'custom_ops' must hold names of files in 0/ops, got '{op}'")


def _check_names(rows: Iterable[Row], key: str) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.name in seen:
            raise NeuropodError(f"'{row.name}' is listed twice in '{key}'; names must differ")
        seen.add(row.name)
