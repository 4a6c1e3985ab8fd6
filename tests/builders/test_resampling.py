"""Pictures from pixels to tensors: byte for byte what the public libraries make of them."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import cos, radians, sin

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image

from perceptum.builders.camera.resampling import Finish, Resampling
from perceptum.features.camera import NORMS, ImageNorm, ImageTransform

RESAMPLERS = ("pil_bilinear", "pil_bicubic", "cv2_linear")
AS_IS = Finish("HWC", False, None, "end")
BEVFUSION = ImageTransform((900, 1600), (432, 768), (0.48, 0.48), (176, 32, 256, 704))
BLACK = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": 0}


def transform(source, resized=None, crop=None, **kwargs):
    resized = resized or source
    scale = resized[0] / source[0], resized[1] / source[1]
    return ImageTransform(source, resized, scale, crop or (0, 0, *resized), **kwargs)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def maps(height, width, seed=0, spread=2.0):
    """Where a bent picture's pixels come from, some of them from beyond."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] + rng.normal(0, spread, (2, height, width))
    return x.astype(np.float32), y.astype(np.float32)


def shown(source, transform, resampler, finish=AS_IS, dtype=np.uint8, **kwargs):
    """What our code makes of a picture, in memory that held other things, with its neighbours untouched."""
    resampling = Resampling(transform, resampler, finish, **kwargs)
    height, width = transform.size
    n = 3 * height * width
    memory = np.full(n + 128, 77, dtype)
    out = memory[64 : 64 + n].reshape((3, height, width) if finish.layout == "CHW" else (height, width, 3))
    # so that what lies beyond the rows is not the picture's
    resampling.write(source[slice(*resampling.rows)].copy(), out)
    assert (memory[:64] == 77).all()
    assert (memory[64 + n :] == 77).all()
    return out


def by_pillow(source, t, resampler):
    (height, width), (top, left, rows, columns) = t.resized, t.crop
    how = Image.Resampling.BILINEAR if resampler == "pil_bilinear" else Image.Resampling.BICUBIC
    image = Image.fromarray(source).resize((width, height), how).crop((left, top, left + columns, top + rows))
    if t.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(image.rotate(t.rotate_deg))


def by_opencv(source, t):
    (height, width), (top, left, rows, columns) = t.resized, t.crop
    resized = cv2.resize(source, (width, height), interpolation=cv2.INTER_LINEAR)
    cut = np.zeros((rows, columns, 3), source.dtype)
    y, x = slice(max(-top, 0), max(height - top, 0)), slice(max(-left, 0), max(width - left, 0))
    inside = cut[y, x]
    inside[...] = resized[max(top, 0) : top + rows, max(left, 0) : left + columns] if inside.size else 0
    if t.flip:
        cut = np.ascontiguousarray(cut[:, ::-1])
    if t.rotate_deg % 360:
        turn = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), t.rotate_deg, 1.0)
        cut = cv2.warpAffine(cut, turn, (columns, rows), flags=cv2.INTER_LINEAR, **BLACK)
    return cut


def published(source, t, resampler, undistortion=None):
    if undistortion is not None:
        source = cv2.remap(source, *undistortion, cv2.INTER_LINEAR, **BLACK)
    made = by_opencv(source, t) if resampler == "cv2_linear" else by_pillow(source, t, resampler)
    padded = np.zeros((*t.size, 3), np.uint8)
    padded[: made.shape[0], : made.shape[1]] = made
    return padded


@pytest.mark.parametrize("resampler", RESAMPLERS)
@pytest.mark.parametrize(
    ("source", "resized"),
    [
        ((1, 1), (1, 1)),
        ((1, 1), (3, 4)),
        ((1, 20), (1, 7)),
        ((20, 1), (7, 1)),
        ((7, 5), (3, 9)),
        ((7, 5), (70, 50)),
        ((48, 64), (48, 30)),
        ((48, 64), (30, 64)),
        ((64, 100), (32, 50)),
        ((64, 100), (16, 25)),
        ((640, 481), (300, 231)),
        ((640, 481), (307, 500)),
        # Pillow goes along columns first
        ((90, 40), (20, 39)),
        ((90, 40), (89, 60)),
    ],
)
def test_a_resized_picture_is_what_the_library_makes_of_it(source, resized, resampler):
    pixels, t = noise(*source), transform(source, resized)
    assert_array_equal(shown(pixels, t, resampler), published(pixels, t, resampler))


@pytest.mark.parametrize("resampler", RESAMPLERS)
@pytest.mark.parametrize("value", [0, 255])
def test_a_picture_of_one_colour_keeps_it(resampler, value):
    pixels = np.full((90, 131, 3), value, np.uint8)
    assert (shown(pixels, transform((90, 131), (43, 200)), resampler) == value).all()


@pytest.mark.parametrize("resampler", RESAMPLERS)
@pytest.mark.parametrize("resized", [(60, 80), (29, 38), (83, 97)])
@pytest.mark.parametrize(
    "crop",
    [
        (3, 5, 20, 31),
        (0, 0, 1, 1),
        (-4, -7, 40, 60),
        (20, 30, 90, 90),
        (-10, 3, 200, 20),
        (3, -10, 17, 200),
        (-30, 0, 20, 10),
        (0, 500, 20, 33),
    ],
    ids=str,
)
@pytest.mark.parametrize("flip", [False, True])
def test_a_crop_shows_a_part_and_black_beyond_the_picture(resampler, resized, crop, flip):
    pixels, t = noise(60, 80), transform((60, 80), resized, crop, flip=flip)
    assert_array_equal(shown(pixels, t, resampler), published(pixels, t, resampler))


@pytest.mark.parametrize("resampler", RESAMPLERS)
@pytest.mark.parametrize("size", [(48, 48), (33, 53), (40, 70), (1, 9)])
@pytest.mark.parametrize("rotate_deg", [5.4, -5.4, 0.1, 45.0, 90.0, 180.0, 270.0, -90.0, 360.0, 365.4, 1e-17])
def test_a_turned_picture_is_what_the_library_makes_of_it(resampler, size, rotate_deg):
    pixels, t = noise(60, 80), transform((60, 80), (50, 75), (1, 2, *size), rotate_deg=rotate_deg)
    assert_array_equal(shown(pixels, t, resampler), published(pixels, t, resampler))


@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_undistortion_comes_first(resampler):
    pixels, lens = noise(60, 80), maps(60, 80)
    for t in (transform((60, 80)), transform((60, 80), (29, 38), (3, 4, 20, 30), flip=True, rotate_deg=3.0)):
        assert_array_equal(shown(pixels, t, resampler, undistortion=lens), published(pixels, t, resampler, lens))


def test_what_comes_from_nowhere_is_black():
    pixels = noise(10, 12)
    x, y = maps(10, 12, spread=0.3)
    x[3, 4], y[5, 6] = np.nan, np.nan
    made = shown(pixels, transform((10, 12)), "cv2_linear", undistortion=(x, y))
    assert not made[3, 4].any()
    assert not made[5, 6].any()
    nowhere = np.full((10, 12), np.nan, np.float32)
    assert not shown(pixels, transform((10, 12)), "cv2_linear", undistortion=(nowhere, nowhere)).any()


@st.composite
def transforms(draw):
    edge = st.integers(1, 90)
    source = draw(st.tuples(edge, edge))
    resized = draw(st.just(source) | st.tuples(edge, edge))
    offset = st.integers(-20, 60)
    crop = draw(st.just((0, 0, *resized)) | st.tuples(offset, offset, edge, edge))
    more = draw(st.none() | st.tuples(st.integers(0, 20), st.integers(0, 20)))
    return transform(
        source,
        resized,
        crop,
        flip=draw(st.booleans()),
        rotate_deg=draw(st.just(0.0) | st.floats(-180, 180)),
        padded=None if more is None else (crop[2] + more[0], crop[3] + more[1]),
    )


@settings(max_examples=150, deadline=None)
@given(transforms(), st.sampled_from(RESAMPLERS), st.booleans(), st.integers(0, 1000))
def test_every_chain_of_steps_is_what_the_libraries_make_of_it(t, resampler, bent, seed):
    pixels, lens = noise(*t.source, seed), maps(*t.source, seed) if bent else None
    made = shown(pixels, t, resampler, undistortion=lens)
    assert_array_equal(made, published(pixels, t, resampler, lens))


def test_only_rows_that_the_crop_needs_are_looked_at():
    assert Resampling(BEVFUSION, "cv2_linear", AS_IS).rows == (367, 900)
    low, high = Resampling(BEVFUSION, "pil_bicubic", AS_IS).rows
    assert (low, high) == (364, 900)
    # each of them counts
    pixels, whole = noise(900, 1600), shown(noise(900, 1600), BEVFUSION, "pil_bicubic")
    for row in (low, high - 1):
        other = pixels.copy()
        other[row] = 255 - other[row]
        assert not np.array_equal(shown(other, BEVFUSION, "pil_bicubic"), whole)
    assert Resampling(replace(BEVFUSION, crop=(500, 0, 10, 10)), "pil_bicubic", AS_IS).rows == (0, 0)


def published_norm(values, norm):
    """torchvision's Normalize, or mmcv's imnormalize, of (..., 3) uint8 in the order of the norm's channels."""
    values = values.astype(np.float32, order="C")
    mean, std = np.array(norm.mean, np.float32), np.array(norm.std, np.float32)
    if norm.arithmetic == "divide":
        return ((values / np.float32(255) if norm.scale == "1/255" else values) - mean) / std
    assert norm.scale == "1"
    shown = values.reshape(1, -1, 3)
    cv2.subtract(shown, np.float64(mean[None]), shown)
    cv2.multiply(shown, 1 / np.float64(std[None]), shown)
    return values


NORMALISED = {**NORMS, "negative": ImageNorm(mean=(1.0, 0.0, 255.0), std=(-2.0, 3.0, 1e-3)), "none": None}


@pytest.mark.parametrize("name", NORMALISED)
@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("bgr", [False, True])
def test_values_are_scaled_as_published_in_any_layout(name, layout, bgr):
    norm, changed = NORMALISED[name], transform((30, 64), (25, 53), (-2, 3, 20, 45), padded=(24, 48))
    pixels = noise(30, 64)
    pixels[:16, :48].reshape(-1, 3)[:256] = np.arange(256)[:, None]
    for t in (changed, transform((30, 64))):
        made = shown(pixels, t, "cv2_linear", Finish(layout, bgr, norm, "end"), np.float32)
        if layout == "CHW":
            made = made.transpose(1, 2, 0)
        cut = by_opencv(pixels, t)
        cut = np.ascontiguousarray(cut[..., ::-1]) if bgr else cut
        expected = cut.astype(np.float32) if norm is None else published_norm(cut, norm)
        rows, columns = t.crop[2:]
        assert_array_equal(made[:rows, :columns], expected)
        assert not made[rows:].any()
        assert not made[:, columns:].any()


def test_every_value_of_a_norm_is_as_its_table_has_it():
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3)
    for norm in NORMS.values():
        made = shown(ramp, transform((1, 256)), "cv2_linear", Finish("CHW", False, norm, "end"), np.float32)
        assert_array_equal(made[:, 0].T, published_norm(ramp[0], norm))


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("bgr", [False, True])
def test_bytes_keep_their_values_in_any_layout(layout, bgr):
    pixels, t = noise(60, 80), transform((60, 80), (29, 38), (3, 4, 20, 30), padded=(32, 32))
    for resampler in RESAMPLERS:
        made = shown(pixels, t, resampler, Finish(layout, bgr, None, "end"))
        expected = published(pixels, t, resampler)[..., :: -1 if bgr else 1]
        assert_array_equal(made.transpose(1, 2, 0) if layout == "CHW" else made, expected)


@pytest.mark.parametrize("bgr", [False, True])
@pytest.mark.parametrize(
    ("source", "resized", "crop", "rotate_deg"),
    [
        ((90, 160), (45, 80), None, 0.0),
        ((90, 160), (43, 76), None, 0.0),
        ((90, 160), (43, 76), (-5, 7, 60, 50), 0.0),
        ((90, 160), (43, 76), (5, 7, 30, 51), 5.4),
        ((45, 77), (90, 160), None, 0.0),
        ((90, 160), None, (-5, 7, 60, 50), 0.0),
        ((90, 160), None, None, 3.0),
        ((90, 160), None, None, 0.0),
        ((2, 7), (3, 2), None, 0.0),
        # places that fall on a pixel by the ratio of sizes, and just beside it by its inverse's inverse
        ((85, 106), (47, 157), None, 0.0),
        ((130, 70), (46, 87), None, 0.0),
    ],
)
def test_what_is_scaled_first_is_resampled_in_float32(source, resized, crop, rotate_deg, bgr):
    norm, pixels = NORMS["caffe_bgr" if bgr else "imagenet_255"], noise(*source)
    t = transform(source, resized, crop, flip=bool(rotate_deg), rotate_deg=rotate_deg)
    made = shown(pixels, t, "cv2_linear", Finish("HWC", bgr, norm, "start"), np.float32)
    first = published_norm(np.ascontiguousarray(pixels[..., ::-1]) if bgr else pixels, norm)
    assert_array_equal(made, by_opencv(first, t))


@pytest.mark.parametrize("shift", [0, 1, 4, 16])
@pytest.mark.parametrize("width", [320, 331])
def test_large_tensors_hold_the_same_wherever_they_lie_in_memory(shift, width):
    pixels, t = noise(300, width), transform((300, width), padded=(304, 336))
    resampling = Resampling(t, "cv2_linear", Finish("CHW", True, NORMS["caffe_bgr"], "end"))
    n = 3 * 304 * 336
    memory = np.full(n + 64, 77, np.float32)
    begin = -(memory.ctypes.data // 4) % 16 + shift
    resampling.write(pixels, memory[begin : begin + n].reshape(3, 304, 336))
    assert (memory[:begin] == 77).all()
    assert (memory[begin + n :] == 77).all()
    made = memory[begin : begin + n].reshape(3, 304, 336)
    assert_array_equal(made[:, :300, :width].transpose(1, 2, 0), published_norm(pixels[..., ::-1], NORMS["caffe_bgr"]))
    assert not made[:, 300:].any()
    assert not made[:, :, width:].any()


def test_black_is_scaled_at_the_end_and_zero_at_the_start():
    norm, t = NORMS["imagenet_255"], transform((10, 10), (5, 5), (-2, 0, 5, 5))
    black = published_norm(np.zeros(3, np.uint8)[None], norm)[0]
    at_end = shown(noise(10, 10), t, "cv2_linear", Finish("HWC", False, norm, "end"), np.float32)
    at_start = shown(noise(10, 10), t, "cv2_linear", Finish("HWC", False, norm, "start"), np.float32)
    assert_array_equal(at_end[:2], np.broadcast_to(black, (2, 5, 3)))
    assert not at_start[:2].any()


def slowly_composed(source, t, lens):
    """Each pixel from its one place, in float64: black beyond the picture, and beyond the crop before it was turned."""
    (height, width), (source_height, source_width) = t.crop[2:], t.source
    grey = np.zeros((source_height + 2, source_width + 2, 3))
    grey[1:-1, 1:-1] = source
    out = np.zeros((height, width, 3))
    c, s = cos(radians(t.rotate_deg)), sin(radians(t.rotate_deg))

    def between(values, x, y):
        left, top = int(np.floor(x)), int(np.floor(y))
        a, b = x - left, y - top
        right, bottom = min(left + 1, values.shape[1] - 1), min(top + 1, values.shape[0] - 1)
        upper = values[top, left] * (1 - a) + values[top, right] * a
        return upper * (1 - b) + (values[bottom, left] * (1 - a) + values[bottom, right] * a) * b

    for row in range(height):
        for column in range(width):
            u, v = column - (width - 1) / 2, row - (height - 1) / 2
            x, y = c * u - s * v + (width - 1) / 2, s * u + c * v + (height - 1) / 2
            if t.rotate_deg and not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
                continue
            x = width - 1 - x if t.flip else x
            x = (x + t.crop[1] + 0.5) * source_width / t.resized[1] - 0.5
            y = (y + t.crop[0] + 0.5) * source_height / t.resized[0] - 0.5
            if not (-0.5 <= x <= source_width - 0.5 and -0.5 <= y <= source_height - 0.5):
                continue
            x, y = np.clip(x, 0, source_width - 1), np.clip(y, 0, source_height - 1)
            if lens is not None:
                x, y = (between(axis.astype(np.float64), x, y) for axis in lens)
            if -1 < x < source_width and -1 < y < source_height:
                out[row, column] = between(grey, x + 1, y + 1)
    return out


@pytest.mark.parametrize("lens", [None, maps(60, 80, spread=0.3)], ids=["straight", "bent"])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotate_deg", [0.0, 7.3])
@pytest.mark.parametrize(("resized", "crop"), [((29, 38), (-3, 4, 30, 25)), ((83, 97), (10, 60, 40, 50))])
def test_composed_every_pixel_comes_from_its_one_place(lens, flip, rotate_deg, resized, crop):
    # soft, so that what is black ends nowhere within a pixel's share
    pixels = cv2.GaussianBlur(noise(60, 80), (0, 0), 1.0)
    t = transform((60, 80), resized, crop, flip=flip, rotate_deg=rotate_deg)
    made = shown(pixels, t, "pil_bicubic", undistortion=lens, compose=True)
    apart = np.abs(made - slowly_composed(pixels, t, lens))
    assert apart.max() <= 1
    assert (apart > 0.51).mean() < 1e-3


def test_composed_is_sharper_than_step_by_step():
    pixels, lens = noise(120, 160), maps(120, 160, spread=0.3)
    t = transform((120, 160), (110, 150), rotate_deg=4.0)
    contrast = [
        shown(pixels, t, "cv2_linear", undistortion=lens, compose=compose)[30:-30, 30:-30].std()
        for compose in (False, True)
    ]
    assert contrast[1] > 1.2 * contrast[0]


def natural(height, width, seed=0):
    """A made-up picture in which detail fades as in real ones: amplitude one over the frequency."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width)
    spectrum = np.fft.rfft2(rng.normal(size=(3, height, width))) / np.maximum(frequency, 1) ** 1.6
    grey = np.fft.irfft2(spectrum, (height, width))
    grey = (grey - grey.mean((1, 2), keepdims=True)) / grey.std((1, 2), keepdims=True)
    return np.clip(110 + 45 * grey, 0, 255).astype(np.uint8).transpose(1, 2, 0).copy()


# resampler -> mean, and what one value in a thousand exceeds, of levels between both ways; at 0.48 and at 0.24
REDUCED = {
    "pil_bilinear": {2: (1.4, 28), 4: (1.8, 27)},
    "pil_bicubic": {2: (1.7, 33), 4: (2.1, 31)},
    "cv2_linear": {2: (2.3, 51), 4: (5.5, 92)},
}


def assert_nearly_the_same(pixels, smaller, reduce, resampler):
    height, width = pixels.shape[:2]
    new = int(height * 0.96 / reduce), int(width * 0.96 / reduce)
    t = transform((height, width), new)
    apart = np.abs(shown(pixels, t, resampler).astype(int) - shown(smaller, t, resampler, reduce=reduce).astype(int))
    mean, most = REDUCED[resampler][reduce]
    assert apart.mean() <= mean
    assert np.percentile(apart, 99.9) <= most


def decoded_smaller(encoded, reduce):
    image = Image.open(io.BytesIO(encoded))
    size = -(-image.width // reduce), -(-image.height // reduce)
    image.draft("RGB", size)
    assert image.size == size
    return np.array(image)


@pytest.mark.parametrize("resampler", RESAMPLERS)
@pytest.mark.parametrize("reduce", [2, 4])
def test_decoded_smaller_differs_within_bounds(resampler, reduce):
    file = io.BytesIO()
    Image.fromarray(natural(304, 408)).save(file, "JPEG", quality=90)
    pixels = np.array(Image.open(file))
    assert_nearly_the_same(pixels, decoded_smaller(file.getvalue(), reduce), reduce, resampler)


def test_decoded_smaller_bends_in_the_same_places():
    y, x = np.mgrid[:96, :128].astype(np.float32)
    lens = (x + 3 * np.sin(y / 30)).astype(np.float32), (y + 2 * np.cos(x / 40)).astype(np.float32)
    pixels = cv2.GaussianBlur(noise(96, 128), (0, 0), 6.0)
    smaller = pixels.reshape(48, 2, 64, 2, 3).mean((1, 3)).round().astype(np.uint8)
    t = transform((96, 128), (46, 61))
    made = shown(smaller, t, "pil_bilinear", undistortion=lens, reduce=2).astype(int)
    apart = np.abs(made - shown(pixels, t, "pil_bilinear", undistortion=lens))
    assert apart[4:-4, 4:-4].max() <= 2


def test_several_threads_use_one_at_once():
    t = transform((90, 131), (43, 77), (-2, 3, 40, 60), rotate_deg=3.0)
    for resampler in RESAMPLERS:
        resampling = Resampling(t, resampler, AS_IS)
        pictures = [noise(90, 131, seed) for seed in range(16)]

        def made(pixels, resampling=resampling):
            out = np.empty((*t.size, 3), np.uint8)
            for _ in range(5):
                resampling.write(pixels[slice(*resampling.rows)], out)
            return out

        with ThreadPoolExecutor(4) as pool:
            for pixels, found in zip(pictures, pool.map(made, pictures), strict=True):
                assert_array_equal(found, published(pixels, t, resampler))


def test_pixels_that_may_not_be_written_are_read():
    pixels, t = noise(30, 40), transform((30, 40), (20, 27))
    expected = shown(pixels, t, "cv2_linear")
    pixels.flags.writeable = False
    resampling, out = Resampling(t, "cv2_linear", AS_IS), np.empty((20, 27, 3), np.uint8)
    resampling.write(pixels, out)
    assert_array_equal(out, expected)


def real_pictures(real_data):
    files = sorted(real_data.glob("**/*.jpg"))[::5]
    assert len(files) > 5
    return files


@pytest.mark.data
@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_real_pictures_are_what_the_libraries_make_of_them(real_data, resampler):
    for file in real_pictures(real_data):
        pixels = np.array(Image.open(file).convert("RGB"))
        height, width = pixels.shape[:2]
        new = int(height * 0.48), int(width * 0.48)
        t = transform((height, width), new, (new[0] // 3, 32, new[0] // 2, new[1] - 64), flip=True, rotate_deg=-5.4)
        for one in (t, replace(t, rotate_deg=0.0)):
            assert_array_equal(shown(pixels, one, resampler), published(pixels, one, resampler))


@pytest.mark.data
@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_real_pictures_decoded_smaller_differ_within_bounds(real_data, resampler):
    for file in real_pictures(real_data):
        pixels = np.array(Image.open(file).convert("RGB"))
        for reduce in (2, 4):
            assert_nearly_the_same(pixels, decoded_smaller(file.read_bytes(), reduce), reduce, resampler)
