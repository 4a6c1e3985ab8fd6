"""Shared libraries that a package brings for its framework."""

import hashlib
import os
from typing import Any, Callable, Dict, List, Set

from .errors import NeuropodError, said

__all__ = ["OPS", "load_libraries", "paths"]

OPS = os.path.join("0", "ops")


def paths(folder: str, config: Dict[str, Any]) -> List[str]:
    """Returns the files of the package's custom ops; raises NeuropodError for one that is missing."""
    found = [os.path.join(folder, OPS, name) for name in config.get("custom_ops") or ()]
    for path in found:
        if not os.path.isfile(path):
            raise NeuropodError(
                "custom op '{}' is missing from the package's 0/ops; pack it again".format(os.path.basename(path))
            )
    return found


def load_libraries(folder: str, config: Dict[str, Any], load: Callable[[str], Any]) -> None:
    """Calls `load(path)` for each library; one that is there under two names is loaded once: registering an operator
    twice ends the process."""
    loaded: Set[str] = set()
    for path in paths(folder, config):
        with open(path, "rb") as stream:
            digest = hashlib.sha256(stream.read()).hexdigest()
        if digest not in loaded:
            loaded.add(digest)
            _load(path, load)


def _load(path: str, load: Callable[[str], Any]) -> None:
    try:
        load(path)
    # torch raises OSError, TensorFlow its own
    except Exception as error:
        raise NeuropodError(
            "custom op '{}' cannot be loaded ({}); build it for this machine and this version of the framework".format(
                os.path.basename(path), said(error).replace(path + ": ", "")
            )
        ) from error
