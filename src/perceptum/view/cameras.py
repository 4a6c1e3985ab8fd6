"""The pictures that a builder makes of a frame's cameras, and the matrices that go with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.errors import UsageError
from perceptum.features import Resolved, Spec, SpecError, canonical
from perceptum.features.camera import CameraImagesParams, CameraParams, ImageParams, PlacedCameraParams
from perceptum.inputs import BrokenRecord, Frame, MissingRecord

from .projector import Bent, Projector

__all__ = ["CameraView", "PictureRows", "camera_views", "pictures_of_log", "pictures_of_spec"]


@dataclass(frozen=True)
class PictureRows:
    """One tensor of pictures to look at, and what must be built besides to draw into them."""

    suffix: str
    images: CameraImagesParams
    motion_compensated: bool = True
    first: int = 0
    """The number that its first camera has in the model's tensor, or in the log."""

    def of_one_size(self, frame: Frame) -> list[PictureRows]:
        """Returns these; where pictures of one tensor would have different sizes, a tensor for each run of equal ones.

        A model cannot be given those together, but they can be looked at.
        """
        image = self.images.image
        if image.size() is not None:
            return [self]
        runs: list[tuple[tuple[int, int] | None, list[str]]] = []
        for camera in image.cameras or tuple(frame.log.source.cameras):
            size = _built_size(frame, camera, image)
            # a picture that is not there has any size
            if runs and (size is None or runs[-1][0] in (None, size)):
                runs[-1] = (runs[-1][0] or size, [*runs[-1][1], camera])
            else:
                runs.append((size, [camera]))
        if len(runs) <= 1:
            return [self]
        parts, first = [], self.first
        for number, (_, cameras) in enumerate(runs):
            images = msgspec.structs.replace(self.images, image=msgspec.structs.replace(image, cameras=tuple(cameras)))
            parts.append(replace(self, suffix=f"{self.suffix}part{number}", images=images, first=first))
            first += len(cameras)
        return parts

    def to_spec(self) -> list[dict[str, Any]]:
        """Returns the rows, all of one suffix and of open sizes."""
        dtype = "uint8" if self.images.norm is None else "float32"
        shared = {"image": msgspec.to_builtins(self.images.image)}
        placed = {**shared, "frame": "ego", "motion_compensated": self.motion_compensated}
        axes = 4 if self.images.camera_axis else 3
        return [
            self._row("camera_images", dtype, axes, self.images.to_dict()),
            self._row("camera_valid", "uint8", 1, self.images.to_dict()),
            self._row("camera_time_lag", "float32", 1, self.images.to_dict()),
            self._row("camera_projection", "float64", 3, placed),
            self._row("camera_extrinsics", "float64", 3, placed),
            self._row("camera_image_affine", "float64", 3, {**shared, "applied": "before_division"}),
        ]

    def _row(self, feature: str, dtype: str, axes: int, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": self.name(feature), "dtype": dtype, "shape": [None] * axes, "params": params}

    def name(self, feature: str) -> str:
        return f"{feature}__{self.suffix}"

    def pixels(self, built: NDArray[Any]) -> NDArray[np.uint8]:
        """Returns (k, H, W, 3) uint8 RGB of the tensor: the scaling, the order of colours and the layout undone."""
        p, norm = self.images, self.images.scaling()
        pictures = built if p.camera_axis else built[None]
        pictures = pictures if p.layout == "HWC" else pictures.transpose(0, 2, 3, 1)
        if norm is not None:
            values = pictures * np.array(norm.std, np.float32) + np.array(norm.mean, np.float32)
            values = values * 255 if norm.scale == "1/255" else values
            pictures = np.rint(values).clip(0, 255).astype(np.uint8)
        return pictures if p.channel_order == "RGB" else pictures[..., ::-1]


@dataclass(frozen=True, eq=False)
class CameraView:
    """One camera of a frame, as a model sees it."""

    camera: str
    picture: NDArray[np.uint8]
    """(H, W, 3) RGB; black where there is none."""
    time_lag_s: float
    """How long before the reference time it was taken."""
    missing: str
    """Why there is no picture; empty where there is one."""
    projector: Projector
    number: int = 0
    """Which one it is in the model's tensor, from 0, or in the log."""
    channel_order: str = "RGB"
    """Of the model's tensor; `picture` is RGB."""

    @property
    def azimuth_rad(self) -> float:
        """Where the camera looks, seen from above: 0 ahead, counterclockwise."""
        x, y = self.projector.ego_from_camera[:2, 2]
        return math.atan2(y, x)


def pictures_of_log(frame: Frame) -> list[PictureRows]:
    """Returns the pictures of all cameras as they were recorded, each its own tensor, since their sizes may differ."""
    cameras = tuple(frame.log.source.cameras)
    if not cameras:
        raise UsageError(f"{frame.log.source.location}: the log has no cameras; leave out --cameras")
    images = [CameraImagesParams(image=ImageParams(cameras=(camera,)), layout="HWC") for camera in cameras]
    return [PictureRows(f"view{number}", params, first=number) for number, params in enumerate(images)]


def pictures_of_spec(
    wanted: Sequence[Any], params: Mapping[str, Any] | None = None, *, training: bool = False
) -> list[PictureRows]:
    """Returns the pictures that a spec asks for, or on which its matrices and depths are; raises UsageError without.

    wanted, params, training: as for InputBuilder.
    """
    schema = canonical()
    by_suffix: dict[str, list[Resolved]] = {}
    for row in schema.resolve(_spec(wanted, params, training)):
        if isinstance(row.params, CameraParams):
            by_suffix.setdefault(row.suffix, []).append(row)
    if not by_suffix:
        raise UsageError("the spec asks for nothing of cameras: there is no picture to draw")
    return [_rows_of(f"view{number}", rows) for number, rows in enumerate(by_suffix.values())]


def _spec(wanted: Sequence[Any], params: Mapping[str, Any] | None, training: bool) -> Spec:
    return canonical().spec(wanted, params, training=training)


def _rows_of(suffix: str, rows: Iterable[Resolved]) -> PictureRows:
    given = [row.params for row in rows]
    shared = next(params for params in given if isinstance(params, CameraParams))
    images = next((p for p in given if isinstance(p, CameraImagesParams)), CameraImagesParams(image=shared.image))
    placed = next((p for p in given if isinstance(p, PlacedCameraParams)), PlacedCameraParams())
    # a camera without a picture is to be seen as such, and not an error
    images = msgspec.structs.replace(images, required=False)
    return PictureRows(suffix, images, placed.motion_compensated)


def camera_views(frame: Frame, wanted: Iterable[PictureRows], built: Mapping[str, NDArray[Any]]) -> list[CameraView]:
    """Returns the views in the order of the rows. built: the tensors of `PictureRows.to_spec`."""
    views = []
    for rows in wanted:
        cameras = rows.images.image.cameras or tuple(frame.log.source.cameras)
        pictures = rows.pixels(built[rows.name("camera_images")])
        features = ("camera_valid", "camera_time_lag", "camera_projection", "camera_extrinsics", "camera_image_affine")
        own = (built[rows.name(feature)] for feature in features)
        of_each = enumerate(zip(cameras, pictures, *own, strict=True), rows.first)
        for number, (camera, picture, valid, lag_s, projection, pose, affine) in of_each:
            missing = "" if valid else _why_missing(frame, camera)
            # the matrices of a picture that keeps its lens hold for its middle only
            straight = missing or rows.images.image.undistort or frame.cameras[camera].distortion is None
            bent = None if straight else Bent(frame.cameras[camera].lens, affine)
            projector = Projector((picture.shape[0], picture.shape[1]), projection, pose, bent)
            order = rows.images.channel_order
            views.append(CameraView(camera, picture, float(lag_s), missing, projector, number, order))
    return views


def _why_missing(frame: Frame, camera: str) -> str:
    times = frame.log.source.cameras.get(camera)
    if times is None:
        return "the log has no such camera"
    if camera in frame.cameras:
        return _why_broken(frame, camera)
    limit_ms = frame.log.camera_tolerance_ns * 1e-6
    nearest_ns = min((abs(int(time_ns) - frame.time_ns) for time_ns in times), default=None)
    nearest = "" if nearest_ns is None else f"; the nearest is {nearest_ns * 1e-6:.1f} ms off"
    return f"no picture within {limit_ms:g} ms{nearest}"


def _why_broken(frame: Frame, camera: str) -> str:
    picture = frame.cameras[camera]
    name = Path(picture.source).name if picture.source else camera
    try:
        picture.decode()
    except MissingRecord:
        return f"{name}: the file is missing"
    except BrokenRecord:
        return f"{name}: its picture is broken"
    # it may be of another size, or its calibration cannot be used
    return f"{name}: its picture or its calibration is broken"


def _built_size(frame: Frame, camera: str, image: ImageParams) -> tuple[int, int] | None:
    """Returns the height and width of what becomes of a picture; None where there is none, or it cannot be built."""
    if camera not in frame.cameras:
        return None
    picture = frame.cameras[camera]
    try:
        return image.transform(*(picture.size or picture.picture_size())).size
    except (BrokenRecord, MissingRecord, SpecError):
        # the build says so in its own words
        return None
