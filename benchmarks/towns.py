"""A town as a map: as dense as nuScenes' maps, some ten thousand shapes on 5 km2, without any data."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from perceptum.datasets import memory_log
from perceptum.inputs import HDMap, Log, Poses, Shapes

__all__ = ["town", "town_log"]

BLOCKS, BLOCK_M, HALF_ROAD_M, WALK_M = 22, 100.0, 7.5, 3.0
T0 = 1_700_000_000_000_000_000


def _bent(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Streets are seldom straight: places of a square grid in the town, turned and far from the origin."""
    x, y = xy.T
    bent = np.column_stack([x + 9 * np.sin(y / 160) + 3 * np.sin(y / 37), y + 8 * np.sin(x / 190) + 3 * np.sin(x / 41)])
    c, s = np.cos(0.4), np.sin(0.4)
    return bent @ np.array([[c, s], [-s, c]]) + [1200.0, 900.0]


def _street(k: int, n: int, along: int, low: float, high: float, step: float = 2.0) -> NDArray[np.float64]:
    """Returns the ring of the strip between two distances across street k, along its n-th block."""
    way = np.arange(n * BLOCK_M + HALF_ROAD_M, (n + 1) * BLOCK_M - HALF_ROAD_M + step, step)
    one, other = (np.column_stack([way, np.full(len(way), k * BLOCK_M + across)]) for across in (low, high))
    ring = np.concatenate([one, other[::-1]])
    return _bent(ring if along == 0 else ring[:, ::-1])


def _box(x: float, y: float, half: float, corners: int) -> NDArray[np.float64]:
    side = np.linspace(-half, half, corners + 1)[:-1]
    full = np.full(corners, half)
    edges = [(side, -full), (full, side), (-side, full), (-full, -side)]
    return _bent(np.concatenate([np.column_stack(edge) for edge in edges]) + np.array([x, y]))


@cache
def town() -> HDMap:
    """Returns the map: areas, some of them with holes, and lines."""
    areas: dict[str, dict[str, NDArray[np.float64]]] = {
        name: {} for name in ("drivable_area", "crossing", "walkway", "stop_line", "carpark_area", "carpark_area_holes")
    }
    lines: dict[str, dict[str, NDArray[np.float64]]] = {"road_divider": {}, "lane_divider": {}}
    for k in range(BLOCKS):
        for n in range(BLOCKS):
            x, y = n * BLOCK_M, k * BLOCK_M
            areas["drivable_area"][f"crossroads {k} {n}"] = _box(x, y, HALF_ROAD_M + 0.5, 10)
            areas["carpark_area"][f"{k} {n}"] = _box(x + 50, y + 50, 20, 5)
            areas["carpark_area_holes"][f"{k} {n}/0"] = _box(x + 45, y + 52, 5, 2)
            for along in range(2):
                id = f"{k} {n} {along}"
                areas["drivable_area"][id] = _street(k, n, along, -HALF_ROAD_M, HALF_ROAD_M)
                for side in (-1, 1):
                    edge = side * HALF_ROAD_M
                    areas["walkway"][f"{id} {side}"] = _street(k, n, along, *sorted((edge, edge + side * WALK_M)))
                    lines["lane_divider"][f"{id} {side}"] = _middle(k, n, along, side * HALF_ROAD_M / 2)
                    for what, out, wide in (("crossing", 10.0, 3.0), ("stop_line", 12.5, 0.8)):
                        areas[what][f"{id} {side}"] = _across(k, n, along, side * out, wide)
                lines["road_divider"][id] = _middle(k, n, along, 0.0)
    layers = {name: Shapes.of("polygon", shapes) for name, shapes in areas.items()}
    return HDMap(layers | {name: Shapes.of("line", shapes) for name, shapes in lines.items()})


def _middle(k: int, n: int, along: int, across: float) -> NDArray[np.float64]:
    ring = _street(k, n, along, across, across)
    return ring[: len(ring) // 2]


def _across(k: int, n: int, along: int, out: float, wide: float) -> NDArray[np.float64]:
    """Returns a strip across a street, so far from the middle of the crossroads."""
    low, high = n * BLOCK_M + out - wide / 2, n * BLOCK_M + out + wide / 2
    across = HALF_ROAD_M * np.array([-1, 1, 1, -1]) + k * BLOCK_M
    ring = np.column_stack([[low, low, high, high], across])
    return _bent(ring if along == 0 else ring[:, ::-1])


def town_log(frames: int = 20) -> Log:
    """Returns a log without sensors, of a drive across the town."""
    way = np.linspace(300, 1700, frames)
    xy = _bent(np.column_stack([way, 1000 + 0 * way]))
    heading = np.arctan2(*np.gradient(xy, axis=0).T[::-1])
    turns = np.column_stack([np.cos(heading / 2), 0 * way, 0 * way, np.sin(heading / 2)])
    times = T0 + np.arange(frames) * 500_000_000
    return memory_log([], hdmap=town(), poses=Poses(times, turns, np.column_stack([xy, 0 * way])), times_ns=times)
