"""What can be known of a cycle: what was recorded, and what follows from that."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from perceptum.features.radar import BLOCKS, CODES_OF

from ..kernels.radar import OUT, RAW

__all__ = ["SHOWN", "VELOCITIES", "Known", "known_of"]

SHOWN = (*OUT, *BLOCKS)
"""The columns of a spec, in the kernel's order."""
VELOCITIES = ("vx", "vy", "vx_comp", "vy_comp", "v_radial", "v_radial_comp")


@dataclass(frozen=True)
class Known:
    """Of the wanted columns, in the order of SHOWN."""

    lacks: tuple[str, ...]
    """Those that the record does not have, and that do not follow from what it has."""
    by_motion: tuple[str, ...]
    """Those that follow from velocities relative to the sensor and the sensor's own."""
    along_ray: tuple[str, ...]
    """Velocities of which only the radial part was recorded, as a number."""


def known_of(has: Collection[str], wanted: Collection[str], rays: bool, full: bool) -> Known:
    """Returns what can be known of a record with some columns, as kernels.radar.place works it out.

    rays: whether it is known where they start. full: whether the record's vectors are more than their part along the
    ray.
    """
    vector, radial = {"vx", "vy"} <= set(has), "v_radial" in has
    vector_comp, radial_comp = {"vx_comp", "vy_comp"} <= set(has), "v_radial_comp" in has
    given = _these(vector or (radial and rays), "vx", "vy") | _these(radial or (vector and rays), "v_radial")
    given |= _these(vector_comp or (radial_comp and rays), "vx_comp", "vy_comp")
    given |= _these(radial_comp or (vector_comp and rays), "v_radial_comp")
    measured = (vector or radial) and rays
    moved = _these((vector and full) or measured, "vx_comp", "vy_comp") | _these(measured, "v_radial_comp")
    speeds = set(wanted).intersection(VELOCITIES)
    lacks = speeds - given - moved | _these(not rays, "azimuth", "range") & set(wanted)
    for name in set(wanted) - speeds:
        recorded = CODES_OF.get(name, name)
        if recorded in RAW and recorded not in has:
            lacks.add(name)
    whole_comp = vector_comp or (vector and full and not (radial_comp and rays))
    along = _these(not vector, "vx", "vy") | _these(not whole_comp, "vx_comp", "vy_comp")
    return Known(_in_order(lacks), _in_order((speeds & moved) - given), _in_order((speeds & along) - lacks))


def _these(known: bool, *names: str) -> set[str]:
    return set(names) if known else set()


def _in_order(names: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in SHOWN if name in names)
