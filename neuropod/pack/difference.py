"""What is different between two packages."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .inspection import inspect_package

__all__ = ["compare_packages"]

_PLAIN = ("name", "platform", "custom_ops", "requirements", "test_data")


def compare_packages(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Returns rows of what, first and second; None where one has nothing there. Equal packages give no rows.

    Whether a package is a folder or a zip does not count, nor its manifest, which repeats the files.
    """
    a, b = inspect_package(first), inspect_package(second)
    pairs: list[tuple[str, Any, Any]] = [(key, a[key], b[key]) for key in _PLAIN]
    pairs.append(("platform_version", a["platform_version"]["wanted"], b["platform_version"]["wanted"]))
    pairs += _named("input", _specs(a["inputs"]), _specs(b["inputs"]))
    pairs += _named("output", _specs(a["outputs"]), _specs(b["outputs"]))
    pairs.append(("order of inputs", *_common_order(a["inputs"], b["inputs"])))
    pairs.append(("order of outputs", *_common_order(a["outputs"], b["outputs"])))
    shared = a["input_devices"].keys() & b["input_devices"].keys()
    pairs += _named("device of", *({n: d for n, d in side["input_devices"].items() if n in shared} for side in (a, b)))
    pairs += _named("schema", a["schema"] or {}, b["schema"] or {})
    pairs += _named("file", _hashes(a["files"]), _hashes(b["files"]))
    return [{"what": what, "first": one, "second": other} for what, one, other in pairs if one != other]


def _named(kind: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*first, *second]):
        yield f"{kind} {name}", first.get(name), second.get(name)


def _specs(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {row["name"]: _spec(row) for row in rows}


def _spec(row: Mapping[str, Any]) -> str:
    shape = ", ".join("any" if dim is None else str(dim) for dim in row["shape"])
    params = [f"{key}: {value}" for key, value in (row.get("params") or {}).items()]
    return "; ".join([f"{row['dtype']} ({shape})", *params])


def _common_order(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> tuple[list[str], list[str]]:
    """Returns the names that both have, in the order of each."""
    a, b = [row["name"] for row in first], [row["name"] for row in second]
    return [name for name in a if name in b], [name for name in b if name in a]


def _hashes(files: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {f["file"]: f"{f['bytes']} bytes, sha256 {f['sha256'][:16]}" for f in files if f["file"] != "manifest.json"}
