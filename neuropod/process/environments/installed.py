"""What is installed for another Python, read from the names in its folders of packages: no Python is started for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

__all__ = ["canonical_name", "installed_packages"]

# requests-2.32.0.dist-info; an egg's version may be followed by the Python that it is for
_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9].*?)-(?P<version>\d[^-]*?)(-py\d\S*)?\.(dist-info|egg-info)")

# folder -> when it last changed, and what was in it
_KNOWN: dict[str, tuple[int, Mapping[str, str]]] = {}


def canonical_name(name: str) -> str:
    """Returns a distribution's name as indexes compare it: "Scikit_Learn" is "scikit-learn"."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_packages(folders: Iterable[str]) -> dict[str, str]:
    """Returns canonical name -> version of what is installed in these folders; the first that has a name counts."""
    found: dict[str, str] = {}
    for folder in folders:
        for name, version in _read(folder).items():
            found.setdefault(name, version)
    return found


def _read(folder: str) -> Mapping[str, str]:
    try:
        changed_ns = os.stat(folder).st_mtime_ns
        known = _KNOWN.get(folder)
        if known is None or known[0] != changed_ns:
            # read after the time was: what changes meanwhile is seen the next time
            known = _KNOWN[folder] = (changed_ns, dict(_entries(folder)))
    except OSError:
        return {}
    return known[1]


def _entries(folder: str) -> Iterable[tuple[str, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            match = _ENTRY.fullmatch(entry.name)
            # an uninstall that was interrupted leaves folders without it
            if match is not None and (entry.is_file() or _has_metadata(entry.path)):
                yield canonical_name(match["name"]), match["version"]


def _has_metadata(path: str) -> bool:
    return any(os.path.exists(os.path.join(path, name)) for name in ("METADATA", "PKG-INFO"))
