"""Which part of a picture is wanted, and how small: some of its rows, at a whole fraction of its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import BrokenRecord, LogError

__all__ = ["PicturePart", "room_for"]

Pixels = NDArray[np.uint8]

_FRACTIONS = (1, 2, 4, 8)


@dataclass(frozen=True)
class PicturePart:
    """Rows of a picture that is made smaller."""

    rows: tuple[int, int] | None = None
    """The first row and the one after the last, of the picture as it is after reduction; None: all."""
    reduce: int = 1
    """1, 2, 4 or 8: height and width are divided by it and rounded up."""

    def __post_init__(self) -> None:
        if self.reduce not in _FRACTIONS:
            raise LogError(f"decode: reduce is {self.reduce!r}, wanted 1, 2, 4 or 8")
        if self.rows is not None and not 0 <= self.rows[0] <= self.rows[1]:
            raise LogError(f"decode: rows are {self.rows!r}, wanted the first and the one after the last, from 0")

    def shape(self, size: tuple[int, int], source: str) -> tuple[int, int, int]:
        """The part's shape, of a picture of (height, width); raises BrokenRecord where that has fewer rows."""
        height, width = (-(-n // self.reduce) for n in size)
        first, last = self.rows or (0, height)
        if last > height:
            smaller = f" at 1/{self.reduce} of its size" if self.reduce > 1 else ""
            raise BrokenRecord(f"{source}: the picture has {height} rows{smaller}, wanted rows {first} to {last - 1}")
        return (last - first, width, 3)

    def whole_rows(self, size: tuple[int, int], source: str) -> tuple[int, int]:
        """The rows of the picture itself, of (height, width), that the part is made of; raises as `shape` does."""
        count = self.shape(size, source)[0]
        first = self.rows[0] if self.rows is not None else 0
        return first * self.reduce, min((first + count) * self.reduce, size[0])

    def of(
        self, image: Pixels, source: str, out: Pixels | None = None, scratch: Pixels | None = None, first_row: int = 0
    ) -> Pixels:
        """Returns the part of a picture, (H, W, 3) uint8: a view of it, or what `room_for` gives, written.

        Smaller by the mean of reduce x reduce pixels, of as many as there are at the right and lower edges; halves are
        rounded up. image: the rows of the picture from `first_row`; at least those that the part is made of.
        """
        if self.rows is not None:
            first, last = self.whole_rows((first_row + len(image), image.shape[1]), source)
            image = image[first - first_row : last - first_row]
        if self.reduce > 1:
            from .box_mean_kernel import box_mean

            shape = (-(-len(image) // self.reduce), -(-image.shape[1] // self.reduce), 3)
            room = room_for(shape, source, out, scratch)
            means = room if room.flags.c_contiguous else np.empty(shape, np.uint8)
            box_mean(np.ascontiguousarray(image), self.reduce, means)
            image = means
        if out is None:
            return image
        if image is not out:
            room_for(image.shape, source, out)[...] = image
        return out


def room_for(shape: tuple[int, ...], source: str, out: Pixels | None = None, scratch: Pixels | None = None) -> Pixels:
    """Returns an array of that shape: `out`, else the beginning of `scratch`, else a new one.

    Raises BrokenRecord where the picture does not fit, LogError where `scratch` is not memory for pixels.
    """
    if out is not None:
        if out.shape != shape:
            raise BrokenRecord(f"{source}: the picture is {shape}, the buffer for it is {out.shape}")
        return out
    if scratch is None:
        return np.empty(shape, np.uint8)
    if scratch.dtype != np.uint8 or scratch.ndim != 1 or not scratch.flags.c_contiguous or not scratch.flags.writeable:
        raise LogError(
            f"decode: scratch is {scratch.dtype} {scratch.shape}, wanted one dimension of uint8 to be written to, "
            "without gaps"
        )
    count = shape[0] * shape[1] * shape[2]
    if count > len(scratch):
        raise BrokenRecord(f"{source}: the picture is {shape}, {count} bytes; the scratch for it has {len(scratch)}")
    return scratch[:count].reshape(shape)
