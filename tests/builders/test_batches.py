"""build_batch: how tensors of several frames become one."""

from __future__ import annotations

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.features import SpecError

GRID = {"range": [-40, -40, -3, 40, 40, 3], "voxel": [1, 1, 1]}
VOXELS = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]


@pytest.fixture(scope="module")
def frames(frame_of, street):
    return [frame_of(street(n, seed=n)[:, :3]) for n in (300, 0, 20, 299)]


def test_sizes_that_frames_decide_stand_one_after_the_other(frames):
    builder = InputBuilder([*VOXELS, "lidar_points"], params={"lidar_voxels": {"grid": GRID}})
    single = [{name: a.copy() for name, a in builder.build(frame).items()} for frame in frames]
    batch = builder.build_batch(frames)
    assert list(batch) == [*VOXELS, "lidar_points", "lidar_voxels_batch_ptr", "lidar_points_batch_ptr"]
    for name in ("lidar_voxels", "lidar_voxel_num_points", "lidar_points"):
        assert batch[name].tobytes() == b"".join(tensors[name].tobytes() for tensors in single)
    for group in ("lidar_voxels", "lidar_points"):
        starts = np.cumsum([0, *(len(tensors[group]) for tensors in single)])
        assert batch[f"{group}_batch_ptr"].tolist() == starts.tolist()
        assert batch[f"{group}_batch_ptr"].dtype == np.int32


def test_coordinates_carry_the_number_of_their_frame_first(frames):
    builder = InputBuilder(VOXELS, params={"lidar_voxels": {"grid": GRID}})
    single = [builder.build(frame)["lidar_voxel_coords"] for frame in frames]
    coords = builder.build_batch(frames)["lidar_voxel_coords"]
    expected = [np.insert(own, 0, place, axis=1) for place, own in enumerate(single)]
    assert np.array_equal(coords, np.concatenate(expected))
    assert coords.dtype == np.int32


def test_fixed_sizes_get_a_new_first_axis(frames):
    rows = [
        {"name": "lidar_points", "dtype": "float32", "shape": [100, 5], "params": {"max_points": 100}},
        {"name": "lidar_num_points", "dtype": "int32", "shape": [1], "params": {"max_points": 100}},
        {"name": "lidar_bev_occupancy", "dtype": "uint8", "shape": ["z", "y", "x"], "params": {"grid": GRID}},
        {"name": "ego_pose", "dtype": "float64", "shape": [4, 4]},
        {"name": "reference_stamp", "dtype": "int64", "shape": [1]},
    ]
    builder = InputBuilder(rows)
    single = [builder.build(frame) for frame in frames]
    batch = builder.build_batch(frames)
    assert list(batch) == [row["name"] for row in rows]
    for name, array in batch.items():
        assert np.array_equal(array, np.stack([tensors[name] for tensors in single])), name
    assert batch["lidar_num_points"].tolist() == [[100], [0], [20], [100]]


def test_instances_under_a_suffix_have_pointers_of_their_own(frames):
    rows = [
        {"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]},
        {"name": "lidar_points__b", "dtype": "float32", "shape": ["m", 5], "params": {"max_points": 25}},
    ]
    batch = InputBuilder(rows).build_batch(frames)
    assert batch["lidar_points_batch_ptr"].tolist() == [0, 300, 300, 320, 619]
    assert batch["lidar_points__b_batch_ptr"].tolist() == [0, 25, 25, 45, 70]


def test_a_batch_of_empty_clouds_has_no_rows(frames):
    batch = InputBuilder(VOXELS).build_batch([frames[1]] * 3)
    assert [batch[name].shape for name in VOXELS] == [(0, 10, 5), (0, 4), (0,)]
    assert batch["lidar_voxels_batch_ptr"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("order", [[1, 1, 0, 3], [0, 1, 1, 1], [2, 0, 3, 0]])
def test_a_block_that_was_guessed_too_small_grows(frames, order):
    builder = InputBuilder(["lidar_points"])
    expected = b"".join(builder.build(frames[k])["lidar_points"].tobytes() for k in order)
    for _ in range(3):
        assert builder.build_batch([frames[k] for k in order])["lidar_points"].tobytes() == expected


def test_batches_that_are_held_are_never_overwritten(frames):
    builder = InputBuilder([*VOXELS, "lidar_bev_stats"], params={"lidar_bev_stats": {"grid": GRID}})
    held = [builder.build_batch([frames[k % 4], frames[(k + 1) % 4]]) for k in range(12)]
    for k, batch in enumerate(held):
        again = builder.build_batch([frames[k % 4], frames[(k + 1) % 4]])
        assert all(np.array_equal(batch[name], again[name]) for name in batch)


def test_frames_may_come_from_a_generator_and_none_is_an_error(frames):
    builder = InputBuilder(["lidar_points"])
    assert len(builder.build_batch(frame for frame in frames)["lidar_points_batch_ptr"]) == 5
    with pytest.raises(ValueError, match=r"^a batch needs at least one frame$"):
        builder.build_batch([])


@pytest.mark.parametrize("name", ["lidar_voxel_mean", "lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"])
def test_ids_number_the_rows_of_whatever_is_fixed_beside_them(name):
    """Only the coords were looked at: means cut at 10 rows had ids up to 637, and those of a batch began too early."""
    log = open_log("synthetic", frames=3, seed=0, beams=8, azimuth_steps=90)
    params = {"max_voxels": 4000, "max_points_per_voxel": 3, "columns": ["x", "y", "z"]}
    shape, dtype = {
        "lidar_voxel_mean": ([3], "float32"),
        "lidar_voxels": ([3, 3], "float32"),
        "lidar_voxel_coords": ([3], "int32"),
        "lidar_voxel_num_points": ([], "int32"),
    }[name]
    ids = {"name": "lidar_point_voxel_id", "dtype": "int32", "shape": ["p"], "params": params}
    with pytest.raises(SpecError, match=f"'{name}' is cut at 10 rows, but 'lidar_point_voxel_id' points to up to 4000"):
        InputBuilder([{"name": name, "dtype": dtype, "shape": [10, *shape], "params": params}, ids])
    builder = InputBuilder([{"name": name, "dtype": dtype, "shape": [4000, *shape], "params": params}, ids])
    single = [builder.build(frame)["lidar_point_voxel_id"] for frame in (log[1], log[2])]
    batch = builder.build_batch([log[1], log[2]])
    assert batch[name].shape[:2] == (2, 4000)
    second = np.where(single[1] >= 0, single[1] + 4000, -1)
    np.testing.assert_array_equal(batch["lidar_point_voxel_id"], np.concatenate([single[0], second]))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (
            {},
            "'camera_images' cannot be stacked into a batch: a frame decides its size 'num_cameras'; fix it in the "
            "spec: name image.cameras, and give image.resize as a height and a width, image.crop or image.pad",
        ),
        ({"crop": [9, 9]}, "'num_cameras'; fix it in the spec: name image.cameras"),
    ],
)
def test_what_fixes_a_size_that_a_frame_decides_is_said(image, said):
    builder = InputBuilder(["camera_images"], params={"image": image} if image else {})
    with pytest.raises(SpecError) as refused:
        builder.build_batch(open_log("synthetic", frames=2).frames(0, 2))
    assert str(refused.value).endswith(said)
