"""Pictures of a video in an MCAP recording, in their order, against a plain decode of its packets by the same library.

Both take packets that lie ready; ours also finds, unpacks and checks the messages they are in.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np
from harness import Result, compare, ms, ratio
from mcap.writer import Writer
from numpy.typing import NDArray

from perceptum.datasets import open_log
from perceptum.datasets.reading.video.matroska import as_matroska
from perceptum.datasets.reading.video.packets import Codec, Packet
from perceptum.inputs import Log

__all__ = ["run"]

COUNT, GROUP = 60, 30
HEIGHT, WIDTH = 896, 1600
FIRST_NS, STEP_NS = 1_700_000_000_000_000_000, 100_000_000
MOST = 1.3
CAMERA = "/front/video"
LIBRARIES = {"PyAV": "av", "tensorcodec": "tensorcodec"}
Pixels = NDArray[np.uint8]


def run(rounds: int = 7) -> list[Result]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for codec in ("h264", "hevc"):
            packets = _encoded(codec)
            log = open_log(_write(Path(folder) / f"{codec}.mcap", packets))
            for library, module in LIBRARIES.items():
                if find_spec(module) is not None:
                    found.append(_compare(rounds, log, codec, packets, library, module))
    return found


def _compare(rounds: int, log: Log, codec: Codec, packets: list[Packet], library: str, module: str) -> Result:
    plain = _by_pyav if library == "PyAV" else _by_tensorcodec
    # the only decoder that is installed; a decoder of before is left behind
    log.source._videos.clear()  # type: ignore[attr-defined]
    with patch("perceptum.datasets.reading.video.decoder.find_spec", lambda name: name == module or None):
        if not all(np.array_equal(a, b) for a, b in zip(_ours(log), plain(packets), strict=True)):
            raise SystemExit(f"{library} decodes other pictures of {codec} from the recording")
        work: dict[str, Callable[[], object]] = {
            "ours": lambda: sum(1 for _ in _ours(log)),
            "plain": lambda: sum(1 for _ in plain(packets)),
        }
        times = compare(rounds, work, warm=1)
    each = {name: [seconds / COUNT for seconds in taken] for name, taken in times.items()}
    factor = ratio(times, "ours", "plain")
    return Result(
        f"video: {COUNT} pictures of {WIDTH}x{HEIGHT} {codec} in their order, ms each, {library}",
        ms(each["ours"]),
        f"plain {library} {ms(each['plain'])}",
        f"{factor:.2f} times as long",
        f"at most {MOST:g}",
        factor <= MOST,
    )


def _ours(log: Log) -> Any:
    return (log.source.read_camera(CAMERA, index).decode() for index in range(COUNT))


def _by_pyav(packets: Sequence[Packet]) -> Any:
    context = av.CodecContext.create(packets[0].codec, "r")
    context.thread_count = 1
    for packet in packets:
        for frame in context.decode(av.Packet(packet.data)):
            yield frame.to_ndarray(format="rgb24")
    for frame in context.decode(None):
        yield frame.to_ndarray(format="rgb24")


def _by_tensorcodec(packets: Sequence[Packet]) -> Any:
    from tensorcodec.decoders import VideoDecoder

    # one file; a group at a time, so that no packet is decoded twice
    with VideoDecoder(as_matroska((p, p.is_key) for p in packets), dimension_order="NHWC") as decoder:
        for first in range(0, COUNT, GROUP):
            yield from decoder.get_frames_at(range(first, first + GROUP)).data


def _encoded(codec: Codec) -> list[Packet]:
    context = av.CodecContext.create({"h264": "libx264", "hevc": "libx265"}[codec], "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate, context.gop_size = Fraction(1, 10), 10, GROUP
    context.max_b_frames = 0
    keys = f"keyint={GROUP}:min-keyint={GROUP}:bframes=0:repeat-headers=1:log-level=none"
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        **({"x265-params": keys} if codec == "hevc" else {}),
    }
    packets = []
    for number in range(COUNT):
        frame = av.VideoFrame.from_ndarray(_scene(number), "rgb24")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    return [Packet(codec, bytes(packet)) for packet in packets]


def _scene(number: int) -> Pixels:
    """A street that passes: blocks of several sizes, with the noise of a sensor."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 220, (HEIGHT // 32, 2 * WIDTH // 32, 3), np.uint8).repeat(32, 0).repeat(32, 1)
    noise = np.random.default_rng(number).integers(0, 12, (HEIGHT, WIDTH, 3), np.uint8)
    return np.ascontiguousarray(blocks[:, 8 * number : 8 * number + WIDTH] + noise)


def _write(path: Path, packets: Sequence[Packet]) -> Path:
    """A recording of Foxglove's messages as protobuf."""
    with open(path, "wb") as file:
        writer = Writer(file)
        writer.start()
        lens = writer.register_channel("/front/calibration", "protobuf", _schema(writer, "CameraCalibration"))
        video = writer.register_channel(CAMERA, "protobuf", _schema(writer, "CompressedVideo"))
        matrix = struct.pack("<9d", 900, 0, WIDTH / 2, 0, 900, HEIGHT / 2, 0, 0, 1)
        identity, projection = struct.pack("<9d", *np.eye(3).ravel()), struct.pack("<12d", *np.eye(3, 4).ravel())
        parts = [(1, _time(FIRST_NS)), (6, matrix), (7, identity), (8, projection), (9, b"camera")]
        writer.add_message(lens, FIRST_NS, _message(parts), FIRST_NS)
        for number, packet in enumerate(packets):
            time_ns = FIRST_NS + number * STEP_NS
            form = {"h264": b"h264", "hevc": b"h265"}[packet.codec]
            data = _message([(1, _time(time_ns)), (2, b"camera"), (3, packet.data), (4, form)])
            writer.add_message(video, time_ns, data, time_ns)
        writer.finish()
    return path


def _schema(writer: Writer, kind: str) -> int:
    return writer.register_schema(f"foxglove.{kind}", "protobuf", b"")


def _message(parts: Sequence[tuple[int, bytes]]) -> bytes:
    return b"".join(_varint(number << 3 | 2) + _varint(len(data)) + data for number, data in parts)


def _time(time_ns: int) -> bytes:
    return b"\x08" + _varint(time_ns // 10**9) + b"\x10" + _varint(time_ns % 10**9)


def _varint(value: int) -> bytes:
    more, last = [], value
    while last > 0x7F:
        more.append(last & 0x7F | 0x80)
        last >>= 7
    return bytes([*more, last])
