"""One moment of a log. Lazy: nothing is read until it is asked for, and then once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from .arrays import Times
from .cache import Cache
from .errors import MissingRecord
from .hdmap import HDMap
from .once import get_or_make, once
from .poses import Poses
from .records import CameraImage, Labels, LidarSweep, RadarSweep
from .signal import Signal
from .source import Source

__all__ = ["Frame", "Sync"]

Each = Callable[[Callable[[tuple[str, int]], object], list[tuple[str, int]]], None]
"""(work, items): does the work on each item."""
Record = TypeVar("Record", CameraImage, RadarSweep)
Made = TypeVar("Made")


class Records(Protocol):
    """What a frame needs of its log."""

    source: Source
    camera_tolerance_ns: int
    camera_sync: Literal["nearest", "before"]
    sweep_tolerance_ns: int | None
    on_error: Literal["raise", "skip"]
    cache: Cache

    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def poses(self) -> Poses: ...
    @property
    def map(self) -> HDMap | None: ...
    @property
    def point_classes(self) -> Mapping[int, str] | None: ...
    def world_from_ego(self, time_ns: int) -> NDArray[np.float64]: ...
    def lidar(self, sensor: str, index: int) -> LidarSweep | None: ...
    def at_hand(self, kind: Literal["lidar", "radar"], sensor: str, index: int) -> bool: ...
    def radar(self, sensor: str, index: int) -> RadarSweep | None: ...
    def camera(self, camera: str, index: int) -> CameraImage | None: ...
    def labels(self, time_ns: int) -> Labels | None: ...
    @property
    def signals(self) -> tuple[str, ...]: ...
    def signal(self, name: str) -> Signal | None: ...
    def or_skip(self, what: str, read: Callable[[], Made]) -> Made | None: ...
    def sensor_times(self, streams: Mapping[str, Times], sensor: str) -> Times: ...


@dataclass(frozen=True, eq=False)
class Sync:
    """How the sensors of one kind fit a frame's time."""

    sensors: tuple[str, ...]
    valid: NDArray[np.uint8]
    """(K,) 1 where the frame has a record of the sensor."""
    dt_ns: NDArray[np.int64]
    """(K,) the record's stamp less the frame's; 0 where there is none."""

    def __repr__(self) -> str:
        each = zip(self.sensors, self.valid, self.dt_ns, strict=True)
        apart = [f"{name} {f'{dt_ns * 1e-6:+.1f} ms' if there else 'none'}" for name, there, dt_ns in each]
        return f"<Sync: {', '.join(apart) or 'no sensors'}>"


class Frame:
    """The records around one reference time, the newest lidar stamp; the ego frame is that of `time_ns`."""

    def __init__(self, log: Records, index: int) -> None:
        self.log = log
        self.index = index
        self.time_ns = int(log.source.times_ns[index])
        # what was read of the log for this frame: it has it for as long as it lives, whatever the log forgets
        self._read: dict[Hashable, Any] = {}

    def __reduce__(self) -> tuple[Callable[..., Frame], tuple[Records, int]]:
        # as its log and its place in it: what was read stays behind
        return Frame, (self.log, self.index)

    def __repr__(self) -> str:
        return f"<Frame {self.index} ({self.id}) of {self.log.source.name} at {self.time_ns} ns>"

    def __str__(self) -> str:
        """As messages call it: frame 2 (000134)."""
        return f"frame {self.index} ({self.id})"

    @property
    def id(self) -> str:
        """The dataset's own name of this moment, such as KITTI's 000134; its time where the dataset has none."""
        return self.log.ids[self.index]

    @property
    def poses(self) -> Poses:
        """Poses of the whole log: world_from_ego at any recorded time."""
        return self.log.poses

    @once
    def world_from_ego(self) -> NDArray[np.float64]:
        """(4, 4) float64 at `time_ns`, read-only."""
        world_from_ego = self.log.world_from_ego(self.time_ns)
        world_from_ego.flags.writeable = False
        return world_from_ego

    def _once(self, key: Hashable, read: Callable[[], Made]) -> Made:
        """Returns what was read under `key`, read once whatever the threads; different keys are read side by side."""
        return cast(Made, get_or_make(self._read, key, read))

    def sweeps(
        self,
        n: int = 1,
        sensor: str | None = None,
        each: Each | None = None,
        *,
        step: int = 1,
        keyframes: bool = False,
    ) -> list[LidarSweep]:
        """Returns the last `n` sweeps at or before `time_ns`, newest first.

        Of `sensor`, or of every lidar of the log; at the start of a log there are fewer. A frame of a log
        that is not a sequence has only its own sweep.
        each: calls a function on each item of a list, perhaps on several threads: records are then read side by side.
        step: only every so many-th, beginning with the newest. keyframes: only those that were the newest of a frame
        of the log, such as nuScenes' samples.
        """
        return [sweep for _, sweep in self.ranked_sweeps(n, sensor, each, step=step, keyframes=keyframes)]

    def ranked_sweeps(
        self,
        n: int = 1,
        sensor: str | None = None,
        each: Each | None = None,
        *,
        step: int = 1,
        keyframes: bool = False,
    ) -> list[tuple[int, LidarSweep]]:
        """Returns the same, each with its place in its sensor's past: 0 for the newest, up to n - 1.

        A broken record that the log skips leaves its place empty.
        """
        picked = self._picked(self.log.source.lidars, sensor, n, step, keyframes)
        self._read_side_by_side("lidar", picked, self._sweep, each)
        return [(rank, sweep) for name, i, rank in picked if (sweep := self._sweep(name, i)) is not None]

    def _picked(
        self,
        streams: Mapping[str, Times],
        sensor: str | None,
        n: int,
        step: int,
        keyframes: bool,
        newest: Literal["before", "nearest"] = "before",
    ) -> list[tuple[str, int, int]]:
        """Returns sensor, number and rank of the records that are asked for, newest first."""
        names = list(streams) if sensor is None else [sensor]
        times = {name: self.log.sensor_times(streams, name) for name in names}
        pasts = {name: self._past(own, n, step, keyframes, newest) for name, own in times.items()}
        picked = [(name, i, rank) for name, past in pasts.items() for rank, i in enumerate(past)]
        return sorted(picked, key=lambda at: -int(streams[at[0]][at[1]]))

    def _read_side_by_side(
        self,
        kind: Literal["lidar", "radar"],
        picked: list[tuple[str, int, int]],
        read: Callable[[str, int], object],
        each: Each | None,
    ) -> None:
        if each is not None:
            # what is there already is had sooner than another thread has begun
            where = [(name, i) for name, i, _ in picked]
            waits = [at for at in where if (kind, *at) not in self._read and not self.log.at_hand(kind, *at)]
            if len(waits) > 1:
                each(lambda at: read(*at), waits)

    def _past(
        self,
        times: NDArray[np.int64],
        n: int,
        step: int = 1,
        keyframes: bool = False,
        newest: Literal["before", "nearest"] = "before",
    ) -> Sequence[int]:
        """The last `n` records, newest first: every `step`-th of all, or of those of frames; of unrelated frames only
        the frame's own. The first is the last at or before `time_ns`, or the nearest to it."""
        if step < 1:
            raise ValueError(f"step must be 1 or more, got {step}")
        last = _newest(times, self.time_ns, newest)
        if last < 0 or (not self.log.source.sequential and times[last] != self.time_ns):
            return ()
        tolerance = self.log.sweep_tolerance_ns
        if tolerance is not None and abs(self.time_ns - int(times[last])) > tolerance:
            return ()
        if not self.log.source.sequential:
            return range(last, last - min(n, 1), -1)
        if keyframes:
            frames_ns = self.log.source.times_ns[max(self.index + 1 - n * step, 0) : self.index + 1]
            own = {_newest(times, frame_ns, newest) for frame_ns in frames_ns.tolist()}
            return sorted(own - {-1}, reverse=True)[::step]
        return range(last, max(last - n * step, -1), -step)

    def _sweep(self, sensor: str, index: int) -> LidarSweep | None:
        return self._once(("lidar", sensor, index), partial(self.log.lidar, sensor, index))

    @property
    def lidar(self) -> LidarSweep | None:
        """The newest sweep of the primary lidar; None where the log has no lidar or none so early."""
        primary = next(iter(self.log.source.lidars), None)
        found = [] if primary is None else self.sweeps(1, primary)
        return found[0] if found else None

    @once
    def radars(self) -> Mapping[str, RadarSweep]:
        """Radar -> its newest cycle at or before `time_ns`; each is read when it is first taken."""
        return _Lazy(
            "radar",
            {name: next(iter(self._past(times, 1)), None) for name, times in self.log.source.radars.items()},
            self._radar_sweep,
        )

    @property
    def radar(self) -> Mapping[str, RadarSweep]:
        return self.radars

    def radar_sweeps(
        self,
        n: int = 1,
        sensor: str | None = None,
        each: Each | None = None,
        *,
        step: int = 1,
        keyframes: bool = False,
    ) -> list[RadarSweep]:
        """Returns the last `n` cycles of `sensor`, or of every radar, at or before `time_ns`, newest first.

        each, step, keyframes: as for `sweeps`. `each` pays where a file is slow to come, as over a network: a cycle on
        disk is read and taken apart in 50 us, in which threads of Python do little side by side.
        """
        return [cycle for _, cycle in self.ranked_radar_sweeps(n, sensor, each, step=step, keyframes=keyframes)]

    def ranked_radar_sweeps(
        self,
        n: int = 1,
        sensor: str | None = None,
        each: Each | None = None,
        *,
        step: int = 1,
        keyframes: bool = False,
        newest: Literal["before", "nearest"] = "before",
    ) -> list[tuple[int, RadarSweep]]:
        """Returns the same, each with its place in its sensor's past, as `ranked_sweeps` does.

        newest: the first is the last one at or before `time_ns`, or the one nearest to it, which may be later.
        """
        picked = self._picked(self.log.source.radars, sensor, n, step, keyframes, newest)
        self._read_side_by_side("radar", picked, self._radar_sweep, each)
        return [(rank, cycle) for name, i, rank in picked if (cycle := self._radar_sweep(name, i)) is not None]

    def _radar_sweep(self, sensor: str, index: int) -> RadarSweep | None:
        return self._once(("radar", sensor, index), partial(self.log.radar, sensor, index))

    def _picture(self, camera: str, index: int) -> CameraImage | None:
        return self._once(("camera", camera, index), partial(self.log.camera, camera, index))

    @once
    def cameras(self) -> Mapping[str, CameraImage]:
        """Camera -> its picture nearest to `time_ns`, if within the log's tolerance; bytes are read when asked for."""
        nearest = {name: self._nearest(times) for name, times in self.log.source.cameras.items()}
        return _Lazy("camera", nearest, self._picture)

    def sync(self, kind: Literal["lidars", "radars", "cameras"]) -> Sync:
        """Returns which sensors have a record in this frame, and how far from `time_ns` it was taken; reads nothing."""
        streams: Mapping[str, NDArray[np.int64]] = getattr(self.log.source, kind)
        picked = {name: self._pick(kind, times) for name, times in streams.items()}
        dt_ns = [0 if i is None else int(streams[name][i]) - self.time_ns for name, i in picked.items()]
        valid = [i is not None for i in picked.values()]
        return Sync(tuple(picked), np.array(valid, dtype=np.uint8), np.array(dt_ns, dtype=np.int64))

    def _pick(self, kind: str, times: NDArray[np.int64]) -> int | None:
        return self._nearest(times) if kind == "cameras" else next(iter(self._past(times, 1)), None)

    @property
    def ego_from_lidar(self) -> NDArray[np.float64]:
        """(4, 4) float64: where the primary lidar is mounted, by this frame's record; raises MissingRecord."""
        lidar = self.lidar
        if lidar is None:
            raise MissingRecord(
                f"{self.log.source.location}: {self} has no sweep of the primary lidar, so its axes are not known"
            )
        return lidar.ego_from_sensor

    @once
    def labels(self) -> Labels | None:
        """The boxes labelled at `time_ns`, ego frame; None where the log has no labels for it."""
        found = self.log.labels(self.time_ns)
        return None if found is None else replace(found, ego_from_lidar=partial(_ego_from_lidar, self.log, self.index))

    @property
    def map(self) -> HDMap | None:
        return self.log.map

    def signal(self, name: str, before_s: float = 1.0, after_s: float = 0.0) -> Signal | None:
        """Returns the messages of a signal from `before_s` before `time_ns` to `after_s` after it, both included.

        None where the signal is broken and the log skips what is. Raises MissingRecord that names the log's signals.
        """
        whole = self.log.signal(name)
        if whole is None:
            return None
        # infinity too: all of it
        before_ns, after_ns = (int(min(span_s * 1e9, 2.0**63)) for span_s in (before_s, after_s))
        return whole.between(self.time_ns - before_ns, self.time_ns + after_ns)

    def sweep_times_ns(
        self, n: int = 1, sensor: str | None = None, *, step: int = 1, keyframes: bool = False
    ) -> list[int]:
        """Returns the stamps of the last `n` sweeps of one lidar at or before `time_ns`, newest first; reads none.

        sensor: None: the primary lidar; a log without one has none. step, keyframes: as for `sweeps`.
        """
        streams = self.log.source.lidars
        name = next(iter(streams), None) if sensor is None else sensor
        if name is None:
            return []
        times = self.log.sensor_times(streams, name)
        return [int(times[i]) for i in self._past(times, n, step, keyframes)]

    def _nearest(self, times: NDArray[np.int64]) -> int | None:
        """The picture that belongs to this frame by the log's rule, or None where none is within its tolerance."""
        best = _newest(times, self.time_ns, self.log.camera_sync)
        known = best >= 0 and abs(int(times[best]) - self.time_ns) <= self.log.camera_tolerance_ns
        return best if known else None


def _newest(times: NDArray[np.int64], time_ns: int, rule: Literal["before", "nearest"]) -> int:
    """Returns the number of the last record at or before a time, or of the nearest, of two the earlier; -1: none."""
    last = int(np.searchsorted(times, time_ns, side="right")) - 1
    # in Python's integers: a difference of int64 may wrap
    near = [last] if rule == "before" else [last, last + 1]
    return min(((abs(int(times[i]) - time_ns), i) for i in near if 0 <= i < len(times)), default=(0, -1))[1]


def _ego_from_lidar(log: Records, index: int) -> NDArray[np.float64]:
    """For labels, which outlive their frame, and must not keep what it has read."""
    return Frame(log, index).ego_from_lidar


class _Lazy(Mapping[str, Record]):
    """Name -> record, read when first taken. Names without a record are left out."""

    def __init__(self, kind: str, indices: dict[str, int | None], read: Callable[[str, int], Record | None]) -> None:
        self._kind = kind
        self._indices = {name: index for name, index in indices.items() if index is not None}
        self._read: Callable[[str, int], Record | None] = read

    def __repr__(self) -> str:
        return f"<{len(self)} {self._kind}{'' if len(self) == 1 else 's'}: {', '.join(self) or 'none at this frame'}>"

    def __getitem__(self, name: str) -> Record:
        if name not in self._indices:
            raise KeyError(f"no {self._kind} '{name}' at this frame; there are {', '.join(self._indices) or 'none'}")
        record = self._read(name, self._indices[name])
        if record is None:
            raise MissingRecord(f"the record of {self._kind} '{name}' is broken and was skipped")
        return record

    def __contains__(self, name: object) -> bool:
        # Mapping's own would read the record
        return name in self._indices

    def __iter__(self) -> Iterator[str]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)
