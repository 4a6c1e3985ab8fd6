"""The map expansion of a made-up nuScenes root: the town of benchmarks/towns.py, laid under its drive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from towns import town, town_log

from perceptum.inputs import HDMap
from perceptum.inputs.poses import inverse

__all__ = ["write_town"]

_TABLES = {"crossing": "ped_crossing"}


def write_town(root: Path, world_from_ego: NDArray[np.float64]) -> None:
    """Writes the town, a street of it under the pose."""
    (path,) = (root / "maps" / "expansion").glob("*.json")
    middle = town_log()[10].world_from_ego
    path.write_text(json.dumps(_expansion(town(), world_from_ego @ inverse(middle))))


def _expansion(hdmap: HDMap, moved: NDArray[np.float64]) -> dict[str, Any]:
    nodes: list[dict[str, Any]] = []
    made: dict[str, list[Any]] = {"polygon": [], "line": []}

    def added(ring: NDArray[np.float64]) -> list[str]:
        first = len(nodes)
        places = (ring[:, :2] @ moved[:2, :2].T + moved[:2, 3]).tolist()
        nodes.extend({"token": str(first + k), "x": x, "y": y} for k, (x, y) in enumerate(places))
        return [str(number) for number in range(first, len(nodes))]

    for name, shapes in hdmap.layers.items():
        if name.endswith("_holes"):
            continue
        inner = hdmap.layers.get(f"{name}_holes")
        holes: dict[str, list[Any]] = {}
        for k, id in enumerate([] if inner is None else inner.ids):
            holes.setdefault(id.rpartition("/")[0], []).append({"node_tokens": added(inner[k])})
        rows = made.setdefault(_TABLES.get(name, name), [])
        for k, id in enumerate(shapes.ids):
            token, corners = f"{name} {id}", added(shapes[k])
            if shapes.kind == "line":
                made["line"].append({"token": token, "node_tokens": corners})
                rows.append({"token": token, "line_token": token})
                continue
            made["polygon"].append({"token": token, "exterior_node_tokens": corners, "holes": holes.get(id, [])})
            own = {"polygon_tokens": [token]} if name == "drivable_area" else {"polygon_token": token}
            rows.append({"token": token, **own})
    return {**made, "node": nodes, "version": "1.3"}
