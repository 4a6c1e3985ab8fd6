"""The built-in schema: one line per family. Others' features come in by the entry points `perceptum.features`."""

from __future__ import annotations

import logging
from functools import cache

from . import ego, lidar
from .errors import SpecError
from .plug_ins import plug_ins
from .schema import Schema

__all__ = ["canonical"]

_log = logging.getLogger(__name__)

VERSION = "1.0.0"

_FAMILIES = (
    lidar.FEATURES,
    ego.FEATURES,
)


@cache
def canonical() -> Schema:
    """Returns the built-in schema, with the features of installed plug-ins at its end."""
    schema = Schema("canonical", VERSION, tuple(feature for family in _FAMILIES for feature in family))
    for plug_in in plug_ins():
        try:
            schema = Schema(schema.name, schema.version, schema.features + plug_in.features)
        except SpecError as error:
            _log.warning("plug-in '%s' is left out: %s; mend or uninstall it", plug_in.name, error)
    return schema
