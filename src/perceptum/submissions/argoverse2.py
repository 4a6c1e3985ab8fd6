"""Argoverse 2's detections: one feather file, boxes in the ego frame of each sweep.

After av2-api, src/av2/evaluation/detection: the columns of a cuboid, the score, the log and the sweep's time.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import feather

from perceptum.errors import UsageError
from perceptum.features.classes import CLASS_LISTS
from perceptum.inputs.poses import quaternion_from_yaw
from perceptum.output_file import whole_file

from .detected import Detected

__all__ = ["ATTRIBUTES", "CLASSES", "ENDING", "write"]

CLASSES = tuple(one.name for one in CLASS_LISTS["argoverse2"])
ATTRIBUTES: tuple[str, ...] = ()
ENDING = ".feather"

_NUMBERS = ("tx_m", "ty_m", "tz_m", "length_m", "width_m", "height_m", "qw", "qx", "qy", "qz", "score")
_FIELDS: dict[str, Any] = {
    **dict.fromkeys(_NUMBERS, pa.float64()),
    "log_id": pa.string(),
    "timestamp_ns": pa.int64(),
    "category": pa.string(),
}
_SCHEMA = pa.schema(_FIELDS)


def write(out: Path, found: Iterable[Detected], uses: Iterable[str] | None = None) -> dict[str, int]:
    """Writes the file; every box is kept. uses: has no place in this format. Raises UsageError for another dataset's
    frame."""
    if uses is not None:
        raise UsageError("Argoverse 2's detections do not say what a model looks at; leave uses out")
    tables = [_table(one) for one in found]
    whole = pa.concat_tables(tables) if tables else _SCHEMA.empty_table()
    with whole_file(out) as beside:
        feather.write_feather(whole, str(beside))
    return {}


def _table(one: Detected) -> Any:
    source = one.frame.log.source
    if source.dataset not in ("argoverse2", "store"):
        raise UsageError(f"{one.frame} is of {source.dataset}, and Argoverse 2's detections are of its sweeps")
    n = len(one)
    numbers = np.column_stack([one.boxes[:, :6], quaternion_from_yaw(one.boxes[:, 6]), one.scores])
    columns = [pa.array(column) for column in np.ascontiguousarray(numbers.T)]
    own = [pa.array([source.name] * n, pa.string()), pa.array([one.frame.time_ns] * n, pa.int64())]
    return pa.table([*columns, *own, pa.array(one.labels.tolist(), pa.string())], schema=_SCHEMA)
