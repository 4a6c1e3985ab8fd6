"""What is seen from above, of any family."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .axes import AS_A_PICTURE, arrows, ends, frame

__all__ = ["birds_eye", "birds_eye_over_time", "heatmap", "radar_birds_eye"]


def birds_eye(params: Any) -> str:
    """[.., row, column] from above, as a picture is shown. Wants `grid`, `bev_layout`, `flip_x` and `flip_y`."""
    return "\n".join([f"tensor[{', '.join(params.bev_layout.lower())}], {AS_A_PICTURE}", "", *_picture(params)])


def birds_eye_over_time(params: Any) -> str:
    """The same for several times. Wants `time_axis`, `layout`, `oldest_first` and `order()` besides."""
    axes = params.bev_layout if params.time_axis == "merged" else params.order()
    size = params.dims()
    times, slices = size["T"], size["Z"]
    channel = f"t * {slices} + z" if params.layout == "TZ" else f"z * {times} + t"
    first, last = ("oldest", "newest") if params.oldest_first else ("newest", "oldest")
    lines = [
        f"tensor[{', '.join(axes).lower()}], {AS_A_PICTURE}",
        *([f"c = {channel}"] if params.time_axis == "merged" else []),
        f"t = 0 is the {first} sweep, t = {times - 1} the {last}; z = 0 is the lowest slice",
    ]
    return "\n".join([*lines, "", *_picture(params)])


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


def heatmap(params: Any) -> str:
    """[.., row, column] from above, of the cells of a map. Wants `grid`, `stride`, `bev_layout` and `map_size()`."""
    x, y = params.map_size()
    ends = [
        low + n * voxel * params.stride
        for low, n, voxel in zip(params.grid.range[:2], (x, y), params.grid.voxel[:2], strict=True)
    ]
    seen = SimpleNamespace(size=(x, y, 1), range=(*params.grid.range[:2], 0.0, *ends), coordinates="xyz")
    laid = SimpleNamespace(grid=seen, bev_layout=params.bev_layout, flip_x=False, flip_y=False, frame=params.frame)
    return "\n".join([f"map[{', '.join(params.bev_layout.lower())}], {AS_A_PICTURE}", "", *_picture(laid)])


def _picture(params: Any) -> list[str]:
    down, across = (axis.lower() for axis in params.bev_layout if axis != "C")
    grown = {axis: not flipped for axis, flipped in (("x", params.flip_x), ("y", params.flip_y))}
    first_row, last_row = ends(params, down, grown[down])
    first_column, last_column = ends(params, across, grown[across])
    size = dict(zip("xyz", params.grid.size, strict=True))
    margin = ["row 0", first_row, "", f"row {size[down] - 1}", last_row]
    wide = max(map(len, margin))
    inside = max(30, len(first_column) + len(last_column) + 4)
    edge = f"{'':{wide}}  +{'-' * inside}+"
    body = [line.ljust(9).center(inside) for line in ("", *arrows(down, grown[down], across, grown[across]), "")]
    return [
        f"{'':{wide}}   {'column 0':<{inside - 14}}{f'column {size[across] - 1}':>14}",
        f"{'':{wide}}   {first_column}{last_column:>{inside - len(first_column)}}",
        edge,
        *(f"{text:<{wide}}  |{line}|" for text, line in zip(margin, body, strict=True)),
        edge,
        "",
        *frame(params),
    ]
