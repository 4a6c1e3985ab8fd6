"""The built-in schema: one line per family. Others' features come in by the entry points `perceptum.features`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from . import ego, lidar
from .schema import Schema

__all__ = ["canonical"]

VERSION = "1.0.0"

_FAMILIES = (
    lidar.FEATURES,
    ego.FEATURES,
)


@cache
def canonical() -> Schema:
    """Returns the built-in schema, with the features of installed plug-ins at its end."""
    own = tuple(feature for family in _FAMILIES for feature in family)
    others = tuple(f for entry in entry_points(group="perceptum.features") for f in entry.load().FEATURES)
    return Schema("canonical", VERSION, own + others)
