"""Cells of a cylinder, and points that are brought into the grid."""

from __future__ import annotations

import numpy as np
import pytest

from perceptum.features import Grid, SpecError

# Cylinder3D: 480 x 360 x 32 cells, of which the last along each axis begins at the end of its range
STEP = (50 / 479, 2 * np.pi / 359, 6 / 31)
CYLINDER3D = {
    "range": [0, -np.pi, -4, 50 + STEP[0], np.pi + STEP[1], 2 + STEP[2]],
    "voxel": STEP,
    "coordinates": "cylinder",
    "outside": "clamp",
}
ALL_ROUND = {
    "range": [0, -np.pi, -2, 20, np.pi, 2],
    "voxel": [1, 2 * np.pi / 90, 4],
    "coordinates": "cylinder",
}


def coords_of(build, frame, grid, **params):
    params = {"grid": grid, "coord_order": "xyz", "max_points_per_voxel": 1, "columns": ["x", "y", "z"], **params}
    got = build(["lidar_voxel_coords", "lidar_voxels"], frame, {"lidar_voxels": params})
    return got["lidar_voxel_coords"], got["lidar_voxels"][:, 0]


def test_cells_are_those_of_cylinder3d_within_one_of_a_border(frame_of, build, street):
    """As its dataset code has it: clip into the range, divide by (max - min) / (cells - 1), round down."""
    xyz = street(20_000)[:, :3] * np.float32(1.5)
    coords, points = coords_of(build, frame_of(xyz), CYLINDER3D)
    p = points.astype(np.float64)
    turned = np.column_stack([np.hypot(p[:, 0], p[:, 1]), np.arctan2(p[:, 1], p[:, 0]), p[:, 2]])
    at = (np.clip(turned, [0, -np.pi, -4], [50, np.pi, 2]) - [0, -np.pi, -4]) / STEP
    away = np.abs(at - np.round(at)).min(axis=1)
    assert (coords == np.floor(at).astype(int))[away > 1e-3].all()
    assert (np.abs(coords - np.floor(at)) <= 1).all()
    assert (coords >= 0).all()
    assert (coords < [480, 360, 32]).all()
    # nothing was dropped
    assert len(np.unique(coords, axis=0)) == len(coords)
    assert (away > 1e-3).mean() > 0.8


@pytest.mark.parametrize("y", [0.0, -0.0, 1e-30, -1e-30, np.float32(1e-7), np.float32(-1e-7)])
def test_the_seam_of_a_full_circle_is_in_its_first_or_last_cell(frame_of, build, y):
    coords, _ = coords_of(build, frame_of(np.float32([[-10, y, 0]])), ALL_ROUND)
    assert coords.tolist() in ([[10, 0, 0]], [[10, 89, 0]])


def test_every_azimuth_of_a_full_circle_has_a_cell(frame_of, build):
    angle = np.linspace(-np.pi, np.pi, 3601).astype(np.float32)
    xyz = np.column_stack([10.5 * np.cos(angle), 10.5 * np.sin(angle), 0 * angle]).astype(np.float32)
    coords, _ = coords_of(build, frame_of(xyz), ALL_ROUND)
    assert sorted(coords[:, 1].tolist()) == list(range(90))
    assert set(coords[:, 0].tolist()) == {10}


def test_what_is_beyond_is_dropped_or_clamped(frame_of, build):
    xyz = np.float32([[3, 0, 0], [50, 0, 0], [3, 0, 9], [0, 0, 0], [np.nan, 0, 0]])
    dropped, _ = coords_of(build, frame_of(xyz), ALL_ROUND)
    assert dropped.tolist() == [[3, 45, 0], [0, 45, 0]]
    clamped, _ = coords_of(build, frame_of(xyz), ALL_ROUND | {"outside": "clamp"})
    assert clamped.tolist() == [[3, 45, 0], [19, 45, 0], [0, 45, 0]]
    box = {"range": [-2, -2, -2, 2, 2, 2], "voxel": [1, 1, 1], "outside": "clamp"}
    inside, _ = coords_of(build, frame_of(xyz), box)
    assert inside.tolist() == [[3, 2, 2], [3, 2, 3], [2, 2, 2]]


def test_views_from_above_take_polar_cells(frame_of, build):
    params = {"lidar_bev_occupancy": {"grid": ALL_ROUND}, "lidar_bev_stats": {"grid": ALL_ROUND, "channels": ["count"]}}
    got = build(list(params), frame_of(np.float32([[0, 5.5, 0], [0, 5.5, 1]])), params)
    assert np.argwhere(got["lidar_bev_occupancy"]).tolist() == [[0, 67, 5]]
    assert got["lidar_bev_stats"][0, 67, 5] == 2


@pytest.mark.parametrize("azimuths", [(-180, 180), (0, 2 * np.pi), (-np.pi + 0.5, np.pi + 0.5)])
def test_azimuths_are_radians_between_minus_pi_and_pi(azimuths):
    low, high = azimuths
    with pytest.raises(SpecError, match=r"a cylinder's azimuth is in radians within -pi to pi, or a cell beyond; got"):
        Grid(range=(0, low, -1, 20, high, 1), voxel=(1, (high - low) / 90, 2), coordinates="cylinder")


def test_a_distance_cannot_be_negative():
    with pytest.raises(SpecError, match="a cylinder's range must begin at a distance of 0 or more, got -1"):
        Grid(range=(-1, 0, 0, 1, 1, 1), voxel=(1, 1, 1), coordinates="cylinder")
