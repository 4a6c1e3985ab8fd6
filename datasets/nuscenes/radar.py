"""nuScenes' radar cycles: .pcd files of version 0.7, binary, 18 fields in 43 bytes a point."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BadOption, BrokenRecord

from ..reading.files import read_bytes

__all__ = ["FILTERS", "RADAR_COLUMNS", "RadarFilter", "check_filter", "read_radar_columns"]

Columns = dict[str, NDArray[Any]]
RadarFilter = Literal["none", "devkit", "crn"]

RADAR_COLUMNS = (
    *("x", "y", "z", "dyn_prop", "id", "rcs", "vx", "vy", "vx_comp", "vy_comp", "is_quality_valid", "ambig_state"),
    *("x_rms", "y_rms", "invalid_state", "pdh0", "vx_rms", "vy_rms"),
)
FILTERS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "none": {},
    "devkit": {"invalid_state": (0,), "dyn_prop": (0, 1, 2, 3, 4, 5, 6), "ambig_state": (3,)},
    "crn": {"invalid_state": (0, 4, 8, 9, 10, 11, 12, 15, 16, 17), "ambig_state": (3,)},
}
"""Name of the filter -> the states that it keeps, by column."""

_MEASURED = ("x", "y", "z", "rcs", "vx", "vy", "vx_comp", "vy_comp")
_CODES = ("dyn_prop", "id", "is_quality_valid", "ambig_state", "invalid_state", "pdh0")
_LONGEST_HEADER = 4096
_MOST_FIELDS = 64
_MANY = 8
_LONGEST_TAIL = 64
_DATA = re.compile(rb"^DATA[ \t]+(\w+)[ \t]*\r?\n", re.MULTILINE)
_FORMATS = {
    "F": {4: "<f4", 8: "<f8"},
    "I": {n: f"<i{n}" for n in (1, 2, 4, 8)},
    "U": {n: f"<u{n}" for n in (1, 2, 4, 8)},
}


def check_filter(name: str) -> None:
    """Raises BadOption that names the filters there are."""
    if name not in FILTERS:
        said = f"nuscenes: radar_filter is '{name}', wanted one of {', '.join(FILTERS)}"
        raise BadOption(said, typed_hint="e.g. {log}:radar_filter=devkit")


def read_radar_columns(path: Path | str, radar_filter: RadarFilter = "none") -> Columns:
    """Returns the known columns of a cycle, read-only, in the dtypes they are stored in.

    A NaN in the first point says that the cycle saw nothing. A few bytes behind the last point are passed over: the
    published files end with a byte too many. Raises MissingRecord or BrokenRecord.
    """
    encoded = read_bytes(path, "the radar cycle is missing")
    try:
        points = _points(encoded)
    except ValueError as error:
        raise BrokenRecord(f"{path}: {error}") from None
    # a copy each: floats lie on odd bytes of the file
    columns = {name: points[name].copy() for name in points.dtype.names or ()}
    # NaN alone is not equal to itself
    if len(points) and any((value := columns[name][0]) != value for name in _MEASURED if name in columns):
        columns = {name: column[:0] for name, column in columns.items()}
    if FILTERS[radar_filter]:
        kept = _kept(path, columns, radar_filter)
        columns = {name: column[kept] for name, column in columns.items()}
    for column in columns.values():
        column.setflags(write=False)
    return columns


def _kept(path: Path | str, columns: Columns, radar_filter: RadarFilter) -> NDArray[np.bool_]:
    """Returns (n,) which points have the states that the filter keeps; raises BrokenRecord."""
    kept = np.ones(len(columns["x"]), dtype=np.bool_)
    for name, states in FILTERS[radar_filter].items():
        if name not in columns:
            raise BrokenRecord(f"{path}: no field {name}, which radar_filter='{radar_filter}' needs")
        kept &= np.isin(columns[name], states)
    return kept


def _points(encoded: bytes) -> NDArray[Any]:
    """Returns a view of the bytes as one record a point; raises ValueError."""
    data = _DATA.search(encoded, 0, _LONGEST_HEADER)
    if data is None:
        raise ValueError(f"starts with {encoded[:12]!r}, wanted the header of a .pcd file up to its DATA line")
    if data[1] != b"binary":
        raise ValueError(f"DATA is {data[1].decode('ascii', 'replace')}, wanted binary")
    dtype, count = _header(encoded[: data.start()])
    have, want = len(encoded) - data.end(), count * dtype.itemsize
    wrong = _wrong_size(have, count, dtype.itemsize)
    if wrong is not None:
        raise ValueError(f"{have} bytes of points, wanted {want} for {count} of {dtype.itemsize} bytes; {wrong}")
    return np.frombuffer(encoded, dtype, count, data.end()) if count else np.zeros(0, dtype)


def _wrong_size(have: int, count: int, point_bytes: int) -> str | None:
    """Returns what may be the matter with so many bytes for so many points; None where they fit."""
    want = count * point_bytes
    # the published files end with a byte too many
    if have > want and have - want >= point_bytes and have % point_bytes <= 1:
        return f"there seem to be {have // point_bytes} points: WIDTH and HEIGHT do not match"
    own_bytes, rest = divmod(have, count) if count else (0, 0)
    # for a few points a short tail would be a multiple, too
    if own_bytes not in (0, point_bytes) and rest <= 1 and (have < want or count >= _MANY):
        return f"its points seem to have {own_bytes} bytes each: SIZE or COUNT of a field is wrong"
    if have < want:
        return "the file is cut short"
    return "what follows them is not known" if have - want >= max(point_bytes, _LONGEST_TAIL) else None


# cycles differ in how many points they have: about a hundred headers for all files of a log. To take one apart takes
# as long as all else that is done with a file
@lru_cache(maxsize=256)
def _header(encoded: bytes) -> tuple[np.dtype[Any], int]:
    """Returns one point's record and how many points there are, as the lines before DATA say; raises ValueError."""
    lines = [line.split() for line in encoded.decode("ascii", "replace").splitlines()]
    said = {words[0]: tuple(words[1:]) for words in lines if words and not words[0].startswith("#")}
    names, sizes, types = (said.get(key, ()) for key in ("FIELDS", "SIZE", "TYPE"))
    dtype = _dtype(names, sizes, types, said.get("COUNT", ("1",) * len(names)))
    return dtype, _number(said, "WIDTH") * _number(said, "HEIGHT")


def _number(said: Mapping[str, tuple[str, ...]], key: str) -> int:
    words = said.get(key, ())
    if len(words) != 1 or not re.fullmatch("[0-9]{1,9}", words[0]):
        raise ValueError(f"{key} is {' '.join(words)[:40] or 'not there'}, wanted a number of points")
    return int(words[0])


@lru_cache(maxsize=16)
def _dtype(
    names: tuple[str, ...], sizes: tuple[str, ...], types: tuple[str, ...], counts: tuple[str, ...]
) -> np.dtype[Any]:
    """Returns the record of FIELDS, SIZE and TYPE, packed; fields of another name take room and are not named."""
    if not 3 <= len(names) == len(sizes) == len(types) == len(counts) <= _MOST_FIELDS:
        raise ValueError(
            f"{len(names)} FIELDS, {len(sizes)} SIZE, {len(types)} TYPE, {len(counts)} COUNT; "
            f"wanted as many of each, 3 to {_MOST_FIELDS}"
        )
    formats, offsets, at = {}, {}, 0
    for name, size, kind, count in zip(names, sizes, types, counts, strict=True):
        format = _FORMATS.get(kind, {}).get(int(size) if size in ("1", "2", "4", "8") else 0)
        if format is None or not re.fullmatch("[1-9][0-9]{0,3}", count):
            raise ValueError(f"field {name[:40]} is of TYPE {kind[:9]} SIZE {size[:9]} COUNT {count[:9]}, unknown")
        if name in RADAR_COLUMNS and (count != "1" or name in formats):
            raise ValueError(f"field {name} is listed more than once, wanted one value a point")
        if name in RADAR_COLUMNS:
            formats[name], offsets[name] = format, at
        at += int(size) * int(count)
    _check_kinds(formats)
    return np.dtype(
        {"names": list(formats), "formats": list(formats.values()), "offsets": list(offsets.values()), "itemsize": at}
    )


def _check_kinds(formats: Mapping[str, str]) -> None:
    lacks = [name for name in ("x", "y", "z") if not formats.get(name, "").startswith("<f")]
    if lacks:
        raise ValueError(f"no float field {', '.join(lacks)}; it has {', '.join(formats) or 'none we know'}")
    for names, floats, wanted in ((_MEASURED, True, "F"), (_CODES, False, "I or U")):
        wrong = [name for name in names if name in formats and formats[name].startswith("<f") != floats]
        if wrong:
            raise ValueError(f"field {wrong[0]} is {np.dtype(formats[wrong[0]])}, wanted TYPE {wanted}")
