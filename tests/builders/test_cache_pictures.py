"""Decoded pictures that a cache keeps for augmented samples: the same bytes, and nothing is decoded twice."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment, Draw, ImageColor, InputBuilder
from perceptum.builders.cache import TensorCache, pictures
from perceptum.builders.cache.code import code_of
from perceptum.builders.cache.tending import clean, list_cache, verify_cache
from perceptum.datasets import memory_log
from perceptum.datasets.reading.raw_image import RawImage
from perceptum.inputs import BrokenRecord, CameraImage, Log, decode_image

from .cameras import T0, intrinsics, mount, pixels

CAMERAS = 6
WIDTH, HEIGHT = 160, 120
NBYTES = WIDTH * HEIGHT * 3
AUGMENT = Augment(
    image_resize=(0.4, 2.2),
    image_crop=(1.0, (0.0, 1.0)),
    image_flip=0.5,
    image_rotate=5.0,
    image_color=ImageColor(brightness=0.2),
)
PARAMS = {"image": {"resize": 0.4, "crop": [24, 64]}}
DRAWS = [Draw(1, 0, index) for index in range(4)]


@pytest.fixture(scope="module")
def log() -> Log:
    return pc.open_log("synthetic", frames=3, seed=0, beams=4, azimuth_steps=30, image_size=(WIDTH, HEIGHT))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tensors"


def builder(cache=None, augment=AUGMENT, **camera_images):
    params = PARAMS | {"camera_images": camera_images}
    return InputBuilder(["camera_images", "camera_projection"], params=params, augment=augment, cache=cache)


def kept(folder):
    return sorted((folder / "v1" / "pictures").rglob("*.tensors"))


def assert_same(one, other, frame, draw):
    for name, wanted in one.build(frame, draw=draw).items():
        np.testing.assert_array_equal(other.build(frame, draw=draw)[name], wanted)


@pytest.mark.parametrize("decode", ["full", "reduced"])
def test_kept_pictures_change_no_byte_of_any_draw(log, folder, decode):
    plain, cached = builder(decode=decode), builder(TensorCache(folder, pictures=True), decode=decode)
    for draw in DRAWS:
        for frame in (log[0], log[1]):
            assert_same(plain, cached, frame, draw)
    stats = cached.cache.stats()
    # at most at 1/1, 1/2 and 1/4 of their size, as draws want them
    assert len(kept(folder)) == stats.pictures.misses
    assert (stats.pictures.misses == 2 * CAMERAS) == (decode == "full")
    assert stats.pictures.hits + stats.pictures.misses == CAMERAS * 2 * len(DRAWS) * 2
    assert "pictures found decoded" in str(stats)


def test_a_picture_is_decoded_once_whoever_asks(log, folder, monkeypatch):
    builder(TensorCache(folder, pictures=True)).build(log[1], draw=DRAWS[0])
    wanted = [builder().build(log[1], draw=draw)["camera_images"] for draw in DRAWS]
    monkeypatch.setattr(CameraImage, "decode", lambda *_, **__: pytest.fail("decoded again"))
    for options in ({}, {"check": "always"}, {"check": "never"}):
        again = builder(TensorCache(folder, pictures=True, **options))
        for draw, pictures_of_draw in zip(DRAWS, wanted, strict=True):
            np.testing.assert_array_equal(again.build(log[1], draw=draw)["camera_images"], pictures_of_draw)


def test_none_are_kept_unless_asked_for_and_drawn(log, folder):
    for cache, augment in (
        (TensorCache(folder), AUGMENT),
        (TensorCache(folder, pictures=True), None),
        (TensorCache(folder, pictures=True), Augment(rotate=0.3)),
    ):
        one = builder(cache, augment)
        one.build(log[0], draw=None if augment is None else DRAWS[0])
        assert not kept(folder)
        assert one.explain().pictures is None


def test_what_a_log_holds_as_pixels_is_not_kept(folder):
    size = (60, 80)
    raw = RawImage("front", T0, intrinsics(size), mount(), lambda: b"", size=size, read_pixels=lambda: pixels(size))
    log = memory_log(cameras=[raw], times_ns=[T0])
    assert_same(builder(), builder(TensorCache(folder, pictures=True)), log[0], DRAWS[0])
    assert not kept(folder)


def test_the_plan_says_what_pictures_take(log, folder):
    one = builder(TensorCache(folder, pictures=True))
    assert "so are pictures as they are decoded: height x width x 3 bytes each" in str(one.explain())
    one.build(log[0], draw=DRAWS[0])
    assert one.explain().pictures == CAMERAS * NBYTES
    assert "pictures as they are decoded: 337.5 KiB a frame, 329.6 MiB of 1000 frames" in str(one.explain())


@pytest.mark.parametrize("harm", ["cut", "flipped"])
def test_a_picture_that_is_not_as_it_was_written_is_decoded_again(log, folder, harm, caplog):
    builder(TensorCache(folder, pictures=True)).build(log[0], draw=DRAWS[0])
    path = kept(folder)[0]
    whole = bytearray(path.read_bytes())
    whole[-NBYTES // 2] ^= 4
    path.write_bytes(whole if harm == "flipped" else whole[:-10])
    cached = builder(TensorCache(folder, pictures=True, check="always"))
    for draw in DRAWS[:2]:
        assert_same(builder(), cached, log[0], draw)
    assert [line for line in caplog.messages if "it is removed" in line] == caplog.messages[:1]
    assert cached.cache.stats().broken == 1
    assert len(kept(folder)) == CAMERAS


def test_a_picture_that_is_good_where_it_is_looked_at_is_taken_as_without_a_cache(log, folder, monkeypatch):
    decode = CameraImage.decode

    def of_parts(picture, out=None, *, rows=None, **others):
        if rows is None:
            raise BrokenRecord("damaged above")
        return decode(picture, out, rows=rows, **others)

    monkeypatch.setattr(CameraImage, "decode", of_parts)
    assert_same(builder(), builder(TensorCache(folder, pictures=True)), log[0], DRAWS[0])
    assert not kept(folder)


def test_where_not_all_fit_those_that_do_stay(log, folder, monkeypatch):
    monkeypatch.setattr(pictures, "_WAIT_WHERE_FULL_S", 0.0)
    limit = 10 * NBYTES
    cached = builder(TensorCache(folder, most_bytes=limit, pictures=True))

    def epoch(number):
        for index, frame in enumerate(log):
            assert_same(builder(), cached, frame, Draw(0, number, index))
        assert sum(path.stat().st_size for path in kept(folder)) < limit
        return set(kept(folder))

    first = epoch(0)
    assert CAMERAS <= len(first) < CAMERAS * len(log)
    assert epoch(1) == first
    # unless they were not used for a day
    old_s = time.time() - 2 * 24 * 3600
    unused = sorted(first)[:3]
    for path in unused:
        os.utime(path, (old_s, old_s))
    monkeypatch.setattr(pictures, "_SHRUNK_TO", 0.7)
    builder(TensorCache(folder, most_bytes=limit, pictures=True)).build(log[2], draw=DRAWS[0])
    assert set(kept(folder)) - first


def test_the_commands_know_pictures(log, folder):
    cached = builder(TensorCache(folder, pictures=True))
    for _ in range(2):
        cached.build(log[0], draw=DRAWS[0])
    cached.cache.counts.save(at_once=True)
    listing = list_cache(folder)
    (part,) = [part for part in listing.features if part.name == "decoded picture"]
    assert (part.tensors, part.bytes, part.hits, part.misses) == (CAMERAS, CAMERAS * NBYTES, CAMERAS, CAMERAS)
    assert [part.name for part in listing.logs] == ["decoded pictures"]
    assert verify_cache(folder).tensors == CAMERAS
    assert clean(folder, stale=True).kept_bundles == CAMERAS
    assert clean(folder, most_bytes=3 * NBYTES).kept_bundles == 2


def test_what_decodes_decides_which_pictures_are_found():
    code = code_of((decode_image,))
    assert {"simplejpeg", "PIL", "numpy"} <= code.packages
    assert {"perceptum.inputs.codecs", "perceptum.inputs.jpeg_rows"} <= code.modules
    # a change of how tensors are filled decodes nothing again
    assert not [name for name in code.modules if name.startswith("perceptum.builders")]
