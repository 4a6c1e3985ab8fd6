"""The decorators with which users of Uber's library wrote their own packagers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..pack.packing import PackOptions, pack
from ..package.config import Config

__all__ = ["expand_default_kwargs", "packager", "set_packager_docstring"]

_DOC_PRE = "The keywords of every packager: see perceptum.neuropod.pack.packing.PackOptions."
_OPTIONS = tuple(PackOptions.__dataclass_fields__)


def set_packager_docstring(f: Callable[..., Any]) -> Callable[..., Any]:
    """Fills {common_doc_pre} and {common_doc_post} in a function's docstring."""
    f.__doc__ = (f.__doc__ or "").replace("{common_doc_pre}", _DOC_PRE).replace("{common_doc_post}", "")
    return f


def expand_default_kwargs(
    deps: Iterable[Callable[..., Any]],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a function `neuropod_default_args`: the defaults of `deps` and its own, later ones before earlier."""

    def add(f: Callable[..., Any]) -> Callable[..., Any]:
        merged: dict[str, Any] = {}
        for one in (*deps, f):
            merged |= getattr(one, "neuropod_default_args", None) or _defaults(one)
        f.neuropod_default_args = merged  # type: ignore[attr-defined]
        return f

    return add


def packager(platform: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a packager of a function that writes a model into the folder `neuropod_path`."""

    def make(f: Callable[..., None]) -> Callable[..., None]:
        @expand_default_kwargs([f])
        def create(**kwargs: Any) -> None:
            own = _accepted(f, kwargs)

            def write(folder: Path, _: Config) -> None:
                f(**{**own, "neuropod_path": str(folder)})

            common: Any = {name: value for name, value in kwargs.items() if name in _OPTIONS}
            pack(platform, common, write)

        create.__name__, create.__doc__ = f.__name__, f.__doc__
        return set_packager_docstring(create)

    return make


def _defaults(f: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(f).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _accepted(f: Callable[..., Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(f).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return dict(kwargs)
    return {name: value for name, value in kwargs.items() if name in parameters}
