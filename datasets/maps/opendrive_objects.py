"""OpenDRIVE's crosswalks: objects beside a road, as corners along it, in their own axes, or as length and width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from perceptum.inputs import BrokenRecord, Matrix

from .opendrive_roads import Road
from .safe_xml import number, yes

__all__ = ["crosswalks", "outline_of"]


def crosswalks(file: Path, road: Road) -> Iterator[tuple[str, Matrix]]:
    """Yields id and (k, 3) corners; raises BrokenRecord for one without at least three."""
    for index, element in enumerate(road.crosswalks):
        corners = _corners(file, road, element)
        if len(corners) > 1 and np.allclose(corners[0], corners[-1]):
            corners = corners[:-1]
        if len(corners) < 3:
            raise BrokenRecord(f"{file}: a crosswalk of road '{road.id}' has {len(corners)} corners, wanted 3 or more")
        yield f"{road.id}/{element.get('id', index)}", corners


def outline_of(file: Path, element: Element) -> Element:
    """Returns the first outer outline of an object; the object itself, which has no corners, where there is none."""
    return next((outline for outline in element.iter("outline") if yes(file, outline, "outer", True)), element)


def _corners(file: Path, road: Road, element: Element) -> Matrix:
    """(k, 3): given along the road, or in the crosswalk's own axes, or as length and width about its middle."""
    outline = outline_of(file, element)
    along_road = [[number(file, c, n, 0.0) for n in ("s", "t", "dz")] for c in outline.iterfind("cornerRoad")]
    if along_road:
        s, t, up = np.array(along_road).T
        corners: Matrix = road.place(s, t)
        corners[:, 2] += up
        return corners
    own = np.array([[number(file, c, n, 0.0) for n in ("u", "v", "z")] for c in outline.iterfind("cornerLocal")])
    if not len(own):
        length, width = (number(file, element, name, 0.0) / 2 for name in ("length", "width"))
        own = np.array([[length, width, 0], [-length, width, 0], [-length, -width, 0], [length, -width, 0]])
    s, t = (np.array([number(file, element, name, 0.0)]) for name in ("s", "t"))
    ahead = road.place(s + 1e-3, t)[0] - road.place(s - 1e-3, t)[0]
    heading_rad = np.arctan2(ahead[1], ahead[0]) + number(file, element, "hdg", 0.0)
    cosine, sine = np.cos(heading_rad), np.sin(heading_rad)
    turned = np.stack([cosine * own[:, 0] - sine * own[:, 1], sine * own[:, 0] + cosine * own[:, 1], own[:, 2]], axis=1)
    turned += road.place(s, t)[0]
    turned[:, 2] += number(file, element, "zOffset", 0.0)
    return turned
