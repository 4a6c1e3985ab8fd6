"""What a stage asks of a frame, seen by standing between them: nobody declares it, so nobody can forget it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Frame, Log, PointLabels
from perceptum.inputs.point_labels import Column

from ..sample import Draw, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perceptum.inputs import CameraImage, HDMap, Labels, LidarSweep, Poses, RadarSweep, Signal, Times

__all__ = ["DRAW", "Ask", "Asked", "asked_sample"]

Ask = tuple[str | int, ...]
"""("lidar", sensor, index), ("labels", time_ns), ("poses",), ("source", attribute), ("option", name), ("draw",), ..."""

DRAW: Ask = ("draw",)
_OPTIONS = ("camera_tolerance_ns", "camera_sync", "sweep_tolerance_ns", "on_error")
_SAYS_NOTHING = ("location", "in_memory", "unreadable")
"""Attributes of a source that are for messages and for speed."""

Made = TypeVar("Made")


@dataclass(eq=False)
class Capture:
    """What is asked while something is made. Two of them are never the same one, even if they hold the same."""

    asks: dict[Ask, None] = field(default_factory=dict)
    unknown: str | None = None
    """Why what is made depends on something that is not known."""


class Asked:
    """What one stage has asked so far for the frame in flight. Stages that belong to one lane each have one."""

    def __init__(self) -> None:
        self._asks: dict[Ask, None] = {}
        self._captures: list[Capture] = []
        # a stage may remember what it once asked of a log, such as which classes its points have, and ask no more
        self._kept: dict[Ask, None] = {}
        self.unknown: str | None = None
        """Why what the stage depends on is not known; None: it is."""

    def __repr__(self) -> str:
        return f"<Asked: {', '.join('/'.join(map(str, ask)) for ask in self.asks)}>"

    @property
    def asks(self) -> list[Ask]:
        return list({**self._kept, **self._asks})

    def begin(self) -> None:
        """Called before a stage runs on a frame."""
        self._asks, self._captures, self.unknown = {}, [], None

    def note(self, *ask: str | int) -> None:
        self._asks[ask] = None
        for capture in list(self._captures):
            capture.asks[ask] = None
        if ask[0] not in _OF_ONE_MOMENT:
            self._kept[ask] = None

    def note_all(self, asks: Iterable[Ask]) -> None:
        for ask in asks:
            self.note(*ask)

    def give_up(self, why: str) -> None:
        """What the stage gets from here on cannot be compared later: nothing that needs it is kept."""
        self.unknown = self.unknown or why
        for capture in list(self._captures):
            capture.unknown = capture.unknown or why

    @contextmanager
    def capturing(self) -> Iterator[Capture]:
        """Yields what is asked from here on, by any of the stage's threads."""
        found = Capture()
        self._captures.append(found)
        try:
            yield found
        finally:
            self._captures.remove(found)


_OF_ONE_MOMENT = ("lidar", "radar", "camera", "picture", "labels", "point labels", "draw")


def asked_sample(sample: Sample, asked: Asked) -> Sample:
    """Returns the sample as one stage gets it: all that it asks is noted."""
    return _AskedSample(sample, asked)


class _AskedSample(Sample):
    def __init__(self, sample: Sample, asked: Asked) -> None:
        object.__setattr__(self, "frame", _AskedFrame(sample.frame, asked))
        object.__setattr__(self, "_drawn", sample.draw)
        object.__setattr__(self, "_asked", asked)

    @property
    def draw(self) -> Draw | None:
        self._asked.note(*DRAW)  # type: ignore[attr-defined]
        found: Draw | None = self._drawn  # type: ignore[attr-defined]
        return found


class _AskedFrame(Frame):
    """A frame for one stage: the records are those of the frame it stands for, read once for all stages."""

    def __init__(self, frame: Frame, asked: Asked) -> None:
        self.log = _AskedLog(frame, asked)
        self.index = frame.index
        self.time_ns = frame.time_ns
        self._read = {}


class _AskedLog:
    """What a frame, and a stage, needs of a log; whatever else they ask of it cannot be followed."""

    def __init__(self, frame: Frame, asked: Asked) -> None:
        log = frame.log
        assert isinstance(log, Log)
        self._frame, self._log, self._asked = frame, log, asked
        self._pasted = type(frame) is not Frame
        self.source: Any = _AskedSource(log, asked)
        self.cache: Any = _AskedCache(log, asked)

    def __len__(self) -> int:
        self._asked.note("source", "times_ns")
        return len(self._log)

    def __getattr__(self, name: str) -> Any:
        if name in _OPTIONS:
            self._asked.note("option", name)
        elif name != "skipped":
            self._asked.give_up(f"it asks a log for '{name}'")
        return getattr(self._log, name)

    def _found(self, answer: Made, ask: Ask) -> Made:
        self._asked.note(*ask)
        if answer is None and self._log.on_error == "skip":
            # it may be there the next time: a network that was down
            self._asked.give_up(f"{'/'.join(map(str, ask))} may be broken")
        return answer

    @property
    def ids(self) -> Any:
        return self._found(self._log.ids, ("ids",))

    @property
    def poses(self) -> Poses:
        self._asked.note("poses")
        return self._log.poses

    @property
    def map(self) -> HDMap | None:
        self._asked.note("map")
        return self._found(self._log.map, ("map",))

    @property
    def point_classes(self) -> Mapping[int, str] | None:
        self._asked.note("source", "point_classes")
        return self._log.point_classes

    @property
    def signals(self) -> tuple[str, ...]:
        self._asked.note("source", "signals")
        return self._log.signals

    def signal(self, name: str) -> Signal | None:
        self._asked.note("source", "signals")
        self._asked.note("signal", name)
        return self._found(self._log.signal(name), ("signal", name))

    def world_from_ego(self, time_ns: int) -> NDArray[np.float64]:
        self._asked.note("poses")
        return self._log.world_from_ego(time_ns)

    def lidar(self, sensor: str, index: int) -> LidarSweep | None:
        self._note_pasted()
        self._asked.note("lidar", sensor, index)
        sweep = self._found(self._frame._sweep(sensor, index), ("lidar", sensor, index))
        labels = None if sweep is None else sweep.point_labels
        if sweep is None or labels is None:
            return sweep

        def read() -> tuple[Column, Column | None]:
            self._asked.note("point labels", sensor, index)
            return labels.stored

        return replace(sweep, point_labels=PointLabels(read, len(labels), labels.source))

    def at_hand(self, kind: Any, sensor: str, index: int) -> bool:
        # which thread reads a record changes no byte
        return (kind, sensor, index) in self._frame._read or self._log.at_hand(kind, sensor, index)

    def radar(self, sensor: str, index: int) -> RadarSweep | None:
        self._asked.note("radar", sensor, index)
        return self._found(self._frame._radar_sweep(sensor, index), ("radar", sensor, index))

    def camera(self, camera: str, index: int) -> CameraImage | None:
        self._asked.note("camera", camera, index)
        picture = self._found(self._frame._picture(camera, index), ("camera", camera, index))
        return None if picture is None else replace(picture, read=partial(self._encoded, picture, index))

    def _encoded(self, picture: CameraImage, index: int) -> bytes:
        self._asked.note("picture", picture.camera, index)
        return picture.encoded

    def labels(self, time_ns: int) -> Labels | None:
        self._note_pasted()
        self._asked.note("labels", time_ns)
        own = time_ns == self._frame.time_ns
        return self._found(self._frame.labels if own else self._log.labels(time_ns), ("labels", time_ns))

    def _note_pasted(self) -> None:
        if self._pasted:
            self._asked.note(*DRAW)

    def point_labels(self, sweep: LidarSweep) -> PointLabels | None:
        self._asked.note("option", "on_error")
        labels = self._log.point_labels(sweep)
        if labels is None and sweep.point_labels is not None:
            self._asked.give_up("point labels may be broken")
        return labels

    def pixels(self, picture: CameraImage, *args: Any, **others: Any) -> NDArray[np.uint8] | None:
        self._asked.note("option", "on_error")
        pixels = self._log.pixels(picture, *args, **others)
        if pixels is None:
            self._asked.give_up("a picture may be broken")
        return pixels

    def or_skip(self, what: str, read: Callable[[], Made]) -> Made | None:
        self._asked.note("option", "on_error")
        found = self._log.or_skip(what, read)
        if found is None:
            self._asked.give_up(f"{what} may be broken")
        return found

    def sensor_times(self, streams: Mapping[str, Times], sensor: str) -> Times:
        return self._log.sensor_times(streams, sensor)


class _AskedSource:
    def __init__(self, log: Log, asked: Asked) -> None:
        self._source, self._opened, self._asked = log.source, log.opened, asked

    def __getattr__(self, name: str) -> Any:
        if name == "poses":
            self._asked.note("poses")
        elif name not in _SAYS_NOTHING:
            # also where there is no such attribute, and a default is taken
            self._asked.note("source", name)
        with self._opened.reading("source"):
            found = getattr(self._source, name)
        if callable(found):
            self._asked.give_up(f"it asks a reader to '{name}'")
        return found


_made_of: weakref.WeakKeyDictionary[Log, dict[Hashable, tuple[tuple[Ask, ...], str | None]]] = (
    weakref.WeakKeyDictionary()
)
"""Of what a log's cache keeps for stages: what was asked to make it, and why that is not known."""


class _AskedCache:
    """The log's cache: who finds something in it depends on what it was made of."""

    def __init__(self, log: Log, asked: Asked) -> None:
        self._log, self._asked = log, asked

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        made_of = _made_of.setdefault(self._log, {})

        def noted() -> Made:
            with self._asked.capturing() as made:
                value = make()
            made_of[key] = tuple(made.asks), made.unknown
            return value

        value: Made = self._log.cache.get(key, noted)
        if key not in made_of:
            # it was put there by who noted nothing
            noted()
        asks, why = made_of[key]
        self._asked.note_all(asks)
        if why is not None:
            self._asked.give_up(why)
        return value
