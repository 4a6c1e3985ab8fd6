"""Where each sensor sits and how it sees: the parts of records that rarely change, each distinct one kept once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Matrix
from ..errors import BrokenRecord
from ..once import get_or_make
from ..records import CameraImage, LidarSweep, RadarSweep

__all__ = ["CalibrationTable", "Calibrations"]

_VELOCITY_PART, _SIZE = "velocity_part", "size"
"""The last two columns; stores written before there were any have neither, or only the first."""


def _schema() -> Any:
    import pyarrow as pa

    f8 = pa.float64()
    return pa.schema(
        [
            pa.field("ego_from_sensor", pa.list_(f8, 16)),
            pa.field("intensity_scale", f8),
            pa.field("origin", pa.list_(f8, 3)),
            pa.field("row_of_ring", pa.list_(pa.int32())),
            pa.field("intrinsics", pa.list_(f8, 9)),
            pa.field("distortion", pa.list_(f8)),
            pa.field("distortion_model", pa.string()),
            pa.field(_VELOCITY_PART, pa.string()),
            pa.field(_SIZE, pa.list_(pa.int32(), 2)),
        ]
    )


class Calibrations:
    """Collects rows while records are written."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._seen: dict[str, int] = {}

    def of_lidar(self, sweep: LidarSweep) -> int:
        return self._row(
            ego_from_sensor=_floats(sweep.ego_from_sensor),
            intensity_scale=float(sweep.intensity_scale),
            origin=_floats(sweep.origin),
            row_of_ring=None if sweep.row_of_ring is None else [int(row) for row in sweep.row_of_ring],
        )

    def of_radar(self, cycle: RadarSweep) -> int:
        return self._row(
            ego_from_sensor=_floats(cycle.ego_from_sensor),
            origin=_floats(cycle.origin),
            velocity_part=cycle.velocity_part,
        )

    def of_camera(self, picture: CameraImage) -> int:
        return self._row(
            ego_from_sensor=_floats(picture.ego_from_camera),
            intrinsics=_floats(picture.intrinsics),
            distortion=None if picture.distortion is None else _floats(picture.distortion),
            distortion_model=picture.distortion_model,
            size=None if picture.size is None else [int(side) for side in picture.size],
        )

    def add(self, table: CalibrationTable) -> NDArray[np.int32]:
        """Adds the rows of another table; returns the new number of each."""
        return np.array([self._row(**row) for row in table.batch.to_pylist()], dtype=np.int32)

    def _row(self, **values: Any) -> int:
        present = {name: value for name, value in values.items() if value is not None}
        # repr of floats is exact, and distinguishes -0.0 from 0.0
        key = repr(sorted(present.items()))
        if key not in self._seen:
            self._seen[key] = len(self._rows)
            self._rows.append(present)
        return self._seen[key]

    def to_batch(self) -> Any:
        import pyarrow as pa

        schema = _schema()
        columns = [pa.array([row.get(f.name) for row in self._rows], f.type) for f in schema]
        return pa.record_batch(columns, schema=schema)


class CalibrationTable:
    """The rows of a written store, as arguments for records."""

    def __init__(self, where: str, batch: Any) -> None:
        schema = _schema()
        # without its last columns too, as it was before
        without_size = schema.remove(len(schema) - 1)
        without_either = without_size.remove(len(without_size) - 1)
        if not any(batch.schema.equals(known) for known in (schema, without_size, without_either)):
            raise BrokenRecord(f"{where}: not the columns of a calibration; convert again")
        self._where = where
        self.batch = batch
        self._made: dict[tuple[str, int], dict[str, Any]] = {}

    def lidar(self, row: int) -> dict[str, Any]:
        """Returns what a LidarSweep takes besides its columns; arrays are shared by all records of a row, read-only."""
        return self._once("lidar", row, self._lidar)

    def radar(self, row: int) -> dict[str, Any]:
        return self._once("radar", row, self._radar)

    def camera(self, row: int) -> dict[str, Any]:
        return self._once("camera", row, self._camera)

    def _once(self, kind: str, row: int, make: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        known = self._made.get((kind, row))
        return get_or_make(self._made, (kind, row), lambda: _locked(make(row))) if known is None else known

    def _lidar(self, row: int) -> dict[str, Any]:
        scale = self._cell("intensity_scale", row).as_py()
        rings = self._cell("row_of_ring", row)
        return {
            "ego_from_sensor": self._matrix("ego_from_sensor", row, (4, 4)),
            "intensity_scale": 1.0 if scale is None else scale,
            "origin": self._matrix("origin", row, (3,)),
            "row_of_ring": np.array(rings.as_py(), dtype=np.int32) if rings.is_valid else None,
        }

    def _radar(self, row: int) -> dict[str, Any]:
        own: dict[str, Any] = {"ego_from_sensor": self._matrix("ego_from_sensor", row, (4, 4))}
        if self._cell("origin", row).is_valid:
            own["origin"] = self._matrix("origin", row, (3,))
        if _VELOCITY_PART in self.batch.schema.names and self._cell(_VELOCITY_PART, row).is_valid:
            own["velocity_part"] = self._cell(_VELOCITY_PART, row).as_py()
        return own

    def _camera(self, row: int) -> dict[str, Any]:
        lens = self._cell("distortion", row)
        size = self._cell(_SIZE, row).as_py() if _SIZE in self.batch.schema.names else None
        return {
            "ego_from_camera": self._matrix("ego_from_sensor", row, (4, 4)),
            "intrinsics": self._matrix("intrinsics", row, (3, 3)),
            "distortion": np.array(lens.as_py(), dtype=np.float64) if lens.is_valid else None,
            "distortion_model": self._cell("distortion_model", row).as_py() or "none",
            "size": None if size is None else (size[0], size[1]),
        }

    def _cell(self, name: str, row: int) -> Any:
        if not 0 <= row < len(self.batch):
            raise BrokenRecord(f"{self._where}: no row {row}, it has {len(self.batch)}; convert again")
        return self.batch.column(name)[row]

    def _matrix(self, name: str, row: int, shape: tuple[int, ...]) -> Matrix:
        cell = self._cell(name, row)
        if not cell.is_valid:
            raise BrokenRecord(f"{self._where}: row {row} has no {name}; convert again")
        return np.array(cell.as_py(), dtype=np.float64).reshape(shape)


def _locked(made: dict[str, Any]) -> dict[str, Any]:
    for value in made.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return made


def _floats(values: ArrayLike) -> list[float]:
    flat: list[float] = np.asarray(values, dtype=np.float64).ravel().tolist()
    return flat
