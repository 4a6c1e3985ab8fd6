"""Pictures as pixels: decoded once for all tensors that show them, in memory that is used again."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import ImageTransform
from perceptum.inputs import BrokenRecord, CameraImage

from ..sample import Sample
from ..scratch import Scratch
from ..stage import Stage, Stages
from .views import CameraView, CameraViews

if TYPE_CHECKING:
    # no byte depends on it
    from ..cache.tensor_cache import TensorCache

__all__ = ["DecodedPictures", "PictureAsker", "reduce_of"]

Pixels = NDArray[np.uint8]
Rows = Callable[[int], tuple[int, int]]
"""Of a camera, half-open."""


class _Slot:
    """One camera's picture of the frame, at one scale."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        """Of the whole picture."""
        self.lock = Lock()
        self.askers: list[tuple[PictureAsker, int]] = []
        """The tensors that will ask for it once, each with its own number of the camera."""
        self.left = 0
        """How many of them have still to show it."""
        self.shown_by = 0
        """How many show it at the moment."""
        self.broken = False
        self.scratch: Scratch | None = None
        self.pixels: Pixels | None = None
        self.first = 0


class DecodedPictures(Stage):
    """Yields the pixels of each camera's picture, decoded when they are first asked for: a thread that decodes a
    picture goes on with it while it lies in its caches, and a build of six needs memory for as many as it has threads.

    One for all tensors: two models that crop a picture in different ways show the same pixels, decoded once.
    """

    title = "pictures"

    def __init__(self, stages: Stages) -> None:
        super().__init__()
        self._kept = stages.pictures
        self._askers: list[PictureAsker] = []
        self._slots: dict[tuple[str, int], _Slot] = {}
        self._free: list[Scratch] = []
        self._all: list[Scratch] = []

    @property
    def nbytes(self) -> int:
        return sum(scratch.array.nbytes for scratch in self._all)

    def join(self, asker: PictureAsker) -> None:
        """Called when the lane is made, once for each time that every picture will be asked for."""
        asker.views.measure()
        if asker.views not in self.needs:
            self.needs = (*self.needs, asker.views)
        self._askers.append(asker)

    def run(self, sample: Sample) -> None:
        # what a build that failed half way still held is free again
        self._free, self._slots = list(self._all), {}
        for asker in self._askers:
            for camera, view in enumerate(asker.views.views):
                key = asker.key(view)
                if key is not None and view is not None and view.transform is not None:
                    slot = self._slots.setdefault(key, _Slot(prod(_shape(view.transform.source, key[1]))))
                    slot.askers.append((asker, camera))
                    slot.left += 1

    @property
    def frame_bytes(self) -> int:
        """The bytes of the last frame's pictures, whole, as they are kept; 0 where they are not."""
        return 0 if self._kept is None else sum(slot.nbytes for slot in self._slots.values())

    def slot(self, key: tuple[str, int] | None) -> _Slot | None:
        return None if key is None else self._slots[key]

    def leave(self, slot: _Slot, has_shown: bool = True) -> None:
        """Called when a tensor has shown the picture, or will not."""
        with slot.lock:
            slot.left -= 1
            slot.shown_by -= has_shown
            # whoever asks more often than was said has it decoded again
            if slot.left <= 0 and slot.shown_by == 0:
                slot.pixels = None
                if slot.scratch is not None:
                    self._free.append(slot.scratch)
                    slot.scratch = None

    def decode(self, picture: CameraImage, transform: ImageTransform, reduce: int, slot: _Slot) -> Pixels:
        """Returns as many rows of the picture as anyone looks at, or all that a cache has of it, and sets the number of
        the first; raises BrokenRecord."""
        height, width = found = picture.picture_size()
        if found != transform.source:
            raise BrokenRecord(
                f"{picture.source or picture.camera}: the picture is {height} x {width} pixels, and {picture.camera} "
                f"was calibrated for {transform.source[0]} x {transform.source[1]}"
            )
        ranges = [asker.rows_of(camera) for asker, camera in slot.askers if asker.rows is not None]
        first = min((low for low, high in ranges if high > low), default=0)
        last = max((high for low, high in ranges if high > low), default=0)
        if not ranges:
            # only to know whether it is whole
            last = -(-height // reduce)
        # what a log has as pixels need not be decoded
        if self._kept is not None and type(picture) is CameraImage:
            pixels = self._whole(picture, (first, last), reduce, slot, self._kept)
            if pixels is not None:
                slot.first = 0
                return pixels
        slot.first = first
        return picture.decode(rows=(first, last), reduce=reduce, scratch=self._room(found, reduce, slot))

    def _whole(
        self, picture: CameraImage, rows: tuple[int, int], reduce: int, slot: _Slot, kept: TensorCache
    ) -> Pixels | None:
        """Returns all of the picture, as it is kept, or decoded and kept; None where that cannot be done."""
        pixels = kept.find_picture(picture.encoded, reduce, rows)
        if pixels is not None or not kept.has_room_for_picture(slot.nbytes):
            return pixels
        # damage may lie where nobody looks
        with suppress(BrokenRecord):
            scratch = self._room(picture.picture_size(), reduce, slot)
            pixels = picture.decode(reduce=reduce, scratch=scratch)
            kept.keep_picture(picture.encoded, reduce, pixels)
        return pixels

    def _room(self, size: tuple[int, int], reduce: int, slot: _Slot) -> Pixels:
        """Returns memory to decode a picture of (height, width) into."""
        if slot.scratch is None:
            slot.scratch = self._take()
        return slot.scratch.reserve(prod(_shape(size, reduce)))

    def _take(self) -> Scratch:
        try:
            return self._free.pop()
        except IndexError:
            scratch = Scratch(np.uint8)
            self._all.append(scratch)
            return scratch


class PictureAsker:
    """A tensor's way to the pictures that it shows.

    rows: a method that says which rows of a camera's picture, as it is decoded, it looks at; None: it wants to know
    whether the pictures are good.
    """

    def __init__(
        self, decoded: DecodedPictures, views: CameraViews, decode: Literal["full", "reduced"], rows: Rows | None = None
    ) -> None:
        self.views = views
        self._rows = None if rows is None else weakref.WeakMethod(rows)
        # weak, both: the stage knows who asks, and a builder goes at once and not when the collector comes by
        self._weakly = weakref.ref(decoded)
        self._reduced = decode == "reduced"

    @property
    def _decoded(self) -> DecodedPictures:
        decoded = self._weakly()
        assert decoded is not None
        return decoded

    @property
    def rows(self) -> Rows | None:
        return None if self._rows is None else self._rows()

    def key(self, view: CameraView | None) -> tuple[str, int] | None:
        """Returns the camera and how many times smaller its picture is decoded; None where nothing is known of it."""
        if view is None or view.transform is None:
            return None
        return view.camera, reduce_of(view.transform) if self._reduced else 1

    def rows_of(self, camera: int) -> tuple[int, int]:
        """Returns the rows that it looks at; none where it cannot show the picture, which it says itself."""
        rows = self.rows
        assert rows is not None
        try:
            return rows(camera)
        except BrokenRecord:
            return 0, 0

    @contextmanager
    def pixels(self, camera: int) -> Iterator[tuple[Pixels | None, int]]:
        """Gives (rows, W, 3) uint8 RGB and the number of its first row; None where there is no good picture."""
        view = self.views.views[camera]
        slot = self._decoded.slot(self.key(view))
        if view is None or slot is None:
            yield None, 0
            return
        with slot.lock:
            slot.shown_by += 1
        try:
            yield self._found(camera, view, slot), slot.first
        finally:
            self._decoded.leave(slot)

    def is_good(self, camera: int) -> bool:
        """Whether the picture is there and can be decoded. In a log that raises for what is broken a picture that is
        there is good, or a build that shows it fails: it is not decoded for this alone."""
        view = self.views.views[camera]
        if self.views.frame.log.on_error == "raise":
            slot = self._decoded.slot(self.key(view))
            if slot is not None:
                self._decoded.leave(slot, has_shown=False)
            return view is not None
        with self.pixels(camera) as (pixels, _):
            return pixels is not None

    def _found(self, camera: int, view: CameraView, slot: _Slot) -> Pixels | None:
        assert view.transform is not None
        what = f"camera/{view.camera} of {self.views.frame}"
        rows = self.rows
        # what prevents this tensor alone, such as a broken lens
        if rows is not None and self.views.or_skip(what, lambda: rows(camera)) is None:
            return None
        picture, key = self.views.picture(view.camera), self.key(view)
        assert key is not None
        decode = partial(self._decoded.decode, picture, view.transform, key[1], slot)
        with slot.lock:
            # where it is broken, once more for each that requires it, whose error it is
            if slot.pixels is None and (not slot.broken or self.views.required):
                slot.pixels = self.views.or_skip(what, decode)
                slot.broken = slot.pixels is None
            return slot.pixels


def _shape(size: tuple[int, int], reduce: int) -> tuple[int, int, int]:
    """Returns the shape of a picture of (height, width) that is decoded so many times smaller."""
    return -(-size[0] // reduce), -(-size[1] // reduce), 3


def reduce_of(transform: ImageTransform) -> int:
    """Returns 8, 4, 2 or 1: the smallest scale of a decoder at which a picture is not smaller than the resized one."""
    (height, width), (new_height, new_width) = transform.source, transform.resized
    fits = (r for r in (8, 4, 2) if new_height <= -(-height // r) and new_width <= -(-width // r))
    return next(fits, 1)
