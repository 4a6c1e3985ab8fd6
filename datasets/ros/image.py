"""sensor_msgs/CompressedImage and CameraInfo to pictures with a lens."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs import BrokenRecord, Matrix

from ..reading.calibrated_lens import CalibratedLens
from ..reading.picture_file import size_of

__all__ = ["compressed_bytes", "lens_of"]

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_DEPTHS = ("16UC1", "16SC1", "32FC1")
_COLOURS = ("bgr8", "rgb8", "mono8")
"""What image_transport says behind the format where it has made a picture of a mosaic."""

_MODELS = {"plumb_bob": "brown", "rational_polynomial": "brown", "equidistant": "fisheye", "fisheye": "fisheye"}
_COUNTS = {"brown": (4, 5, 8), "fisheye": (4,)}


def lens_of(info: Any, rectified: bool, where: str) -> CalibratedLens:
    """Returns the lens of a CameraInfo message; raises BrokenRecord.

    `rectified`: the pictures are undistorted, and the projection matrix P holds their intrinsics. Binning and the
    region of interest are taken into the intrinsics, which CameraInfo gives for the full sensor.
    """
    matrix = (
        _projection(info, where)[:, :3] if rectified else np.asarray(info_value(info, "k"), np.float64).reshape(3, 3)
    )
    if not (np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0 and (matrix[2] == [0, 0, 1]).all()):
        raise BrokenRecord(f"{where}: intrinsics {matrix.tolist()}, wanted a focal length above 0; is it calibrated?")
    binning = np.array([max(int(info.binning_x), 1), max(int(info.binning_y), 1)], np.float64)
    offset = np.array([int(info.roi.x_offset), int(info.roi.y_offset)], np.float64)
    intrinsics = matrix.copy()
    intrinsics[:2, 2] -= offset
    intrinsics[:2] /= binning[:, None]
    # a region without a height or width is the whole sensor
    height, width = int(info.roi.height) or int(info.height), int(info.roi.width) or int(info.width)
    size = size_of(height // int(binning[1]), width // int(binning[0]))
    if rectified:
        return CalibratedLens(intrinsics, None, "none", size)
    return CalibratedLens(intrinsics, *_distortion(info, where), size)


def info_value(info: Any, name: str) -> Any:
    """ROS 1 writes K, D and P where ROS 2 writes k, d and p."""
    return getattr(info, name) if hasattr(info, name) else getattr(info, name.upper())


def _projection(info: Any, where: str) -> Matrix:
    projection = np.asarray(info_value(info, "p"), np.float64).reshape(3, 4)
    if projection[0, 3] or projection[1, 3]:
        raise BrokenRecord(
            f"{where}: P has the translation {projection[:, 3].tolist()} of a stereo pair's second camera, "
            "wanted none; use the pictures that are not rectified"
        )
    return projection


def _distortion(info: Any, where: str) -> tuple[Matrix | None, str]:
    coefficients = np.array(info_value(info, "d"), np.float64)
    if not coefficients.any():
        return None, "none"
    model = _MODELS.get(info.distortion_model)
    if model is None or len(coefficients) not in _COUNTS[model] or not np.isfinite(coefficients).all():
        raise BrokenRecord(
            f"{where}: distortion {info.distortion_model!r} with {len(coefficients)} numbers, wanted plumb_bob (5), "
            "rational_polynomial (8) or equidistant (4)"
        )
    return coefficients, model


def compressed_bytes(message: Any, where: str) -> bytes:
    """Returns the JPEG or PNG bytes of a CompressedImage; raises BrokenRecord.

    Of what is not a picture of 8 bits, which a decoder would clip, and of a mosaic, which it would show as grey.
    """
    data, form = message.data.tobytes(), message.format[:60]
    encoding, _, how = form.partition(";")
    if "compressedDepth" in how or encoding.strip() in _DEPTHS:
        raise BrokenRecord(f"{where}: format {form!r} is depth, which is not read")
    if not data.startswith((_JPEG, _PNG)):
        raise BrokenRecord(f"{where}: format {message.format[:40]!r} starts with {data[:8]!r}, wanted JPEG or PNG")
    # the first chunk of a PNG is its head: width and height of four bytes each, the bits of a channel, and 0 for grey
    if data.startswith(_PNG) and data[24:26] == b"\x10\0":
        raise BrokenRecord(f"{where}: format {form!r} is a grey PNG of 16 bits, which is not read; wanted 8")
    if encoding.strip().startswith("bayer_") and not how.strip().endswith(_COLOURS):
        raise BrokenRecord(f"{where}: format {form!r} is a Bayer mosaic in a picture, which is not read")
    return bytes(data)
