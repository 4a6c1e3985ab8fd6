"""What a package says of itself, read without running anything of it."""

from __future__ import annotations

import os
from typing import Any

from perceptum.foreign import foreign

from ..backends import find_backend
from ..errors import NeuropodError
from ..model import why_code
from ..package import manifest
from ..package.package import Package, open_package
from ..package.requirements import LOCK
from ..package.test_data import FILE_NAME as TEST_DATA

__all__ = ["inspect_package", "needs_trust"]


def inspect_package(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns all that is known, as plain values; raises NeuropodError where the package is broken or changed."""
    package = open_package(path)
    try:
        return _described(package)
    finally:
        package.files.close()


def needs_trust(package: Package) -> str | None:
    """Returns what makes the package code, or None where it is data."""
    config = package.config
    return why_code(config) if find_backend(config.platform).RUNS_CODE or config.custom_ops else None


def _described(package: Package) -> dict[str, Any]:
    config = package.config
    return {
        "path": str(package.path),
        "name": config.name,
        "platform": config.platform,
        "platform_version": {"wanted": config.platform_version_semver, "here": _version(config.platform)},
        "code": _code(package),
        "inputs": [row.to_dict() for row in config.inputs],
        "outputs": [row.to_dict() for row in config.outputs],
        "input_devices": {row.name: config.device(row.name) for row in config.inputs},
        "custom_ops": list(config.custom_ops),
        "requirements": package.read(LOCK).decode(errors="replace").splitlines() if package.has(LOCK) else [],
        "schema": _schema(package),
        "meanings": _meanings(package),
        "training": _training(package),
        "test_data": package.has(TEST_DATA),
        "manifest": package.has(manifest.FILE_NAME),
        "files": [
            {"file": name, "bytes": package.size_bytes(name), "sha256": manifest.sha256(package.files, name)}
            for name in sorted(package.files.names)
        ],
    }


def _version(platform: str) -> str | None:
    """Returns the framework's version here, or None where there is none."""
    try:
        with foreign("the backend cannot say its version", NeuropodError):
            return find_backend(platform).version()
    except NeuropodError:
        return None


def _code(package: Package) -> str | None:
    try:
        return needs_trust(package)
    except NeuropodError:  # a platform that is not known here
        return None


def _meanings(package: Package) -> dict[str, Any]:
    """Returns input -> what it meant when the model was packed: a preset's values among them."""
    features = (package.metadata.schema or {}).get("features") or {}
    meanings = {name: said.get("meaning") for name, said in features.items() if isinstance(said, dict)}
    return {name: meaning for name, meaning in meanings.items() if isinstance(meaning, dict)}


def _training(package: Package) -> dict[str, Any] | None:
    """Returns what is recorded of training: the version that built it, what it built, and of how many frames."""
    record = package.metadata.training
    if record is None:
        return None
    return {"perceptum": record.perceptum, "fingerprint": record.fingerprint, "frames": len(record.frames)}


def _schema(package: Package) -> dict[str, Any] | None:
    """Returns the schema that the model was trained under, without the meaning of each feature."""
    record = package.metadata.schema
    if record is None:
        return None
    head = record.get("schema")
    features = record.get("features")
    return {**(head if isinstance(head, dict) else {}), "features": sorted(features) if features else []}
