"""Decorated pillars against plain numpy, and against the front halves of OpenPCDet's and mmdetection3d's encoders."""

from __future__ import annotations

import numpy as np
import pytest

from perceptum.builders import InputBuilder, split
from perceptum.builders.lidar import pillars
from perceptum.features import Spec, SpecError, canonical
from perceptum.inputs import Poses

VOXELS = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]
NAMES = ["lidar_pillar_features", "lidar_pillar_coords", "lidar_pillar_num_points"]
GRIDS = {
    "pillars": {"range": [0, -39.68, -3, 69.12, 39.68, 1], "voxel": [0.16, 0.16, 4]},
    "voxels": {"range": [-51.2, -51.2, -5, 51.2, 51.2, 3], "voxel": [0.1, 0.1, 0.2]},
    "int64": {"range": [-200, -200, -20, 200, 200, 20], "voxel": [0.1, 0.1, 0.2]},
}
DECORATIONS = [
    {},
    {"center_offset": "xy"},
    {"center_offset": "none"},
    {"cluster_offset": False},
    {"absolute_xyz": False},
    {"with_distance": True},
    {"legacy": True},
    {"legacy": True, "with_distance": True, "center_offset": "xy"},
    {"absolute_xyz": False, "with_distance": True, "cluster_offset": False, "center_offset": "none"},
]


def decorated(tensors, grid, columns, how):
    """What a pillar encoder gets, of plain voxels, by the definition: one float32 operation after the other."""
    voxels, coords, counts = (tensors[name] for name in VOXELS)
    edge = np.float32(grid["voxel"])
    first = np.float32([v / 2 + low for v, low in zip(grid["voxel"], grid["range"][:3], strict=True)])
    out = []
    for voxel, coord, count in zip(voxels, coords, counts, strict=True):
        total = np.zeros(3, np.float32)
        for point in voxel[:count]:
            total += point[:3]
        mean, center = total / np.float32(count), np.float32(coord[::-1]) * edge + first
        rows = np.zeros((len(voxel), 99), np.float32)
        for place, point in enumerate(voxel[:count]):
            xyz = point[:3].copy()
            along = {"xyz": 3, "xy": 2, "none": 0}[how.get("center_offset", "xyz")]
            from_mean, from_center = xyz - mean, (xyz - center)[:along]
            if how.get("legacy"):
                xyz[:along] = from_center
            parts = [xyz if how.get("absolute_xyz", True) else [], point[3:]]
            parts += [from_mean] if how.get("cluster_offset", True) else []
            parts += [from_center]
            parts += (
                [[np.sqrt(xyz[0] * xyz[0] + xyz[1] * xyz[1] + xyz[2] * xyz[2])]] if how.get("with_distance") else []
            )
            row = np.concatenate([np.float32(part) for part in parts])
            rows[place, : len(row)] = row
            width = len(row)
        out.append(rows[:, :width])
    return np.array(out, np.float32)


def openpcdet(voxels, coords, counts, grid, absolute, distance):
    """The front half of PillarVFE.forward, as published; coords z y x."""
    torch = pytest.importorskip("torch")
    voxels, counts = torch.from_numpy(voxels.copy()), torch.from_numpy(counts.copy())
    coords = torch.from_numpy(coords.copy())
    mean = voxels[:, :, :3].sum(dim=1, keepdim=True) / counts.type_as(voxels).view(-1, 1, 1)
    center = torch.zeros_like(voxels[:, :, :3])
    for axis in range(3):
        offset = grid["voxel"][axis] / 2 + grid["range"][axis]
        along = coords[:, 2 - axis].to(voxels.dtype).unsqueeze(1) * grid["voxel"][axis] + offset
        center[:, :, axis] = voxels[:, :, axis] - along
    parts = [voxels if absolute else voxels[..., 3:], voxels[:, :, :3] - mean, center]
    parts += [torch.norm(voxels[:, :, :3], 2, 2, keepdim=True)] if distance else []
    mask = (counts.int().unsqueeze(1) > torch.arange(voxels.shape[1]).view(1, -1)).unsqueeze(-1)
    return (torch.cat(parts, dim=-1) * mask.type_as(voxels)).numpy()


def mmdetection(voxels, coords, counts, grid, legacy, distance):
    """The front half of PillarFeatureNet.forward; legacy writes into its input."""
    torch = pytest.importorskip("torch")
    voxels, counts = torch.from_numpy(voxels.copy()), torch.from_numpy(counts.copy())
    coords = torch.from_numpy(coords.copy())
    mean = voxels[:, :, :3].sum(dim=1, keepdim=True) / counts.type_as(voxels).view(-1, 1, 1)
    parts = [voxels, voxels[:, :, :3] - mean]
    center = voxels[:, :, :3] if legacy else torch.zeros_like(voxels[:, :, :3])
    for axis in range(3):
        offset = grid["voxel"][axis] / 2 + grid["range"][axis]
        along = coords[:, 2 - axis].type_as(voxels).unsqueeze(1) * grid["voxel"][axis] + offset
        center[:, :, axis] = voxels[:, :, axis] - along
    parts.append(center)
    parts += [torch.norm(voxels[:, :, :3], 2, 2, keepdim=True)] if distance else []
    mask = (counts.unsqueeze(1).int() > torch.arange(voxels.shape[1]).view(1, -1)).unsqueeze(-1)
    return (torch.cat(parts, dim=-1) * mask.type_as(voxels)).numpy()


def params(grid, columns=("x", "y", "z", "intensity"), **more):
    """For both groups; the decoration is the pillars' own."""
    rows = {"grid": grid, "columns": list(columns), "max_points_per_voxel": 4, "max_voxels": 500}
    own = {
        key: value for key, value in more.items() if key in canonical().group("lidar_voxels").params.__struct_fields__
    }
    return {"lidar_voxels": {**rows, **own}, "lidar_pillars": {**rows, **more}}


def alone(*args, **more):
    """For a spec without voxels."""
    return {"lidar_pillars": params(*args, **more)["lidar_pillars"]}


@pytest.mark.parametrize("how", DECORATIONS, ids=lambda how: ",".join(how) or "usual")
@pytest.mark.parametrize(
    "columns", [("x", "y", "z", "intensity"), ("x", "y", "z"), ("x", "y", "z", "time_lag", "ring", "intensity")]
)
def test_pillars_are_those_of_the_definition(frame_of, build, street, how, columns):
    points = street(700, seed=5)
    if columns == ("x", "y", "z") and how.get("center_offset") == "none" and not how.get("absolute_xyz", True):
        how = {**how, "cluster_offset": True}
    ring = np.arange(len(points)) % 32
    frame = frame_of(points[:, :3], points[:, 3], ring=ring, intensity_scale=255.0)
    grid = GRIDS["pillars"]
    tensors = build([*VOXELS, *NAMES], frame, params(grid, columns, **how))
    wanted = decorated(tensors, grid, columns, how)
    assert tensors["lidar_pillar_features"].shape == wanted.shape
    assert tensors["lidar_pillar_features"].tobytes() == wanted.tobytes()
    for name, plain in zip(NAMES[1:], VOXELS[1:], strict=True):
        assert tensors[name].tobytes() == tensors[plain].tobytes()


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("order", ["first_seen", "sorted_xyz"])
def test_neither_grid_nor_threads_nor_what_was_there_before_change_a_pillar(
    frame_of, street, monkeypatch, grid, threads, order
):
    monkeypatch.setattr(split, "_FEWEST", 64)
    own = params(grid, order=order)
    builder = InputBuilder([*VOXELS, *NAMES], params=own, threads=threads)
    for n in (800, 30, 0, 799, 1, 300):
        tensors = builder.build(frame_of(street(n, seed=n)[:, :3]))
        if len(tensors["lidar_voxels"]):
            wanted = decorated(tensors, grid, None, {})
            assert tensors["lidar_pillar_features"].tobytes() == wanted.tobytes()
        else:
            assert tensors["lidar_pillar_features"].shape == (0, 4, 10)


@pytest.mark.parametrize("how", [{}, {"center_offset": "xy"}, {"absolute_xyz": False, "center_offset": "none"}])
@pytest.mark.parametrize("most_points", [1, 2, 5, 20])
@pytest.mark.parametrize("threads", [1, 3])
def test_pillars_written_past_the_caches_are_the_same(
    memory_log, sweep_of, street, monkeypatch, how, most_points, threads
):
    """Rows begin and end anywhere within cache lines, in a batch too; some are full, and touch the next."""
    monkeypatch.setattr(split, "_FEWEST", 64)
    own = alone(GRIDS["voxels"], max_points_per_voxel=most_points, **how)
    log = memory_log([sweep_of(street(n, seed=n)[:, :3] / 9, time_ns=10**18 + n) for n in (601, 7, 800, 313)])
    built = {}
    for most_bytes in (2**21, 0):
        monkeypatch.setattr(pillars, "_PAST_CACHES_BYTES", most_bytes)
        builder = InputBuilder(NAMES, params=own, threads=threads)
        frames = [builder.build(frame) for k in (0, 2, 1, 2, 3, 0) for frame in [log[k]]]
        batches = [builder.build_batch([log[k] for k in picked]) for picked in ([0, 1, 2], [2, 2], [1, 3, 0])]
        built[most_bytes] = [tensors["lidar_pillar_features"].tobytes() for tensors in (*frames, *batches)]
    assert built[0] == built[2**21]


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("distance", [True, False])
def test_pillars_are_openpcdets(frame_of, build, street, absolute, distance):
    points, grid = street(4000, seed=7), GRIDS["pillars"]
    own = params(grid, absolute_xyz=absolute, with_distance=distance)
    tensors = build([*VOXELS, *NAMES], frame_of(points[:, :3], points[:, 3]), own)
    wanted = openpcdet(*(tensors[name] for name in VOXELS), grid, absolute, distance)
    assert np.allclose(tensors["lidar_pillar_features"], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("distance", [True, False])
def test_pillars_are_mmdetections_with_its_aliasing_and_without(frame_of, build, street, legacy, distance):
    points, grid = street(4000, seed=8), GRIDS["pillars"]
    own = params(grid, legacy=legacy, with_distance=distance)
    tensors = build([*VOXELS, *NAMES], frame_of(points[:, :3], points[:, 3]), own)
    wanted = mmdetection(*(tensors[name] for name in VOXELS), grid, legacy, distance)
    assert np.allclose(tensors["lidar_pillar_features"], wanted, rtol=1e-5, atol=1e-5)


def test_a_pillar_of_one_point_lies_at_its_own_mean(frame_of, build):
    frame = frame_of([[10.0, 0.1, -1.0]], np.array([51.0]), intensity_scale=255.0)
    tensors = build(NAMES, frame, alone(GRIDS["pillars"]))
    features = tensors["lidar_pillar_features"]
    assert tensors["lidar_pillar_coords"].tolist() == [[0, 248, 62]]
    # the centre of cell 62, 248: 62.5 * .16, 248.5 * .16 - 39.68, and half way up
    assert np.allclose(features[0, 0], [10, 0.1, -1, 0.2, 0, 0, 0, 0, 0.02, 0], atol=1e-5)
    assert not features[0, 1:].any()


def test_pillars_keep_the_published_boundaries(frame_of, build):
    """Golden vector 1 of the reference: the grid decides."""
    below = np.float32(69.12) - np.float32(1e-5)
    points = [(0, 0, 0), (69.12, 0, 0), (below, 0, 0), (10, -39.68, 0)]
    points += [(10, 39.68, 0), (10, 0, 1), (10, 0, -3), (-1e-9, 0, 0)]
    tensors = build(NAMES, frame_of(np.float32(points)), alone(GRIDS["pillars"]))
    assert tensors["lidar_pillar_coords"].tolist() == [[0, 248, 0], [0, 248, 431], [0, 0, 62], [0, 248, 62]]
    assert tensors["lidar_pillar_num_points"].tolist() == [1, 1, 1, 1]


def test_min_rows_and_fixed_sizes_pad_with_zeros(frame_of, build, street):
    frame = frame_of(street(90)[:, :3])
    tensors = build(NAMES, frame_of(np.zeros((0, 3))), alone(GRIDS["pillars"], min_rows=2))
    assert {name: (array.shape, array.any()) for name, array in tensors.items()} == {
        "lidar_pillar_features": ((2, 4, 10), False),
        "lidar_pillar_coords": ((2, 3), False),
        "lidar_pillar_num_points": ((2,), False),
    }
    own = alone(GRIDS["pillars"])["lidar_pillars"]
    whole = build(["lidar_pillar_features"], frame, {"lidar_pillars": own})["lidar_pillar_features"]
    for rows in (3, len(whole) + 9):
        row = {"name": "lidar_pillar_features", "dtype": "float32", "shape": [rows, 4, 10], "params": own}
        fixed = InputBuilder([row]).build(frame)["lidar_pillar_features"]
        wanted = np.zeros_like(fixed)
        wanted[: min(rows, len(whole))] = whole[:rows]
        assert fixed.tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": ["x", "y"]}, "columns must begin with x, y, z, which are decorated, got x, y"),
        (
            {"columns": ["intensity", "x", "y", "z"]},
            "columns must begin with x, y, z, which are decorated, got intensity",
        ),
        ({"legacy": True, "center_offset": "none"}, "legacy writes the offset from the centre over x, y, z: it wants"),
        ({"legacy": True, "absolute_xyz": False}, "legacy writes the offset from the centre over x, y, z: it wants"),
        (
            {"columns": ["x", "y", "z"], "absolute_xyz": False, "cluster_offset": False, "center_offset": "none"},
            "these params leave a point without any column; take absolute_xyz, or an offset",
        ),
        (
            {"grid": {"range": [0, -3, -4, 50, 3, 2], "voxel": [0.1, 0.1, 6], "coordinates": "cylinder"}},
            "a cell of a cylinder has no centre along x, y, z; take a center_offset of none",
        ),
        ({"max_points_per_voxel": 0}, "max_points_per_voxel must be at least 1, got 0"),
        ({"center_offset": "yz"}, "center_offset is 'yz', wanted 'none', 'xy' or 'xyz'"),
    ],
)
def test_params_that_decorate_nothing_are_refused(change, message):
    with pytest.raises(SpecError) as error:
        canonical().spec(["lidar_pillar_features"], {"lidar_pillars": change})
    assert message in str(error.value)


def resolve(*rows):
    return canonical().resolve(Spec.of(rows))


@pytest.mark.parametrize(
    ("how", "width"),
    [({}, 11), ({"center_offset": "xy"}, 10), ({"absolute_xyz": False}, 8), ({"with_distance": True}, 12)],
)
def test_the_width_follows_from_what_a_point_is_decorated_with(how, width):
    row = {"name": "lidar_pillar_features", "dtype": "float32", "shape": ["n", 20, width], "params": how}
    resolve(row)
    with pytest.raises(SpecError, match=rf"^input 'lidar_pillar_features' must be \(num_pillars, 20, {width}\)"):
        resolve({**row, "shape": ["n", 20, width + 1]})


def test_pillars_share_a_symbol_with_voxels_of_the_same_rows():
    rows = {"grid": GRIDS["pillars"], "max_voxels": 500}
    coords = {"name": "lidar_voxel_coords", "dtype": "int32", "shape": ["n", 3], "params": rows}
    pillars = {"name": "lidar_pillar_coords", "dtype": "int32", "shape": ["n", 3], "params": {**rows, "legacy": True}}
    resolve(coords, pillars)
    with pytest.raises(SpecError, match="use two symbols"):
        resolve(coords, {**pillars, "params": {**rows, "max_voxels": 501}})


def test_pillars_beyond_the_limit_are_reported_once_in_their_own_name(frame_of, caplog):
    frame = frame_of([[1, 1, 0], [5, 5, 0], [9, 9, 0], [9, 9, 0]], np.ones(4))
    builder = InputBuilder(NAMES, params={"lidar_pillars": {"max_voxels": 1}})
    with caplog.at_level("WARNING", logger="perceptum"):
        builder.build(frame)
        tensors = builder.build(frame)
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        "lidar_pillars: 3 points are in voxels beyond max_voxels=1 and are dropped"
    ]
    assert tensors.dropped["points over max_voxels"] == 3


def test_far_from_the_world_s_origin_nothing_changes(memory_log, sweep_of, street):
    """City coordinates near 5e6 m, and a sensor that has moved since its sweep."""
    points, ms, start = street(800, seed=9), 1_000_000, 10**18
    times = start + np.arange(3) * 50 * ms
    built = []
    for origin in ([0.0, 0, 0], [5e6, 4e6, 30]):
        poses = Poses(times, np.tile([1.0, 0, 0, 0], (3, 1)), np.array(origin) + np.outer(np.arange(3), [0.5, 0, 0]))
        log = memory_log([sweep_of(points[:, :3], time_ns=int(t)) for t in times], poses)
        own = alone(GRIDS["pillars"], num_sweeps=2, max_voxels=10_000)
        built.append(InputBuilder(NAMES, params=own).build(log[2]))
    near, far = built
    assert len(near["lidar_pillar_coords"]) == len(far["lidar_pillar_coords"])
    assert np.allclose(near["lidar_pillar_features"], far["lidar_pillar_features"], atol=1e-5)
