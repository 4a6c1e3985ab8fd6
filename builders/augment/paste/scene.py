"""What is pasted into one sample: which objects, and where they come to stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.classes import class_of
from perceptum.inputs import Frame, Labels
from perceptum.inputs.objects import ObjectDatabase
from perceptum.inputs.source import ground_z_of

from ...kernels.inside import choose_free
from ...sample import Draw
from .option import Paste

__all__ = ["PastedObjects", "chosen_by"]

_UNKNOWN_OCCLUSION = 3
_NO_ROLE = 0


@dataclass(frozen=True, eq=False)
class PastedObjects:
    """In the ego frame of the sample, in the order in which they were pasted."""

    database: ObjectDatabase
    numbers: NDArray[np.int64]
    """(K,) of the database."""
    boxes: NDArray[np.float64]
    """(K, 7) x y z length width height, metres, yaw."""
    turned_rad: NDArray[np.float64]
    """(K,) by which each was turned about the vehicle."""
    category: NDArray[np.str_]
    """(K,) as the labels call them."""

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return f"<PastedObjects: {len(self)}>"

    def labels(self, recorded: Labels) -> Labels:
        """Returns the frame's labels, and behind them those of what was pasted; track ids are "pasted/0" and so on."""
        n = len(self)
        if n == 0:
            return recorded
        velocity, num_points = recorded.velocity, recorded.num_points
        known = np.full((len(recorded), 2), np.nan) if velocity is None else velocity
        own = self.database.velocity[self.numbers]
        c, s = np.cos(self.turned_rad), np.sin(self.turned_rad)
        # those that were not turned keep their last bit: cos 0 is 1
        turned = np.stack([c * own[:, 0] - s * own[:, 1], s * own[:, 0] + c * own[:, 1]], axis=1)
        inside = None if num_points is None else np.append(num_points, self.database.num_points[self.numbers])
        return replace(
            recorded,
            boxes=np.concatenate([recorded.boxes, self.boxes]),
            category=np.append(np.asarray(recorded.category, np.str_), self.category),
            track_id=np.append(np.asarray(recorded.track_id, np.str_), [f"pasted/{k}" for k in range(n)]),
            velocity=None if velocity is None and np.isnan(own).all() else np.concatenate([known, turned]),
            num_points=inside,
            num_radar_points=_with(recorded.num_radar_points, n, 0),
            attributes=_with(recorded.attributes, n, ""),
            # of what is pasted nobody drew a box in a picture, or said what hides it
            occlusion=_with(recorded.occlusion, n, _UNKNOWN_OCCLUSION),
            truncation=_with(recorded.truncation, n, np.nan),
            boxes_2d=_with(recorded.boxes_2d, n, np.nan),
            forecast_role=_with(recorded.forecast_role, n, _NO_ROLE),
        )

    def points(self) -> dict[str, NDArray[Any]]:
        """Returns the columns of all points, object by object: x y z float64, ego frame, intensity as recorded, ring,
        elongation, lidar, and object, the place of each one's object in this."""
        each = [self.database.points(number) for number in self.numbers.tolist()]
        columns = {name: np.concatenate([own[name] for own in each]) for name in each[0]}
        of_object = np.repeat(np.arange(len(self)), [len(own["x"]) for own in each])
        x, y = columns["x"].astype(np.float64), columns["y"].astype(np.float64)
        c, s, centre = np.cos(self.turned_rad)[of_object], np.sin(self.turned_rad)[of_object], self.boxes[of_object]
        columns["x"], columns["y"] = c * x - s * y + centre[:, 0], s * x + c * y + centre[:, 1]
        columns["z"] = columns["z"].astype(np.float64) + centre[:, 2]
        columns["object"] = of_object
        return columns


def chosen_by(
    paste: Paste, pools: Mapping[str, NDArray[np.int64]], draw: Draw, frame: Frame, labels: Labels
) -> PastedObjects:
    """Returns what a draw pastes into a frame with these labels."""
    database = paste.opened
    there = _counted(paste, labels)
    recorded = np.asarray(labels.boxes, np.float64)
    recorded = recorded[np.isfinite(recorded).all(axis=1)]
    numbers, boxes, angles = [], [np.ascontiguousarray(recorded)], []
    for name, count in paste.counts_by_name.items():
        wanted = count - there[name] if paste.up_to else count
        if wanted <= 0:
            continue
        random, pool = draw.random(f"paste/{name}"), pools[name]
        looked_at = min(wanted * paste.tries, len(pool))
        picked = pool[random.choice(len(pool), looked_at, replace=False)]
        turned = random.uniform(*paste.turns_rad, looked_at)
        candidates = _standing_here(paste, database, picked, turned, frame)
        standing = np.concatenate([*boxes, candidates])
        chosen = np.empty(looked_at, np.int64)
        found = choose_free(candidates, wanted, len(standing) - looked_at, standing, chosen)
        own = chosen[:found]
        numbers.append(picked[own])
        boxes.append(candidates[own])
        angles.append(turned[own])
    if not numbers:
        none = np.empty(0)
        return PastedObjects(database, np.empty(0, np.int64), np.empty((0, 7)), none, np.empty(0, np.str_))
    every = np.concatenate(numbers)
    called = paste.names_by_category
    category = np.array([called.get(one, one) for one in database.category[every].tolist()], dtype=np.str_)
    return PastedObjects(database, every, np.concatenate(boxes[1:]), np.concatenate(angles), category)


def _with(column: NDArray[Any] | None, more: int, value: float | str) -> NDArray[Any] | None:
    """Returns a column of the labels with `more` rows of a value behind it."""
    if column is None:
        return None
    return np.concatenate([column, np.full((more, *column.shape[1:]), value, column.dtype)])


def _counted(paste: Paste, labels: Labels) -> dict[str, int]:
    """Returns class -> how many boxes of it the labels have, by the log's own name or by what it is called there."""
    every, found = paste.every_class(), dict.fromkeys(paste.counts_by_name, 0)
    categories_of = {called: category for category, called in paste.names_by_category.items()}
    for called, n in Counter(map(str, labels.category)).items():
        number = class_of(categories_of.get(called, called), every)
        if number >= 0 and every[number].name in found:
            found[every[number].name] += n
    return found


def _standing_here(
    paste: Paste, database: ObjectDatabase, numbers: NDArray[np.int64], turned: NDArray[np.float64], frame: Frame
) -> NDArray[np.float64]:
    """Returns the boxes of objects where they come to stand in the frame, (N, 7) float64."""
    boxes = database.boxes[numbers]
    if paste.ground == "plane":
        boxes[:, 2] += ground_z_of(frame.log.source) - database.ground_z[numbers]
    if paste.rotate is not None:
        c, s, x, y = np.cos(turned), np.sin(turned), boxes[:, 0].copy(), boxes[:, 1].copy()
        boxes[:, 0], boxes[:, 1] = c * x - s * y, s * x + c * y
        boxes[:, 6] += turned
    return boxes
