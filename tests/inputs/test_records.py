"""Records check their own shapes; pictures come back whole or not at all."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.inputs import (
    BrokenRecord,
    CameraImage,
    Labels,
    LidarSweep,
    LogError,
    RadarSweep,
    decode_image,
    encode_jpeg,
)

THREE = np.zeros(3, np.float32)


@pytest.fixture(scope="module")
def smooth():
    """(40, 60, 3), no noise, so that JPEG keeps it."""
    y, x = np.mgrid[:40, :60]
    return np.stack([x * 4, y * 6, np.full_like(x, 128)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("kind", [LidarSweep, RadarSweep])
def test_a_column_of_another_length_is_named(kind):
    name = "intensity" if kind is LidarSweep else "rcs"
    with pytest.raises(BrokenRecord) as caught:
        kind("S", 0, np.eye(4), THREE, THREE, THREE, **{name: np.zeros(4)}, source="a/b.bin")
    assert str(caught.value) == f"a/b.bin: column {name} has shape (4,), x has (3,)"
    with pytest.raises(BrokenRecord) as caught:
        kind("S", 0, np.eye(4), np.zeros((3, 1)), THREE, THREE)
    assert str(caught.value) == "S: column x has shape (3, 1), wanted one dimension"


def test_a_record_has_the_length_of_its_columns():
    assert len(LidarSweep("S", 0, np.eye(4), THREE, THREE, THREE)) == 3
    assert len(RadarSweep("S", 0, np.eye(4), THREE[:0], THREE[:0], THREE[:0])) == 0


def test_a_radar_says_which_part_of_a_velocity_it_holds():
    assert RadarSweep("R", 0, np.eye(4), THREE, THREE, THREE).velocity_part == "radial"
    with pytest.raises(BrokenRecord) as caught:
        RadarSweep("R", 0, np.eye(4), THREE, THREE, THREE, velocity_part="all")
    assert str(caught.value) == "R: velocity_part is 'all', wanted 'radial' or 'full'"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("boxes", np.zeros((2, 9)), "labels: boxes has shape (2, 9), wanted (2, 7)"),
        ("category", np.array(["a"]), "labels: category has shape (1,), wanted (2,)"),
        ("track_id", np.array(["a"] * 3), "labels: track_id has shape (3,), wanted (2,)"),
        ("velocity", np.zeros((2, 3)), "labels: velocity has shape (2, 3), wanted (2, 2)"),
        ("num_points", np.zeros(0, np.int64), "labels: num_points has shape (0,), wanted (2,)"),
    ],
)
def test_labels_of_uneven_lengths_are_refused(name, value, wanted):
    whole = {"boxes": np.zeros((2, 7)), "category": np.array(["a", "b"]), "track_id": np.array(["1", "2"])}
    assert len(Labels(0, **whole)) == 2
    with pytest.raises(BrokenRecord) as caught:
        Labels(0, **{**whole, name: value})
    assert str(caught.value) == wanted


def test_a_picture_is_read_when_it_is_asked_for_and_once(smooth):
    calls = []

    def read():
        calls.append(1)
        return encode_jpeg(smooth)

    picture = CameraImage("CAM", 0, np.eye(3), np.eye(4), read)
    assert calls == []
    assert picture.decode().shape == smooth.shape
    assert picture.encoded.startswith(b"\xff\xd8\xff")
    assert calls == [1]


def test_jpeg_keeps_a_smooth_picture_and_its_colour_order(smooth):
    back = decode_image(encode_jpeg(smooth, quality=95))
    assert np.abs(back.astype(int) - smooth).max() < 12


def test_png_comes_back_to_the_last_bit(smooth):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(smooth).save(buffer, "PNG")
    np.testing.assert_array_equal(decode_image(buffer.getvalue()), smooth)


def test_grey_and_transparent_pictures_become_rgb(smooth):
    from PIL import Image

    for mode in ("L", "RGBA", "P"):
        buffer = io.BytesIO()
        Image.fromarray(smooth).convert(mode).save(buffer, "PNG")
        assert decode_image(buffer.getvalue()).shape == (40, 60, 3)
    buffer = io.BytesIO()
    Image.fromarray(smooth).convert("L").save(buffer, "JPEG")
    assert decode_image(buffer.getvalue()).shape == (40, 60, 3)


def test_strided_and_read_only_pictures_are_encoded(smooth):
    part = smooth[::2, ::-2]
    part.flags.writeable = False
    np.testing.assert_array_equal(decode_image(encode_jpeg(part)), decode_image(encode_jpeg(part.copy())))


def test_a_picture_is_written_into_the_buffer_given(smooth):
    encoded = encode_jpeg(smooth)
    out = np.empty_like(smooth)
    assert decode_image(encoded, out=out) is out
    np.testing.assert_array_equal(out, decode_image(encoded))
    with pytest.raises(BrokenRecord) as caught:
        decode_image(encoded, out=np.empty((4, 4, 3), np.uint8), source="a.jpg")
    assert str(caught.value) == "a.jpg: the picture is (40, 60, 3), the buffer for it is (4, 4, 3)"


@pytest.mark.parametrize("encoded", [b"", b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", bytes(100)])
def test_bytes_that_are_no_picture_are_named(encoded):
    with pytest.raises(BrokenRecord, match=r"^a\.jpg: not a complete "):
        decode_image(encoded, source="a.jpg")


def test_a_cut_jpeg_is_an_error_not_half_a_picture(smooth):
    encoded = encode_jpeg(smooth)
    for length in (20, len(encoded) // 2, len(encoded) - 8):
        with pytest.raises(BrokenRecord, match=r"^a\.jpg: not a complete JPEG picture"):
            decode_image(encoded[:length], source="a.jpg")


@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["JPEG", "PNG"]))
def test_a_damaged_picture_is_read_or_refused(data, kind):
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (10, 200, 30)).save(buffer, kind)
    damaged = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        shape = decode_image(cut).shape
    except LogError as error:
        shape = (0, 0, 3) if "\n" not in str(error) else None
    assert shape is not None
    assert shape[2:] == (3,)


def test_a_header_that_promises_more_pixels_than_there_is_memory_for_is_refused(smooth):
    pytest.importorskip("simplejpeg")
    bomb = bytearray(encode_jpeg(smooth))
    # a frame header: marker, length, precision, height, width
    at = bomb.index(b"\xff\xc0") + 5
    bomb[at : at + 4] = b"\xff\xdc\xff\xdc"
    with pytest.raises(BrokenRecord) as caught:
        decode_image(bytes(bomb), source="a.jpg")
    assert str(caught.value) == ("a.jpg: not a complete JPEG picture (65500 x 65500, wanted at most 178956970 pixels)")


@pytest.mark.parametrize(
    "column",
    [
        np.zeros(2, complex),
        np.array(["a", "b"]),
        np.array([1, 2], "timedelta64[ns]"),
        np.array([1, None]),
        np.ma.masked_array([1.0, 2.0], [True, False]),
    ],
)
@pytest.mark.parametrize("name", ["x", "intensity"])
def test_columns_that_are_no_numbers_are_refused_by_name(column, name):
    """A mask was looked past, an imaginary part dropped with a warning."""
    columns = {"x": np.ones(2), "y": np.ones(2), "z": np.ones(2), "intensity": None, name: column}
    with pytest.raises(BrokenRecord, match=rf"^top: column {name} is an? \w+ of .*, wanted numbers$"):
        LidarSweep("top", 0, np.eye(4), **columns)
