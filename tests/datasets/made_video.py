"""Made-up videos, encoded with PyAV, and recordings that hold them as Foxglove's messages."""

import base64
import functools
import json
import struct
from fractions import Fraction

import numpy as np
import pytest
from mcap.writer import Writer

from perceptum.datasets.reading.video.packets import Packet

av = pytest.importorskip("av", reason="the videos of the tests are encoded with PyAV")

CODECS = ("h264", "hevc", "av1")
COUNT, GROUP = 24, 8
HEIGHT, WIDTH = 66, 98
_ENCODERS = {
    "h264": ("libx264", {"tune": "zerolatency", "preset": "ultrafast"}),
    "hevc": ("libx265", {"tune": "zerolatency", "preset": "ultrafast"}),
    "av1": ("libsvtav1", {"preset": "12"}),
}


def scene(number, height=HEIGHT, width=WIDTH):
    """One picture: a smooth background that moves, and a red square that says which it is."""
    y, x = np.mgrid[:height, :width]
    grey = (127 + 60 * np.sin((x + 3 * number) / 9) + 50 * np.cos(y / 7)).astype(np.uint8)
    picture = np.dstack([grey, grey, 255 - grey])
    picture[8:24, 2 * number : 2 * number + 16] = (250, 20, 10)
    return picture


@functools.cache
def encoded(codec, count=COUNT, group=GROUP, height=HEIGHT, width=WIDTH, b_frames=0):
    """The packets of a video of `scene`, in the order of decoding; a key frame every `group`. Skips without an
    encoder."""
    name, options = _ENCODERS[codec]
    try:
        context = av.CodecContext.create(name, "w")
    except ValueError:
        pytest.skip(f"this PyAV has no encoder {name}")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 10), 10
    context.gop_size, context.max_b_frames = group, b_frames
    options = dict(options)
    if codec == "hevc":
        keys = f"keyint={group}:min-keyint={group}:bframes=0:repeat-headers=1:log-level=none"
        options["x265-params"] = keys
    elif codec == "av1":
        options["svtav1-params"] = f"keyint={group}:pred-struct=1:lookahead=0:lp=1"
    elif b_frames:
        options = {"preset": "ultrafast", "bf": str(b_frames)}
    context.options = options
    packets = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(scene(number, height, width), "rgb24")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    return tuple(bytes(packet) for packet in packets)


@functools.cache
def decoded(codec):
    """What a plain sequential decode of `encoded(codec)` gives."""
    context = av.CodecContext.create("libdav1d" if codec == "av1" else codec, "r")
    context.thread_count = 1
    frames = [frame for data in encoded(codec) for frame in context.decode(av.Packet(data))]
    return tuple(frame.to_ndarray(format="rgb24") for frame in [*frames, *context.decode(None)])


class Listed:
    """Packets as a list; counts what is read."""

    def __init__(self, codec, packets):
        self.codec, self.packets, self.reads = codec, list(packets), []

    def __len__(self):
        return len(self.packets)

    def packet(self, index):
        self.reads.append(index)
        return Packet(self.codec, self.packets[index])

    def where(self, index):
        return f"video at {index}"


# Foxglove's messages


def _tagged(number, wire, data):
    return _varint(number << 3 | wire) + data


def _varint(value):
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _part(number, data):
    return _tagged(number, 2, _varint(len(data)) + data)


def _proto_time(number, time_ns):
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return _part(number, _tagged(1, 0, _varint(seconds)) + _tagged(2, 0, _varint(nanoseconds)))


def _doubles(number, values, packed=True):
    if packed:
        return _part(number, struct.pack(f"<{len(values)}d", *values))
    return b"".join(_tagged(number, 1, struct.pack("<d", value)) for value in values)


K = [70.0, 0, 49, 0, 71, 33, 0, 0, 1]
P = [60.0, 0, 48, 0, 0, 60, 32, 0, 0, 0, 1, 0]
R = [1.0, 0, 0, 0, 1, 0, 0, 0, 1]
D = [-0.2, 0.1, 0.001, 0.002, 0.0]


class Messages:
    """Foxglove's messages in one encoding."""

    def __init__(self, encoding):
        self.encoding = encoding
        self.is_ros = encoding in ("cdr", "ros1")

    def name(self, kind):
        if self.is_ros:
            return f"foxglove_msgs/{'msg/' if self.encoding == 'cdr' else ''}{kind}"
        return f"foxglove.{kind}"

    def video(self, time_ns, data, format="h264", frame="camera"):
        if self.encoding == "protobuf":
            # an id that later versions have, and the stamp last: protobuf allows any order
            parts = [_part(2, frame.encode()), _part(3, data), _part(4, format.encode()), _part(100, b"some-id")]
            return b"".join([*parts, _proto_time(1, time_ns)])
        if self.encoding == "json":
            stamp = dict(zip(("sec", "nsec"), divmod(time_ns, 10**9), strict=True))
            body = {"timestamp": stamp, "frame_id": frame, "format": format}
            return json.dumps({**body, "data": base64.b64encode(data).decode()}).encode()
        out = Ros(self.encoding)
        out.time(time_ns).text(frame).block(data).text(format)
        return out.text("some-id").data if self.encoding == "cdr" else out.data

    def calibration(self, time_ns, frame="camera", model="plumb_bob", d=D, k=K):
        if self.encoding == "protobuf":
            parts = [_proto_time(1, time_ns), _tagged(2, 5, struct.pack("<I", WIDTH))]
            parts += [_tagged(3, 5, struct.pack("<I", HEIGHT)), _part(4, model.encode()), _doubles(5, d, packed=False)]
            return b"".join([*parts, _doubles(6, k), _doubles(7, R), _doubles(8, P), _part(9, frame.encode())])
        if self.encoding == "json":
            stamp = dict(zip(("sec", "nsec"), divmod(time_ns, 10**9), strict=True))
            body = {"timestamp": stamp, "frame_id": frame, "width": WIDTH, "height": HEIGHT}
            return json.dumps({**body, "distortion_model": model, "D": list(d), "K": k, "R": R, "P": P}).encode()
        out = Ros(self.encoding)
        out.time(time_ns).text(frame).number("I", WIDTH).number("I", HEIGHT).text(model).number("I", len(d))
        for value in (*d, *k, *R, *P):
            out.number("d", value)
        return out.data

    def transform(self, time_ns, parent, child, xyz, xyzw=(0.0, 0.0, 0.0, 1.0)):
        if self.encoding == "json":
            stamp = dict(zip(("sec", "nsec"), divmod(time_ns, 10**9), strict=True))
            place = {
                "translation": dict(zip("xyz", xyz, strict=True)),
                "rotation": dict(zip("xyzw", xyzw, strict=True)),
            }
            frames = {"parent_frame_id": parent, "child_frame_id": child}
            return json.dumps({"transforms": [{"timestamp": stamp, **frames, **place}]}).encode()
        axes = [b"".join(_tagged(i, 1, struct.pack("<d", v)) for i, v in enumerate(part, 1)) for part in (xyz, xyzw)]
        parts = [_proto_time(1, time_ns), _part(2, parent.encode()), _part(3, child.encode())]
        return _part(1, b"".join([*parts, _part(4, axes[0]), _part(5, axes[1])]))


class Ros:
    """Writes numbers and text as ROS 2 (cdr, each at a multiple of its size) and ROS 1 do."""

    def __init__(self, encoding):
        self.cdr, self.body = encoding == "cdr", b""

    def number(self, form, value):
        size = struct.calcsize(form)
        self.body += bytes(-len(self.body) % size) if self.cdr else b""
        self.body += struct.pack(f"<{form}", value)
        return self

    def time(self, time_ns):
        return self.number("I", time_ns // 10**9).number("I", time_ns % 10**9)

    def block(self, data):
        self.number("I", len(data))
        self.body += data
        return self

    def text(self, text):
        return self.block(text.encode() + (b"\0" if self.cdr else b""))

    @property
    def data(self):
        return b"\0\1\0\0" + self.body if self.cdr else self.body


_VIDEO = "time timestamp\nstring frame_id\nuint8[] data\nstring format\n"
_CALIBRATION = (
    "time timestamp\nstring frame_id\nuint32 width\nuint32 height\nstring distortion_model\n"
    "float64[] D\nfloat64[9] K\nfloat64[9] R\nfloat64[12] P\n"
)


def _definition(messages, kind):
    if not messages.is_ros:
        return ""
    text = _VIDEO if kind == "CompressedVideo" else _CALIBRATION
    if messages.encoding == "cdr":
        text = text.replace("time timestamp", "builtin_interfaces/Time timestamp") + "string uuid\n"
    return text


def write_recording(path, messages, rows, chunk_size=1 << 12, definitions=None):
    """Writes rows of (topic, log_ns, kind, bytes) as MCAP; kind is the last word of the type.

    `definitions`: kind -> the text that says what its fields are, where it is not the published one.
    """
    schema_of = {"protobuf": "protobuf", "json": "jsonschema", "cdr": "ros2msg", "ros1": "ros1msg"}
    with open(path, "wb") as file:
        writer = Writer(file, chunk_size=chunk_size)
        writer.start()
        channels, schemas = {}, {}
        for topic, log_ns, kind, data in rows:
            if kind not in schemas:
                form = schema_of[messages.encoding]
                text = (definitions or {}).get(kind, _definition(messages, kind))
                schemas[kind] = writer.register_schema(messages.name(kind), form, text.encode())
            if topic not in channels:
                channels[topic] = writer.register_channel(topic, messages.encoding, schemas[kind])
            writer.add_message(channels[topic], log_ns, data, log_ns)
        writer.finish()
    return path
