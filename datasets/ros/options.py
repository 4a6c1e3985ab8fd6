"""What may be said when a recording is opened: which topics are sensors, which frames count, whose clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from perceptum.inputs import BadOption

from ..options import check_options
from .cloud import CloudOptions
from .radar import Amplitude, Doppler, TrackVelocity
from .recording import Clock

__all__ = ["RecordingOptions", "recording_options"]


@dataclass(frozen=True)
class RecordingOptions:
    """All options of `mcap` and `rosbag`; checks itself."""

    lidar_topics: Sequence[str] | None = None
    """Topics of PointCloud2, the primary first; None: all of them, by name."""
    radar_topics: Sequence[str] | None = None
    """Topics of RadarScan, RadarTracks, or PointCloud2 of detections; None: all RadarScan and RadarTracks."""
    camera_topics: Sequence[str] | None = None
    """Topics of Image and CompressedImage; None: all that have a CameraInfo topic beside them."""
    camera_info: Mapping[str, str] = field(default_factory=dict)
    """Camera topic -> its CameraInfo topic, where that is not the one beside it."""
    reference: str | None = None
    """The topic whose messages are the frames; None: the first lidar, else the first camera, else the first radar."""
    base_frame: str | None = None
    """The ego frame; None: base_link, else the topmost frame that the reference sensor is fixed to."""
    world_frame: str | None = None
    """None: the topmost frame above the ego frame, where anything moves between them."""
    odometry: str | None = None
    """A topic of Odometry to take the poses from; None: from the transforms, else from the one such topic there is."""
    max_pose_gap_ns: int = 500_000_000
    """Poses further apart are not interpolated."""
    clock: Clock = "header"
    """Whose time a record has: header.stamp (measured), or when it was recorded (log) or sent (publish)."""
    duplicate_stamps: Literal["raise", "first"] = "raise"
    """What to do with a second record of one sensor at one time."""
    point_time: str = "auto"
    empty_returns: Literal["drop", "keep"] = "drop"
    intensity_scale: float | None = None
    doppler: Doppler = "receding"
    """Which way the Doppler speeds of RadarScan and of clouds count as positive; the driver's manual says."""
    amplitude: Amplitude = "rcs"
    """What the amplitude of a RadarScan is: a radar cross section in dBsm, or power, which is left out."""
    track_velocity: TrackVelocity = "relative"
    """What the velocity of RadarTracks is relative to: the moving radar, or the ground."""
    hdmap: str | None = None
    """A Lanelet2 (.osm) or OpenDRIVE (.xodr) map in the world frame."""
    map_origin: tuple[float, float] | None = None
    """Latitude and longitude of the world frame's origin, for a Lanelet2 map."""
    damaged: Literal["raise", "skip"] = "raise"
    """skip: open what is whole of a damaged file, with a warning for each chunk that is left out."""

    def __post_init__(self) -> None:
        choices = {"clock": get_args(Clock), "duplicate_stamps": ("raise", "first"), "damaged": ("raise", "skip")}
        choices |= {"doppler": get_args(Doppler), "amplitude": get_args(Amplitude)}
        choices |= {"track_velocity": get_args(TrackVelocity)}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise BadOption(f"{name} is {getattr(self, name)!r}, wanted {' or '.join(map(repr, allowed))}")
        for name in ("lidar_topics", "radar_topics", "camera_topics"):
            if isinstance(getattr(self, name), str):
                raise BadOption(f"{name} is {getattr(self, name)!r}, wanted a list of topics")
        # checks itself
        _ = self.cloud

    @property
    def cloud(self) -> CloudOptions:
        return CloudOptions(self.point_time, self.empty_returns, self.intensity_scale)


def recording_options(dataset: str, options: Mapping[str, Any]) -> RecordingOptions:
    """Returns the options, checked; raises BadOption that names one that there is not."""
    check_options(dataset, RecordingOptions, options, given=0)
    return RecordingOptions(**options)
