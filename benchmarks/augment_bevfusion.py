"""What augmentation costs a whole BEVFusion frame: voxels of ten sweeps, six pictures, depth, matrices and the map, all
changed together, whole builds with a draw against those of a builder without it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from augment import MOVED, race
from bevfusion import NAMES, PARAMS
from bevfusion_root import made_bevfusion, open_reading
from harness import Result

from perceptum.builders import Augment

__all__ = ["run"]

PICTURES = {
    "image_resize": (0.38 / 0.48, 0.55 / 0.48),
    "image_crop": (1.0, (0.0, 1.0)),
    "image_flip": 0.5,
    "image_rotate": 5.4,
}
WAYS = {"world and pictures": Augment(**MOVED, **PICTURES), "world alone": Augment(**MOVED)}


def run(rounds: int = 20) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        log = open_reading(made_bevfusion(Path(folder)))
        frames = [log[-2], log[-1]]
        what = "augmentation of a frame of BEVFusion"
        return [result for threads in (1, 2) for result in race(what, rounds, frames, NAMES, PARAMS, WAYS, threads)]
