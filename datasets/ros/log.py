"""A recording as a log: its messages as records, whatever file they lie in."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from perceptum.inputs import BrokenRecord, CameraImage, HDMap, LidarSweep, LogError, Poses, RadarSweep, Signal, Times
from perceptum.inputs.once import get_or_make, once

from ..reading.calibrated_lens import CalibratedLens
from ..reading.raw_image import RawImage, all_rows, png_bytes
from ..reading.reader import Reader
from ..reading.video.image import video_image
from ..reading.video.stream import VideoStream
from .cloud import lidar_columns, radar_columns
from .foxglove_fields import VIDEO
from .image import compressed_bytes, lens_of
from .index import NeverStamped, streams_of
from .motion import Motion
from .options import RecordingOptions
from .radar import frame_of_scan, scan_columns, track_columns
from .raw import RawRows, raw_rows
from .recording import WHOLE, Recording
from .sensors import sensors_of
from .signals import read_signal_of, signals_among
from .types import COMPRESSED, RADAR_SCAN, RADAR_TRACKS, decode
from .video import VideoTopic

__all__ = ["RecordedLog"]

_LOOKED_AT = 100
"""How many messages are looked at for one that says what all of a topic have."""


class RecordedLog(Reader):
    """One recording, read in place. A sensor's name is its topic."""

    sequential = True

    def __init__(self, dataset: str, path: Path, recording: Recording, options: RecordingOptions) -> None:
        super().__init__(path)
        self.dataset = dataset
        self._recording, self._options = recording, options
        sensors = sensors_of(recording, options)
        self._streams, left_out = streams_of(recording, sensors.all, options.clock, options.duplicate_stamps)
        never_stamped = any(isinstance(error, NeverStamped) for errors in left_out.values() for error in errors)
        if never_stamped and not self._streams and options.clock != "log":
            what = "publish time" if options.clock == "publish" else "stamp"
            warnings.warn(
                f"{path}: no record of a sensor has a {what}; read by the times at which they were recorded, as "
                "with clock='log'",
                stacklevel=2,
            )
            self._options = options = replace(options, clock="log")
            self._streams, left_out = streams_of(recording, sensors.all, "log", options.duplicate_stamps)
        self._sensors = sensors.among(self._streams, options.reference)
        self.unreadable: list[LogError] = [error for errors in left_out.values() for error in errors]
        self.lidars = self._times(self._sensors.lidars)
        self.radars = self._times(self._sensors.radars)
        self.cameras = self._times(self._sensors.cameras)
        if self._sensors.reference not in self._streams:
            if self._sensors.reference in left_out:
                raise left_out[self._sensors.reference][0]
            raise LogError(f"{path}: {self._sensors.reference} has no messages; name another as reference")
        self.times_ns: Times = self._streams[self._sensors.reference].times_ns
        self._lenses: dict[str, tuple[CalibratedLens, str]] = {}
        self._videos: dict[str, VideoStream] = {}
        self._motion = Motion(recording, options, self._reference_frame)
        self.signals = signals_among(recording)

    def _times(self, topics: tuple[str, ...]) -> dict[str, Times]:
        return {name: self._streams[name].times_ns for name in topics if name in self._streams}

    def _where(self, topic: str, time_ns: int) -> str:
        return f"{self.location}: {topic} at {time_ns} ns"

    def _payload(self, topic: str, index: int) -> bytes:
        return self._recording.payload(topic, self._streams[topic].place(index))

    def _where_record(self, topic: str, index: int) -> str:
        return self._where(topic, int(self._streams[topic].times_ns[index]))

    def _message(self, topic: str, index: int) -> Any:
        return decode(self._recording.topics[topic], self._payload(topic, index), self._where_record(topic, index))

    def _reference_frame(self) -> str:
        """The frame_id of the reference sensor's first record that can be read and has one; "" where none has."""
        topic = self._sensors.reference
        if topic in self._sensors.infos:
            return self._lens_and_frame(topic)[1]
        broken: list[BrokenRecord] = []
        for index in range(min(len(self._streams[topic].times_ns), _LOOKED_AT)):
            try:
                frame = self._frame_of(topic, index)
            except BrokenRecord as error:
                broken.append(error)
                continue
            if frame:
                return frame
        if broken:
            raise broken[0]
        return ""

    def _frame_of(self, topic: str, index: int) -> str:
        if self._recording.topics[topic].type == RADAR_SCAN:
            where = self._where_record(topic, index)
            return frame_of_scan(self._recording.topics[topic], self._payload(topic, index), where).lstrip("/")
        return str(self._message(topic, index).header.frame_id).lstrip("/")

    @once
    def poses(self) -> Poses:
        """World from ego, from the transforms or an odometry; the identity where the recording has no motion."""
        stamps = [s.times_ns for s in self._streams.values()]
        return self._motion.poses((min(int(s[0]) for s in stamps), max(int(s[-1]) for s in stamps)))

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        time_ns = int(self.lidars[sensor][index])
        where, message = self._where(sensor, time_ns), self._message(sensor, index)
        return LidarSweep(
            sensor=sensor,
            time_ns=time_ns,
            ego_from_sensor=self._motion.ego_from(message.header.frame_id, time_ns),
            source=where,
            # where it was never set, its points count from when it was recorded
            **lidar_columns(message, _stamp_ns(message) or time_ns, self._options.cloud, where),
        )

    def read_radar(self, sensor: str, index: int) -> RadarSweep:
        time_ns = int(self.radars[sensor][index])
        where, topic = self._where(sensor, time_ns), self._recording.topics[sensor]
        columns: dict[str, Any]
        if topic.type == RADAR_SCAN:
            payload = self._payload(sensor, index)
            frame = frame_of_scan(topic, payload, where)
            columns = scan_columns(topic, payload, where, self._options.doppler, self._options.amplitude)
        else:
            message = self._message(sensor, index)
            frame = message.header.frame_id
            if topic.type == RADAR_TRACKS:
                columns = track_columns(message, self._options.track_velocity)
            else:
                columns = {**radar_columns(message, where, self._options.doppler)}
        ego_from_sensor = self._motion.ego_from(frame, time_ns)
        return RadarSweep(sensor=sensor, time_ns=time_ns, ego_from_sensor=ego_from_sensor, source=where, **columns)

    def read_camera(self, camera: str, index: int) -> CameraImage:
        time_ns = int(self.cameras[camera][index])
        lens, frame = self._lens_and_frame(camera)
        read = partial(self._picture, camera, index)
        common: dict[str, Any] = {
            "camera": camera,
            "time_ns": time_ns,
            "ego_from_camera": self._motion.ego_from(frame, time_ns),
            "source": self._where(camera, time_ns),
            **vars(lens),
        }
        if self._recording.topics[camera].type == COMPRESSED:
            return CameraImage(read=read, **common)
        if self._recording.topics[camera].type in VIDEO:
            return video_image(self._video(camera), index, **common)
        return RawImage(read=read, read_raw=partial(self._raw, camera, index), **common)

    def _picture(self, camera: str, index: int) -> bytes:
        if self._recording.topics[camera].type != COMPRESSED:
            return png_bytes(all_rows(self._raw(camera, index)))
        return compressed_bytes(self._message(camera, index), self._where_record(camera, index))

    def _raw(self, camera: str, index: int) -> RawRows:
        return raw_rows(self._message(camera, index), self._where_record(camera, index))

    def _video(self, camera: str) -> VideoStream:
        """The camera's video, with its decoder from one picture to the next."""

        def opened() -> VideoStream:
            count, read, where = len(self.cameras[camera]), partial(self._message, camera), self._where_record
            return VideoStream(VideoTopic(count, read, partial(where, camera)))

        return get_or_make(self._videos, camera, opened)

    def _lens_and_frame(self, camera: str) -> tuple[CalibratedLens, str]:
        """The lens and the frame_id, from the camera's first CameraInfo that has a lens."""
        return get_or_make(self._lenses, camera, partial(self._read_lens, camera))

    def _read_lens(self, camera: str) -> tuple[CalibratedLens, str]:
        topic = self._recording.topics[self._sensors.infos[camera]]
        where = f"{self.location}: {topic.name}"
        rectified = any(part.startswith("image_rect") for part in camera.split("/"))
        broken: list[BrokenRecord] = []
        for found in islice(self._recording.scan([topic.name], WHOLE), _LOOKED_AT):
            try:
                info = decode(topic, found.data, where)
                lens = lens_of(info, rectified, where)
            except BrokenRecord as error:
                broken.append(error)
                continue
            if broken:
                warnings.warn(f"left out: {len(broken)} before the first that has a lens: {broken[0]}", stacklevel=2)
            return lens, str(info.header.frame_id).lstrip("/")
        raise broken[0] if broken else BrokenRecord(f"{where}: has no messages, wanted the lens of {camera}")

    def read_signal(self, name: str) -> Signal:
        return read_signal_of(self._recording, name, self._options, self._motion.ego_from)

    def read_map(self) -> HDMap | None:
        """The map that was named when the recording was opened."""
        if self._options.hdmap is None:
            return None
        if str(self._options.hdmap).endswith(".xodr"):
            from ..maps.opendrive import read_opendrive

            return read_opendrive(self._options.hdmap)
        from ..maps.lanelet2 import read_lanelet2

        return read_lanelet2(self._options.hdmap, origin=self._options.map_origin)


def _stamp_ns(message: Any) -> int:
    """The message's own stamp: what a point's offset counts from, whatever clock the log goes by."""
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)
