"""platform_version_semver: which versions of its framework a package runs with, in npm's range language."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..errors import NeuropodError

__all__ = ["check_range", "check_version", "framework_version"]


# nodesemver takes minutes over a long hostile range: 195 s for 60 kB
MOST_CHARACTERS = 256


def framework_version(module: str, import_it: Callable[[], Any]) -> str:
    """Returns a framework's version, without importing it where the installed packages tell: that can take seconds."""
    if module not in sys.modules:
        try:
            return version(module)
        except PackageNotFoundError:  # absent, or installed under another name, as onnxruntime-gpu is
            pass
    return str(import_it().__version__)


def check_range(wanted: str) -> None:
    """Raises NeuropodError where `wanted` is not a range of versions, as npm writes them."""
    import nodesemver

    try:
        if not isinstance(wanted, str) or len(wanted) > MOST_CHARACTERS:
            raise ValueError(wanted)
        nodesemver.make_range(wanted, loose=False)
    except ValueError:
        raise NeuropodError(
            f"platform_version_semver {str(wanted)[:MOST_CHARACTERS]!r} is not a version range; "
            "write 1.13.1, '> 1.13.1' or '1.4.0 - 1.6.0'"
        ) from None


def check_version(platform: str, version: str, wanted: str) -> None:
    """Raises NeuropodError where the framework's version is outside the range, or the range is none.

    "2.13.0+cpu" counts as 2.13.0: what stands after the three numbers says how it was built.
    """
    import nodesemver

    check_range(wanted)
    plain = _plain(version)
    if not nodesemver.satisfies(plain, wanted, loose=False):
        raise NeuropodError(
            f"the package needs {platform} '{wanted}', this is {plain}; install a version in that range, or pack again"
        )


def _plain(version: str) -> str:
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise NeuropodError(f"cannot read the framework's version '{version}'")
    major, minor, patch = found.groups(default="0")
    return f"{major}.{minor}.{patch}"
