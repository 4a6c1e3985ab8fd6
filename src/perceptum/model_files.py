"""What a file that a framework saved is, by its name, and what packs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import UsageError
from .neuropod import packagers

__all__ = ["find_packager", "is_saved_model"]

# ending -> packager, and its keyword for the file
_BY_ENDING: dict[str, tuple[Callable[..., None], str]] = {
    ".pt": (packagers.create_torchscript_neuropod, "module_path"),
    ".pth": (packagers.create_torchscript_neuropod, "module_path"),
    ".ts": (packagers.create_torchscript_neuropod, "module_path"),
    ".torchscript": (packagers.create_torchscript_neuropod, "module_path"),
    ".pt2": (packagers.create_torch_export_neuropod, "program_path"),
    ".onnx": (packagers.create_onnx_neuropod, "model_path"),
    ".jax": (packagers.create_jax_neuropod, "exported_path"),
    ".pb": (packagers.create_tensorflow_neuropod, "frozen_graph_path"),
}


def is_saved_model(path: Path) -> bool:
    """Whether a path looks like a model that can be packed, by its ending or its saved_model.pb."""
    if path.is_dir():
        return (path / "saved_model.pb").is_file()
    return path.is_file() and path.suffix in _BY_ENDING


def find_packager(path: Path) -> tuple[Callable[..., None], dict[str, Any]]:
    """Returns the packager and its keywords; raises UsageError that names the kinds there are."""
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise UsageError(f"{path}: a folder without saved_model.pb is not a SavedModel")
        return packagers.create_tensorflow_neuropod, {"saved_model_dir": path}
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    found = _BY_ENDING.get(path.suffix)
    if found is None:
        raise UsageError(f"{path}: a model is a SavedModel's folder or a file ending in {', '.join(_BY_ENDING)}")
    return found[0], {found[1]: path}
