"""What others' packages add to the features: modules named by the entry points `perceptum.features`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from perceptum.foreign import said

from .errors import SpecError
from .group import Group

__all__ = ["PlugIn", "load_plug_in", "plug_ins"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlugIn:
    """One package's part."""

    name: str
    groups: tuple[Group, ...]


@cache
def plug_ins() -> tuple[PlugIn, ...]:
    """Returns the installed plug-ins; one that cannot be loaded is left out, with one warning."""
    loaded = (_load(entry) for entry in entry_points(group="perceptum.features"))
    return tuple(plug_in for plug_in in loaded if plug_in is not None)


def load_plug_in(entry: EntryPoint) -> PlugIn:
    """Returns the plug-in of an entry point; raises SpecError that says why it cannot be loaded."""
    try:
        module = entry.load()
        plug_in = PlugIn(entry.name, tuple(module.GROUPS))
        for group in plug_in.groups:
            if not isinstance(group, Group):
                raise TypeError(f"GROUPS holds {group!r}, which is not a Group")
        return plug_in
    except KeyboardInterrupt:
        raise
    # a package of others may raise anything when it is imported, SystemExit too, and that stops no build without it
    except BaseException as error:
        raise SpecError(said(error)) from error


def _load(entry: EntryPoint) -> PlugIn | None:
    try:
        return load_plug_in(entry)
    except SpecError as error:
        _log.warning(
            "plug-in '%s' (%s) cannot be loaded, so its features are unknown: %s; fix or uninstall it",
            entry.name,
            entry.value,
            error,
        )
        return None
