"""KITTI's object results: a folder of texts, one a frame, boxes in the rectified camera's axes.

After the readme of KITTI's object development kit. What it does not evaluate, truncation and occlusion, is -1.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from perceptum.errors import MissingRecord, UsageError
from perceptum.inputs import Frame
from perceptum.inputs.arrays import Matrix
from perceptum.output_file import check_folder_name
from perceptum.problems.metrics.picture_boxes import picture_boxes

from .detected import Detected

__all__ = ["ATTRIBUTES", "CLASSES", "ENDING", "write"]

CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
ATTRIBUTES: tuple[str, ...] = ()
ENDING = ""
"""It is a folder."""

_CAMERA = "image_2"


def write(out: Path, found: Iterable[Detected], uses: Iterable[str] | None = None) -> dict[str, int]:
    """Writes a folder with one text for each frame, empty where nothing was found; returns how many boxes were left
    out, by the reason: KITTI judges in the picture of the left colour camera, and what that does not show is no
    detection. uses: has no place in this format. Raises UsageError for another dataset's frame,
    and for two frames of one number.
    """
    if uses is not None:
        raise UsageError("KITTI's results do not say what a model looks at; leave uses out")
    check_folder_name(out, "KITTI's results are a folder of texts")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"cannot write {out}: it exists; name a new folder")
    unseen = 0
    beside = out.with_name(f".{out.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        for one in found:
            lines, hidden = _lines(one)
            unseen += hidden
            text = beside / f"{one.frame.id}.txt"
            if text.exists():
                # training and testing both count from 000000
                raise UsageError(f"{one.frame}: another log has a frame {one.frame.id} too; write one split at a time")
            text.write_text("".join(lines), encoding="ascii")
        if out.exists():
            out.rmdir()
        beside.rename(out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return {f"not in the picture of {_CAMERA}": unseen}


def _lines(one: Detected) -> tuple[list[str], int]:
    rectified_from_ego = _rectified_from_ego(one.frame)
    if _CAMERA not in one.frame.cameras:
        raise MissingRecord(f"{one.frame}: no picture of {_CAMERA}, so that where a box is in it is not known")
    pixels = picture_boxes(one.boxes, one.frame.cameras[_CAMERA])
    length, width, height, yaw = one.boxes[:, 3:].T
    bottom = one.boxes[:, :3] - np.column_stack([np.zeros((len(one), 2)), height / 2])
    x, y, z = (bottom @ rectified_from_ego[:3, :3].T + rectified_from_ego[:3, 3]).T
    ry = _within_half_a_turn(-yaw - np.pi / 2)
    alpha = _within_half_a_turn(ry - np.arctan2(x, z))
    numbers = np.column_stack([alpha, pixels, height, width, length, x, y, z, ry, one.scores])
    seen = np.isfinite(pixels).all(axis=1)
    lines = [
        f"{label} -1 -1 {' '.join(f'{number:.9g}' for number in row)}\n"
        for label, row in zip(one.labels[seen].tolist(), numbers[seen].tolist(), strict=True)
    ]
    return lines, int((~seen).sum())


def _rectified_from_ego(frame: Frame) -> Matrix:
    """Returns (4, 4): the camera's axes in which KITTI gives boxes, as the frame's own calibration says."""
    source = frame.log.source
    found = getattr(source, "rectified_from_ego", None)
    if found is None:
        raise UsageError(
            f"{frame} of {source.location} ({source.dataset}) has no calibration of KITTI's; its results are written "
            "from the dataset's own folder"
        )
    matrix: Matrix = found(frame.time_ns)
    return matrix


def _within_half_a_turn(angle_rad: Matrix) -> Matrix:
    return angle_rad - 2 * np.pi * np.floor((angle_rad + np.pi) / (2 * np.pi))
