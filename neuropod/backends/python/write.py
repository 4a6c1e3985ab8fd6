"""Writing a code package: the code tree, the data files, the entry point, the requirements."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import NeuropodError
from ...package import requirements as lock_file
from ...package.archive import copy_file
from ...package.package import CODE, DATA, MODEL_CONFIG

__all__ = ["write_code", "write_data", "write_entry"]

# byte code, and what `package.write_package` is just writing, which may be inside the code folder
_LEFT_OUT = shutil.ignore_patterns("*.pyc", "__pycache__", ".*.????????????.partial")


def write_code(folder: Path, package: Path | None, code_path_spec: Sequence[Mapping[str, Any]]) -> None:
    """Copies the code, byte code excepted, and makes every folder of it a Python package.

    package: the folder that this becomes, which may not lie in the code; None for a zip file, which may.
    """
    target = folder / CODE
    target.mkdir(parents=True)
    for entry in code_path_spec:
        root = Path(entry["python_root"])
        if package is not None and package.resolve().is_relative_to(root.resolve()):
            raise NeuropodError("`neuropod_path` cannot be a subdirectory of `python_root`; a zip file may be there")
        for name in entry["dirs_to_package"]:
            if not (root / name).is_dir():
                raise NeuropodError(f"code_path_spec: there is no folder '{root / name}'")
            place = _inside(target, name) if name else target
            shutil.copytree(root / name, place, ignore=_LEFT_OUT, copy_function=_copy_new, dirs_exist_ok=True)
    for here, _, files in os.walk(target):
        if "__init__.py" not in files:
            Path(here, "__init__.py").touch()


def write_data(folder: Path, data_paths: Sequence[Mapping[str, str]]) -> None:
    (folder / DATA).mkdir(parents=True)
    for entry in data_paths:
        target = _inside(folder / DATA, entry["packaged_name"])
        target.parent.mkdir(parents=True, exist_ok=True)
        if not Path(entry["path"]).is_file():
            raise NeuropodError(f"data_paths: '{entry['path']}' is not a file")
        _copy_new(entry["path"], str(target))


def write_entry(folder: Path, package: str, function: str, requirements: str | None) -> None:
    entry = {"entrypoint": function, "entrypoint_package": package}
    (folder / MODEL_CONFIG).write_text(json.dumps(entry, sort_keys=True), encoding="utf-8")
    if requirements is not None:
        (folder / lock_file.LOCK).write_text(lock_file.compile_lock(requirements), encoding="utf-8")


def _inside(folder: Path, name: str) -> Path:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise NeuropodError(f"the name '{name}' leads out of the package; give a plain one")
    return folder / name


def _copy_new(source: str, target: str) -> str:
    if os.path.exists(target):
        raise NeuropodError(f"two files want the same place in the package: '{source}' comes second; rename one")
    copy_file(source, target)
    return target
