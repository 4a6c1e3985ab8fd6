"""aiMotive's calibration.json: where each sensor sits, and what each lens is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from perceptum.inputs import BrokenRecord, Matrix, MissingRecord

from ..reading.calibrated_lens import CalibratedLens
from ..reading.files import read_bytes
from ..reading.picture_file import size_of

__all__ = ["Calibration", "read_calibration"]


_ORTHONORMAL_WITHIN = 1e-3


class _Sensor(msgspec.Struct):
    RT_body_from_sensor: list[list[float]] | None = None
    model: str = ""
    focal_length_px: list[float] = []
    principal_point_px: list[float] = []
    distortion_coeffs: list[float] = []
    xi: float = 0.0
    image_resolution_px: Any = None
    """Width and height."""


class Calibration:
    """The sensors of one log by name."""

    def __init__(self, path: Path, sensors: dict[str, msgspec.Raw]) -> None:
        self._path = path
        self._sensors = sensors

    def _named(self, name: str) -> _Sensor:
        if name not in self._sensors:
            raise MissingRecord(
                f"{self._path}: no sensor '{name}', found {', '.join(list(self._sensors)[:12]) or 'none'}"
            )
        try:
            return msgspec.json.decode(self._sensors[name], type=_Sensor)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BrokenRecord(f"{self._path}: {name} is not the expected JSON ({error})") from error

    def ego_from(self, name: str) -> Matrix:
        """Returns (4, 4): body from sensor."""
        rows = self._named(name).RT_body_from_sensor
        if rows is None:
            raise MissingRecord(f"{self._path}: {name} has no RT_body_from_sensor")
        if [len(row) for row in rows] != [4, 4, 4, 4] or rows[3] != [0, 0, 0, 1]:
            raise BrokenRecord(f"{self._path}: RT_body_from_sensor of {name} is not a 4x4 with 0 0 0 1 in the last row")
        transform = np.array(rows, dtype=np.float64)
        rotation = transform[:3, :3]
        bounded = np.abs(rotation).max() < 2 and np.abs(transform).max() < 1e6
        if not bounded or np.abs(rotation @ rotation.T - np.eye(3)).max() > _ORTHONORMAL_WITHIN:
            raise BrokenRecord(f"{self._path}: RT_body_from_sensor of {name} is not a rotation and translation")
        return transform

    def lens_of(self, name: str) -> CalibratedLens:
        """Returns the lens: brown (k1 k2 p1 p2 k3), or mei (xi k1 k2 p1 p2) for a fisheye."""
        sensor = self._named(name)
        lengths = [
            len(values) for values in (sensor.focal_length_px, sensor.principal_point_px, sensor.distortion_coeffs)
        ]
        if lengths != [2, 2, 5]:
            raise BrokenRecord(
                f"{self._path}: {name} has {lengths} focal lengths, principal point and distortion coefficients, "
                "wanted [2, 2, 5]"
            )
        (fx, fy), (cx, cy) = sensor.focal_length_px, sensor.principal_point_px
        if fx <= 0 or fy <= 0:
            raise BrokenRecord(f"{self._path}: {name} has focal lengths {fx} and {fy}, wanted pixels above 0")
        intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
        sides = sensor.image_resolution_px
        size = size_of(sides[1], sides[0]) if isinstance(sides, list) and len(sides) == 2 else None
        return CalibratedLens(intrinsics, *self._distortion(name, sensor), size)

    def _distortion(self, name: str, sensor: _Sensor) -> tuple[Matrix, str]:
        if sensor.model == "opencv_pinhole":
            return np.array(sensor.distortion_coeffs), "brown"
        if sensor.model == "mei" and sensor.distortion_coeffs[4] == 0:
            return np.array([sensor.xi, *sensor.distortion_coeffs[:4]]), "mei"
        raise BrokenRecord(
            f"{self._path}: {name} has the lens model '{sensor.model[:40]}', wanted opencv_pinhole, or mei without k3"
        )


def read_calibration(path: Path) -> Calibration:
    """Reads the file; raises MissingRecord or BrokenRecord."""
    encoded = read_bytes(path, "where the sensors are mounted is not known")
    try:
        return Calibration(path, msgspec.json.decode(encoded, type=dict[str, msgspec.Raw]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenRecord(f"{path}: not the expected JSON ({error})") from error
