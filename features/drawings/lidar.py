"""Lidar tensors."""

from __future__ import annotations

from typing import Any

from .axes import aligned, axes_of, few

__all__ = ["pillars", "points", "range_image", "voxels"]


def points(params: Any) -> str:
    """[row, column]: one row per point. Wants `columns`."""
    names = few(params.column_names(), 6)
    dots = ["." for _ in names]
    lines = aligned([["", *names], ["row 0", *dots], ["row 1", *dots], ["..."] + [""] * len(dots), ["row n-1", *dots]])
    order = ["The newest first, each record in its own order."]
    return "\n".join([*lines, "", *order, "", *axes_of(params)])


def voxels(params: Any) -> str:
    """[voxel, slot, column], and the cell and count of each voxel. Wants `columns`, `order` and `coord_order`."""
    return _rows_of_cells("voxel", params)


def pillars(params: Any) -> str:
    """As voxels, with what a slot is decorated with below. Wants what `PillarsParams` has."""
    raw = params.columns if params.absolute_xyz else params.columns[3:]
    parts = [
        ("columns", raw),
        ("from the mean of the pillar's points", ("x", "y", "z") if params.cluster_offset else ()),
        ("from the pillar's centre", "" if params.center_offset == "none" else params.center_offset),
        ("distance from the origin", ("d",) if params.with_distance else ()),
    ]
    slot = [[what, " ".join(part)] for what, part in parts if len(part)]
    along = " ".join(params.center_offset)
    legacy = ["", f"Of the columns, {along} are from the pillar's centre too (legacy)."] if params.legacy else []
    said = [f"A slot's D = {params.width} numbers, in order:", *aligned(slot), *legacy]
    return "\n".join([_rows_of_cells("pillar", params), "", *said])


def _rows_of_cells(thing: str, params: Any) -> str:
    point = f"[{' '.join(few(params.column_names(), 3))}]"
    nothing = "0".center(len(point))
    cell = f"cell [{' '.join(params.coord_order)}]"
    rows = [
        ["", "slot 0", "slot 1", "...", "slot P-1", cell, "num_points"],
        [f"{thing} 0", point, point, "...", point, ". . .", "P"],
        [f"{thing} 1", point, nothing, "...", nothing, ". . .", "1"],
        ["...", "", "", "", "", "", ""],
        [f"{thing} M-1", point, point, "...", nothing, ". . .", "2"],
    ]
    said = [_ORDERS[params.order].format(thing.capitalize()), "Cell 0 0 0 is at the grid's lowest corner."]
    return "\n".join([*aligned(rows), "", *said, "", *axes_of(params)])


_ORDERS = {
    "first_seen": "{0} 0 is the one whose point came first.",
    "sorted": "The rows are in the order of their cells: by z, then y, then x.",
    "sorted_xyz": "The rows are in the order of their cells: by x, then y, then z.",
}


def range_image(params: Any) -> str:
    """[.., row, column] as the sensor sees it. Wants `rows`, `fov`, `azimuth_fov`, `width` and `padded_width()`."""
    (left, right), (upper, lower) = params.azimuth_fov, params.fov
    edges = ("the highest beam", "the lowest beam") if params.rows == "ring" else (f"{upper:+g} deg", f"{lower:+g} deg")
    parts = range(5)
    numbers = [f"{min(params.width * part // 4, params.width - 1):^10}" for part in parts]
    looks = [f"{_direction(left + (right - left) * part / 4):^10}" for part in parts]
    added = params.padded_width() - params.width
    side = "-" * 52
    return "\n".join(
        [
            f"tensor[c, row, column]; columns run {'clockwise' if left > right else 'counterclockwise'}",
            "",
            "column  " + " ".join(numbers).rstrip(),
            "azimuth " + " ".join(looks).rstrip(),
            f"row 0   +{side}+  {edges[0]}",
            f"        |{'':{len(side)}}|",
            f"row {params.height - 1:<4}+{side}+  {edges[1]}",
            "",
            *([f"Behind the last column are {added} more, which show nothing."] if added else []),
            "Azimuth in degrees, from the lidar's own x axis towards its y axis.",
        ]
    )


def _direction(azimuth_deg: float) -> str:
    """Returns an azimuth within -180 to 180, with the axis that it looks along."""
    turned = (azimuth_deg + 180) % 360 - 180
    axis = {0.0: " +x", 90.0: " +y", -90.0: " -y", -180.0: " -x"}.get(turned, "")
    return f"{azimuth_deg if abs(azimuth_deg) <= 180 else turned:g}{axis}"
