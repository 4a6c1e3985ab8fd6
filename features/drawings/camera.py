"""Camera tensors."""

from __future__ import annotations

from typing import Any

from .axes import aligned, axes_of, few

__all__ = [
    "camera_axes",
    "camera_depth",
    "camera_images",
    "camera_pixels",
    "lidar_camera_pixels",
    "radar_camera_points",
]

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
        [*first, *(["For each camera:"] if every else []), *aligned(rows), "", *camera_pixels(params).split("\n")]
    )


def radar_camera_points(params: Any) -> str:
    """[camera, row, column]: as many rows as a camera sees. Wants `columns` and `image`."""
    names = few(params.columns, 7)
    dots, none = ["." for _ in names], ["0" for _ in names]
    rows = [["", *names], ["row 0", *dots], ["..."] + [""] * len(dots), ["row n-1", *dots], ["row n", *none]]
    rows += [["..."] + [""] * len(dots), ["row Q-1", *none]]
    head = ["tensor[camera, row, column]; n of each camera is radar_camera_num_points", ""]
    return "\n".join([*head, *aligned(rows), "", *camera_pixels(params).split("\n")])


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
            *axes_of(params),
        ]
    )
