"""Uber's `preinstall_deps`: it installed a code package's requirements before the package came."""

from __future__ import annotations

from ..package import requirements as lock_file

__all__ = ["preinstall_deps"]


def preinstall_deps(backend_version: str, requirements: str) -> None:
    """Checks that the requirements are installed in this Python; raises NeuropodError that names the first that is not.

    Code packages run in this Python, with what it has installed: nothing is downloaded, and `backend_version`, once the
    version of the Python to install for, is not looked at.
    """
    lock_file.check_installed(lock_file.compile_lock(requirements), "preinstall_deps")
