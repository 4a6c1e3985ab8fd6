"""map_rgb."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import SpecError
from perceptum.features.map.layers import terms_of
from perceptum.features.map.rgb import Paint, RgbParams

from ..kernels.map.painting import paint
from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .around import MapAround
from .bits import Pen
from .laid import laid
from .layers import report_missing, sheet_of, without_any
from .square import Square

__all__ = ["MapRgb"]


class MapRgb(Filler):
    def __init__(self, params: RgbParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = f"map picture ({len(params.paints)} paints)"
        self.around = stages.share(MapAround, params.reference())
        x, y, _ = params.grid.size
        fine = (x * params.samples, y * params.samples)
        self._pen = Pen(fine, "center")
        widest = max(one.line_width for one in params.paints)
        self._square = Square(params.range, params.cell / params.samples, centre=True, margin_m=widest)
        self._names = [tuple(term.layer for term in terms_of(one.layer)) for one in params.paints]
        self._bits = np.zeros((fine[1], -(-fine[0] // 64)), np.uint64)
        by_heading = any(one.color == "heading" for one in params.paints)
        self._pieces = np.zeros(fine[::-1] if by_heading else (0, 0), np.int32)
        self._picture = np.zeros((3, y, x), np.float32)
        self._us, self._vs = (np.zeros(2) for _ in (0, 1))

    @property
    def nbytes(self) -> int:
        return self._pen.nbytes + self._bits.nbytes + self._pieces.nbytes + self._picture.nbytes

    def want(self, feature: str, dtype: str) -> None:
        if dtype == "uint8" and self.params.values != "0-255":
            raise SpecError(f"'{feature}' as uint8 holds values from 0 to 255: take values 0-255, or float32")

    def run(self, sample: Sample) -> None:
        params, around = self.params, self.around
        self._picture[...] = np.array(params.background, np.float32)[:, None, None]
        if around.map is None:
            around.report_none("no map", params.required)
            return
        place = self._square.place(around)
        missing: set[str] = set()
        for one, names in zip(params.paints, self._names, strict=True):
            missing |= self._paint(one, names, place)
        report_missing(around, missing, params.required)

    def _paint(self, one: Paint, names: tuple[str, ...], place: NDArray[np.float64]) -> set[str]:
        """Paints some layers; returns them where the map has none of them."""
        by_heading = one.color == "heading"
        sheet = sheet_of(self.around, (names,), one.draw == "outline" or by_heading)
        reach = 0.5 * one.line_width * self.params.samples / self.params.cell
        pieces = self._pieces if by_heading else self._pieces[:0, :0]
        self._bits.fill(0)
        self._pen.draw(sheet, place, reach, self._bits[None], pieces)
        color = np.array((0, 0, 0) if isinstance(one.color, str) else one.color, dtype=np.float64)
        numbers = (sheet.points, place, self._pieces, self._us, self._vs)
        paint(self._bits, self.params.samples, color, by_heading, *numbers, self._picture)
        return without_any([names], sheet.missing)

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        picture = laid(self._picture, self.params)
        if out.dtype == np.uint8:
            np.rint(picture, out=out, casting="unsafe")
        elif self.params.values == "0-1":
            np.divide(picture, np.float32(255), out=out)
        else:
            out[...] = picture
