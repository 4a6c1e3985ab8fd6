"""radar_points, radar_num_points and radar_valid, detection by detection against the definition in plain numpy."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log, open_log
from perceptum.features import SchemaMismatch, SpecError, canonical
from perceptum.features.radar import cloud
from perceptum.inputs import BrokenRecord, LidarSweep, Log, MissingRecord, Poses, PoseUnknown
from perceptum.inputs.poses import inverse, rigid

from .radars import MS, T0, VELOCITIES, curve, cycle, expected, mount

ALL = [
    *("x", "y", "z", "rcs", "vx", "vy", "vx_comp", "vy_comp", "v_radial", "v_radial_comp", "time_lag", "sweep"),
    *("azimuth", "range", "dyn_prop", "ambig_state", "invalid_state", "pdh0", "id", "is_quality_valid"),
    *("x_rms", "y_rms", "vx_rms", "vy_rms"),
    *("dyn_prop_onehot", "ambig_state_onehot", "invalid_state_onehot", "pdh0_ordinal"),
]
NAMES = ["radar_points", "radar_num_points", "radar_valid"]
TIMES = T0 + np.arange(12) * 60 * MS
LIDAR = rigid(mount(-0.4, (0.9, 0.1, 1.8), 0.1)[:3, :3], (0.9, 0.1, 1.8))


def drive(poses=None, **changes):
    """Two radars with cycles at times of their own, and a lidar, on a bend; the last frame is at T0 + 600 ms."""
    lidar = [LidarSweep("top", int(t), LIDAR, *np.zeros((3, 1), np.float32)) for t in TIMES[:11]]
    radars = [cycle(40, int(t) - 7 * MS, seed=k, **changes) for k, t in enumerate(TIMES[1:])]
    back = {"sensor": "back", "ego_from_sensor": mount(2.8, (-0.5, 0.6, 0.7), 0.05), **changes}
    radars += [cycle(25, int(t) - 31 * MS, seed=90 + k, **back) for k, t in enumerate(TIMES[1:])]
    return memory_log(lidar, radars=radars, poses=curve(TIMES) if poses is None else poses)


def build(frame, params, names=("radar_points",), **options):
    return InputBuilder(list(names), params={"radar_points": params}, **options).build(frame)


def compare(log, params, index=-1, atol=2e-5):
    params = {"max_points": None, "columns": ALL, **params}
    whole = canonical().group("radar_points").params.replace(params, "test")
    wanted = expected(log, log[index], whole, params["columns"])
    found = build(log[index], params)["radar_points"]
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=atol)
    return found


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"filter": "none"},
        {"filter": "crn", "frame": "lidar"},
        {"filter": {"dyn_prop": [0, 2, 6], "ambig_state": [3, 1]}, "num_sweeps": 3},
        {"filter": "none", "compensate": "none"},
        {"filter": "none", "velocity_axes": "mount", "frame": "lidar"},
        {"filter": "none", "velocity_axes": "sensor"},
        {"filter": "none", "advance_by_velocity": True},
        {"filter": "none", "advance_by_velocity": True, "lag_from": "newest_cycle", "velocity_axes": "mount"},
        {"filter": "none", "remove_close": 9.0, "min_distance": 12.0, "max_distance": 44.5},
        {"filter": "none", "rcs_range": [0, 50], "velocity_range": [-100, 100]},
        {"filter": "none", "sensors": ["back"], "num_sweeps": 2},
        {"filter": "none", "num_sweeps": 3, "sweep_step": 2},
        {"filter": "none", "num_sweeps": 3, "sweeps": "keyframes"},
        {"filter": "none", "sensors": ["back", "front"], "num_sweeps": 50},
    ],
    ids=str,
)
def test_each_detection_is_as_the_definition_says(params):
    compare(drive(), params)


@pytest.mark.parametrize(
    ("gone", "more"),
    [
        (("v_radial", "v_radial_comp"), {}),
        (("vx", "vy", "vx_comp", "vy_comp"), {}),
        (("vx", "vy", "vx_comp", "vy_comp", "v_radial_comp"), {}),
        (("vx_comp", "vy_comp", "v_radial_comp"), {}),
        (("v_radial", "vx_comp", "vy_comp", "v_radial_comp"), {}),
        (("v_radial", "vx_comp", "vy_comp", "v_radial_comp"), {"velocity_part": "full"}),
        (("vx", "vy", "vx_comp", "vy_comp", "v_radial_comp"), {"origin": np.array([0.4, -0.2, 0.3])}),
    ],
    ids=str,
)
def test_what_a_radar_does_not_give_follows_from_what_it_gives(gone, more):
    for params in ({}, {"advance_by_velocity": True, "frame": "lidar"}):
        compare(drive(**dict.fromkeys(gone), **more), {"filter": "none", **params}, atol=2e-4)


def test_what_stands_still_has_no_speed_over_ground_and_approaches_ahead():
    """Doppler of standing things, measured by a radar off the vehicle's centre that drives a bend."""
    poses = curve(T0 + np.arange(-100, 101) * 10 * MS)
    sensor = mount(0.5, (3.0, 0.9, 0.4))
    # by the motion itself, not by differences of poses: v + omega x r, in the sensor's axes
    speed = sensor[:3, :3].T @ (np.array([12.0, 0, 0]) + np.cross([0, 0, 0.25], sensor[:3, 3]))
    own = cycle(200, ego_from_sensor=sensor)
    p = np.stack([own.x, own.y, own.z], axis=1).astype(np.float64)
    doppler = -(p @ speed) / np.linalg.norm(p, axis=1)
    standing = replace(own, v_radial=doppler, **dict.fromkeys(set(VELOCITIES) - {"v_radial"}))
    log = memory_log(radars=[standing], poses=poses, times_ns=[T0])
    columns = ["x", "y", "v_radial", "v_radial_comp", "vx_comp", "vy_comp"]
    found = build(log[0], {"filter": "none", "columns": columns})["radar_points"]
    ahead = (found[:, 0] > 20) & (abs(found[:, 1]) < 10)
    assert ahead.any()
    assert (found[ahead, 2] < -5).all()
    assert abs(found[:, 3:]).max() < 5e-3


def test_turning_the_world_and_moving_it_far_away_changes_nothing():
    params = {"filter": "none", "columns": ALL, "max_points": None}
    gone = dict.fromkeys(("vx_comp", "vy_comp", "v_radial_comp"))
    here = build(drive(**gone)[-1], params)["radar_points"]
    turned = build(drive(curve(TIMES, turned_rad=2.1), **gone)[-1], params)["radar_points"]
    far = build(drive(curve(TIMES, far_m=5e6), **gone)[-1], params)["radar_points"]
    assert abs(here - turned).max() < 1e-5
    # float64 resolves 1e-9 m there, and a speed is a difference over 0.1 s
    assert abs(here - far).max() < 1e-5


def test_velocities_are_turned_with_their_detections_and_not_shifted():
    still = memory_log(radars=[cycle(30)], times_ns=[T0])
    turned = memory_log(radars=[replace(cycle(30), ego_from_sensor=mount(0.3 + np.pi / 2, (9, 9, 9)))], times_ns=[T0])
    params = {"filter": "none", "columns": ["vx", "vy", "vx_comp", "vy_comp"]}
    a, b = (build(log[0], params)["radar_points"] for log in (still, turned))
    np.testing.assert_allclose(b, np.stack([-a[:, 1], a[:, 0], -a[:, 3], a[:, 2]], axis=1), atol=1e-5)


def test_cycles_are_brought_together_as_nuscenes_devkit_does():
    """Golden vectors of the devkit's from_file_multisweep: three sweeps 50 ms apart, on a bend."""
    sensor = mount(-np.pi / 2, (1.0, 0.0, 1.8))
    times = T0 + np.arange(3) * 50 * MS
    half = np.arange(3) * 0.05
    quaternions = np.stack([np.cos(half), *np.zeros((2, 3)), np.sin(half)], axis=1)
    poses = Poses(times, quaternions, np.array([[600.0 + k, 1600, 0] for k in range(3)]))
    own = {"x": np.array([5, 0.5, -1, 0.5]), "y": np.array([5, 3, 0, 0.5]), "z": np.zeros(4), "ego_from_sensor": sensor}
    lidar = [LidarSweep("top", int(times[2]), sensor, *np.zeros((3, 1)))]
    log = memory_log(lidar, radars=[cycle(4, int(t), **own) for t in times], poses=poses)
    params = {"filter": "none", "frame": "lidar", "remove_close": 1.0, "columns": ["x", "y", "z", "time_lag"]}
    found = build(log[0], params)["radar_points"].reshape(3, 3, 4)
    newest = [[5, 5], [0.5, 3], [-1, 0]]
    before = [[5.3754, 3.4908], [0.6982, 1.95], [-1.0938, -0.8852]]
    first = [[5.6950, 1.9269], [0.8874, 0.8608], [-1.1787, -1.7814]]
    np.testing.assert_allclose(found[:, :, :2], [newest, before, first], atol=6e-5)
    np.testing.assert_allclose(found[:, 0, 3], [0, 0.05, 0.1], atol=1e-7)


def test_the_newest_cycle_comes_first_and_of_equal_times_the_first_radar():
    radars = [cycle(2, T0, sensor=name, id=np.full(2, k)) for k, name in enumerate("abcde")]
    radars += [cycle(2, T0 - 50 * MS, sensor="a", id=np.full(2, 9))]
    log = memory_log(radars=radars, times_ns=[T0], poses=curve([T0 - 60 * MS, T0]))
    params = {"filter": "none", "columns": ["id", "sweep"]}
    found = build(log[0], params)["radar_points"]
    assert found[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 9, 9]
    assert found[-1, 1] == 1
    found = build(log[0], {**params, "sensors": ["c", "a"]})["radar_points"]
    assert found[:, 0].tolist() == [2, 2, 0, 0, 9, 9]
    assert build(log[0], {**params, "max_points": 3})["radar_points"][:, 0].tolist() == [0, 0, 1]


def test_a_box_keeps_what_is_inside_half_open():
    log, box = drive(), [0.0, -20.0, -1.0, 30.0, 20.0, 1.5]
    whole = build(log[-1], {"filter": "none"})["radar_points"]
    found = build(log[-1], {"filter": "none", "range": box}, NAMES)
    inside = ((whole[:, :3] >= np.float32(box[:3])) & (whole[:, :3] < np.float32(box[3:]))).all(axis=1)
    assert (found["radar_points"] == whole[inside]).all()
    assert found["radar_num_points"][0] == inside.sum()


def test_bevfusion_has_45_columns_in_its_own_order():
    log = drive()
    found = build(log[-1], "bevfusion_radar")["radar_points"]
    assert found.shape[1] == 45
    names = ["dyn_prop", "ambig_state", "invalid_state", "pdh0"]
    codes = build(log[-1], {"preset": "bevfusion_radar", "columns": names})
    begin = 7
    for code, width in zip(codes["radar_points"].T[:3], (8, 5, 18), strict=True):
        assert (found[:, begin : begin + width] == np.eye(width)[code.astype(int)]).all()
        begin += width
    assert (found[:, begin:] == (codes["radar_points"][:, 3:] > np.arange(7))).all()


def test_presets_follow_their_configurations():
    presets = canonical().presets("radar_points")
    assert set(presets) == {"bevfusion_radar", "crn", "pp_radar_vod", "radarnet"}
    for name in ("bevfusion_radar", "crn", "radarnet"):
        found = build(drive()[-1], name)["radar_points"]
        assert len(found)
    compare(drive(), presets["crn"].params)
    compare(drive(), presets["radarnet"].params)
    scans = dict.fromkeys(("vx", "vy", "vx_comp", "vy_comp"))
    params = presets["pp_radar_vod"].params
    log = memory_log(radars=[cycle(40, **scans, scan=np.full(40, -2))], times_ns=[T0])
    found = compare(log, params)
    assert (found[:, 6] == -2).all()


# ---- what is not there


def test_a_missing_radar_is_empty_and_not_valid_unless_it_is_required(caplog):
    log = drive()
    with caplog.at_level(logging.WARNING):
        builder = InputBuilder(NAMES, params={"radar_points": {"sensors": ["back", "left"]}})
        found = builder.build(log[-1])
        builder.build(log[-2])
    assert found["radar_valid"].tolist() == [1, 0]
    assert len(found["radar_points"]) > 0
    assert [r.getMessage() for r in caplog.records] == [
        "memory: no radar 'left', so no detections of it; the log has front, back (reported once; the param "
        '"required" makes it an error)'
    ]
    with pytest.raises(MissingRecord, match="no radar 'left'; the log has front, back, and the spec requires it"):
        build(log[-1], {"sensors": ["back", "left"], "required": True})


def test_radars_of_which_the_log_has_none_are_an_error_as_lidars_are():
    with pytest.raises(MissingRecord, match=r"^memory: no sensor 'frnt'; the log has front, back$"):
        build(drive()[-1], {"sensors": ["frnt"]})


def test_a_log_without_radars_gives_empty_tensors_and_says_so_once(caplog):
    log = memory_log([LidarSweep("top", T0, np.eye(4), *np.zeros((3, 1)))])
    with caplog.at_level(logging.WARNING):
        found = build(log[0], {}, NAMES)
    assert found["radar_points"].shape == (0, 7)
    assert found["radar_num_points"].tolist() == [0]
    assert found["radar_valid"].shape == (0,)
    assert "has no cycle of any radar: its radar tensors are empty" in caplog.text
    with pytest.raises(MissingRecord, match="has no cycle of any radar, and the spec requires one"):
        build(log[0], {"required": True})


def test_a_frame_before_the_first_cycle_has_none_and_later_cycles_are_never_seen():
    log = drive()
    found = build(log[0], {"filter": "none"}, NAMES)
    assert found["radar_valid"].tolist() == [0, 0]
    assert len(found["radar_points"]) == 0
    found = build(log[1], {"filter": "none", "columns": ["time_lag"]}, NAMES)
    assert found["radar_valid"].tolist() == [1, 1]
    assert (found["radar_points"] >= 0).all()


def test_an_empty_cycle_is_valid_and_needs_no_columns():
    log = memory_log(radars=[cycle(0, **dict.fromkeys(("rcs", *VELOCITIES, "dyn_prop")))], times_ns=[T0])
    found = build(log[0], {"columns": ALL, "required": True}, NAMES)
    assert found["radar_points"].shape == (0, 62)
    assert found["radar_valid"].tolist() == [1]


def test_a_column_that_is_not_there_is_named_with_what_there_is():
    gone = dict.fromkeys(("rcs", "dyn_prop", "ambig_state", "invalid_state", "pdh0", *VELOCITIES, "id"))
    log = memory_log(radars=[cycle(3, **gone)], times_ns=[T0])
    params = {"filter": "none", "columns": ["x", "rcs", "vx_comp", "pdh0_ordinal"]}
    with pytest.raises(MissingRecord) as caught:
        build(log[0], params)
    assert str(caught.value) == (
        "front: radar 'front' has no rcs, vx_comp, pdh0_ordinal, which the spec wants; it has x y z is_quality_valid "
        'x_rms y_rms vx_rms vy_rms; leave out what it does not have, or take missing_columns "fill"'
    )
    found = build(log[0], {**params, "missing_columns": "fill"})["radar_points"]
    assert (found[:, 0] != 0).all()
    assert (found[:, 1:] == 0).all()


def test_unrelated_frames_say_nothing_of_the_ego_motion(caplog):
    gone = dict.fromkeys(("vx", "vy", "vx_comp", "vy_comp", "v_radial_comp"))
    log = memory_log(radars=[cycle(3, **gone)], times_ns=[T0], sequential=False)
    params = {"filter": "none", "columns": ["v_radial", "vx_comp", "v_radial_comp"]}
    with pytest.raises(MissingRecord, match=r"has no vx_comp, v_radial_comp, .* frames that are unrelated say nothing"):
        build(log[0], params)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        builder = InputBuilder(["radar_points"], params={"radar_points": {**params, "missing_columns": "fill"}})
        found = builder.build(log[0])["radar_points"]
        builder.build(log[0])
    assert (found[:, 0] != 0).all()
    assert (found[:, 1:] == 0).all()
    # and not that vx_comp holds the speed along the ray
    assert caplog.messages == [
        "memory: its frames are unrelated, so that each has one cycle of a radar, and not 6 (reported once)",
        "front: radar 'front' has no vx_comp, v_radial_comp, and frames that are unrelated say nothing of the ego "
        'motion: filled with 0 (reported once; the param missing_columns "error" makes it an error)',
    ]


def test_rays_that_are_not_known_give_no_direction():
    whole = cycle(5, origin=np.full(3, np.nan))
    log = memory_log(radars=[whole], times_ns=[T0])
    found = build(log[0], {"filter": "none", "columns": ["vx", "v_radial", "v_radial_comp"]})["radar_points"]
    np.testing.assert_array_equal(found[:, 1:], np.stack([whole.v_radial, whole.v_radial_comp], axis=1))
    for columns, lacks in ((["range", "azimuth"], "azimuth, range"), (["vx"], "vx")):
        log = memory_log(radars=[replace(whole, vx=None, vy=None)], times_ns=[T0])
        with pytest.raises(MissingRecord, match=f"has no {lacks}, which"):
            build(log[0], {"filter": "none", "columns": columns})


def test_a_filter_that_finds_no_states_keeps_all_and_says_so_once(caplog):
    log = drive(dyn_prop=None, invalid_state=None)
    with caplog.at_level(logging.WARNING):
        builder = InputBuilder(["radar_points"], params={"radar_points": {"num_sweeps": 2, "sensors": ["front"]}})
        found = builder.build(log[-1])["radar_points"]
        builder.build(log[-2])
    assert [r.getMessage() for r in caplog.records] == [
        "front: radar 'front' has no column dyn_prop, invalid_state, which the filter looks at: all is kept "
        '(reported once; the param "required" makes it an error)'
    ]
    kept = [s.ambig_state for s in log[-1].radar_sweeps(2, "front")]
    assert len(found) == sum((own == 3).sum() for own in kept)
    with pytest.raises(MissingRecord, match='which the filter looks at; take filter "none"'):
        build(log[-1], {"required": True})


def test_a_radar_that_measures_only_along_the_ray_is_said_once(caplog):
    log = drive(**dict.fromkeys(("vx", "vy", "vx_comp", "vy_comp")))
    with caplog.at_level(logging.WARNING):
        builder = InputBuilder(["radar_points"], params={"radar_points": {"sensors": ["back"]}})
        builder.build(log[-1])
        builder.build(log[-2])
    assert [r.getMessage() for r in caplog.records] == [
        "back: radar 'back' measures only how fast things come nearer or go away: its vx_comp, vy_comp hold that speed "
        "along the ray (reported once)"
    ]


def test_a_code_without_a_column_is_named():
    dyn_prop = np.array([1, 9, 3], np.int8)
    log = memory_log(radars=[cycle(3, dyn_prop=dyn_prop)], times_ns=[T0])
    with pytest.raises(BrokenRecord) as caught:
        build(log[0], {"filter": "none", "columns": ["dyn_prop_onehot"]})
    assert str(caught.value) == (
        "front: a detection has the dyn_prop 9, wanted 0 to 7, for which dyn_prop_onehot has columns"
    )
    # as a number it can be shown
    assert build(log[0], {"filter": "none", "columns": ["dyn_prop"]})["radar_points"].ravel().tolist() == [1, 9, 3]
    with pytest.raises(BrokenRecord) as caught:
        build(log[0], {"filter": {"dyn_prop": [1, 3]}})
    assert str(caught.value) == (
        'front: a detection has the dyn_prop 9, wanted 0 to 7, which the filter looks at; take filter "none"'
    )


@pytest.mark.parametrize("wrong", [2.5, -1.0, 0.999, np.nan, np.inf, -np.inf, 1e30, 256.0])
@pytest.mark.parametrize("state", ["dyn_prop", "ambig_state", "invalid_state", "pdh0"])
def test_a_state_that_is_not_a_code_is_an_error_where_it_is_looked_at(state, wrong):
    codes = np.zeros(3)
    codes[1] = wrong
    log = memory_log(radars=[cycle(3, **{state: codes})], times_ns=[T0])
    found = f"front: a detection has the {state} {wrong:g}, wanted "
    block = "pdh0_ordinal" if state == "pdh0" else f"{state}_onehot"
    with pytest.raises(BrokenRecord, match=f"^{re.escape(found)}0 to .*, for which {block} has columns$"):
        build(log[0], {"filter": "none", "columns": [block]})
    if state != "pdh0":
        with pytest.raises(BrokenRecord, match=f"^{re.escape(found)}0 to .*, which the filter looks at; take filter"):
            build(log[0], {"filter": {state: [0, 1]}})
    as_number = {"filter": "none", "columns": [state]}
    if float(wrong).is_integer():
        assert build(log[0], as_number)["radar_points"][1, 0] == np.float32(wrong)
    else:
        with pytest.raises(BrokenRecord, match=f"^{re.escape(found)}a whole number$"):
            build(log[0], as_number)
    # nobody looks at it, or its detection is nowhere
    assert len(build(log[0], {"filter": "none"})["radar_points"]) == 3
    x = cycle(3).x.copy()
    x[1] = np.nan
    log = memory_log(radars=[cycle(3, x=x, **{state: codes})], times_ns=[T0])
    assert len(build(log[0], {"filter": "none", "columns": [state, block]})["radar_points"]) == 2


def test_what_is_missing_or_not_finite_is_0_whatever_it_is_scaled_by():
    ranges = {"filter": "none", "rcs_range": [10, 30], "velocity_range": [-50, 150], "missing_columns": "fill"}
    params = {**ranges, "columns": ["rcs", *VELOCITIES], "velocity_axes": "sensor", "advance_by_velocity": True}
    gone = dict.fromkeys(("rcs", *VELOCITIES))
    odd = {name: np.array([np.nan, np.inf, -np.inf, 3e38, 1.0]) for name in gone}
    # nothing recorded; only the radial part, where rays are not known, of unrelated frames, and at the radar itself
    radial = {**gone, "v_radial": np.full(5, 7.0)}
    at_the_radar = {**radial, **dict.fromkeys("xyz", np.zeros(5))}
    nowhere = {**radial, "origin": np.full(3, np.nan)}
    cases = [(gone, True, set()), (nowhere, True, {"v_radial"}), (radial, False, {"vx", "vy", "v_radial"})]
    for more, sequential, known in [*cases, (at_the_radar, True, {"v_radial"})]:
        log = memory_log(radars=[cycle(5, **more)], times_ns=[T0], sequential=sequential)
        found = build(log[0], params)["radar_points"]
        assert {name for name, own in zip(gone, found.T, strict=True) if own.any()} == known
        assert (found[:, 5] == np.float32((7 + 50) / 200)).all() or "v_radial" not in known
    log = memory_log(radars=[cycle(5, **odd)], times_ns=[T0])
    found = build(log[0], params)["radar_points"]
    assert not found[:3].any()


def test_codes_outside_the_published_sets_are_refused_when_planning():
    with pytest.raises(SpecError) as caught:
        InputBuilder(["radar_points"], params={"radar_points": {"filter": {"ambig_state": [3, 7]}}})
    assert str(caught.value) == (
        "input 'radar_points': filter: ambig_state: 7 is not a state; there are 0 invalid, 1 ambiguous, "
        "2 staggered ramp, 3 unambiguous, 4 stationary candidates"
    )
    with pytest.raises(SpecError, match="dyn_prop must be one or more codes"):
        InputBuilder(["radar_points"], params={"radar_points": {"filter": {"dyn_prop": []}}})


# ---- odd numbers


def test_places_that_are_not_finite_are_dropped_and_other_numbers_become_zero():
    own = cycle(9)
    x, rcs, vx = own.x.copy(), own.rcs.copy(), own.vx_comp.copy()
    x[:3], rcs[3], vx[4] = (np.nan, np.inf, -np.inf), np.nan, np.inf
    log = memory_log(radars=[replace(own, x=x, rcs=rcs, vx_comp=vx)], times_ns=[T0])
    params = {"filter": "none", "columns": ["x", "rcs", "vx_comp", "id"]}
    found = build(log[0], params)
    assert found["radar_points"][:, 3].tolist() == [3, 4, 5, 6, 7, 8]
    assert found["radar_points"][0, 1] == found["radar_points"][1, 2] == 0
    assert np.isfinite(found["radar_points"]).all()
    assert found.dropped["non-finite detections"] == 3
    found = build(log[0], {**params, "nonfinite_features": "drop"})
    assert found["radar_points"][:, 3].tolist() == [5, 6, 7, 8]
    # what is dropped does not depend on which columns are asked for
    assert len(build(log[0], {**params, "nonfinite_features": "drop", "columns": ["id"]})["radar_points"]) == 4


def test_a_detection_at_the_radar_has_no_direction():
    zero = np.zeros(1, np.float32)
    own = cycle(1, x=zero, y=zero, z=zero, **dict.fromkeys(("vx", "vy", "vx_comp", "vy_comp", "v_radial_comp")))
    log = memory_log(radars=[own], times_ns=[T0], poses=curve([T0 - 100 * MS, T0, T0 + 100 * MS]))
    columns = ["range", "azimuth", "vx", "vy", "vx_comp", "vy_comp", "v_radial"]
    found = build(log[0], {"filter": "none", "columns": columns})["radar_points"]
    assert found[0, :6].tolist() == [0] * 6
    assert found[0, 6] == own.v_radial[0]


def test_a_speed_is_known_at_both_ends_of_the_poses_and_stands_still_with_one():
    own = dict.fromkeys(("vx_comp", "vy_comp", "v_radial_comp", "vx", "vy"))
    times = T0 + np.arange(6) * 20 * MS
    for at in (0, 2, 5):
        record = cycle(10, int(times[at]), **own)
        log = memory_log(radars=[record], times_ns=[int(times[at])], poses=curve(times))
        found = build(log[0], {"filter": "none", "columns": ["v_radial", "v_radial_comp"]})["radar_points"]
        ray = np.stack([record.x, record.y, record.z], axis=1)
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        sensor = mount()
        speed = sensor[:3, :3].T @ (np.array([12.0, 0, 0]) + np.cross([0, 0, 0.25], sensor[:3, 3]))
        np.testing.assert_allclose(found[:, 1] - found[:, 0], ray @ speed, atol=0.15)
    alone = memory_log(radars=[cycle(10, **own)], times_ns=[T0], poses=curve([T0]))
    found = build(alone[0], {"filter": "none", "columns": ["v_radial", "v_radial_comp"]})["radar_points"]
    np.testing.assert_allclose(found[:, 1], found[:, 0], atol=1e-6)


def test_poses_are_asked_for_only_where_a_detection_moves():
    late = curve([T0 - 10**13, T0 - 10**13 + 1])
    log = memory_log(radars=[cycle(4), cycle(4, T0 - 60 * MS, seed=1)], times_ns=[T0], poses=late)
    assert len(build(log[0], {"filter": "none", "num_sweeps": 1})["radar_points"]) == 4
    assert len(build(log[0], {"filter": "none", "compensate": "none"})["radar_points"]) == 8
    with pytest.raises(PoseUnknown):
        build(log[0], {"filter": "none"})


def test_columns_of_any_dtype_and_stride_are_read():
    own = cycle(20)
    odd = replace(
        own,
        x=own.x.astype(">f8"),
        y=np.repeat(own.y, 2)[::2],
        rcs=own.rcs.astype(np.float16),
        dyn_prop=own.dyn_prop.astype(np.uint64),
        is_quality_valid=own.is_quality_valid.astype(bool),
    )
    params = {"filter": "none", "columns": ["x", "y", "rcs", "dyn_prop_onehot", "is_quality_valid"]}
    a, b = (build(memory_log(radars=[r], times_ns=[T0])[0], params)["radar_points"] for r in (own, odd))
    np.testing.assert_allclose(a, b, atol=0.02)
    assert (np.delete(a, 2, axis=1) == np.delete(b, 2, axis=1)).all()


def test_heights_count_from_the_ground_in_that_frame():
    log = drive()
    params = {"filter": "none", "columns": ["x", "y", "z"]}
    ego = build(log[-1], params)["radar_points"]
    ground = build(log[-1], {**params, "frame": "ego_ground", "ground": "plane", "ground_z": -0.4})["radar_points"]
    assert (ego[:, :2] == ground[:, :2]).all()
    np.testing.assert_allclose(ground[:, 2], ego[:, 2] + 0.4, atol=1e-6)


def test_a_point_in_the_lidars_axes_is_where_its_mounting_says():
    log = drive()
    params = {"filter": "none", "columns": ["x", "y", "z"]}
    ego, lidar = (build(log[-1], {**params, "frame": frame})["radar_points"] for frame in ("ego", "lidar"))
    lidar_from_ego = inverse(LIDAR)
    np.testing.assert_allclose(ego @ lidar_from_ego[:3, :3].T + lidar_from_ego[:3, 3], lidar, atol=2e-5)


def test_points_in_the_radars_own_axes_are_as_measured():
    record = cycle(30)
    log = memory_log(radars=[record], times_ns=[T0])
    params = {"filter": "none", "columns": ["x", "y", "z", "vx", "vy"], "frame": "radar"}
    found = build(log[0], params)["radar_points"]
    np.testing.assert_allclose(found, np.column_stack([record.x, record.y, record.z, record.vx, record.vy]), atol=1e-5)
    compare(drive(), {"filter": "none", "columns": ["x", "y", "z", "vx_comp", "vy_comp"], "frame": "radar"})
    # the other way round: a lidar's points in the radar's axes
    sweep = LidarSweep("top", T0, LIDAR, *np.float32([[4], [5], [6]]))
    both = memory_log([sweep], radars=[record])
    names, params = ["lidar_points"], {"lidar_points": {"frame": "radar", "columns": ["x", "y", "z"]}}
    got = InputBuilder(names, params=params).build(both[0])["lidar_points"]
    wanted = inverse(record.ego_from_sensor) @ LIDAR @ [4, 5, 6, 1]
    np.testing.assert_allclose(got[0], wanted[:3], atol=1e-5)
    with pytest.raises(MissingRecord) as error:
        InputBuilder(names, params=params).build(memory_log([sweep])[0])
    assert str(error.value) == (
        f'memory: frame 0 ({T0}) has no cycle of the primary radar, which frame "radar" needs; take frame "ego"'
    )


def test_a_radars_own_axes_leave_its_places_and_velocities_to_the_last_bit():
    n = 3000
    steps = np.float32(0.16) * np.arange(n, dtype=np.float32)
    level, roll = np.zeros(n, np.float32), mount(0.3, (3.4, -0.6, 0.5), 0.02)
    record = cycle(n, x=steps, y=steps[::-1], z=level, ego_from_sensor=roll)
    own = {"filter": "none", "columns": ["x", "y", "z", "vx", "vy", "vx_comp", "vy_comp"], "max_points": None}
    wanted = np.column_stack([record.x, record.y, record.z, record.vx, record.vy, record.vx_comp, record.vy_comp])
    for poses in (curve([T0]), curve([T0], far_m=5e6, turned_rad=1.1)):
        log = memory_log(radars=[record], times_ns=[T0], poses=poses)
        for more in ({}, {"sensors": ["front"]}, {"velocity_axes": "mount"}, {"compensate": "none"}):
            found = build(log[0], {**own, **more, "frame": "radar"})["radar_points"]
            assert (found == wanted).all()


def test_the_radars_axes_are_those_of_the_first_of_the_sensors():
    log = drive()
    assert list(log.source.radars) == ["front", "back"]
    params = {"filter": "none", "columns": ["x", "y", "z", "vx_comp", "vy_comp"], "num_sweeps": 3, "frame": "radar"}
    for sensors, primary in ((None, "front"), (["back"], "back"), (["back", "front"], "back"), (["front"], "front")):
        own = {"sensors": sensors, **params}
        found = build(log[-1], own)["radar_points"]
        ego = build(log[-1], {**own, "frame": "ego"})["radar_points"]
        radar_from_ego = inverse(log[-1].radars[primary].ego_from_sensor)
        places = ego[:, :3] @ radar_from_ego[:3, :3].T + radar_from_ego[:3, 3]
        np.testing.assert_allclose(found[:, :3], places, atol=2e-5)
    with pytest.raises(MissingRecord, match=r"has no cycle of radar 'left', which frame \"radar\" needs; take frame"):
        build(log[-1], {**params, "sensors": ["left", "back"]})


def test_a_radar_that_falls_silent_leaves_its_axes_and_the_tensors_of_others():
    front = cycle(4, T0)
    back = [cycle(5, T0 + k * 60 * MS, "back", ego_from_sensor=mount(2.8)) for k in range(3)]
    times = [T0, T0 + 60 * MS, T0 + 120 * MS]
    more = {"times_ns": times, "poses": curve(times)}
    log = Log(memory_log(radars=[front, *back], **more).source, sweep_tolerance_ns=40 * MS)
    params = {"filter": "none", "columns": ["x", "y", "z"], "num_sweeps": 1, "frame": "radar"}
    assert (build(log[2], {**params, "sensors": ["back"]})["radar_points"] == _xyz(back[2])).all()
    found = build(log[2], params, NAMES)
    assert found["radar_valid"].tolist() == [0, 1]
    front_from_back = inverse(front.ego_from_sensor) @ back[2].ego_from_sensor
    wanted = _xyz(back[2]) @ front_from_back[:3, :3].T + front_from_back[:3, 3]
    np.testing.assert_allclose(found["radar_points"], wanted, atol=1e-5)
    # before its first cycle nobody knows where it is mounted, and of unrelated frames neither
    late = memory_log(radars=[cycle(4, T0 + 60 * MS), *back], **more)
    unrelated = memory_log(radars=[front, *back], sequential=False, **more)
    for frame in (late[0], unrelated[2]):
        with pytest.raises(MissingRecord, match='has no cycle of the primary radar, which frame "radar" needs; take'):
            build(frame, params)
        assert len(build(frame, {**params, "sensors": ["back"]})["radar_points"]) == 5
        assert build(frame, {**params, "sensors": ["front"]})["radar_points"].shape == (0, 3)


def _xyz(record):
    return np.column_stack([record.x, record.y, record.z])


def test_the_synthetic_drive_is_as_the_definition_says():
    log = open_log("synthetic", frames=8, seed=0)
    columns = [name for name in ALL if name not in ("is_quality_valid", "id") and "rms" not in name]
    compare(log, {"filter": "none", "columns": columns})


def test_each_way_of_asking_gives_the_same_sizes_a_symbol():
    spec = canonical().spec(["radar_points"], {"radar_points": {"rcs_range": [0, 50]}})
    other = canonical().spec(["radar_points"], {"radar_points": {"columns": ["rcs"], "filter": {"dyn_prop": [1]}}})
    keys = [canonical().resolve(one)[0].params.size_key("num_radar") for one in (spec, other)]
    assert keys[0] != keys[1]
    same = canonical().spec(["radar_points"], {"radar_points": {"columns": ["rcs"], "missing_columns": "fill"}})
    assert canonical().resolve(same)[0].params.size_key("num_radar") == keys[0]


def test_a_published_filter_means_the_codes_that_it_keeps(monkeypatch):
    def spec(kept):
        return canonical().spec(["radar_points"], {"radar_points": {"filter": kept}})

    codes = {"invalid_state": [0], "dyn_prop": [6, 5, 4, 3, 2, 1, 0], "ambig_state": [3]}
    made = {name: canonical().fingerprint_of(spec(name)) for name in ("devkit", "crn", "none")}
    assert len(set(made.values())) == 3
    assert canonical().fingerprint_of(spec(codes)) == made["devkit"]
    assert canonical().fingerprint_of(spec({})) == made["none"]
    packed = canonical().record(spec("devkit"))
    canonical().check(packed)
    changed = {**cloud.FILTERS, "devkit": cloud.StateFilter((0,), (0, 1, 2, 3, 4, 5, 6, 7), (3,))}
    monkeypatch.setattr(cloud, "FILTERS", changed)
    assert canonical().fingerprint_of(spec("devkit")) != made["devkit"]
    with pytest.raises(SchemaMismatch, match=r"params\.filter\.dyn_prop was \[0, 1, 2, 3, 4, 5, 6\], is "):
        canonical().check(packed)


@pytest.mark.data
def test_real_radars_that_measure_along_the_ray_are_as_the_definition_says(real_data):
    (folder,) = (real_data / "aimotive").glob("train/*/*")
    log = open_log(folder)
    columns = ["x", "y", "z", "rcs", "vx", "vy", "v_radial", "range", "azimuth"]
    for index in range(len(log)):
        found = compare(log, {"filter": "none", "columns": columns}, index)
        assert len(found) > 60
        # of one that looks ahead, most approach at the speed of the car, whose frames do not say how fast it is
        ahead = found[:, 0] > 0
        assert abs(np.median(np.hypot(found[ahead, 4], found[ahead, 5])) - 30) < 1.5
    with pytest.raises(MissingRecord, match="frames that are unrelated say nothing of the ego motion"):
        build(log[0], {"filter": "none"})


@pytest.mark.parametrize(
    ("newest", "wanted"), [("before", [0.06, 0.14]), ("nearest", [-0.02, 0.06])], ids=["before", "nearest"]
)
def test_a_cycle_after_the_reference_time_is_the_newest_only_where_that_is_asked(newest, wanted):
    log = memory_log(radars=[cycle(3, T0 + k * 80 * MS) for k in range(4)], times_ns=[T0 + 140 * MS])
    params = {
        "filter": "none",
        "num_sweeps": 2,
        "newest": newest,
        "columns": ["x", "y", "vx_comp", "time_lag", "sweep"],
    }
    found = compare(log, params)
    np.testing.assert_allclose(np.unique(found[:, 3]), wanted, atol=1e-6)
    assert set(found[found[:, 3] < 0.05, 4]) <= {0}
    # the first frame of a log may have only a later one
    early = memory_log(radars=[cycle(3, T0 + 9 * MS)], times_ns=[T0])
    assert len(build(early[0], params)["radar_points"]) == (3 if newest == "nearest" else 0)
    # in its own axes too
    for sensors in (None, ["front"]):
        own = build(early[0], {**params, "frame": "radar", "sensors": sensors, "columns": ["x", "y", "z"]})
        places = own["radar_points"]
        assert len(places) == (3 if newest == "nearest" else 0)
        # the vehicle stands still: by the poses, not to the last bit
        assert np.allclose(places, _xyz(early.radar("front", 0))[: len(places)], atol=1e-5)
