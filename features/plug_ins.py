"""What others' packages add to the features: modules named by the entry points `perceptum.features`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .feature import Feature

__all__ = ["PlugIn", "plug_ins"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlugIn:
    """One package's part."""

    name: str
    features: tuple[Feature, ...]
    fillers: tuple[Any, ...]
    """Classes of builders/stage.py, which this folder does not know."""


@cache
def plug_ins() -> tuple[PlugIn, ...]:
    """Returns the installed plug-ins; one that cannot be loaded is left out, which is a warning, said once."""
    loaded = (_load(entry) for entry in entry_points(group="perceptum.features"))
    return tuple(plug_in for plug_in in loaded if plug_in is not None)


def _load(entry: EntryPoint) -> PlugIn | None:
    try:
        module = entry.load()
        plug_in = PlugIn(entry.name, tuple(module.FEATURES), tuple(module.FILLERS))
        _check(plug_in)
        return plug_in
    # a package of others may raise anything when it is imported, and that stops no build that does not use it
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        _log.warning(
            "plug-in '%s' (%s) cannot be loaded, so that its features are unknown: %s: %s; mend or uninstall it",
            entry.name,
            entry.value,
            type(error).__name__,
            said,
        )
        return None


def _check(plug_in: PlugIn) -> None:
    for feature in plug_in.features:
        if not isinstance(feature, Feature):
            raise TypeError(f"FEATURES holds {feature!r}, which is no Feature")
    for filler in plug_in.fillers:
        if not hasattr(filler, "group"):
            raise TypeError(f"FILLERS holds {filler!r}, which has no group")
