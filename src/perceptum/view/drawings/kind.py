"""What was built of one kind: the tensors of one group and suffix of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

__all__ = ["Kind", "NotDrawn"]


class NotDrawn(Exception):
    """What cannot be drawn, and why, in a few words."""


@dataclass(frozen=True, eq=False)
class Kind:
    """The tensors of a group, and what must be known to draw them."""

    group: str
    suffix: str
    params: Any
    """The group's Params."""
    asked: tuple[str, ...]
    """The names of the tensors that the spec asks for, with their suffix."""
    tensors: Mapping[str, NDArray[Any]]
    """Feature, without the suffix -> its tensor; also those that only the drawing needs."""
    cameras: tuple[str, ...] = ()
    """The log's, which tensors of all cameras are in the order of."""
    behind: Mapping[str, Kind] = field(default_factory=dict)
    """Group -> what was built of it to draw this."""

    @property
    def title(self) -> str:
        return f"{self.group}__{self.suffix}" if self.suffix else self.group

    @property
    def frame(self) -> str:
        """The frame of reference; empty where the group has none."""
        return str(getattr(self.params, "frame", ""))

    def __getitem__(self, feature: str) -> NDArray[Any]:
        return self.tensors[feature]
