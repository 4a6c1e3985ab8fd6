"""Uber's registry of compiled backends, for code that fills it. Backends here are Python: see `backends`."""

from __future__ import annotations

import warnings

from .neuropod_native import BackendLoadSpec

__all__ = ["register_backend"]

_REGISTERED_BACKENDS: list[BackendLoadSpec] = []


def register_backend(platform: str, version: str, so_path: str) -> None:
    """Notes the backend's library, and warns that it is not used: a Python backend runs the platform's packages."""
    _REGISTERED_BACKENDS.append(BackendLoadSpec(platform, version, so_path))
    warnings.warn(
        f"register_backend('{platform}', '{version}', '{so_path}') has no effect: perceptum runs {platform} packages "
        "with a backend in Python; add one by the entry point perceptum.backends",
        stacklevel=2,
    )
