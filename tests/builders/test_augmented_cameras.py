"""What a draw does to pictures, it does to everything that speaks of their pixels; and to their colours."""

from __future__ import annotations

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from perceptum.builders import Augment, Draw, ImageColor, InputBuilder
from perceptum.builders.augment.photometric import ColorChange
from perceptum.builders.augment.pictures import PictureChange
from perceptum.builders.camera.coloring import colored
from perceptum.builders.camera.picture import Picture
from perceptum.datasets import memory_log
from perceptum.features import SpecError
from perceptum.features.camera import ImageParams
from perceptum.inputs import BrokenRecord, CameraImage, Poses

from .cameras import T0, intrinsics, mount, picture, pixels, png

SIZE = (90, 160)
IMAGE = {"resize": 0.48, "crop": [26, 70], "crop_at": [1.0, 0.5]}
BEVFUSION = Augment(
    image_resize=(0.38 / 0.48, 0.55 / 0.48), image_crop=(1.0, (0.0, 1.0)), image_flip=0.5, image_rotate=5.4
)
DOT = {"resize": 0.8, "crop": [60, 100]}
NAMES = ["camera_images", "camera_intrinsics", "camera_projection", "camera_image_affine"]


def log_of(*pictures: CameraImage, **more):
    poses = Poses(np.array([T0 - 10**9, T0 + 10**9]), np.array([[1.0, 0, 0, 0]] * 2), np.zeros((2, 3)))
    return memory_log(cameras=pictures, poses=poses, times_ns=[T0], **more)


@pytest.fixture(scope="module")
def frame():
    return log_of(*(picture(name, size=SIZE, seed=k, yaw_rad=float(k)) for k, name in enumerate("abc")))[0]


def builder(names=NAMES, augment=BEVFUSION, image=IMAGE, **more):
    params = {"image": image, **more}
    rows = [{"name": name, "dtype": "float64" if "images" not in name else "float32"} for name in names]
    shapes = {"camera_images": [None, 3, None, None], "camera_intrinsics": [None, 3, 3]}
    for row in rows:
        row["shape"] = shapes.get(row["name"], [None, 4, 4])
        row["params"] = {"image": image, **params.get(row["name"], {})}
    return InputBuilder(rows, augment=augment)


def drawn_transform(draw: Draw, camera: str, augment: Augment = BEVFUSION, image=IMAGE):
    return PictureChange.drawn(augment, draw, camera).transform(msgspec.convert(image, ImageParams), *SIZE)


def by_pillow(shown: np.ndarray, transform) -> np.ndarray:
    """The published way, of whole pictures, one step after the other."""
    height, width = transform.resized
    top, left, rows, columns = transform.crop
    image = Image.fromarray(shown).resize((width, height), Image.Resampling.BICUBIC)
    image = image.crop((left, top, left + columns, top + rows))
    if transform.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.array(image.rotate(transform.rotate_deg))


def by_opencv(shown: np.ndarray, transform) -> np.ndarray:
    height, width = transform.resized
    top, left, rows, columns = transform.crop
    whole = cv2.resize(shown, (width, height), interpolation=cv2.INTER_LINEAR)
    image = np.zeros((rows, columns, 3), np.uint8)
    part = whole[max(top, 0) : top + rows, max(left, 0) : left + columns]
    image[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]] = part
    image = np.ascontiguousarray(image[:, ::-1]) if transform.flip else image
    turn = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), transform.rotate_deg, 1)
    return cv2.warpAffine(image, turn, (columns, rows), flags=cv2.INTER_LINEAR)


@pytest.mark.parametrize(("resampler", "oracle"), [("pil_bicubic", by_pillow), ("cv2_linear", by_opencv)])
def test_pictures_are_those_of_the_published_steps_with_the_drawn_numbers(frame, resampler, oracle) -> None:
    made = builder(["camera_images"], camera_images={"resampler": resampler, "layout": "CHW"})
    for index in range(12):
        draw = Draw(3, 0, index)
        images = made.build(frame, draw=draw)["camera_images"]
        for k, camera in enumerate("abc"):
            expected = oracle(pixels(SIZE, seed=k), drawn_transform(draw, camera))
            assert np.array_equal(images[k].transpose(1, 2, 0), expected), (index, camera)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    index=st.integers(0, 10**6),
    flip=st.booleans(),
    rotate=st.sampled_from([0.0, 20.0]),
    convention=st.sampled_from(["center", "published"]),
    place=st.tuples(st.floats(5, 30), st.floats(-6, 6), st.floats(-1, 3)),
)
def test_a_point_lands_on_its_pixel_through_the_drawn_transform(frame, index, flip, rotate, convention, place) -> None:
    image = {**IMAGE, "flip": flip, "pixel_convention": convention, "rotate": 3.0, "cameras": ["a"]}
    augment = Augment(image_resize=0.2, image_crop=((0, 1), (0, 1)), image_flip=0.5, image_rotate=rotate)
    draw = Draw(1, 2, index)
    made = builder(NAMES, augment, image).build(frame, draw=draw)
    u_d, v_d, d, _ = made["camera_projection"][0] @ [*place, 1]
    in_camera = (np.linalg.inv(mount(0.0)) @ [*place, 1])[:3]
    recorded = intrinsics(SIZE) @ in_camera
    expected = drawn_transform(draw, "a", augment, image).matrix() @ (recorded / recorded[2])
    np.testing.assert_allclose([u_d / d, v_d / d], expected[:2], atol=1e-6)
    own = made["camera_intrinsics"][0] @ in_camera
    np.testing.assert_allclose(own[:2] / own[2], expected[:2], atol=1e-6)


def test_a_dot_is_found_where_its_place_is_projected() -> None:
    place = np.array([12.0, 1.0, 1.2, 1.0])
    at = intrinsics(SIZE) @ (np.linalg.inv(mount(0.0)) @ place)[:3]
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    dot = 250 * np.exp(-((u - at[0] / at[2]) ** 2 + (v - at[1] / at[2]) ** 2) / 18)
    encoded = png(np.repeat(dot[..., None], 3, axis=2).astype(np.uint8))
    frame = log_of(picture("a", size=SIZE, read=lambda: encoded))[0]
    augment = Augment(image_resize=0.15, image_crop=((0.3, 0.7), (0.3, 0.7)), image_flip=0.5, image_rotate=15.0)
    made = builder(NAMES, augment, DOT)
    for index in range(20):
        built = made.build(frame, draw=Draw(5, 0, index))
        shown = built["camera_images"][0, 0].astype(np.float64)
        rows, columns = np.mgrid[: shown.shape[0], : shown.shape[1]]
        found = np.array([(shown * columns).sum(), (shown * rows).sum()]) / shown.sum()
        u_d, v_d, d, _ = built["camera_projection"][0] @ place
        assert np.abs(found - [u_d / d, v_d / d]).max() < 0.5, index


def test_each_camera_has_its_own_draw_and_asking_for_less_changes_none(frame) -> None:
    draw = Draw(0, 0, 5)
    whole = builder().build(frame, draw=draw)
    affines = whole["camera_image_affine"]
    assert not np.array_equal(affines[0], affines[1])
    for k, camera in enumerate("abc"):
        one = builder(["camera_images"], image={**IMAGE, "cameras": [camera]}).build(frame, draw=draw)
        assert np.array_equal(one["camera_images"][0], whole["camera_images"][k])
    fewer = Augment(image_flip=0.5)
    for camera in "abc":
        assert drawn_transform(draw, camera, fewer).flip == drawn_transform(draw, camera).flip


def test_without_a_draw_pictures_are_those_of_inference(frame) -> None:
    color = ImageColor(brightness=0.5)
    augment = Augment(image_resize=0.2, image_flip=1.0, image_rotate=9.0, image_color=color)
    plain, given = builder(augment=None).build(frame), builder(augment=augment).build(frame)
    assert all(plain[name].tobytes() == given[name].tobytes() for name in NAMES)


@pytest.mark.parametrize("image", [{}, {"undistort": True}])
@pytest.mark.parametrize("images", [{}, {"compose": True}, {"resampler": "cv2_linear", "decode": "reduced"}])
def test_bytes_depend_neither_on_threads_nor_on_the_batch_nor_on_what_else_is_asked(frame, image, images) -> None:
    image = {**IMAGE, **image, "cameras": list("abc")}
    augment = Augment(
        image_resize=0.2, image_flip=0.5, image_rotate=9.0, image_color=ImageColor(brightness=0.5, hue=0.1)
    )
    params = {"image": image, "camera_images": images}
    names = ["camera_images", "camera_projection"]
    one = InputBuilder(names, params=params, augment=augment)
    draws = [Draw(0, 0, index) for index in (4, 5, 6)]
    alone = [one.build(frame, draw=draw)["camera_images"].copy() for draw in draws]
    assert one.build(frame, draw=draws[0])["camera_images"].tobytes() == alone[0].tobytes()
    many = InputBuilder([*names, "camera_valid"], params=params, augment=augment, threads=2)
    for draw, expected in zip(draws, alone, strict=True):
        assert many.build(frame, draw=draw)["camera_images"].tobytes() == expected.tobytes()
    batch = many.build_batch([frame] * 3, draws=draws)
    assert np.array_equal(batch["camera_images"].reshape(-1, *alone[0].shape[1:]), np.concatenate(alone))


def test_a_picture_is_decoded_once_for_all_that_show_it() -> None:
    reads = []
    encoded = png(pixels(SIZE))
    frame = log_of(picture("a", size=SIZE, read=lambda: reads.append(1) or encoded))[0]
    rows = [
        {"name": f"camera_images__{name}", "dtype": "uint8", "shape": [1, 3, *crop], "params": {"image": image}}
        for name, crop, image in (("x", [26, 70], IMAGE), ("y", [20, 20], {"resize": 0.9, "crop": [20, 20]}))
    ]
    built = InputBuilder(rows, augment=BEVFUSION).build(frame, draw=Draw(0, 0, 0))
    assert len(reads) == 1
    assert built["camera_images__y"].any()


def test_depth_falls_where_it_does_on_the_pixels_of_the_points() -> None:
    import perceptum as pc

    frame = pc.open_log("synthetic", frames=2, beams=16, azimuth_steps=300, image_size=(160, 90))[1]
    image = {"resize": 0.5, "crop": [40, 70]}
    names = ["camera_depth", "lidar_camera_pixels", "lidar_camera_index"]
    augment = Augment(image_resize=0.2, image_crop=((0, 1), (0, 1)), image_flip=0.5, image_rotate=10.0, rotate=1.0)
    built = InputBuilder(names, params={"image": image}, augment=augment).build(frame, draw=Draw(0, 1, 2))
    index, (u, v, depth) = built["lidar_camera_index"], built["lidar_camera_pixels"].T
    seen = index >= 0
    assert seen.sum() > 100
    depths = built["camera_depth"].reshape(-1, 40, 70)
    row, column = (np.floor(axis[seen] + 0.5).astype(int) for axis in (v, u))
    inside = (row < 40) & (column < 70)
    found = depths[index[seen][inside], row[inside], column[inside]]
    assert (found > 0).mean() > 0.9
    assert (found <= depth[seen][inside] + 1e-4).mean() > 0.9


@pytest.mark.parametrize(
    ("image", "augment", "message"),
    [
        ({}, Augment(image_resize=0.1), "set image.crop, or image.pad to what all of them fit into"),
        ({"resize": [40, 60]}, Augment(image_resize=0.1), "set image.crop, or image.pad"),
        ({"resize": [40, 60], "pad": [42, 66]}, Augment(image_resize=0.1), "up to 44 x 66, and image.pad is 42 x 66"),
        ({"pad_multiple": 32}, Augment(image_resize=0.1), "set image.crop, or image.pad"),
        ({}, Augment(image_crop=(0.0, 1.0)), "image_crop says where image.crop lies"),
    ],
)
def test_what_would_change_the_size_of_a_tensor_is_refused_when_planning(image, augment, message) -> None:
    with pytest.raises(SpecError, match=message):
        InputBuilder(["camera_images"], params={"image": image} if image else None, augment=augment)


def test_pictures_of_other_sizes_fit_into_a_pad(frame) -> None:
    image = {"resize": 0.5, "pad": [64, 96]}
    augment = Augment(image_resize=0.15)
    built = builder(image=image, augment=augment).build(frame, draw=Draw(0, 0, 1))["camera_images"]
    assert built.shape == (3, 3, 64, 96)
    for k, camera in enumerate("abc"):
        height, width = drawn_transform(Draw(0, 0, 1), camera, augment, image).resized
        assert built[k, :, :height, :width].any()
        assert not built[k, :, height:].any()
        assert not built[k, :, :, width:].any()
    made = builder(image={**image, "pad": [46, 82]}, augment=Augment(image_resize=(1.1, 1.15)))
    with pytest.raises(BrokenRecord, match=r"image.pad \[46, 82\] is smaller than the picture"):
        made.build(frame, draw=Draw(0, 0, 0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image_resize": 1.0}, "image_resize must be above 0"),
        ({"image_crop": 0.5}, "image_crop must be two shares, above and to the left"),
        ({"image_crop": (0.5, (0.4, 1.2))}, "image_crop must go from the lower to the higher, within 0 to 1"),
        ({"image_flip": 1.5}, "image_flip is how likely it is, from 0 to 1"),
        ({"image_rotate": (5, -5)}, "image_rotate must go from the lower to the higher"),
        ({"image_color": 0.5}, "image_color must be an ImageColor, got 0.5"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(given, message) -> None:
    with pytest.raises(SpecError, match=message):
        Augment(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing to draw"),
        ({"formulas": "mmdet", "hue": 0.1}, "formulas must be torchvision or opencv, got 'mmdet'"),
        ({"order": "any", "hue": 0.1}, "order must be drawn or fixed, got 'any'"),
        ({"hue": 0.6}, "hue of torchvision must be from -0.5 to 0.5"),
        ({"brightness": (-0.1, 1)}, "brightness is a factor, which must not be below 0"),
        ({"swap": 2}, "swap is how likely it is, from 0 to 1, got 2"),
    ],
)
def test_colours_that_cannot_be_drawn_are_refused(given, message) -> None:
    with pytest.raises(SpecError, match=message):
        ImageColor(**given)


def changed(shown: np.ndarray, change: ColorChange) -> np.ndarray:
    return np.array(colored(Picture.of(shown.copy()), None, change).array())


def gray(x: np.ndarray) -> np.ndarray:
    """torchvision's rgb_to_grayscale of bytes."""
    f = np.float32
    return (f(0.2989) * x[..., :1].astype(f) + f(0.587) * x[..., 1:2] + f(0.114) * x[..., 2:]).astype(np.uint8)


def blend(x: np.ndarray, other: np.ndarray, ratio: float) -> np.ndarray:
    f = np.float32
    return np.clip(f(ratio) * x.astype(f) + f(1 - ratio) * other.astype(f), 0, 255).astype(np.uint8)


def by_torchvision(x: np.ndarray, name: str, amount: float) -> np.ndarray:
    """Its _functional_tensor.py for tensors of uint8, in numpy."""
    if name == "brightness":
        return blend(x, np.zeros_like(x), amount)
    if name == "contrast":
        return blend(x, np.float32(gray(x).mean(dtype=np.float64)), amount)
    if name == "saturation":
        return blend(x, gray(x), amount)
    rgb = x.astype(np.float32) / np.float32(255)
    most, least = rgb.max(-1), rgb.min(-1)
    spread, same = most - least, most == least
    s = spread / np.where(same, 1, most)
    rc, gc, bc = np.moveaxis((most[..., None] - rgb) / np.where(same, 1, spread)[..., None], -1, 0)
    r, g = most == rgb[..., 0], (most == rgb[..., 1]) & (most != rgb[..., 0])
    h = r * (bc - gc) + g * (2 + rc - bc) + (~r & ~g) * (4 + gc - rc)
    h = (np.fmod(h / np.float32(6) + 1, 1) + np.float32(amount)) % np.float32(1)
    i = np.floor(h * 6)
    f = h * 6 - i
    p, q, t = (np.clip(most * (1 - s * k), 0, 1) for k in (1, f, 1 - f))
    i = i.astype(int) % 6
    channels = [(most, q, p, p, t, most), (t, most, most, q, p, p), (p, p, t, most, most, q)]
    rgb = np.stack([np.choose(i, options) for options in channels], -1)
    return (rgb.astype(np.float32) * np.float32(256 - 1e-3)).astype(np.uint8)


def by_mmdetection(x: np.ndarray, steps: dict[str, float], contrast_last: bool) -> np.ndarray:
    """PhotoMetricDistortion with OpenCV's conversions, before its values are made bytes."""
    x = x.astype(np.float32) + np.float32(steps.get("brightness", 0))
    contrast = np.float32(steps.get("contrast", 1))
    x = x if contrast_last else x * contrast
    hsv = cv2.cvtColor(x, cv2.COLOR_RGB2HSV)
    hsv[..., 1] *= np.float32(steps.get("saturation", 1))
    hsv[..., 0] += np.float32(steps.get("hue", 0))
    hsv[..., 0][hsv[..., 0] > 360] -= 360
    hsv[..., 0][hsv[..., 0] < 0] += 360
    x = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.clip(np.rint(x * contrast if contrast_last else x), 0, 255).astype(np.uint8)


COLOURS = np.random.default_rng(0).integers(0, 256, (120, 90, 3)).astype(np.uint8)
COLOURS[:20] //= 64
COLOURS[20:24] = COLOURS[20:24, :, :1]


@pytest.mark.parametrize(
    ("name", "amounts"),
    [
        ("brightness", [0.0, 0.4, 1.7]),
        ("contrast", [0.0, 0.5, 1.9]),
        ("saturation", [0.0, 0.3, 2.2]),
        ("hue", [-0.5, -0.13, 0.0, 0.21, 0.5]),
    ],
)
def test_each_colour_change_is_torchvisions(name, amounts) -> None:
    for amount in amounts:
        found = changed(COLOURS, ColorChange("torchvision", ((name, amount),)))
        expected = by_torchvision(COLOURS, name, amount)
        # where the last bit of float32 decides how a level is rounded down
        assert np.abs(found.astype(int) - expected).max() <= 1
        assert (found != expected).mean() < 1e-3


@pytest.mark.parametrize("contrast_last", [False, True])
def test_all_colour_changes_are_opencvs(contrast_last) -> None:
    random = np.random.default_rng(1)
    for _ in range(8):
        amounts = random.uniform([-32, 0.5, 0.5, -18], [32, 1.5, 1.5, 18]).tolist()
        steps = dict(zip(("brightness", "contrast", "saturation", "hue"), amounts, strict=True))
        names = sorted(steps, key=lambda name: contrast_last and name == "contrast")
        found = changed(COLOURS, ColorChange("opencv", tuple((name, steps[name]) for name in names)))
        expected = by_mmdetection(COLOURS, steps, contrast_last)
        assert np.abs(found.astype(int) - expected).max() <= 1
        assert (found != expected).mean() < 1e-3


def test_channels_are_exchanged_and_black_stays_black_beyond_a_crop(frame) -> None:
    swapped = changed(COLOURS, ColorChange("opencv", (), (2, 0, 1)))
    assert np.array_equal(swapped, COLOURS[..., [2, 0, 1]])
    image = {"crop": [80, 150], "crop_offset": [20, 20], "crop_beyond": "black"}
    color = ImageColor(formulas="opencv", brightness=(60, 60), likely=1)
    built = builder(["camera_images"], Augment(image_color=color), image).build(frame, draw=Draw(0, 0, 0))
    shown, plain = built["camera_images"][0], np.minimum(pixels(SIZE)[20:, 20:].astype(np.float32) + 60, 255)
    assert np.array_equal(shown[:, :70, :140], plain.transpose(2, 0, 1))
    assert not shown[:, 70:].any()
    assert not shown[:, :, 140:].any()


def test_the_order_of_colour_changes_is_drawn_or_fixed() -> None:
    given = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
    drawn = {tuple(name for name, _ in ImageColor(**given).drawn(Draw(0, 0, k), "a").steps) for k in range(300)}
    assert len(drawn) == 24
    fixed = {
        tuple(name for name, _ in ImageColor(**given, order="fixed").drawn(Draw(0, 0, k), "a").steps) for k in range(20)
    }
    assert fixed == {tuple(given)}
    half = [len(ImageColor(**given, likely=0.5).drawn(Draw(0, 0, k), "a").steps) for k in range(300)]
    assert 1.7 < np.mean(half) < 2.3
    kept = [ImageColor(swap=0.5).drawn(Draw(0, 0, k), "a").channels for k in range(300)]
    assert len(set(kept)) == 6
    # half of them, and one of six orders
    assert 0.5 < np.mean([channels == (0, 1, 2) for channels in kept]) < 0.67


def test_colours_are_changed_before_they_are_scaled(frame) -> None:
    augment = Augment(image_color=ImageColor(brightness=(0.5, 0.5)))
    given = {"resampler": "cv2_linear", "norm": "unit"}
    cut = {"crop": [40, 60]}
    built = builder(["camera_images"], augment, cut, camera_images=given).build(frame, draw=Draw(0, 0, 0))
    expected = (pixels(SIZE)[25:65, 50:110] // 2).astype(np.float32) / np.float32(255)
    assert np.array_equal(built["camera_images"][0], expected.transpose(2, 0, 1))
    # scaled as they are decoded, and so changed before that, in all that is decoded
    at_start = {**given, "norm_at": "start"}
    image = {"resize": 0.5, "crop": [40, 60]}
    built = builder(["camera_images"], augment, image, camera_images=at_start).build(frame, draw=Draw(0, 0, 0))
    halved = cv2.resize((pixels(SIZE) // 2).astype(np.float32) / np.float32(255), (80, 45))
    expected = halved[2:42, 10:70].transpose(2, 0, 1)
    np.testing.assert_allclose(built["camera_images"][0], expected, atol=1e-6)
