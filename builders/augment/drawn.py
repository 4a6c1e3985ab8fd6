"""What a draw comes to for one sample: found once for all that asks."""

from __future__ import annotations

from math import cos, sin

import numpy as np
from numpy.typing import NDArray

from ..sample import Draw, Sample
from ..stage import Stage, Stages
from .augment import Augment
from .chances import Chances
from .photometric import ColorChange
from .pictures import PictureChange

__all__ = ["Drawn"]


class Drawn(Stage):
    """Yields what happens to a sample: nothing where it has no draw, or its builder no `augment`.

    A stage that changes with a draw shares this one, and asks after its own `run` has begun.
    """

    title = "augmentation"

    def __init__(self, stages: Stages) -> None:
        super().__init__()
        self.augment = stages.augment or Augment()
        self.draw: Draw | None = None
        self.change: NDArray[np.float64] | None = None
        """(4, 4) float64, a similarity: from places in a frame of reference to where they come; None: they stay."""
        self.scale = 1.0
        self.mirrors = False
        """Whether left and right are exchanged: the determinant of `change` is below 0."""
        self.chances: Chances | None = None
        """Which points of lidars are dropped, and their order; None: they are as they were recorded."""
        self._pictures: dict[str, PictureChange] = {}

    def run(self, sample: Sample) -> None:
        self.draw, self.change, self.scale, self.mirrors = sample.draw, None, 1.0, False
        self.chances, self._pictures = None, {}
        if self.draw is not None and self.augment.moves:
            self._draw_change(self.draw)
        if self.draw is not None and self.augment.picks_points:
            drop_points = self.augment.drop_points
            assert drop_points is None or isinstance(drop_points, tuple)
            self.chances = Chances.of(self.draw, drop_points, self.augment.shuffle_points)

    def picture(self, camera: str) -> PictureChange | None:
        """Returns what happens to a camera's picture, whoever shows it; None: nothing."""
        if self.draw is None or not self.augment.moves_pixels:
            return None
        found = self._pictures.get(camera)
        if found is None:
            found = self._pictures[camera] = PictureChange.drawn(self.augment, self.draw, camera)
        return found

    def colors(self, camera: str) -> ColorChange | None:
        """Returns what happens to the colours of a camera's picture, whoever shows it; None: nothing."""
        color = self.augment.image_color
        return None if self.draw is None or color is None else color.drawn(self.draw, camera)

    def _draw_change(self, draw: Draw) -> None:
        given = self.augment
        turned = 0.0 if given.rotate is None else _between(draw, "rotate", given.rotate)
        self.scale = 1.0 if given.scale is None else _between(draw, "scale", given.scale)
        mirror = [-1.0 if _happens(draw, name, getattr(given, name)) else 1.0 for name in ("flip_x", "flip_y")]
        self.mirrors = mirror[0] * mirror[1] < 0
        c, s = self.scale * cos(turned), self.scale * sin(turned)
        x, y = mirror
        change = np.array([[c * x, -s * y, 0, 0], [s * x, c * y, 0, 0], [0, 0, self.scale, 0], [0, 0, 0, 1.0]])
        if given.translate is not None:
            change[:3, 3] = draw.random("translate").normal(size=3) * given.translate
        change.flags.writeable = False
        self.change = change


def _between(draw: Draw, purpose: str, span: tuple[float, float] | float) -> float:
    assert isinstance(span, tuple)
    return float(draw.random(purpose).uniform(*span))


def _happens(draw: Draw, purpose: str, share: float) -> bool:
    return share > 0 and float(draw.random(purpose).uniform()) < share
