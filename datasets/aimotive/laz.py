"""aiMotive's lidar revolutions: LAZ files, through laspy and lazrs."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError
from perceptum.install import install_command

from ..reading.files import read_bytes

__all__ = ["LazPoints", "read_laz"]

_NEEDED = "reading .laz points needs laspy and lazrs"
_HEADER_BYTES = 227
_MOST_VLRS = 1000
_MOST_RECORD_BYTES = 1000
_LASZIP_RECORD = 22204
# what laspy raises for a broken header, besides its own
_RAISED = (ValueError, OSError, MemoryError, LookupError, ArithmeticError, TypeError, AttributeError, struct.error)
# real revolutions have 5.8 bytes per point
_MOST_POINTS_PER_BYTE = 2


@dataclass(frozen=True, eq=False)
class LazPoints:
    """Columns of one length."""

    x: NDArray[np.floating]
    """float32 where that holds every step of the stored integers, as it does within 8 km for 1 mm; else float64."""
    y: NDArray[np.floating]
    z: NDArray[np.floating]
    intensity: NDArray[np.uint16]
    time_ns: NDArray[np.float64]
    """As recorded, on the clock of the boxes' stamps."""


def read_laz(path: Path) -> LazPoints:
    """Returns the points; raises BrokenRecord, and MissingRecord where there is no file."""
    encoded = read_bytes(path, "the sweep is missing")
    _check_lengths(path, encoded)
    points = _decoded(path, encoded)
    if "gps_time" not in list(points.point_format.dimension_names):
        raise BrokenRecord(f"{path}: point format {points.point_format.id} has no gps_time, wanted one with (1, 3, 6)")
    x, y, z = _coordinates(points)
    intensity = np.ascontiguousarray(points.intensity, dtype=np.uint16)
    return LazPoints(x, y, z, intensity, np.ascontiguousarray(points.gps_time, dtype=np.float64))


def _coordinates(points: Any) -> tuple[NDArray[np.floating], ...]:
    stored = [np.asarray(getattr(points, axis), dtype=np.float64) for axis in "xyz"]
    # half a step of float32, 2**-24 of the number, is at most half a step of the integers
    farthest_m = [scale * 2**23 for scale in points.header.scales]
    near = all(np.abs(column).max(initial=0) <= most for column, most in zip(stored, farthest_m, strict=True))
    return tuple(column.astype(np.float32) if near else column for column in stored)


def _check_lengths(path: Path, encoded: bytes) -> None:
    """Every length that the decoders allocate from is bounded by the size of the file first (LAS 1.2 to 1.4)."""
    if len(encoded) < _HEADER_BYTES or encoded[:4] != b"LASF":
        raise BrokenRecord(f"{path}: starts with {encoded[:4]!r} in {len(encoded)} bytes, wanted a LAS header, b'LASF'")
    data_at, vlrs, _, record_bytes, count = struct.unpack_from("<IIBHI", encoded, 96)
    if encoded[24] != 1 or encoded[25] not in (2, 3, 4):
        raise BrokenRecord(f"{path}: LAS version {encoded[24]}.{encoded[25]}, wanted 1.2 to 1.4")
    if encoded[25] == 4 and len(encoded) >= 255:
        count = max(count, struct.unpack_from("<Q", encoded, 247)[0])
    if vlrs > _MOST_VLRS or record_bytes > _MOST_RECORD_BYTES or not _HEADER_BYTES <= data_at <= len(encoded) - 8:
        raise BrokenRecord(f"{path}: the header is broken: points at byte {data_at}, {vlrs} records before them")
    if count > _MOST_POINTS_PER_BYTE * len(encoded):
        raise BrokenRecord(f"{path}: {count} points cannot be in {len(encoded)} bytes; the file is cut short")
    if not encoded[104] & 0x80:
        _check_uncompressed(path, len(encoded) - data_at, count, record_bytes)
    _check_scales(path, struct.unpack_from("<6d", encoded, 131))
    if encoded[104] & 0x80:
        _check_items(path, encoded, vlrs, record_bytes)
        _check_chunks(path, encoded, data_at)


def _check_uncompressed(path: Path, have: int, count: int, record_bytes: int) -> None:
    # LAS 1.4 may have records of other kinds behind its points
    if have < count * record_bytes:
        fits = count and have % count == 0 and have > 0
        seems = f"its points seem to have {have // count} bytes each" if fits else "the file is cut short"
        raise BrokenRecord(f"{path}: {have} bytes of points, wanted {count} of {record_bytes} bytes; {seems}")


def _check_scales(path: Path, numbers: tuple[float, ...]) -> None:
    """Three scales and three offsets."""
    if not all(1e-6 <= scale <= 1 for scale in numbers[:3]) or not all(abs(offset) <= 1e4 for offset in numbers[3:]):
        raise BrokenRecord(f"{path}: scales and offsets are {list(numbers)}, wanted up to 1 m and 10 km")


def _check_items(path: Path, encoded: bytes, vlrs: int, record_bytes: int) -> None:
    """The compressor's own record says of what sizes a point is made; the sum is the header's."""
    at = struct.unpack_from("<H", encoded, 94)[0]
    for _ in range(vlrs):
        if at + 54 > len(encoded):
            break
        kind, length = struct.unpack_from("<HH", encoded, at + 18)
        record = encoded[at + 54 : at + 54 + length]
        if kind == _LASZIP_RECORD and len(record) >= 34:
            items = struct.unpack_from("<H", record, 32)[0]
            whole = len(record) >= 34 + 6 * items
            sizes = [size for _, size, _ in struct.iter_unpack("<HHH", record[34 : 34 + 6 * items])] if whole else []
            if sum(sizes) != record_bytes:
                raise BrokenRecord(f"{path}: points of {record_bytes} bytes are made of items of {sizes[:8]} bytes")
            return
        at += 54 + length
    raise BrokenRecord(f"{path}: no record of how the points are compressed, wanted one of LASzip")


def _check_chunks(path: Path, encoded: bytes, data_at: int) -> None:
    table_at = struct.unpack_from("<q", encoded, data_at)[0]
    if not data_at + 8 <= table_at <= len(encoded) - 8:
        raise BrokenRecord(f"{path}: the chunk table is at byte {table_at} of {len(encoded)}; the file is cut short")
    chunks = struct.unpack_from("<I", encoded, table_at + 4)[0]
    if chunks > len(encoded):
        raise BrokenRecord(f"{path}: {chunks} chunks cannot be in {len(encoded)} bytes")


def _decoded(path: Path, encoded: bytes) -> Any:
    try:
        import laspy
        import lazrs
    except ImportError as error:
        raise LogError(f"{_NEEDED}: {install_command('laz')}") from error
    try:
        return laspy.read(io.BytesIO(encoded), laz_backend=laspy.LazBackend.Lazrs)
    except (
        laspy.LaspyException,
        lazrs.LazrsError,
        ValueError,
        OSError,
        MemoryError,
        RuntimeError,
        LookupError,
    ) as error:
        reason = " ".join(str(error).split())[:120]
        raise BrokenRecord(f"{path}: not a complete LAZ file ({reason})") from error
    except BaseException as error:
        # a panic of the Rust decoder is a BaseException of a type that cannot be imported
        if type(error).__name__ != "PanicException":
            raise
        raise BrokenRecord(f"{path}: not a complete LAZ file (the decoder gave up: {str(error)[:100]})") from error
