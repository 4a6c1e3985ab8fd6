"""The protocol that every dataset reader answers."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from math import isfinite
from numbers import Real
from typing import TYPE_CHECKING, Literal, Protocol

from .arrays import Times
from .errors import LogError, MissingRecord
from .poses import Poses
from .records import CameraImage, Labels, LidarSweep, RadarSweep
from .signal import Measured, Signal

if TYPE_CHECKING:
    # it knows the ground, which asks a source where it is
    from .hdmap import HDMap

__all__ = [
    "Named",
    "SensorKind",
    "Source",
    "ground_z_of",
    "ids_of",
    "in_memory",
    "map_key_of",
    "opens_noted",
    "point_classes_of",
    "read_signal",
    "sensor_streams",
    "signals_of",
    "unreadable_of",
]

SensorKind = Literal["lidar", "radar", "camera"]


class Source(Protocol):
    """What a dataset reader answers: an index when it is made, one record at a time after that.

    The stamps of a sensor strictly increase; record i of a sensor is the one at its times[i]. What the frames' times
    come from must be whole. A reader that opens without a sensor whose own index is broken keeps why in `unreadable`.
    A dataset with names of its own for its frames lists them in `ids`, a text for each of `times_ns`, all different.
    A dataset whose ego frame does not begin on the road says where level road is in it as `ground_z_m`.
    A reader whose sweeps have labels for single points names their codes as `point_classes`, code -> class.
    A reader whose records lie in memory, so that reading one waits for nothing, says so as `in_memory`.
    A reader whose log shares its map with others, as all of a town do, says which it is as `map_key`: logs of one
    dataset with equal keys have equal maps.
    A reader that opens every file through `regular_file`, and keeps for later only what it makes in a `once` or when it
    is opened, says so as `opens_noted`; so does one whose records follow from its options alone. What was built of its
    records is then found again in a cache of tensors without reading them.
    A reader of signals, such as a CAN bus, names them as `signals`: name -> what it measures, as far as is known
    without reading it; `read_signal(name)` gives a Signal.
    """

    dataset: str
    """The reader's name, e.g. kitti_object."""
    name: str
    """The log's own id."""
    location: str
    times_ns: Times
    """(F,) the frames' reference times, strictly increasing."""
    sequential: bool
    """False: the frames are unrelated moments, so that no sweep before a frame belongs to it."""
    lidars: Mapping[str, Times]
    """Sensor -> the stamps of its records, the primary lidar first."""
    radars: Mapping[str, Times]
    cameras: Mapping[str, Times]

    @property
    def poses(self) -> Poses:
        """world_from_ego over the log; a reader may read them when first asked."""
        ...

    def read_lidar(self, sensor: str, index: int) -> LidarSweep: ...
    def read_radar(self, sensor: str, index: int) -> RadarSweep: ...
    def read_camera(self, camera: str, index: int) -> CameraImage: ...
    def read_labels(self, time_ns: int) -> Labels | None: ...
    def read_map(self) -> HDMap | None: ...


def sensor_streams(source: Source) -> Iterator[tuple[SensorKind, str, Times]]:
    """Yields kind, sensor and the stamps of its records: of all lidars, then radars, then cameras."""
    kinds: dict[SensorKind, Mapping[str, Times]] = {
        "lidar": source.lidars,
        "radar": source.radars,
        "camera": source.cameras,
    }
    for kind, streams in kinds.items():
        for sensor, times in streams.items():
            yield kind, sensor, times


class Named:
    """Prints as what it is of: <nuscenes scene-0061>, without reading anything."""

    def __repr__(self) -> str:
        return f"<{getattr(self, 'dataset', type(self).__name__)} {getattr(self, 'name', '')}>"


def ids_of(source: Source) -> Sequence[str] | None:
    """Returns the dataset's own names of the frames; None where it has only their times."""
    found: Sequence[str] | None = getattr(source, "ids", None)
    return found


def ground_z_of(source: Source) -> float:
    """Returns the ego frame's z of level ground below the vehicle, metres; 0 where the source says nothing.

    Raises LogError where it says anything but a finite number.
    """
    found: object = getattr(source, "ground_z_m", 0.0)
    if not isinstance(found, Real) or not isfinite(found):
        raise LogError(f"{source.location}: the source's `ground_z_m` must be a finite number, got {found!r}")
    return float(found)


def point_classes_of(source: Source) -> Mapping[int, str] | None:
    """Returns the class that each code of `LidarSweep.semantic` stands for; None where the log labels no points."""
    found: Mapping[int, str] | None = getattr(source, "point_classes", None)
    return found


def map_key_of(source: Source) -> Hashable | None:
    """Returns what tells the log's map from others of the dataset; None where only reading it does."""
    found: Hashable | None = getattr(source, "map_key", None)
    return found


def unreadable_of(source: Source) -> Sequence[LogError]:
    """Returns what was broken when the source was opened, and is left out of it; most readers have nothing to say."""
    found: Sequence[LogError] = getattr(source, "unreadable", ())
    return found


def signals_of(source: Source) -> Mapping[str, tuple[Measured, ...]]:
    """Returns signal -> what it measures, as far as is known without reading it; most sources have none."""
    found: Mapping[str, tuple[Measured, ...]] = getattr(source, "signals", {})
    if not isinstance(found, Mapping):
        raise LogError(f"{source.location}: the source's `signals` must be a dict, name -> what it measures")
    return found


def read_signal(source: Source, name: str) -> Signal:
    """Returns one of `signals_of` as a whole; raises MissingRecord that names those there are, or BrokenRecord."""
    known = signals_of(source)
    if name not in known:
        raise MissingRecord(f"{source.location}: no signal '{name}'; the log has {', '.join(known) or 'none'}")
    found: object = source.read_signal(name)  # type: ignore[attr-defined]
    if not isinstance(found, Signal):
        raise LogError(f"{source.location}: read_signal('{name}') gave a {type(found).__name__}, wanted a Signal")
    return found


def in_memory(source: Source) -> bool:
    """Whether the source's records are in memory: reading them one after the other is then faster."""
    found: bool = getattr(source, "in_memory", False)
    return found


def opens_noted(source: Source) -> bool:
    """Whether all that the source reads is known by the files that it opens and the options it was opened with."""
    found: object = getattr(source, "opens_noted", False)
    return found is True
