"""Which cameras see a frame, and what is done to their pictures: found once for all that asks."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from perceptum.features import SpecError
from perceptum.features.camera import ImageParams, ImageTransform
from perceptum.inputs import BrokenRecord, CameraImage, Frame, MissingRecord
from perceptum.plural import counted

from ..augment import Drawn
from ..augment.pictures import check_sizes
from ..sample import Sample
from ..sensors import known_sensors
from ..stage import Stage, Stages

__all__ = ["CameraView", "CameraViews"]

Found = TypeVar("Found")

_log = logging.getLogger(__name__)

_FEW = 3
"""As many cameras are listed in a title."""


@dataclass(frozen=True)
class CameraView:
    """One camera of a frame, without its pixels."""

    camera: str
    time_ns: int
    intrinsics: NDArray[np.float64]
    """(3, 3) px, of the picture before it is resized; undistorted, if that is asked for. The same array, as is the
    next, for as long as a log's calibration stays the same."""
    ego_from_camera: NDArray[np.float64]
    """(4, 4) at the picture's own time."""
    transform: ImageTransform | None
    """What is done to the picture; None where its size is not known."""
    source: str
    """Where the picture lies, for messages."""


@dataclass(frozen=True, eq=False)
class _Calibration:
    raw: tuple[bytes, bytes]
    """As the record has it."""
    intrinsics: NDArray[np.float64]
    ego_from_camera: NDArray[np.float64]


class CameraViews(Stage):
    """Yields per camera its view; None where the frame has no picture of it, or a broken one in a log that skips those.

    Sizes come from the calibration, else from the pictures' own heads, which are read only where a matrix or a picture
    needs to know them.
    """

    def __init__(self, image: ImageParams, required: bool, stages: Stages) -> None:
        super().__init__()
        self.image = image
        self.required = required
        named = image.cameras or ("the log's",)
        few = ", ".join(named) if len(named) <= _FEW else f"{named[0]} and {len(named) - 1} more"
        self.title = f"cameras ({few})"
        self._stages = stages
        self._measures = image.changes or image.pad is not None
        augment = stages.augment
        if augment is not None and augment.moves_pixels:
            check_sizes(augment, image)
        self._drawn = None if augment is None or not augment.moves_pixels else stages.share(Drawn)
        # weak: a lane that waits for its next frame must not keep the last one's records
        self._frame: weakref.ref[Frame] | None = None
        self.cameras: tuple[str, ...] = ()
        """The cameras, in order: those that are named, or the log's."""
        self.views: tuple[CameraView | None, ...] = ()
        self._known: dict[tuple[int, int], ImageTransform] = {}
        self._checked: dict[str, _Calibration] = {}

    def measure(self) -> None:
        """Called when the lane is made: sizes are wanted whatever is done to the pictures."""
        self._measures = True

    def run(self, sample: Sample) -> None:
        frame = sample.frame
        self._frame = weakref.ref(frame)
        named = self.image.cameras
        there = known_sensors(frame, "camera", named, self.required, self._stages)
        self.cameras = there if named is None else named
        self.views = tuple(self._view(frame, name) if name in there else None for name in self.cameras)

    @property
    def draws(self) -> bool:
        """Whether pictures are changed by the sample's draw, each otherwise: what is made of a transform is made for
        this frame alone."""
        return self._drawn is not None and self._drawn.draw is not None

    @property
    def changes(self) -> bool:
        """Whether pixels of the results lie elsewhere than those that were recorded."""
        return self.image.changes or self.draws

    @property
    def frame(self) -> Frame:
        frame = None if self._frame is None else self._frame()
        assert frame is not None, "asked outside of a build"
        return frame

    def picture(self, camera: str) -> CameraImage:
        """Returns the record of a camera that has a view."""
        return self.frame.cameras[camera]

    def or_skip(self, what: str, read: Callable[[], Found]) -> Found | None:
        """Returns what `read` gives; None where a broken record prevents it, the log skips those, and the spec does not
        require the cameras."""
        return read() if self.required else self.frame.log.or_skip(what, read)

    def _view(self, frame: Frame, name: str) -> CameraView | None:
        if name not in frame.cameras:
            self._report_none(frame, name)
            return None
        return self.or_skip(f"camera/{name} of {frame}", partial(self._seen, frame, name))

    def _seen(self, frame: Frame, name: str) -> CameraView:
        picture = frame.cameras[name]
        known = self._calibration(name, picture)
        draws = self.draws
        transform = None if picture.size is None or draws else self._known.get(picture.size)
        if transform is None and (self._measures or draws or picture.size is not None):
            where = f"camera/{name} of {frame}: its size"
            transform = self.or_skip(where, partial(self._transform, picture))
        source = picture.source or picture.camera
        return CameraView(name, picture.time_ns, known.intrinsics, known.ego_from_camera, transform, source)

    def _calibration(self, name: str, picture: CameraImage) -> _Calibration:
        """Returns a camera's calibration, the same object for as long as the log repeats it: checked once, and what
        follows of it is known by its arrays. Raises BrokenRecord."""
        raw = _bytes_of(picture.intrinsics), _bytes_of(picture.ego_from_camera)
        last = self._checked.get(name)
        if last is None or last.raw != raw:
            # copies: whose array it was may change it
            intrinsics, mount = _intrinsics(picture).copy(), np.array(picture.ego_from_camera, dtype=np.float64)
            given = self.image.new_camera_matrix()
            intrinsics = intrinsics if given is None else given
            last = self._checked[name] = _Calibration(raw, intrinsics, mount)
        return last

    def _transform(self, picture: CameraImage) -> ImageTransform:
        size = picture.size or picture.picture_size()
        change = None if self._drawn is None else self._drawn.picture(picture.camera)
        transform = self._known.get(size) if change is None else None
        if transform is None:
            try:
                if change is not None:
                    return change.transform(self.image, *size)
                transform = self._known[size] = self.image.transform(*size)
            except SpecError as error:
                where = f"{picture.source or picture.camera}: {size[0]} x {size[1]} pixels of {picture.camera}"
                skips = not self.required and self.frame.log.on_error == "skip"
                if skips and self._stages.first_time((CameraViews, "transform", picture.camera)):
                    # all pictures of the camera may be black for a slip in the spec
                    _log.warning("%s: %s; its pictures of this size are black (reported once)", where, error)
                raise BrokenRecord(f"{where}: {error}") from error
        return transform

    def _report_none(self, frame: Frame, name: str) -> None:
        """Raises MissingRecord where the spec requires the camera; else it is reported once."""
        what = f"{frame.log.source.location}: {frame} has no picture of '{name}'"
        nearest_ns = min((abs(int(t) - frame.time_ns) for t in frame.log.source.cameras[name]), default=None)
        if nearest_ns is not None:
            limit_ms = frame.log.camera_tolerance_ns * 1e-6
            what += (
                f" within {limit_ms:g} ms, the log's camera_tolerance_ns; the nearest is {nearest_ns * 1e-6:.1f} ms off"
            )
        if self.required:
            raise MissingRecord(f"{what}, and the spec requires one")
        if self._stages.first_time((CameraViews, "none", name)):
            _log.warning(
                "%s: its picture is black, its matrices the identity, and camera_valid 0 (reported once; the param "
                '"required" makes it an error)',
                what,
            )

    def one_size(self) -> tuple[int, int]:
        """Returns the height and width that all results have; raises SpecError where they differ. (0, 0) of none."""
        known = self.image.size()
        if known is not None:
            return known
        sizes = {view.camera: view.transform.size for view in self.views if view is not None and view.transform}
        if len(set(sizes.values())) > 1:
            each = ", ".join(f"{height} x {width} of {name}" for name, (height, width) in sizes.items())
            raise SpecError(
                f"{counted(len(sizes), 'picture')} of one tensor have different sizes, {each}; set image.crop, "
                "image.resize to a height and a width, or image.pad, or take a tensor for each camera, by "
                "spec rows with a suffix: camera_images__front"
            )
        return next(iter(sizes.values()), (0, 0))


def _bytes_of(matrix: NDArray[np.float64]) -> bytes:
    return np.asarray(matrix).tobytes()


def _intrinsics(picture: CameraImage) -> NDArray[np.float64]:
    """Returns the camera matrix; raises BrokenRecord for one that projects nothing."""
    matrix = np.asarray(picture.intrinsics, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or min(matrix[0, 0], matrix[1, 1]) <= 0:
        raise BrokenRecord(
            f"{picture.source or picture.camera}: intrinsics of {picture.camera} are {matrix.tolist()}, wanted 3 x 3 "
            "finite numbers with focal lengths above 0"
        )
    mount = np.asarray(picture.ego_from_camera, dtype=np.float64)
    if mount.shape != (4, 4) or not np.isfinite(mount).all() or np.linalg.det(mount[:3, :3]) < 0.5:
        raise BrokenRecord(
            f"{picture.source or picture.camera}: ego_from_camera of {picture.camera} is {mount.tolist()}, wanted a "
            "4 x 4 rotation and translation"
        )
    return matrix
