"""Argoverse 2 as recorded: the published answers."""

from itertools import pairwise

import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.datasets.argoverse2.beams import BEAM_ELEVATION_DEG
from perceptum.inputs.poses import inverse


def columns(sweep):
    return np.stack([sweep.x, sweep.y, sweep.z], axis=1).astype(np.float64)


@pytest.mark.data
def test_points_in_all_81_real_boxes_are_the_published_counts(real_argoverse2):
    log = open_log(real_argoverse2)
    assert [len(frame.lidar) for frame in log] == [99229, 99466]
    for frame in log:
        points, labels = columns(frame.lidar), frame.labels
        counts = []
        for x, y, z, length, width, height, yaw in labels.boxes:
            offset = points - [x, y, z]
            along = offset[:, 0] * np.cos(yaw) + offset[:, 1] * np.sin(yaw)
            across = offset[:, 1] * np.cos(yaw) - offset[:, 0] * np.sin(yaw)
            within = (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)
            counts.append(int((within & (np.abs(offset[:, 2]) <= height / 2)).sum()))
        assert len(counts) == 81
        assert counts == labels.num_points.tolist()


@pytest.mark.data
def test_real_poses_halve_the_distance_between_two_sweeps(real_argoverse2):
    from scipy.spatial import cKDTree

    first, second = open_log(real_argoverse2)
    first_from_second = inverse(first.world_from_ego) @ second.world_from_ego
    here = columns(second.lidar)
    moved = here @ first_from_second[:3, :3].T + first_from_second[:3, 3]
    tree = cKDTree(columns(first.lidar))
    # what stands above the road within 50 m: on flat ground the neighbour is near whatever the motion
    stands = (here[:, 2] > 0.3) & (np.hypot(here[:, 0], here[:, 1]) < 50)
    before_m, after_m = (float(np.median(tree.query(points[stands])[0])) for points in (here, moved))
    assert abs(before_m - 0.065) < 0.001
    assert abs(after_m - 0.033) < 0.001
    assert round(float(np.linalg.norm(first_from_second[:3, 3])), 4) == 0.0663


@pytest.mark.data
def test_real_beams_are_at_the_tables_elevations_and_rows_fall(real_argoverse2):
    log = open_log(real_argoverse2)
    sweep = log[1].lidar
    points, ring = columns(sweep), sweep.ring
    seen_deg = np.empty(64)
    for laser in range(64):
        sensor = log.source.ego_from_sensors["up_lidar" if laser < 32 else "down_lidar"]
        own = (points[ring == laser] - sensor[:3, 3]) @ sensor[:3, :3]
        seen_deg[laser] = np.median(np.degrees(np.arctan2(own[:, 2], np.hypot(own[:, 0], own[:, 1]))))
    assert np.abs(seen_deg - np.tile(BEAM_ELEVATION_DEG, 2)).max() < 0.05
    from_top = np.concatenate([seen_deg[:32], -seen_deg[32:]])[np.argsort(sweep.row_of_ring)]
    assert all(lower <= upper + 0.05 for upper, lower in pairwise(from_top))


@pytest.mark.data
def test_the_real_map_is_whole(real_argoverse2):
    log = open_log(real_argoverse2)
    hd_map = log.map
    sizes = {name: len(layer) for name, layer in hd_map.layers.items()}
    assert (sizes["lane"], sizes["drivable_area"], sizes["crossing"]) == (183, 13, 11)
    # the areas of an intersection are its lanes
    intersection, lanes = hd_map.layers["intersection"], hd_map.lanes
    assert intersection.ids.tolist() == lanes.ids[lanes.is_intersection].tolist()
    assert len(intersection) > 20
    assert hd_map.ground.height.shape == (785, 880)
    assert hd_map.ground.height.dtype == np.float16
    assert round(float(np.isnan(hd_map.ground.height).mean()), 3) == 0.372
    # the ego's origin is 0.3 to 0.4 m above the road
    x, y, z = log[0].world_from_ego[:3, 3]
    assert 0.2 < z - float(hd_map.ground_height([x, y])) < 0.5
    # a lane begins where the one before it ends
    lanes = hd_map.lanes
    steps = [np.linalg.norm(lanes.centerlines[a][-1, :2] - lanes.centerlines[b][0, :2]) for a, b in lanes.successors]
    assert np.median(steps) < 0.05
