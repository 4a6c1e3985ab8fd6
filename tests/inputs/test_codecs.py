"""Pictures of every kind against Pillow and OpenCV: right, or refused in one line; JPEGs that warn, and cut ones."""

import builtins
import io
import struct
from contextlib import suppress
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.inputs import BrokenRecord, CameraImage, LogError, decode_image, picture_size

Image = pytest.importorskip("PIL.Image")
cv2 = pytest.importorskip("cv2")
simplejpeg = pytest.importorskip("simplejpeg")

RNG = np.random.default_rng(0)
ROWS, COLUMNS = np.mgrid[0:96, 0:128]
PICTURE = np.clip(np.stack([COLUMNS, ROWS * 2, ROWS + COLUMNS], -1) + RNG.normal(0, 9, (96, 128, 3)), 0, 255).astype(
    "u1"
)
DEPTH_MM = np.tile(np.arange(64, dtype=np.uint16) * 100, (48, 1))


def encoded(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def jpeg(*options):
    return cv2.imencode(".jpg", PICTURE[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95, *options])[1].tobytes()


def pillow(picture):
    return np.array(Image.open(io.BytesIO(picture)).convert("RGB"))


def opencv(picture):
    return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def refused(picture):
    with pytest.raises(BrokenRecord) as caught:
        decode_image(picture, source="a.png")
    text = str(caught.value)
    assert text.startswith("a.png: ")
    assert "\n" not in text
    return text.removeprefix("a.png: ")


@pytest.fixture(params=["simplejpeg", "Pillow"])
def decoder(request, monkeypatch):
    """Both libraries, as one is enough."""
    if request.param == "Pillow":
        real = builtins.__import__

        def without(name, *args, **kwargs):
            if name == "simplejpeg":
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", without)
    return request.param


def of_mode(mode):
    colours = Image.fromarray(PICTURE)
    if mode == "RGBA":
        transparent = np.dstack([PICTURE, np.tile(np.arange(128, dtype=np.uint8), (96, 1))])
        return Image.fromarray(transparent)
    if mode == "LA":
        return Image.merge("LA", [colours.convert("L"), colours.getchannel(0)])
    if mode == "P":
        return colours.quantize(64)
    return colours.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_pngs_of_every_mode_are_their_colours(mode):
    picture = encoded(of_mode(mode), "PNG")
    got = decode_image(picture)
    assert got.dtype == np.uint8
    assert got.shape == (96, 128, 3)
    np.testing.assert_array_equal(got, opencv(picture))
    np.testing.assert_array_equal(got, np.array(of_mode(mode).convert("RGB")))


@pytest.mark.parametrize("bits", [2, 4])
def test_greys_of_few_bits_reach_from_black_to_white(bits):
    most = 2**bits - 1
    picture = encoded(of_mode("L").quantize(most + 1), "PNG", bits=bits)
    # as a palette above; as grey written by hand
    assert np.abs(decode_image(picture).astype(int) - opencv(picture)).max() == 0
    grey = png(np.packbits(np.full((4, 8 * bits), 1, np.uint8), axis=1), 8, bits, 0)
    assert np.unique(decode_image(grey)).tolist() == [255]


def png(rows, width, bits, colour):
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packed = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b"")


def test_of_16_bits_of_a_colour_the_upper_8_are_taken():
    values = RNG.integers(0, 2**16, (5, 7, 3)).astype(">u2")
    picture = png(values.reshape(5, 21), 7, 16, 2)
    np.testing.assert_array_equal(decode_image(picture), values >> 8)
    assert np.abs(decode_image(picture).astype(int) - opencv(picture)).max() <= 1


@pytest.mark.parametrize(
    ("image", "format", "holds"),
    [
        (DEPTH_MM, "PNG", "16-bit grey"),
        (DEPTH_MM, "TIFF", "16-bit grey"),
        (DEPTH_MM, "PPM", "32-bit integers"),
        (DEPTH_MM.astype(np.int32), "TIFF", "32-bit integers"),
        (DEPTH_MM.astype(np.float32) / 1000, "TIFF", "32-bit floats"),
    ],
)
def test_depth_is_refused_and_never_clipped(image, format, holds):
    said = refused(encoded(Image.fromarray(image), format))
    # what Pillow calls the mode of a file differs between its versions
    assert said in [
        f"holds {kind}, wanted a picture of 8 bits a channel; depth and other measures are not pictures"
        for kind in {holds, "16-bit grey"}
    ]


@pytest.mark.parametrize("colours", ["L", "CMYK", "RGB"])
def test_jpegs_of_every_colour_space_are_their_colours(colours, decoder):
    picture = encoded(Image.fromarray(PICTURE).convert(colours), "JPEG", quality=95)
    got = decode_image(picture).astype(int)
    assert np.abs(got - pillow(picture)).max() <= 3
    assert np.abs(got - opencv(picture)).max() <= 3


@pytest.mark.parametrize("orientation", range(9))
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_picture_that_exif_turns_is_refused(orientation, format, decoder):
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    exif[0x0112] = orientation
    picture = encoded(Image.fromarray(PICTURE), format, exif=exif)
    if orientation in (0, 1):
        assert decode_image(picture).shape == (96, 128, 3)
        return
    assert refused(picture) == (
        f"EXIF says to turn the picture (orientation {orientation}), and the camera's intrinsics hold for one way of "
        "the two; store it upright, or without that tag"
    )


WHOLE, RESTARTS, PROGRESSIVE = (
    jpeg(),
    jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
)
LAST = WHOLE[-2:]
THREE_SCANS = encoded(Image.fromarray(PICTURE), "JPEG", quality=95, progressive=True, subsampling=0)


def before(picture, marker, filler, which=None):
    """Puts filler before each marker of that kind, or only before one."""
    parts = picture.split(marker)
    assert len(parts) > 1
    at = range(1, len(parts)) if which is None else [range(1, len(parts))[which]]
    return parts[0] + b"".join((filler if i in at else b"") + marker + part for i, part in enumerate(parts[1:], 1))


def patched(picture, name, at, value):
    start = picture.index(name) + at
    return picture[:start] + value + picture[start + len(value) :]


ADOBE = encoded(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=95)
WARNS = {
    "zeros before the end": before(WHOLE, LAST, bytes(608)),
    "a pattern before the end": before(WHOLE, LAST, b"\x55\xaa" * 100),
    "a few bytes before the end": before(WHOLE, LAST, b"\x13\x37\xc0\x01" * 4),
    "zeros before every restart": before(RESTARTS, b"\xff\xd0", bytes(8)),
    "zeros before the first restart": before(RESTARTS, b"\xff\xd0", bytes(8), 0),
    "zeros before the last restart": before(RESTARTS, b"\xff\xd3", bytes(30), -1),
    "a few bytes before every restart": before(RESTARTS, b"\xff\xd2", b"\x13\x37\x01"),
    "a few bytes before two kinds": before(before(RESTARTS, b"\xff\xd2", b"\x13\x37\x01"), b"\xff\xd5", b"\x07" * 9),
    "zeros between scans": before(PROGRESSIVE, b"\xff\xda", bytes(7), 2),
    "bytes between segments": before(WHOLE, b"\xff\xdb", b"\1\2\3", 0),
    "a JFIF version of its own": patched(WHOLE, b"JFIF\0", 5, b"\x02\x07"),
    "an unknown transform": patched(ADOBE, b"Adobe", 11, b"\x07"),
    "an odd spectrum": patched(WHOLE, b"\x11\x03\x11\x00", 4, b"\x3e"),
}
CUT = {
    "half": WHOLE[: len(WHOLE) // 2],
    "half, with an end": WHOLE[: len(WHOLE) // 2] + LAST,
    "without its end": WHOLE[:-2],
    "without half its end": WHOLE[:-1],
    "a few bytes short, with an end": WHOLE[:-12] + LAST,
    "a hole": WHOLE[: len(WHOLE) // 2] + WHOLE[len(WHOLE) // 2 + 200 :],
    "progressive": PROGRESSIVE[: len(PROGRESSIVE) * 2 // 3],
    "progressive, with an end": PROGRESSIVE[: len(PROGRESSIVE) * 2 // 3] + LAST,
    "half, then zeros": WHOLE[: len(WHOLE) // 2] + bytes(608) + LAST,
    "a lost restart": RESTARTS.replace(b"\xff\xd1", b"", 1),
    "a restart of another number": RESTARTS.replace(b"\xff\xd1", b"\xff\xd2", 1),
    "a segment lost": RESTARTS[: RESTARTS.index(b"\xff\xd1")] + RESTARTS[RESTARTS.index(b"\xff\xd2") :],
    "short, and filler elsewhere": before(RESTARTS, b"\xff\xd0", bytes(8), 0)[:-300] + LAST,
    "only its head": WHOLE[:200],
}


@pytest.mark.parametrize("name", WARNS)
def test_a_jpeg_that_warns_and_is_whole_is_what_others_make_of_it(name, decoder):
    picture = WARNS[name]
    with pytest.raises(ValueError, match=r".") as warning:
        simplejpeg.decode_jpeg(picture, strict=True)
    assert not str(warning.value).startswith("Premature")
    got = decode_image(picture).astype(int)
    assert np.abs(got - pillow(picture)).max() <= 3
    assert np.abs(got - opencv(picture)).max() <= 3
    # an unknown transform is what libjpeg takes it for, and other decoders with it
    if name != "an unknown transform":
        assert np.abs(got - PICTURE).max() <= 40


def comment(size):
    return b"\xff\xfe" + struct.pack(">H", size + 2) + bytes(size)


# each part between restarts is looked at with the header before it
SLOW = {
    "parts with a large header": before(jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 1), b"\xff\xd0", bytes(8)).replace(
        b"\xff\xdb", comment(60_000) * 8 + b"\xff\xdb", 1
    ),
    "segments and bytes between": WHOLE[:2] + (comment(0) + b"\0") * 20_000 + WHOLE[2:],
}


@pytest.mark.parametrize("name", SLOW)
def test_a_jpeg_that_is_made_to_take_long_is_refused(name, monkeypatch):
    read = []

    def counted(picture, **options):
        read.append(len(picture))
        return decode_jpeg(picture, **options)

    decode_jpeg = simplejpeg.decode_jpeg
    monkeypatch.setattr(simplejpeg, "decode_jpeg", counted)
    monkeypatch.setattr("perceptum.inputs.jpeg._LEAST_COST", 0)
    assert refused(SLOW[name]).startswith("not a complete JPEG picture (Corrupt JPEG data: ")
    assert sum(read) <= 51 * (len(SLOW[name]) + PICTURE.nbytes)
    assert len(read) < 200


@pytest.mark.parametrize("name", CUT)
def test_a_jpeg_that_is_not_whole_stays_refused(name):
    assert refused(CUT[name]).startswith("not a complete JPEG picture (")


def test_what_a_damaged_bit_leaves_of_the_data_is_no_filler():
    """The rest of the data stands before the end as filler would, and the picture is wrong."""
    said = []
    for at in range(800, len(WHOLE), 97):
        damaged = WHOLE[:at] + bytes([WHOLE[at] ^ 255]) + WHOLE[at + 1 :]
        try:
            decode_image(damaged)
        except BrokenRecord as error:
            said.append(str(error))
    assert any("extraneous bytes before marker 0xd9" in line for line in said)


FLAT = PICTURE.copy()
FLAT[24:] = 60
FLAT[40:60, 30:80] = 200, 30, 30


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"optimize": True}], ids=str)
def test_what_a_damaged_bit_leaves_of_a_flat_picture_is_no_filler(options):
    """Its data are the same few bytes over and over, as filler is: all were taken."""
    flat = encoded(Image.fromarray(FLAT), "JPEG", quality=90, **options)
    left_over = 0
    for at in range(flat.index(b"\xff\xda") + 14, len(flat) - 2):
        damaged = flat[:at] + bytes([flat[at] ^ 255]) + flat[at + 1 :]
        try:
            simplejpeg.decode_jpeg(damaged, strict=True)
        except ValueError as error:
            if "extraneous" in str(error):
                left_over += 1
                refused(damaged)
    assert left_over > 10


def test_damage_between_restarts_is_told_where_the_data_do_not_end_in_ones():
    """The others cannot be told: what is left over looks like filler, and the data before it like a whole segment."""
    left_over = taken = 0
    for at in range(RESTARTS.index(b"\xff\xda") + 14, len(RESTARTS) - 2, 29):
        damaged = RESTARTS[:at] + bytes([RESTARTS[at] ^ 255]) + RESTARTS[at + 1 :]
        try:
            simplejpeg.decode_jpeg(damaged, strict=True)
        except ValueError as error:
            if "extraneous" in str(error):
                left_over += 1
                with suppress(BrokenRecord):
                    # it is wrong nowhere but between two restarts
                    wrong = np.abs(decode_image(damaged).astype(int) - pillow(RESTARTS)).max(axis=2) > 3
                    assert wrong.mean() < 0.2
                    taken += 1
    assert left_over > 50
    assert taken < left_over / 20


def noisy(size, seed, mode="RGB", **options):
    noise = np.random.default_rng(seed).integers(0, 1 + seed % 256, (*size, 3)).astype(np.uint8)
    return encoded(Image.fromarray(noise).convert(mode), "JPEG", **options)


def with_filler(random):
    """Returns a whole picture, and the same with filler before its end."""
    options = {"quality": random.choice([5, 50, 95, 99, 100]), "optimize": random.random() < 0.5}
    if random.random() < 0.5:
        options["subsampling"] = random.randrange(3)
    if random.random() < 0.3:
        options["restart_marker_blocks"] = random.randint(1, 9)
    size = [random.randint(1, random.choice([8, 60])) for _ in range(2)]
    picture = noisy(size, random.randrange(2**16), random.choice(["L", "RGB", "RGB"]), **options)
    filler = random.choice([bytes(random.randint(9, 600)), random.randbytes(random.randint(9, 16)), b"\x55\xaa" * 40])
    return picture, picture[:-2] + filler.replace(b"\xff", b"\xfe") + picture[-2:]


def test_whole_pictures_with_filler_before_their_end_are_taken():
    """But for a few of which nobody can say where their data end. Of some a second warning counted what the first had
    not; of others, the last bit of the data changed no pixel: they were refused, one of 70."""
    random, refused = Random(1), 0
    for _ in range(1000):
        picture, padded = with_filler(random)
        # zeros behind zeros may be what a damaged picture goes on with
        if picture.endswith(bytes(3) + b"\xff\xd9"):
            continue
        try:
            np.testing.assert_array_equal(decode_image(padded), decode_image(picture))
        except BrokenRecord:
            refused += 1
    assert refused <= 1


@pytest.mark.parametrize(
    ("size", "seed", "options"),
    [((5, 3), 103, {"quality": 99}), ((3, 4), 33513, {"quality": 99})],
    ids=["rounded away", "beyond the edge"],
)
def test_a_last_bit_that_changes_no_pixel_is_of_the_data(size, seed, options):
    picture = noisy(size, seed, **options)
    np.testing.assert_array_equal(decode_image(picture[:-2] + b"\x55\xaa" * 40 + picture[-2:]), decode_image(picture))


@settings(max_examples=60, deadline=None)
@given(
    picture=st.sampled_from([WHOLE, RESTARTS, PROGRESSIVE, *WARNS.values()]),
    changes=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=3),
    end=st.floats(0.01, 1),
)
def test_whatever_is_damaged_is_a_picture_or_one_line(picture, changes, end):
    damaged = bytearray(picture)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    said = ""
    try:
        assert decode_image(bytes(damaged[: int(len(damaged) * end)])).dtype == np.uint8
    except BrokenRecord as error:
        said = str(error)
    assert len(said.splitlines()) <= 1


def size_said(picture):
    with pytest.raises(BrokenRecord) as caught:
        picture_size(picture, "a.png")
    return str(caught.value)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_a_header_says_how_large_a_picture_is(mode, format):
    picture = encoded(of_mode("RGB").crop((0, 0, 31, 17)).convert(mode if format != "PNG" else "RGB"), format)
    assert picture_size(picture) == (17, 31)
    assert CameraImage("C", 0, np.eye(3), np.eye(4), lambda: picture).picture_size() == (17, 31)


@pytest.mark.parametrize("picture", [*WARNS.values(), WHOLE, RESTARTS, PROGRESSIVE, THREE_SCANS])
def test_no_pixel_is_decoded_for_the_size_of_a_picture(picture):
    assert picture_size(picture) == (96, 128)
    # of the data nothing is looked at
    assert picture_size(picture[: picture.index(b"\xff\xda")]) == (96, 128)


@pytest.mark.parametrize(
    "picture", [b"", b"GIF89a", b"\xff\xd8\xff", WHOLE[:160], b"\x89PNG\r\n\x1a\n", encoded(of_mode("L"), "PNG")[:20]]
)
def test_a_header_that_does_not_say_its_size_is_refused(picture):
    assert size_said(picture) == "a.png: the header of the picture does not say how large it is"


def test_without_pillow_jpegs_are_decoded_and_pngs_measured(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    whole = decode_image(WHOLE)
    monkeypatch.setattr(builtins, "__import__", without)
    np.testing.assert_array_equal(decode_image(WHOLE, rows=(10, 90)), whole[10:90])
    assert decode_image(WHOLE, reduce=8).shape == (12, 16, 3)
    assert picture_size(SOME["PNG"]) == picture_size(WHOLE) == (96, 128)
    for ask in (lambda: decode_image(SOME["PNG"]), lambda: picture_size(b"GIF89a")):
        with pytest.raises(LogError, match=r"^reading pictures needs simplejpeg or Pillow: "):
            ask()


def test_a_picture_of_no_rows_has_no_size():
    assert "does not say" in size_said(patched(WHOLE, b"\xff\xc0", 5, bytes(2)))
    refused(patched(WHOLE, b"\xff\xc0", 5, bytes(2)))


SOME = {
    "JPEG": WHOLE,
    "restarts": RESTARTS,
    "progressive": PROGRESSIVE,
    "PNG": encoded(Image.fromarray(PICTURE), "PNG"),
}


@pytest.mark.parametrize("reduce", [1, 2, 4, 8])
@pytest.mark.parametrize("name", SOME)
def test_any_rows_at_any_scale_are_those_of_the_whole_at_that_scale(name, reduce, decoder):
    picture = SOME[name]
    whole = decode_image(picture, reduce=reduce)
    assert whole.shape == (96 // reduce, 128 // reduce, 3)
    height = len(whole)
    for first, last in [(0, height), (0, 1), (height - 1, height), (height // 3, height // 2 + 1)]:
        rows = decode_image(picture, rows=(first, last), reduce=reduce)
        np.testing.assert_array_equal(rows, whole[first:last])
        out = np.empty((last - first, 128 // reduce, 3), np.uint8)
        assert decode_image(picture, out, rows=(first, last), reduce=reduce) is out
        np.testing.assert_array_equal(out, whole[first:last])
        # of which the elements do not lie one after the other
        wide = np.empty((last - first, 128 // reduce, 4), np.uint8)[:, :, :3]
        decode_image(picture, wide, rows=(first, last), reduce=reduce, scratch=np.empty(96 * 128 * 3, np.uint8))
        np.testing.assert_array_equal(wide, whole[first:last])


def test_no_rows_are_an_empty_picture(decoder):
    for picture in SOME.values():
        assert decode_image(picture, rows=(0, 0)).shape == (0, 128, 3)
        assert decode_image(picture, rows=(7, 7), reduce=2, scratch=np.empty(99999, np.uint8)).shape == (0, 64, 3)


def means(image, reduce):
    height, width, _ = image.shape
    out = np.zeros((-(-height // reduce), -(-width // reduce), 3), np.uint8)
    for row in range(len(out)):
        for column in range(out.shape[1]):
            block = image[row * reduce : (row + 1) * reduce, column * reduce : (column + 1) * reduce].reshape(-1, 3)
            out[row, column] = (2 * block.sum(0, dtype=int) + len(block)) // (2 * len(block))
    return out


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    reduce=st.sampled_from([1, 2, 4, 8]),
    rows=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    seed=st.integers(0, 99),
)
def test_a_png_is_made_smaller_by_the_means_of_its_pixels(size, reduce, rows, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    picture, wanted = encoded(Image.fromarray(noise), "PNG"), means(noise, reduce)
    np.testing.assert_array_equal(decode_image(picture, reduce=reduce), wanted)
    first, last = sorted(int(part * (len(wanted) - 1)) for part in rows)
    got = decode_image(picture, rows=(first, last + 1), reduce=reduce)
    np.testing.assert_array_equal(got, wanted[first : last + 1])


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    reduce=st.sampled_from([2, 4, 8]),
    mode=st.sampled_from(["RGB", "L"]),
    options=st.fixed_dictionaries(
        {"quality": st.integers(30, 100), "progressive": st.booleans()},
        optional={"subsampling": st.integers(0, 2), "restart_marker_blocks": st.integers(1, 9)},
    ),
    seed=st.integers(0, 99),
)
def test_both_libraries_give_the_same_smaller_jpeg(size, reduce, mode, options, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    picture = encoded(Image.fromarray(noise).convert(mode), "JPEG", **options)
    got = decode_image(picture, reduce=reduce)
    assert got.shape == (-(-size[0] // reduce), -(-size[1] // reduce), 3)
    if min(size) < 8:
        np.testing.assert_array_equal(got, means(decode_image(picture), reduce))
        return
    opened = Image.open(io.BytesIO(picture))
    opened.draft(mode, (size[1] // reduce, size[0] // reduce))
    np.testing.assert_array_equal(got, np.array(opened.convert("RGB")))


def test_a_smaller_jpeg_is_near_the_means_of_its_pixels():
    """By how much depends on the picture: of one without noise, by little."""
    smooth = np.stack([COLUMNS * 1.5, ROWS * 2, (ROWS + COLUMNS) * 0.9], -1).astype(np.uint8)
    picture = encoded(Image.fromarray(smooth), "JPEG", quality=95)
    for reduce in (2, 4, 8):
        got = decode_image(picture, reduce=reduce).astype(int)
        assert np.abs(got - means(smooth, reduce)).max() <= 8


def test_a_jpeg_is_decoded_into_the_memory_that_is_given():
    scratch = np.full(96 * 128 * 3 + 50, 7, np.uint8)
    whole = decode_image(WHOLE)
    got = decode_image(WHOLE, scratch=scratch)
    assert np.shares_memory(got, scratch)
    np.testing.assert_array_equal(got, whole)
    assert (scratch[-50:] == 7).all()
    part = decode_image(WHOLE, rows=(20, 33), scratch=scratch)
    assert np.shares_memory(part, scratch)
    assert part.flags.c_contiguous
    np.testing.assert_array_equal(part, whole[20:33])
    # one that warns too
    assert np.shares_memory(decode_image(WARNS["zeros before the end"], scratch=scratch), scratch)
    np.testing.assert_array_equal(decode_image(WHOLE, reduce=2, scratch=scratch[: 48 * 64 * 3]).shape, (48, 64, 3))


def test_memory_that_a_picture_does_not_fit_in_is_refused():
    with pytest.raises(BrokenRecord) as caught:
        decode_image(WHOLE, source="a.jpg", scratch=np.empty(96 * 128 * 3 - 1, np.uint8))
    assert str(caught.value) == ("a.jpg: the picture is (96, 128, 3), 36864 bytes; the scratch for it has 36863")
    read_only = np.empty(40000, np.uint8)
    read_only.flags.writeable = False
    for scratch in (
        np.empty((2, 40000), np.uint8),
        np.empty(40000, np.int8),
        np.empty(80000, np.uint8)[::2],
        read_only,
    ):
        with pytest.raises(LogError, match=r"^decode: scratch is u?int8 \(.*wanted one dimension of uint8"):
            decode_image(WHOLE, scratch=scratch)


@pytest.mark.parametrize("reduce", [0, 3, 16, -2])
def test_no_other_fraction_of_a_picture_is_decoded(reduce):
    with pytest.raises(LogError) as caught:
        decode_image(WHOLE, reduce=reduce)
    assert str(caught.value) == f"decode: reduce is {reduce}, wanted 1, 2, 4 or 8"


@pytest.mark.parametrize("rows", [(5, 2), (-1, 4)])
def test_rows_are_the_first_and_the_one_after_the_last(rows):
    with pytest.raises(LogError) as caught:
        decode_image(WHOLE, rows=rows)
    assert str(caught.value) == f"decode: rows are {rows}, wanted the first and the one after the last, from 0"


@pytest.mark.parametrize("name", SOME)
def test_rows_that_a_picture_does_not_have_are_a_broken_record(name, decoder):
    for reduce, said in [(1, "has 96 rows,"), (4, "has 24 rows at 1/4 of its size,")]:
        with pytest.raises(BrokenRecord) as caught:
            decode_image(SOME[name], source="a", rows=(2, 97), reduce=reduce)
        assert str(caught.value) == f"a: the picture {said} wanted rows 2 to 96"


@pytest.mark.parametrize("reduce", [1, 2, 8])
@pytest.mark.parametrize("name", CUT)
def test_a_jpeg_that_is_not_whole_stays_refused_at_every_scale(name, reduce):
    with pytest.raises(BrokenRecord, match=r"^a: not a complete JPEG picture \("):
        decode_image(CUT[name], source="a", reduce=reduce)


@pytest.mark.parametrize("name", WARNS)
def test_a_jpeg_that_warns_is_read_in_part_and_smaller(name):
    picture = WARNS[name]
    for reduce in (1, 2, 8):
        whole = decode_image(picture, reduce=reduce)
        np.testing.assert_array_equal(decode_image(picture, rows=(5, 9), reduce=reduce), whole[5:9])
        assert np.abs(whole.astype(int) - means(decode_image(picture), reduce)).max() <= 40


@settings(max_examples=100, deadline=None)
@given(
    picture=st.sampled_from([WHOLE, RESTARTS, PROGRESSIVE, SOME["PNG"], *WARNS.values()]),
    changes=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=3),
    end=st.floats(0.01, 1),
    reduce=st.sampled_from([1, 2, 4, 8]),
    rows=st.one_of(st.none(), st.tuples(st.integers(0, 11), st.integers(1, 12)).filter(lambda r: r[0] < r[1])),
)
def test_whatever_is_damaged_is_a_part_of_a_picture_or_one_line(picture, changes, end, reduce, rows):
    damaged = bytearray(picture)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    said, cut = "", bytes(damaged[: int(len(damaged) * end)])
    try:
        got = decode_image(cut, rows=rows, reduce=reduce, scratch=np.empty(96 * 128 * 3, np.uint8))
        height, width = picture_size(cut)
        assert got.shape[1:] == (-(-width // reduce), 3)
        assert len(got) == (rows[1] - rows[0] if rows else -(-height // reduce))
    except BrokenRecord as error:
        said = str(error)
    assert len(said.splitlines()) <= 1


def test_programs_are_no_pictures():
    """Pillow hands PostScript to Ghostscript, which runs it."""
    script = encoded(Image.fromarray(PICTURE), "EPS")
    assert Image.open(io.BytesIO(script)).size == (PICTURE.shape[1], PICTURE.shape[0])
    assert refused(script).startswith("not a complete picture (cannot identify image file")
    with pytest.raises(BrokenRecord):
        picture_size(script)


@pytest.mark.parametrize("name", [b"tEXt", b"iCCP", b"pHYs"])
def test_a_png_whose_remark_has_a_wrong_checksum_is_whole(name):
    """libpng warns and passes over chunks that no pixel needs."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    picture = buffer.getvalue()
    at = picture.index(b"IDAT") - 4
    remark = struct.pack(">I", 9) + name + b"a\0remark!" + b"\0\0\0\0"
    np.testing.assert_array_equal(decode_image(picture[:at] + remark + picture[at:]), pixels)
    with pytest.raises(BrokenRecord, match="not a complete picture"):
        decode_image(picture[:at] + remark.replace(name, name.upper()) + picture[at:])
