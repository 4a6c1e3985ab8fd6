"""What is done to pictures, step by step: made once for pictures of one size, with its tables, for any thread.

A step is given the picture, or so much of it as it said it needs: `rows` from its first row on, `columns` of all.
"""

from __future__ import annotations

from math import cos, pi, radians, sin
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .axes import quads, two_across, two_down, two_floats
from .maps import Maps
from .picture import Canvas, Picture, bench

__all__ = ["Bend", "Blank", "Cut", "PillowResize", "Step", "Turn", "TwoFloatsResize"]
__all__ += ["Resize", "TwoResize", "pillow_place"]

Size = tuple[int, int]
Wanted = NDArray[np.int64]


class Step(Protocol):
    @property
    def nbytes(self) -> int:
        """Of its tables and of what it draws on."""
        ...

    def run(self, picture: Picture) -> Picture: ...


class Resize(Step, Protocol):
    rows: tuple[int, int]
    """Which of the picture's it looks at, half-open."""
    columns: tuple[int, int]


class Blank:
    """Nothing is seen of the picture."""

    def __init__(self, size: Size, dtype: Any) -> None:
        self._canvas, self._dtype = Canvas(*size, 0, 0, 0, 0), np.dtype(dtype)

    @property
    def nbytes(self) -> int:
        return self._canvas.size * int(self._dtype.itemsize)

    def run(self, picture: Picture) -> Picture:
        whole, _ = self._canvas.take("blank", self._dtype)
        self._canvas.blacken(whole)
        return whole


class Cut:
    """As large as it was."""

    def __init__(self, ys: Wanted, xs: Wanted, canvas: Canvas) -> None:
        self.rows, self.columns = (int(ys[0]), int(ys[-1]) + 1), (int(xs[0]), int(xs[-1]) + 1)
        self._canvas = canvas
        self._whole = (canvas.rows, canvas.columns) == (canvas.height, canvas.width)

    @property
    def nbytes(self) -> int:
        return 0 if self._whole else self._canvas.size

    def run(self, picture: Picture) -> Picture:
        seen = picture.part(0, self.columns[0], self._canvas.rows, self._canvas.columns)
        if self._whole:
            return seen
        whole, part = self._canvas.take("resized")
        part.array()[...] = seen.array()
        self._canvas.blacken(whole)
        return whole


class PillowResize:
    """Pillow's resize, bilinear or bicubic: along rows, rounded to bytes, then along columns.

    Pillow 13 goes along columns first where that leaves it less to do: found by trying sizes, not said anywhere.
    """

    def __init__(self, source: Size, resized: Size, ys: Wanted, xs: Wanted, canvas: Canvas, *, cubic: bool) -> None:
        y, x = quads(source[0], resized[0], ys, cubic=cubic), quads(source[1], resized[1], xs, cubic=cubic)
        self.rows, self.columns = (y.begin, y.end), (x.begin, x.end)
        lost_rows, lost_columns = source[0] - resized[0], source[1] - resized[1]
        self._columns_first = lost_rows > 0 and 2 * lost_columns < lost_rows
        self._first, self._second = (y, x) if self._columns_first else (x, y)
        self._canvas = canvas
        # what is resized along rows first: the picture, or the picture turned over
        self._drawn = Canvas(len(xs), len(ys), 0, 0, len(xs), len(ys)) if self._columns_first else canvas
        # rows are worked on by sixteens, and the last results look at quads beyond the last row, times 0
        n = self._second.end - self._second.begin
        self._turned_bytes: int = 192 * (int(self._first.first.max()) + self._first.weights.shape[1])
        row_bytes = 192 * (3 * len(self._first.first) // 48 + 1)
        self._between_bytes: int = (-(-n // 16) * 4 + self._second.weights.shape[1]) * row_bytes + 128

    @property
    def nbytes(self) -> int:
        tables = sum(axis.first.nbytes + axis.weights.nbytes for axis in (self._first, self._second))
        return tables + self._turned_bytes + self._between_bytes + self._canvas.size

    def run(self, picture: Picture) -> Picture:
        (top, bottom), (left, right) = self.rows, self.columns
        seen = picture.part(0, left, bottom - top, right - left)
        whole, part = self._canvas.take("resized")
        if self._columns_first:
            over = np.ascontiguousarray(seen.array().transpose(1, 0, 2))
            drawn, _ = self._drawn.take("turned over")
            self._draw(Picture.of(over), drawn)
            part.array()[...] = drawn.array().transpose(1, 0, 2)
        else:
            self._draw(seen, part)
        self._canvas.blacken(whole)
        return whole

    def _draw(self, seen: Picture, part: Picture) -> None:
        from ..kernels.picture.resizing import by_pillow

        seen = seen.padded()
        by_pillow(
            seen.values,
            seen.begin,
            seen.stride,
            seen.rows,
            seen.last_row(),
            self._first.first,
            self._first.weights,
            self._second.first,
            self._second.weights,
            bench.take("turned quads", self._turned_bytes),
            bench.take("between", self._between_bytes),
            part.values,
            part.begin,
            part.stride,
        )


class TwoResize:
    """OpenCV's INTER_LINEAR of bytes, which at exactly half is the mean of four; at the same size, what they are."""

    def __init__(self, source: Size, resized: Size, ys: Wanted, xs: Wanted, canvas: Canvas) -> None:
        self._y, self._x = two_down(source[0], resized[0], ys), two_across(source[1], resized[1], xs)
        self.rows, self.columns = (self._y.begin, self._y.end), (self._x.begin, self._x.end)
        self._canvas = canvas

    @property
    def nbytes(self) -> int:
        tables = self._x.offsets.nbytes + self._x.shares.nbytes + self._y.places.nbytes + self._y.weights.nbytes
        return tables + 16 * len(self._x.offsets) + self._canvas.size

    def run(self, picture: Picture) -> Picture:
        from ..kernels.picture.resizing import by_two

        (top, bottom), (left, right) = self.rows, self.columns
        seen = picture.part(0, left, bottom - top, right - left).padded()
        whole, part = self._canvas.take("resized")
        by_two(
            seen.values,
            seen.begin,
            seen.stride,
            seen.rows,
            seen.last_row(),
            self._x.offsets,
            self._x.shares,
            self._y.places,
            self._y.weights,
            bench.take("two rows", 8 * len(self._x.offsets), np.int16),
            whole.values,
            part.begin,
            part.stride,
        )
        self._canvas.blacken(whole)
        return whole


class TwoFloatsResize:
    """OpenCV's INTER_LINEAR of float32: of what the table makes of bytes."""

    def __init__(
        self, source: Size, resized: Size, ys: Wanted, xs: Wanted, canvas: Canvas, table: NDArray[np.float32]
    ) -> None:
        self._y, self._x = two_floats(source[0], resized[0], ys), two_floats(source[1], resized[1], xs)
        self.rows, self.columns = (self._y.begin, self._y.end), (self._x.begin, self._x.end)
        self._bytes = 3 * self._x.places
        self._canvas, self._table = canvas, table

    @property
    def nbytes(self) -> int:
        tables = (self._table, self._bytes, self._x.weights, self._y.places, self._y.weights)
        return sum(table.nbytes for table in tables) + 4 * self._canvas.size

    def run(self, picture: Picture) -> Picture:
        from ..kernels.picture.resizing import between_columns

        seen = picture.part(0, self.columns[0], picture.rows, self.columns[1] - self.columns[0])
        whole, part = self._canvas.take("resized", np.float32)
        between_columns(
            seen.values,
            seen.begin,
            seen.stride,
            self._table,
            self._bytes,
            self._x.weights,
            self._y.places,
            self._y.weights,
            whole.values,
            part.begin,
            part.stride,
        )
        self._canvas.blacken(whole)
        return whole


class Bend:
    """OpenCV's remap, INTER_LINEAR, black beyond: of what a part of a picture shows.

    maps: where the part's pixels come from; source: the picture's size; left: the part's first column, so that it is
    found where the whole picture would have it.
    """

    def __init__(self, maps: Maps, source: Size, left: int = 0) -> None:
        from ..kernels.picture.places import rows_seen

        self._maps = (np.ascontiguousarray(maps[0]), np.ascontiguousarray(maps[1]))
        self._source, self._left = source, left
        height, width = self._maps[0].shape
        self._canvas = Canvas(height, width, 0, 0, height, width)
        self.rows = rows_seen(*self._maps, *source)

    @property
    def nbytes(self) -> int:
        return self._maps[0].nbytes + self._maps[1].nbytes + self._canvas.size

    def run(self, picture: Picture) -> Picture:
        from ..kernels.picture.sampling import bent

        whole, _ = self._canvas.take("bent")
        begin = picture.begin - self.rows[0] * picture.stride
        bent(
            picture.values,
            begin,
            picture.stride,
            *self._source,
            *self._maps,
            np.zeros(24, np.uint8),
            whole.values,
            whole.stride,
        )
        return Picture(whole.values, -3 * self._left, whole.stride, whole.rows, whole.columns)


class Turn:
    """OpenCV's warpAffine, INTER_LINEAR, about the picture's middle, of uint8 or float32; 0 beyond."""

    def __init__(self, rotate_deg: float, size: Size, dtype: type[np.uint8 | np.float32]) -> None:
        height, width = size
        self._canvas = Canvas(height, width, 0, 0, height, width)
        self._place = _turned_place(rotate_deg, width, height)
        self._dtype = np.dtype(dtype)

    @property
    def nbytes(self) -> int:
        return self._place.nbytes + self._dtype.itemsize * self._canvas.size

    def run(self, picture: Picture) -> Picture:
        from ..kernels.picture.sampling import turned, turned_floats

        whole, _ = self._canvas.take("turned", self._dtype)
        kernel = turned_floats if self._dtype == np.float32 else turned
        kernel(
            picture.values,
            picture.begin,
            picture.stride,
            picture.rows,
            picture.columns,
            self._place,
            np.zeros(24, self._dtype),
            whole.values,
            whole.stride,
        )
        return whole


def _turned_place(rotate_deg: float, width: int, height: int) -> NDArray[np.float32]:
    """From a pixel of the turned picture to one of the picture: the inverse, as OpenCV works it out in float64."""
    x, y = (width - 1) * 0.5, (height - 1) * 0.5
    a, b = cos(rotate_deg * pi / 180), sin(rotate_deg * pi / 180)
    to = (a, b, (1 - a) * x - b * y), (-b, a, b * x + (1 - a) * y)
    over = 1.0 / (to[0][0] * to[1][1] - to[0][1] * to[1][0])
    a00, a11, a01, a10 = to[1][1] * over, to[0][0] * over, -to[0][1] * over, -to[1][0] * over
    offsets = -a00 * to[0][2] - a01 * to[1][2], -a10 * to[0][2] - a11 * to[1][2]
    return np.array([[a00, a01, offsets[0]], [a10, a11, offsets[1]]]).astype(np.float32)


def pillow_place(rotate_deg: float, width: int, height: int) -> NDArray[np.int64]:
    """The same as Pillow's rotate has it, of the nearest pixel: 16 bits after the point, of the middle of each."""
    rotate_deg %= 360.0
    one, half = 1 << 16, 1 << 15
    if rotate_deg == 180:
        found = [[-one, 0, (width - 1) * one + half], [0, -one, (height - 1) * one + half]]
    elif rotate_deg == 90 and width == height:
        found = [[0, -one, (width - 1) * one + half], [one, 0, half]]
    elif rotate_deg == 270 and width == height:
        found = [[0, one, half], [-one, 0, (height - 1) * one + half]]
    else:
        angle = -radians(rotate_deg)
        a, b = round(cos(angle), 15), round(sin(angle), 15)
        x, y = width / 2.0, height / 2.0
        # as its transform adds them
        offset_x, offset_y = a * -x + b * -y + 0.0 + x, -b * -x + a * -y + 0.0 + y
        rows = ((a, b, offset_x + a * 0.5 + b * 0.5), (-b, a, offset_y + -b * 0.5 + a * 0.5))
        found = [[int(np.floor(value * 65536.0 + 0.5)) for value in row] for row in rows]
    return np.array(found, np.int64)
