"""How others draw a map on a grid: with OpenCV, fed by numpy, by shapely, and as nuscenes-devkit does it.

What can be made of the map once is; each returns a call that draws it around one place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity

from perceptum.inputs import HDMap, Shapes

__all__ = ["CELL", "RANGE", "SIZE", "Draw", "as_devkit", "by_numpy", "by_shapely"]

RANGE, CELL, SIZE = (-50.0, -50.0, 50.0, 50.0), 0.5, 200

Draw = Callable[[NDArray[np.float64], float], NDArray[np.uint8]]
"""From world_from_ref (4, 4), and the height in the world of what has none in the map, to (L, y, x)."""


def _shapes(hdmap: HDMap, name: str) -> Shapes:
    if name in hdmap.layers:
        return hdmap.layers[name]
    lanes = hdmap.lanes
    assert lanes is not None
    if name == "lane_centerline":
        return lanes.centerlines
    parts = [own[k] for own in (lanes.left_boundaries, lanes.right_boundaries) for k in range(len(own))]
    return Shapes.of("line", {str(k): part for k, part in enumerate(parts)})


def _terms(hdmap: HDMap, layers: tuple[str, ...]) -> list[tuple[int, Shapes, dict[int, list[NDArray[np.float64]]]]]:
    """Returns channel, shapes and the holes of each."""
    found = []
    for channel, said in enumerate(layers):
        for name in said.split("+"):
            shapes, holes = _shapes(hdmap, name), hdmap.layers.get(f"{name}_holes")
            at = {id: k for k, id in enumerate(shapes.ids)}
            of: dict[int, list[NDArray[np.float64]]] = {}
            for k, id in enumerate([] if holes is None else holes.ids):
                assert holes is not None
                of.setdefault(at[id.rpartition("/")[0]], []).append(holes[k][:, :2])
            found.append((channel, shapes, of))
    return found


def by_numpy(hdmap: HDMap, layers: tuple[str, ...]) -> Draw:
    """The quickest that OpenCV and numpy do: boxes, one product for all corners of a layer, each shape drawn."""
    terms = [
        (channel, shapes.kind, shapes.bounds, [shapes[k] for k in range(len(shapes))], holes)
        for channel, shapes, holes in _terms(hdmap, layers)
    ]

    def draw(pose: NDArray[np.float64], height_m: float) -> NDArray[np.uint8]:
        (xmin, ymin), (xmax, ymax) = _window(pose)
        place = np.linalg.inv(pose)[:2] / CELL
        place[:, 3] -= np.array(RANGE[:2]) / CELL
        out = np.zeros((len(layers), SIZE, SIZE), np.uint8)
        for channel, kind, b, parts, holes in terms:
            near = np.flatnonzero((b[:, 0] <= xmax) & (b[:, 2] >= xmin) & (b[:, 1] <= ymax) & (b[:, 3] >= ymin))
            if not len(near):
                continue
            rings = [parts[k] for k in near]
            points = np.concatenate(rings)
            points[:, 2][np.isnan(points[:, 2])] = height_m
            cells = points @ place[:, :3].T + place[:, 3]
            cells = (cells.round() if kind == "polygon" else cells).astype(np.int32)
            ends = np.cumsum([len(ring) for ring in rings])[:-1]
            for k, ring in zip(near, np.split(cells, ends), strict=True):
                if kind == "line":
                    cv2.polylines(out[channel], [ring], False, 1, 2)
                    continue
                cv2.fillPoly(out[channel], [ring], 1)
                for hole in holes.get(int(k), ()):
                    cv2.fillPoly(out[channel], [(hole @ place[:, :2].T + place[:, 3]).round().astype(np.int32)], 0)
        return out

    return draw


def _window(pose: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    corners = np.array([[x, y, 0, 1.0] for x in RANGE[::2] for y in RANGE[1::2]]) @ pose[:2].T
    return corners.min(axis=0), corners.max(axis=0)


def by_shapely(hdmap: HDMap, layers: tuple[str, ...]) -> Draw:
    """shapely's own index, its clipping, its affine change of the corners; then OpenCV."""
    terms = []
    for channel, shapes, holes in _terms(hdmap, layers):
        if shapes.kind == "polygon":
            made = [shapely.make_valid(shapely.Polygon(shapes[k][:, :2], holes.get(k))) for k in range(len(shapes))]
        else:
            made = [shapely.LineString(shapes[k][:, :2]) for k in range(len(shapes))]
        terms.append((channel, shapes.kind, shapely.STRtree(made)))

    def draw(pose: NDArray[np.float64], height_m: float) -> NDArray[np.uint8]:
        corners = np.array([(RANGE[0], RANGE[1]), (RANGE[2], RANGE[1]), (RANGE[2], RANGE[3]), (RANGE[0], RANGE[3])])
        patch = shapely.Polygon(corners @ pose[:2, :2].T + pose[:2, 3])
        shapely.prepare(patch)
        turn = np.linalg.inv(pose)[:2] / CELL
        turn[:, 3] -= np.array(RANGE[:2]) / CELL
        out = np.zeros((len(layers), SIZE, SIZE), np.uint8)
        for channel, kind, tree in terms:
            near = tree.geometries[tree.query(patch, predicate="intersects")]
            for one in shapely.intersection(near, patch):
                moved = shapely.transform(one, lambda xy: xy @ turn[:, :2].T + turn[:, 3])
                _draw(moved, kind, out[channel])
        return out

    return draw


def _draw(shape: Any, kind: str, out: NDArray[np.uint8]) -> None:
    for part in getattr(shape, "geoms", [shape]):
        if part.geom_type == "Polygon" and kind == "polygon":
            cv2.fillPoly(out, [np.array(part.exterior.coords).round().astype(np.int32)], 1)
            for hole in part.interiors:
                cv2.fillPoly(out, [np.array(hole.coords).round().astype(np.int32)], 0)
        elif part.geom_type == "LineString" and kind == "line":
            cv2.polylines(out, [np.array(part.coords).astype(np.int32)], False, 1, 2)


def as_devkit(hdmap: HDMap, layers: tuple[str, ...]) -> Draw:
    """What get_map_mask of nuscenes-devkit 1.2 does, in today's shapely: every shape of a layer is made of its nodes
    and clipped, whether near or far; then turned, shifted, clipped again, scaled and drawn."""
    terms = []
    for channel, shapes, holes in _terms(hdmap, layers):
        nodes = [[{"x": float(x), "y": float(y)} for x, y, _ in shapes[k]] for k in range(len(shapes))]
        inner = {k: [[{"x": float(x), "y": float(y)} for x, y in hole] for hole in own] for k, own in holes.items()}
        terms.append((channel, shapes.kind, nodes, inner))

    def draw(pose: NDArray[np.float64], height_m: float) -> NDArray[np.uint8]:
        x, y, angle = pose[0, 3], pose[1, 3], np.degrees(np.arctan2(pose[1, 0], pose[0, 0]))
        local = shapely.box(*RANGE)
        patch = affinity.rotate(affinity.translate(local, x, y), angle, origin=(x, y))
        out = np.zeros((len(layers), SIZE, SIZE), np.uint8)
        for channel, kind, nodes, inner in terms:
            for k, own in enumerate(nodes):
                corners = [(node["x"], node["y"]) for node in own]
                if kind == "line":
                    shape: Any = shapely.LineString(corners)
                else:
                    holes = [[(node["x"], node["y"]) for node in hole] for hole in inner.get(k, ())]
                    shape = shapely.Polygon(corners, holes)
                    if not shape.is_valid:
                        continue
                clipped = shape.intersection(patch)
                if clipped.is_empty:
                    continue
                clipped = affinity.rotate(clipped, -angle, origin=(x, y))
                clipped = affinity.affine_transform(clipped, [1, 0, 0, 1, -x, -y]).intersection(local)
                if clipped.is_empty:
                    continue
                clipped = affinity.affine_transform(clipped, [1, 0, 0, 1, -RANGE[0], -RANGE[1]])
                _draw(affinity.scale(clipped, 1 / CELL, 1 / CELL, origin=(0, 0)), kind, out[channel])
        return out

    return draw
