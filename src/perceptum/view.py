"""One frame to look at: points, map, labels, and the boxes of models; as a picture, or in open3d's window."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.builders import InputBuilder
from perceptum.building import build_frames
from perceptum.errors import UsageError
from perceptum.inputs import Frame
from perceptum.install import install_command
from perceptum.neuropod import Model, load_neuropod
from perceptum.picture import RANGE_M, Picture
from perceptum.problems import Detection

__all__ = ["Range", "Scene", "box_corners", "predicted_boxes"]

Range = tuple[float, float, float, float]
"""x_min y_min x_max y_max, metres, ego frame."""
_AWAY_M = 40.0
"""The vehicle stays in the picture, 5 m from its edge."""
_GROUNDS: tuple[Range, ...] = tuple(
    (RANGE_M[0] + x, RANGE_M[1] + y, RANGE_M[2] + x, RANGE_M[3] + y)
    for x, y in ((0.0, 0.0), (_AWAY_M, 0.0), (-_AWAY_M, 0.0), (0.0, _AWAY_M), (0.0, -_AWAY_M))
)

_EDGES = (
    [(i, (i + 1) % 4) for i in range(4)] + [(i + 4, (i + 1) % 4 + 4) for i in range(4)] + [(i, i + 4) for i in range(4)]
)
_LABEL_RGB = (0.16, 0.62, 0.29)
_MODEL_RGB = ((0.89, 0.34, 0.18), (0.18, 0.53, 0.67), (0.54, 0.31, 1.0))


@dataclass(frozen=True)
class Scene:
    """What is drawn."""

    frame: Frame
    points: NDArray[np.float32]
    """(N, 3) ego frame."""
    boxes: dict[str, NDArray[Any]]
    """Model -> (n, 7) boxes, ego frame."""

    @classmethod
    def of(cls, frame: Frame, packages: Iterable[Path] = (), trust: bool = False) -> Scene:
        """Builds what is seen, and what the detectors say of it; raises UsageError for a model that is not a detector.

        In a log that skips what is broken, what cannot be built is not seen.
        """
        params = {"lidar_points": {"columns": ["x", "y", "z"]}}
        builder = InputBuilder(["lidar_points"], params=params)
        built = next(build_frames(builder, [frame]), None)
        points = np.zeros((0, 3), np.float32) if built is None else built.tensors["lidar_points"]
        boxes: dict[str, NDArray[Any]] = {}
        for path in packages:
            with load_neuropod(path, trust=trust) as model:
                name = model.name if model.name not in boxes else f"{model.name} ({path})"
                found = frame.log.or_skip(f"{frame} for '{name}'", partial(predicted_boxes, model, frame))
                if found is not None:
                    boxes[name] = found
        return cls(frame, points, boxes)

    def draw(self, path: Path, range_m: Range | None = None) -> None:
        """Writes a PNG from above, of the ground x_min y_min x_max y_max in the ego frame; `ground` if not given."""
        frame = self.frame
        picture = Picture(range_m or self.ground, f"{frame.log.source.dataset} {frame.log.source.name}, {frame}")
        picture.points(self.points)
        if frame.map is not None:
            pose = frame.log.or_skip(f"{frame}: its map", lambda: frame.world_from_ego)
            if pose is not None:
                picture.map(frame.map, pose)
        if frame.labels is not None:
            picture.labels(frame.labels)
        for name, boxes in self.boxes.items():
            picture.boxes(boxes, name)
        picture.save(path)

    @property
    def ground(self) -> Range:
        """The square of 90 m that shows where the points are: around the vehicle, ahead of it, behind it or to a side.

        Around, unless another shows a twentieth more: KITTI has points up to 80 m ahead, and none behind.
        """
        x, y = self.points[:, :2].T
        shown = [np.count_nonzero((x > r[0]) & (y > r[1]) & (x < r[2]) & (y < r[3])) for r in _GROUNDS]
        best = int(np.argmax(shown))
        return _GROUNDS[best] if shown[best] > 1.05 * shown[0] else _GROUNDS[0]

    def to_dict(self, range_m: Range | None = None) -> dict[str, Any]:
        """Returns what is drawn, as plain data: the frame, the ground, points and boxes."""
        frame, labels = self.frame, self.frame.labels
        return {
            "frame": frame.index,
            "frame_id": frame.id,
            "time_ns": frame.time_ns,
            "range_m": list(range_m or self.ground),
            "points": len(self.points),
            "labels": None if labels is None else len(labels),
            "boxes": {name: boxes.tolist() for name, boxes in self.boxes.items()},
        }

    def show(self) -> None:
        """Opens open3d's window until it is closed; raises UsageError where there is no display to open it on."""
        o3d = _open3d()
        # open3d itself hangs then, and cannot be interrupted
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise UsageError(
                "the 3D viewer needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set; "
                "draw a picture instead (--viewer png)"
            )
        o3d.visualization.draw_geometries(self.geometries(), window_name=str(self.frame))

    def geometries(self) -> list[Any]:
        """Returns the scene as open3d geometries: one cloud, and one set of lines per source of boxes."""
        o3d = _open3d()
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(self.points.astype(np.float64)))
        cloud.paint_uniform_color((0.35, 0.35, 0.4))
        found = [cloud]
        if self.frame.labels is not None:
            found.append(_lines(o3d, self.frame.labels.boxes, _LABEL_RGB))
        for index, boxes in enumerate(self.boxes.values()):
            found.append(_lines(o3d, boxes, _MODEL_RGB[index % len(_MODEL_RGB)]))
        return found


def predicted_boxes(model: Model, frame: Frame) -> NDArray[Any]:
    """Returns the (n, 7) boxes of which a detector is sure enough, ego frame, whatever axes the model answers in.

    Raises UsageError for other models, and for one of which it is not known in which axes its boxes are.
    """
    problem = Detection()
    missing = {row["name"] for row in problem.outputs} - {row["name"] for row in model.outputs}
    if missing:
        gives = ", ".join(row["name"] for row in model.outputs)
        raise UsageError(f"model '{model.name}' is not a detector: it gives {gives}, not {', '.join(sorted(missing))}")
    problem.boxes_frame(model)  # refused before anything is built
    return problem.sure_boxes(model, model.infer(InputBuilder(model).build(frame)), frame)


def box_corners(boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Returns (n, 8, 3): the corners of (n, 7) boxes, the lower four first, both round the same way."""
    x, y, z, length, width, height, yaw = np.asarray(boxes, dtype=np.float64).reshape(-1, 7).T[:, :, None]
    along = np.tile([0.5, -0.5, -0.5, 0.5], 2) * length
    across = np.tile([0.5, 0.5, -0.5, -0.5], 2) * width
    up = np.repeat([-0.5, 0.5], 4) * height
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([x + cos * along - sin * across, y + sin * along + cos * across, z + up], axis=-1)


def _lines(o3d: Any, boxes: NDArray[Any], color: tuple[float, float, float]) -> Any:
    corners = box_corners(boxes)
    edges = (np.arange(len(corners))[:, None, None] * 8 + np.array(_EDGES)).reshape(-1, 2)
    lines = o3d.geometry.LineSet(
        o3d.utility.Vector3dVector(corners.reshape(-1, 3)), o3d.utility.Vector2iVector(edges.astype(np.int32))
    )
    lines.paint_uniform_color(color)
    return lines


def _open3d() -> Any:
    try:
        import open3d
    except ImportError as error:
        raise ImportError(
            f"the 3D viewer needs open3d ({error}): {install_command('open3d')}, and on Debian or Ubuntu "
            "apt-get install libusb-1.0-0 libegl1 libgl1 libx11-6"
        ) from error
    return open3d
