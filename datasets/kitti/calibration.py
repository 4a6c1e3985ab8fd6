"""KITTI's calibration text, and the pinhole cameras in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perceptum.inputs import BrokenRecord, Matrix, MissingRecord
from perceptum.inputs.poses import rigid

from ..reading.files import floats, read_text

__all__ = ["calibration_lines", "camera_of", "matrix_of", "read_calibration", "rectified_from_velodyne", "rotation_of"]


_SHAPES: Mapping[str, tuple[int, int]] = {
    "P2": (3, 4),
    "P3": (3, 4),
    "R0_rect": (3, 3),
    "Tr_velo_to_cam": (3, 4),
}
# the published rotations have 7 digits
_ORTHONORMAL_WITHIN = 1e-3


def read_calibration(path: Path) -> dict[str, Matrix]:
    """Returns the matrices of one calib/NNNNNN.txt that we use, by the file's own names; raises LogErrors."""
    lines = calibration_lines(path, "pictures and labels need the frame's calibration")
    missing = [key for key in ("P2", "R0_rect", "Tr_velo_to_cam") if key not in lines]
    if missing:
        found = ", ".join(list(lines)[:8]) or "nothing"
        raise MissingRecord(f"{path}: no {', '.join(missing)}; wanted P2, R0_rect and Tr_velo_to_cam, found {found}")
    matrices = {key: matrix_of(path, key, lines[key], shape) for key, shape in _SHAPES.items() if key in lines}
    for key in ("R0_rect", "Tr_velo_to_cam"):
        rotation_of(path, key, matrices[key])
    return matrices


def calibration_lines(path: Path, what: str) -> dict[str, str]:
    """Returns key -> values of a text of lines `key: values`, as text; `what` says what is lost without it."""
    return dict(_split(line) for line in read_text(path, what).splitlines() if line.strip())


def _split(line: str) -> tuple[str, str]:
    key, _, values = line.partition(":")
    return key.strip()[:40], values


def matrix_of(path: Path, key: str, text: str, shape: tuple[int, int]) -> Matrix:
    """Returns the numbers of one line as a matrix of that shape; raises BrokenRecord."""
    rows, columns = shape
    words = text.split()
    if len(words) != rows * columns:
        fits = {16: " (a full 4x4)", 12: " (a 3x4)", 9: " (a 3x3)"}.get(len(words), "")
        raise BrokenRecord(f"{path}: {key} has {len(words)} numbers{fits}, wanted {rows * columns} ({rows}x{columns})")
    try:
        matrix = np.array(floats(words)).reshape(rows, columns)
    except ValueError as error:
        raise BrokenRecord(f"{path}: {key}: {error}") from error
    if not np.isfinite(matrix).all():
        raise BrokenRecord(f"{path}: {key} holds a number that is not finite")
    return matrix


def rotation_of(path: Path, key: str, matrix: Matrix) -> Matrix:
    """Returns the left 3x3 of a matrix, a rotation to the digits that KITTI publishes; raises BrokenRecord."""
    rotation = matrix[:, :3]
    # bounded first: the product of huge numbers would overflow
    within = np.abs(rotation).max() < 2 and np.abs(rotation @ rotation.T - np.eye(3)).max() < _ORTHONORMAL_WITHIN
    if not within or np.linalg.det(rotation) < 0:
        raise BrokenRecord(f"{path}: {key} is not a rotation; its rows must be orthonormal and right-handed")
    return rotation


def rectified_from_velodyne(calibration: Mapping[str, Matrix]) -> Matrix:
    """Returns the (4, 4) R0_rect . Tr_velo_to_cam as written: orthonormal to the file's 7 digits, not further."""
    rectified_from_camera = rigid(calibration["R0_rect"], np.zeros(3))
    camera_from_velodyne = rigid(calibration["Tr_velo_to_cam"][:, :3], calibration["Tr_velo_to_cam"][:, 3])
    return np.asarray(rectified_from_camera @ camera_from_velodyne)


def camera_of(path: Path, calibration: Mapping[str, Matrix], projection: str) -> tuple[Matrix, Matrix]:
    """Returns the intrinsics (3, 3) in pixels and ego_from_camera (4, 4) of the rectified camera of P2 or P3.

    P = K [I | t]: the baseline t = K^-1 P[:, 3] moves the camera, so that K and the extrinsics together project
    exactly as P . R0_rect . Tr_velo_to_cam does.
    """
    if projection not in calibration:
        raise MissingRecord(f"{path}: no {projection}, which this camera needs")
    p = calibration[projection]
    if p[2, 2] == 0 or p[0, 0] <= 0 or p[1, 1] <= 0 or np.any(p[[1, 2, 2], [0, 0, 1]] != 0):
        raise BrokenRecord(f"{path}: {projection} is not the projection of a rectified camera, K [I | t]")
    intrinsics: Matrix = p[:, :3] / p[2, 2]
    camera_from_rectified = rigid(np.eye(3), np.linalg.solve(intrinsics, p[:, 3] / p[2, 2]))
    camera_from_ego = camera_from_rectified @ rectified_from_velodyne(calibration)
    # a general inverse: the transpose would lose what the 7-digit rotations lack
    return intrinsics, np.asarray(np.linalg.inv(camera_from_ego), dtype=np.float64)
