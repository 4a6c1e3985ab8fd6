"""The built-in schema: one line per family. Others' features come in by the entry points `perceptum.features`."""

from __future__ import annotations

from functools import cache

from . import ego, lidar
from .plug_ins import plug_ins
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
    others = tuple(feature for plug_in in plug_ins() for feature in plug_in.features)
    return Schema("canonical", VERSION, own + others)
