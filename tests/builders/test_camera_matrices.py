"""camera_intrinsics, camera_extrinsics, camera_projection and camera_image_affine: a place lands on its pixel, against
steps written out by hand in float64; what becomes of cameras that are missing, broken or of another size."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.features import SpecError
from perceptum.features.camera import IntrinsicsParams, Resampler
from perceptum.inputs import BrokenRecord, CameraImage, LidarSweep, MissingRecord, Poses, PoseUnknown, RadarSweep
from perceptum.inputs.poses import quaternion_from_yaw, rigid, rotation_from_quaternion

from .cameras import SIZE, T0, intrinsics, mount, picture, png

MS = 1_000_000
MATRICES = ["camera_intrinsics", "camera_extrinsics", "camera_projection", "camera_image_affine"]
CAR = np.array([600.0, 1600.0, 0.0])
PX = 1e-6


def transform(wxyz, place):
    return rigid(rotation_from_quaternion(wxyz), place)


def world_from_ego(time_ns, far=0.0):
    """The car drives in a bend: 10 m/s along x, turning by 0.3 rad/s, and climbs a little."""
    seconds = (time_ns - T0) * 1e-9
    place = [CAR[0] + far + 10 * seconds, CAR[1] + far, 0.5 * seconds]
    return transform(quaternion_from_yaw(0.3 * seconds), place)


def drive(far=0.0):
    """A pose every 10 ms, so that what is between lies on the bend's chords: asked for at these times only."""
    times_ns = T0 + np.arange(-30, 31) * 10 * MS
    seconds = (times_ns - T0) * 1e-9
    places = np.column_stack([CAR[0] + far + 10 * seconds, np.full(61, CAR[1] + far), 0.5 * seconds])
    return Poses(times_ns, quaternion_from_yaw(0.3 * seconds), places)


def log_of(*pictures, poses=None, lidar=None, radar=None, **options):
    none = np.zeros(0, np.float32)
    sweeps = [] if lidar is None else [LidarSweep("top", T0, lidar, none, none, none)]
    radars = [] if radar is None else [RadarSweep("front", T0, radar, none, none, none)]
    log = memory_log(sweeps, radars=radars, cameras=pictures, poses=poses or drive(), times_ns=[T0])
    for name, value in options.items():
        setattr(log, name, value)
    return log


def rows(**params):
    """The four rows in float64; params by group, and image, frame for those that take it."""
    shapes = {
        ("camera_intrinsics", "3x3"): [3, 3], ("camera_intrinsics", "3x4"): [3, 4],
        ("camera_intrinsics", "4x4"): [4, 4], ("camera_extrinsics", "3x4"): [3, 4],
        ("camera_projection", "3x4"): [3, 4],
    }  # fmt: skip
    made = []
    for name in MATRICES:
        own = dict(params.get(name, {}))
        shape = shapes.get((name, own.get("layout", "3x3" if name == "camera_intrinsics" else "4x4")), [4, 4])
        if name == "camera_image_affine" and own.get("applied") == "before_division":
            shape = [3, 3]
        shared = {key: value for key, value in params.items() if key in ("image", "required")}
        if name in ("camera_extrinsics", "camera_projection"):
            shared |= {key: value for key, value in params.items() if key in ("frame", "motion_compensated")}
        made.append({"name": name, "dtype": "float64", "shape": ["k", *shape], "params": {**shared, **own}})
    return made


def matrices(log, **params):
    tensors = InputBuilder(rows(**params)).build(log[0])
    return [tensors[name] for name in MATRICES]


def steps(u, v, image, size):
    """One pixel through resize, crop, flip and rotation, each written out."""
    done = image.transform(*size)
    half = 0.5 if image.pixel_convention == "center" else 0.0
    u, v = (u + half) * done.scale[1], (v + half) * done.scale[0]
    top, left, height, width = done.crop
    u, v = u - left, v - top
    u = width - u if image.flip else u
    angle, x, y = math.radians(image.rotate), u - width / 2, v - height / 2
    u = width / 2 + math.cos(angle) * x + math.sin(angle) * y
    v = height / 2 - math.sin(angle) * x + math.cos(angle) * y
    return u - half, v - half


# ---- a place lands on its pixel


UNIT = st.floats(-1, 1)
QUATERNIONS = st.tuples(UNIT, UNIT, UNIT, UNIT).filter(lambda q: math.hypot(*q) > 0.1)
MOUNTS = st.builds(lambda q, t: transform(q, np.multiply(t, 3)), QUATERNIONS, st.tuples(UNIT, UNIT, UNIT))
SIZES = st.tuples(st.integers(40, 1300), st.integers(40, 2000))


def image_values():
    crop = st.tuples(st.integers(1, 900), st.integers(1, 900))
    return st.fixed_dictionaries(
        {"crop_beyond": st.just("black"), "pixel_convention": st.sampled_from(["center", "published"])},
        optional={
            "resize": st.floats(0.1, 2.5) | st.tuples(st.integers(1, 900), st.integers(1, 900)),
            "resize_rounding": st.sampled_from(["truncate", "round"]),
            "matrix_scale": st.sampled_from(["sizes", "factor"]),
            "crop": crop,
            "crop_at": st.tuples(st.floats(0, 1), st.floats(0, 1)),
            "flip": st.booleans(),
            "rotate": st.floats(-180, 180),
            "pad_multiple": st.sampled_from([1, 32]),
        },
    ).map(lambda values: values if "crop" in values else {k: v for k, v in values.items() if k != "crop_at"})


CAMERAS = st.lists(
    st.fixed_dictionaries(
        {
            "size": SIZES,
            "mount": MOUNTS,
            "focal": st.tuples(st.floats(0.4, 2), st.floats(0.4, 2)),
            "middle": st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
            # ms after the frame
            "late_ms": st.integers(-20, 5).map(lambda n: 10 * n),
        }
    ),
    min_size=1,
    max_size=3,
)


def calibration(camera):
    height, width = camera["size"]
    (fx, fy), (cx, cy) = camera["focal"], camera["middle"]
    return np.array([[fx * width, 0, cx * width], [0, fy * width, cy * height], [0, 0, 1]])


def drawn_log(cameras, lidar, radar, far=0.0):
    # no picture is ever looked at: its size is that of the calibration
    pictures = [
        CameraImage(
            f"camera{k}",
            T0 + camera["late_ms"] * MS,
            calibration(camera),
            camera["mount"],
            bytes,
            size=camera["size"],
        )
        for k, camera in enumerate(cameras)
    ]
    return log_of(*pictures, poses=drive(far), lidar=lidar, radar=radar, camera_tolerance_ns=10**9)


@settings(max_examples=100, deadline=None)
@given(
    cameras=CAMERAS,
    image=image_values(),
    lidar=MOUNTS,
    radar=MOUNTS,
    frame=st.sampled_from(["ego", "lidar", "radar"]),
    motion_compensated=st.booleans(),
    seen=st.tuples(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2), st.floats(1, 90)),
)
def test_a_place_lands_on_its_pixel_through_any_transform(
    cameras, image, lidar, radar, frame, motion_compensated, seen
):
    """From a camera's axes to the world at its time, to the frame of reference at the frame's, and back by the tensor;
    then the pixel step by step. Intrinsics, extrinsics and affine are of one piece with it."""
    log = drawn_log(cameras, lidar, radar)
    k_after, ref_from_camera, full, affine = matrices(
        log, image=image, frame=frame, motion_compensated=motion_compensated
    )
    done = IntrinsicsParams.of({"image": image}, "test").image
    ego_from_ref = {"ego": np.eye(4), "lidar": lidar, "radar": radar}[frame]
    for k, camera in enumerate(cameras):
        place = np.array([seen[0] * seen[2], seen[1] * seen[2], seen[2], 1.0])
        in_ego = camera["mount"] @ place
        if motion_compensated:
            then, now = world_from_ego(T0 + camera["late_ms"] * MS), world_from_ego(T0)
            # differences first: coordinates of the world are large
            moved = np.eye(4)
            moved[:3, :3] = now[:3, :3].T @ then[:3, :3]
            moved[:3, 3] = now[:3, :3].T @ (then[:3, 3] - now[:3, 3])
            in_ego = moved @ in_ego
        in_ref = np.linalg.solve(ego_from_ref, in_ego)
        own = calibration(camera)
        u, v = own[0, 0] * seen[0] + own[0, 2], own[1, 1] * seen[1] + own[1, 2]
        wanted = steps(u, v, done, camera["size"])

        q = full[k] @ in_ref
        np.testing.assert_allclose(q[2], seen[2], rtol=0, atol=1e-9)
        np.testing.assert_allclose(q[:2] / q[2], wanted, rtol=0, atol=PX)
        assert q[3] == pytest.approx(1, abs=1e-12)
        # the camera lies where its extrinsics say
        np.testing.assert_allclose(ref_from_camera[k] @ place, in_ref, rtol=0, atol=1e-9)
        # intrinsics x extrinsics
        np.testing.assert_allclose(
            k_after[k] @ np.linalg.inv(ref_from_camera[k])[:3], full[k, :3], rtol=1e-9, atol=1e-6
        )
        # the affine, after the division by depth
        np.testing.assert_allclose((affine[k] @ [u, v, seen[2], 1])[:3], [*wanted, seen[2]], rtol=0, atol=PX)


@settings(max_examples=40, deadline=None)
@given(cameras=CAMERAS, image=image_values(), lidar=MOUNTS)
def test_every_layout_says_the_same(cameras, image, lidar):
    log = drawn_log(cameras, lidar, None)
    k3, out, full, after = matrices(log, image=image, frame="lidar")
    k34, inward, full34, before = matrices(
        log,
        image=image,
        frame="lidar",
        camera_intrinsics={"layout": "3x4"},
        camera_extrinsics={"layout": "3x4", "direction": "camera_from_ref"},
        camera_projection={"layout": "3x4"},
        camera_image_affine={"applied": "before_division"},
    )
    k44, _, plain, back = matrices(
        log,
        image=image,
        frame="lidar",
        camera_intrinsics={"layout": "4x4", "augmented": False},
        camera_projection={"augmented": False},
        camera_image_affine={"inverse": True},
    )
    n = len(cameras)
    assert np.array_equal(k34, np.concatenate([k3, np.zeros((n, 3, 1))], axis=2))
    assert np.array_equal(full34, full[:, :3])
    for k, camera in enumerate(cameras):
        wide = np.eye(4)
        wide[:3, :3] = calibration(camera)
        assert np.array_equal(k44[k], wide)
        np.testing.assert_allclose(inward[k] @ out[k], np.eye(4)[:3], rtol=0, atol=1e-12)
        np.testing.assert_allclose(k44[k] @ [*inward[k], [0, 0, 0, 1]], plain[k], rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(before[k] @ plain[k, :3], full[k, :3], rtol=1e-9, atol=1e-7)
        np.testing.assert_allclose(before[k] @ calibration(camera), k3[k], rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(back[k] @ after[k], np.eye(4), rtol=0, atol=1e-9)
        # the translation is in the last column, or in that of z
        assert np.array_equal(after[k][:2, [0, 1, 3]], before[k][:2])


def test_coordinates_of_millions_cost_nothing():
    """UTM: what moves with the car does not know how far away the origin is."""
    pictures = [picture("front", T0 - 80 * MS), picture("left", T0 + 40 * MS, yaw_rad=1.0)]
    for near, far in zip(matrices(log_of(*pictures)), matrices(log_of(*pictures, poses=drive(5e6))), strict=True):
        # poses of 5e6 m are 1e-9 m apart in float64
        np.testing.assert_allclose(far, near, rtol=0, atol=1e-6)


# ---- by hand


def test_a_camera_lies_where_it_was_when_it_took_its_picture():
    """100 ms before, the car was 1 m behind; it turned by 0.03 rad since, and climbed 5 cm."""
    log = log_of(picture("front", T0 - 100 * MS), camera_tolerance_ns=100 * MS)
    _, moved, _, _ = matrices(log)
    _, mounted, _, _ = matrices(log, motion_compensated=False)
    assert np.array_equal(mounted[0], mount())
    c, s = math.cos(0.03), math.sin(0.03)
    # at T0 the car stands along x; 100 ms ago it was turned by -0.03, and its camera was 1.5 m ahead
    wanted = rigid(np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]), [-1, 0, -0.05]) @ mount()
    np.testing.assert_allclose(moved[0], wanted, rtol=0, atol=1e-12)


def test_a_pose_that_is_not_known_says_that_cameras_want_it():
    log = memory_log(
        cameras=[picture("front", T0 - 60 * MS)],
        poses=Poses(np.array([T0, T0 + 10**8]), np.eye(4)[[0, 0]], np.zeros((2, 3))),
        times_ns=[T0],
    )
    said = (
        rf"^frame 0 .*: where its cameras were when they took their pictures: no pose at {T0 - 60 * MS} ns: .*; "
        'the param "motion_compensated": false takes them as mounted$'
    )
    with pytest.raises(PoseUnknown, match=said):
        InputBuilder(["camera_extrinsics"]).build(log[0])
    mounted = InputBuilder(["camera_extrinsics"], params={"camera_extrinsics": {"motion_compensated": False}})
    assert np.array_equal(mounted.build(log[0])["camera_extrinsics"][0], mount().astype(np.float32))


def test_a_picture_of_the_reference_time_needs_no_poses():
    log = memory_log(cameras=[picture()], times_ns=[T0])
    _, moved, _, _ = matrices(log)
    assert np.array_equal(moved[0], mount())


@pytest.mark.parametrize("frame", ["lidar", "radar"])
def test_places_are_in_the_axes_of_the_frame_of_reference(frame):
    sensor = mount(0.7, (0.9, -0.2, 1.8))
    log = log_of(picture(), **{frame: sensor})
    _, out, full, _ = matrices(log, frame=frame)
    np.testing.assert_allclose(sensor @ out[0], mount(), rtol=0, atol=1e-12)
    # what the sensor sees at its own middle
    q = full[0] @ [0, 0, 0, 1]
    at = np.linalg.inv(mount()) @ sensor[:, 3]
    np.testing.assert_allclose(q[:3], intrinsics() @ at[:3], rtol=0, atol=1e-9)


def test_an_axis_that_the_frame_lacks_is_an_error_that_says_so():
    with pytest.raises(
        MissingRecord, match='no sweep of the primary lidar, which frame "lidar" needs; take frame "ego"'
    ):
        matrices(log_of(picture()), frame="lidar")
    # pixels do not need it
    spec = InputBuilder(["camera_intrinsics"])
    assert spec.build(log_of(picture())[0])["camera_intrinsics"].shape == (1, 3, 3)


def test_a_calibration_of_seven_digits_is_inverted_as_it_is():
    """KITTI's rotations are orthonormal to 1e-7 only; their transpose moves a pixel by more than 1e-6."""
    rough = mount(0.4)
    rough[:3, :3] = np.round(rough[:3, :3], 7) * (1 + 2e-7)
    at = np.array([40.0, 12.0, 1.0, 1.0])
    _, out, full, _ = matrices(log_of(picture(ego_from_camera=rough)))
    assert np.array_equal(out[0], rough)
    wanted = intrinsics() @ np.linalg.solve(rough, at)[:3]
    q = full[0] @ at
    np.testing.assert_allclose(q[:2] / q[2], wanted[:2] / wanted[2], rtol=0, atol=1e-9)


def test_undistorted_pictures_may_have_intrinsics_of_their_own():
    image = {"undistort": True, "new_intrinsics": [50, 60, 40, 20]}
    k, _, _, affine = matrices(log_of(picture()), image=image)
    assert k[0].tolist() == [[50, 0, 40], [0, 60, 20], [0, 0, 1]]
    assert np.array_equal(affine[0], np.eye(4))
    # without them they stay what they are
    assert np.array_equal(matrices(log_of(picture()), image={"undistort": True})[0][0], intrinsics())


def test_cameras_of_different_sizes_are_each_transformed_as_their_own():
    image = {"resize": "cover", "crop": [24, 40]}
    log = log_of(picture("front"), picture("left", size=(31, 47), seed=1), picture("right", size=(100, 64), seed=2))
    _, _, _, affine = matrices(log, image=image)
    # 54 x 96: 24 / 54; 31 x 47: 40 / 47; 100 x 64: 40 / 64
    assert affine[:, 0, 0].tolist() == pytest.approx([42 / 96, 40 / 47, 40 / 64])
    assert affine[:, 1, 1].tolist() == pytest.approx([24 / 54, 26 / 31, 62 / 100])
    # their sizes need not agree as long as nobody makes one tensor of the pictures
    assert matrices(log)[0].shape == (3, 3, 3)


# ---- cameras that are not there, or broken


def identity_but(others, tensors):
    """Every matrix but those of `others` is the identity."""
    for tensor in tensors:
        for k in set(range(len(tensor))) - set(others):
            assert np.array_equal(tensor[k], np.eye(*tensor.shape[1:]))


def test_a_camera_without_a_picture_has_the_identity_and_the_others_are_right(caplog):
    """left's nearest picture is out of the tolerance."""
    log = log_of(picture("front"), picture("left", T0 + 90 * MS, yaw_rad=1), camera_tolerance_ns=50 * MS)
    with caplog.at_level(logging.WARNING):
        got = matrices(log, image={"flip": True})
    identity_but([0], got)
    for tensor, alone in zip(got, matrices(log_of(picture("front")), image={"flip": True}), strict=True):
        assert np.array_equal(tensor[0], alone[0])
    (line,) = caplog.messages
    assert "has no picture of 'left' within 50 ms, the log's camera_tolerance_ns; the nearest is 90.0 ms off" in line
    with pytest.raises(MissingRecord, match=r"no picture of 'left' within 50 ms.*and the spec requires one$"):
        matrices(log, required=True)


def test_a_camera_that_the_log_lacks_is_the_identity_and_reported_once(caplog):
    log = log_of(picture("front"))
    with caplog.at_level(logging.WARNING):
        got = matrices(log, image={"cameras": ["back", "front"]})
    identity_but([1], got)
    assert np.array_equal(got[0][1], intrinsics())
    assert (
        len([line for line in caplog.messages if "no camera 'back', so no pictures of it; the log has front" in line])
        == 1
    )
    with pytest.raises(MissingRecord, match=r"no camera 'back'; the log has front, and the spec requires it"):
        matrices(log, image={"cameras": ["back", "front"]}, required=True)
    # none of the cameras that are named is misspelt, or another car
    with pytest.raises(MissingRecord, match="'frnt'"):
        matrices(log, image={"cameras": ["frnt"]})


BROKEN = [
    (
        {"intrinsics": np.zeros((3, 3))},
        r"^left.png: intrinsics of left are \[\[0.0, 0.0, 0.0\], .*, wanted 3 x 3 finite numbers with focal",
    ),
    ({"intrinsics": np.full((3, 3), np.nan)}, r"^left.png: intrinsics of left are \[\[nan"),
    ({"intrinsics": np.diag([-5.0, 5, 1])}, r"^left.png: intrinsics of left are \[\[-5.0"),
    ({"intrinsics": np.eye(4)}, r"^left.png: intrinsics of left are .*, wanted 3 x 3"),
    (
        {"ego_from_camera": np.zeros((4, 4))},
        r"^left.png: ego_from_camera of left is \[\[0.0, .*, wanted a 4 x 4 rotation and translation",
    ),
    ({"ego_from_camera": np.full((4, 4), np.inf)}, r"^left.png: ego_from_camera of left is \[\[inf"),
    ({"ego_from_camera": np.diag([1.0, 1, 0, 1])}, r"^left.png: ego_from_camera of left is \[\[1.0"),
]


@pytest.mark.parametrize(("broken", "said"), BROKEN)
def test_a_broken_calibration_is_named_and_spoils_only_its_camera(broken, said):
    pictures = picture("front"), picture("left", yaw_rad=1, **broken)
    with pytest.raises(BrokenRecord, match=said):
        matrices(log_of(*pictures))
    log = log_of(*pictures, on_error="skip")
    got = matrices(log)
    identity_but([0], got)
    assert np.array_equal(got[0][0], intrinsics())
    assert "left.png: " in "\n".join(log.skipped)
    # what does not need the camera is not told of it
    alone = matrices(log_of(*pictures), image={"cameras": ["front"]})
    assert np.array_equal(alone[2][0], got[2][0])


def test_a_crop_outside_of_one_picture_is_named_and_spoils_only_its_matrices():
    pictures = picture("front"), picture("small", size=(20, 30), seed=1, yaw_rad=1)
    image = {"crop": [24, 40]}
    said = (
        r"^small.png: 20 x 30 pixels of small: the crop of rows 0 to 24 and columns 0 to 40 reaches beyond the pic"
        'ture, 20 x 30 after resizing; image.crop_beyond "black" allows it$'
    )
    with pytest.raises(BrokenRecord, match=said):
        matrices(log_of(*pictures), image=image)
    k, out, full, affine = matrices(log_of(*pictures, on_error="skip"), image=image)
    # what was done to the picture is not known, and so nothing of its pixels; where the camera is, is
    identity_but([0], (k, affine))
    np.testing.assert_allclose(out[1], mount(1), rtol=0, atol=1e-12)
    assert np.array_equal(full[0], matrices(log_of(pictures[0]), image=image)[2][0])


def test_no_camera_at_all_gives_no_matrices():
    log = memory_log(times_ns=[T0], poses=drive())
    assert [tensor.shape for tensor in matrices(log)] == [(0, 3, 3), (0, 4, 4), (0, 4, 4), (0, 4, 4)]


def test_a_spec_that_fixes_more_cameras_than_there_are_is_padded_with_zeros():
    spec = [{"name": "camera_intrinsics", "dtype": "float32", "shape": [3, 3, 3]}]
    got = InputBuilder(spec).build(log_of(picture("front"))[0])["camera_intrinsics"]
    assert np.array_equal(got[0], intrinsics().astype(np.float32))
    assert not got[1:].any()


# ---- from frame to frame


def test_a_calibration_that_changes_is_followed_and_one_that_comes_back_too():
    """Matrices are kept while nothing changes: each frame's are those of a builder of its own."""
    other = intrinsics() + np.array([[5, 0, 3], [0, 5, -2], [0, 0, 0]])
    changes = [{}, {}, {"intrinsics": other}, {"ego_from_camera": mount(0.3)}, {"size": (60, 90)}, {}]
    pictures = [
        replace(picture("front", T0 + k * 100 * MS), **{"size": SIZE, **change}) for k, change in enumerate(changes)
    ]
    pictures += [picture("left", T0 + k * 100 * MS, yaw_rad=1) for k in (0, 2, 3, 5)]
    times_ns = [T0 + k * 100 * MS for k in range(len(changes))]
    still = Poses(np.array([T0 - 10**9, T0 + 10**9]), np.array([[1.0, 0, 0, 0]] * 2), np.zeros((2, 3)))
    log = memory_log(cameras=pictures, poses=still, times_ns=times_ns)
    log.camera_tolerance_ns = 10 * MS
    spec = rows(image={"resize": 0.5, "flip": True}, camera_image_affine={"inverse": True})
    kept = InputBuilder(spec)
    for _ in range(2):
        for frame in log:
            one, fresh = kept.build(frame), InputBuilder(spec).build(frame)
            for name in MATRICES:
                assert one[name].tobytes() == fresh[name].tobytes()
    assert len({kept.build(frame)["camera_projection"][0].tobytes() for frame in log}) == 4


def test_intrinsics_that_are_changed_in_place_are_seen():
    mine = intrinsics()
    log = log_of(picture("front", intrinsics=mine))
    builder = InputBuilder(["camera_intrinsics"])
    first = builder.build(log[0])["camera_intrinsics"].copy()
    mine *= 2
    again = builder.build(log_of(picture("front", intrinsics=mine))[0])["camera_intrinsics"]
    assert np.array_equal(again, first * 2)


def test_one_size_is_wanted_of_pictures_and_said_with_each():
    log = log_of(picture("front"), picture("left", size=(31, 47), seed=1))
    with pytest.raises(SpecError, match=r"2 pictures of one tensor have different sizes, 54 x 96 of front, 31 x 47 of"):
        InputBuilder(["camera_images", "camera_intrinsics"]).build(log[0])


# ---- a dot in a picture moves to where the matrix says


def with_dot(u, v, size, wide_px):
    """A black picture with a soft round dot, the middle of which is at (u, v)."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    dot = 250 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * wide_px**2))
    return np.repeat(np.rint(dot)[..., None], 3, axis=2).astype(np.uint8)


def middle_of(image):
    """Where the dot is, (u, v), in (H, W, 3)."""
    weight = image[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


def build_dot(image, size, u, v, **how):
    """Where the dot is in the tensor, and where the affine of the pixel convention says that it is."""
    encoded = png(with_dot(u, v, size, 4))
    log = log_of(picture(size=size, read=lambda: encoded))
    shape = [1, "h", "w", 3]
    rows = [
        {
            "name": "camera_images",
            "dtype": "uint8",
            "shape": shape,
            "params": {"image": image, "layout": "HWC", **how},
        },
        {"name": "camera_image_affine", "dtype": "float64", "shape": [1, 4, 4], "params": {"image": image}},
    ]
    tensors = InputBuilder(rows).build(log[0])
    return middle_of(tensors["camera_images"][0]), (tensors["camera_image_affine"][0] @ [u, v, 1, 1])[:2]


DOTS = {
    "as recorded": {},
    "smaller": {"resize": 0.48},
    "of sizes of its own": {"resize": [61, 200]},
    "larger": {"resize": 1.7},
    "cut": {"resize": "cover", "crop": [80, 200], "crop_at": [1, 0.5]},
    "turned": {"resize": 0.7, "crop": [120, 190], "rotate": 11.0},
    "flipped": {"resize": 0.48, "flip": True},
    "all of it": {
        "resize": 0.8,
        "crop": [130, 220],
        "crop_at": [0.3, 0.6],
        "flip": True,
        "rotate": -7,
        "pad_multiple": 32,
    },
}


@pytest.mark.parametrize("how", [*({"resampler": name} for name in get_args(Resampler)), {"compose": True}], ids=str)
@pytest.mark.parametrize("image", DOTS.values(), ids=DOTS)
def test_a_dot_is_where_the_matrix_says(image, how):
    found, said = build_dot(image, (180, 300), 148.3, 101.6, **how)
    # what is turned by the nearest pixel is as near as that
    np.testing.assert_allclose(found, said, rtol=0, atol=0.15 if image.get("rotate") else 0.03)


@pytest.mark.parametrize("resampler", get_args(Resampler))
@pytest.mark.parametrize("flip", [False, True])
def test_published_matrices_are_half_a_pixel_beside_it_less_the_factor(resampler, flip):
    """u' = s u, where a pixel goes to s (u + .5) - .5; flipped W - s u, where it goes to W - s (u + .5) - .5."""
    image = {"resize": 0.48, "flip": flip, "pixel_convention": "published"}
    found, said = build_dot(image, (200, 300), 148.3, 101.6, resampler=resampler)
    beside = [0.5 * (1 + 0.48) if flip else 0.5 * (1 - 0.48), 0.5 * (1 - 0.48)]
    np.testing.assert_allclose(said - found, beside, rtol=0, atol=0.03)


def test_a_picture_that_is_decoded_smaller_shows_a_dot_where_the_matrix_says():
    found, said = build_dot({"resize": 0.4}, (180, 300), 148.3, 101.6, decode="reduced", resampler="pil_bicubic")
    np.testing.assert_allclose(found, said, rtol=0, atol=0.1)


@pytest.mark.parametrize(
    ("resampler", "column"), [("pil_bilinear", 383.740), ("pil_bicubic", 383.784), ("cv2_linear", 384.0)]
)
def test_an_impulse_lands_where_it_was_measured_with_pillow_and_opencv(resampler, column):
    """Column 800 of 1600, made 768 wide. An impulse of one pixel is not a dot: OpenCV looks at two pixels alone."""
    line = np.zeros((25, 1600, 3), np.uint8)
    line[:, 800] = 255
    encoded = png(line)
    log = log_of(picture(size=(25, 1600), read=lambda: encoded))
    params = {"image": {"resize": 0.48}, "resampler": resampler, "layout": "HWC"}
    row = {"name": "camera_images", "dtype": "uint8", "shape": [1, "h", "w", 3], "params": params}
    (image,) = InputBuilder([row]).build(log[0])["camera_images"]
    # a lobe of bicubic is negative, and black here
    assert middle_of(image)[0] == pytest.approx(column, abs=0.02)
