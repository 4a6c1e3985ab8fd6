"""How the axes of a family's tensors lie, drawn in plain ASCII for a group's parameters: for people only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "birds_eye",
    "birds_eye_over_time",
    "camera_axes",
    "camera_depth",
    "camera_images",
    "camera_pixels",
    "ego_axes",
    "lidar_camera_pixels",
    "pillars",
    "points",
    "radar_birds_eye",
    "radar_camera_points",
    "radar_points",
    "range_image",
    "voxels",
]

_AHEAD_AND_LEFT = {"x": ("behind", "ahead"), "y": ("right", "left")}
"""Axis of the ego frame -> what lies at its low and at its high end."""

_AS_A_PICTURE = "seen as a picture: row 0 above, column 0 on the left"


def points(params: Any) -> str:
    """[row, column]: one row per point. Wants `columns`."""
    names = _few(params.column_names(), 6)
    dots = ["." for _ in names]
    lines = _aligned([["", *names], ["row 0", *dots], ["row 1", *dots], ["..."] + [""] * len(dots), ["row n-1", *dots]])
    order = ["The newest first, each record in its own order."]
    return "\n".join([*lines, "", *order, "", *_axes(params)])


_ORDERS = {
    "first_seen": "{0} 0 is the one whose point came first.",
    "sorted": "The rows are in the order of their cells: by z, then y, then x.",
    "sorted_xyz": "The rows are in the order of their cells: by x, then y, then z.",
}


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
    said = [f"A slot's D = {params.width} numbers, in order:", *_aligned(slot), *legacy]
    return "\n".join([_rows_of_cells("pillar", params), "", *said])


def _rows_of_cells(thing: str, params: Any) -> str:
    point = f"[{' '.join(_few(params.column_names(), 3))}]"
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
    return "\n".join([*_aligned(rows), "", *said, "", *_axes(params)])


def birds_eye(params: Any) -> str:
    """[.., row, column] from above, as a picture is shown. Wants `grid`, `bev_layout`, `flip_x` and `flip_y`."""
    return "\n".join([f"tensor[{', '.join(params.bev_layout.lower())}], {_AS_A_PICTURE}", "", *_picture(params)])


def birds_eye_over_time(params: Any) -> str:
    """The same for several times. Wants `time_axis`, `layout`, `oldest_first` and `order()` besides."""
    axes = params.bev_layout if params.time_axis == "merged" else params.order()
    size = params.dims()
    times, slices = size["T"], size["Z"]
    channel = f"t * {slices} + z" if params.layout == "TZ" else f"z * {times} + t"
    first, last = ("oldest", "newest") if params.oldest_first else ("newest", "oldest")
    lines = [
        f"tensor[{', '.join(axes).lower()}], {_AS_A_PICTURE}",
        *([f"c = {channel}"] if params.time_axis == "merged" else []),
        f"t = 0 is the {first} sweep, t = {times - 1} the {last}; z = 0 is the lowest slice",
    ]
    return "\n".join([*lines, "", *_picture(params)])


def radar_points(params: Any) -> str:
    """The same as for points, and which sign a speed along the ray has."""
    ray = [
        "sensor o . . . . *--->  moves away:   v_radial > 0",
        "sensor o . . <---*      comes nearer: v_radial < 0",
    ]
    return "\n".join([points(params), "", *ray])


def radar_birds_eye(params: Any) -> str:
    """The same as from above, and what each channel holds. Wants `num_sweeps` and `oldest_first` besides."""
    times, (_, _, vx, vy) = params.num_sweeps, params.column_names()
    first, last = ("oldest", "newest") if params.oldest_first else ("newest", "oldest")
    head, *rest = birds_eye(params).split("\n")
    channels = [
        f"c = 0 to {times - 1}: occupancy of each cycle, from the {first} to the {last}",
        f"c = {times}: rcs, c = {times + 1}: {vx}, c = {times + 2}: {vy}",
    ]
    return "\n".join([head, *channels, *rest])


def _picture(params: Any) -> list[str]:
    down, across = (axis.lower() for axis in params.bev_layout if axis != "C")
    grown = {axis: not flipped for axis, flipped in (("x", params.flip_x), ("y", params.flip_y))}
    first_row, last_row = _ends(params, down, grown[down])
    first_column, last_column = _ends(params, across, grown[across])
    size = dict(zip("xyz", params.grid.size, strict=True))
    margin = ["row 0", first_row, "", f"row {size[down] - 1}", last_row]
    wide = max(map(len, margin))
    inside = max(30, len(first_column) + len(last_column) + 4)
    edge = f"{'':{wide}}  +{'-' * inside}+"
    body = [line.ljust(9).center(inside) for line in ("", *_arrows(down, grown[down], across, grown[across]), "")]
    return [
        f"{'':{wide}}   {'column 0':<{inside - 14}}{f'column {size[across] - 1}':>14}",
        f"{'':{wide}}   {first_column}{last_column:>{inside - len(first_column)}}",
        edge,
        *(f"{text:<{wide}}  |{line}|" for text, line in zip(margin, body, strict=True)),
        edge,
        "",
        *_frame(params),
    ]


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


def ego_axes(params: Any) -> str:
    """The vehicle's axes."""
    return "\n".join(
        [
            "The vehicle's axes, seen from above:",
            "",
            "           ^ x forward",
            "           |",
            "y left <---o  z up, towards you",
            "",
            "ego_pose @ [x, y, z, 1] is where a point of the ego frame lies in the world.",
        ]
    )


_PIXELS = {
    "center": [
        "pixel centres lie at whole numbers:",
        "  u = 0     1     2            W-1",
        " |--+--|--+--|--+--|   ...  |--+--|",
        " -.5   .5   1.5                  W-.5",
        "resized by s: u' = s (u + .5) - .5; flipped: u' = W - 1 - u",
    ],
    "published": [
        "as the published pipelines count:",
        " u = 0     1     2           W-1    W",
        "  |-----|-----|-----|   ...  |-----|",
        "resized by s: u' = s u; flipped: u' = W - u",
    ],
}
"""Convention -> where the pixels of a row lie."""


def camera_images(params: Any) -> str:
    """[camera, channel, row, column], or with the channels last. Wants `image`, `layout`, `camera_axis` and
    `channel_order`."""
    axes = ["row", "column"]
    axes = ["channel", *axes] if params.layout == "CHW" else [*axes, "channel"]
    axes = ["camera", *axes] if params.camera_axis else axes
    channels = ", ".join(f"{at} {name}" for at, name in enumerate(params.channel_order))
    return "\n".join([f"tensor[{', '.join(axes)}]", "row 0 above, column 0 on the left", f"channels {channels}"])


def camera_pixels(params: Any) -> str:
    """The pixels of a row, as matrices count them. Wants `image`."""
    lines = ["u to the right, v down; along a row of W pixels", *_PIXELS[params.image.pixel_convention]]
    return "\n".join(lines)


def camera_depth(params: Any) -> str:
    """[camera, row, column], or with a channel, and which pixels a number stands for. Wants `DepthParams`' fields."""
    axes = "camera, 0, row, column" if params.layout == "K1HW" else "camera, row, column"
    of = "point" if params.source == "lidar" else "detection"
    what = {
        "nearest": f"the nearest {of}",
        "last": f"the last {of}",
        "last_of_pixel": f"the nearest of the pixels' last {of}s",
    }[params.collision]
    many = params.stride
    square = f"of {many} x {many} pixels" if many > 1 else "of its pixel"
    return "\n".join(
        [
            f"tensor[{axes}], row 0 above, column 0 on the left",
            f"0 where no {of} falls",
            "",
            *_depth_along(params),
            "",
            f"A number is {what} {square}:",
            f"{_WHICH[params.pixel].format(u='u', s='' if many == 1 else f' / {many}')}.",
        ]
    )


_WHICH = {
    "edge": "column floor(({u} + .5){s})",
    "floor": "column floor({u}{s})",
    "round": "column round({u}{s}), of two the even one",
    "truncate": "column {u}{s} without its fraction",
}
"""Parameter `pixel` -> which column a place falls on."""


def _depth_along(params: Any) -> list[str]:
    """Returns how a depth is measured."""
    if params.depth_along == "ray":
        return ["camera o . . . . . * point", "         --- depth ---"]
    return ["camera o - - - - -+   z forward", "         `  .     |", "              ` . * point", "         - depth -"]


def lidar_camera_pixels(params: Any) -> str:
    """[row, number], or [row, camera, number]: one row per point. Wants `take` and `image`."""
    every = params.take == "all"
    rows = [
        ["", "u v depth", "camera"],
        ["point 0", "[ .  .  . ]", "2"],
        ["point 1", "[ 0  0  0 ]", "-1   seen by none"],
        ["...", "", ""],
        ["point n-1", "[ .  .  . ]", "0"],
    ]
    axes = "point, camera, number" if every else "point, number"
    first = [f"tensor[{axes}]: the rows of lidar_points, in their order", ""]
    return "\n".join(
        [*first, *(["For each camera:"] if every else []), *_aligned(rows), "", *camera_pixels(params).split("\n")]
    )


def radar_camera_points(params: Any) -> str:
    """[camera, row, column]: as many rows as a camera sees. Wants `columns` and `image`."""
    names = _few(params.columns, 7)
    dots, none = ["." for _ in names], ["0" for _ in names]
    rows = [["", *names], ["row 0", *dots], ["..."] + [""] * len(dots), ["row n-1", *dots], ["row n", *none]]
    rows += [["..."] + [""] * len(dots), ["row Q-1", *none]]
    head = ["tensor[camera, row, column]; n of each camera is radar_camera_num_points", ""]
    return "\n".join([*head, *_aligned(rows), "", *camera_pixels(params).split("\n")])


def camera_axes(params: Any) -> str:
    """The camera's axes, and those of the frame of reference. Wants `frame`."""
    return "\n".join(
        [
            "The camera's axes, seen from behind it, as it looks:",
            "",
            "(x) z forward, away from you",
            "  o---> x right",
            "  |",
            "  v y down",
            "",
            "The frame of reference, seen from above:",
            "",
            *_axes(params),
        ]
    )


def _arrows(down: str, down_grows: bool, across: str, across_grows: bool) -> Sequence[str]:
    """Returns three lines: the way in which both axes grow, from where they meet."""
    level = f"o--> {across}" if across_grows else f"{across} <--o"
    at = level.index("o")
    stem = " " * at + "|"
    return [level, stem, f"{' ' * at}v {down}"] if down_grows else [f"{' ' * at}^ {down}", stem, level]


def _ends(params: Any, axis: str, grows: bool) -> tuple[str, str]:
    """Returns where the first and the last cell along an axis begin and end."""
    at = "xyz".index(axis)
    turns = params.grid.coordinates == "cylinder"
    name = {"x": "distance", "y": "azimuth"}[axis] if turns else axis
    low, high = (f"{name} = {bound:g}" for bound in (params.grid.range[at], params.grid.range[at + 3]))
    if params.frame != "lidar" and not turns:
        low, high = (f"{bound} {side}" for bound, side in zip((low, high), _AHEAD_AND_LEFT[axis], strict=True))
    return (low, high) if grows else (high, low)


def _axes(params: Any) -> list[str]:
    """Returns the axes of places, seen from above."""
    return ["      ^ x", "      |     seen from above, z towards you", "y <---o", "", *_frame(params)]


def _frame(params: Any) -> list[str]:
    if params.frame == "lidar":
        return ["In the primary lidar's own axes: where x looks is how it is mounted", "(nuScenes: to the right)."]
    above = ", from the ground on" if params.frame == "ego_ground" else ""
    return [f"In the vehicle's axes: x forward, y left, z up{above}."]


def _few(names: Sequence[str], most: int) -> list[str]:
    """Returns the names, of more than `most` the first ones and two dots."""
    return list(names) if len(names) <= most else [*names[: most - 1], ".."]


def _aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns lines of columns that are as wide as they need be."""
    table = list(rows)
    wide = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(cell.ljust(size) for cell, size in zip(row, wide, strict=True)).rstrip() for row in table]
