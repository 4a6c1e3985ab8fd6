"""A made-up scenario of Waymo Open Motion, byte for byte in the published form, and a writer of TFRecord files."""

import struct

from perceptum.datasets.reading.crc32c_kernel import crc32c

STEPS = 5
FAR = (-7824.4, -6717.9, 180.5)
"""Where the scenario lies: its origin is an arbitrary place."""


def varint(value):
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field, value):
    return varint(field << 3) + varint(value)


def double(field, value):
    return varint(field << 3 | 1) + struct.pack("<d", value)


def single(field, value):
    return varint(field << 3 | 5) + struct.pack("<f", value)


def message(field, *parts):
    data = b"".join(parts)
    return varint(field << 3 | 2) + varint(len(data)) + data


def packed(field, *values):
    return message(field, *map(varint, values))


def point(field, x, y, z=0.0):
    return message(field, *(double(i, at + by) for i, (at, by) in enumerate(zip((x, y, z), FAR, strict=True), 1)))


def state(x, y, yaw, velocity=(0.0, 0.0), size=(4.0, 2.0, 1.5), z=0.75):
    """z is the middle of the box."""
    at = (double(i, value + by) for i, (value, by) in enumerate(zip((x, y, z), FAR, strict=True), 2))
    rest = (single(i, value) for i, value in enumerate((*size, yaw, *velocity), 5))
    return message(3, *at, *rest, number(11, 1))


UNKNOWN_STATE = message(3, number(11, 0))


def track(id, kind, states):
    return message(2, number(1, id), number(2, kind), *states)


def tracks():
    """The recording car drives along x at 10 m/s, one car ahead of it, a pedestrian who is seen twice."""
    own = [state(1.0 * i, 0, 0, (10, 0), (4.8, 2.1, 1.6), 0.8) for i in range(STEPS)]
    ahead = [state(20 + 0.5 * i, 3.5, 0.1, (5, 0.5)) for i in range(STEPS)]
    walker = [UNKNOWN_STATE, state(5, -4, 1.5, (0, 1), (0.8, 0.8, 1.8), 0.9), *[UNKNOWN_STATE] * 2]
    walker += [state(5, -3.7, 1.5, (0, 1), (0.8, 0.8, 1.8), 0.9)]
    return [track(7, 1, ahead), track(12, 2, walker), track(3, 1, own)]


def line(field, kind, points):
    return message(field, number(1, kind), *(point(2, *p) for p in points))


def feature(id, data):
    return message(8, number(1, id), data)


def bounded(field, first, end, id):
    return message(field, number(1, first), number(2, end), number(3, id), number(4, 1))


def beside(field, id, first, end):
    return message(field, number(1, id), number(2, first), number(3, end))


def lane(points, *parts, mph=25.0, kind=2):
    return message(3, double(1, mph), number(2, kind), *(point(8, *p) for p in points), *parts)


def map_features():
    """Two lanes side by side along x, one that goes on from the first to the left, and one of each other thing."""
    goes_on = packed(10, 2, 999)
    first = lane(
        [(x, 0) for x in (0, 10, 20)], goes_on, bounded(13, 0, 2, 20), bounded(14, 0, 2, 30), beside(11, 3, 0, 2)
    )
    turn = lane([(20, 0), (25, 1), (29, 5), (30, 10)], packed(9, 1), number(3, 1), mph=0.0)
    other = lane([(x, 4) for x in (0, 10, 20)], bounded(14, 0, 2, 20), beside(12, 1, 0, 2), beside(12, 999, 0, 2))
    return [
        feature(1, first),
        feature(2, turn),
        feature(3, other),
        # drawn the other way, and longer than the lanes that it bounds
        feature(20, line(4, 1, [(30, 2), (10, 2), (-10, 2)])),
        feature(30, line(5, 1, [(-5, -2), (40, -2)])),
        feature(40, message(7, number(1, 1), point(2, 20, -3, 2))),
        feature(50, message(8, *(point(1, *p) for p in [(12, -2), (15, -2), (15, 6), (12, 6), (12, -2)]))),
        feature(60, message(9, *(point(1, *p) for p in [(2, -2), (3, -2), (3, 2)]))),
        feature(70, message(10, *(point(1, *p) for p in [(5, -2), (9, -2), (9, -8), (5, -8)]))),
    ]


def lights():
    """At every step but the last the light of lane 2 is red, then green; that of lane 3 is of no known kind."""
    states = [[(2, 4)], [(2, 4)], [(2, 6), (3, 77)], [(2, 6)], []]
    return [message(7, *(message(1, number(1, id), number(2, is_)) for id, is_ in step)) for step in states]


def scenario(id="0a1b2c3d", features=None, objects=None, more=()):
    parts = [
        *(double(1, 0.1 * i) for i in range(STEPS)),
        *(tracks() if objects is None else objects),
        number(4, 7),
        message(5, id.encode()),
        number(6, 2),
        *lights(),
        *(map_features() if features is None else features),
        number(10, 1),
        message(11, number(1, 1), number(2, 2)),
        *more,
    ]
    return b"".join(parts)


def masked(data):
    import numpy as np

    crc = int(crc32c(np.frombuffer(data, np.uint8)))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def tfrecord(*records):
    whole = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        whole += length + struct.pack("<I", masked(length)) + record + struct.pack("<I", masked(record))
    return whole


def make(root, *records):
    """Writes a file of scenarios; returns its path."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / "training.tfrecord-00000-of-01000"
    path.write_bytes(tfrecord(*(records or (scenario(),))))
    return path
