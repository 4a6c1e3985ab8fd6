"""Shared libraries and modules that a package brings for its framework. Each is loaded once, whatever its name."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from perceptum.foreign import said

from ..errors import NeuropodError
from .source_loader import LOADERS

__all__ = ["add_python_modules", "forget_python_modules", "load_libraries"]

# sha256 of what this process has loaded: registering an operator twice ends the process
_LOADED: set[str] = set()
_LOADING = threading.Lock()

# path -> sha256 of the modules made importable: they may be imported long after their package is closed and gone
_MODULES: dict[str, str] = {}


def load_libraries(folder: Path, names: Sequence[str], load: Callable[[str], object]) -> None:
    """Calls `load(path)` for each library whose very bytes this process has not loaded before."""
    with _LOADING:
        for name in names:
            path = _existing(folder, name)
            digest = _digest(path)
            if digest not in _LOADED and digest not in _mapped_digests(path.stat().st_size):
                _load(name, path, load)
            _LOADED.add(digest)


def _load(name: str, path: Path, load: Callable[[str], object]) -> None:
    try:
        load(str(path))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # torch raises OSError, TensorFlow its own
        reason = said(error).replace(f"{path}: ", "")
        raise NeuropodError(
            f"custom op '{name}' cannot be loaded ({reason}); "
            "build it for this machine and this version of the framework"
        ) from error


def add_python_modules(folder: Path, names: Sequence[str]) -> None:
    """Makes the modules in `folder` importable; raises where a name already stands for other bytes."""
    for name in names:
        path = _existing(folder, name)
        digest = _MODULES[str(path)] = _digest(path)
        found = importlib.util.find_spec(path.name.partition(".")[0])
        if found is not None and digest not in (_MODULES.get(str(found.origin)), _digest(Path(str(found.origin)))):
            raise NeuropodError(
                f"custom op '{name}': another module of that name is already importable from {found.origin}; "
                "rename one of them"
            )
    sys.meta_path.insert(0, _Modules(folder, names))


def forget_python_modules(folder: Path) -> None:
    """Makes the modules in `folder` no longer importable; those that were imported stay."""
    found = next((f for f in sys.meta_path if isinstance(f, _Modules) and f.folder == folder), None)
    if found is not None:
        sys.meta_path.remove(found)


class _Modules:
    """Answers Python's import for the named files. On Python's path, byte code beside them would be run unseen."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self._finder = importlib.machinery.FileFinder(str(folder), *LOADERS)
        self._modules = frozenset(name.partition(".")[0] for name in names)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = self._finder.find_spec(name) if name in self._modules else None
        return None if spec is None or spec.loader is None else spec


def _mapped_digests(size_bytes: int) -> set[str]:
    """Returns the sha256 of the files of that size which this process has mapped: others load libraries too."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text(encoding="utf-8").splitlines() if maps.exists() else []
    mapped = {Path(line[line.index("/") :]) for line in lines if "/" in line}
    return {_digest(path) for path in mapped if path.is_file() and path.stat().st_size == size_bytes}


def _existing(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise NeuropodError(f"custom op '{name}' is missing from the package's 0/ops; pack it again")
    return path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
