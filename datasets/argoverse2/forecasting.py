"""One scenario of the Argoverse 2 motion forecasting set: tracks and a vector map, without any sensor.

The ego is the track AV; its frame is x forward, y left, z up, on the ground plane. The world is the city frame, flat.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import (
    BrokenRecord,
    HDMap,
    Labels,
    Matrix,
    MissingRecord,
    Poses,
    PoseUnknown,
    Source,
    Times,
)
from perceptum.inputs.once import once
from perceptum.inputs.poses import quaternion_from_yaw

from ..reading.files import one_file, subfolders
from ..reading.reader import Reader
from .forecasting_tracks import AV, STEP_NS, Tracks, read_tracks

__all__ = ["LOOKS_LIKE", "NOMINAL_SIZES", "Argoverse2Forecasting", "count_frames", "open_source", "recognises"]


LOOKS_LIKE = "one scenario with scenario_ID.parquet and log_map_archive_ID.json"

NOMINAL_SIZES: Mapping[str, tuple[float, float, float]] = {
    "vehicle": (4.5, 1.9, 1.6),
    "bus": (12.0, 2.6, 3.2),
    "motorcyclist": (2.2, 0.8, 1.7),
    "cyclist": (1.8, 0.6, 1.7),
    "riderless_bicycle": (1.8, 0.6, 1.1),
    "pedestrian": (0.6, 0.6, 1.75),
}
"""Length, width, height in metres that `nominal_sizes=True` gives; ours, not the dataset's. Other types stay 0."""


def recognises(path: Path) -> bool:
    """Whether `path` is the folder of one scenario."""
    try:
        names = os.listdir(path)
    except OSError:
        return False
    return any(name.startswith("scenario_") and name.endswith(".parquet") for name in names)


_STEPS = {"train": 110, "val": 110, "test": 50}


def count_frames(path: Path, options: Mapping[str, Any]) -> int | None:
    """Returns the steps that a scenario in a folder of the published splits has; None elsewhere, and where the folder's
    first one has other."""
    steps = _STEPS.get(path.parent.name)
    return steps if steps is not None and _steps_of_first(path.parent) == steps else None


@lru_cache(maxsize=4)
def _steps_of_first(folder: Path) -> int | None:
    """Opening a scenario takes 4 ms, and there are 200 000: one stands for all."""
    first = next((path for path in subfolders(folder) if recognises(path)), None)
    return None if first is None else len(Argoverse2Forecasting(first).times_ns)


def open_source(path: Path, nominal_sizes: bool = False) -> Source:
    """Opens the folder of one scenario. nominal_sizes: boxes get the usual size of their type, else size 0."""
    return Argoverse2Forecasting(path, nominal_sizes)


class Argoverse2Forecasting(Reader):
    """One scenario, read whole when it is opened: it is small, and the times stand in it."""

    dataset = "argoverse2_forecasting"
    opens_noted = True
    sequential = True
    lacks = "a forecasting scenario has no sensors"

    def __init__(self, folder: Path, nominal_sizes: bool = False) -> None:
        path = one_file(folder, "scenario_*.parquet")
        if path is None:
            raise MissingRecord(f"{folder}: no file scenario_*.parquet; the scenario has no tracks")
        self.nominal_sizes = nominal_sizes
        self.tracks: Tracks = read_tracks(path)
        super().__init__(folder, name=self.tracks.scenario_id)
        # the test split has the first 50 of its 110 steps
        steps = int(self.tracks.step[-1]) + 1
        self.times_ns: Times = self.tracks.start_ns + STEP_NS * np.arange(steps, dtype=np.int64)

    @property
    def ids(self) -> list[str]:
        """The scenario's steps: 0 to 109."""
        return [str(step) for step in range(len(self.times_ns))]

    @once
    def poses(self) -> Poses:
        """City from ego: the track of the AV, z = 0."""
        tracks = self.tracks
        own = tracks.track_id == AV
        if not own.any():
            raise MissingRecord(f"{tracks.path}: no track {AV}, which is the ego; the log has no poses")
        rows = np.flatnonzero(own)
        step = tracks.step[rows]
        broken = {at: tracks.why_broken(int(rows[at])) for at in np.flatnonzero(tracks.broken[rows]).tolist()}
        translations = np.column_stack([tracks.position[rows], np.zeros(len(step))])
        quaternions = quaternion_from_yaw(np.where(tracks.broken[rows], 0, tracks.heading[rows]))
        return Poses.leaving_gaps(str(tracks.path), self.times_ns[step], quaternions, translations, broken)

    def read_labels(self, time_ns: int) -> Labels | None:
        """The agents seen at one of the steps, the AV apart; None at other times."""
        step = int(np.searchsorted(self.times_ns, time_ns))
        if step == len(self.times_ns) or self.times_ns[step] != time_ns:
            return None
        tracks = self.tracks
        rows = tracks.at(step)
        rows = rows[tracks.track_id[rows] != AV]
        if tracks.broken[rows].any():
            raise BrokenRecord(tracks.why_broken(int(rows[np.argmax(tracks.broken[rows])])))
        world_from_ego = self._world_from_ego(step)
        rotation, origin = world_from_ego[:2, :2], world_from_ego[:2, 3]
        ego_yaw = np.arctan2(rotation[1, 0], rotation[0, 0])
        size = self._sizes(tracks.category[rows])
        yaw = np.remainder(tracks.heading[rows] - ego_yaw + np.pi, 2 * np.pi) - np.pi
        centre = (tracks.position[rows] - origin) @ rotation
        return Labels(
            time_ns=time_ns,
            boxes=np.column_stack([centre, size[:, 2] / 2, size, yaw]),
            category=tracks.category[rows],
            track_id=tracks.track_id[rows],
            velocity=tracks.velocity[rows] @ rotation,
            forecast_role=tracks.score[rows],
        )

    def _world_from_ego(self, step: int) -> Matrix:
        """Returns (4, 4) float64 at a step; raises PoseUnknown."""
        every = self._poses_of_steps
        return self.poses.at(int(self.times_ns[step])) if every is None else np.asarray(every[step])

    @once
    def _poses_of_steps(self) -> Matrix | None:
        """(T, 4, 4): at once, for one by one they take as long as the rest of all labels; None where one is broken."""
        try:
            return self.poses.at_many(self.times_ns)
        except PoseUnknown:
            return None

    def _sizes(self, categories: NDArray[np.str_]) -> Matrix:
        known = NOMINAL_SIZES if self.nominal_sizes else {}
        sizes = [known.get(category, (0.0, 0.0, 0.0)) for category in categories.tolist()]
        return np.array(sizes, dtype=np.float64).reshape(-1, 3)

    def read_map(self) -> HDMap | None:
        from .map import read_map

        return read_map(self.folder)
