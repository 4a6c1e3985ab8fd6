"""The built-in schema: one line per family. Others' features come in by the entry points `perceptum.features`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache

from . import agent, camera, ego, lidar, radar, targets
from . import map as maps
from .errors import SpecError
from .family import families_of
from .group import Group
from .plug_ins import PlugIn, plug_ins
from .schema import Schema

__all__ = ["canonical", "own_families"]

_log = logging.getLogger(__name__)

VERSION = "2.3.0"

_FAMILIES = families_of(
    (
        *lidar.GROUPS,
        *radar.GROUPS,
        *camera.GROUPS,
        *maps.GROUPS,
        *ego.GROUPS,
        *agent.GROUPS,
        *targets.GROUPS,
    )
)


def own_families() -> tuple[str, ...]:
    """Returns the names of the built-in families: lidar, ...; plug-ins are not looked for."""
    return tuple(_FAMILIES)


@cache
def canonical() -> Schema:
    """Returns the built-in schema, with the groups of installed plug-ins at its end."""
    own = schema = Schema("canonical", VERSION, tuple(group for groups in _FAMILIES.values() for group in groups))
    for plug_in in plug_ins():
        groups = tuple(_fitting(own, plug_in))
        try:
            schema = Schema(schema.name, schema.version, schema.groups + groups)
        except SpecError as error:
            _log.warning("plug-in '%s' is left out: %s; fix or uninstall it", plug_in.name, error)
    return schema


def _fitting(own: Schema, plug_in: PlugIn) -> Iterator[Group]:
    """Yields the groups that take no name of ours: they would be filled with our numbers, or ours with theirs."""
    for group in plug_in.groups:
        taken = ["has the name of one of ours"] if group.name in {g.name for g in own.groups} else []
        taken += [f"has the feature '{f.name}', which is ours" for f in group if f.name in own]
        if taken:
            _log.warning(
                "plug-in '%s': its group '%s' %s, and is left out; fix or uninstall it",
                plug_in.name,
                group.name,
                taken[0],
            )
        else:
            yield group
