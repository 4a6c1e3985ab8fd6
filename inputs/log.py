"""A log: one drive, opened in place. It turns a reader's records into frames, and reads only what is asked for."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, SupportsIndex, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from perceptum.plural import counted

from .arrays import Times
from .cache import Cache
from .errors import BrokenRecord, LogError, MissingRecord, PoseUnknown
from .frame import Frame
from .hdmap import HDMap
from .increasing import Increasing
from .once import Guard, get_or_make, once
from .opened import Opened, State
from .point_labels import PointLabels
from .poses import Poses
from .records import CameraImage, Labels, LidarSweep, RadarSweep, read_only
from .signal import Signal
from .source import (
    Source,
    ids_of,
    in_memory,
    map_key_of,
    point_classes_of,
    read_signal,
    sensor_streams,
    signals_of,
    unreadable_of,
)

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
        cache: Cache | None = None,
        category_of: Callable[[str], str] | None = None,
    ) -> None:
        """As `open_log` says. cache: one that several logs share, in place of one of `cache_bytes`. category_of: what a
        label's category is called instead, asked once for each that a frame has."""
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
        self.opening: str | None = getattr(source, "opening", None)
        """What was opened and with which options, as text; None: not by `open_log`, so that nobody knows."""
        if self.opening is not None and category_of is not None:
            self.opening += f" {category_of!r}"
        if self.opening is not None and " at 0x" in self.opening:
            # an option that is a function: what it is, its name does not say
            self.opening = None
        self.opened: Opened = getattr(source, "opened", None) or Opened()
        """Which files the log was read from so far."""
        self.cache = Cache(cache_bytes) if cache is None else cache
        """What frames share: records of lidars and radars, labels, and what those who use the log put there."""
        self._category_of = category_of
        self.opened_by: Callable[[], Log] | None = None
        """What opens this log again, in another process too, where that is less than the log's own index. Set by who
        opened it; the log then pickles as that."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return super().__reduce_ex__(protocol) if self.opened_by is None else (_opened, (self.opened_by,))

    def __getstate__(self) -> dict[str, Any]:
        # another process reads for itself: these may be large
        return {name: value for name, value in vars(self).items() if name not in ("map", "ids", "poses", "_held_map")}

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
        with self.opened.reading("poses"):
            poses = self.source.poses
        for broken in poses.broken:
            self._leave_out(f"poses: {broken.why}")
        return poses

    @once
    def ids(self) -> Sequence[str]:
        """(F,) the dataset's own name of each frame; its time in nanoseconds where it has none. All are different."""
        found = self._asked("ids", lambda: ids_of(self.source))
        ids = list(map(str, self.source.times_ns.tolist() if found is None else found))
        if len(ids) != len(self):
            raise LogError(f"{self.source.location}: {len(ids)} names of frames, wanted {len(self)}, one each")
        twice = [id for id, count in Counter(ids).items() if count > 1]
        if twice:
            raise LogError(f"{self.source.location}: two frames have the name {twice[0]!r}; each must have its own")
        return ids

    @once
    def map(self) -> HDMap | None:
        """The HD map, read once per log, and once for all logs that say that theirs is the same one, as of a town;
        None where the log has none, or a broken one and skips what is."""
        same = map_key_of(self.source)
        if same is None:
            return self._read("map", "map", self.source.read_map, "map")
        # a log that skips what is broken has none where another has an error
        key = (self.source.dataset, self.on_error, same)
        # held for as long as one of the logs lives
        self._held_map = get_or_make(_maps, key, self._map_to_share)
        self.opened.take_over("map", self._held_map.files)
        return self._held_map.map

    def _map_to_share(self) -> _Holder:
        found = self._read("map", "map", self.source.read_map, "map")
        return _Holder(found, self.opened.of("map"))

    @property
    def point_classes(self) -> Mapping[int, str] | None:
        """The class that each code of a sweep's `semantic` stands for; None where the log labels no points."""
        return self._asked("point classes", lambda: point_classes_of(self.source))

    def point_labels(self, sweep: LidarSweep) -> PointLabels | None:
        """Returns the labels of a sweep's points, read; None where it has none, or where they cannot be read and the
        log skips what is broken."""
        labels = sweep.point_labels
        if labels is None:
            return None
        what = f"point labels of {sweep.sensor} at {sweep.time_ns} ns"
        return None if self.or_skip(what, lambda: labels.stored) is None else labels

    def lidar(self, sensor: str, index: int) -> LidarSweep | None:
        """Returns one record, its columns read-only; None where it is broken and the log skips what is.

        Read once for as long as the cache keeps it, a broken one too.
        """
        read = partial(self.source.read_lidar, sensor, index)
        return self.cache.get(
            ("lidar", sensor, index), lambda: self._with_labels(index, self._record("lidar", sensor, index, read))
        )

    def at_hand(self, kind: Literal["lidar", "radar"], sensor: str, index: int) -> bool:
        """Whether a record can be had without waiting for a file."""
        return in_memory(self.source) or (kind, sensor, index) in self.cache

    def radar(self, sensor: str, index: int) -> RadarSweep | None:
        read = partial(self.source.read_radar, sensor, index)
        return self.cache.get(("radar", sensor, index), lambda: self._record("radar", sensor, index, read))

    def camera(self, camera: str, index: int) -> CameraImage | None:
        """Returns one picture, which the log does not keep: it is rarely of two frames, and large."""
        picture = self._record("camera", camera, index, partial(self.source.read_camera, camera, index))
        if picture is None or not self.opened.by_record:
            return picture
        return replace(picture, read=partial(self._noted, ("picture", camera, index), picture.read))

    def labels(self, time_ns: int) -> Labels | None:
        """Returns the boxes of a frame, their categories as the log's own or as it was told to call them."""
        return self.cache.get(
            ("labels", time_ns), lambda: self._record("labels", "", time_ns, lambda: self._labels(time_ns))
        )

    def _labels(self, time_ns: int) -> Labels | None:
        labels = self.source.read_labels(time_ns)
        if labels is None or self._category_of is None or not len(labels):
            return labels
        own, at = np.unique(labels.category, return_inverse=True)
        return replace(labels, category=np.array([self._category_of(one) for one in own.tolist()])[at])

    @property
    def signals(self) -> tuple[str, ...]:
        """The names of the log's signals, such as can/pose; none of them is read."""
        return tuple(self._signals())

    def signal(self, name: str) -> Signal | None:
        """Returns a signal over the whole log, read once for as long as the cache keeps it; None where it is broken and
        the log skips what is.

        Single messages that are broken are left out, and `skipped` lists them from here on. Raises MissingRecord for
        a name that is not among `signals`.
        """
        if name not in self._signals():
            # a wrong name is not a broken record: also a log that skips those says so
            read_signal(self.source, name)
        return self.cache.get(("signal", name), lambda: self._signal(name))

    def _signals(self) -> Mapping[str, Any]:
        with self.opened.reading("signals"):
            return signals_of(self.source)

    def _asked(self, what: str, ask: Callable[[], Record]) -> Record | None:
        return self.or_skip(what, partial(self._noted, what, ask))

    def _signal(self, name: str) -> Signal | None:
        read = partial(read_signal, self.source, name)
        signal = self._read(f"signal/{name}", f"signal {name}", read, ("signal", name))
        for line in () if signal is None else signal.broken:
            self._leave_out(f"signal {name}: {line}")
        return signal

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

    def _record(self, kind: str, sensor: str, which: int, read: Callable[[], Shared | None]) -> Shared | None:
        what = f"{kind}/{sensor}" if sensor else kind
        record = self._read(what, f"{what} {which}", read, (kind, sensor, which) if sensor else (kind, which))
        return None if record is None else read_only(record)

    def _with_labels(self, index: int, sweep: LidarSweep | None) -> LidarSweep | None:
        """Returns the sweep, of whose points' labels it is noted where they were read from."""
        labels = None if sweep is None else sweep.point_labels
        if sweep is None or labels is None or not self.opened.by_record:
            return sweep
        read = partial(self._noted, ("point labels", sweep.sensor, index), labels._read)
        return replace(sweep, point_labels=PointLabels(read, len(labels), labels.source))

    def _noted(self, record: Hashable, read: Callable[[], Record]) -> Record:
        with self.opened.reading(record):
            return read()

    def _read(self, what: str, which: str, read: Callable[[], Record], record: Hashable) -> Record | None:
        with self._counting.lock:
            self.reads[what] += 1
        return self.or_skip(which, partial(self._noted, record, read))

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
            "signals": {name: {"measures": list(what)} for name, what in signals_of(self.source).items()},
            "skipped": len(self.skipped),
        }


class _Holder:
    """The map that several logs have, or that there is none, and the files it was read from, where they were noted;
    weakly held, which None cannot be."""

    def __init__(self, of: HDMap | None, files: Mapping[str, State] | None) -> None:
        self.map = of
        self.files = files


_maps: WeakValueDictionary[tuple[str, str, Hashable], _Holder] = WeakValueDictionary()


def _opened(opened_by: Callable[[], Log]) -> Log:
    return opened_by()


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
