"""One record of one sensor, as columns: what every dataset reader hands out, whatever it read.

Columns are 1-D numpy arrays of one length, in the dtype in which the log stores them; a column that the
sensor does not give is None. Nothing here holds a Python object per point or per box.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from perceptum.plural import a_or_an

from .arrays import Matrix
from .codecs import decode_image
from .errors import BrokenRecord, LogError
from .lenses import Lens, lens_of
from .once import once
from .picture_size import picture_size
from .point_labels import PointLabels
from .poses import inverse, moved_boxes

__all__ = ["RADAR_COLUMNS", "RADAR_OWN", "CameraImage", "Labels", "LidarSweep", "RadarSweep", "read_only"]

Column = NDArray[Any]

_MOST_SHOWN = 5
"""Categories in a line that stands for labels."""


Record = TypeVar("Record", "LidarSweep", "RadarSweep", "CameraImage", "Labels")


def read_only(record: Record) -> Record:
    """Returns the record with arrays that cannot be written to, the same memory: what frames share, none may change.

    The arrays that were given stay as they are, for they may be somebody's own; a record without any to change is
    returned itself.
    """
    arrays = {name: v for name, v in vars(record).items() if isinstance(v, np.ndarray) and v.flags.writeable}
    if not arrays:
        return record
    changed: dict[str, Any] = {name: _view(array) for name, array in arrays.items()}
    return replace(record, **changed)


def _view(array: Column) -> Column:
    view = array.view()
    view.flags.writeable = False
    return view


def _check_columns(where: str, own: Mapping[str, Any], names: Collection[str]) -> None:
    """Checks the columns `names` among a record's own fields; all have the shape of x."""
    shape = own["x"].shape
    if len(shape) != 1:
        raise BrokenRecord(f"{where}: column x has shape {shape}, wanted one dimension")
    for name in names:
        column = own[name]
        # an ordinary column first: a radar's record has twenty, and a frame thirty such records
        if column is None or (type(column) is np.ndarray and column.shape == shape and column.dtype.kind in "fiub"):
            continue
        if column.shape != shape:
            raise BrokenRecord(f"{where}: column {name} has shape {column.shape}, x has {shape}")
        masked = type(column) is not np.ndarray and isinstance(column, np.ma.MaskedArray)
        if masked or column.dtype.kind not in "fiub":
            found = f"{a_or_an(type(column).__name__)} of {column.dtype}"
            raise BrokenRecord(f"{where}: column {name} is {found}, wanted numbers")


def _columns_of(record: LidarSweep | RadarSweep, apart: Collection[str]) -> str:
    return " ".join(name for name, v in vars(record).items() if isinstance(v, np.ndarray) and name not in apart)


def _check_shape(name: str, column: Column | None, shape: tuple[int, ...]) -> None:
    if column is not None and column.shape != shape:
        raise BrokenRecord(f"labels: {name} has shape {column.shape}, wanted {shape}")


# one for all, which nobody may change
_AT_THE_SENSOR = np.zeros(3)
_AT_THE_SENSOR.flags.writeable = False


@dataclass(frozen=True, eq=False)
class LidarSweep:
    """One revolution of one lidar, in the sensor's frame (metres)."""

    sensor: str
    time_ns: int
    """The sweep's stamp; a point was measured at time_ns + offset_ns."""
    ego_from_sensor: Matrix
    """(4, 4) float64."""
    x: Column
    y: Column
    z: Column
    intensity: Column | None = None
    """As recorded; divide by `intensity_scale` for [0, 1]."""
    ring: Column | None = None
    """The beam's number as recorded, not sorted by elevation."""
    offset_ns: Column | None = None
    """int, nanoseconds after time_ns (may be negative)."""
    elongation: Column | None = None
    """How far the returned pulse is stretched, as recorded (Waymo)."""
    return_index: Column | None = None
    """0 for a ray's first return, 1 for its second."""
    image_column: Column | None = None
    """The column of the lidar's own range image that the point was measured in, 0 leftmost (Waymo)."""
    intensity_scale: float = 1.0
    compensated_to_ns: int | None = None
    """The moment to which the points were already motion-compensated; None: as measured, each at its own time."""
    row_of_ring: NDArray[np.int32] | None = None
    """(rings,) the rank of each ring by elevation, 0 highest; None where the table is not known."""
    origin: Matrix = field(default_factory=lambda: _AT_THE_SENSOR)
    """(3,) where the rays start, in this frame; not zero where a log stores points in another frame than its own."""
    source: str = ""
    """Where the record lies, for messages."""
    point_labels: PointLabels | None = field(default=None, repr=False)
    """The class and instance of each point, read when they are first asked for; None: the log does not label them."""

    def __post_init__(self) -> None:
        where = self.source or self.sensor
        names = ("x", "y", "z", "intensity", "ring", "offset_ns", "elongation", "return_index", "image_column")
        _check_columns(where, vars(self), names)
        if self.point_labels is not None and len(self.point_labels) != len(self.x):
            raise BrokenRecord(f"{where}: {len(self.point_labels)} labels for {len(self.x)} points")

    @property
    def semantic(self) -> NDArray[np.int32] | None:
        """(N,) the class of each point, by the log's own codes, which `log.point_classes` names; read when first
        asked for. Raises LogErrors."""
        return None if self.point_labels is None else self.point_labels.semantic

    @property
    def instance(self) -> NDArray[np.int32] | None:
        """(N,) which object of its class a point is of, 0 for none; None: the log does not say. As `semantic`."""
        return None if self.point_labels is None else self.point_labels.instance

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        columns = _columns_of(self, ("ego_from_sensor", "row_of_ring", "origin"))
        return f"<LidarSweep {self.sensor} at {self.time_ns} ns: {len(self)} points of {columns}>"


@dataclass(frozen=True, eq=False)
class RadarSweep:
    """The detections of one radar cycle, in the sensor's frame (metres, m/s, dBsm).

    Whatever the dataset calls them, the columns mean the same: readers turn signs and units, and make up nothing.
    """

    sensor: str
    time_ns: int
    ego_from_sensor: Matrix
    """(4, 4) float64."""
    x: Column
    y: Column
    z: Column
    """0 where the radar measures no elevation."""
    vx: Column | None = None
    """Velocity relative to the moving sensor, in its axes; which part of it, `velocity_part` says."""
    vy: Column | None = None
    vx_comp: Column | None = None
    """Velocity over ground, in the sensor's axes: the ego motion is taken out."""
    vy_comp: Column | None = None
    rcs: Column | None = None
    """Radar cross section, dBsm."""
    v_radial: Column | None = None
    """Doppler: velocity along the ray from `origin` to the detection, > 0 receding, relative to the moving sensor.

    What stands still ahead of a moving ego approaches: < 0."""
    v_radial_comp: Column | None = None
    """The same over ground: the ego motion is taken out, and what stands still has 0."""
    dyn_prop: Column | None = None
    """Moving, stationary, ...; this and the next columns by the codes of the dataset (nuScenes: ARS 408)."""
    id: Column | None = None
    is_quality_valid: Column | None = None
    ambig_state: Column | None = None
    invalid_state: Column | None = None
    pdh0: Column | None = None
    x_rms: Column | None = None
    y_rms: Column | None = None
    vx_rms: Column | None = None
    vy_rms: Column | None = None
    scan: Column | None = None
    """Of which scan a detection is, where a record holds several: 0 the newest, -1 the one before."""
    velocity_part: Literal["radial", "full"] = "radial"
    """radial: vx vy and vx_comp vy_comp are the part along the ray, which is all that a radar measures; full: the
    velocity itself, as a tracker estimates it."""
    origin: Matrix = field(default_factory=lambda: _AT_THE_SENSOR)
    """(3,) where the rays start, in this frame; not zero where a log stores detections in another frame than the
    radar's own. NaN: from several radars at once, so that the rays are not known."""
    source: str = ""

    def __post_init__(self) -> None:
        where = self.source or self.sensor
        if self.velocity_part not in ("radial", "full"):
            raise BrokenRecord(f"{where}: velocity_part is {self.velocity_part!r}, wanted 'radial' or 'full'")
        _check_columns(where, vars(self), RADAR_COLUMNS)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        columns = _columns_of(self, ("ego_from_sensor", "origin"))
        return f"<RadarSweep {self.sensor} at {self.time_ns} ns: {len(self)} detections of {columns}>"


RADAR_OWN = ("sensor", "time_ns", "ego_from_sensor", "velocity_part", "origin", "source")
"""Fields of a radar sweep that are not columns."""
RADAR_COLUMNS = tuple(f.name for f in fields(RadarSweep) if f.name not in RADAR_OWN)


@dataclass(frozen=True, eq=False)
class CameraImage:
    """One picture. Its bytes are read when `encoded` is first asked for."""

    camera: str
    time_ns: int
    intrinsics: Matrix
    """(3, 3) float64, pixels."""
    ego_from_camera: Matrix
    """(4, 4) float64; camera axes x right, y down, z forward; at the camera's own time."""
    read: Callable[[], bytes] = field(repr=False)
    distortion: Matrix | None = None
    """Coefficients in the order of `distortion_model`; None: the picture is undistorted."""
    distortion_model: str = "none"
    """none, brown (k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tau_x tau_y]]]]), fisheye (k1 k2 k3 k4), mei (xi k1 k2 p1
    p2), ftheta or ftheta_backward (a polynomial); `Lens` says what they mean."""
    source: str = ""
    size: tuple[int, int] | None = None
    """Height and width, px, of the pictures that the intrinsics hold for; None where the log does not say."""

    def __repr__(self) -> str:
        lens = "undistorted" if self.distortion is None else f"{self.distortion_model} distortion"
        return f"<CameraImage {self.camera} at {self.time_ns} ns: {lens}>"

    @once
    def lens(self) -> Lens:
        """How the camera sees; one object for all pictures with the same numbers. Raises BrokenRecord."""
        try:
            return lens_of(self.intrinsics, self.distortion_model, self.distortion)
        except BrokenRecord as error:
            where = f"{self.source}: " if self.source else ""
            raise BrokenRecord(f"{where}camera {self.camera}: {error}") from error

    @once
    def encoded(self) -> bytes:
        """The picture as it lies in the log: JPEG or PNG bytes."""
        return self.read()

    def picture_size(self) -> tuple[int, int]:
        """Returns the picture's own (height, width), px, from its header; raises BrokenRecord."""
        return picture_size(self.encoded, self.source or self.camera)

    def decode(
        self,
        out: NDArray[np.uint8] | None = None,
        *,
        rows: tuple[int, int] | None = None,
        reduce: int = 1,
        scratch: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """Returns (H, W, 3) uint8 RGB, written into `out` where that is given; raises BrokenRecord.

        rows: (first, last), half-open: only those. reduce: 1, 2, 4 or 8: height and width are divided by it, rounded
        up, and rows count in what comes of it; a JPEG is decoded at that scale, of others the means of pixels are
        taken. scratch: (N,) uint8, at least as large as the whole picture at that scale: pixels are decoded into it,
        and without `out` what is returned may be a view of it.
        """
        where = self.source or self.camera
        return decode_image(self.encoded, out, where, rows=rows, reduce=reduce, scratch=scratch)


@dataclass(frozen=True, eq=False)
class Labels:
    """The labelled boxes of one moment, ego frame at `time_ns`; `in_frame("lidar")` gives them in the lidar's axes."""

    time_ns: int
    boxes: Matrix
    """(N, 7) float64: x y z (centre) length width height (metres) yaw (radians about +z, from +x)."""
    category: Column
    """(N,) str."""
    track_id: Column
    """(N,) str; the same object has the same id through the log."""
    velocity: Matrix | None = None
    """(N, 2) float64 m/s in the axes of `frame`, over ground; NaN where unknown; None: not labelled."""
    num_points: NDArray[np.int64] | None = None
    """(N,) lidar points inside, where the dataset records them."""
    num_radar_points: NDArray[np.int64] | None = None
    """(N,) radar points inside, where the dataset counts them (nuScenes)."""
    attributes: Column | None = None
    """(N,) str, what the dataset says of the object's state (nuScenes: vehicle.parked); several are joined by commas;
    empty where it says nothing."""
    occlusion: NDArray[np.int64] | None = None
    """(N,) how much of it others hide, where the dataset says (KITTI): 0 nothing, 1 a part, 2 most of it, 3 unknown."""
    truncation: Matrix | None = None
    """(N,) float64, which share of it is beyond the picture's edges, 0 to 1, where the dataset says (KITTI)."""
    boxes_2d: Matrix | None = None
    """(N, 4) float64: u_min v_min u_max v_max, pixels, as drawn in a picture by hand, where the dataset has
    that (KITTI: in image_2); NaN where one was not drawn."""
    unlabelled_2d: Matrix | None = None
    """(M, 4) float64, likewise: parts of that picture in which objects were not labelled (KITTI's DontCare)."""
    forecast_role: NDArray[np.int64] | None = None
    """(N,) what a forecasting set says of a track (Argoverse 2): 0 a fragment, 1 whole, 2 forecasts of it count, 3 the
    one that the scenario is about."""
    frame: Literal["ego", "lidar"] = "ego"
    """The frame of reference of boxes and velocity; lidar: the primary lidar's own axes. Readers give ego."""
    ego_from_lidar: Callable[[], Matrix] | None = field(default=None, repr=False, compare=False)
    """Gives (4, 4) float64, where the lidar is mounted; the frame that hands labels out sets it."""

    def __post_init__(self) -> None:
        n = len(self.boxes)
        _check_shape("boxes", self.boxes, (n, 7))
        _check_shape("category", self.category, (n,))
        _check_shape("track_id", self.track_id, (n,))
        _check_shape("velocity", self.velocity, (n, 2))
        _check_shape("num_points", self.num_points, (n,))
        _check_shape("num_radar_points", self.num_radar_points, (n,))
        _check_shape("attributes", self.attributes, (n,))
        _check_shape("occlusion", self.occlusion, (n,))
        _check_shape("truncation", self.truncation, (n,))
        _check_shape("boxes_2d", self.boxes_2d, (n, 4))
        _check_shape("forecast_role", self.forecast_role, (n,))
        areas = self.unlabelled_2d
        _check_shape("unlabelled_2d", areas, (0 if areas is None else len(areas), 4))

    def in_frame(self, frame: Literal["ego", "lidar"]) -> Labels:
        """Returns the labels in the ego frame, or in the primary lidar's own axes, both at `time_ns`.

        Raises MissingRecord where the frame has no sweep of that lidar, LogError where the labels are of no frame.
        """
        if frame not in ("ego", "lidar"):
            raise LogError(f"labels: no frame of reference {frame!r}, wanted 'ego' or 'lidar'")
        if frame == self.frame:
            return self
        ego_from_lidar = self.lidar_mounting()
        target_from_source = ego_from_lidar if frame == "ego" else inverse(ego_from_lidar)
        velocity = None if self.velocity is None else self.velocity @ target_from_source[:2, :2].T
        return replace(self, frame=frame, boxes=moved_boxes(self.boxes, target_from_source), velocity=velocity)

    def lidar_mounting(self) -> Matrix:
        """Returns ego_from_lidar of the primary lidar, (4, 4) float64; raises as `in_frame` does."""
        if self.ego_from_lidar is None:
            raise LogError("labels: it is not known where the lidar is mounted; take the labels of a log's frame")
        return self.ego_from_lidar()

    def __len__(self) -> int:
        return len(self.boxes)

    def __repr__(self) -> str:
        counts = Counter(map(str, self.category)).most_common()
        shown = [f"{count} {name}" for name, count in counts[:_MOST_SHOWN]] + ["..."] * (len(counts) > _MOST_SHOWN)
        axes = "" if self.frame == "ego" else f" in the {self.frame} frame"
        boxes = f"{len(self)} boxes{axes}{': ' if shown else ''}{', '.join(shown)}"
        return f"<Labels at {self.time_ns} ns: {boxes}>"
