"""OpenDRIVE's plan view: where the reference line is at each s, and which way it points. After ASAM OpenDRIVE 1.8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord

from .safe_xml import number, word

__all__ = ["Cubics", "Floats", "Geometry", "geometry_of", "reference_line"]

Floats = NDArray[np.float64]

# exact to 1e-12 over a panel of 1 rad
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_PANEL_RAD = 1.0
_MOST_RAD = 1e4
_TABLE = 256
_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Geometry:
    """One piece of a reference line."""

    kind: str
    """line, arc, spiral, poly3, paramPoly3."""
    s: float
    x: float
    y: float
    heading_rad: float
    length_m: float
    numbers: tuple[float, ...] = ()
    """arc: curvature; spiral: curvature at both ends; poly3: a b c d; paramPoly3: aU bU cU dU aV bV cV dV."""
    normalized: bool = False
    """paramPoly3: the parameter goes from 0 to 1, not to the length; files that do not say mean this."""

    def at(self, along: Floats) -> tuple[Floats, Floats, Floats]:
        """Returns x, y and heading at the lengths `along` (k,) from its start."""
        u, v, turned = self._local(along)
        cosine, sine = np.cos(self.heading_rad), np.sin(self.heading_rad)
        return self.x + cosine * u - sine * v, self.y + sine * u + cosine * v, self.heading_rad + turned

    def _local(self, along: Floats) -> tuple[Floats, Floats, Floats]:
        if self.kind == "line":
            return along, np.zeros_like(along), np.zeros_like(along)
        if self.kind == "poly3":
            return self._cubic(along)
        if self.kind == "paramPoly3":
            return self._parametric(along)
        start, end = self.numbers if self.kind == "spiral" else self.numbers * 2
        return _turning(along, start, (end - start) / self.length_m if self.length_m else 0.0)

    def _parametric(self, along: Floats) -> tuple[Floats, Floats, Floats]:
        p = along / self.length_m if self.normalized and self.length_m else along
        (u, du), (v, dv) = _cubic(self.numbers[:4], p), _cubic(self.numbers[4:], p)
        return u, v, np.arctan2(dv, du)

    def _cubic(self, along: Floats) -> tuple[Floats, Floats, Floats]:
        """v over u; u where the curve's own length is `along`, from a table."""
        table = np.linspace(0.0, self.length_m, _TABLE)
        steps = np.hypot(np.diff(table), np.diff(_cubic(self.numbers, table)[0]))
        u = np.interp(along, np.concatenate([[0.0], np.cumsum(steps)]), table)
        v, slope = _cubic(self.numbers, u)
        return u, v, np.arctan(slope)


def _cubic(numbers: Sequence[float], p: Floats) -> tuple[Floats, Floats]:
    """Returns the value and the slope of a + b p + c p^2 + d p^3."""
    a, b, c, d = numbers
    return a + p * (b + p * (c + p * d)), b + p * (2 * c + p * 3 * d)


def _turning(along: Floats, curvature: float, change: float) -> tuple[Floats, Floats, Floats]:
    """A curve whose curvature grows evenly (an Euler spiral, an arc): the integral of its heading.

    By Gauss and Legendre from each length to the next, on panels over which it turns at most 1 rad, so that no case is
    near a singular one, and a long road costs no more than its points.
    """
    order = np.argsort(along)
    ends = along[order]
    begins = np.concatenate([[0.0], ends[:-1]])[: len(ends)]
    steps = ends - begins
    turned = (abs(curvature) + abs(change) * ends) * steps
    panels = int(np.ceil(min(float(np.max(turned, initial=0.0)), _MOST_RAD) / _PANEL_RAD)) + 1
    fractions = ((_NODES + 1) / 2 + np.arange(panels)[:, None]).ravel() / panels
    weights = np.tile(_WEIGHTS / 2, panels) / panels
    moved = np.empty((2, len(ends)))
    rows = max(_AT_ONCE // len(fractions), 1)
    for part in (slice(i, i + rows) for i in range(0, len(ends), rows)):
        t = begins[part, None] + steps[part, None] * fractions
        heading = t * (curvature + change / 2 * t)
        moved[:, part] = steps[part] * (np.cos(heading) @ weights), steps[part] * (np.sin(heading) @ weights)
    u, v = np.empty_like(ends), np.empty_like(ends)
    u[order], v[order] = np.cumsum(moved, axis=1)
    return u, v, along * (curvature + change / 2 * along)


def geometry_of(path: Path, element: Element) -> Geometry:
    """Returns the piece that a <geometry> describes; raises BrokenRecord."""
    shape = next(iter(element), None)
    kinds = {
        "line": (),
        "arc": ("curvature",),
        "spiral": ("curvStart", "curvEnd"),
        "poly3": ("a", "b", "c", "d"),
        "paramPoly3": ("aU", "bU", "cU", "dU", "aV", "bV", "cV", "dV"),
    }
    if shape is None or shape.tag not in kinds:
        found = "nothing" if shape is None else f"<{shape.tag[:40]}>"
        raise BrokenRecord(f"{path}: a <geometry> holds {found}, wanted one of {', '.join(kinds)}")
    s, x, y, heading_rad, length_m = (number(path, element, name) for name in ("s", "x", "y", "hdg", "length"))
    numbers = tuple(number(path, shape, name) for name in kinds[shape.tag])
    turned = max(map(abs, numbers), default=0.0) * length_m if shape.tag in ("arc", "spiral") else 0.0
    if length_m < 0 or turned > _MOST_RAD:
        raise BrokenRecord(
            f"{path}: a <{shape.tag}> of {length_m} m turns by {turned} rad, wanted >= 0 m and at most {_MOST_RAD} rad"
        )
    # version 1.4: without pRange the parameter is normalized; esmini and libOpenDRIVE read it so, too
    normalized = word(path, shape, "pRange", ("normalized", "arcLength")) != "arcLength"
    return Geometry(shape.tag, s, x, y, heading_rad, length_m, numbers, normalized)


def reference_line(pieces: Sequence[Geometry], s: Floats) -> tuple[Floats, Floats, Floats]:
    """Returns x, y and heading at each s (k,); beyond the ends, the ends."""
    starts = np.array([piece.s for piece in pieces])
    which = np.clip(np.searchsorted(starts, s, side="right") - 1, 0, len(pieces) - 1)
    out = np.empty((3, len(s)))
    for i in np.unique(which):
        rows = which == i
        out[:, rows] = pieces[i].at(np.clip(s[rows] - pieces[i].s, 0.0, pieces[i].length_m))
    return out[0], out[1], out[2]


@dataclass(frozen=True)
class Cubics:
    """Cubic polynomials one after another, as elevation, widths and offsets are given; 0 before the first."""

    starts: Floats
    coefficients: Floats
    """(n, 4) a b c d, of the distance from the start."""

    @classmethod
    def of(cls, path: Path, elements: Sequence[Element], start: str = "s") -> Cubics:
        rows = [tuple(number(path, e, name, 0.0) for name in (start, "a", "b", "c", "d")) for e in elements]
        # by the start alone: of two with one start the later in the file holds
        rows.sort(key=lambda row: row[0])
        table = np.array(rows, dtype=np.float64).reshape(-1, 5)
        return cls(table[:, 0], table[:, 1:])

    def at(self, s: Floats) -> Floats:
        """Returns the value (k,) at each s (k,)."""
        if not len(self.starts):
            return np.zeros_like(s)
        which = np.searchsorted(self.starts, s, side="right") - 1
        rows = np.maximum(which, 0)
        ds = s - self.starts[rows]
        a, b, c, d = self.coefficients[rows].T
        return np.where(which >= 0, a + ds * (b + ds * (c + ds * d)), 0.0)
