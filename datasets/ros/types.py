"""Messages from their bytes, by the published definitions of the types we read; decoded by the `rosbags` library.

A recording's own definition of a type is not trusted to decode by: it is compared with the published one, and a
type that was changed is refused, with both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

from perceptum.inputs import BrokenRecord, LogError
from perceptum.install import install_command

from .foxglove import decode_foxglove
from .foxglove_fields import CALIBRATION, VIDEO, is_foxglove
from .recording import Topic

__all__ = [
    "CAMERA_INFO",
    "CLOUD",
    "COMPRESSED",
    "IMAGE",
    "IMU",
    "ODOMETRY",
    "RADAR_SCAN",
    "RADAR_TRACKS",
    "TF",
    "add_topic",
    "decode",
]

CLOUD = "sensor_msgs/msg/PointCloud2"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
IMU = "sensor_msgs/msg/Imu"
ODOMETRY = "nav_msgs/msg/Odometry"
TF = ("tf2_msgs/msg/TFMessage", "tf/msg/tfMessage")
RADAR_SCAN = "radar_msgs/msg/RadarScan"
RADAR_TRACKS = "radar_msgs/msg/RadarTracks"

_TYPES = (CLOUD, IMAGE, COMPRESSED, CAMERA_INFO, IMU, ODOMETRY, *TF, RADAR_SCAN, RADAR_TRACKS, *VIDEO, *CALIBRATION)

_LONGEST_SEQUENCE = 1 << 30
_FORMS = ("ros1msg", "ros2msg", "ros2idl")

# as published; rosbags does not bring these
_RADAR = {
    "radar_msgs/msg/RadarReturn": (
        "float32 range\nfloat32 azimuth\nfloat32 elevation\nfloat32 doppler_velocity\nfloat32 amplitude\n"
    ),
    RADAR_SCAN: "std_msgs/Header header\nradar_msgs/RadarReturn[] returns\n",
    "radar_msgs/msg/RadarTrack": (
        "unique_identifier_msgs/UUID uuid\ngeometry_msgs/Point position\ngeometry_msgs/Vector3 velocity\n"
        "geometry_msgs/Vector3 acceleration\ngeometry_msgs/Vector3 size\nuint16 classification\n"
        "float32[6] position_covariance\nfloat32[6] velocity_covariance\nfloat32[6] acceleration_covariance\n"
        "float32[6] size_covariance\n"
    ),
    RADAR_TRACKS: "std_msgs/Header header\nradar_msgs/RadarTrack[] tracks\n",
}
# the fields that all versions begin with
_FOXGLOVE = {
    VIDEO[1]: "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n",
    CALIBRATION[1]: (
        "builtin_interfaces/Time timestamp\nstring frame_id\nuint32 width\nuint32 height\nstring distortion_model\n"
        "float64[] d\nfloat64[9] k\nfloat64[9] r\nfloat64[12] p\n"
    ),
}
_TF_ROS1 = dict.fromkeys(TF, "geometry_msgs/TransformStamped[] transforms\n")
_UUID_ROS1 = {"unique_identifier_msgs/msg/UUID": "uint8[16] uuid\n"}


@cache
def _store(encoding: str) -> Any:
    """The published types, of ROS 2 or of ROS 1."""
    try:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError as error:
        raise LogError(f"reading ROS messages needs rosbags: {install_command('mcap')}") from error
    ros1 = encoding == "ros1"
    store = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_HUMBLE)
    store.max_sequence_length = _LONGEST_SEQUENCE
    for name, text in {**(_TF_ROS1 | _UUID_ROS1 if ros1 else {}), **_RADAR, **_FOXGLOVE}.items():
        if name not in store.fielddefs:
            store.register(get_types_from_msg(text, name))
    return store


def decode(topic: Topic, payload: bytes, where: str) -> Any:
    """Returns the message, arrays in it as numpy views of the bytes; raises BrokenRecord."""
    if topic.conflict:
        raise BrokenRecord(f"{where}: {topic.conflict}")
    if is_foxglove(topic.type):
        if topic.encoding in ("cdr", "ros1"):
            _check_definition(topic, where)
        return decode_foxglove(topic, payload, where)
    if topic.encoding not in ("cdr", "ros1"):
        raise BrokenRecord(f"{where}: messages are encoded as {topic.encoding!r}, wanted cdr (ROS 2) or ros1")
    store = _store(topic.encoding)
    _check_definition(topic, where)
    read = store.deserialize_ros1 if topic.encoding == "ros1" else store.deserialize_cdr
    try:
        return read(payload, topic.type)
    # rosbags says SerdeError, its checks are assertions; a cut-off message shows as any of these
    except (_serde_error(), AssertionError, LookupError, ValueError, ArithmeticError, MemoryError) as error:
        said = " ".join((str(error) or type(error).__name__).split())[:120]
        raise BrokenRecord(f"{where}: {len(payload)} bytes are not a complete {topic.type} ({said})") from error


def add_topic(found: dict[str, Topic], topic: Topic, where: str) -> None:
    """Adds what one channel, connection, table row or file says of a topic to what others said of it.

    Types with the same fields are one, whatever their names. Others are a conflict, which counts only where the topic
    is read; so does a second definition of a type that has other fields.
    """
    known = found.get(topic.name)
    # what has no messages has no say
    if known is None or (known.count == 0 and topic.count > 0):
        found[topic.name] = topic
        return
    if topic.count == 0:
        return
    also: tuple[str, ...] = ()
    conflict = known.conflict or topic.conflict
    if not conflict and not _same_fields(known, topic):
        kinds = f"{known.type} and of {topic.type}" if known.type != topic.type else f"two definitions of {topic.type}"
        if known.encoding != topic.encoding:
            kinds = f"{known.type} as {known.encoding} and of {topic.type} as {topic.encoding}"
        conflict = f"{where}: topic {topic.name} has messages of {kinds}, wanted one"
    if conflict:
        also = tuple(dict.fromkeys((known.type, *known.also, topic.type, *topic.also)))
    # of two names for the same fields we may know only one
    base = topic if topic.type in _TYPES and known.type not in _TYPES else known
    found[topic.name] = replace(base, count=known.count + topic.count, also=also, conflict=conflict)


def _same_fields(one: Topic, other: Topic) -> bool:
    """Whether both are written alike, so that either can be read by the other's definition."""
    if one.encoding != other.encoding:
        return False
    if one.type == other.type and (one.definition == other.definition or not (one.definition and other.definition)):
        return True
    if one.encoding not in ("cdr", "ros1"):
        return False
    fields = [
        _all_fields(topic.type, topic.encoding, topic.definition, topic.definition_format) for topic in (one, other)
    ]
    return fields[0] is not None and fields[0] == fields[1]


@cache
def _all_fields(kind: str, encoding: str, text: str, form: str) -> str | None:
    """What the fields of a type are, down to the last; None where nothing says it."""
    types: Mapping[str, Any] = _store(encoding).fielddefs
    try:
        if text and form in _FORMS:
            types = {**types, **_parsed(kind, text, form)}
        return _digest(kind, types, {}) if kind in types else None
    except _unparsed():
        return None


def _digest(kind: str, types: Mapping[str, Any], done: dict[str, str]) -> str:
    """One text for the fields of a type; those of types in it count, not their names.

    Hashed and kept for each type: written out, a few lines of definitions may be gigabytes.
    """
    if kind not in done and kind in types:
        # a type that holds itself is its name
        done[kind] = kind
        fields = [f"{name.lower()} {_shape(field, types, done)}" for name, field in types[kind][1]]
        done[kind] = sha256("\n".join(fields).encode()).hexdigest()
    return done.get(kind, kind)


def _shape(field: Any, types: Mapping[str, Any], done: dict[str, str]) -> str:
    kind, inner = field
    if kind.name == "NAME":
        return _digest(inner, types, done)
    if kind.name in ("ARRAY", "SEQUENCE"):
        return f"{_shape(inner[0], types, done)}[{inner[1] if kind.name == 'ARRAY' else ''}]"
    return _written(field)


def _serde_error() -> type[Exception]:
    from rosbags.serde import SerdeError

    return SerdeError


def _unparsed() -> tuple[type[Exception], ...]:
    """What a definition raises that cannot be read: the grammar's own error, or whatever it does not foresee."""
    from rosbags.typesys import TypesysError

    return (TypesysError, AssertionError, LookupError, ValueError, TypeError, AttributeError, RecursionError)


def _check_definition(topic: Topic, where: str) -> None:
    reason = _difference(topic.type, topic.encoding, topic.definition, topic.definition_format)
    if reason:
        raise BrokenRecord(f"{where}: the recording defines {topic.type} {reason}")


@cache
def _difference(kind: str, encoding: str, text: str, form: str) -> str:
    """How a recording's definition of a type differs from the published one; empty where it does not."""
    published = _store(encoding).fielddefs
    if not text or form not in _FORMS:
        return ""
    try:
        found = _parsed(kind, text, form)
    except _unparsed() as error:
        said = " ".join((str(error) or type(error).__name__).split())[:80]
        return f"in a way that cannot be read ({said})"
    for name in sorted(_needed(kind, published)):
        wanted = _fields(published, name)
        read = len(wanted) if name in _FOXGLOVE else None
        if name in found and _fields(found, name)[:read] != wanted:
            return f"with {name} as {_told(found, name)}, wanted {_told(published, name)}"
    return "" if kind in found else f"without saying what {kind} is"


def _parsed(kind: str, text: str, form: str) -> Mapping[str, Any]:
    from rosbags.typesys import get_types_from_idl, get_types_from_msg

    if form != "ros2idl":
        return get_types_from_msg(text, kind)
    found: dict[str, Any] = {}
    for part in text.split("=" * 80 + "\n"):
        if part.strip():
            found |= get_types_from_idl(part.split("\n", 1)[1] if part.startswith("IDL: ") else part)
    return found


def _needed(kind: str, types: Mapping[str, Any]) -> set[str]:
    """The type and all that its fields are made of."""
    found: set[str] = set()
    waiting = [kind]
    while waiting:
        name = waiting.pop()
        if name in types and name not in found:
            found.add(name)
            waiting += [inner for _, field in types[name][1] for inner in _named(field)]
    return found


def _named(field: Any) -> list[str]:
    kind, inner = field
    if kind.name == "NAME":
        return [inner]
    return _named(inner[0]) if kind.name in ("ARRAY", "SEQUENCE") else []


def _fields(types: Mapping[str, Any], name: str) -> list[str]:
    return [f"{field.lower()} {_written(kind)}" for field, kind in types[name][1]]


def _written(field: Any) -> str:
    kind, inner = field
    if kind.name == "NAME":
        return str(inner)
    if kind.name == "BASE":
        # octet is byte's name in IDL
        return {"octet": "byte"}.get(inner[0], str(inner[0]))
    return f"{_written(inner[0])}[{inner[1] if kind.name == 'ARRAY' else ''}]"


def _told(types: Mapping[str, Any], name: str) -> str:
    return "(" + ", ".join(_fields(types, name))[:160] + ")"
