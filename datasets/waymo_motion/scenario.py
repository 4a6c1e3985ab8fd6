"""One scenario of Waymo Open Motion from its bytes: times, tracks, traffic lights, and map features as they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Matrix, Times

from ..reading.protobuf import bytes_of, double_of, doubles, fields_of, float_of, signed, whole_numbers

__all__ = ["LANE_STATES", "TRACK_TYPES", "Fields", "Scenario", "fields", "last", "read_scenario", "scenario_id"]

Fields = dict[int, list[int | bytes]]

TRACK_TYPES = ("UNSET", "VEHICLE", "PEDESTRIAN", "CYCLIST", "OTHER")
LANE_STATES = (
    *("UNKNOWN", "ARROW_STOP", "ARROW_CAUTION", "ARROW_GO", "STOP", "CAUTION", "GO"),
    *("FLASHING_STOP", "FLASHING_CAUTION"),
)

_FARTHEST_M = 1e9
_LATEST_S = 1e9
_MOST_STATES = 5_000_000
_UNREAD = {12: "lidar of past frames", 13: "camera tokens of past frames"}
_READ = (1, 2, 4, 5, 6, 7, 8, 10, 11)


@dataclass(frozen=True, eq=False)
class Scenario:
    """What the file says, T tracks at S steps; world frame, metres. Where `valid` is false numbers are 0."""

    id: str
    times_ns: Times
    """(S,) from about 0 on: scenarios have no date."""
    current_index: int
    """The step from which on everything is to be predicted."""
    ego: int
    """The track of the recording car."""
    track_id: NDArray[np.str_]
    category: NDArray[np.str_]
    """(T,) one of TRACK_TYPES."""
    centre: Matrix
    """(T, S, 3)"""
    size: Matrix
    """(T, S, 3) length, width, height."""
    heading_rad: Matrix
    """(T, S)"""
    velocity: Matrix
    """(T, S, 2) m/s, along the world's axes."""
    valid: NDArray[np.bool_]
    """(T, S)"""
    to_predict: NDArray[np.int64]
    """(k, 2) a track that is to be predicted, and how difficult that is: 0, 1 or 2."""
    objects_of_interest: NDArray[np.str_]
    """(k,) ids of tracks that interact."""
    lights: tuple[bytes, ...]
    """(S,) or none: the traffic lights of each step, not yet read."""
    map_features: tuple[bytes, ...]
    """Not yet read."""
    unread: dict[str, int]
    """What else the file holds, with counts."""

    def lanes_with_lights(self) -> dict[str, NDArray[np.int64]]:
        """Returns lane -> (S,) its light at each step, an index into LANE_STATES; -1 where none was seen.

        Raises BrokenRecord. A state that is not known is UNKNOWN.
        """
        found: dict[str, NDArray[np.int64]] = {}
        try:
            for step, data in enumerate(self.lights):
                for light in (fields(bytes_of(part)) for part in fields(data).get(1, [])):
                    lane, state = (signed(last(light, number)) for number in (1, 2))
                    states = found.setdefault(str(lane), np.full(len(self.times_ns), -1, dtype=np.int64))
                    states[step] = state if 0 <= state < len(LANE_STATES) else 0
        except ValueError as error:
            raise BrokenRecord(
                f"scenario {self.id}: its traffic lights are not those of a scenario ({error})"
            ) from error
        return found


def fields(data: bytes) -> Fields:
    """Returns number -> its values; raises ValueError."""
    found: Fields = {}
    for number, value in fields_of(data):
        found.setdefault(number, []).append(value)
    return found


def last(found: Fields, number: int, default: int = 0) -> int | bytes:
    """Returns the last value of a field, which counts where there are several."""
    return found[number][-1] if number in found else default


def scenario_id(data: bytes) -> str:
    """Returns the id in the bytes of a scenario, and reads no more of it than that needs; raises ValueError."""
    found = [value for number, value in fields_of(data) if number == 5]
    return bytes_of(found[-1]).decode("utf-8") if found else ""


def read_scenario(where: str, data: bytes) -> Scenario:
    """Returns a checked scenario; raises BrokenRecord that begins with `where`."""
    try:
        return _scenario(where, data)
    except BrokenRecord:
        raise
    # a text that is not UTF-8 is a ValueError too
    except (ValueError, OverflowError) as error:
        raise BrokenRecord(f"{where}: not a scenario ({error})") from error


def _scenario(where: str, data: bytes) -> Scenario:
    found = fields(data)
    seconds = np.array(doubles(found.get(1, [])), dtype=np.float64)
    tracks = [fields(bytes_of(value)) for value in found.get(2, [])]
    id, ego = bytes_of(found.get(5, [b""])[-1]).decode("utf-8"), signed(last(found, 6, -1))
    if not len(seconds) or not tracks:
        raise BrokenRecord(
            f"{where}: {len(tracks)} tracks at {len(seconds)} times, wanted at least one; not a scenario"
        )
    if not (np.abs(seconds) <= _LATEST_S).all() or not (np.diff(seconds) > 0).all():
        raise BrokenRecord(f"{where}: its times do not increase, or are not seconds")
    if not 0 <= ego < len(tracks):
        raise BrokenRecord(f"{where}: the recording car is track {ego} of {len(tracks)}")
    lights = tuple(bytes_of(value) for value in found.get(7, []))
    types = [signed(last(track, 2)) for track in tracks]
    unread = {f"tracks of type {type}, which are OTHER": types.count(type) for type in set(types) if not _is_type(type)}
    unread |= {
        _UNREAD.get(number, f"fields {number} of the scenario"): len(v)
        for number, v in found.items()
        if number not in _READ
    }
    if len(lights) not in (0, len(seconds)):
        # which of them is of which step is not known
        unread[f"steps of traffic lights, since the scenario has {len(seconds)} steps"] = len(lights)
        lights = ()
    to_predict = [fields(bytes_of(value)) for value in found.get(11, [])]
    states = _states(where, tracks, len(seconds), ego, unread)
    return Scenario(
        id=id,
        times_ns=np.rint(seconds * 1e9).astype(np.int64),
        current_index=signed(last(found, 10)),
        ego=ego,
        track_id=_ids(where, tracks),
        category=np.array([TRACK_TYPES[type] if _is_type(type) else "OTHER" for type in types], dtype=np.str_),
        **states,
        to_predict=_to_predict(where, to_predict, len(tracks)),
        objects_of_interest=np.array(list(map(str, whole_numbers(found.get(4, [])))), dtype=np.str_),
        lights=lights,
        map_features=tuple(bytes_of(value) for value in found.get(8, [])),
        unread=unread,
    )


def _is_type(type: int) -> bool:
    return 0 <= type < len(TRACK_TYPES)


def _ids(where: str, tracks: Sequence[Fields]) -> NDArray[np.str_]:
    ids = [signed(last(track, 1)) for track in tracks]
    if len({*ids}) != len(ids):
        twice = next(id for id in ids if ids.count(id) > 1)
        raise BrokenRecord(f"{where}: two tracks have the id {twice}, wanted one")
    return np.array(list(map(str, ids)), dtype=np.str_)


def _to_predict(where: str, found: Sequence[Fields], tracks: int) -> NDArray[np.int64]:
    rows = [(signed(last(row, 1)), signed(last(row, 2))) for row in found]
    if any(not 0 <= track < tracks for track, _ in rows):
        raise BrokenRecord(f"{where}: a track that is to be predicted is not one of its {tracks}")
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def _states(where: str, tracks: Sequence[Fields], steps: int, ego: int, unread: dict[str, int]) -> dict[str, Any]:
    """Returns centre, size, heading_rad, velocity and valid, by track and step.

    A state that is not finite is not known, and neither is any of a track that has more or fewer than there are steps:
    `unread` gets them. Raises BrokenRecord where that is the recording car, at row `ego`.
    """
    if len(tracks) * steps > _MOST_STATES:
        raise BrokenRecord(f"{where}: {len(tracks)} tracks at {steps} times, wanted at most {_MOST_STATES} states")
    # x y z, length width height, heading, velocity x y; and whether that is known
    numbers, valid = np.zeros((len(tracks), steps, 9)), np.zeros((len(tracks), steps), dtype=np.bool_)
    for row, track in enumerate(tracks):
        states = track.get(3, [])
        if len(states) != steps:
            id = signed(last(track, 1))
            if row == ego:
                raise BrokenRecord(f"{where}: track {id} has {len(states)} states, the scenario {steps} times")
            unread[f"states of track {id}, since the scenario has {steps} steps"] = len(states)
            continue
        for step, state in enumerate(states):
            for number, value in fields_of(bytes_of(state)):
                if 2 <= number <= 4:
                    numbers[row, step, number - 2] = double_of(value)
                elif 5 <= number <= 10:
                    numbers[row, step, number - 2] = float_of(value)
                elif number == 11:
                    valid[row, step] = signed(value) != 0
    numbers[~valid] = 0
    bad = ~(np.abs(numbers) <= _FARTHEST_M).all(axis=2) | (numbers[:, :, 3:6] < 0).any(axis=2)
    if bad.any():
        row, step = (int(i) for i in np.argwhere(bad)[0])
        id = signed(last(tracks[row], 1))
        unread[f"states that are not finite metres, the first of track {id} at step {step}"] = int(bad.sum())
        numbers[bad], valid[bad] = 0, False
    return {
        "centre": numbers[:, :, :3],
        "size": numbers[:, :, 3:6],
        "heading_rad": numbers[:, :, 6],
        "velocity": numbers[:, :, 7:],
        "valid": valid,
    }
