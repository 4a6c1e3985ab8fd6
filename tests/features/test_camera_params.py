"""What is done to pictures: sizes and matrices against formulas written out by hand, what is refused, presets."""

from __future__ import annotations

import math

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum import features
from perceptum.features import SpecError, canonical
from perceptum.features.camera import NORMS, CameraImagesParams, ImageNorm, ImageParams, table_of

GROUPS = ("camera_images", "camera_intrinsics", "camera_extrinsics", "camera_projection", "camera_image_affine")
# nuScenes' pictures
H, W = 900, 1600


def image(**values):
    return msgspec.convert(values, ImageParams)


def params_of(group, preset):
    found = canonical().group(group)
    return found.params.replace(found.preset(preset).values(), "test")


# ---- sizes


@pytest.mark.parametrize(
    ("values", "resized", "crop", "size"),
    [
        ({}, (900, 1600), (0, 0, 900, 1600), (900, 1600)),
        ({"resize": 0.48}, (432, 768), (0, 0, 432, 768), (432, 768)),
        # 900 * .333 = 299.7, 1600 * .333 = 532.8
        ({"resize": 0.333}, (299, 532), (0, 0, 299, 532), (299, 532)),
        ({"resize": 0.333, "resize_rounding": "round"}, (300, 533), (0, 0, 300, 533), (300, 533)),
        ({"resize": [400, 700]}, (400, 700), (0, 0, 400, 700), (400, 700)),
        ({"resize": "cover", "crop": [320, 800]}, (450, 800), (65, 0, 320, 800), (320, 800)),
        ({"resize": "cover", "crop": [450, 700]}, (450, 800), (0, 50, 450, 700), (450, 700)),
        ({"crop": [256, 704]}, (900, 1600), (322, 448, 256, 704), (256, 704)),
        ({"crop": [257, 705]}, (900, 1600), (321, 447, 257, 705), (257, 705)),
        ({"crop": [256, 704], "crop_at": [1, 0]}, (900, 1600), (644, 0, 256, 704), (256, 704)),
        ({"crop": [256, 704], "crop_offset": [3, 5]}, (900, 1600), (3, 5, 256, 704), (256, 704)),
        ({"crop": [1000, 1700], "crop_beyond": "black"}, (900, 1600), (0, 0, 1000, 1700), (1000, 1700)),
        (
            {"crop": [10, 20], "crop_offset": [-4, 1590], "crop_beyond": "black"},
            (900, 1600),
            (-4, 1590, 10, 20),
            (10, 20),
        ),
        ({"pad": [928, 1600]}, (900, 1600), (0, 0, 900, 1600), (928, 1600)),
        ({"pad_multiple": 32}, (900, 1600), (0, 0, 900, 1600), (928, 1600)),
        ({"crop": [33, 64], "pad_multiple": 32}, (900, 1600), (433, 768, 33, 64), (64, 64)),
    ],
)
def test_sizes_are_whole_numbers_worked_out_as_said(values, resized, crop, size):
    made = image(**values)
    transform = made.transform(H, W)
    assert (transform.resized, transform.crop, transform.size) == (resized, crop, size)
    # what the parameters alone decide is what comes of it
    assert made.size() in (None, size)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cameras": ["a", "a"]}, r"image.cameras must be one or more names, each once, got \['a', 'a'\]"),
        ({"new_intrinsics": [1, 1, 1, 1]}, "image.new_intrinsics are those of undistorted pictures: set image.undis"),
        ({"undistort": True, "new_intrinsics": [0, 1, 1, 1]}, r"image.new_intrinsics: focal lengths must be above 0, "),
        ({"undistort": True, "new_intrinsics": [1, 1, math.nan, 1]}, r"image.new_intrinsics must be finite"),
        ({"resize": 0.0}, "image.resize must be above 0, got 0"),
        ({"resize": -1}, "image.resize must be above 0, got -1"),
        ({"resize": math.nan}, "image.resize must be above 0, got nan"),
        ({"resize": math.inf}, "image.resize must be above 0, got inf"),
        ({"resize": [0, 5]}, r"image.resize must be a height and a width from 1 to 32768, got \[0, 5\]"),
        ({"resize": "cover"}, 'image.resize "cover" fills image.crop: set that too'),
        ({"crop": [0, 5]}, r"image.crop must be a height and a width from 1 to 32768, got \[0, 5\]"),
        ({"pad": [5, 40_000]}, r"image.pad must be a height and a width from 1 to 32768, got \[5, 40000\]"),
        ({"crop_offset": [1, 1]}, "image.crop_offset says where image.crop lies: set that too"),
        ({"crop_at": [1, 0.5]}, "image.crop_at says where image.crop lies: set that too"),
        (
            {"crop": [5, 5], "crop_at": [1, 0.5], "crop_offset": [1, 1]},
            "image.crop_at and image.crop_offset both say where image.crop lies: set one of them; beside a preset",
        ),
        (
            {"resize": [320, 576], "crop": [400, 576]},
            "the crop of rows 0 to 400 and columns 0 to 576 reaches beyond the picture, 320 x 576 after resizing",
        ),
        (
            {"resize": [320, 576], "crop": [300, 576], "crop_offset": [21, 0]},
            "the crop of rows 21 to 321 and columns 0 to 576 reaches beyond the picture, 320 x 576 after resizing",
        ),
        ({"crop": [5, 5], "crop_at": [1.5, 0]}, r"image.crop_at must be two shares from 0 to 1, got \[1.5, 0"),
        ({"crop": [5, 5], "crop_at": [0, math.nan]}, "image.crop_at must be two shares from 0 to 1"),
        ({"rotate": math.inf}, "image.rotate must be finite"),
        ({"pad_multiple": 0}, "image.pad_multiple must be at least 1, got 0"),
        ({"pad_multiple": 40_000}, "image.pad_multiple must be at most 32768, got 40000"),
        ({"pad": [928, 1600], "pad_multiple": 32}, "image.pad and image.pad_multiple both say how large the result is"),
        ({"crop": [10, 10], "pad": [9, 10]}, r"image.pad \[9, 10\] is smaller than the picture, \[10, 10\]; crop it"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(values, said):
    with pytest.raises(SpecError, match=said):
        canonical().group("camera_images").params.replace({"image": values}, "test")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"resize": 0.001}, "image.resize 0.001 makes 0 x 1 of 900 x 1600 pixels"),
        ({"resize": 100}, "image.resize 100.0 makes 90000 x 160000 of 900 x 1600 pixels"),
        (
            {"crop": [901, 5]},
            r"the crop of rows 0 to 901 and columns 797 to 802 reaches beyond the picture, 900 x 1600 after resizing; "
            'image.crop_beyond "black" allows it',
        ),
        (
            {"crop": [5, 5], "crop_offset": [-1, 0]},
            "the crop of rows -1 to 4 and columns 0 to 5 reaches beyond the pic",
        ),
        ({"pad": [899, 1600]}, r"image.pad \[899, 1600\] is smaller than the picture, \[900, 1600\]; crop it"),
    ],
)
def test_what_a_picture_is_too_small_for_is_said_with_its_size(values, said):
    with pytest.raises(SpecError, match=said):
        image(**values).transform(H, W)


# ---- matrices


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, lambda u, v: (u, v)),
        # the true ratios: 532 of 1600 columns, 299 of 900 rows
        ({"resize": 0.333}, lambda u, v: ((u + 0.5) * 532 / 1600 - 0.5, (v + 0.5) * 299 / 900 - 0.5)),
        (
            {"resize": 0.333, "matrix_scale": "factor"},
            lambda u, v: ((u + 0.5) * 0.333 - 0.5, (v + 0.5) * 0.333 - 0.5),
        ),
        (
            {"resize": 0.333, "pixel_convention": "published"},
            lambda u, v: (u * 532 / 1600, v * 299 / 900),
        ),
        (
            {"resize": 0.333, "pixel_convention": "published", "matrix_scale": "factor"},
            lambda u, v: (u * 0.333, v * 0.333),
        ),
        ({"crop": [100, 200], "crop_offset": [7, 9]}, lambda u, v: (u - 9, v - 7)),
        ({"flip": True}, lambda u, v: (1599 - u, v)),
        ({"flip": True, "pixel_convention": "published"}, lambda u, v: (1600 - u, v)),
        ({"flip": True, "crop": [100, 200], "crop_offset": [7, 9]}, lambda u, v: (199 - (u - 9), v - 7)),
        # counterclockwise: what is on the right goes up
        ({"rotate": 90, "crop": [100, 200], "crop_offset": [0, 0]}, lambda u, v: (99.5 + v - 49.5, 49.5 - u + 99.5)),
        (
            {"rotate": 90, "crop": [100, 200], "crop_offset": [0, 0], "pixel_convention": "published"},
            lambda u, v: (100 + v - 50, 50 - u + 100),
        ),
        ({"pad_multiple": 32}, lambda u, v: (u, v)),
    ],
)
@pytest.mark.parametrize("pixel", [(0, 0), (800, 450), (3.25, 899)])
def test_a_pixel_goes_where_the_formula_says(values, wanted, pixel):
    got = image(**values).transform(H, W).matrix() @ [*pixel, 1]
    np.testing.assert_allclose(got, [*wanted(*pixel), 1], rtol=0, atol=1e-9)


def by_hand(transform, u, v):
    """One pixel step by step, at pixel centres, or as the published pipelines write it."""
    half = 0.5 if transform.pixel_convention == "center" else 0.0
    u, v = (u + half) * transform.scale[1], (v + half) * transform.scale[0]
    top, left, height, width = transform.crop
    u, v = u - left, v - top
    if transform.flip:
        u = width - u
    angle = math.radians(transform.rotate_deg)
    x, y = u - width / 2, v - height / 2
    u = width / 2 + math.cos(angle) * x + math.sin(angle) * y
    v = height / 2 - math.sin(angle) * x + math.cos(angle) * y
    return u - half, v - half


IMAGES = st.builds(
    lambda resize, crop, crop_at, **more: image(
        resize=resize, crop=crop, crop_beyond="black", **more, **({} if crop is None else {"crop_at": crop_at})
    ),
    resize=st.none() | st.floats(0.05, 3) | st.tuples(st.integers(1, 900), st.integers(1, 900)),
    crop=st.none() | st.tuples(st.integers(1, 1000), st.integers(1, 1000)),
    crop_at=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    resize_rounding=st.sampled_from(["truncate", "round"]),
    matrix_scale=st.sampled_from(["sizes", "factor"]),
    flip=st.booleans(),
    rotate=st.just(0.0) | st.floats(-180, 180),
    pad_multiple=st.sampled_from([1, 32]),
    pixel_convention=st.sampled_from(["center", "published"]),
)


@given(
    made=IMAGES, size=st.tuples(st.integers(30, 1200), st.integers(30, 1200)), pixel=st.tuples(*[st.floats(0, 1)] * 2)
)
def test_a_matrix_is_the_steps_one_after_the_other(made, size, pixel):
    transform = made.transform(*size)
    u, v = pixel[0] * size[1], pixel[1] * size[0]
    got = transform.matrix() @ [u, v, 1]
    np.testing.assert_allclose(got[:2], by_hand(transform, u, v), rtol=0, atol=1e-9)
    assert got[2] == 1
    np.testing.assert_allclose(np.linalg.inv(transform.matrix()) @ got, [u, v, 1], rtol=0, atol=1e-6)


# ---- golden values, measured with Pillow and OpenCV


def test_an_impulse_resized_from_1600_to_768_lands_where_the_centres_say():
    """Column 800: (800 + .5) .48 - .5 = 383.74; the published pipelines say 384.0."""
    center = image(resize=0.48).transform(H, W).matrix()
    published = image(resize=0.48, pixel_convention="published").transform(H, W).matrix()
    assert (center @ [800, 0, 1])[0] == pytest.approx(383.74, abs=1e-9)
    assert (published @ [800, 0, 1])[0] == pytest.approx(384.0, abs=1e-9)


@pytest.mark.parametrize(("convention", "cx", "cy"), [("published", 359.8082, 59.9234), ("center", 359.5482, 59.6634)])
def test_intrinsics_after_bevfusions_crop(convention, cx, cy):
    k = np.array([[1266.417, 0, 816.267], [0, 1266.417, 491.507], [0, 0, 1]])
    made = msgspec.structs.replace(
        params_of("camera_intrinsics", "bevfusion_256x704").image, pixel_convention=convention
    )
    after = made.transform(H, W).matrix() @ k
    np.testing.assert_allclose(after, [[607.8802, 0, cx], [0, 607.8802, cy], [0, 0, 1]], rtol=0, atol=5e-5)


# ---- presets


FRONT = "CAM_FRONT CAM_FRONT_RIGHT CAM_FRONT_LEFT CAM_BACK CAM_BACK_LEFT CAM_BACK_RIGHT"
LEFT = "CAM_FRONT_LEFT CAM_FRONT CAM_FRONT_RIGHT CAM_BACK_LEFT CAM_BACK CAM_BACK_RIGHT"


@pytest.mark.parametrize(
    ("preset", "cameras", "resized", "crop", "size"),
    [
        ("bevfusion_256x704", FRONT, (432, 768), (176, 32, 256, 704), (256, 704)),
        ("lss_128x352", LEFT, (198, 352), (48, 0, 128, 352), (128, 352)),
        ("bevdet_256x704", LEFT, (432, 768), (176, 32, 256, 704), (256, 704)),
        ("bevdet2_256x704", LEFT, (396, 704), (140, 0, 256, 704), (256, 704)),
        ("bevdepth_256x704", LEFT, (396, 704), (140, 0, 256, 704), (256, 704)),
        ("crn_256x704", LEFT, (396, 704), (140, 0, 256, 704), (256, 704)),
        ("petr_320x800", FRONT, (450, 800), (130, 0, 320, 800), (320, 800)),
        ("detr3d", FRONT, (900, 1600), (0, 0, 900, 1600), (928, 1600)),
        ("bevformer_base", FRONT, (900, 1600), (0, 0, 900, 1600), (928, 1600)),
        ("bevformer_tiny", FRONT, (450, 800), (0, 0, 450, 800), (480, 800)),
    ],
)
def test_a_preset_does_to_a_picture_of_nuscenes_what_the_published_loader_does(preset, cameras, resized, crop, size):
    """Sizes as the loaders' code works them out: int(W s), int((1 - bottom) H') - h, int(max(0, W' - w) / 2)."""
    made = params_of("camera_images", preset).image
    transform = made.transform(H, W)
    assert " ".join(made.cameras) == cameras
    assert (transform.resized, transform.crop, transform.size) == (resized, crop, size)
    # their matrices: diag(s, s), less the crop
    s = resized[1] / W
    wanted = [[s, 0, -crop[1]], [0, s, -crop[0]], [0, 0, 1]]
    np.testing.assert_allclose(transform.matrix(), wanted, rtol=0, atol=1e-12)


def test_every_preset_is_one_of_every_matrix_too_and_does_the_same_to_its_picture():
    names = list(canonical().group("camera_images").presets)
    for group in GROUPS:
        assert list(canonical().group(group).presets) == names
        for name in names:
            assert params_of(group, name).image == params_of("camera_images", name).image


@pytest.mark.parametrize(
    ("preset", "places", "intrinsics", "direction", "applied"),
    [
        ("bevfusion_256x704", ("lidar", True), (False, "4x4"), "ref_from_camera", "after_division"),
        ("lss_128x352", ("ego", False), (False, "3x3"), "ref_from_camera", "after_division"),
        ("bevdet_256x704", ("lidar", True), (False, "3x3"), "ref_from_camera", "after_division"),
        ("bevdet2_256x704", ("ego", True), (False, "3x3"), "ref_from_camera", "after_division"),
        ("bevdepth_256x704", ("ego", False), (False, "4x4"), "ref_from_camera", "after_division"),
        ("crn_256x704", ("ego", False), (False, "4x4"), "ref_from_camera", "after_division"),
        ("petr_320x800", ("lidar", True), (True, "4x4"), "camera_from_ref", "before_division"),
        ("detr3d", ("lidar", True), (True, "3x3"), "camera_from_ref", "before_division"),
        ("bevformer_base", ("lidar", True), (False, "4x4"), "camera_from_ref", "before_division"),
        ("bevformer_tiny", ("lidar", True), (False, "4x4"), "camera_from_ref", "before_division"),
        ("caddn", ("lidar", False), (True, "3x4"), "camera_from_ref", "after_division"),
    ],
)
def test_a_preset_has_the_matrices_of_its_model(preset, places, intrinsics, direction, applied):
    for group in ("camera_extrinsics", "camera_projection"):
        own = params_of(group, preset)
        assert (own.frame, own.motion_compensated) == places
    own = params_of("camera_intrinsics", preset)
    assert (own.augmented, own.layout) == intrinsics
    assert params_of("camera_extrinsics", preset).direction == direction
    assert params_of("camera_image_affine", preset).applied == applied
    # BEVFusion's model applies img_aug_matrix to lidar2image itself
    assert params_of("camera_projection", preset).augmented == (preset != "bevfusion_256x704")


# ---- norms


def imnormalize(picture, mean, std, to_rgb):
    """As mmcv's, from a uint8 picture of any order."""
    out = picture.astype(np.float32)
    mean, std = np.array(mean, np.float32), np.array(std, np.float32)
    if to_rgb:
        cv2.cvtColor(out, cv2.COLOR_BGR2RGB, out)
    cv2.subtract(out, np.float64(mean.reshape(1, -1)), out)
    cv2.multiply(out, 1 / np.float64(std.reshape(1, -1)), out)
    return out


RGB_MEAN, RGB_STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


@pytest.mark.parametrize(
    ("preset", "reads", "mean", "std", "to_rgb"),
    [
        # Pillow's RGB, exchanged by to_rgb: the means of RGB on BGR
        ("bevdet2_256x704", "RGB", RGB_MEAN, RGB_STD, True),
        ("bevdepth_256x704", "RGB", RGB_MEAN, RGB_STD, True),
        ("crn_256x704", "RGB", RGB_MEAN, RGB_STD, True),
        # OpenCV's BGR, left as it is
        ("petr_320x800", "BGR", RGB_MEAN[::-1], RGB_STD[::-1], False),
        ("detr3d", "BGR", RGB_MEAN[::-1], [1, 1, 1], False),
        ("bevformer_base", "BGR", RGB_MEAN[::-1], [1, 1, 1], False),
        ("bevformer_tiny", "BGR", RGB_MEAN, RGB_STD, True),
    ],
)
def test_values_are_mmcvs_to_the_last_bit(preset, reads, mean, std, to_rgb):
    params = params_of("camera_images", preset)
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    rgb[0, :, 0], rgb[1, :, 1] = np.arange(64), np.arange(192, 256)
    wanted = imnormalize(rgb if reads == "RGB" else rgb[..., ::-1], mean, std, to_rgb)
    shown = rgb if params.channel_order == "RGB" else rgb[..., ::-1]
    table = table_of(params.scaling())
    got = np.stack([table[channel][shown[..., channel]] for channel in range(3)], axis=-1)
    assert (got == wanted).all()


@pytest.mark.parametrize("preset", ["bevfusion_256x704", "lss_128x352", "bevdet_256x704"])
def test_values_are_torchvisions_to_the_last_bit(preset):
    torch = pytest.importorskip("torch")
    params = params_of("camera_images", preset)
    assert params.channel_order == "RGB"
    # ToTensor, then Normalize
    values = torch.arange(256, dtype=torch.uint8).repeat(3, 1).float().div(255)
    mean, std = (torch.tensor(numbers)[:, None] for numbers in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    assert (table_of(params.scaling()) == values.sub_(mean).div_(std).numpy()).all()


def test_caddns_values_are_divided_by_255_alone():
    table = table_of(params_of("camera_images", "caddn").scaling())
    assert (table == np.arange(256).astype(np.float32) / 255).all()


def test_a_norm_by_name_is_shown_in_numbers():
    described = catalogue_text()
    for said in (
        "imagenet_unit: scale 1/255, mean 0.485 0.456 0.406, std 0.229 0.224 0.225, divide;",
        "caffe_bgr: scale 1, mean 103.53 116.28 123.675, std 1 1 1, multiply, BGR only;",
    ):
        assert said in described
    assert all(f"{name}: " in described for name in NORMS)


def catalogue_text():
    (said,) = (p["prose"] for p in features().describe("camera_images")["parameters"] if p["name"] == "norm")
    return said


def test_a_norm_by_name_means_its_numbers():
    named, numbers = CameraImagesParams(norm="imagenet_255"), CameraImagesParams(norm=NORMS["imagenet_255"])
    assert named.meaning() == numbers.meaning()
    assert (table_of(None) == np.arange(256)).all()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"std": (1, 0, 1)}, r"norm.std must not be 0, got \[1, 0, 1\]"),
        ({"mean": (math.nan, 0, 0)}, "norm.mean must be finite"),
        ({"std": (1, math.inf, 1)}, "norm.std must be finite"),
    ],
)
def test_a_norm_that_divides_by_nothing_is_refused(values, said):
    with pytest.raises(SpecError, match=said):
        ImageNorm(**{"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), **values})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"camera_axis": False}, "camera_axis false wants one camera, named by image.cameras"),
        *[
            (
                {"norm": norm},
                f'norm "{norm}" has numbers for channel_order "BGR", which is "RGB": set channel_order, or give',
            )
            for norm in ("caffe_bgr", "caffe_bgr_old", "petr_bgr")
        ],
        ({"norm_at": "start"}, 'norm_at "start" scales before resampling: it wants a norm, and resampler "cv2_linear"'),
        (
            {"norm_at": "start", "norm": "unit", "resampler": "pil_bicubic"},
            'norm_at "start" scales before resampling: it wants a norm, and resampler "cv2_linear"',
        ),
        ({"compose": True, "decode": "reduced"}, 'compose wants norm_at "end" and decode "full"'),
    ],
)
def test_pictures_whose_options_contradict_each_other_are_refused(values, said):
    with pytest.raises(SpecError, match=said):
        canonical().group("camera_images").params.replace(values, "test")


@pytest.mark.parametrize(
    "said", [{"crop_at": [0.5, 0.5]}, {"rotate": 0}, {"rotate": -0.0}, {"cameras": None, "flip": False}]
)
def test_a_default_that_is_said_means_the_same(said):
    params = [{"image": {"resize": 0.5, **more}} for more in ({}, said)]
    names, schema = ["camera_images", "camera_depth"], canonical()
    wanted, found = (schema.fingerprint_of(schema.spec(names, own)) for own in params)
    assert found == wanted
    assert msgspec.to_builtins(msgspec.convert(said, ImageParams)) == {}


# ---- what a newcomer writes


def refused(rows, params=None):
    schema = canonical()
    with pytest.raises(SpecError) as error:
        schema.resolve(schema.spec(rows, params))
    return str(error.value)


def test_a_layout_that_fits_the_shape_is_named():
    image = {"cameras": ["a", "b"], "resize": [320, 576]}
    row = {"name": "camera_images", "dtype": "float32", "shape": [2, 320, 576, 3], "params": {"image": image}}
    assert refused([row]).endswith('; layout "HWC" makes it so')
    assert "makes it so" not in refused([{**row, "shape": [2, 320, 577, 3]}])


def test_a_row_with_params_of_its_own_is_named_where_params_do_not_reach_it():
    row = {"name": "camera_images", "dtype": "float32", "shape": ["n", "h", "w", 3], "params": {"layout": "HWC"}}
    said = refused([row, "camera_projection"], {"image": {"resize": 0.5}})
    assert (
        "rows of one suffix share their image; say it in the params of 'camera_images' too, which are its own, so that "
        "params= does not reach it, or a suffix to one: camera_projection__b"
    ) in said


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("lidar2img", "camera_projection"),
        ("cam2img", "camera_intrinsics"),
        ("K", "camera_intrinsics"),
        ("img_aug_matrix", "camera_image_affine"),
        ("post_rots", "camera_image_affine"),
        ("post_trans", "camera_image_affine"),
        ("sensor2ego", "camera_extrinsics"),
        ("cam2ego", "camera_extrinsics"),
        ("camera2ego", "camera_extrinsics"),
        ("imgs", "camera_images"),
        ("img", "camera_images"),
    ],
)
def test_what_published_code_calls_a_tensor_leads_to_ours(theirs, ours):
    assert refused([theirs]) == f"no feature '{theirs}'; that is '{ours}' here"


def test_a_parameter_is_suggested_as_it_is_written():
    assert 'did you mean {"lidar": {"num_sweeps": ...}}? ' in refused(
        ["camera_depth"], {"camera_depth": {"num_sweeps": 2}}
    )
    assert 'did you mean {"image": {"resize": ...}}? ' in refused(
        ["camera_images"], {"camera_images": {"image.resize": 2}}
    )


def test_what_an_object_says_of_itself_has_its_name_once():
    said = refused(["camera_images"], {"image": {"crop": [10, 10], "pad": [9, 10]}})
    assert said == "input 'camera_images': image.pad [9, 10] is smaller than the picture, [10, 10]; crop it"
