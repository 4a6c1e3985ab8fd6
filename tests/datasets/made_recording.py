"""A made-up drive as ROS messages, written as MCAP, as a ROS 1 bag and as a rosbag2."""

import itertools

import numpy as np
from mcap.writer import CompressionType, Writer
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from perceptum.inputs import encode_jpeg

FIRST_NS = 1_700_000_000_250_000_000
STEP_NS = 100_000_000
SPEED_MPS = 5.0
SWEEPS = 4
FORMATS = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}
RADAR = {
    "radar_msgs/msg/RadarReturn": (
        "float32 range\nfloat32 azimuth\nfloat32 elevation\nfloat32 doppler_velocity\nfloat32 amplitude\n"
    ),
    "radar_msgs/msg/RadarScan": "std_msgs/Header header\nradar_msgs/RadarReturn[] returns\n",
    "radar_msgs/msg/RadarTrack": (
        "unique_identifier_msgs/UUID uuid\ngeometry_msgs/Point position\ngeometry_msgs/Vector3 velocity\n"
        "geometry_msgs/Vector3 acceleration\ngeometry_msgs/Vector3 size\nuint16 classification\n"
        "float32[6] position_covariance\nfloat32[6] velocity_covariance\nfloat32[6] acceleration_covariance\n"
        "float32[6] size_covariance\n"
    ),
    "radar_msgs/msg/RadarTracks": "std_msgs/Header header\nradar_msgs/RadarTrack[] tracks\n",
}


def store_of(ros):
    store = get_typestore(Stores.ROS1_NOETIC if ros == 1 else Stores.ROS2_HUMBLE)
    extra = dict(RADAR) | {"tf/msg/tfMessage": "geometry_msgs/TransformStamped[] transforms\n"}
    if ros == 1:
        extra["tf2_msgs/msg/TFMessage"] = "geometry_msgs/TransformStamped[] transforms\n"
        extra["unique_identifier_msgs/msg/UUID"] = "uint8[16] uuid\n"
    for name in sorted(extra, key=lambda n: ("Scan" in n or "Tracks" in n, n)):
        if name not in store.fielddefs:
            store.register(get_types_from_msg(extra[name], name))
    return store


class Maker:
    """Makes messages of one ROS version."""

    def __init__(self, ros=2):
        self.ros, self.store, self.count = ros, store_of(ros), itertools.count()

    def make(self, kind, *args, **fields):
        return self.store.types[kind](*args, **fields)

    def header(self, time_ns, frame):
        stamp = self.make("builtin_interfaces/msg/Time", *(int(t) for t in divmod(time_ns, 1_000_000_000)))
        first = {"seq": next(self.count)} if self.ros == 1 else {}
        return self.make("std_msgs/msg/Header", **first, stamp=stamp, frame_id=frame)

    def cloud(self, time_ns, points, frame="lidar", height=1, big=False, pad=0, dense=True):
        """points: a structured array, its dtype's offsets and itemsize as they are; `pad`: bytes behind each row."""
        width, dtype = len(points) // height, points.dtype
        order = ">" if big else "<"
        formats = [order + dtype[name].str[1:] for name in dtype.names]
        offsets = [dtype.fields[name][1] for name in dtype.names]
        wire = np.dtype({"names": dtype.names, "formats": formats, "offsets": offsets, "itemsize": dtype.itemsize})
        rows = np.zeros((height, width * wire.itemsize + pad), np.uint8)
        rows[:, : width * wire.itemsize] = points.astype(wire).view(np.uint8).reshape(height, -1)
        kinds = {name: FORMATS[dtype[name].str[1:]] for name in dtype.names}
        fields = [
            self.make("sensor_msgs/msg/PointField", name, offset, kinds[name], 1)
            for name, offset in zip(dtype.names, offsets, strict=True)
        ]
        return self.make(
            "sensor_msgs/msg/PointCloud2",
            header=self.header(time_ns, frame),
            height=height,
            width=width,
            fields=fields,
            is_bigendian=big,
            point_step=wire.itemsize,
            row_step=rows.shape[1],
            data=rows.ravel(),
            is_dense=dense,
        )

    def transform(self, time_ns, parent, child, xyz=(0, 0, 0), wxyz=(1, 0, 0, 0)):
        w, x, y, z = (float(v) for v in wxyz)
        inner = self.make(
            "geometry_msgs/msg/Transform",
            self.make("geometry_msgs/msg/Vector3", *map(float, xyz)),
            self.make("geometry_msgs/msg/Quaternion", x, y, z, w),
        )
        header = self.header(time_ns, parent)
        return self.make("geometry_msgs/msg/TransformStamped", header=header, child_frame_id=child, transform=inner)

    def tf(self, *transforms, kind="tf2_msgs/msg/TFMessage"):
        return self.make(kind, list(transforms))

    def text(self, text="hello"):
        return self.make("std_msgs/msg/String", text)

    def vector(self, xyz):
        return self.make("geometry_msgs/msg/Vector3", *map(float, xyz))

    def imu(self, time_ns, force, rate, frame="imu", unknown=()):
        """unknown: orientation, angular_velocity or linear_acceleration, that was not measured."""
        quaternion = self.make("geometry_msgs/msg/Quaternion", 0.0, 0.0, 0.6, 0.8)
        parts = {"orientation": quaternion, "angular_velocity": self.vector(rate)}
        parts |= {"linear_acceleration": self.vector(force)}
        covariances = {f"{name}_covariance": np.full(9, -1.0 if name in unknown else 0.0) for name in parts}
        return self.make("sensor_msgs/msg/Imu", header=self.header(time_ns, frame), **parts, **covariances)

    def odometry(
        self,
        time_ns,
        xyz,
        parent="odom",
        child="base_link",
        wxyz=(1, 0, 0, 0),
        linear=(0, 0, 0),
        angular=(0, 0, 0),
    ):
        w, x, y, z = (float(v) for v in wxyz)
        pose = self.make(
            "geometry_msgs/msg/Pose",
            self.make("geometry_msgs/msg/Point", *map(float, xyz)),
            self.make("geometry_msgs/msg/Quaternion", x, y, z, w),
        )
        twist = self.make("geometry_msgs/msg/Twist", self.vector(linear), self.vector(angular))
        return self.make(
            "nav_msgs/msg/Odometry",
            header=self.header(time_ns, parent),
            child_frame_id=child,
            pose=self.make("geometry_msgs/msg/PoseWithCovariance", pose, np.zeros(36)),
            twist=self.make("geometry_msgs/msg/TwistWithCovariance", twist, np.zeros(36)),
        )

    def camera_info(self, time_ns, frame="camera", model="plumb_bob", d=(-0.2, 0.1, 0.001, 0.002, 0.0), **changes):
        roi = changes.get("roi", (0, 0, 0, 0, False))
        names = ("D", "K", "R", "P") if self.ros == 1 else ("d", "k", "r", "p")
        k = changes.get("k", [700.0, 0, 20, 0, 690, 10, 0, 0, 1])
        p = changes.get("p", [650.0, 0, 21, 0, 0, 650, 11, 0, 0, 0, 1, 0])
        matrices = (d, k, np.eye(3).ravel(), p)
        return self.make(
            "sensor_msgs/msg/CameraInfo",
            header=self.header(time_ns, frame),
            height=24,
            width=40,
            distortion_model=model,
            **{name: np.array(value, np.float64) for name, value in zip(names, matrices, strict=True)},
            binning_x=changes.get("binning", 0),
            binning_y=changes.get("binning", 0),
            roi=self.make("sensor_msgs/msg/RegionOfInterest", *roi),
        )

    def compressed(self, time_ns, data, frame="camera", format="jpeg"):
        kind = "sensor_msgs/msg/CompressedImage"
        return self.make(kind, self.header(time_ns, frame), format, np.frombuffer(data, np.uint8))

    def image(self, time_ns, pixels, encoding="rgb8", step=None, frame="camera"):
        height, width = pixels.shape[:2]
        row = pixels.reshape(height, -1)
        step = row.shape[1] if step is None else step
        rows = np.zeros((height, step), np.uint8)
        rows[:, : row.shape[1]] = row
        return self.make(
            "sensor_msgs/msg/Image",
            header=self.header(time_ns, frame),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=step,
            data=rows.ravel(),
        )

    def radar_scan(self, time_ns, rows, frame="radar"):
        returns = [self.make("radar_msgs/msg/RadarReturn", *map(float, row)) for row in rows]
        return self.make("radar_msgs/msg/RadarScan", self.header(time_ns, frame), returns)

    def radar_tracks(self, time_ns, rows, frame="radar"):
        zero = self.make("geometry_msgs/msg/Vector3", 0.0, 0.0, 0.0)
        tracks = [
            self.make(
                "radar_msgs/msg/RadarTrack",
                self.make("unique_identifier_msgs/msg/UUID", np.arange(i, i + 16, dtype=np.uint8)),
                self.make("geometry_msgs/msg/Point", *map(float, row[:3])),
                self.make("geometry_msgs/msg/Vector3", *map(float, row[3:])),
                zero,
                zero,
                7,
                *(np.zeros(6, np.float32) for _ in range(4)),
            )
            for i, row in enumerate(rows)
        ]
        return self.make("radar_msgs/msg/RadarTracks", self.header(time_ns, frame), tracks)

    def encode(self, message):
        kind = message.__msgtype__
        encode = self.store.serialize_ros1 if self.ros == 1 else self.store.serialize_cdr
        return bytes(encode(message, kind))


OUSTER = np.dtype(
    {
        "names": ["x", "y", "z", "intensity", "t", "ring"],
        "formats": ["f4", "f4", "f4", "f4", "u4", "u1"],
        "offsets": [0, 4, 8, 16, 20, 26],
        "itemsize": 32,
    }
)


def ouster_points(seed, n=64):
    rng = np.random.default_rng(seed)
    points = np.zeros(n, OUSTER)
    for name in "xyz":
        points[name] = rng.normal(scale=20, size=n)
    points["intensity"] = rng.integers(0, 800, n)
    points["t"] = np.sort(rng.integers(0, STEP_NS, n))
    points["ring"] = np.arange(n) % 16
    # rays without a return
    for name in "xyz":
        points[name][::8] = 0
    return points


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (24, 40, 3), dtype=np.uint8)


# optical axes: x right, y down, z forward
OPTICAL = (0.5, -0.5, 0.5, -0.5)


def drive(maker):
    """Returns (topic, log time, message) rows: a car that goes along +x of odom at SPEED_MPS, in order of log time."""
    rows = [
        (
            "/tf_static",
            FIRST_NS - 5 * STEP_NS,
            maker.tf(
                maker.transform(FIRST_NS, "base_link", "lidar", (1, 0, 1.8), (0, 0, 0, 1)),
                maker.transform(FIRST_NS, "base_link", "camera", (1.5, 0, 1.4), OPTICAL),
                maker.transform(FIRST_NS, "base_link", "radar", (3.6, 0, 0.5)),
            ),
        ),
        ("/camera/camera_info", FIRST_NS, maker.camera_info(FIRST_NS)),
    ]
    for i in range(-20, 60):
        time_ns = FIRST_NS + i * 20_000_000
        x = SPEED_MPS * (time_ns - FIRST_NS) * 1e-9
        rows.append(("/tf", time_ns + 1_000_000, maker.tf(maker.transform(time_ns, "odom", "base_link", (x, 0, 0)))))
    for i in range(SWEEPS):
        time_ns = FIRST_NS + i * STEP_NS
        late_ns = time_ns + 130_000_000
        rows.append(("/lidar/points", late_ns, maker.cloud(time_ns, ouster_points(i))))
        rows.append(("/camera/image/compressed", late_ns, maker.compressed(time_ns + 7, encode_jpeg(picture(i)))))
        rows.append(
            ("/radar/scan", late_ns, maker.radar_scan(time_ns - 9, [(10, 0.5, 0.1, -3, 12), (5, -0.2, 0, 1, 4)]))
        )
    return sorted(rows, key=lambda row: row[1])


def write_mcap(
    path,
    rows,
    maker=None,
    chunk_size=1 << 14,
    compression=CompressionType.ZSTD,
    finishing=None,
    publish_ns=None,
    **options,
):
    """Writes rows of (topic, log_ns, message); a message may be bytes with its type: (type, bytes).

    `finishing`: is given the writer before it writes its summary. `publish_ns`: when all of them were sent.
    """
    maker = maker or Maker()
    form = "ros1" if maker.ros == 1 else "cdr"
    with open(path, "wb") as file:
        writer = Writer(file, chunk_size=chunk_size, compression=compression, **options)
        writer.start(profile="ros2")
        channels, schemas = {}, {}
        for topic, log_ns, message in rows:
            kind, data = message if isinstance(message, tuple) else (message.__msgtype__, maker.encode(message))
            if kind not in schemas:
                text = definition(maker, kind)
                schemas[kind] = writer.register_schema(kind, "ros1msg" if maker.ros == 1 else "ros2msg", text.encode())
            if (topic, kind) not in channels:
                channels[topic, kind] = writer.register_channel(topic, form, schemas[kind])
            writer.add_message(channels[topic, kind], log_ns, data, log_ns - 500 if publish_ns is None else publish_ns)
        if finishing is not None:
            finishing(writer)
        writer.finish()
    return path


def definition(maker, kind):
    if kind not in maker.store.fielddefs:
        return "uint8[] data\n"
    return maker.store.generate_msgdef(kind, ros_version=maker.ros)[0]


def write_rosbag1(path, rows, maker, compression=None):
    writer = Writer1(path)
    if compression is not None:
        writer.set_compression(compression)
    with writer:
        connections = {}
        for topic, log_ns, message in rows:
            kind, data = message if isinstance(message, tuple) else (message.__msgtype__, maker.encode(message))
            if (topic, kind) not in connections:
                connections[topic, kind] = writer.add_connection(topic, kind, typestore=maker.store)
            writer.write(connections[topic, kind], log_ns, data)
    return path


def write_rosbag2(folder, rows, maker=None, storage="sqlite3", compress=None):
    maker = maker or Maker()
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    writer = Writer2(folder, version=9, storage_plugin=plugin)
    if compress is not None:
        writer.set_compression(*compress)
    with writer:
        connections = {}
        for topic, log_ns, message in rows:
            kind, data = message if isinstance(message, tuple) else (message.__msgtype__, maker.encode(message))
            if (topic, kind) not in connections:
                connections[topic, kind] = writer.add_connection(topic, kind, typestore=maker.store)
            writer.write(connections[topic, kind], log_ns, data)
    return folder


CONTAINERS = ("mcap", "bag", "sqlite", "rosbag2_mcap")


def write_as(container, folder, rows_of):
    """Writes what `rows_of` makes with a maker, as one of CONTAINERS; returns the path to open."""
    maker = Maker(1 if container == "bag" else 2)
    rows = rows_of(maker)
    if container == "mcap":
        return write_mcap(folder / "made.mcap", rows, maker)
    if container == "bag":
        return write_rosbag1(folder / "made.bag", rows, maker)
    return write_rosbag2(folder / "made", rows, maker, storage="mcap" if container == "rosbag2_mcap" else "sqlite3")
