"""A made-up nuScenes root in the published form: tables, sweeps, radar cycles, pictures and a map expansion."""

import hashlib
import json
import struct

import numpy as np

from perceptum.inputs import encode_jpeg
from perceptum.inputs.poses import quaternion_from_yaw, rigid, rotation_from_quaternion

VERSION = "v1.0-mini"
START_US = 1_600_000_000_000_000
SAMPLE_US = 500_000
SAMPLES = 4
TRACK_VELOCITY = np.array([3.0, -1.0, 0.0])
SENSORS = {
    # channel: modality, place in the ego frame, w x y z, records a sample, the keyframe's delay in microseconds
    "CAM_FRONT": ("camera", [1.7, 0.0, 1.5], [0.5, -0.5, 0.5, -0.5], 3, -35_491),
    "RADAR_FRONT": ("radar", [3.4, 0.0, 0.5], [1.0, 0.0, 0.0, 0.0], 4, -11_000),
    "LIDAR_TOP": ("lidar", [0.9, 0.0, 1.8], [np.sqrt(0.5), 0.0, 0.0, -np.sqrt(0.5)], 5, 0),
    "CAM_BACK": ("camera", [0.0, 0.0, 1.6], [0.5, -0.5, -0.5, 0.5], 3, -10_426),
    "RADAR_BACK_LEFT": ("radar", [-0.5, 0.6, 0.5], [0.0, 0.0, 0.0, 1.0], 4, -40_000),
}
SUFFIX = {"camera": "jpg", "radar": "pcd", "lidar": "pcd.bin"}
CATEGORIES = {"moving": "vehicle.car", "standing": "human.pedestrian.adult", "once": "vehicle.car"}

RADAR_FIELDS = (
    *(("x", 4, "F"), ("y", 4, "F"), ("z", 4, "F"), ("dyn_prop", 1, "I"), ("id", 2, "I"), ("rcs", 4, "F")),
    *(("vx", 4, "F"), ("vy", 4, "F"), ("vx_comp", 4, "F"), ("vy_comp", 4, "F"), ("is_quality_valid", 1, "I")),
    *(("ambig_state", 1, "I"), ("x_rms", 1, "I"), ("y_rms", 1, "I"), ("invalid_state", 1, "I"), ("pdh0", 1, "I")),
    *(("vx_rms", 1, "I"), ("vy_rms", 1, "I")),
)
RADAR_PACKING = "<fffbhfffffbbbbbbbb"


def token(*parts):
    return hashlib.md5(repr(parts).encode()).hexdigest()


def make(root, scenes=("scene-0001",), sensors=SENSORS):
    """Writes one version with the scenes; each has 4 samples, and its records in no order of time."""
    tables = {name: [] for name in ("sample", "ego_pose", "sample_data", "sample_annotation", "instance", "scene")}
    for number, scene in enumerate(scenes):
        _make_scene(root, tables, sensors, scene, START_US + number * 60_000_000)
    write_tables(root / VERSION, tables | _fixed_tables(sensors))
    expansion = root / "maps" / "expansion"
    expansion.mkdir(parents=True)
    (expansion / "singapore-onenorth.json").write_text(json.dumps(map_expansion()))
    return root


def write_tables(folder, tables):
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows, indent=0))


def change(root, table, alter):
    """Applies `alter` to a table's list of rows."""
    path = root / VERSION / f"{table}.json"
    rows = json.loads(path.read_text())
    alter(rows)
    path.write_text(json.dumps(rows, indent=0))


def _fixed_tables(sensors):
    def row(kind, name, /, **more):
        return {"token": token(kind, name), **more}

    intrinsics = [[1200.0, 0.0, 800.0], [0.0, 1200.0, 450.0], [0.0, 0.0, 1.0]]
    return {
        "sensor": [row("sensor", name, channel=name, modality=kind) for name, (kind, *_) in sensors.items()],
        "calibrated_sensor": [
            row(
                *("calibration", name),
                sensor_token=token("sensor", name),
                translation=place,
                rotation=wxyz,
                camera_intrinsic=intrinsics if kind == "camera" else [],
            )
            for name, (kind, place, wxyz, *_) in sensors.items()
        ],
        "log": [
            row("log", "a", logfile="n000", vehicle="n000", date_captured="2020-09-13", location="singapore-onenorth")
        ],
        "map": [row("map", "a", category="semantic_prior", filename="maps/a.png", log_tokens=[token("log", "a")])],
        "category": [row("category", name, name=name, description="") for name in sorted({*CATEGORIES.values()})],
        "attribute": [
            row("attribute", name, name=name, description="") for name in ("vehicle.moving", "cycle.with_rider")
        ],
        "visibility": [{"token": "4", "level": "v80-100", "description": ""}],
    }


def _make_scene(root, tables, sensors, scene, start_us):
    samples = [token(scene, "sample", i) for i in range(SAMPLES)]
    tables["scene"].append(
        {
            "token": token("scene", scene),
            "log_token": token("log", "a"),
            "nbr_samples": SAMPLES,
            "name": scene,
            "first_sample_token": samples[0],
            "last_sample_token": samples[-1],
            "description": 'a "},{" street',
        }
    )
    for i, own in enumerate(samples):
        stamp = start_us + i * SAMPLE_US
        tables["sample"].append(
            {"token": own, "timestamp": stamp, "scene_token": token("scene", scene)} | _beside(samples, i)
        )
    records = [record for sensor, own in sensors.items() for record in _records(scene, sensor, own, samples, start_us)]
    for at in np.random.default_rng(3).permutation(len(records)):
        tables["sample_data"].append(records[at])
        tables["ego_pose"].append(ego_pose(records[at]["ego_pose_token"], records[at]["timestamp"], start_us))
        _make_file(root / records[at]["filename"], records[at])
    _annotate(tables, scene, samples, start_us)


def _beside(tokens, i):
    return {"prev": tokens[i - 1] if i else "", "next": tokens[i + 1] if i + 1 < len(tokens) else ""}


def _records(scene, sensor, own, samples, start_us):
    kind, _, _, each, delay_us = own
    stamps = [
        (i, start_us + i * SAMPLE_US + delay_us - k * SAMPLE_US // each, k == 0)
        for i in range(len(samples))
        for k in (reversed(range(each)) if i else [0])
    ]
    tokens = [token(scene, sensor, stamp) for _, stamp, _ in stamps]
    for n, (i, stamp, key) in enumerate(stamps):
        name = f"n000__{sensor}__{stamp}.{SUFFIX[kind]}"
        yield {
            "token": tokens[n],
            "sample_token": samples[i],
            "ego_pose_token": token("pose", tokens[n]),
            "calibrated_sensor_token": token("calibration", sensor),
            "timestamp": stamp,
            "fileformat": "pcd",
            "is_key_frame": key,
            # as published: a lidar's and a radar's records have 0
            "height": 9 if kind == "camera" else 0,
            "width": 16 if kind == "camera" else 0,
            "filename": f"{'samples' if key else 'sweeps'}/{sensor}/{name}",
            **_beside(tokens, n),
        }


def ego_pose(own, stamp_us, start_us):
    """A left turn at 10 m/s, nodding a little."""
    t = (stamp_us - start_us) * 1e-6
    yaw, pitch = 0.2 * t + 1.0, 0.01 * np.sin(t)
    w, _, _, z = quaternion_from_yaw(yaw)
    c, s = np.cos(pitch / 2), np.sin(pitch / 2)
    wxyz = [w * c, -z * s, w * s, z * c]
    where = [600 + 50 * np.sin(yaw), 1600 - 50 * np.cos(yaw), 0.0]
    return {"token": own, "timestamp": stamp_us, "rotation": wxyz, "translation": where}


def world_from_ego(stamp_us, start_us=START_US):
    pose = ego_pose("", stamp_us, start_us)
    return rigid(rotation_from_quaternion(pose["rotation"]), pose["translation"])


def _annotate(tables, scene, samples, start_us):
    for name in CATEGORIES:
        seen = [1] if name == "once" else [0, 1, 3] if name == "standing" else range(len(samples))
        tokens = [token(scene, name, i) for i in seen]
        instance = {"token": token(scene, name), "category_token": token("category", CATEGORIES[name])}
        ends = {"first_annotation_token": tokens[0], "last_annotation_token": tokens[-1]}
        tables["instance"].append(instance | {"nbr_annotations": len(tokens)} | ends)
        for n, i in enumerate(seen):
            tables["sample_annotation"].append(_box(scene, name, samples, i, start_us) | _beside(tokens, n))


def _box(scene, name, samples, i, start_us):
    centre = np.array([640.0, 1640.0, 1.0])
    if name == "moving":
        centre = centre + 10 + TRACK_VELOCITY * i * SAMPLE_US * 1e-6
    return {
        "token": token(scene, name, i),
        "sample_token": samples[i],
        "instance_token": token(scene, name),
        "visibility_token": "4" if name == "moving" else "",
        "translation": centre.tolist(),
        "size": [2.0, 4.5, 1.5],
        "attribute_tokens": [token("attribute", "vehicle.moving")] if name == "moving" else [],
        "rotation": quaternion_from_yaw(0.7 + 0.1 * i).tolist(),
        "num_lidar_pts": 10 + i,
        "num_radar_pts": i,
        "category_name": CATEGORIES[name],
    }


def _make_file(path, record):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(record["timestamp"])
    if "LIDAR" in path.name:
        points = np.column_stack([rng.normal(0, 20, (80, 3)), rng.integers(0, 256, 80), np.arange(80) % 32])
        path.write_bytes(points.astype("<f4").tobytes())
    elif "CAM" in path.name:
        path.write_bytes(encode_jpeg(np.full((9, 16, 3), 90, np.uint8)))
    else:
        path.write_bytes(radar_pcd(radar_points(rng, 30)))


def radar_points(rng, n):
    """Rows in the order of RADAR_FIELDS, with every state that there is."""
    rows = []
    for i in range(n):
        x, y, rcs, *v = rng.normal(0, 20, 7)
        rows.append((x, y, 0.0, i % 8, i, rcs, *v, 1, i % 5, 19, 20, i % 18, i % 8, 17, 18))
    return rows


def radar_pcd(rows, tail=b"\n", **header):
    """The bytes of a cycle as published: 43 a point, and one too many at the end."""
    names, sizes, kinds = zip(*RADAR_FIELDS, strict=True)
    lines = {
        "VERSION": "0.7",
        "FIELDS": " ".join(names),
        "SIZE": " ".join(map(str, sizes)),
        "TYPE": " ".join(kinds),
        "COUNT": " ".join("1" for _ in names),
        "WIDTH": len(rows),
        "HEIGHT": 1,
        "VIEWPOINT": "0 0 0 1 0 0 0",
        "POINTS": len(rows),
        "DATA": "binary",
    } | header
    text = "# .PCD v0.7 - Point Cloud Data file format\n" + "".join(f"{k} {v}\n" for k, v in lines.items())
    return text.encode() + b"".join(struct.pack(RADAR_PACKING, *row) for row in rows) + tail


def map_expansion():
    """A road of two lanes and the connector between them, a crossing, a drivable area with a hole."""
    nodes, polygons, lines = {}, {}, {}

    def at(points):
        tokens = [token("node", *point) for point in points]
        nodes.update({own: {"token": own, "x": x, "y": y} for own, (x, y) in zip(tokens, points, strict=True)})
        return tokens

    def area(name, points, holes=()):
        outline = {"token": token("polygon", name), "exterior_node_tokens": at(points)}
        polygons[name] = outline | {"holes": [{"node_tokens": at(hole)} for hole in holes]}
        return {"token": token(name), "polygon_token": token("polygon", name)}

    def line(name, points):
        lines[name] = {"token": token("line", name), "node_tokens": at(points)}
        return {"token": token(name), "line_token": token("line", name)}

    def box(x, y, w, h):
        return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]

    def side(points):
        return [{"node_token": own, "segment_type": "DOUBLE_DASHED_WHITE"} for own in at(points)]

    first = area("lane a", box(600, 1600, 20, 4)) | {
        "lane_type": "CAR",
        "left_lane_divider_segments": side([(600, 1604), (620, 1604)]),
        "right_lane_divider_segments": side([(600, 1600), (610, 1600), (620, 1600)]),
    }
    sideless = {"lane_type": "CAR", "left_lane_divider_segments": [], "right_lane_divider_segments": []}
    second = area("lane b", box(640, 1620, 4, 20)) | sideless
    unpathed = area("lane c", box(700, 1600, 20, 4)) | sideless
    connector = area("connector", box(620, 1600, 24, 20))
    drivable = area("drivable", box(590, 1590, 100, 100), [box(650, 1650, 5, 5), []])
    places = {
        "road_segment": [area("road", box(600, 1600, 20, 8)) | {"is_intersection": True}],
        "road_block": [area("block", box(600, 1600, 20, 8))],
        "ped_crossing": [area("crossing", box(610, 1600, 3, 8))],
        "walkway": [area("walkway", box(600, 1610, 20, 2))],
        "stop_line": [area("stop", box(608, 1600, 1, 8)) | {"stop_line_type": "YIELD"}],
        "carpark_area": [area("carpark", box(600, 1615, 9, 4))],
        "road_divider": [line("road divider", [(600, 1608), (620, 1608)])],
        "lane_divider": [line("lane divider", [(600, 1604), (620, 1604)]), line("nothing", [])],
        "traffic_light": [line("light", [(621, 1600), (621, 1601)])],
    }
    return {
        **places,
        "drivable_area": [{"token": token("drivable"), "polygon_tokens": [token("polygon", "drivable")]}],
        "lane": [first, second, unpathed],
        "lane_connector": [connector],
        "polygon": list(polygons.values()),
        "line": list(lines.values()),
        "node": list(nodes.values()),
        "arcline_path_3": _paths(first["token"], second["token"], connector["token"]),
        "connectivity": {
            first["token"]: {"incoming": [], "outgoing": [connector["token"], token("elsewhere")]},
            connector["token"]: {"incoming": [first["token"]], "outgoing": [second["token"]]},
            second["token"]: {"incoming": [connector["token"]], "outgoing": []},
        },
        "canvas_edge": [1585.6, 2025.0],
        "version": "1.3",
    } | {"unused": drivable}


def _paths(first, second, connector):
    """Straight on, a left turn of 90 degrees, and straight on: each in the form of three segments."""

    def path(start, shape, radius, lengths):
        return {"start_pose": start, "end_pose": start, "shape": shape, "radius": radius, "segment_length": lengths}

    quarter = 18 * np.pi / 2
    return {
        first: [
            path([600.0, 1602.0, 0.0], "LSR", 900.0, [0.0, 12.3, 0.0]),
            path([612.3, 1602.0, 0.0], "RSL", 900.0, [0.0, 7.7, 0.0]),
        ],
        connector: [path([620.0, 1602.0, 0.0], "LSL", 18.0, [quarter / 2, 0.0, quarter / 2])],
        second: [path([638.0, 1620.0, np.pi / 2], "LRL", 40.0, [4.0, 8.0, 4.0])],
    }
