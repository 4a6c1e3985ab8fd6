"""A file whose size is another item's is whole: the message says which fits, in every reader of items of one size."""

import struct

import laspy
import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.datasets.reading.point_file import read_points
from perceptum.inputs import BrokenRecord


def said(read):
    with pytest.raises(BrokenRecord) as caught:
        read()
    text = str(caught.value)
    assert "\n" not in text
    return text


def lidar_files(folder, name):
    return {
        "kitti": folder / "training" / "velodyne" / "000003.bin",
        "kitti_odometry": folder / "velodyne" / "000000.bin",
        "kitti_raw": folder / "velodyne_points" / "data" / "0000000000.bin",
        "view_of_delft": folder / "lidar" / "training" / "velodyne" / "00544.bin",
    }[name]


@pytest.mark.parametrize("name", ["kitti", "kitti_odometry", "kitti_raw", "view_of_delft"])
def test_velodyne_points_of_five_numbers_are_named_as_such(name, request):
    folder = request.getfixturevalue(name)
    path = lidar_files(folder, name)
    path.write_bytes(np.ones((7, 5), "<f4").tobytes())
    assert said(lambda: open_log(folder)[0].lidar) == (
        f"{path}: 140 bytes is not a multiple of 16 (4 float32 per point) but of 20 or 28 (5 or 7 float32 per point); "
        "its points seem to have other columns, wanted x y z reflectance"
    )


def test_nuscenes_points_of_four_numbers_are_named_as_such(nuscenes):
    log = open_log(nuscenes)
    path = next((nuscenes / "samples" / "LIDAR_TOP").iterdir())
    index = [f.name for f in map(path.parent.joinpath, log.source.scene.streams["LIDAR_TOP"].files)].index(path.name)
    path.write_bytes(np.ones((11, 4), "<f4").tobytes())
    assert said(lambda: log.source.read_lidar("LIDAR_TOP", index)) == (
        f"{path}: 176 bytes is not a multiple of 20 (5 float32 per point) but of 16 (4 float32 per point); "
        "its points seem to have other columns, wanted x y z intensity ring"
    )


def test_radar_points_of_another_count_are_named_as_such(view_of_delft):
    path = view_of_delft / "radar" / "training" / "velodyne" / "00544.bin"
    path.write_bytes(np.ones((11, 5), "<f4").tobytes())
    assert said(lambda: open_log(view_of_delft)[0].radars["radar"]) == (
        f"{path}: 220 bytes is not a multiple of 28 (7 float32 per point) but of 20 (5 float32 per point); "
        "its points seem to have other columns, wanted x y z rcs v_r v_r_compensated time"
    )


@pytest.mark.parametrize(("size", "fits"), [(12, "of 12 (3 float32"), (60, "of 12 or 20 (3 or 5 float32")])
def test_all_counts_that_fit_are_listed(tmp_path, size, fits):
    (tmp_path / "a.bin").write_bytes(bytes(size))
    text = said(lambda: read_points(tmp_path / "a.bin", "xyzi", "no points"))
    assert f"{size} bytes is not a multiple of 16 (4 float32 per point) but {fits} per point); its" in text
    assert "cut short" not in text


@pytest.mark.parametrize("size", [1, 3, 17, 4, 8, 44])
def test_a_size_that_fits_no_count_is_cut_short(tmp_path, size):
    (tmp_path / "a.bin").write_bytes(bytes(size))
    text = said(lambda: read_points(tmp_path / "a.bin", "xyzi", "no points"))
    assert text.endswith(f"{size} bytes is not a multiple of 16 (4 float32 per point); the file is cut short")


@pytest.mark.parametrize(
    ("points", "point_bytes", "wanted"),
    [
        (10, 47, "470 bytes of points, wanted 430 for 10 of 43 bytes; its points seem to have 47 bytes each: SIZE or"),
        (10, 39, "390 bytes of points, wanted 430 for 10 of 43 bytes; its points seem to have 39 bytes each: SIZE or"),
        (
            17,
            43,
            "731 bytes of points, wanted 430 for 10 of 43 bytes; there seem to be 17 points: WIDTH and HEIGHT do",
        ),
        (9, 43, "387 bytes of points, wanted 430 for 10 of 43 bytes; the file is cut short"),
    ],
)
def test_a_radar_file_that_holds_other_points_than_its_header_says_is_refused(
    nuscenes, made, points, point_bytes, wanted
):
    log = open_log(nuscenes)
    name = log.source.scene.streams["RADAR_FRONT"].files[0]
    path = nuscenes / name
    header = made("nuscenes").radar_pcd([], WIDTH="10")
    path.write_bytes(header.removesuffix(b"\n") + bytes(points * point_bytes))
    assert said(lambda: log.source.read_radar("RADAR_FRONT", 0)).startswith(f"{path}: {wanted}")


def test_labels_of_the_tracking_benchmark_are_named_as_such(kitti):
    path = kitti / "training" / "label_2" / "000003.txt"
    path.write_text("0 1 " + path.read_text().splitlines()[0])
    assert said(lambda: open_log(kitti)[0].labels) == (
        f"{path}: line 1 has 17 columns, wanted 15 (16 with a score); "
        "17 and 18 are KITTI tracking's, which begin with frame and track"
    )


def test_calibration_of_another_shape_is_named_as_such(kitti):
    path = kitti / "training" / "calib" / "000003.txt"
    whole = path.read_text()
    path.write_text(whole.replace("P2: 700 0 600 45 0 700 180 -0.3 0 0 1 0.005", "P2: 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"))
    assert said(lambda: open_log(kitti)[0].labels) == f"{path}: P2 has 16 numbers (a full 4x4), wanted 12 (3x4)"


def test_a_ground_raster_of_other_numbers_is_named_as_such(argoverse2):
    path = next((argoverse2 / "map").glob("*.npy"))
    path.write_bytes(path.read_bytes() + bytes(24))
    assert said(lambda: open_log(argoverse2).map) == (
        f"{path}: 48 bytes of data, wanted 24 for float16 (3, 4); its numbers seem to have 4 bytes each"
    )
    path.write_bytes(path.read_bytes() + bytes(3))
    assert said(lambda: open_log(argoverse2).map).endswith(
        "51 bytes of data, wanted 24 for float16 (3, 4); its shape is not the header's"
    )


def write_las(path, scale=0.001, offset=0.0, x=(1.0, 2.0, 3.0), stamp=0):
    las = laspy.LasData(laspy.LasHeader(point_format=1, version="1.2"))
    las.header.scales, las.header.offsets = [scale] * 3, [offset, 0, 0]
    las.x, las.y, las.z = np.array(x), np.zeros(len(x)), np.zeros(len(x))
    las.gps_time = np.full(len(x), float(stamp))
    las.write(str(path.with_suffix(".las")))
    path.write_bytes(path.with_suffix(".las").read_bytes())


def test_a_plain_las_file_of_other_points_is_named_as_such(aimotive, made):
    path = aimotive / "dynamic" / "raw-revolutions" / "frame_0033643.laz"
    write_las(path, stamp=made("aimotive").stamp(33643))
    assert len(open_log(aimotive)[0].lidar) == 3
    encoded = bytearray(path.read_bytes())
    assert struct.unpack_from("<H", encoded, 105) == (28,)
    path.write_bytes(encoded[:-24])
    assert said(lambda: open_log(aimotive)[0].lidar) == (
        f"{path}: 60 bytes of points, wanted 3 of 28 bytes; its points seem to have 20 bytes each"
    )
    path.write_bytes(encoded[:-25])
    assert said(lambda: open_log(aimotive)[0].lidar).endswith(
        "59 bytes of points, wanted 3 of 28 bytes; the file is cut short"
    )


@pytest.mark.parametrize(
    ("scale", "farthest", "dtype"), [(0.001, 8000.0, np.float32), (0.001, 9000.0, np.float64), (0.01, 9e3, np.float32)]
)
def test_stored_steps_survive_however_far_the_points_are(aimotive, made, scale, farthest, dtype):
    """Kind A: LAS stores whole steps, which float32 holds only near the origin."""
    path = aimotive / "dynamic" / "raw-revolutions" / "frame_0033643.laz"
    stored = farthest + scale * np.arange(3)
    write_las(path, scale=scale, x=stored, stamp=made("aimotive").stamp(33643))
    x = open_log(aimotive)[0].lidar.x
    assert x.dtype == dtype
    np.testing.assert_allclose(x.astype(np.float64), stored, atol=scale / 2, rtol=0)
    assert len(np.unique(x)) == 3
