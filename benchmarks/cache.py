"""An epoch of BEVFusion from a cache of tensors, against building it, frame by frame and in batches; and augmented
samples with all that it learns, of which a cache has the decoded pictures alone.

Files are in the page cache, and every build reads them again, but for the map, which all keep.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from augment import MOVED
from augment_bevfusion import PICTURES
from bevfusion import NAMES, PARAMS
from bevfusion_root import made_bevfusion, open_reading
from harness import Result, compare, lines

from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.builders.cache import TensorCache
from perceptum.inputs import Frame, Log

__all__ = ["run"]

BUILT = "built each time"
WANTED = 5.0
DECODED = "pictures decoded each time"
KEPT = "pictures from the cache"
SPEC = Path(__file__).parents[1] / "examples" / "specs" / "bevfusion_nuscenes_training.json"
_SETTLED_S = 2.1


def run(rounds: int = 12) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        root = made_bevfusion(Path(folder))
        # files that were just written may change again without another time, and are read to see that they did not
        time.sleep(_SETTLED_S)
        log = open_reading(root)
        found = [*_race(rounds, log, Path(folder)), *_batches(rounds, log, Path(folder))]
        return [*found, *_augmented(rounds, log, Path(folder))]


def _builder(**options: Any) -> InputBuilder[Any]:
    return InputBuilder(NAMES, params=PARAMS, **options)


def _race(rounds: int, log: Log, folder: Path) -> list[Result]:
    plain = _builder()
    once, always = (_builder(cache=TensorCache(folder / "tensors", check=check)) for check in ("first", "always"))
    for name, tensors in _epoch(plain, log)[-1].items():
        for kept in (once, always, once):
            np.testing.assert_array_equal(tensors, _epoch(kept, log)[-1][name])
    work: dict[str, Callable[[], Any]] = {
        BUILT: lambda: _epoch(plain, log),
        "from the cache, checksums once": lambda: _epoch(once, log),
        "from the cache, checksums each time": lambda: _epoch(always, log),
    }
    found = lines("an epoch of BEVFusion", compare(rounds, work, warm=1), BUILT, dict.fromkeys(list(work)[1:], WANTED))
    read: dict[str, Callable[[], Any]] = {
        BUILT: lambda: _read(_epoch(plain, log)),
        "from the cache": lambda: _read(_epoch(once, log)),
    }
    what = "an epoch of BEVFusion, every byte read once"
    return [*found, *lines(what, compare(rounds, read, warm=1), BUILT, {"from the cache": WANTED})]


def _epoch(builder: InputBuilder[Any], log: Log) -> list[Any]:
    return [builder.build(frame) for frame in _frames(log)]


def _read(epoch: list[Any]) -> int:
    """Reads as a copy to a device would."""
    return sum(xxhash.xxh3_64_intdigest(array.reshape(-1).view(np.uint8)) for one in epoch for array in one.values())


def _batches(rounds: int, log: Log, folder: Path) -> list[Result]:
    plain, kept = _builder(), _builder(cache=folder / "tensors")
    frames = _frames(log)
    work: dict[str, Callable[[], Any]] = {
        BUILT: lambda: plain.build_batch(frames_again(frames)),
        "from the cache": lambda: kept.build_batch(frames_again(frames)),
    }
    times = compare(rounds, work, warm=2)
    return lines(f"a batch of {len(frames)} of BEVFusion", times, BUILT, {"from the cache": WANTED})


def _augmented(rounds: int, log: Log, folder: Path) -> list[Result]:
    rows = json.loads(SPEC.read_text())
    images = [row for row in rows if row["name"] == "camera_images"]
    found = []
    for what, wanted, least in (
        ("an augmented frame of BEVFusion, all that it learns", rows, 1.2),
        ("the pictures of an augmented frame of BEVFusion", images, 1.5),
    ):
        plain, kept = (
            InputBuilder(wanted, training=True, augment=Augment(**MOVED, **PICTURES), cache=cache)
            for cache in (None, TensorCache(folder / "tensors", pictures=True))
        )
        for index in range(3):
            draw = Draw(0, 0, index)
            for name, tensor in plain.build(log[-1], draw=draw).items():
                np.testing.assert_array_equal(kept.build(log[-1], draw=draw)[name], tensor)
        # both have the same draws, one after the other
        ours, theirs = count(), count()
        work: dict[str, Callable[[], Any]] = {
            DECODED: lambda one=plain, number=theirs: one.build(log[-1], draw=Draw(1, 0, next(number))),
            KEPT: lambda one=kept, number=ours: one.build(log[-1], draw=Draw(1, 0, next(number))),
        }
        found += lines(what, compare(2 * rounds, work), DECODED, {KEPT: least})
    return found


def _frames(log: Log) -> list[Frame]:
    return [log[index] for index in range(max(len(log) - 4, 0), len(log))]


def frames_again(frames: list[Frame]) -> list[Frame]:
    """Returns the same frames, which have read nothing yet."""
    return [frame.log[frame.index] for frame in frames]  # type: ignore[attr-defined]


if __name__ == "__main__":
    for result in run(8):
        print(result)
