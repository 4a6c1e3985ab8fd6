"""KITTI's label_2 text as boxes in the velodyne frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perceptum.inputs import BrokenRecord, Labels, Matrix
from perceptum.plural import a_or_an

from ..reading.files import floats, read_text

__all__ = ["read_labels"]


_COLUMNS = 15
_DONT_CARE = "DontCare"


def read_labels(path: Path, time_ns: int, rectified_from_velodyne: Matrix) -> Labels:
    """Returns the boxes of one label_2/NNNNNN.txt; DontCare rows are areas of the picture, not boxes.

    Columns: type truncated occluded alpha left top right bottom h w l x y z ry, and a score in results; x y z is the
    bottom centre in the rectified camera frame. Raises BrokenRecord that names the line.
    """
    lines = read_text(path, "the frame has no labels").splitlines()
    rows = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    areas = [(number, words) for number, words in rows if words[0] == _DONT_CARE]
    rows = [(number, words) for number, words in rows if words[0] != _DONT_CARE]
    values = _table(path, rows)
    velodyne_from_rectified = np.asarray(np.linalg.inv(rectified_from_velodyne), dtype=np.float64)
    return Labels(
        time_ns=time_ns,
        boxes=_boxes(values[:, 7:], velodyne_from_rectified),
        category=np.array([words[0] for _, words in rows], dtype=np.str_),
        track_id=np.array([f"{path.stem}/{number - 1}" for number, _ in rows], dtype=np.str_),
        truncation=values[:, 0].copy(),
        occlusion=values[:, 1].astype(np.int64),
        boxes_2d=values[:, 3:7].copy(),
        unlabelled_2d=_table(path, areas, first=4, last=8)[:, 3:7].copy(),
    )


def _table(path: Path, rows: list[tuple[int, list[str]]], first: int = 1, last: int = _COLUMNS) -> Matrix:
    """Returns (N, 14) float64: what is behind the type; only the words from `first` up to `last` are looked at, the
    others are 0."""
    table = np.zeros((len(rows), _COLUMNS - 1))
    for row, (number, words) in zip(table, rows, strict=True):
        row[first - 1 : last - 1] = _numbers(path, number, words, first, last)
        if last == _COLUMNS and min(row[7:10]) < 0:
            what = a_or_an(words[0][:40])
            size = row[7:10].tolist()
            raise BrokenRecord(f"{path}: line {number} is {what} of negative size {size} (h w l, metres)")
    return table


def _numbers(path: Path, number: int, words: list[str], first: int, last: int) -> list[float]:
    if len(words) not in (_COLUMNS, _COLUMNS + 1):
        theirs = "; 17 and 18 are KITTI tracking's, which begin with frame and track" if len(words) in (17, 18) else ""
        raise BrokenRecord(f"{path}: line {number} has {len(words)} columns, wanted 15 (16 with a score){theirs}")
    try:
        values = floats(words[first:last])
    except ValueError as error:
        raise BrokenRecord(f"{path}: line {number}: {error}") from error
    if not np.isfinite(values).all() or np.abs(values).max() > 1e6:
        raise BrokenRecord(f"{path}: line {number} holds a number that is not finite or beyond 1e6")
    return values


def _boxes(values: Matrix, velodyne_from_rectified: Matrix) -> Matrix:
    """Returns (N, 7) x y z l w h yaw; the bottom centre is moved up by half the height along the velodyne's z."""
    height, width, length, x, y, z, ry = values.T
    centre = np.stack([x, y, z], axis=1) @ velodyne_from_rectified[:3, :3].T + velodyne_from_rectified[:3, 3]
    centre[:, 2] += height / 2
    yaw_rad = -(np.pi / 2 + ry)
    yaw_rad -= 2 * np.pi * np.floor((yaw_rad + np.pi) / (2 * np.pi))
    return np.column_stack([centre, length, width, height, yaw_rad])
