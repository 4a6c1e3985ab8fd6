"""What a camera may have stored, in every dataset with cameras: what is read, and what is refused by name."""

import io
import shutil

import numpy as np
import pytest

from perceptum.convert import convert
from perceptum.datasets import memory_log, open_log
from perceptum.inputs import BrokenRecord, CameraImage, encode_jpeg

Image = pytest.importorskip("PIL.Image")

COLOURS = np.dstack([np.tile(np.arange(0, 240, 12, dtype=np.uint8), (12, 1))] * 3)


def stored(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return stored(Image.fromarray(COLOURS), "JPEG", exif=exif)


JPEG = encode_jpeg(COLOURS, quality=95)
GREY_16 = np.arange(240, dtype=np.uint16).reshape(12, 20) * 100
READ = {
    "filler before the end": JPEG[:-2] + bytes(608) + JPEG[-2:],
    "cmyk": stored(Image.fromarray(COLOURS).convert("CMYK"), "JPEG", quality=95),
    "grey jpeg": stored(Image.fromarray(COLOURS).convert("L"), "JPEG", quality=95),
    "grey and alpha": stored(Image.fromarray(COLOURS).convert("LA"), "PNG"),
    "rgba": stored(Image.fromarray(COLOURS).convert("RGBA"), "PNG"),
    "palette": stored(Image.fromarray(COLOURS).quantize(64), "PNG"),
}
REFUSED = {
    "16-bit grey": (stored(Image.fromarray(GREY_16), "PNG"), "holds "),
    "floats": (stored(Image.fromarray(GREY_16.astype(np.float32)), "TIFF"), "holds 32-bit floats"),
    "turned": (turned(), "EXIF says to turn the picture (orientation 6)"),
    "cut short": (JPEG[:-40], "not a complete JPEG picture ("),
    "cut short with an end": (JPEG[:-40] + JPEG[-2:], "not a complete JPEG picture ("),
}
FILES = {
    "kitti": ("training/image_2/000003.jpg", "image_2"),
    "kitti_odometry": ("image_2/000000.png", "image_2"),
    "kitti_raw": ("image_02/data/0000000000.png", "image_02"),
    "view_of_delft": ("lidar/training/image_2/00544.jpg", "image_2"),
    "aimotive": ("sensor/camera/M_FISHEYE_L/M_FISHEYE_L_0033643.jpg", "M_FISHEYE_L"),
    "argoverse2": ("sensors/cameras/ring_front_center/*.jpg", "ring_front_center"),
    "nuscenes": ("samples/CAM_FRONT/*.jpg", "CAM_FRONT"),
    "waymo_v2": ("camera_image/*.parquet", "FRONT"),
}


@pytest.fixture(params=[*FILES, "memory", "store"])
def with_picture(request, tmp_path):
    """with_picture(bytes) -> the first picture of a log, which is stored as these bytes."""
    name = request.param

    def put(encoded):
        if name == "memory":
            picture = CameraImage("C", 0, np.eye(3), np.eye(4), read=lambda: encoded)
            return memory_log(cameras=[picture], times_ns=[0])[0].cameras["C"]
        made = "kitti" if name == "store" else name
        pattern, camera = FILES[made]
        folder = request.getfixturevalue(made)
        put_into(sorted(folder.glob(pattern))[0], encoded)
        if name == "store":
            shutil.rmtree(tmp_path / "store", ignore_errors=True)
            convert(str(folder), str(tmp_path / "store"))
            folder = tmp_path / "store"
        return open_log(folder).source.read_camera(camera, 0)

    return put


def put_into(path, encoded):
    if path.suffix != ".parquet":
        path.write_bytes(encoded)
        return
    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(path)
    name = "[CameraImageComponent].image"
    column = pa.array([encoded] * len(table), pa.binary())
    parquet.write_table(table.set_column(table.column_names.index(name), name, column), path)


def test_pictures_that_others_read_are_read(with_picture):
    for name, encoded in READ.items():
        picture = with_picture(encoded)
        assert np.abs(picture.decode().astype(int) - COLOURS).max() <= 12, name
        out = np.zeros_like(COLOURS)
        assert picture.decode(out=out) is out
        assert picture.picture_size() == (12, 20), name
        np.testing.assert_array_equal(picture.decode(rows=(2, 7)), out[2:7])
        assert picture.decode(reduce=4, scratch=np.empty(12 * 20 * 3, np.uint8)).shape == (3, 5, 3)


def test_depth_and_broken_pictures_are_refused_by_name(with_picture):
    for name, (encoded, wanted) in REFUSED.items():
        picture = with_picture(encoded)
        for part in ({}, {"rows": (0, 3)}, {"reduce": 2}):
            with pytest.raises(BrokenRecord) as caught:
                picture.decode(**part)
            text = str(caught.value)
            assert text.startswith(f"{picture.source or picture.camera}: {wanted}"), name
            assert "\n" not in text


@pytest.mark.data
@pytest.mark.parametrize("name", ["real_nuscenes", "real_aimotive"])
def test_parts_of_real_pictures_are_the_bytes_of_the_whole(name, request):
    cv2 = pytest.importorskip("cv2")
    cameras = open_log(request.getfixturevalue(name))[0].cameras
    assert len(cameras) > 3
    for picture in cameras.values():
        whole = picture.decode()
        theirs = cv2.imdecode(np.frombuffer(picture.encoded, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        np.testing.assert_array_equal(whole, theirs)
        height, width = picture.picture_size()
        assert whole.shape == (height, width, 3)
        for reduce in (1, 2, 4, 8):
            smaller = picture.decode(reduce=reduce)
            least = -(-height // reduce)
            for first, last in [(int(least * 0.39), least), (least // 2 + 1, least - 3), (0, 5)]:
                part = picture.decode(rows=(first, last), reduce=reduce)
                np.testing.assert_array_equal(part, smaller[first:last])
