"""Families: lidar, radar, ego, ... as they are listed; a plug-in's features are one of its own."""

from __future__ import annotations

from collections.abc import Iterable

from .group import Group
from .plug_ins import plug_ins

__all__ = ["families_of", "family_of"]


def family_of(group: Group) -> str:
    """Returns the word before the underscore: lidar of lidar_voxels; targets for what is one, and for a plug-in's group
    the plug-in's name."""
    if group.filler is not None:
        for plug_in in plug_ins():
            if group.name in {own.name for own in plug_in.groups}:
                return plug_in.name
    return "targets" if group.features[0].target else group.name.partition("_")[0]


def families_of(groups: Iterable[Group]) -> dict[str, tuple[Group, ...]]:
    """Returns family -> its groups, in their order."""
    families: dict[str, tuple[Group, ...]] = {}
    for group in groups:
        family = family_of(group)
        families[family] = (*families.get(family, ()), group)
    return families
