"""One scenario of Waymo Open Motion: tracks, traffic lights and a vector map, without any sensor.

The ego is the recording car's track; its frame is x forward, y left, z up, in the middle of its box on the ground. The
world is the scenario's own, metres, about an arbitrary place.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BadOption, BrokenRecord, HDMap, Labels, Matrix, Poses
from perceptum.inputs.once import once
from perceptum.inputs.poses import quaternion_from_yaw

from ..reading.reader import Reader
from ..reading.tfrecord import TFRecord, read_record, records_of
from ..reading.unread import Unread
from .scenario import Scenario, read_scenario, scenario_id

__all__ = ["WaymoMotion"]

_WHAT = "the scenario is missing"


class WaymoMotion(Reader):
    """One scenario; its tracks are read when it is opened, its map when it is asked for."""

    dataset = "waymo_motion"
    opens_noted = True
    sequential = True
    lacks = "a scenario of the motion set has no sensors"

    def __init__(self, path: Path, scenario: str | int | None = None) -> None:
        data = _chosen(path, *records_of(path, _WHAT), scenario)
        self.scenario: Scenario = read_scenario(str(path), data)
        super().__init__(path, name=self.scenario.id or None)
        self.times_ns = self.scenario.times_ns
        unread = Unread(path)
        for what, count in self.scenario.unread.items():
            unread.add(what, count)
        unread.warn()

    @property
    def ids(self) -> list[str]:
        """The scenario's steps: 0 to 90."""
        return [str(step) for step in range(len(self.times_ns))]

    @once
    def _ego_origin(self) -> Matrix:
        """(S, 3) the middle of the bottom of the recording car's box."""
        own = self.scenario.ego
        middle: Matrix = self.scenario.centre[own] - self.scenario.size[own] * np.array([0, 0, 0.5])
        return middle

    @once
    def poses(self) -> Poses:
        """World from ego; a step at which the recording car is not known leaves a gap."""
        own = self.scenario.ego
        missing = np.flatnonzero(~self.scenario.valid[own]).tolist()
        broken = {at: f"{self.location}: the recording car is not known at step {at}" for at in missing}
        quaternions = quaternion_from_yaw(self.scenario.heading_rad[own])
        return Poses.leaving_gaps(self.location, self.times_ns, quaternions, self._ego_origin, broken)

    def step_of(self, time_ns: int) -> int | None:
        """Returns the step at exactly this time; None at other times."""
        step = int(np.searchsorted(self.times_ns, time_ns))
        return step if step < len(self.times_ns) and self.times_ns[step] == time_ns else None

    def read_labels(self, time_ns: int) -> Labels | None:
        """The tracks that are known at one of the steps, the recording car apart; None at other times."""
        step = self.step_of(time_ns)
        if step is None:
            return None
        found = self.scenario
        rows = np.flatnonzero(found.valid[:, step])
        rows = rows[rows != found.ego]
        rotation = self.poses.at(time_ns)[:2, :2]
        centre = found.centre[rows, step] - self._ego_origin[step]
        centre[:, :2] = centre[:, :2] @ rotation
        turned = found.heading_rad[rows, step] - np.arctan2(rotation[1, 0], rotation[0, 0])
        yaw = turned - 2 * np.pi * np.floor((turned + np.pi) / (2 * np.pi))
        return Labels(
            time_ns=time_ns,
            boxes=np.column_stack([centre, found.size[rows, step], yaw]),
            category=found.category[rows],
            track_id=found.track_id[rows],
            velocity=found.velocity[rows, step] @ rotation,
            # what a forecast of counts is 2, as in Argoverse 2; all others are whole tracks
            forecast_role=np.where(np.isin(rows, found.to_predict[:, 0]), 2, 1).astype(np.int64),
        )

    @once
    def _lights(self) -> dict[str, NDArray[np.int64]]:
        return self.scenario.lanes_with_lights()

    def traffic_lights(self, time_ns: int) -> dict[str, int]:
        """Returns lane -> its light at one of the steps, an index into `scenario.LANE_STATES`; those that were seen."""
        step = self.step_of(time_ns)
        states = {} if step is None else {lane: int(states[step]) for lane, states in self._lights.items()}
        return {lane: state for lane, state in states.items() if state >= 0}

    def read_map(self) -> HDMap | None:
        from .map import read_map

        return read_map(self.location, self.scenario.map_features, self._lights.keys())


def _chosen(path: Path, records: Sequence[TFRecord], broken: BrokenRecord | None, scenario: str | int | None) -> bytes:
    """Returns the bytes of the scenario with this id, or of this number, or of the only one; `broken`: what is wrong
    with the record behind the last."""
    if not records:
        raise BrokenRecord(f"{path}: holds no records, wanted a scenario")
    if scenario is None and len(records) == 1 and broken is None:
        return read_record(path, records[0], _WHAT)
    number = int(scenario) if scenario is not None and str(scenario).isdecimal() and len(str(scenario)) < 9 else -1
    if 0 <= number < len(records):
        return read_record(path, records[number], _WHAT)
    if number == len(records) and broken is not None:
        raise broken
    ids, damage = [], [] if broken is None else [broken]
    for at, record in enumerate(records):
        try:
            data = read_record(path, record, _WHAT)
            ids.append(scenario_id(data))
        # one that is damaged may have any id, and is not looked for in
        except ValueError as error:
            damage.append(BrokenRecord(f"{path}: record {at} is not a scenario ({' '.join(str(error).split())[:160]})"))
            continue
        if ids[-1] == scenario:
            return data
    if not ids:
        raise damage[0]
    listed = ", ".join(ids[:3]) + (", ..." if ids[3:] else "")
    lost = f" and {len(damage)} that cannot be read, the first: {damage[0]}" if damage else ""
    said = f"{path}: holds {len(ids)} scenarios ({listed}){lost}"
    if scenario is None:
        raise BadOption.of(said, "say which with", "scenario", ids[0])
    near = get_close_matches(str(scenario), ids, n=1) or ids[:1]
    said = f"{path}: no scenario '{str(scenario)[:40]}' among {len(ids)} ({listed}){lost}"
    raise BadOption.of(said, "say which with", "scenario", near[0])
