"""How far apart the rows of a cloud or a picture are: what the message declares, against the bytes that it has."""

from __future__ import annotations

__all__ = ["row_stride"]


def row_stride(declared: int, row_bytes: int, rows: int, size: int) -> int | None:
    """Returns the bytes from one row to the next; None where the rows do not fit in `size` bytes.

    Writers leave the declared step at 0, at one pixel or point, or at the whole cloud: where the bytes are exactly as
    many as the rows have, there is no padding, whatever is declared. One row needs no step.
    """
    if rows <= 1 or size == rows * row_bytes:
        return row_bytes if size >= rows * row_bytes else None
    return declared if declared >= row_bytes and (rows - 1) * declared + row_bytes <= size else None
