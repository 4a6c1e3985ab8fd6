"""platform_version_semver: which versions of its framework a package runs with, in npm's range language."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

from ..errors import NeuropodError

__all__ = ["check_range", "check_version", "for_pip", "framework_version", "plain", "satisfies"]


# nodesemver takes minutes over a long hostile range: 195 s for 60 kB
MOST_CHARACTERS = 256


def framework_version(module: str, import_it: Callable[[], Any]) -> str:
    """Returns a framework's version, without importing it if the installed packages say it: that can take seconds."""
    if module not in sys.modules:
        # late, as in `find_backend`
        from importlib.metadata import PackageNotFoundError, version

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


def satisfies(version: str, wanted: str) -> bool:
    """Returns whether a version is in a range, which `check_range` has let pass.

    "2.13.0+cpu" counts as 2.13.0: what stands after the three numbers says how it was built.
    """
    import nodesemver

    return bool(nodesemver.satisfies(plain(version), wanted, loose=False))


def check_version(platform: str, version: str, wanted: str) -> None:
    """Raises NeuropodError where the framework's version is outside the range, or the range is none."""
    check_range(wanted)
    if not satisfies(version, wanted):
        raise NeuropodError(
            f"the package needs {platform} '{wanted}', this is {plain(version)}; "
            "install a version in that range, or pack again"
        )


def for_pip(wanted: str) -> str:
    """Returns a range as pip writes it, "" for any version: ">=1.4.0,<=1.6.0". Of several ranges it is the last."""
    import nodesemver

    check_range(wanted)
    last = nodesemver.make_range(wanted, loose=False).set[-1]
    # a comparator without an operator is one version, or any
    bounds = [f"{c.operator or '=='}{c.semver}" for c in last if c.operator is not None]
    return ",".join(bounds)


def plain(version: str) -> str:
    """Returns the three numbers of a version; raises NeuropodError where it does not begin with two."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise NeuropodError(f"cannot read the framework's version '{version}'")
    major, minor, patch = found.groups(default="0")
    return f"{major}.{minor}.{patch}"
