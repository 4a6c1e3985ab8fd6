"""Pictures as pixels: decoded once for all tensors that show them, in memory that is used again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import ImageParams, ImageTransform
from perceptum.inputs import BrokenRecord, CameraImage

from ..sample import Sample
from ..scratch import Scratch
from ..stage import Stage, Stages
from .views import Views

__all__ = ["Decoded", "reduce_of"]

Pixels = NDArray[np.uint8]


class _Slot:
    """One camera's picture of the frame."""

    def __init__(self, uses: int) -> None:
        self.lock = Lock()
        self.uses = uses
        """How many tensors have still to show it."""
        self.begun = False
        self.scratch: Scratch | None = None
        self.pixels: Pixels | None = None
        self.first = 0
        self.good = False


class Decoded(Stage):
    """Yields the pixels of each camera's picture, decoded when they are first asked for: a thread that decodes a
    picture goes on with it while it lies in its caches, and a build of six needs memory for as many as it has threads.
    """

    def __init__(self, image: ImageParams, required: bool, decode: Literal["full", "reduced"], stages: Stages) -> None:
        super().__init__()
        self.title = f"pictures ({'decoded' if decode == 'full' else 'decoded smaller'})"
        self.views = stages.share(Views, image, required)
        self.needs = (self.views,)
        self._reduced = decode == "reduced"
        self._rows: list[Callable[[int], tuple[int, int]]] = []
        self._uses = 0
        self._slots: list[_Slot] = []
        self._free: list[Scratch] = []
        self._all: list[Scratch] = []

    @property
    def nbytes(self) -> int:
        return sum(scratch.array.nbytes for scratch in self._all)

    def join(self, rows: Callable[[int], tuple[int, int]] | None = None) -> None:
        """Called when the lane is made, for each tensor that will ask for every picture once.

        rows: which rows of a camera's (reduced) picture it looks at; None: it wants to know that the pictures are good.
        """
        self.views.measure()
        self._uses += 1
        if rows is not None:
            self._rows.append(rows)

    def run(self, sample: Sample) -> None:
        # what a build that failed half way still held is free again
        self._free = list(self._all)
        self._slots = [_Slot(self._uses) for _ in self.views.cameras]

    @contextmanager
    def pixels(self, camera: int) -> Iterator[tuple[Pixels | None, int]]:
        """Gives (rows, W, 3) uint8 RGB and the number of its first row; None where there is no good picture."""
        slot = self._slots[camera]
        with slot.lock:
            if not slot.begun:
                slot.begun = True
                self._decode(camera, slot)
        try:
            yield slot.pixels, slot.first
        finally:
            self._leave(slot)

    def is_good(self, camera: int) -> bool:
        """Whether the picture is there and can be decoded. In a log that raises for what is broken a picture that is
        there is good, or a build that shows it fails: it is not decoded for this alone."""
        if self.views.frame.log.on_error == "raise":
            self._leave(self._slots[camera])
            return self.views.views[camera] is not None
        with self.pixels(camera):
            return self._slots[camera].good

    def _leave(self, slot: _Slot) -> None:
        with slot.lock:
            slot.uses -= 1
            if slot.uses == 0 and slot.scratch is not None:
                slot.pixels = None
                self._free.append(slot.scratch)
                slot.scratch = None

    def _decode(self, camera: int, slot: _Slot) -> None:
        view = self.views.views[camera]
        if view is None or view.transform is None:
            return
        frame = self.views.frame
        what = f"camera/{view.camera} of {frame}"
        read = partial(self._pixels, camera, self.views.picture(view.camera), view.transform, slot)
        found = frame.log.or_skip(what, read)
        slot.good = found is not None
        if found is not None:
            slot.pixels, slot.first = found

    def _pixels(self, camera: int, picture: CameraImage, transform: ImageTransform, slot: _Slot) -> tuple[Pixels, int]:
        height, width = found = picture.picture_size()
        if found != transform.source:
            raise BrokenRecord(
                f"{picture.source or picture.camera}: the picture is {height} x {width} pixels, and {picture.camera} "
                f"was calibrated for {transform.source[0]} x {transform.source[1]}"
            )
        reduce = reduce_of(transform) if self._reduced else 1
        ranges = [rows(camera) for rows in self._rows]
        first = min((low for low, high in ranges if high > low), default=0)
        last = max((high for low, high in ranges if high > low), default=0)
        if not self._rows:
            # only to know whether it is whole
            last = -(-height // reduce)
        slot.scratch = self._take()
        scratch = slot.scratch.reserve(-(-height // reduce) * -(-width // reduce) * 3)
        return picture.decode(rows=(first, last), reduce=reduce, scratch=scratch), first

    def _take(self) -> Scratch:
        try:
            return self._free.pop()
        except IndexError:
            scratch = Scratch(np.uint8)
            self._all.append(scratch)
            return scratch


def reduce_of(transform: ImageTransform) -> int:
    """Returns 8, 4, 2 or 1: the smallest scale of a decoder at which a picture is not smaller than the resized one."""
    (height, width), (new_height, new_width) = transform.source, transform.resized
    fits = (r for r in (8, 4, 2) if new_height <= -(-height // r) and new_width <= -(-width // r))
    return next(fits, 1)
