"""Which voxels there are, and in which rows: parameters that lidar's voxels and pillars and radar's voxels have."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Literal, Protocol

from .collate import Concat
from .feature import Feature
from .grid import Grid
from .parameter import About

__all__ = ["CoordOrder", "MaxVoxels", "MinRows", "Overflow", "RowOrder", "VoxelRows", "cap_of_rows"]
__all__ += ["coords_and_counts", "key_of_rows"]

MaxVoxels = Annotated[
    int | None,
    About("At most this many voxels, the first ones; null: all (dynamic voxelization).", "count", least=1),
]
Overflow = Annotated[
    Literal["continue", "break"],
    About("When max_voxels are taken and a point needs another: skip that point, or stop at it."),
]
RowOrder = Annotated[
    Literal["first_seen", "sorted", "sorted_xyz"],
    About(
        "The order of the rows, once max_voxels has cut. first_seen: that of their first points; sorted: by z, then y, "
        "then x, as mmdetection3d's DynamicScatter; sorted_xyz: by x, then y, then z, as OpenPCDet's dynamic VFEs."
    ),
]
CoordOrder = Annotated[Literal["zyx", "xyz"], About("The columns of the coords.")]
MinRows = Annotated[
    int,
    About(
        "Fewer voxels than this are followed by zero rows up to it, for runtimes that fail on none.", "count", least=0
    ),
]


class VoxelRows(Protocol):
    """Params that have these parameters beside those of a cloud."""

    @property
    def grid(self) -> Grid: ...
    @property
    def max_voxels(self) -> int | None: ...
    @property
    def overflow(self) -> str: ...
    @property
    def min_rows(self) -> int: ...
    def count_key(self) -> Hashable: ...


def key_of_rows(params: VoxelRows) -> Hashable:
    """Returns what alone decides how many rows there are: those of equal keys may share a symbol."""
    overflow = None if params.max_voxels is None else params.overflow
    return ("voxel rows", params.count_key(), params.grid, params.max_voxels, overflow, params.min_rows)


def cap_of_rows(params: VoxelRows) -> int | None:
    """Returns the most rows there can be, where a parameter bounds them."""
    return None if params.max_voxels is None else max(params.max_voxels, params.min_rows)


def coords_and_counts(of: str, rows: str, thing: str = "voxel") -> tuple[Feature, Feature]:
    """Returns the features OF_coords and OF_num_points, a row for each of the `rows`, as the size is called."""
    coords = Feature(
        name=f"{of}_coords",
        dtypes=("int32",),
        shape=(rows, 3),
        units="cell",
        frame="reference",
        cut="first_rows",
        collate=Concat(index="column"),
        prose=f"Each {thing}'s cell, z y x by default.",
    )
    counts = Feature(
        name=f"{of}_num_points",
        dtypes=("int32",),
        shape=(rows,),
        units="count",
        frame="none",
        cut="first_rows",
        collate=Concat(),
        prose=f"How many of a {thing}'s P slots are real; 0 in padding rows.",
    )
    return coords, counts
