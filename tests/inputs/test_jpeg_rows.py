"""JPEGs without the pixels of their upper rows: the others are the same bytes, and what is damaged stays refused."""

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.inputs import BrokenRecord, decode_image
from perceptum.inputs.jpeg_rows import without_upper_rows

Image = pytest.importorskip("PIL.Image")
simplejpeg = pytest.importorskip("simplejpeg")


def made(height, width, noise=20, mode="RGB", seed=0, **options):
    rows, columns = np.mgrid[0:height, 0:width]
    slope = np.stack([columns * 1.3, rows * 0.7, rows + columns], -1) % 256
    image = np.clip(slope + np.random.default_rng(seed).normal(0, noise, (height, width, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


TALL = made(300, 200, quality=90)


def whole(picture, reduce=1):
    """Decoded at once, without a look at its codes."""
    height, width = simplejpeg.decode_jpeg_header(picture)[:2]
    least = (-(-height // reduce), -(-width // reduce)) if reduce > 1 else (0, 0)
    return simplejpeg.decode_jpeg(picture, min_height=least[0], min_width=least[1])


@settings(max_examples=80, deadline=None)
@given(
    size=st.tuples(st.integers(8, 400), st.integers(8, 120)),
    mode=st.sampled_from(["RGB", "RGB", "L", "CMYK"]),
    noise=st.sampled_from([0, 3, 30, 200]),
    quality=st.integers(5, 100),
    subsampling=st.integers(0, 2),
    reduce=st.sampled_from([1, 2, 4, 8]),
    rows=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_rows_are_the_same_bytes_wherever_they_begin(size, mode, noise, quality, subsampling, reduce, rows):
    options = {"subsampling": subsampling} if mode == "RGB" else {}
    picture = made(*size, noise, mode, quality=quality, **options)
    image = whole(picture, reduce)
    first, last = sorted(int(part * (len(image) - 1)) for part in rows)
    got = decode_image(picture, rows=(first, last + 1), reduce=reduce)
    np.testing.assert_array_equal(got, image[first : last + 1])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"quality": 100}, {"quality": 3}], ids=str)
def test_the_upper_rows_of_a_tall_picture_are_left_out(mode, options):
    picture = made(300, 77, 25, mode, **options)
    for first in (170, 181, 182, 255, 299):
        lower, missing = without_upper_rows(picture, first)
        assert first - 48 < missing < first - 8
        # strictly: nothing is left over, nothing is missing
        got = simplejpeg.decode_jpeg(lower, strict=True)
        np.testing.assert_array_equal(got[first - missing :], whole(picture)[first:])


def test_where_the_rest_begins_within_a_byte_does_not_matter():
    """All eight places of a bit, and a byte of ones, which has a 0 behind it, at the seam."""
    places = set()
    for seed in range(40):
        picture = made(200, 24, 60, seed=seed, quality=80)
        for first in range(150, 200, 16):
            lower, missing = without_upper_rows(picture, first)
            np.testing.assert_array_equal(
                simplejpeg.decode_jpeg(lower, strict=True)[first - missing :], whole(picture)[first:]
            )
            places.add(lower[lower.index(b"\xff\xda") + 14 :][:20])
    assert len(places) > 20


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"restart_marker_blocks": 3}, {"restart_marker_rows": 1}], ids=str
)
def test_pictures_of_other_kinds_are_decoded_whole(options):
    picture = made(300, 200, **options)
    assert without_upper_rows(picture, 250) is None
    np.testing.assert_array_equal(decode_image(picture, rows=(250, 300)), whole(picture)[250:])


def test_a_few_rows_are_not_worth_it():
    assert without_upper_rows(TALL, 60) is None
    assert without_upper_rows(TALL, 250) is not None


def test_the_part_lies_in_the_memory_that_is_given():
    scratch, out = np.empty(300 * 200 * 3, np.uint8), np.empty((40, 200, 3), np.uint8)
    got = decode_image(TALL, rows=(240, 280), scratch=scratch)
    assert np.shares_memory(got, scratch)
    assert got.flags.c_contiguous
    assert decode_image(TALL, out, rows=(240, 280), scratch=scratch) is out
    np.testing.assert_array_equal(out, got)


HALF = len(TALL) // 2
CUT = {
    "half": TALL[:HALF],
    "half, with an end": TALL[:HALF] + TALL[-2:],
    "without its end": TALL[:-2],
    "a few bytes short": TALL[:-40] + TALL[-2:],
    "a hole above": TALL[: HALF - 9000] + TALL[HALF - 8000 :],
    "a hole below": TALL[:-1900] + TALL[-700:],
    "only its head": TALL[:300],
    "only the rows above": TALL[: len(TALL) * 3 // 4] + bytes(600) + TALL[-2:],
}


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("rows", [(0, 20), (140, 160), (250, 300)])
def test_a_picture_that_is_not_whole_is_refused_whatever_rows_are_asked_for(name, rows):
    with pytest.raises(BrokenRecord) as caught:
        decode_image(CUT[name], source="a.jpg", rows=rows)
    with pytest.raises(BrokenRecord) as of_all:
        decode_image(CUT[name], source="a.jpg")
    assert str(caught.value) == str(of_all.value)


def test_filler_before_the_end_is_taken_in_part_too():
    filled = TALL[:-2] + bytes(608) + TALL[-2:]
    np.testing.assert_array_equal(decode_image(filled, rows=(250, 300)), whole(TALL)[250:])


@settings(max_examples=150, deadline=None)
@given(
    picture=st.sampled_from([TALL, made(300, 60, mode="L"), made(300, 60, optimize=True, subsampling=0)]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=3),
    first=st.integers(150, 299),
    reduce=st.sampled_from([1, 2, 8]),
)
def test_a_damaged_picture_is_in_part_what_it_is_as_a_whole(picture, changes, first, reduce):
    """Not the other way round: damage that leaves over a few bytes is not seen by libjpeg if it has read them ahead."""
    damaged = bytearray(picture)
    for at, change in changes:
        damaged[int(at * (len(damaged) - 1))] ^= change
    try:
        image = decode_image(bytes(damaged), reduce=reduce)
    except BrokenRecord:
        image = None
    first //= reduce
    part = None
    with suppress(BrokenRecord):
        part = decode_image(bytes(damaged), rows=(first, first + 1), reduce=reduce)
    if image is not None and len(image) > first:
        np.testing.assert_array_equal(part, image[first : first + 1])


def edited(picture, marker, at, value):
    start = picture.index(marker) + at
    return picture[:start] + value + picture[start + len(value) :]


@pytest.mark.parametrize(
    ("marker", "at", "value"),
    [
        # the lengths of segments, tables that are too long, a scan of a table that is not there, other precisions
        (b"\xff\xc4", 2, b"\xff\xff"),
        (b"\xff\xc4", 2, b"\x00\x00"),
        (b"\xff\xc4", 5, b"\xff\xff\xff\xff"),
        (b"\xff\xda", 6, b"\x33"),
        (b"\xff\xda", 4, b"\x01"),
        (b"\xff\xda", 2, b"\xff\xff"),
        (b"\xff\xc0", 4, b"\x0c"),
        (b"\xff\xc0", 9, b"\x00"),
        (b"\xff\xc0", 9, b"\xff"),
        (b"\xff\xc0", 11, b"\x00"),
        (b"\xff\xc0", 11, b"\xff"),
    ],
)
def test_a_header_that_cannot_be_is_left_to_the_decoder(marker, at, value):
    picture = edited(TALL, marker, at, value)
    assert without_upper_rows(picture, 250) is None or value == b"\xff"
    with pytest.raises(BrokenRecord):
        decode_image(picture, rows=(250, 300))


def test_tables_without_the_codes_for_flat_blocks_are_left_to_the_decoder(monkeypatch):
    from perceptum.inputs import jpeg_rows

    real = jpeg_rows._codes
    for lacking in ({0}, set(range(1, 16))):
        monkeypatch.setattr(
            jpeg_rows, "_codes", lambda table, no=lacking: {s: c for s, c in real(table).items() if s not in no}
        )
        np.testing.assert_array_equal(decode_image(TALL, rows=(250, 300)), whole(TALL)[250:])


@pytest.mark.parametrize("sizes", [range(1, 12), range(1, 5), [3], [5, 1]])
@pytest.mark.parametrize("value", [0, 1, -1, 7, -8, 100, -1023, 2047])
def test_a_value_is_made_of_the_sizes_that_a_table_has(sizes, value):
    from perceptum.inputs.jpeg_rows import _steps

    steps = _steps(value, {0: "0", **{size: f"1{size:04b}" for size in sizes}}, 5000)
    total = 0
    for step in steps or ():
        size, bits = int(step[1:5], 2), step[5:]
        assert len(bits) == size
        total += int(bits, 2) if bits[0] == "1" else int(bits, 2) - (1 << size) + 1
    assert steps is None or total == value
    assert steps is not None or 1 not in sizes


def test_a_value_that_takes_more_differences_than_a_row_has_is_left_to_the_decoder():
    from perceptum.inputs.jpeg_rows import _steps

    codes = {0: "0", 1: "10"}
    assert _steps(-40, codes, 40) == ["100"] * 40
    assert _steps(-41, codes, 40) is None
    # at once, whatever a damaged picture adds up to
    assert _steps(10**12, codes, 40) is None
