"""ROS messages as records: clouds of every layout, point times, pictures, lenses, radars."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.datasets import open_log
from perceptum.datasets.ros.cloud import CloudOptions, cloud_columns, lidar_columns
from perceptum.datasets.ros.image import compressed_bytes, lens_of
from perceptum.datasets.ros.raw import PATTERNS, RAW_ENCODINGS, pixels_of, raw_rows
from perceptum.datasets.ros.recording import Topic
from perceptum.datasets.ros.types import CLOUD, decode
from perceptum.inputs import BrokenRecord, LogError, MissingRecord, decode_image, encode_jpeg

from .made_recording import FIRST_NS, FORMATS, Maker, definition, drive, ouster_points, picture, write_mcap

MAKERS = {1: Maker(1), 2: Maker(2)}
KEEP = CloudOptions(empty_returns="keep")


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def through(message, ros=2):
    """The message as a reader gets it: encoded, and decoded again."""
    maker = MAKERS[ros]
    kind = message.__msgtype__
    topic = Topic("/t", kind, "ros1" if ros == 1 else "cdr", 1, definition(maker, kind), f"ros{ros}msg")
    return decode(topic, maker.encode(message), "here")


@st.composite
def layouts(draw):
    names = draw(
        st.lists(st.sampled_from(["x", "y", "z", "intensity", "ring", "a", "b", "c"]), unique=True, min_size=1)
    )
    formats = [draw(st.sampled_from(list(FORMATS))) for _ in names]
    offsets, end = [], 0
    for format in formats:
        end += draw(st.integers(0, 5))
        offsets.append(end)
        end += np.dtype(format).itemsize
    size = end + draw(st.integers(0, 9))
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


@settings(deadline=None)
@given(layouts(), st.integers(0, 5), st.integers(0, 7), st.booleans(), st.sampled_from([1, 2]), st.integers(0, 40))
def test_any_layout_comes_back_as_it_was_written(dtype, height, width, big, ros, pad):
    points = np.zeros(height * width, dtype)
    rng = np.random.default_rng(height * 8 + width)
    for name in dtype.names:
        points[name] = rng.integers(0, 100, len(points))
    message = MAKERS[ros].cloud(FIRST_NS, points, height=max(height, 1), big=big, pad=pad)
    fields = cloud_columns(through(message, ros), "here")
    assert list(fields) == list(dtype.names)
    for name, column in fields.items():
        assert column.dtype == dtype[name]
        assert column.dtype.isnative
        assert column.flags.aligned
        np.testing.assert_array_equal(column, points[name])


def test_columns_are_views_of_the_message_where_it_allows():
    message = through(MAKERS[2].cloud(FIRST_NS, ouster_points(0)))
    columns = lidar_columns(message, FIRST_NS, KEEP, "here")
    for name in ("x", "y", "z", "intensity", "ring", "offset_ns"):
        assert np.shares_memory(columns[name], message.data), name
    padded = through(MAKERS[2].cloud(FIRST_NS, ouster_points(0), height=4, pad=16))
    np.testing.assert_array_equal(cloud_columns(padded, "here")["x"], ouster_points(0)["x"])


def test_rays_without_a_return_are_dropped_unless_they_are_wanted():
    points = ouster_points(0)
    message = through(MAKERS[2].cloud(FIRST_NS, points))
    hit = (points["x"] != 0) | (points["y"] != 0) | (points["z"] != 0)
    dropped = lidar_columns(message, FIRST_NS, CloudOptions(), "here")
    assert 0 < hit.sum() < len(points)
    np.testing.assert_array_equal(dropped["x"], points["x"][hit])
    np.testing.assert_array_equal(dropped["ring"], points["ring"][hit])
    assert len(lidar_columns(message, FIRST_NS, KEEP, "here")["x"]) == len(points)


def test_points_that_are_nan_stay_as_they_are_recorded():
    points = ouster_points(0)
    points["x"][3] = np.nan
    message = through(MAKERS[2].cloud(FIRST_NS, points, dense=False))
    assert np.isnan(lidar_columns(message, FIRST_NS, KEEP, "here")["x"][3])


def test_an_empty_cloud_is_a_sweep_without_points():
    columns = lidar_columns(through(MAKERS[2].cloud(FIRST_NS, ouster_points(0)[:0])), FIRST_NS, CloudOptions(), "here")
    assert len(columns["x"]) == len(columns["offset_ns"]) == 0


def test_whole_numbers_of_places_become_floats():
    points = np.zeros(2, [("x", "i2"), ("y", "i4"), ("z", "f8")])
    points["x"] = [-3, 4]
    columns = lidar_columns(through(MAKERS[2].cloud(FIRST_NS, points)), FIRST_NS, KEEP, "here")
    assert columns["x"].tolist() == [-3.0, 4.0]
    assert {columns[name].dtype for name in "xyz"} == {np.dtype("f8")}


def timed(name, format, values):
    points = np.zeros(len(values), [("x", "f4"), ("y", "f4"), ("z", "f4"), (name, format)])
    points[name] = values
    return through(MAKERS[2].cloud(FIRST_NS, points))


@pytest.mark.parametrize(
    ("name", "format", "values", "point_time", "wanted"),
    [
        ("t", "u4", [0, 99_947_770], "auto", [0, 99_947_770]),
        ("t", "u4", [0, 3_000_000_000], "auto", [0, 3_000_000_000]),
        ("offset_time", "u4", [5, 7], "auto", [5, 7]),
        ("time_stamp", "u4", [5, 7], "auto", [5, 7]),
        ("time", "f4", [-0.0625, 0.0], "auto", [-62_500_000, 0]),
        ("timestamp", "f8", [FIRST_NS * 1e-9, FIRST_NS * 1e-9 + 0.03125], "auto", [0, 31_250_000]),
        ("timestamp", "f8", [float(FIRST_NS), float(FIRST_NS) + 1024], "timestamp:absolute_ns", [0, 1024]),
        ("t", "f4", [0.5, 1.0], "t:offset_us", [500, 1000]),
        ("t", "u4", [5, 6], "t:offset_us", [5000, 6000]),
        ("t", "f4", [np.nan, 1.0], "t:offset_us", [0, 1000]),
    ],
)
def test_a_points_time_is_nanoseconds_after_the_stamp(name, format, values, point_time, wanted):
    columns = lidar_columns(timed(name, format, values), FIRST_NS, CloudOptions(point_time, "keep"), "here")
    assert columns["offset_ns"].dtype.kind == "i"
    # epoch seconds in float64 have a step of 0.24 us
    np.testing.assert_allclose(columns["offset_ns"], wanted, atol=240 if "f8" in format else 0)


def test_times_that_nothing_is_known_of_are_left_out():
    for name, format in (("t", "f4"), ("time", "u4"), ("when", "f8")):
        assert lidar_columns(timed(name, format, [1, 2]), FIRST_NS, KEEP, "here")["offset_ns"] is None
    message = timed("t", "u4", [1, 2])
    assert lidar_columns(message, FIRST_NS, CloudOptions("none", "keep"), "here")["offset_ns"] is None


def test_times_far_from_the_stamp_are_refused_with_what_to_do():
    message = timed("timestamp", "f8", [1.0, 2.0])
    text = said(lambda: lidar_columns(message, FIRST_NS, KEEP, "here"))
    assert text == (
        "here: field timestamp read as absolute_s puts points -1699999999249999872 to -1699999998249999872 ns from the "
        "stamp, wanted within 10 s; say what it is with point_time='FIELD:KIND', or point_time='none'"
    )
    options = CloudOptions("nowhere:offset_ns", "keep")
    assert said(lambda: lidar_columns(message, FIRST_NS, options, "here")) == (
        "here: no field 'nowhere' for point_time; it has x, y, z, timestamp"
    )


@pytest.mark.parametrize("wrong", ["t", "t:hours", ":offset_ns", ""])
def test_a_point_time_that_is_none_is_refused(wrong):
    assert said(lambda: CloudOptions(wrong), LogError) == (
        f"point_time is {wrong!r}, wanted auto, none or FIELD:KIND with a kind of "
        "offset_ns, offset_us, offset_s, absolute_ns, absolute_s, e.g. t:offset_ns"
    )


def test_intensity_has_its_scale():
    def scale(format, **options):
        points = np.zeros(1, [("x", "f4"), ("y", "f4"), ("z", "f4"), ("intensity", format)])
        message = through(MAKERS[2].cloud(FIRST_NS, points))
        return lidar_columns(message, FIRST_NS, CloudOptions(empty_returns="keep", **options), "h")["intensity_scale"]

    assert (scale("u1"), scale("f4"), scale("f4", intensity_scale=845.0)) == (255.0, 1.0, 845.0)
    assert said(lambda: CloudOptions(intensity_scale=0), LogError) == "intensity_scale is 0, wanted a number above 0"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"point_step": 10}, "field 'z' at byte 8 is outside of a point of 10"),
        ({"width": 65}, "2048 bytes of points, wanted 2080 for 1 x 65 of 32"),
        ({"height": 2, "row_step": 10}, "row_step is 10, wanted at least 64 points of 32 bytes"),
        ({"width": 2**32 - 1, "height": 2**32 - 1, "row_step": 2**32 - 1}, "row_step is 4294967295, wanted at least "),
        ({"point_step": 2**31}, "points of 6 fields and 2147483648 bytes, wanted fewer"),
    ],
)
def test_a_cloud_that_does_not_fit_its_bytes_is_refused(change, wanted):
    message = through(MAKERS[2].cloud(FIRST_NS, ouster_points(0)))
    for name, value in change.items():
        setattr(message, name, value)
    assert said(lambda: cloud_columns(message, "here")).startswith(f"here: {wanted}")


@pytest.mark.parametrize("ros", [1, 2])
@pytest.mark.parametrize("declared", [0, 1, 32, 2048, 2**32 - 1])
def test_rows_without_padding_need_no_step(ros, declared):
    message = through(MAKERS[ros].cloud(FIRST_NS, ouster_points(0), height=4), ros)
    message.row_step = declared
    columns = cloud_columns(message, "here")
    for name in ("x", "ring"):
        np.testing.assert_array_equal(columns[name], ouster_points(0)[name])


@pytest.mark.parametrize("ros", [1, 2])
@pytest.mark.parametrize("behind", ["all rows", "all rows but the last", "the whole"])
def test_padding_is_as_long_as_the_step_says(ros, behind):
    points = ouster_points(0)
    message = through(MAKERS[ros].cloud(FIRST_NS, points, height=4, pad=24), ros)
    if behind == "all rows but the last":
        message.data = message.data[:-24]
    if behind == "the whole":
        message.data = np.concatenate([message.data, np.zeros(100, np.uint8)])
    np.testing.assert_array_equal(cloud_columns(message, "here")["x"], points["x"])
    message.data = message.data[: 4 * 16 * 32 - 1]
    assert said(lambda: cloud_columns(message, "here")) == "here: 2047 bytes of points, wanted 2120 for 4 x 16 of 32"


def test_points_of_a_cloud_without_a_height_are_not_lost_in_silence():
    message = through(MAKERS[2].cloud(FIRST_NS, ouster_points(0)))
    message.height = 0
    assert said(lambda: cloud_columns(message, "here")) == "here: 2048 bytes of points, wanted none for 0 x 64"


@pytest.mark.parametrize("ros", [1, 2])
def test_bytes_behind_a_radar_scan_are_refused(ros):
    from perceptum.datasets.ros.radar import scan_columns

    maker = MAKERS[ros]
    topic = Topic("/r", "radar_msgs/msg/RadarScan", "ros1" if ros == 1 else "cdr", 1)
    data = maker.encode(maker.radar_scan(FIRST_NS, [(1, 2, 3, 4, 5)]))
    assert "(20 bytes after 1 returns)" in said(lambda: scan_columns(topic, data + bytes(20), "here"))


def test_an_unknown_datatype_and_a_cloud_without_places_are_refused():
    message = through(MAKERS[2].cloud(FIRST_NS, ouster_points(0)))
    message.fields[0].datatype = 9
    assert said(lambda: cloud_columns(message, "here")) == "here: field 'x' has the datatype 9, wanted 1 to 8"
    points = np.zeros(2, [("range", "f4")])
    assert said(lambda: lidar_columns(through(MAKERS[2].cloud(0, points)), 0, KEEP, "here")) == (
        "here: a cloud without x, y, z; it has range"
    )


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600), st.sampled_from(["cdr", "ros1"]), st.booleans())
def test_bytes_of_any_kind_are_a_cloud_or_an_error(said_of, data, encoding, head):
    data = b"\0\1\0\0" + data if head else data

    def read():
        message = decode(Topic("/t", CLOUD, encoding, 1), data, "here")
        lidar_columns(message, 0, CloudOptions(), "here")

    said_of(read)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_cloud_is_a_cloud_or_an_error(said_of, data):
    encoded = bytearray(MAKERS[2].encode(MAKERS[2].cloud(FIRST_NS, ouster_points(0)[:4])))
    for _ in range(3):
        encoded[data.draw(st.integers(4, 250))] = data.draw(st.integers(0, 255))

    def read():
        lidar_columns(decode(Topic("/t", CLOUD, "cdr", 1), bytes(encoded), "here"), FIRST_NS, CloudOptions(), "here")

    said_of(read)


HEADER_IDL = """module std_msgs { module msg { struct Header {
builtin_interfaces::msg::Time stamp; string frame_id; }; }; };
"""
IMAGE_IDL = """module sensor_msgs { module msg { struct CompressedImage {
std_msgs::msg::Header header; string format; sequence<uint8> data; }; }; };
"""
LINE = "=" * 80 + "\n"


def test_a_definition_in_idl_is_compared_too():
    maker, kind = MAKERS[2], "sensor_msgs/msg/CompressedImage"
    data = maker.encode(maker.compressed(FIRST_NS, b"abc"))
    parts = f"{LINE}IDL: {kind}\n{IMAGE_IDL}{LINE}IDL: std_msgs/msg/Header\n{HEADER_IDL}"
    assert decode(Topic("/t", kind, "cdr", 1, parts, "ros2idl"), data, "here").format == "jpeg"
    other = parts.replace("string format", "uint32 format")
    text = said(lambda: decode(Topic("/t", kind, "cdr", 1, other, "ros2idl"), data, "here"))
    assert "format uint32" in text
    assert "format string" in text


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_definition_is_harmless_or_refused(said_of, data):
    maker = MAKERS[2]
    text = definition(maker, CLOUD)
    at = data.draw(st.integers(0, len(text)))
    text = text[:at] + data.draw(st.text(max_size=5)) + text[at + data.draw(st.integers(0, 5)) :]
    encoded = maker.encode(maker.cloud(FIRST_NS, ouster_points(0)[:1]))
    said_of(
        lambda: decode(
            Topic("/t", CLOUD, "cdr", 1, text, data.draw(st.sampled_from(["ros2msg", "ros2idl"]))), encoded, "here"
        )
    )


# pictures


def info(**changes):
    ros = changes.pop("ros", 2)
    return through(MAKERS[ros].camera_info(FIRST_NS, **changes), ros)


@pytest.mark.parametrize("ros", [1, 2])
def test_a_lens_is_k_and_the_distortion(ros):
    lens = lens_of(info(ros=ros), False, "here")
    assert lens.intrinsics.tolist() == [[700, 0, 20], [0, 690, 10], [0, 0, 1]]
    assert lens.distortion.tolist() == [-0.2, 0.1, 0.001, 0.002, 0.0]
    assert lens.distortion_model == "brown"


def test_a_rectified_pictures_lens_is_p_without_distortion():
    lens = lens_of(info(), True, "here")
    assert (lens.intrinsics[0, 0], lens.distortion, lens.distortion_model) == (650, None, "none")


def test_other_lenses_have_their_models():
    assert lens_of(info(model="rational_polynomial", d=range(8)), False, "here").distortion_model == "brown"
    assert lens_of(info(model="equidistant", d=(1, 2, 3, 4)), False, "here").distortion_model == "fisheye"
    assert lens_of(info(d=()), False, "here").distortion is None
    assert lens_of(info(d=(0,) * 5), False, "here").distortion_model == "none"


def test_binning_and_a_region_of_interest_move_the_intrinsics():
    lens = lens_of(info(binning=2, roi=(4, 10, 12, 20, False)), False, "here")
    assert lens.intrinsics.tolist() == [[350, 0, 8], [0, 345, 0], [0, 0, 1]]
    # of 12 rows and 20 columns, every second
    assert lens.size == (6, 10)
    assert lens_of(info(), False, "here").size == (24, 40)
    assert lens_of(info(binning=2), True, "here").size == (12, 20)
    assert lens_of(info(binning=100), True, "here").size is None


@pytest.mark.parametrize(
    ("changes", "rectified", "wanted"),
    [
        ({"k": [0] * 9}, False, "wanted a focal length above 0; is it calibrated?"),
        ({"model": "kannala", "d": (1, 2)}, False, "distortion 'kannala' with 2 numbers, wanted plumb_bob (5), "),
        ({"p": [650, 0, 21, -70, 0, 650, 11, 0, 0, 0, 1, 0]}, True, "of a stereo pair's second camera, wanted none"),
    ],
)
def test_a_lens_that_is_none_is_refused(changes, rectified, wanted):
    assert wanted in said(lambda: lens_of(info(**changes), rectified, "here"))


@pytest.mark.parametrize(("encoding", "order"), [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("8UC3", [2, 1, 0])])
@pytest.mark.parametrize("step", [None, 127])
def test_raw_pictures_of_any_order_and_step_are_rgb(encoding, order, step):
    image = picture()
    message = through(MAKERS[2].image(FIRST_NS, np.ascontiguousarray(image[:, :, order]), encoding, step))
    np.testing.assert_array_equal(pixels_of(message, "here"), image)


@pytest.mark.parametrize("encoding", ["rgb8", "mono8", "bgra8", "bayer_rggb8"])
@pytest.mark.parametrize("declared", [0, 1, 40, 2**32 - 1])
@pytest.mark.parametrize("ros", [1, 2])
def test_pictures_without_padding_need_no_step(encoding, declared, ros):
    channels = {"rgb8": 3, "bgra8": 4}.get(encoding, 1)
    image = np.random.default_rng(0).integers(0, 255, (24, 40, channels), dtype=np.uint8)
    message = through(MAKERS[ros].image(FIRST_NS, image, encoding), ros)
    wanted = pixels_of(message, "here")
    message.step = declared
    np.testing.assert_array_equal(pixels_of(message, "here"), wanted)
    message.data = message.data[:-1]
    assert said(lambda: pixels_of(message, "here")).startswith(
        f"here: {24 * 40 * channels - 1} bytes and a step of {declared}, wanted 24 x 40 pixels of {channels}"
    )


def test_grey_and_four_channel_pictures_are_rgb_too():
    image = picture()
    grey = pixels_of(through(MAKERS[2].image(FIRST_NS, image[:, :, 0].copy(), "mono8")), "here")
    np.testing.assert_array_equal(grey, np.repeat(image[:, :, :1], 3, axis=2))
    four = np.concatenate([image[:, :, ::-1], image[:, :, :1]], axis=2)
    np.testing.assert_array_equal(pixels_of(through(MAKERS[2].image(FIRST_NS, four, "bgra8")), "here"), image)


def of_mosaic(mosaic, encoding):
    return pixels_of(through(MAKERS[2].image(FIRST_NS, mosaic, encoding)), "here")


def slow_demosaic(mosaic, encoding):
    """Each colour as the mean of the nearest pixels that have it, by plain loops."""
    height, width = mosaic.shape
    pattern = np.array(list(PATTERNS[encoding])).reshape(2, 2)
    out = np.zeros((height, width, 3), np.uint8)

    def mirrored(index, count):
        return 0 if count == 1 else -index if index < 0 else 2 * (count - 1) - index if index >= count else index

    for v in range(height):
        for u in range(width):
            around = {}
            for dv in (-1, 0, 1):
                for du in (-1, 0, 1):
                    value = int(mosaic[mirrored(v + dv, height), mirrored(u + du, width)])
                    around.setdefault(pattern[(v + dv) % 2, (u + du) % 2], []).append((abs(dv) + abs(du), value))
            for channel, colour in enumerate("RGB"):
                nearest = [value for far, value in around[colour] if far == min(f for f, _ in around[colour])]
                out[v, u, channel] = (2 * sum(nearest) + len(nearest)) // (2 * len(nearest))
    return out


@pytest.mark.parametrize("encoding", list(PATTERNS))
def test_a_mosaic_agrees_with_opencv_inside_of_its_border(encoding):
    cv2 = pytest.importorskip("cv2")
    # OpenCV names a pattern after its second row
    code = {"bayer_rggb8": "BG", "bayer_bggr8": "RG", "bayer_gbrg8": "GR", "bayer_grbg8": "GB"}[encoding]
    mosaic = np.random.default_rng(1).integers(0, 256, (25, 42), dtype=np.uint8)
    theirs = cv2.cvtColor(mosaic, getattr(cv2, f"COLOR_Bayer{code}2RGB"))
    np.testing.assert_array_equal(of_mosaic(mosaic, encoding)[1:-1, 1:-1], theirs[1:-1, 1:-1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 5), (2, 1), (2, 2), (3, 4), (4, 3), (5, 6), (6, 7)])
@pytest.mark.parametrize("encoding", list(PATTERNS))
def test_a_mosaic_is_the_means_of_its_neighbours_to_its_border(encoding, shape):
    mosaic = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(of_mosaic(mosaic, encoding), slow_demosaic(mosaic, encoding))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2), (3, 4), (5, 3)])
@pytest.mark.parametrize("encoding", list(PATTERNS))
def test_a_mosaic_of_one_colour_is_that_colour_to_its_border(encoding, shape):
    colour = {"R": 10, "G": 100, "B": 200}
    mosaic = np.zeros(shape, np.uint8)
    for at, name in enumerate(PATTERNS[encoding]):
        mosaic[at // 2 :: 2, at % 2 :: 2] = colour[name]
    image = of_mosaic(mosaic, encoding)
    assert image.shape == (*shape, 3)
    if min(shape) > 1:
        assert (image == [10, 100, 200]).all()


OPENCV_YUV = {
    "uyvy": "UYVY",
    "yuv422": "UYVY",
    "yuyv": "YUYV",
    "yuv422_yuy2": "YUYV",
    "nv12": "NV12",
    "nv21": "NV21",
}


def yuv_message(encoding, height, width, padding=0, seed=0):
    """A picture of random luma and chroma, its rows apart by `padding` bytes, and the rows as OpenCV wants them."""
    apart = encoding.startswith("nv")
    row_bytes, rows = (width, height * 3 // 2) if apart else (2 * width, height)
    data = np.random.default_rng(seed).integers(0, 256, (rows, row_bytes + padding), dtype=np.uint8)
    message = MAKERS[2].image(FIRST_NS, np.zeros((1, 1), np.uint8), encoding)
    message.height, message.width, message.step, message.data = height, width, row_bytes + padding, data.ravel()
    return through(message), data[:, :row_bytes]


@pytest.mark.parametrize("encoding", list(OPENCV_YUV))
@pytest.mark.parametrize("padding", [0, 6])
def test_luma_and_chroma_are_the_colours_that_opencv_makes_of_them(encoding, padding):
    cv2 = pytest.importorskip("cv2")
    message, rows = yuv_message(encoding, 46, 64, padding)
    held = np.ascontiguousarray(rows if encoding.startswith("nv") else rows.reshape(46, 64, 2))
    theirs = cv2.cvtColor(held, getattr(cv2, f"COLOR_YUV2RGB_{OPENCV_YUV[encoding]}"))
    np.testing.assert_array_equal(pixels_of(message, "here"), theirs)


def test_every_luma_and_chroma_is_clipped_as_opencv_clips_it():
    cv2 = pytest.importorskip("cv2")
    u, v = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    for luma in (0, 15, 16, 17, 128, 235, 236, 255):
        held = np.stack([u, np.full_like(u, luma), v, np.full_like(u, luma)], -1).reshape(256, 512, 2)
        message = MAKERS[2].image(FIRST_NS, held, "uyvy")
        message.width = 512
        theirs = cv2.cvtColor(held, cv2.COLOR_YUV2RGB_UYVY)
        np.testing.assert_array_equal(pixels_of(message, "here"), theirs)


@pytest.mark.parametrize("padding", [0, 6])
def test_nv24_has_a_chroma_for_each_pixel(padding):
    """OpenCV does not read it; with chromas in pairs it is what yuyv is."""
    cv2 = pytest.importorskip("cv2")
    height, width = 9, 14
    packed, rows = yuv_message("yuyv", height, width)
    luma, chroma = rows[:, ::2], rows[:, 1::2].reshape(height, width // 2, 2)
    both = np.repeat(chroma, 2, axis=1).reshape(height, 2 * width)
    wide = np.zeros((height, width + padding), np.uint8), np.zeros((height, 2 * (width + padding)), np.uint8)
    wide[0][:, :width], wide[1][:, : 2 * width] = luma, both
    message = MAKERS[2].image(FIRST_NS, np.zeros((1, 1), np.uint8), "nv24")
    message.height, message.width, message.step = height, width, width + padding
    message.data = np.concatenate([part.ravel() for part in wide])
    np.testing.assert_array_equal(pixels_of(through(message), "here"), pixels_of(packed, "here"))
    theirs = cv2.cvtColor(np.ascontiguousarray(rows.reshape(height, width, 2)), cv2.COLOR_YUV2RGB_YUYV)
    np.testing.assert_array_equal(pixels_of(packed, "here"), theirs)


def test_luma_and_chroma_that_do_not_fit_are_refused():
    message, _ = yuv_message("nv12", 46, 64)
    message.data = message.data[:-1]
    assert said(lambda: pixels_of(message, "here")) == (
        "here: 4415 bytes and a step of 64, wanted 46 x 64 pixels of 1 and 23 rows of chroma"
    )
    odd = through(MAKERS[2].image(FIRST_NS, np.zeros((4, 10), np.uint8), "yuyv"))
    odd.width = 5
    assert said(lambda: pixels_of(odd, "here")) == "here: 4 x 5 pixels of yuyv, wanted even numbers"


@pytest.mark.parametrize("encoding", ["mono16", "rgb16", "bayer_rggb16", "16UC1", "32FC1", "i420", "yuv422_10"])
def test_what_is_not_8_bits_of_colour_is_refused(encoding):
    message = through(MAKERS[2].image(FIRST_NS, np.zeros((4, 48), np.uint8), encoding))
    assert said(lambda: pixels_of(message, "here")).startswith(f"here: encoding '{encoding}' is not read; wanted one ")


def any_message(encoding, height, width, seed=0):
    if encoding in OPENCV_YUV:
        return yuv_message(encoding, height, width, seed=seed)[0]
    channels = 3 if encoding == "nv24" else {"rgba8": 4, "bgra8": 4, "rgb8": 3, "bgr8": 3, "8UC3": 3}.get(encoding, 1)
    data = np.random.default_rng(seed).integers(0, 256, (height, width * channels), dtype=np.uint8)
    message = MAKERS[2].image(FIRST_NS, data, encoding)
    message.width = width
    return through(message)


@pytest.mark.parametrize("encoding", RAW_ENCODINGS)
def test_any_rows_of_a_raw_picture_are_those_of_the_whole(encoding):
    message = any_message(encoding, 14, 18)
    whole, raw = pixels_of(message, "here"), raw_rows(message, "here")
    assert raw.size == (14, 18)
    for first, last in [(0, 14), (0, 1), (13, 14), (1, 8), (7, 12)]:
        out = np.empty((last - first, 18, 3), np.uint8)
        raw.write_rows(first, out)
        np.testing.assert_array_equal(out, whole[first:last])


def test_depth_and_sizes_that_do_not_fit_are_refused():
    message = through(MAKERS[2].image(FIRST_NS, picture(), "16UC1"))
    assert said(lambda: pixels_of(message, "here")).startswith(
        "here: encoding '16UC1' is not read; wanted one of rgb8, "
    )
    message = through(MAKERS[2].image(FIRST_NS, picture()))
    message.height = 25
    assert said(lambda: pixels_of(message, "here")) == (
        "here: 2880 bytes and a step of 120, wanted 25 x 40 pixels of 3"
    )


def cameras(tmp_path, *rows, **options):
    maker = MAKERS[2]
    return open_log(write_mcap(tmp_path / "c.mcap", [*drive(maker), *rows], maker), **options)


def test_a_compressed_picture_is_its_own_bytes(tmp_path):
    log = cameras(tmp_path)
    image = log[1].cameras["/camera/image/compressed"]
    assert image.encoded == encode_jpeg(picture(1))
    assert image.time_ns == log[1].time_ns + 7
    assert log.reads == {"camera//camera/image/compressed": 1}
    np.testing.assert_allclose(image.ego_from_camera[:3], [[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.4]], atol=1e-12)


def test_a_raw_picture_is_its_pixels_and_a_png_when_bytes_are_asked_for(tmp_path):
    maker = MAKERS[2]
    rows = [("/camera/image_raw", FIRST_NS + 10**9, maker.image(FIRST_NS + 5, picture(9), "rgb8"))]
    image = cameras(tmp_path, *rows)[0].cameras["/camera/image_raw"]
    np.testing.assert_array_equal(image.decode(), picture(9))
    out = np.empty((24, 40, 3), np.uint8)
    assert image.decode(out=out) is out
    np.testing.assert_array_equal(decode_image(image.encoded), picture(9))
    assert said(lambda: image.decode(out=np.empty((2, 2, 3), np.uint8))).endswith(
        "the picture is (24, 40, 3), the buffer for it is (2, 2, 3)"
    )


def test_a_raw_picture_is_read_once_and_in_part(tmp_path):
    maker = MAKERS[2]
    rows = [("/camera/image_raw", FIRST_NS + 10**9, maker.image(FIRST_NS + 5, picture(9), "bgr8"))]
    log = cameras(tmp_path, *rows)
    image = log[0].cameras["/camera/image_raw"]
    whole = picture(9)[:, :, ::-1]
    assert image.picture_size() == (24, 40)
    np.testing.assert_array_equal(image.decode(rows=(3, 9)), whole[3:9])
    halves = image.decode(reduce=2)
    means = (whole.reshape(12, 2, 20, 2, 3).astype(int).sum((1, 3)) + 2) // 4
    np.testing.assert_array_equal(halves, means)
    np.testing.assert_array_equal(image.decode(rows=(5, 12), reduce=2), means[5:])
    scratch, out = np.empty(24 * 40 * 3, np.uint8), np.empty((3, 20, 3), np.uint8)
    assert np.shares_memory(image.decode(scratch=scratch), scratch)
    assert image.decode(out, rows=(9, 12), reduce=2, scratch=scratch) is out
    np.testing.assert_array_equal(out, means[9:])
    assert said(lambda: image.decode(rows=(3, 25))).endswith("the picture has 24 rows, wanted rows 3 to 24")
    assert said(lambda: image.decode(rows=(3, 13), reduce=2)).endswith(
        "the picture has 12 rows at 1/2 of its size, wanted rows 3 to 12"
    )


def test_a_picture_topic_without_a_lens_is_no_camera_unless_it_is_asked_for(tmp_path):
    rows = [("/other/range_image", FIRST_NS, MAKERS[2].image(FIRST_NS, picture()[:, :, 0].copy(), "mono8"))]
    assert "/other/range_image" not in cameras(tmp_path, *rows).source.cameras
    text = said(lambda: cameras(tmp_path, *rows, camera_topics=["/other/range_image"]), MissingRecord)
    assert text == (
        f"{tmp_path}/c.mcap: no CameraInfo topic beside /other/range_image; "
        "name it with camera_info={'/other/range_image': ...}"
    )
    named = {"/other/range_image": "/camera/camera_info"}
    log = cameras(tmp_path, *rows, camera_topics=["/other/range_image"], camera_info=named)
    assert log[0].cameras["/other/range_image"].decode().shape == (24, 40, 3)


def test_a_picture_of_another_format_is_refused(tmp_path):
    rows = [("/camera/image_raw/compressed", FIRST_NS, MAKERS[2].compressed(FIRST_NS, b"RIFF1234WEBP", format="webp"))]
    image = cameras(tmp_path, *rows)[0].cameras["/camera/image_raw/compressed"]
    assert said(lambda: image.encoded).endswith("format 'webp' starts with b'RIFF1234', wanted JPEG or PNG")


def png(array):
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("ros", [1, 2])
@pytest.mark.parametrize(
    ("format", "data", "wanted"),
    [
        ("16UC1; png compressed", png(np.full((4, 5), 3000, np.uint16)), "is depth, which is not read"),
        ("32FC1; tiff compressed", b"II*\0" + bytes(40), "is depth, which is not read"),
        ("16UC1; compressedDepth png", bytes(12) + png(np.zeros((4, 5), np.uint16)), "is depth, which is not read"),
        ("32FC1; compressedDepth rvl", bytes(40), "is depth, which is not read"),
        (
            "mono16; png compressed",
            png(np.zeros((4, 5), np.uint16)),
            "is a grey PNG of 16 bits, which is not read",
        ),
        ("png", png(np.zeros((4, 5), np.uint16)), "is a grey PNG of 16 bits, which is not read"),
        ("bayer_rggb8; jpeg compressed ", encode_jpeg(picture()), "is a Bayer mosaic in a picture, which is not read"),
        ("bayer_rggb8; png compressed", png(np.zeros((4, 5), np.uint8)), "is a Bayer mosaic in a picture, which"),
    ],
)
def test_what_is_not_a_picture_of_8_bits_is_refused(ros, format, data, wanted):
    message = through(MAKERS[ros].compressed(FIRST_NS, data, format=format), ros)
    text = said(lambda: compressed_bytes(message, "here"))
    assert text.startswith(f"here: format {format!r} {wanted}")


@pytest.mark.parametrize(
    "format", ["jpeg", "JPEG", "", "rgb8; jpeg compressed bgr8", "bayer_rggb8; jpeg compressed bgr8", "png"]
)
def test_other_words_for_a_picture_do_not_matter(format):
    for data in (encode_jpeg(picture()), png(picture())):
        message = through(MAKERS[2].compressed(FIRST_NS, data, format=format))
        assert compressed_bytes(message, "here") == data


# radars


@pytest.mark.parametrize("ros", [1, 2])
@pytest.mark.parametrize("frame", ["", "r", "radar", "radar1", "radar_front"])
def test_a_radar_scan_of_any_frame_name_comes_back(tmp_path, ros, frame):
    from perceptum.datasets.ros.radar import frame_of_scan, scan_columns

    maker = MAKERS[ros]
    rows = np.array([(10, 0.5, 0.1, -3, 12), (5, -0.2, 0, 1, 4), (7, 0, -0.3, 0, 0)], np.float32)
    topic = Topic("/r", "radar_msgs/msg/RadarScan", "ros1" if ros == 1 else "cdr", 1)
    data = maker.encode(maker.radar_scan(FIRST_NS, rows, frame))
    assert frame_of_scan(topic, data, "here") == frame
    columns = scan_columns(topic, data, "here")
    np.testing.assert_allclose(np.sqrt(sum(columns[n] ** 2 for n in "xyz")), rows[:, 0], rtol=1e-6)
    np.testing.assert_allclose(np.arctan2(columns["y"], columns["x"]), rows[:, 1], atol=1e-6)
    np.testing.assert_array_equal(columns["v_radial"], rows[:, 3])
    np.testing.assert_array_equal(columns["rcs"], rows[:, 4])
    assert {column.dtype for column in columns.values()} == {np.dtype("f4")}
    assert "are not a complete radar_msgs/msg/RadarScan" in said(lambda: scan_columns(topic, data[:-1], "here"))


def radar_log(path, option=None):
    """A scan, tracks and a cloud of detections in one recording."""
    maker = MAKERS[2]
    points = np.zeros(2, [("x", "f4"), ("y", "f4"), ("z", "f4"), ("RCS", "f4"), ("vr", "i1"), ("vr_compensated", "f4")])
    points["vr"], points["vr_compensated"] = [-128, 5], [2, -2]
    rows = [
        *drive(maker),
        ("/tracks", FIRST_NS, maker.radar_tracks(FIRST_NS, [(10, 2, 0.5, -3, 1, 0)])),
        ("/cloud", FIRST_NS, maker.cloud(FIRST_NS, points, frame="radar")),
    ]
    options = {"radar_topics": ["/radar/scan", "/tracks", "/cloud"], **(option or {})}
    return open_log(write_mcap(path, rows, maker), **options).source


def test_doppler_is_receding_or_turned_over_where_the_driver_counts_what_approaches(tmp_path):
    as_is = radar_log(tmp_path / "a.mcap", {"doppler": "receding"})
    turned = radar_log(tmp_path / "b.mcap", {"doppler": "approaching"})
    assert as_is.read_radar("/radar/scan", 0).v_radial.tolist() == [-3, 1]
    assert turned.read_radar("/radar/scan", 0).v_radial.tolist() == [3, -1]
    cloud, other = (log.read_radar("/cloud", 0) for log in (as_is, turned))
    assert (cloud.v_radial.tolist(), cloud.v_radial_comp.tolist()) == ([-128, 5], [2, -2])
    # the negative of an int8 may not be one
    assert (other.v_radial.tolist(), other.v_radial_comp.tolist()) == ([128, -5], [-2, 2])
    assert cloud.rcs is not None
    assert cloud.velocity_part == "radial"


def test_an_amplitude_that_is_no_cross_section_is_left_out(tmp_path):
    assert radar_log(tmp_path / "a.mcap").read_radar("/radar/scan", 0).rcs.tolist() == [12, 4]
    assert radar_log(tmp_path / "b.mcap", {"amplitude": "power"}).read_radar("/radar/scan", 0).rcs is None


def test_velocities_of_tracks_are_full_and_relative_or_over_ground_as_the_caller_says(tmp_path):
    cycle = radar_log(tmp_path / "a.mcap").read_radar("/tracks", 0)
    assert (cycle.vx.tolist(), cycle.vy.tolist(), cycle.vx_comp, cycle.velocity_part) == ([-3], [1], None, "full")
    cycle = radar_log(tmp_path / "b.mcap", {"track_velocity": "ground"}).read_radar("/tracks", 0)
    assert (cycle.vx_comp.tolist(), cycle.vy_comp.tolist(), cycle.vx) == ([-3], [1], None)


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ({"doppler": "+"}, "doppler is '+', wanted 'receding' or 'approaching'"),
        ({"amplitude": "dB"}, "amplitude is 'dB', wanted 'rcs' or 'power'"),
        ({"track_velocity": "ego"}, "track_velocity is 'ego', wanted 'relative' or 'ground'"),
    ],
)
def test_what_is_said_of_a_radar_is_one_of_the_known_words(tmp_path, option, wanted):
    assert said(lambda: radar_log(tmp_path / "a.mcap", option), LogError).startswith(wanted)


def test_radar_tracks_are_places_velocities_and_ids(tmp_path):
    maker = MAKERS[2]
    rows = [(10, 2, 0.5, -3, 1, 0), (20, -2, 0.5, 4, 0, 0)]
    path = write_mcap(
        tmp_path / "a.mcap", [*drive(maker), ("/tracks", FIRST_NS, maker.radar_tracks(FIRST_NS, rows))], maker
    )
    cycle = open_log(path)[0].radars["/tracks"]
    assert (cycle.x.tolist(), cycle.vx.tolist(), cycle.vy.tolist()) == ([10, 20], [-3, 4], [1, 0])
    assert cycle.id.dtype == np.uint64
    assert len(set(cycle.id.tolist())) == 2
    assert cycle.ego_from_sensor[:3, 3].tolist() == [3.6, 0, 0.5]


def test_a_cloud_of_detections_is_a_radar_where_it_is_called_one(tmp_path):
    maker = MAKERS[2]
    points = np.zeros(3, [("x", "f4"), ("y", "f4"), ("z", "f4"), ("rcs", "f4"), ("doppler", "f4")])
    points["doppler"] = [1, 2, 3]
    rows = [*drive(maker), ("/radar/cloud", FIRST_NS, maker.cloud(FIRST_NS, points, frame="radar"))]
    log = open_log(write_mcap(tmp_path / "a.mcap", rows, maker), radar_topics=["/radar/cloud"])
    assert list(log.source.radars) == ["/radar/cloud"]
    assert list(log.source.lidars) == ["/lidar/points"]
    assert log[0].radars["/radar/cloud"].v_radial.tolist() == [1, 2, 3]
