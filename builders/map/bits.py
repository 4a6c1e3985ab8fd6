"""Which cells of a square the map's layers cover: what rasters share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.features import ReferenceParams
from perceptum.features.map.layers import terms_of

from ..kernels.map import as_cv2, raster
from ..sample import Sample
from ..scratch import Scratch
from ..stage import Stage, Stages
from .around import MapAround
from .layers import Sheet, report_missing, sheet_of, without_any
from .square import Square

__all__ = ["MapBits", "Pen", "Plane"]

_NO_PIECES = np.zeros((0, 0), np.int32)


@dataclass(frozen=True, eq=False)
class Plane:
    """The cells of a channel that get one value."""

    channel: int
    value: float
    layers: tuple[str, ...]
    bits: NDArray[np.uint64]
    """Its part of `MapBits.bits`."""


class Pen:
    """Draws shapes as bits, with scratch of its own."""

    def __init__(self, size: tuple[int, int], rule: Literal["center", "cv2"]) -> None:
        """size: cells along x and y."""
        self.columns, rows = size
        self._rule = rule
        words = -(-self.columns // 64)
        self._turns, self._inside = (np.zeros((rows, words), np.uint64) for _ in (0, 1))
        self._us, self._vs = Scratch(np.float64), Scratch(np.float64)
        self._xs, self._ys = (np.zeros(4, np.int64) for _ in (0, 1))
        self._is_clean = True

    @property
    def nbytes(self) -> int:
        return sum(own.nbytes for own in (self._turns, self._inside, self._us.array, self._vs.array))

    def draw(
        self,
        sheet: Sheet,
        place: NDArray[np.float64],
        reach: float,
        bits: NDArray[np.uint64],
        pieces: NDArray[np.int32] = _NO_PIECES,
    ) -> None:
        """Sets the bits of a sheet's shapes. reach: half the width of lines, in cells; bits: (planes, Y, W);
        pieces: see `fill_lines`."""
        chosen, runs = sheet.near(place)
        if not len(chosen):
            return
        if not self._is_clean:
            self._turns.fill(0)
            self._inside.fill(0)
        # what is interrupted from here on leaves bits in the scratch
        self._is_clean = False
        us, vs = self._us.reserve(sheet.longest), self._vs.reserve(sheet.longest)
        shapes = (sheet.points, sheet.parts, sheet.first_part, sheet.bounds, chosen, runs, place, self.columns)
        if self._rule == "center":
            raster.fill_sheet(*shapes, reach, us, vs, self._turns, self._inside, bits, pieces)
        else:
            as_cv2.draw_sheet(*shapes, us, vs, self._xs, self._ys, self._turns, self._inside, bits)
        self._is_clean = True


class MapBits(Stage):
    """Yields the planes of the channels, in order; where the log has no map, all is empty."""

    def __init__(
        self,
        reference: ReferenceParams,
        range: tuple[float, float, float, float],
        cell: float,
        size: tuple[int, int],
        layers: tuple[str, ...],
        rule: Literal["center", "cv2"],
        line_width: float,
        required: bool,
        stages: Stages,
    ) -> None:
        """size: cells along x and y."""
        super().__init__()
        self.title = f"map layers ({len(layers)} channels)"
        self.around = stages.share(MapAround, reference)
        self._required = required
        margin_m = line_width if rule == "center" else 2 * cell
        self._square = Square(range, cell, centre=rule == "center", margin_m=margin_m)
        self.columns, rows = size
        drawn = [
            (channel, value, tuple(term.layer for term in terms))
            for channel, said in enumerate(layers)
            for value, terms in groupby(terms_of(said), key=lambda term: term.value)
        ]
        self._names = tuple(names for _, _, names in drawn)
        self._of_channel = [tuple(term.layer for term in terms_of(said)) for said in layers]
        self.bits = np.zeros((len(drawn), rows, -(-self.columns // 64)), np.uint64)
        """(planes, Y, W): cell x of row y is bit x % 64 of [y, x // 64]; beyond the last column anything."""
        self.planes = [Plane(*own, self.bits[k]) for k, own in enumerate(drawn)]
        self.valid = np.zeros(len(layers), np.uint8)
        """(L,) of each channel, whether the log's map has any of its layers."""
        self._pen = Pen(size, rule)
        self._reach = 0.5 * line_width / cell

    @property
    def nbytes(self) -> int:
        return self._pen.nbytes + self.bits.nbytes

    def run(self, sample: Sample) -> None:
        self.bits.fill(0)
        has_map = self.around.map is not None
        self.valid.fill(has_map)
        if not has_map:
            self.around.report_none("no map", self._required)
            return
        place = self._square.place(self.around)
        sheet = sheet_of(self.around, self._names)
        self._pen.draw(sheet, place, self._reach, self.bits)
        if sheet.missing:
            # a dataset without road_divider has those lines in lane_divider: one layer of a union is enough
            for channel, names in enumerate(self._of_channel):
                self.valid[channel] = not sheet.missing.issuperset(names)
            report_missing(self.around, without_any(self._of_channel, sheet.missing), self._required)
