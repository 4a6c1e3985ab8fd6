"""One frame to look at: points, map, labels, and the boxes of models; as a picture, or in open3d's window."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
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
from perceptum.problems import Detection3d
from perceptum.quiet import logs_once

from .boxes import EDGES, box_corners
from .cameras import PictureRows, camera_views, pictures_of_log, pictures_of_spec
from .seen import RADAR_COLUMNS, Seen
from .sheet import draw_sheet

__all__ = [
    "PictureRows",
    "Range",
    "Scene",
    "box_corners",
    "pictures_of_log",
    "pictures_of_spec",
    "predicted_boxes",
]

Range = tuple[float, float, float, float]
"""x_min y_min x_max y_max, metres, ego frame."""
_AWAY_M = 40.0
"""The vehicle stays in the picture, 5 m from its edge."""
_GROUNDS: tuple[Range, ...] = tuple(
    (RANGE_M[0] + x, RANGE_M[1] + y, RANGE_M[2] + x, RANGE_M[3] + y)
    for x, y in ((0.0, 0.0), (_AWAY_M, 0.0), (-_AWAY_M, 0.0), (0.0, _AWAY_M), (0.0, -_AWAY_M))
)

_LABEL_RGB = (0.16, 0.62, 0.29)
_CAMERA_RGB = (0.95, 0.65, 0.07)
_FRUSTUM_M = 2.0
_FRUSTUM_EDGES = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1))
_MODEL_RGB = ((0.89, 0.34, 0.18), (0.18, 0.53, 0.67), (0.54, 0.31, 1.0))


@dataclass(frozen=True)
class Scene:
    """What is drawn."""

    frame: Frame
    points: NDArray[np.float32]
    """(N, 3) ego frame."""
    boxes: dict[str, NDArray[Any]]
    """Model -> (n, 7) boxes, ego frame."""
    cameras: tuple[Seen, ...] = ()
    """The cameras' pictures and what falls into them, where they were asked for."""

    @classmethod
    def of(
        cls,
        frame: Frame,
        packages: Iterable[Path] = (),
        trust: bool = False,
        pictures: Sequence[PictureRows] = (),
    ) -> Scene:
        """Builds what is seen, and what the detectors say of it; raises UsageError for a model that is not a detector.

        pictures: of the cameras, by `pictures_of_log` or `pictures_of_spec`; what falls into them is projected by the
        matrices that the same builder makes. In a log that skips what is broken, what cannot be built is not seen;
        where pictures are asked for and the frame cannot be built at all, that is raised. What a builder reports and a
        model's builder again is logged once.
        """
        with logs_once("perceptum"):
            return cls._of(frame, packages, trust, pictures)

    @classmethod
    def _of(cls, frame: Frame, packages: Iterable[Path], trust: bool, pictures: Sequence[PictureRows]) -> Scene:
        pictures = [part for own in pictures for part in own.of_one_size(frame)]
        rows = [_points_row("lidar_points", ("x", "y", "z"))]
        if pictures and frame.log.source.radars:
            of_now = {"num_sweeps": 1, "filter": "none", "max_points": None, "missing_columns": "fill"}
            rows.append(_points_row("radar_points", RADAR_COLUMNS, **of_now))
        rows += [row for own in pictures for row in own.to_spec()]
        builder = InputBuilder(rows)
        # without the frame's pose and the like there is nothing to draw into
        built = builder.build(frame) if pictures else next((b.tensors for b in build_frames(builder, [frame])), None)
        points = np.zeros((0, 3), np.float32) if built is None else built["lidar_points"]
        boxes: dict[str, NDArray[Any]] = {}
        for path in packages:
            with load_neuropod(path, trust=trust) as model:
                name = model.name if model.name not in boxes else f"{model.name} ({path})"
                found = frame.log.or_skip(f"{frame} for '{name}'", partial(predicted_boxes, model, frame))
                if found is not None:
                    boxes[name] = found
        if built is None or not pictures:
            return cls(frame, points, boxes)
        radar = built.get("radar_points", np.zeros((0, len(RADAR_COLUMNS)), np.float32))
        labels = None if frame.labels is None else frame.labels.in_frame("ego").boxes
        views = camera_views(frame, pictures, built)
        return cls(frame, points, boxes, tuple(Seen.of(view, points, radar, labels, boxes) for view in views))

    def draw_cameras(self, path: Path) -> None:
        """Writes a PNG of the cameras' pictures, with points, radar returns and boxes where they fall into them."""
        draw_sheet(self.cameras, path, self._title)

    @property
    def _title(self) -> str:
        source = self.frame.log.source
        return f"{source.dataset} {source.name}, {self.frame}"

    def draw(self, path: Path, range_m: Range | None = None) -> None:
        """Writes a PNG from above, of the ground x_min y_min x_max y_max in the ego frame; `ground` if not given."""
        frame = self.frame
        picture = Picture(range_m or self.ground, self._title)
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
            **({"cameras": [one.to_dict() for one in self.cameras]} if self.cameras else {}),
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
        """Returns the scene as open3d geometries: one cloud, one set of lines per source of boxes, and per camera."""
        o3d = _open3d()
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(self.points.astype(np.float64)))
        cloud.paint_uniform_color((0.35, 0.35, 0.4))
        found = [cloud]
        if self.frame.labels is not None:
            found.append(_box_lines(o3d, self.frame.labels.boxes, _LABEL_RGB))
        for index, boxes in enumerate(self.boxes.values()):
            found.append(_box_lines(o3d, boxes, _MODEL_RGB[index % len(_MODEL_RGB)]))
        there = (one.view.projector for one in self.cameras if not one.view.missing)
        edges = np.array(_FRUSTUM_EDGES)
        return [*found, *(_lines(o3d, own.frustum(_FRUSTUM_M), edges, _CAMERA_RGB) for own in there)]


def _points_row(feature: str, columns: Sequence[str], **params: Any) -> dict[str, Any]:
    shape = [None, len(columns)]
    return {"name": feature, "dtype": "float32", "shape": shape, "params": {"columns": list(columns), **params}}


def predicted_boxes(model: Model, frame: Frame) -> NDArray[Any]:
    """Returns the (n, 7) boxes of which a detector is sure enough, ego frame, whatever axes the model answers in.

    Raises UsageError for other models, and for one of which it is not known in which axes its boxes are.
    """
    problem = Detection3d()
    missing = {row["name"] for row in problem.outputs} - {row["name"] for row in model.outputs}
    if missing:
        gives = ", ".join(row["name"] for row in model.outputs)
        raise UsageError(f"model '{model.name}' is not a detector: it gives {gives}, not {', '.join(sorted(missing))}")
    problem.frame_of(model, "boxes")  # refused before anything is built
    return problem.sure_boxes(model, model.infer(InputBuilder(model).build(frame)), frame)


def _box_lines(o3d: Any, boxes: NDArray[Any], color: tuple[float, float, float]) -> Any:
    corners = box_corners(boxes)
    edges = (np.arange(len(corners))[:, None, None] * 8 + np.array(EDGES)).reshape(-1, 2)
    return _lines(o3d, corners.reshape(-1, 3), edges, color)


def _lines(o3d: Any, points: NDArray[Any], edges: NDArray[Any], color: tuple[float, float, float]) -> Any:
    lines = o3d.geometry.LineSet(o3d.utility.Vector3dVector(points), o3d.utility.Vector2iVector(edges.astype(np.int32)))
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
