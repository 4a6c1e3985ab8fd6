"""How the tensors of several frames become one: a new first axis, or one after the other."""

from __future__ import annotations

from typing import Literal

import msgspec

from .errors import SpecError

__all__ = ["Collate", "Concat", "Stack"]


class Stack(msgspec.Struct, frozen=True, tag="stack"):
    """A new first axis: one place per frame."""


class Concat(msgspec.Struct, frozen=True, tag="concat"):
    """One frame after the other along an axis; `<group>_batch_ptr` says where each begins."""

    axis: int = 0
    index: Literal["column", "offset"] | None = None
    """column: the frame's number becomes a first column. offset: the values, which count rows of `offset_of`, are
    raised by the rows that the frames before have there, as edges of a graph need it."""
    offset_of: str | None = None
    """The feature whose rows the values count."""

    def __post_init__(self) -> None:
        if not isinstance(self.axis, int) or isinstance(self.axis, bool) or self.axis < 0:
            raise SpecError(f"Concat: axis must be 0 or more, got {self.axis!r}")
        if self.index not in ("column", "offset", None):
            raise SpecError(f'Concat: index must be "column", "offset" or None, got {self.index!r}')
        if (self.index == "offset") != (self.offset_of is not None):
            raise SpecError(f'Concat: index "offset" and offset_of go together, got {self.index!r}, {self.offset_of!r}')
        if self.index == "column" and self.axis != 0:
            raise SpecError(f'Concat: index "column" wants axis 0, got {self.axis}')


Collate = Stack | Concat
