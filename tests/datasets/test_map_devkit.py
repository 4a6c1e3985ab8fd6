"""map_raster by the rule cv2 and get_map_mask of nuscenes-devkit, which runs in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.datasets.nuscenes.map import read_map
from perceptum.inputs import Poses

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parents[1] / ".venv-devkit"
AREAS = {"drivable_area": "drivable_area", "ped_crossing": "crossing", "walkway": "walkway", "carpark_area": None}
LINES = ("road_divider", "lane_divider")
TABLES = ("road_segment", "road_block", "lane", "stop_line", "traffic_light", "lane_connector")
T0 = 1_700_000_000_000_000_000
MOST_THAT_DIFFER = 0.002

pytestmark = pytest.mark.devkit


def hand_written(rng):
    """Returns a map expansion as plain data: areas, some with a hole, and lines, over 300 m."""
    nodes, polygons, lines = [], [], []
    tables = {name: [] for name in (*AREAS, *LINES, *TABLES)}

    def tokens(points):
        start = len(nodes)
        nodes.extend({"token": f"n{start + k}", "x": float(x), "y": float(y)} for k, (x, y) in enumerate(points))
        return [node["token"] for node in nodes[start:]]

    for name in AREAS:
        made = []
        for k in range(25):
            middle, reach, n = rng.uniform(400, 700, 2), rng.uniform(4, 30), int(rng.integers(7, 25))
            angles = 2 * np.pi * (np.arange(n) + rng.uniform(0, 0.5, n)) / n
            around = np.column_stack([np.cos(angles), np.sin(angles)])
            holes = [{"node_tokens": tokens(middle + 0.15 * reach * around)}] if k % 4 == 0 else []
            ring = middle + reach * rng.uniform(0.4, 1, (n, 1)) * around
            polygons.append({"token": f"p{len(polygons)}", "exterior_node_tokens": tokens(ring), "holes": holes})
            made.append(polygons[-1]["token"])
        if name == "drivable_area":
            tables[name].append({"token": "d", "polygon_tokens": made})
        else:
            tables[name] += [{"token": f"{name}{k}", "polygon_token": own} for k, own in enumerate(made)]
    for name in LINES:
        for k in range(25):
            # straight: the devkit does not take what its square cuts into several
            points = rng.uniform(400, 700, 2) + np.outer(np.arange(5), rng.normal(size=2) * 8)
            lines.append({"token": f"l{len(lines)}", "node_tokens": tokens(points)})
            tables[name].append({"token": f"{name}{k}", "line_token": lines[-1]["token"], "lane_divider_segments": []})
    beside = {"arcline_path_3": {}, "connectivity": {}, "canvas_edge": [1000.0, 1000.0], "version": "1.3"}
    return {"node": nodes, "polygon": polygons, "line": lines, **tables, **beside}


def test_no_more_than_two_cells_in_a_thousand_differ_from_the_devkit_s_masks(tmp_path):
    """Those that do lie where it cuts shapes at the square's edge before it rounds their corners."""
    if not (ENVIRONMENT / "bin" / "python").exists():
        pytest.skip("`make devkit` makes the environment of nuscenes-devkit")
    rng = np.random.default_rng(0)
    path = tmp_path / "maps" / "expansion" / "boston-seaport.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(hand_written(rng)))
    layers = [*AREAS, *LINES]
    yaws, places = rng.uniform(-3, 3, 8), rng.uniform(480, 620, (8, 2))
    cases = [
        {"at": at.tolist(), "angle_deg": float(np.degrees(yaw)), "layers": layers}
        for at, yaw in zip(places, yaws, strict=True)
    ]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    command = [str(ENVIRONMENT / "bin" / "python"), str(HERE / "devkit_masks.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    times = T0 + np.arange(len(yaws)) * 500_000_000
    turns = np.column_stack([np.cos(yaws / 2), 0 * yaws, 0 * yaws, np.sin(yaws / 2)])
    poses = Poses(times, turns, np.column_stack([places, 0 * yaws]))
    log = memory_log([], hdmap=read_map(path), poses=poses, times_ns=times)
    params = {"rule": "cv2", "layers": [AREAS.get(name) or name for name in layers], "required": True}
    builder = InputBuilder(["map_raster"], params={"map_raster": params})
    differ = [builder.build(frame)["map_raster"] != mask for frame, mask in zip(log, _masks(tmp_path), strict=True)]
    assert 0.1 < np.mean([mask.any(axis=0).mean() for mask in _masks(tmp_path)]) < 0.99
    assert np.mean(differ) <= MOST_THAT_DIFFER
    within = np.array(differ)[..., 20:-20, 20:-20]
    assert within.mean() <= MOST_THAT_DIFFER / 2


def _masks(folder):
    with np.load(folder / "masks.npz") as found:
        return [found[name] for name in found.files]
