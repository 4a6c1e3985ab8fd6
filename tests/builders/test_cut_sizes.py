"""What a fixed size in a spec cuts off is counted, and reported once."""

from __future__ import annotations

import numpy as np
import pytest

from perceptum.builders import InputBuilder

LINE = np.column_stack([np.arange(0, 40, 2) - 20 + 0.5, np.zeros(20), np.zeros(20)]).astype(np.float32)
"""Twenty points, each in a voxel of its own."""
ONES = np.ones(20, np.float32)


def row(name, dtype, shape, **params):
    return {"name": name, "dtype": dtype, "shape": shape, **({"params": params} if params else {})}


VOXELS = [row("lidar_voxels", "float32", [6, 10, 5]), row("lidar_voxel_coords", "int32", [6, 3])]


@pytest.fixture
def warnings(caplog):
    caplog.set_level("WARNING", logger="perceptum")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("params", [{}, {"range": [-50, -50, -3, 50, 50, 3]}, {"max_points": 19}])
def test_points_beyond_a_fixed_size_are_counted_and_reported_once(frame_of, warnings, params):
    builder = InputBuilder([row("lidar_points", "float32", [8, 5], **params)])
    lost = min(20, params.get("max_points", 20)) - 8
    for _ in range(2):
        tensors = builder.build(frame_of(LINE, ONES))
        assert tensors.dropped["rows of 'lidar_points' beyond its size"] == lost
    assert warnings() == [
        f"lidar_points: the frame has {lost} rows more than the spec fixes, and they are dropped (reported once; see "
        "Tensors.dropped; a symbol instead of the number takes the frame's own size)"
    ]
    assert f"{lost} rows of 'lidar_points' beyond its size dropped" in str(builder.explain())


def test_voxels_beyond_a_fixed_size_are_counted_in_each_tensor_and_reported_together(frame_of, warnings):
    builder = InputBuilder(VOXELS)
    dropped = builder.build(frame_of(LINE, ONES)).dropped
    assert dropped["rows of 'lidar_voxels' beyond its size"] == 14
    assert dropped["rows of 'lidar_voxel_coords' beyond its size"] == 14
    (said,) = warnings()
    assert said.startswith("lidar_voxels, lidar_voxel_coords: the frame has 14 rows more than the spec fixes")


def test_a_frame_that_fits_has_nothing_to_count(frame_of, warnings):
    builder = InputBuilder(VOXELS)
    assert "rows of 'lidar_voxels' beyond its size" in builder.build(frame_of(LINE, ONES)).dropped
    assert not any(builder.build(frame_of(LINE[:6], ONES[:6])).dropped.values())
    assert "beyond its size" not in str(builder.explain())
    assert len(warnings()) == 1


def test_a_size_that_the_params_bound_cuts_nothing(frame_of, warnings):
    rows = [row("lidar_points", "float32", [8, 5], max_points=8), row("lidar_num_points", "int32", [1], max_points=8)]
    dropped = InputBuilder(rows).build(frame_of(LINE, ONES)).dropped
    assert dropped == {"non-finite points": 0, "points over max_points": 12}
    assert warnings() == []


def test_a_batch_counts_what_all_its_frames_lost(frame_of):
    frames = [frame_of(LINE, ONES), frame_of(LINE[:6], ONES[:6]), frame_of(LINE[:7], ONES[:7])]
    assert InputBuilder(VOXELS).build_batch(frames).dropped["rows of 'lidar_voxels' beyond its size"] == 14 + 0 + 1


def test_each_model_counts_what_its_own_sizes_cut(frame_of):
    small, large = ([row("lidar_points", "float32", [n, 5])] for n in (8, 12))
    every = [row("lidar_points", "float32", ["num_points", 5])]
    built = InputBuilder({"small": small, "large": large, "every": every}).build(frame_of(LINE, ONES))
    reason = "rows of 'lidar_points' beyond its size"
    assert [built[name].dropped.get(reason) for name in ("small", "large", "every")] == [12, 8, None]


def test_radars_beyond_a_fixed_size_are_counted():
    import perceptum as pc

    log = pc.open_log("synthetic", frames=3)
    assert len(log.source.radars) > 1
    valid = InputBuilder([row("radar_valid", "uint8", [1])]).build(log[-1])
    assert valid.dropped["rows of 'radar_valid' beyond its size"] == len(log.source.radars) - 1
