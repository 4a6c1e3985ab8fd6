"""A log: one drive, opened in place. It turns a reader's records into frames, and reads only what is asked for."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from perceptum.plural import counted

from .arrays import Times
from .cache import Cache
from .errors import BrokenRecord, LogError, MissingRecord, PoseUnknown
from .frame import Frame
from .hdmap import HDMap
from .increasing import Increasing
from .once import Guard, once
from .poses import Poses
from .records import CameraImage, Labels, LidarSweep, RadarSweep, read_only
from .source import Source, ids_of, in_memory, sensor_streams, unreadable_of

__all__ = ["Log"]

Record = TypeVar("Record")
Shared = TypeVar("Shared", LidarSweep, RadarSweep, CameraImage, Labels)

_SKIPPED = (BrokenRecord, MissingRecord, PoseUnknown)
"""What is wrong with one record, and not with how the log was asked or installed."""


class Log:
    """One drive. `len(log)`, `log[12]`, `log.frames(start, stop, step)`, `log.info()`."""

    def __init__(
        self,
        source: Source,
        *,
        camera_tolerance_ns: int = 60_000_000,
        camera_sync: Literal["nearest", "before"] = "nearest",
        sweep_tolerance_ns: int | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        if camera_sync not in ("nearest", "before"):
            raise LogError(f"camera_sync must be 'nearest' or 'before', got {camera_sync!r}")
        if on_error not in ("raise", "skip"):
            raise LogError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
        unreadable = unreadable_of(source)
        # without a frame what is broken says why
        if unreadable and (on_error == "raise" or len(source.times_ns) == 0):
            raise unreadable[0]
        if len(source.times_ns) == 0:
            raise LogError(f"{source.location}: no frames in this {source.dataset} log")
        _check_kinds(source)
        disorder = _disorder(source)
        if disorder is not None and on_error == "raise":
            raise LogError(disorder)
        left_out = [str(error) for error in unreadable]
        if disorder is not None:
            source = ordered = Increasing(source)
            left_out += ordered.left_out
        self.source = source
        self.camera_tolerance_ns = camera_tolerance_ns
        """A picture further than this from a frame's time is not part of the frame."""
        self.camera_sync = camera_sync
        """nearest: the picture nearest to a frame's time; before: the last one at or before it."""
        self.sweep_tolerance_ns = sweep_tolerance_ns
        """A lidar or radar that has been silent for longer has no record in the frame; None: however long."""
        self.on_error = on_error
        """raise: a broken record is an error; skip: it is left out, and listed in `skipped`."""
        self.skipped: list[str] = left_out
        """What was left out so far, a line for each record, however often it was asked for.

        Broken poses too, also where `on_error` is raise: a frame that needs one raises PoseUnknown."""
        self._told = set(left_out)
        self.reads: Counter[str] = Counter()
        """How many records were read so far, by kind and sensor: `lidar/LIDAR_TOP`; not what the cache still had."""
        self._counting = Guard()
        self.cache = Cache(cache_bytes)
        """What frames share: records of lidars and radars, labels, and what those who use the log put there."""

    def __getstate__(self) -> dict[str, Any]:
        # another process reads for itself: these may be large
        return {name: value for name, value in vars(self).items() if name not in ("map", "ids", "poses")}

    def __repr__(self) -> str:
        return f"<Log {self.source.dataset} {self.source.name}: {counted(len(self), 'frame')}>"

    def __len__(self) -> int:
        return len(self.source.times_ns)

    def __getitem__(self, index: int) -> Frame:
        given: object = index
        if isinstance(given, slice):
            words = ", ".join(str(word) for word in (given.start, given.stop, given.step))
            raise TypeError(f"a log gives one frame by its number; several are log.frames({words}), or list(...) of it")
        if isinstance(given, str):
            raise TypeError(
                f"a log gives a frame by its number, got {given!r}; of an id that is log.ids.index({given!r})"
            )
        if not -len(self) <= operator.index(index) < len(self):
            raise IndexError(f"{self.source.location}: no frame {index}, the log has {len(self)}")
        return Frame(self, index % len(self))

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: int | None = None, stop: int | None = None, step: int | None = None) -> Iterator[Frame]:
        """Yields the frames of log[start:stop:step], each lazy."""
        for index in range(len(self))[start:stop:step]:
            yield self[index]

    def world_from_ego(self, time_ns: int) -> NDArray[np.float64]:
        """Returns (4, 4) float64 at any time within the log; raises PoseUnknown elsewhere."""
        return self.poses.at(time_ns)

    @once
    def poses(self) -> Poses:
        """world_from_ego over the log. Poses that are broken leave gaps, which `skipped` lists from here on."""
        poses = self.source.poses
        for broken in poses.broken:
            self._leave_out(f"poses: {broken.why}")
        return poses

    @once
    def ids(self) -> Sequence[str]:
        """(F,) the dataset's own name of each frame; its time in nanoseconds where it has none. All are different."""
        found = self.or_skip("ids", lambda: ids_of(self.source))
        ids = list(map(str, self.source.times_ns.tolist() if found is None else found))
        if len(ids) != len(self):
            raise LogError(f"{self.source.location}: {len(ids)} names of frames, wanted {len(self)}, one each")
        twice = [id for id, count in Counter(ids).items() if count > 1]
        if twice:
            raise LogError(f"{self.source.location}: two frames have the name {twice[0]!r}; each must have its own")
        return ids

    @once
    def map(self) -> HDMap | None:
        """The HD map, read once per log; None where the log has none, or a broken one and skips what is."""
        return self._read("map", "map", self.source.read_map)

    def lidar(self, sensor: str, index: int) -> LidarSweep | None:
        """Returns one record, its columns read-only; None where it is broken and the log skips what is.

        Read once for as long as the cache keeps it, a broken one too.
        """
        read = partial(self.source.read_lidar, sensor, index)
        return self.cache.get(("lidar", sensor, index), lambda: self._record(f"lidar/{sensor}", index, read))

    def at_hand(self, kind: Literal["lidar", "radar"], sensor: str, index: int) -> bool:
        """Whether a record can be had without waiting for a file."""
        return in_memory(self.source) or (kind, sensor, index) in self.cache

    def radar(self, sensor: str, index: int) -> RadarSweep | None:
        read = partial(self.source.read_radar, sensor, index)
        return self.cache.get(("radar", sensor, index), lambda: self._record(f"radar/{sensor}", index, read))

    def camera(self, camera: str, index: int) -> CameraImage | None:
        """Returns one picture, which the log does not keep: it is rarely of two frames, and large."""
        return self._record(f"camera/{camera}", index, partial(self.source.read_camera, camera, index))

    def labels(self, time_ns: int) -> Labels | None:
        read = partial(self.source.read_labels, time_ns)
        return self.cache.get(("labels", time_ns), lambda: self._record("labels", time_ns, read))

    def pixels(
        self,
        picture: CameraImage,
        out: NDArray[np.uint8] | None = None,
        *,
        rows: tuple[int, int] | None = None,
        reduce: int = 1,
        scratch: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8] | None:
        """Returns what `picture.decode` does; None where it cannot be read or decoded and the log skips what is
        broken."""
        what = f"camera/{picture.camera} at {picture.time_ns} ns"
        return self.or_skip(what, partial(picture.decode, out, rows=rows, reduce=reduce, scratch=scratch))

    def _record(self, what: str, which: int, read: Callable[[], Shared | None]) -> Shared | None:
        record = self._read(what, f"{what} {which}", read)
        return None if record is None else read_only(record)

    def _read(self, what: str, which: str, read: Callable[[], Record]) -> Record | None:
        with self._counting.lock:
            self.reads[what] += 1
        return self.or_skip(which, read)

    def or_skip(self, what: str, read: Callable[[], Record]) -> Record | None:
        """Returns what `read` gives; None where a broken record prevents it and the log skips those.

        For all that is made of records, such as a frame's tensors; `skipped` then says `what`, and why.
        """
        try:
            return read()
        except _SKIPPED as error:
            if self.on_error == "raise":
                raise
            self._leave_out(f"{what}: {error}")
            return None

    def _leave_out(self, line: str) -> None:
        with self._counting:
            if line not in self._told:
                self._told.add(line)
                self.skipped.append(line)

    def sensor_times(self, streams: Mapping[str, Times], sensor: str) -> Times:
        """Returns the stamps of one sensor; raises MissingRecord that names those there are."""
        try:
            return streams[sensor]
        except KeyError:
            known = ", ".join(streams) or "none"
            raise MissingRecord(f"{self.source.location}: no sensor '{sensor}'; the log has {known}") from None

    def info(self) -> dict[str, Any]:
        """Returns what the log holds, as plain data: frames, span, sensors with counts and rates."""
        times = self.source.times_ns
        return {
            "dataset": self.source.dataset,
            "name": self.source.name,
            "location": self.source.location,
            "frames": len(self),
            "first_id": self.ids[0],
            "last_id": self.ids[-1],
            "start_ns": int(times[0]),
            "duration_s": float(times[-1] - times[0]) * 1e-9,
            "sequential": self.source.sequential,
            "lidars": {name: _rate(t) for name, t in self.source.lidars.items()},
            "radars": {name: _rate(t) for name, t in self.source.radars.items()},
            "cameras": {name: _rate(t) for name, t in self.source.cameras.items()},
            "skipped": len(self.skipped),
        }


def _streams(source: Source) -> Iterator[tuple[str, Times]]:
    yield "frames", source.times_ns
    yield from ((sensor, times) for _, sensor, times in sensor_streams(source))


def _check_kinds(source: Source) -> None:
    for stream, times in _streams(source):
        if times.dtype != np.int64:
            raise LogError(f"{source.location}: the times of {stream} are {times.dtype}, wanted int64 nanoseconds")


def _disorder(source: Source) -> str | None:
    """Returns how the times of the first stream that does not increase fall; None where all increase."""
    for stream, times in _streams(source):
        falls = times[1:] <= times[:-1]
        if falls.any():
            at = int(np.argmax(falls))
            return (
                f"{source.location}: the times of {stream} must increase: "
                f"{times[at]} ns is followed by {times[at + 1]} ns"
            )
    return None


def _rate(times: Times) -> dict[str, Any]:
    hertz = 1e9 / float(np.median(np.diff(times))) if len(times) > 1 else None
    return {"records": len(times), "rate_hz": hertz}
