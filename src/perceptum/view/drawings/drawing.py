"""How a kind of tensor is drawn: from above on the ground, as pictures, or as numbers in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ground import Ground
from .kind import Kind

__all__ = ["Behind", "Drawing", "InWords", "OnGround", "Picture", "Pictures", "Reach", "nowhere"]

Reach = tuple[float, float, float, float]
"""xmin ymin xmax ymax, metres, in the frame of reference."""

Behind = Callable[[Any, Sequence[Any]], Mapping[str, Mapping[str, Any]]]
"""From a group's Params and the spec's other rows, resolved: group -> the params by which it is to be built too."""


def nowhere(params: Any) -> Reach | None:
    """Returns None: the tensor may hold what lies anywhere."""
    return None


def _nothing(params: Any, rows: Sequence[Any]) -> Mapping[str, Mapping[str, Any]]:
    return {}


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture, with what is drawn into it."""

    title: str
    pixels: NDArray[Any]
    """(H, W, 3) uint8, or (H, W) numbers, NaN where there is nothing."""
    points: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 3)))
    """(n, 3) u, v and depth, px and m; pixel centres are whole numbers."""
    point_size: float = 1.2
    lines: tuple[tuple[NDArray[Any], str], ...] = ()
    """(m, 2, 2) from u v to u v, and a colour."""
    unit: str = ""
    """Of numbers."""


@dataclass(frozen=True, kw_only=True)
class _Any:
    needs: tuple[str, ...] = ()
    """Features of the group without which it is not drawn; they are built too where a spec does not ask for them."""
    also: tuple[str, ...] = ()
    """Features of the group that are built too where the sizes that a spec fixes allow it."""
    behind: Behind = _nothing


@dataclass(frozen=True, kw_only=True)
class OnGround(_Any):
    """Seen from above: x up, y to the left."""

    draw: Callable[[Ground, Kind], str]
    """Draws and returns what there is, in a few words; raises NotDrawn."""
    reach: Callable[[Any], Reach | None] = nowhere
    """From the params: the ground that the tensor shows."""
    cells: bool = False
    """Whether it has cells, all of which are to be seen; lines and boxes may lead out of the panel."""


@dataclass(frozen=True, kw_only=True)
class Pictures(_Any):
    """Pictures side by side."""

    pictures: Callable[[Kind], Sequence[Picture]]
    """Raises NotDrawn."""


@dataclass(frozen=True, kw_only=True)
class InWords(_Any):
    """A few numbers."""

    lines: Callable[[Kind], Sequence[str]]


Drawing = OnGround | Pictures | InWords
