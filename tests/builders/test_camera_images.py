"""camera_images, camera_valid and camera_time_lag: what they hold, and what becomes of pictures that are not as they
should be. How pixels are resampled is tested in test_resampling.py."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.features import SpecError
from perceptum.features.camera import BGR_NORMS, NORMS
from perceptum.inputs import BrokenRecord, CameraImage, MissingRecord, Poses

from .cameras import SIZE, T0, intrinsics, picture, pixels, png

MS = 1_000_000
NAMES = ["camera_images", "camera_valid", "camera_time_lag"]


def log_of(*pictures, times_ns=(T0,), **options):
    poses = Poses(np.array([T0 - 10**9, T0 + 10**9]), np.array([[1.0, 0, 0, 0]] * 2), np.zeros((2, 3)))
    log = memory_log(cameras=pictures, poses=poses, times_ns=list(times_ns))
    for name, value in options.items():
        setattr(log, name, value)
    return log


def build(frame, image=None, names=NAMES, **images):
    params = {"image": image or {}, "camera_images": images}
    return InputBuilder(names, params={k: v for k, v in params.items() if v}).build(frame)


def test_a_picture_is_itself_where_nothing_is_done_to_it():
    got = build(log_of(picture("front"), picture("left", T0 + 3 * MS, seed=1))[0])
    assert got["camera_images"].dtype == np.float32
    expected = np.stack([pixels(), pixels(seed=1)]).transpose(0, 3, 1, 2)
    assert np.array_equal(got["camera_images"], expected.astype(np.float32))
    assert got["camera_valid"].tolist() == [1, 1]
    assert got["camera_time_lag"].tolist() == [0, np.float32(-0.003)]


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("channel_order", ["RGB", "BGR"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("camera_axis", [True, False])
def test_layout_order_dtype_and_axis(layout, channel_order, dtype, camera_axis):
    params = {"image": {"cameras": ["front"]}, "layout": layout, "channel_order": channel_order}
    size = [3, *SIZE] if layout == "CHW" else [*SIZE, 3]
    shape = [1, *size] if camera_axis else size
    params["camera_axis"] = camera_axis
    row = {"name": "camera_images", "dtype": dtype, "shape": shape, "params": params}
    got = InputBuilder([row]).build(log_of(picture())[0])["camera_images"]
    expected = pixels()[..., :: 1 if channel_order == "RGB" else -1]
    expected = expected.transpose(2, 0, 1) if layout == "CHW" else expected
    assert got.shape == tuple(shape)
    assert np.array_equal(got.reshape(expected.shape), expected)


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_by_name_is_that_norm_in_numbers(name):
    frame, norm = log_of(picture())[0], NORMS[name]
    numbers = {"scale": norm.scale, "mean": list(norm.mean), "std": list(norm.std), "arithmetic": norm.arithmetic}
    order = "BGR" if name in BGR_NORMS else "RGB"
    by_name, by_numbers = (build(frame, norm=value, channel_order=order)["camera_images"] for value in (name, numbers))
    assert by_name.tobytes() == by_numbers.tobytes()
    shown = pixels()[..., ::-1] if order == "BGR" else pixels()
    value = shown.transpose(2, 0, 1).astype(np.float64) / (255 if norm.scale == "1/255" else 1)
    expected = (value - np.array(norm.mean)[:, None, None]) / np.array(norm.std)[:, None, None]
    assert np.abs(by_name[0] - expected).max() < 2e-5 * max(1, np.abs(expected).max())
    one, other = (
        InputBuilder(NAMES, params={"camera_images": {"norm": n, "channel_order": order}}) for n in (name, numbers)
    )
    assert one.fingerprint == other.fingerprint


def test_cameras_come_in_the_order_that_is_asked_for():
    frame = log_of(picture("front"), picture("left", seed=1), picture("right", seed=2))[0]
    got = build(frame, {"cameras": ["right", "front"]}, norm=None)["camera_images"]
    assert np.array_equal(got, np.stack([pixels(seed=2), pixels()]).transpose(0, 3, 1, 2))


def test_one_tensor_a_camera_by_suffix():
    frame = log_of(picture("front"), picture("left", size=(31, 47), seed=1))[0]
    rows = [
        {
            "name": f"camera_images__{camera}",
            "dtype": "uint8",
            "shape": ["height", "width", 3] if camera == "front" else ["h", "w", 3],
            "params": {"image": {"cameras": [camera]}, "layout": "HWC", "camera_axis": False},
        }
        for camera in ("front", "left")
    ]
    got = InputBuilder(rows).build(frame)
    assert np.array_equal(got["camera_images__front"], pixels())
    assert np.array_equal(got["camera_images__left"], pixels((31, 47), 1))


def test_a_picture_is_decoded_once_for_all_that_show_it(monkeypatch):
    decoded, decode = [], CameraImage.decode
    monkeypatch.setattr(
        CameraImage, "decode", lambda self, *a, **k: (decoded.append(self.camera), decode(self, *a, **k))[1]
    )
    rows = [
        {"name": "camera_images", "dtype": "float32", "shape": ["k", 3, "h", "w"], "params": {"norm": "unit"}},
        {"name": "camera_images__b", "dtype": "uint8", "shape": ["k", "h", "w", 3], "params": {"layout": "HWC"}},
        {"name": "camera_images__c", "dtype": "uint8", "shape": ["k", "h", "w", 3], "params": {"layout": "HWC"}},
        {"name": "camera_valid", "dtype": "uint8", "shape": ["k"], "params": {"norm": "unit"}},
    ]
    for threads in (1, 3):
        builder = InputBuilder(rows, threads=threads)
        for on_error in ("raise", "skip"):
            decoded.clear()
            tensors = builder.build(log_of(picture("front"), picture("left", seed=1), on_error=on_error)[0])
            assert sorted(decoded) == ["front", "left"]
            assert np.array_equal(tensors["camera_images__b"], tensors["camera_images__c"])


def test_models_that_do_other_things_to_a_picture_share_its_decoding(monkeypatch):
    decoded, decode = [], CameraImage.decode
    monkeypatch.setattr(
        CameraImage, "decode", lambda self, *a, **k: (decoded.append(self.camera), decode(self, *a, **k))[1]
    )
    models = {
        "small": {"image": {"cameras": ["front", "left"], "resize": 0.5, "crop": [20, 40], "crop_at": [1.0, 0.5]}},
        "top": {"image": {"cameras": ["left"], "crop": [9, 90], "crop_offset": [1, 3], "flip": True}, "norm": "unit"},
        "all": {"image": {"undistort": True}, "required": True, "compose": True},
    }
    specs = {
        name: [
            {"name": "camera_images", "dtype": "float32", "shape": [None, 3, None, None], "params": params},
            {"name": "camera_valid", "dtype": "uint8", "shape": [None], "params": params},
        ]
        for name, params in models.items()
    }
    lens = {"distortion": np.array([0.1, 0, 0, 0]), "distortion_model": "brown"}
    log = log_of(picture("front"), picture("left", seed=1, **lens))
    alone = {name: InputBuilder(spec).build(log[0]) for name, spec in specs.items()}
    for threads in (1, 3):
        builder = InputBuilder(specs, threads=threads)
        for on_error in ("raise", "skip"):
            decoded.clear()
            log.on_error = on_error
            got = builder.build(log[0])
            assert sorted(decoded) == ["front", "left"]
            for name, tensors in alone.items():
                for feature, tensor in tensors.items():
                    assert got[name][feature].tobytes() == tensor.tobytes()
    decoded.clear()
    smaller = {
        name: [{**row, "params": {**row["params"], "decode": "reduced"}} for row in specs[name]]
        for name in ("small", "top")
    }
    InputBuilder(smaller).build(log[0])
    # half as large for one, whole for the other
    assert sorted(decoded) == ["front", "left", "left"]


def test_a_lens_that_is_none_spoils_only_pictures_that_are_undistorted():
    broken = picture("front", distortion=np.array([np.nan] * 4), distortion_model="brown")
    log = log_of(broken, picture("left", seed=1), on_error="skip")
    straight, bent = ({"image": {"cameras": ["front", "left"], "undistort": undistort}} for undistort in (True, False))
    rows = [
        {"name": name + suffix, "dtype": dtype, "shape": [None] * axes, "params": params}
        for suffix, params in (("__straight", straight), ("__bent", bent))
        for name, dtype, axes in (("camera_images", "uint8", 4), ("camera_valid", "uint8", 1))
    ]
    got = InputBuilder(rows).build(log[0])
    assert got["camera_valid__straight"].tolist() == [0, 1]
    assert got["camera_valid__bent"].tolist() == [1, 1]
    assert not got["camera_images__straight"][0].any()
    assert got["camera_images__straight"][1].tobytes() == got["camera_images__bent"][1].tobytes()
    # whether it is good does not depend on who else asks
    assert InputBuilder(rows[1:2]).build(log[0])["camera_valid__straight"].tolist() == [0, 1]


def test_matrices_and_masks_decode_nothing(monkeypatch):
    monkeypatch.setattr(CameraImage, "decode", lambda *a, **k: pytest.fail("decoded"))
    names = ["camera_valid", "camera_time_lag", "camera_intrinsics", "camera_projection"]
    frame = log_of(picture("front", size=(40, 60)))[0]
    assert build(frame, names=names)["camera_valid"].tolist() == [1]


def cut(encoded: bytes) -> bytes:
    return encoded[: len(encoded) // 2]


BROKEN = {
    "truncated": ({"read": lambda: cut(png(pixels()))}, "front.png: not a complete picture"),
    "no picture": ({"read": lambda: b"nothing"}, "front.png: the header of the picture does not say how large it is"),
    "another size": (
        {"size": (900, 1600)},
        "front.png: the picture is 54 x 96 pixels, and front was calibrated for 900 x",
    ),
    "singular": ({"intrinsics": np.zeros((3, 3))}, "front.png: intrinsics of front are"),
    "not finite": ({"intrinsics": intrinsics() * np.nan}, "front.png: intrinsics of front are"),
    "mirrored": ({"ego_from_camera": np.diag([1.0, 1, -1, 1])}, "front.png: ego_from_camera of front is"),
    "no rotation": ({"ego_from_camera": np.zeros((4, 4))}, "front.png: ego_from_camera of front is"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_picture_is_an_error_that_names_it(what):
    changes, said = BROKEN[what]
    frame = log_of(replace(picture("front"), **changes), picture("left", seed=1))[0]
    with pytest.raises(BrokenRecord) as refused:
        build(frame, {"crop": [50, 90]})
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("what", BROKEN)
def test_where_broken_pictures_are_skipped_one_is_black_and_the_rest_is_right(what, threads):
    good = picture("left", seed=1)
    log = log_of(replace(picture("front"), **BROKEN[what][0]), good, on_error="skip")
    image = {"cameras": ["front", "left"], "crop": [50, 90]}
    builder = InputBuilder(NAMES, params={"image": image, "camera_images": {"norm": "imagenet_255"}}, threads=threads)
    alone = InputBuilder(["camera_valid"], params={"image": image, "camera_images": {"norm": "imagenet_255"}})
    whole = builder.build(log_of(picture("front"), good)[0])
    for _ in range(2):
        got = builder.build(log[0])
        assert got["camera_valid"].tolist() == alone.build(log[0])["camera_valid"].tolist() == [0, 1]
        assert not got["camera_images"][0].any()
        assert got["camera_images"][1].tobytes() == whole["camera_images"][1].tobytes()
        assert any("front" in line for line in log.skipped)
        # in memory that held a good picture before
        assert (
            builder.build(log_of(picture("front"), good)[0])["camera_images"].tobytes()
            == whole["camera_images"].tobytes()
        )


@pytest.mark.parametrize("names", [NAMES, ["camera_valid"], ["camera_images"]])
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_picture_that_is_required_is_an_error_where_others_are_skipped(what, names):
    changes, said = BROKEN[what]
    log = log_of(replace(picture("front"), **changes), picture("left", seed=1), on_error="skip")
    image = {"cameras": ["front", "left"], "crop": [50, 90]}
    with pytest.raises(BrokenRecord) as refused:
        build(log[0], image, names, required=True)
    assert str(refused.value).startswith(said)
    # another model's, which can do without
    easy = {"name": "camera_valid", "dtype": "uint8", "shape": [2], "params": {"image": image}}
    strict = {**easy, "params": {"image": image, "required": True}}
    for specs in ({"a": [easy], "b": [strict]}, {"b": [strict], "a": [easy]}):
        with pytest.raises(BrokenRecord):
            InputBuilder(specs).build(log[0])
    assert InputBuilder([easy]).build(log[0])["camera_valid"].tolist() == [0, 1]


def test_no_picture_and_one_that_does_not_decode_are_told_apart_by_what_else_is_known():
    """camera_valid is 0 of both; matrices and the time lag are unknown only where there is no picture."""
    late, torn = T0 + 10 * MS, {"read": lambda: cut(png(pixels()))}
    names = ["camera_images", "camera_valid", "camera_time_lag", "camera_projection", "camera_image_affine"]
    image = {"cameras": ["front", "left"], "crop": [50, 90]}
    builder = InputBuilder(names, params={"image": image, "camera_projection": {"motion_compensated": False}})
    good = builder.build(log_of(picture("front", late), picture("left"))[0])
    broken = builder.build(log_of(picture("front", late, **torn), picture("left"), on_error="skip")[0])
    none = builder.build(log_of(picture("front", T0 + 10**9), picture("left"))[0])
    assert [got["camera_valid"].tolist() for got in (good, broken, none)] == [[1, 1], [0, 1], [0, 1]]
    assert not broken["camera_images"][0].any()
    assert not none["camera_images"][0].any()
    for name in names[2:]:
        assert np.array_equal(broken[name], good[name])
        assert np.array_equal(none[name][0], np.eye(4) if name != "camera_time_lag" else 0)


def test_a_crop_beyond_the_picture_names_both():
    frame = log_of(picture("front"))[0]
    said = (
        "front.png: 54 x 96 pixels of front: the crop of rows 0 to 60 and columns 0 to 40 reaches beyond the picture, "
        '54 x 96 after resizing; image.crop_beyond "black" allows it'
    )
    with pytest.raises(BrokenRecord) as refused:
        build(frame, {"crop": [60, 40], "crop_offset": [0, 0]})
    assert str(refused.value) == said
    got = build(frame, {"crop": [60, 40], "crop_offset": [0, 0], "crop_beyond": "black"})["camera_images"]
    assert np.array_equal(got[0, :, :54], pixels()[:, :40].transpose(2, 0, 1))
    assert not got[0, :, 54:].any()


def test_pictures_that_a_crop_reaches_beyond_are_black_and_said_once(caplog):
    log = log_of(picture("front"), picture("left", size=(80, 96)), on_error="skip", times_ns=[T0, T0 + 1])
    builder = InputBuilder(NAMES, params={"image": {"crop": [60, 40]}})
    got, _ = (builder.build(frame) for frame in log)
    assert got["camera_valid"].tolist() == [0, 1]
    said = [record.message for record in caplog.records]
    assert len(said) == 1
    assert "front.png: 54 x 96 pixels of front: the crop of rows 0 to 60 and columns 28 to 68 reaches beyond" in said[0]
    assert said[0].endswith("its pictures of this size are black (reported once)")
    with pytest.raises(BrokenRecord, match="reaches beyond"):
        build(log[0], {"crop": [60, 40]}, required=True)


def test_a_crop_beyond_the_size_that_the_spec_resizes_to_is_refused_when_planning():
    with pytest.raises(SpecError, match=r"the crop of rows 0 to 400 .* reaches beyond the picture, 320 x 576 after"):
        InputBuilder(["camera_images"], params={"image": {"resize": [320, 576], "crop": [400, 576]}})
    InputBuilder(
        ["camera_images"], params={"image": {"resize": [320, 576], "crop": [400, 576], "crop_beyond": "black"}}
    )


def test_pictures_of_different_sizes_want_to_be_made_alike():
    frame = log_of(picture("front"), picture("left", size=(31, 47)))[0]
    with pytest.raises(SpecError, match=r"different sizes, 54 x 96 of front, 31 x 47 of left; set image\.crop"):
        build(frame)
    assert build(frame, {"pad": [64, 96]})["camera_images"].shape == (2, 3, 64, 96)
    # what is said of each picture by itself has no size
    assert build(frame, names=["camera_valid", "camera_time_lag"])["camera_valid"].tolist() == [1, 1]


def test_a_camera_without_a_picture_in_time_is_black_and_said_once(caplog):
    late = picture("left", T0 + 80 * MS)
    log = log_of(picture("front"), late, times_ns=[T0, T0 + 1])
    with caplog.at_level(logging.WARNING):
        builder = InputBuilder(NAMES, params={"image": {"cameras": ["front", "left"], "crop": [20, 30]}})
        got, _ = (builder.build(frame) for frame in log)
    assert got["camera_valid"].tolist() == [1, 0]
    assert not got["camera_images"][1].any()
    assert got["camera_time_lag"][1] == 0
    said = [record.message for record in caplog.records]
    assert len(said) == 1
    assert "has no picture of 'left' within 60 ms, the log's camera_tolerance_ns; the nearest is 80.0 ms off" in said[0]
    with pytest.raises(MissingRecord, match=r"no picture of 'left' within 60 ms.*, and the spec requires one$"):
        build(log[0], {"cameras": ["front", "left"], "crop": [20, 30]}, required=True)


def test_a_camera_that_the_log_lacks(caplog):
    log = log_of(picture("front"))
    with pytest.raises(MissingRecord, match=r"no camera 'nowhere'; the log has front; image\.cameras names the"):
        build(log[0], {"cameras": ["nowhere"]})
    with pytest.raises(MissingRecord, match="no camera 'nowhere'; the log has front, and the spec requires it"):
        build(log[0], {"cameras": ["front", "nowhere"]}, required=True)
    assert build(log[0], {"cameras": ["front", "nowhere"], "crop": [9, 9]})["camera_valid"].tolist() == [1, 0]
    assert "no camera 'nowhere', so no pictures of it; the log has front (reported once; the param" in caplog.text


@pytest.mark.parametrize(
    ("named", "there", "misspelt"),
    [
        ("CAM_FRNT", "CAM_FRONT", True),
        ("cam_front", "CAM_FRONT", True),
        ("CAMFRONT", "CAM_FRONT", True),
        ("CAM_FRONT_LEFT", "CAM_FRONT_RIGHT", False),
        ("CAM_FRONT_LEFT", "CAM_FRONT", False),
        ("image_2", "image_3", False),
        ("M_FISHEYE_L", "M_FISHEYE_R", False),
    ],
)
def test_a_misspelt_camera_is_an_error_and_another_one_is_not(named, there, misspelt, caplog):
    log = log_of(picture("other"), picture(there))
    if misspelt:
        with pytest.raises(MissingRecord, match=f"no camera '{named}'; did you mean '{there}'. the log has other, "):
            build(log[0], {"cameras": ["other", named]})
        # what it is a slip of is there too
        build(log[0], {"cameras": ["other", there, named], "crop": [9, 9]})
        assert f"no camera '{named}', so no pictures of it" in caplog.text
    else:
        assert build(log[0], {"cameras": ["other", named]})["camera_valid"].tolist() == [1, 0]


def test_a_log_without_cameras_gives_none():
    poses = Poses(np.array([T0]), np.array([[1.0, 0, 0, 0]]), np.zeros((1, 3)))
    frame = memory_log(poses=poses, times_ns=[T0])[0]
    got = build(frame)
    assert got["camera_images"].shape == (0, 3, 0, 0)
    assert got["camera_valid"].shape == (0,)


@pytest.mark.parametrize(("cameras", "size"), [(2, (60, 100)), (3, SIZE), (3, (64, 128))])
def test_a_spec_that_fixes_more_gets_black_around(cameras, size):
    log = log_of(picture("front"), picture("left", seed=1))
    row = {"name": "camera_images", "dtype": "uint8", "shape": [cameras, 3, *size], "params": {}}
    builder = InputBuilder([row], writable=True)
    for _ in range(2):
        got = builder.build(log[0])["camera_images"]
        assert np.array_equal(got[0, :, : SIZE[0], : SIZE[1]], pixels().transpose(2, 0, 1))
        rest = got.copy()
        rest[:2, :, : SIZE[0], : SIZE[1]] = 0
        assert not rest.any()
        got[...] = 7
    with pytest.raises(SpecError, match=r"the spec fixes pictures of 40 x 96, and they are 54 x 96; set image\.crop"):
        InputBuilder([{**row, "shape": [2, 3, 40, 96]}]).build(log[0])


def test_uint8_takes_no_norm():
    row = {"name": "camera_images", "dtype": "uint8", "shape": [2, 3, 9, 9], "params": {"norm": "unit"}}
    with pytest.raises(SpecError, match="as uint8 holds values from 0 to 255: take norm null, or float32"):
        InputBuilder([row]).build(log_of(picture("front"))[0])


def test_scratch_is_for_as_many_pictures_as_there_are_threads():
    pictures = [picture(f"c{k}", seed=k) for k in range(6)]
    for threads in (1, 2):
        builder = InputBuilder(["camera_images"], threads=threads)
        builder.build(log_of(*pictures)[0])
        lane = builder._take_lane()
        decoded = next(stage for stage in lane.stages if stage.title.startswith("pictures"))
        assert 0 < decoded.nbytes <= threads * 2 * SIZE[0] * SIZE[1] * 3
