"""The HD map as named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import BrokenRecord, LogError
from ..hdmap import LANE_EXTRAS, GroundGrid, HDMap, LaneGraph, Shapes

__all__ = ["arrays_of_map", "map_of_arrays"]

Arrays = Mapping[str, NDArray[Any]]

_OLD_NAMES: Mapping[str, str] = {"sidewalk": "walkway", "stop_zone": "stop_line"}
"""Layers of stores that an earlier Perceptum wrote, of the synthetic street and of py123d."""

_LINES = ("centerlines", "left_boundaries", "right_boundaries")
_LANE_TABLES = ("successors", "neighbors", "is_intersection", "lane_type")
_LANE_KINDS = {"successors": "i", "neighbors": "i", "is_intersection": "b", "lane_type": "U"}


def arrays_of_map(hdmap: HDMap) -> dict[str, NDArray[Any]]:
    """Returns layers/NAME/points and so on; the layers stay in their order."""
    found: dict[str, NDArray[Any]] = {}
    for name, shapes in hdmap.layers.items():
        found |= _of_shapes(f"layers/{name}", shapes)
    if hdmap.lanes is not None:
        for name in _LINES:
            found |= _of_shapes(f"lanes/{name}", getattr(hdmap.lanes, name))
        found |= {f"lanes/{name}": np.asarray(getattr(hdmap.lanes, name)) for name in _LANE_TABLES}
        extras = {name: getattr(hdmap.lanes, name) for name in LANE_EXTRAS}
        found |= {f"lanes/{name}": values for name, values in extras.items() if values is not None}
    if hdmap.ground is not None:
        ground = hdmap.ground
        found |= {"ground/height": ground.height, "ground/rotation": ground.rotation}
        found |= {"ground/translation": ground.translation, "ground/scale": np.float64(ground.scale).reshape(1)}
    if hdmap.unread:
        found["unread"] = np.array(hdmap.unread)
    return found


def _of_shapes(prefix: str, shapes: Shapes) -> dict[str, NDArray[Any]]:
    return {
        f"{prefix}/kind": np.array([shapes.kind]),
        f"{prefix}/points": shapes.points,
        f"{prefix}/starts": shapes.starts,
        f"{prefix}/ids": shapes.ids,
    }


def map_of_arrays(where: str, arrays: Arrays) -> HDMap:
    """Returns the map, with the given arrays; raises BrokenRecord."""
    layers = [name[len("layers/") : -len("/kind")] for name in arrays if _is_layer(name)]
    try:
        return HDMap(
            layers={_OLD_NAMES.get(name, name): _shapes(arrays, f"layers/{name}") for name in layers},
            lanes=_lanes(arrays) if "lanes/successors" in arrays else None,
            ground=_ground(arrays) if "ground/height" in arrays else None,
            unread=tuple(map(str, _of(arrays, "unread", "U", 1))) if "unread" in arrays else (),
        )
    except KeyError as error:
        raise BrokenRecord(f"{where}: no array {error}; convert again") from None
    except (LogError, ValueError, IndexError) as error:
        raise BrokenRecord(f"{where}: {error}") from error


def _is_layer(name: str) -> bool:
    return name.startswith("layers/") and name.endswith("/kind")


def _shapes(arrays: Arrays, prefix: str) -> Shapes:
    points = _of(arrays, f"{prefix}/points", "f", 2)
    starts, ids = _of(arrays, f"{prefix}/starts", "i", 1), _of(arrays, f"{prefix}/ids", "U", 1)
    kind = str(_of(arrays, f"{prefix}/kind", "U", 1)[0])
    if kind not in ("polygon", "line") or points.shape[1] != 3:
        raise BrokenRecord(f"{prefix} is {kind[:20]!r} of points {points.shape}, wanted polygon or line of (P, 3)")
    return Shapes(cast(Any, kind), points, starts, ids)


def _lanes(arrays: Arrays) -> LaneGraph:
    lines = {name: _shapes(arrays, f"lanes/{name}") for name in _LINES}
    n = len(lines["centerlines"])
    tables = {name: arrays[f"lanes/{name}"] for name in _LANE_TABLES}
    for name, table in tables.items():
        wanted = (len(table), 2) if name == "successors" else (n, 2) if name == "neighbors" else (n,)
        if table.dtype.kind != _LANE_KINDS[name] or table.shape != wanted:
            raise BrokenRecord(f"lanes/{name} is {table.dtype} {table.shape}, wanted {wanted} for {n} lanes")
    extras: dict[str, Any] = {name: arrays.get(f"lanes/{name}") for name in LANE_EXTRAS}
    return LaneGraph(
        lines["centerlines"],
        lines["left_boundaries"],
        lines["right_boundaries"],
        *(tables[name] for name in _LANE_TABLES),
        **extras,
    )


def _ground(arrays: Arrays) -> GroundGrid:
    rotation, translation = _of(arrays, "ground/rotation", "f", 2), _of(arrays, "ground/translation", "f", 1)
    if rotation.shape != (2, 2) or translation.shape != (2,):
        raise BrokenRecord(f"ground is placed by {rotation.shape} and {translation.shape}, wanted (2, 2) and (2,)")
    scale = float(_of(arrays, "ground/scale", "f", 1)[0])
    return GroundGrid(_of(arrays, "ground/height", "f", 2), rotation, translation, scale)


def _of(arrays: Arrays, name: str, kind: str, ndim: int) -> NDArray[Any]:
    array = arrays[name]
    if array.dtype.kind != kind or array.ndim != ndim:
        raise BrokenRecord(f"{name} is {array.dtype} {array.shape}, wanted {ndim} dimensions of kind {kind}")
    return array
