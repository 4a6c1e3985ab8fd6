"""A made-up scenario of Argoverse 2 motion forecasting: the recording car, a bus, something static, and a map."""

import json

import numpy as np

START_NS = 315_986_559_459_579_000
COLUMNS = (
    *("observed", "track_id", "object_type", "object_category", "timestep", "position_x", "position_y", "heading"),
    *("velocity_x", "velocity_y", "scenario_id", "start_timestamp", "end_timestamp", "num_timestamps"),
    *("focal_track_id", "city"),
)


def rows():
    """The AV drives north at 10 m/s from (100, 50); a bus 20 m before it goes east at 5 m/s, seen in three steps."""
    made = []
    for step in range(6):
        t = 0.1 * step
        made.append(("AV", "vehicle", 1, step, 100.0, 50.0 + 10 * t, np.pi / 2, 0.0, 10.0))
        if step in (1, 2, 4):
            made.append(("7", "bus", 3, step, 100.0 + 5 * t, 70.0 + 10 * t, 0.0, 5.0, 0.0))
    made.append(("8", "static", 0, 1, 90.0, 51.0, -np.pi, 0.0, 0.0))
    return made


def table(made, **changed):
    names = COLUMNS[1:10]
    columns = {name: [row[i] for row in made] for i, name in enumerate(names)}
    columns["observed"] = [step < 3 for step in columns["timestep"]]
    for name, value in {
        "scenario_id": "s-1",
        "start_timestamp": float(START_NS),
        "end_timestamp": float(START_NS + 500_000_000),
        "num_timestamps": 6,
        "focal_track_id": "7",
        "city": "austin",
    }.items():
        columns[name] = [value] * len(made)
    columns |= changed
    return {name: columns[name] for name in COLUMNS if columns.get(name) is not None}


def points(*xyz):
    return [dict(zip("xyz", p, strict=True)) for p in xyz]


VECTOR_MAP = {
    "lane_segments": {
        "1": {
            "id": 1,
            "is_intersection": False,
            "lane_type": "VEHICLE",
            "centerline": points((0, 0, 0), (5, 0, 0), (10, 0, 0)),
            "left_lane_boundary": points((0, 2, 22), (10, 2, 22)),
            "right_lane_boundary": points((0, -2, 22), (10, -2, 22)),
            "left_lane_mark_type": "NONE",
            "right_lane_mark_type": "SOLID_WHITE",
            "predecessors": [],
            "successors": [99],
            "left_neighbor_id": None,
            "right_neighbor_id": None,
        }
    },
    "drivable_areas": {"2": {"id": 2, "area_boundary": points((0, 0, 1), (9, 0, 1), (9, 9, 1))}},
    "pedestrian_crossings": {
        "3": {"id": 3, "edge1": points((1, 0, 0), (1, 4, 0)), "edge2": points((3, 0, 0), (3, 4, 0))}
    },
}


def make(folder, columns=None):
    """Writes a scenario of these columns, or of `rows()`; returns its folder."""
    import pyarrow as pa
    from pyarrow import parquet

    folder.mkdir(exist_ok=True)
    parquet.write_table(pa.table(table(rows()) if columns is None else columns), folder / "scenario_s-1.parquet")
    (folder / "log_map_archive_s-1.json").write_text(json.dumps(VECTOR_MAP))
    return folder
