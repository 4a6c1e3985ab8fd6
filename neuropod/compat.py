"""Lets code that says `import neuropod` run unchanged, when the user asks for it.

```python
from perceptum.neuropod import compat

compat.install()
from neuropod.loader import load_neuropod
```
The names are Uber's, the modules are ours; nothing named neuropod is ever put where Python looks for packages.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from .errors import NeuropodError

__all__ = ["VERSION", "install", "is_installed", "uninstall"]

ROOT = "neuropod"
VERSION = "0.3.0rc7"
"""The last version of Uber's library, which this stands for."""

_HERE = __name__.rpartition(".")[0]
_UTILS = (
    *("config_utils", "dtype_utils", "env_utils", "eval_utils", "hash_utils", "packaging_utils", "pip_utils"),
    "randomify",
)

# Uber's name -> ours; None is a name that only holds others
_MODULES: dict[str, str | None] = {
    ROOT: None,
    f"{ROOT}.loader": f"{_HERE}.loader",
    f"{ROOT}.packagers": f"{_HERE}.uber.compat_packagers",
    f"{ROOT}.registry": f"{_HERE}.registry",
    f"{ROOT}.neuropod_native": f"{_HERE}.neuropod_native",
    f"{ROOT}.utils": f"{_HERE}.utils",
    **{f"{ROOT}.utils.{name}": f"{_HERE}.utils.{name}" for name in _UTILS},
    f"{ROOT}.backends": None,
    f"{ROOT}.backends.config_utils": f"{_HERE}.utils.config_utils",  # its place in 0.2.0, the last stable version
    **{f"{ROOT}.backends.{name}": None for name in ("keras", "python", "pytorch", "tensorflow", "torchscript")},
    **{
        f"{ROOT}.backends.{name}.packager": f"{_HERE}.uber.compat_packagers"
        for name in ("keras", "python", "pytorch", "tensorflow", "torchscript")
    },
    f"{ROOT}.backends.python.utils": f"{_HERE}.uber.preinstall",
}

_installed: dict[str, ModuleType] = {}


def install() -> None:
    """Makes `neuropod` and its modules importable in this process; a second call does nothing.

    Raises NeuropodError where another `neuropod` has been imported already.
    """
    other = sys.modules.get(ROOT)
    if other is not None and other is not _installed.get(ROOT):
        where = getattr(other, "__file__", None) or "this process"
        raise NeuropodError(f"another module 'neuropod' is already imported, from {where}; install before it is")
    made = {name: _module(name, ours) for name, ours in _MODULES.items()}
    for name, module in made.items():
        parent, _, last = name.rpartition(".")
        if parent and _MODULES[parent] is None:
            setattr(made[parent], last, module)
    _installed.update(made)
    sys.modules.update(made)


def uninstall() -> None:
    """Removes the names again; code that imported them keeps what it has."""
    while _installed:
        name, module = _installed.popitem()
        if sys.modules.get(name) is module:
            del sys.modules[name]


def is_installed() -> bool:
    return sys.modules.get(ROOT) is not None and sys.modules.get(ROOT) is _installed.get(ROOT)


def _module(name: str, ours: str | None) -> ModuleType:
    if name in _installed:
        return _installed[name]
    if ours is not None:
        return importlib.import_module(ours)
    module = ModuleType(name, f"Uber's {name}, answered by {_HERE}.")
    module.__path__ = []  # a package, which holds nothing that is not named above
    if name == ROOT:
        module.__version__ = VERSION  # type: ignore[attr-defined]
    return module
