"""Which topics of a recording are lidars, radars and cameras."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from perceptum.inputs import MissingRecord, NotALog

from .foxglove_fields import CALIBRATION, VIDEO
from .options import RecordingOptions
from .recording import Recording
from .types import CAMERA_INFO, CLOUD, COMPRESSED, IMAGE, RADAR_SCAN, RADAR_TRACKS

__all__ = ["Sensors", "sensors_of"]

_PICTURES = (IMAGE, COMPRESSED, *VIDEO)
_LENSES = (CAMERA_INFO, *CALIBRATION)
_INFO_NAMES = ("camera_info", "calibration", "camera_calibration")
"""What ROS and what Foxglove's own tools call it."""
_RADARS = (RADAR_SCAN, RADAR_TRACKS)
_PACKETS = ("Packet", "VelodyneScan", "RawSensor")


@dataclass(frozen=True)
class Sensors:
    """The sensor topics, each kind in order."""

    lidars: tuple[str, ...]
    radars: tuple[str, ...]
    cameras: tuple[str, ...]
    infos: Mapping[str, str]
    """Camera topic -> its CameraInfo topic."""
    reference: str
    """The topic whose messages are the frames; first of its kind."""

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.lidars, *self.radars, *self.cameras)

    def among(self, topics: Collection[str], asked: str | None) -> Sensors:
        """Returns those that are in `topics`, the first lidar, else camera, else radar as reference unless asked."""
        lidars, radars, cameras = (
            tuple(name for name in kind if name in topics) for kind in (self.lidars, self.radars, self.cameras)
        )
        reference = asked or next(iter((*lidars, *cameras, *radars)), self.reference)
        first = [_first(kind, reference) for kind in (lidars, radars, cameras)]
        return Sensors(first[0], first[1], first[2], self.infos, reference)


def sensors_of(recording: Recording, options: RecordingOptions) -> Sensors:
    """Returns the sensors; raises LogErrors that name the topics there are."""
    radars = _chosen(recording, options.radar_topics, (*_RADARS, CLOUD), "radar_topics", _of(recording, _RADARS))
    clouds = [name for name in _of(recording, (CLOUD,)) if name not in radars]
    lidars = _chosen(recording, options.lidar_topics, (CLOUD,), "lidar_topics", clouds)
    pictures = [name for name in _of(recording, _PICTURES) if not name.endswith("/compressedDepth")]
    infos = {name: info for name in pictures if (info := _info(recording, options, name)) is not None}
    cameras = _chosen(recording, options.camera_topics, _PICTURES, "camera_topics", infos)
    without = [name for name in cameras if name not in infos]
    if without:
        raise MissingRecord(
            f"{recording.location}: no CameraInfo topic beside {without[0]}; "
            f"name it with camera_info={{'{without[0]}': ...}}"
        )
    reference = options.reference or next(iter((*lidars, *cameras, *radars)), None)
    if reference is None:
        raise NotALog(_no_sensors(recording))
    kinds = [_first(kind, reference) for kind in (lidars, radars, cameras)]
    if not any(reference in kind for kind in kinds):
        known = ", ".join((*lidars, *cameras, *radars)) or "none"
        raise MissingRecord(f"{recording.location}: reference is '{reference}', wanted one of the sensors {known}")
    return Sensors(kinds[0], kinds[1], kinds[2], {name: infos[name] for name in cameras}, reference)


def _of(recording: Recording, types: Iterable[str]) -> list[str]:
    """The topics of these types that have messages, by name."""
    kinds = tuple(types)
    return sorted(t.name for t in recording.topics.values() if t.carries(kinds))


def _first(topics: Sequence[str], reference: str) -> tuple[str, ...]:
    return (*(t for t in topics if t == reference), *(t for t in topics if t != reference))


def _chosen(
    recording: Recording, topics: Sequence[str] | None, types: Iterable[str], option: str, default: Iterable[str]
) -> list[str]:
    """The topics that were asked for, or the default; raises MissingRecord for one that is not there."""
    if topics is None:
        return list(default)
    for name in topics:
        found = recording.topics.get(name)
        if found is None or {found.type, *found.also}.isdisjoint(types):
            what = "is not there" if found is None else f"carries {found.type}"
            raise MissingRecord(
                f"{recording.location}: {option} has '{name}', which {what}; "
                f"the topics of {' and '.join(types)} are {', '.join(_of(recording, types)) or 'none'}"
            )
    return list(dict.fromkeys(topics))


def _info(recording: Recording, options: RecordingOptions, name: str) -> str | None:
    """The CameraInfo topic of a picture topic: /cam/camera_info for /cam/image_raw and /cam/image_raw/compressed."""
    above = name.rsplit("/", 1)[0]
    near = [f"{folder}/{info}" for folder in (above, above.rsplit("/", 1)[0]) for info in _INFO_NAMES]
    if name in options.camera_info:
        near = [options.camera_info[name]]
    return next((info for info in near if info in _of(recording, _LENSES)), None)


def _no_sensors(recording: Recording) -> str:
    topics = list(recording.topics.values())
    packets = [t for t in topics if any(word in t.type for word in _PACKETS)]
    listed = ", ".join(f"{t.name} ({t.type})" for t in (packets or topics)[:6]) or "none"
    if packets:
        return (
            f"{recording.location}: holds a driver's raw packets, {listed}, which are not read; "
            "replay them through the driver and record its clouds"
        )
    return (
        f"{recording.location}: no topic of PointCloud2, of a radar, or of pictures with a CameraInfo; it has {listed}"
    )
