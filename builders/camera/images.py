"""camera_images, camera_valid and camera_time_lag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import SpecError
from perceptum.features.camera import CameraImagesParams, ImageTransform
from perceptum.inputs import Lens, undistortion_map

from ..augment import Drawn
from ..augment.photometric import ColorChange
from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .decoded import DecodedPictures, PictureAsker, reduce_of
from .maps import Maps, reduced
from .resampling import Finish, Resampling
from .views import CameraViews

__all__ = ["CameraImages"]

_MOST_KEPT = 64
"""Tables for so many different pictures: KITTI's sizes differ from frame to frame."""


class CameraImages(Filler):
    def __init__(self, params: CameraImagesParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"camera images ({params.layout}, {params.resampler})"
        self.params: CameraImagesParams = params
        self._stages = stages
        self.views = stages.share(CameraViews, params.image, params.required)
        self.decoded = stages.share(DecodedPictures)
        self.needs = (self.views, self.decoded)
        augment = stages.augment
        self._changes = None if augment is None or augment.image_color is None else stages.share(Drawn)
        self._pictures = PictureAsker(self.decoded, self.views, params.decode, self._rows)
        self._whole = PictureAsker(self.decoded, self.views, params.decode)
        self._shows = False
        self._kept: dict[tuple[ImageTransform, Lens | None], Resampling] = {}
        self._drawn: dict[int, tuple[ImageTransform, Resampling]] = {}
        """Camera -> what a draw made of the plan's transform, and what does it: of no use for another frame."""
        self._size = (0, 0)

    @property
    def nbytes(self) -> int:
        return sum(one.nbytes for one in [*self._kept.values(), *(one for _, one in self._drawn.values())])

    def want(self, feature: str, dtype: str) -> None:
        if feature == "camera_images":
            if dtype == "uint8" and self.params.norm is not None:
                raise SpecError(f"'{feature}' as uint8 holds values from 0 to 255: take norm null, or float32")
            self._shows = True
            self.decoded.join(self._pictures)
        elif feature == "camera_valid":
            self.decoded.join(self._whole)

    def run(self, sample: Sample) -> None:
        # what is said of each camera alone is said of pictures of any sizes
        if self._shows:
            self._size = self.views.one_size()
            if self.views.draws and not (self.params.compose or self.params.image.undistort):
                # between two pictures, whose pixels fill the caches, each takes three times as long
                for camera, view in enumerate(self.views.views):
                    if view is not None and view.transform is not None:
                        self._resampling(camera)

    def sizes(self) -> Mapping[str, int]:
        height, width = self._size
        return {"num_cameras": len(self.views.cameras), "image_height": height, "image_width": width}

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        pictures = out if self.params.camera_axis or feature != "camera_images" else out[None]
        n = min(len(self.views.cameras), len(pictures))
        if feature == "camera_valid":
            for camera in range(n):
                out[camera] = self._whole.is_good(camera) and self._sees(camera)
        elif feature == "camera_time_lag":
            now_ns = self.views.frame.time_ns
            for camera, view in enumerate(self.views.views[:n]):
                out[camera] = 0 if view is None else (now_ns - view.time_ns) * 1e-9
        else:
            self._check_room(pictures)
            self._stages.each(lambda camera: self._show(camera, pictures[camera]), range(n))
        written.clear_rows(n, pictures)

    def _check_room(self, pictures: NDArray[Any]) -> None:
        """A spec may fix more than the pictures have, and what they have not is black; a part of them is a crop."""
        room = pictures.shape[2:] if self.params.layout == "CHW" else pictures.shape[1:3]
        if room[0] < self._size[0] or room[1] < self._size[1]:
            raise SpecError(
                f"{self.views.frame}: the spec fixes pictures of {room[0]} x {room[1]}, and they are {self._size[0]} x "
                f"{self._size[1]}; set image.crop or image.resize, which the matrices follow"
            )

    def _show(self, camera: int, out: NDArray[Any]) -> None:
        with self._pictures.pixels(camera) as (pixels, first):
            if pixels is None:
                out.fill(0)
                return
            resampling = self._resampling(camera)
            low, high = resampling.rows
            own = self._own(out)
            # a spec that fixes a larger picture has black below it and to its right
            whole = own if own.shape == out.shape else np.empty(own.shape, own.dtype)
            resampling.write(pixels[low - first : high - first], whole, self._colors(camera))
            if whole is not own:
                out.fill(0)
                own[...] = whole

    def _colors(self, camera: int) -> ColorChange | None:
        return None if self._changes is None else self._changes.colors(self.views.cameras[camera])

    def _own(self, out: NDArray[Any]) -> NDArray[Any]:
        height, width = self._size
        return out[:, :height, :width] if self.params.layout == "CHW" else out[:height, :width]

    def _sees(self, camera: int) -> bool:
        """Whether the lens is known, where it is to be taken out. As for pictures, this is not asked of a log that
        raises for what is broken."""
        frame, view = self.views.frame, self.views.views[camera]
        if not self.params.image.undistort or frame.log.on_error == "raise" or view is None:
            return True
        picture = self.views.picture(view.camera)
        return self.views.or_skip(f"camera/{view.camera} of {frame}", lambda: picture.lens) is not None

    def _rows(self, camera: int) -> tuple[int, int]:
        return self._resampling(camera).rows

    def _resampling(self, camera: int) -> Resampling:
        """Returns what makes the camera's picture of its pixels, made once for pictures of one size and lens, or for
        what a draw made of it."""
        view = self.views.views[camera]
        assert view is not None
        assert view.transform is not None
        lens = self.views.picture(view.camera).lens if self.params.image.undistort else None
        if self.views.draws:
            # the same transform is of the same frame, and so of the same lens
            kept = self._drawn.get(camera)
            if kept is None or kept[0] is not view.transform:
                kept = self._drawn[camera] = view.transform, self._made(view.transform, lens)
            return kept[1]
        key = (view.transform, lens)
        found = self._kept.get(key)
        if found is None:
            found = self._made(view.transform, lens)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = found
        return found

    def _made(self, transform: ImageTransform, lens: Lens | None) -> Resampling:
        p = self.params
        finish = Finish(p.layout, p.channel_order == "BGR", p.scaling(), p.norm_at)
        reduce = reduce_of(transform) if p.decode == "reduced" else 1
        undistortion = None if lens is None else self._undistortion(lens, transform.source, reduce)
        more: dict[str, Any] = {"undistortion": undistortion, "compose": p.compose, "reduce": reduce}
        return Resampling(transform, p.resampler, finish, **more)

    def _undistortion(self, lens: Lens, size: tuple[int, int], reduce: int) -> Maps | None:
        """Returns where the pixels of an undistorted picture, decoded so many times smaller, come from: made once for
        all that shares the log."""
        image = self.params.image
        if lens.model == "none" and image.new_intrinsics is None:
            return None
        key = ("undistortion", lens, size, image.new_intrinsics)
        cache = self.views.frame.log.cache
        made: Maps = cache.get(key, lambda: undistortion_map(lens, size, image.new_camera_matrix()))
        if reduce != 1:
            whole = made
            made = cache.get((*key, reduce), lambda: reduced(whole, reduce))
        return made
