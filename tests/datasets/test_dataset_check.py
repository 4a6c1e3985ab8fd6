"""perceptum.testing.check_dataset: our own datasets pass, and every mistake that a reader can make is said in words."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from perceptum.datasets import Reader, open_log
from perceptum.inputs import (
    BrokenRecord,
    CameraImage,
    Labels,
    LidarSweep,
    LogError,
    Poses,
    RadarSweep,
    Source,
    encode_jpeg,
)
from perceptum.testing import check_dataset

SMALL = {"frames": 3, "seed": 1, "beams": 8, "azimuth_steps": 90, "image_size": (40, 24)}
CUT = {
    "kitti": ["training/velodyne/000003.bin"],
    "kitti_odometry": ["velodyne/000000.bin"],
    "kitti_raw": [],
    "view_of_delft": ["lidar/training/velodyne/00544.bin"],
    "aimotive": [],
    "argoverse2": ["city_SE3_egovehicle.feather"],
    "nuscenes": [],
    "rosbag2": [],
    "ros1_bag": [],
    "mcap_recording": [],
}
"""Fixture -> files in which missing bytes must be noticed."""


@pytest.mark.parametrize("name", CUT)
def test_our_own_datasets_pass(name, request):
    path = request.getfixturevalue(name)
    check_dataset(path, cut_short=CUT[name])


def test_the_synthetic_drive_and_the_store_pass(tmp_path):
    from perceptum.convert import convert

    check_dataset("synthetic", **SMALL)
    convert(open_log("synthetic", **SMALL), tmp_path / "store")
    check_dataset(tmp_path / "store", cut_short=["perceptum-index.arrow"])


class Drive(Source):
    """Three sweeps of a folder's files, and labels."""

    dataset = "acme_drive"
    sequential = True
    radars = cameras = {}  # noqa: RUF012

    def __init__(self, path):
        self.path, self.name, self.location = path, path.name, str(path)
        self.times_ns = np.array([1_000_000_000 + k * 100_000_000 for k in range(3)], np.int64)
        self.lidars = {"top": self.times_ns}

    @property
    def poses(self):
        return Poses.fixed(self.times_ns)

    def read_lidar(self, sensor, index):
        data = (self.path / f"{index}.bin").read_bytes()
        if len(data) % 16:
            raise BrokenRecord(f"{self.path / f'{index}.bin'}: {len(data)} bytes is not a multiple of 16")
        x, y, z, intensity = np.frombuffer(data, "<f4").reshape(-1, 4).T
        return LidarSweep(sensor, int(self.times_ns[index]), np.eye(4), x, y, z, intensity=intensity)

    def read_labels(self, time_ns):
        names = np.array(["car", "car"])
        return Labels(time_ns, np.array([[1.0, 2, 0, 4, 2, 1.5, 0]] * 2), names, np.array(["a", "b"]))


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """acme(source, recognises=...): the folder of a log that the source reads, as an installed plug-in."""

    def install(source, recognises=lambda path: (path / "0.bin").is_file()):
        papers = tmp_path / "acme-1.0.dist-info"
        papers.mkdir()
        (papers / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
        (papers / "entry_points.txt").write_text("[perceptum.datasets]\nacme_drive = acme_drive\n")
        module = ModuleType("acme_drive")
        module.LOOKS_LIKE, module.recognises, module.open_source = "0.bin", recognises, source
        monkeypatch.setitem(sys.modules, "acme_drive", module)
        monkeypatch.syspath_prepend(tmp_path)
        drive = tmp_path / "drive"
        drive.mkdir()
        for k in range(3):
            points = np.random.default_rng(k).normal(size=(40, 4)).astype("<f4")
            (drive / f"{k}.bin").write_bytes(points.tobytes())
        return drive

    return install


def test_a_reader_without_a_mistake_passes(acme):
    drive = acme(Drive)
    check_dataset(drive, cut_short=["1.bin"])
    check_dataset(drive, format="acme_drive", most_frames=1)


class WithoutMotion(Reader):
    """Has no poses, and says nothing of that."""

    sequential = True

    def __init__(self, path):
        super().__init__(path)
        self.times_ns = np.array([1_000_000_000, 10_000_000_000], np.int64)
        self.lidars = {"top": self.times_ns}

    def read_lidar(self, sensor, index):
        return LidarSweep(sensor, int(self.times_ns[index]), np.eye(4), *np.ones((3, 5), np.float32))


def test_a_reader_without_poses_stands_still(acme):
    from perceptum.check import check_log
    from perceptum.info import describe

    drive = acme(WithoutMotion)
    check_dataset(drive)
    log = open_log(drive)
    assert log.world_from_ego(5_000_000_000).tolist() == np.eye(4).tolist()
    assert describe(log)["poses"]["path_m"] == 0
    assert check_log(str(drive)) == []


class Bare:
    """Whatever it is, and not a Reader."""

    sequential = True
    radars = cameras = {}  # noqa: RUF012

    def __init__(self, path):
        self.name, self.location = path.name, str(path)
        self.times_ns = np.array([1_000_000_000], np.int64)
        self.lidars = {"top": self.times_ns}


class BareSource(Bare, Source):
    """Has the protocol's `poses`, which gives nothing."""


@pytest.mark.parametrize("source", [Bare, BareSource])
def test_a_source_without_poses_that_is_not_a_reader_is_named(acme, source):
    drive, said = (
        acme(source),
        f"dataset 'acme_drive': its {source.__name__} has no `poses`, which every source answers",
    )
    with pytest.raises(LogError, match=f"^{said}"):
        _ = open_log(drive)[0].world_from_ego
    with pytest.raises(AssertionError, match=f"drive: asking for its poses raised LogError: {said}"):
        check_dataset(drive)


class WithoutTimes(Reader):
    sequential = True


@pytest.mark.parametrize(("source", "lacks"), [(WithoutTimes, "times_ns"), (lambda path: object(), "cameras")])
def test_a_source_that_lacks_what_all_have_is_not_opened(acme, source, lacks):
    with pytest.raises(LogError, match=rf"^dataset 'acme_drive': its \w+ has no `{lacks}`, which every source answers"):
        open_log(acme(source))


def test_a_radar_without_a_mistake_passes(acme):
    check_dataset(acme(WithRadar))


class EmptyIds(Drive):
    ids = ("a", "", "c")


class SameIds(Drive):
    ids = ("a", "a", "c")


class Backwards(Drive):
    def __init__(self, path):
        super().__init__(path)
        self.times_ns = self.times_ns[::-1]


class InMicroseconds(Drive):
    def read_lidar(self, sensor, index):
        return replace(super().read_lidar(sensor, index), time_ns=int(self.times_ns[index]) // 1000)


class OfAnother(Drive):
    def read_lidar(self, sensor, index):
        return replace(super().read_lidar(sensor, index), sensor="front")


class InIntegers(Drive):
    def read_lidar(self, sensor, index):
        sweep = super().read_lidar(sensor, index)
        return replace(sweep, x=(sweep.x * 100).astype(np.int16))


class TimesInSeconds(Drive):
    def read_lidar(self, sensor, index):
        sweep = super().read_lidar(sensor, index)
        return replace(sweep, offset_ns=np.linspace(0, 0.1, len(sweep)))


class Short(Drive):
    def read_lidar(self, sensor, index):
        sweep = super().read_lidar(sensor, index)
        return replace(sweep, intensity=sweep.intensity[:-1])


class Scaled(Drive):
    def read_lidar(self, sensor, index):
        return replace(super().read_lidar(sensor, index), ego_from_sensor=np.diag([2.0, 2, 2, 1]))


class NoPoseAtTheEnd(Drive):
    @property
    def poses(self):
        return Poses.fixed(self.times_ns[:2])


class Noisy(Drive):
    def read_lidar(self, sensor, index):
        sweep = super().read_lidar(sensor, index)
        return replace(sweep, x=sweep.x + np.random.default_rng().normal(size=len(sweep)))


class Counting(Drive):
    """Gives what comes next in a file, whatever was asked for."""

    next = 0

    def read_lidar(self, sensor, index):
        Counting.next += 1
        sweep = super().read_lidar(sensor, index)
        return replace(sweep, x=sweep.x + np.float32(Counting.next))


class HoldsAFile(Drive):
    def __init__(self, path):
        super().__init__(path)
        self.file = (path / "0.bin").open("rb")


class Negative(Drive):
    def read_labels(self, time_ns):
        return replace(super().read_labels(time_ns), boxes=np.full((2, 7), -1.0))


class SameTracks(Drive):
    def read_labels(self, time_ns):
        return replace(super().read_labels(time_ns), track_id=np.array(["a", "a"]))


class TracksOfNumbers(Drive):
    def read_labels(self, time_ns):
        return replace(super().read_labels(time_ns), track_id=np.array([1, 2]))


class LabelsOfAnother(Drive):
    def read_labels(self, time_ns):
        return super().read_labels(time_ns + 5)


class Exits(Drive):
    def read_labels(self, time_ns):
        sys.exit("no licence")


class Wrongly(Drive):
    def read_lidar(self, sensor, index):
        return {}["nothing"]


class ByAnotherName(Drive):
    dataset = ""


class WithRadar(Drive):
    """Drives at 10 m/s past what stands still, and looks ahead."""

    sign, changed = 1, {}

    def __init__(self, path):
        super().__init__(path)
        self.radars = {"front": self.times_ns}

    @property
    def poses(self):
        times = self.times_ns[0] + np.arange(-2, 5) * 100_000_000
        zero = np.zeros(len(times))
        wxyz = np.column_stack([zero + 1, zero, zero, zero])
        return Poses(times, wxyz, np.column_stack([np.arange(len(times)), zero, zero]))

    def read_radar(self, sensor, index):
        azimuth = np.linspace(-0.5, 0.5, 30)
        x, y, speed = 20 * np.cos(azimuth), 20 * np.sin(azimuth), -10 * np.cos(azimuth) * self.sign
        columns = {"v_radial": speed, "vx": speed * np.cos(azimuth), "vy": speed * np.sin(azimuth)}
        return RadarSweep(sensor, int(self.times_ns[index]), np.eye(4), x, y, 0 * x, **(columns | self.changed))


class TurnedOver(WithRadar):
    sign = -1


class VectorsTurnedOver(WithRadar):
    changed = {"v_radial": -np.linspace(-9, -10, 30)}  # noqa: RUF012


class HalfAVector(WithRadar):
    changed = {"vy": None}  # noqa: RUF012


class CodesOfFloats(WithRadar):
    changed = {"dyn_prop": np.zeros(30)}  # noqa: RUF012


class NoOrigin(WithRadar):
    changed = {"origin": np.array([0, np.nan, 0])}  # noqa: RUF012


class WithCamera(Drive):
    """A fisheye, whose pictures have 12 rows of 20 pixels."""

    changed = {}  # noqa: RUF012

    def __init__(self, path):
        super().__init__(path)
        self.cameras = {"front": self.times_ns}

    def read_camera(self, camera, index):
        intrinsics = np.array([[20.0, 0, 10], [0, 20, 6], [0, 0, 1]])
        lens = {"distortion": np.array([0.1, 0, 0, 0]), "distortion_model": "fisheye", "size": (12, 20)}
        read = partial(encode_jpeg, np.zeros((12, 20, 3), np.uint8))
        return CameraImage(camera, int(self.times_ns[index]), intrinsics, np.eye(4), read, **(lens | self.changed))


def test_a_camera_without_a_mistake_passes(acme):
    check_dataset(acme(WithCamera))


class WidthFirst(WithCamera):
    changed = {"size": (20, 12)}  # noqa: RUF012


class HalfASize(WithCamera):
    changed = {"size": (12, 0)}  # noqa: RUF012


class ThreeNumbers(WithCamera):
    changed = {"distortion": np.zeros(3)}  # noqa: RUF012


FRAME = r"drive: frame \d \(\d+\)"
MISTAKES = {
    EmptyIds: r"drive: frame 1 has an empty id",
    SameIds: r"drive: asking for the frames' ids raised LogError: .*two frames have the name 'a'",
    Backwards: r"drive: opening it raised LogError: .*the times of frames must increase",
    InMicroseconds: rf"{FRAME}: the sweep of top has the stamp 1000000, which is not one of the source's times",
    OfAnother: rf"{FRAME}: the sweep of top says that it is of 'front'",
    InIntegers: rf"{FRAME}: the sweep of top: column x must be floats, got int16",
    TimesInSeconds: rf"{FRAME}: the sweep of top: column offset_ns must be integers, got float64",
    Short: rf"{FRAME}: the sweep of top: reading it raised BrokenRecord: top: column intensity has shape",
    Scaled: rf"{FRAME}: the sweep of top: ego_from_sensor must be a rotation and a translation, got \[\[2.0,",
    NoPoseAtTheEnd: rf"{FRAME}: asking for its pose raised PoseUnknown: no pose at 1200000000 ns",
    Noisy: r"drive, opened again and read backwards: lidar top 1000000000, x differs in 40 of 40 numbers, first at",
    Counting: r"drive, opened again and read backwards: lidar top 1000000000, x differs in 40 of 40 numbers, first at",
    HoldsAFile: r"drive: sending the log to another process raised TypeError: cannot pickle '_io.BufferedReader'",
    Negative: rf"{FRAME}: its labels: boxes must have sizes of 0 or more, and yaw from -pi to pi",
    SameTracks: rf"{FRAME}: its labels: track_id 'a' is listed twice",
    TracksOfNumbers: rf"{FRAME}: its labels: track_id must be texts \(numpy's str_\), got int64",
    LabelsOfAnother: rf"{FRAME}: its labels are of 1000000005 ns, the frame is of 1000000000",
    Exits: rf"{FRAME}: reading its labels raised .*SystemExit: no licence",
    Wrongly: rf"{FRAME}: the sweep of top: reading it raised .*KeyError: 'nothing'",
    TurnedOver: r"drive: radar front: its Doppler has the wrong sign: \d+ detections of what stands still",
    VectorsTurnedOver: rf"{FRAME}: the cycle of front: v_radial is 9 in row 0, where vx vy is -8.77\d* along the ray",
    HalfAVector: rf"{FRAME}: the cycle of front: vx and vy must both be recorded, or neither",
    CodesOfFloats: rf"{FRAME}: the cycle of front: column dyn_prop must be codes \(integers\), got float64",
    NoOrigin: rf"{FRAME}: the cycle of front: origin must be 3 finite numbers, or all NaN, got \[0.0, nan, 0.0\]",
    WidthFirst: rf"{FRAME}: the picture of front: size is \(20, 12\), the picture is \(12, 20\); height and width, in",
    HalfASize: rf"{FRAME}: the picture of front: size must be None, or height and width in pixels, got \(12, 0\)",
    ThreeNumbers: rf"{FRAME}: the picture of front: its lens: camera front: distortion of fisheye has shape",
    ByAnotherName: r"drive: the source's dataset must be a non-empty text, got ''",
}


@pytest.mark.parametrize("source", MISTAKES, ids=lambda source: source.__name__)
def test_a_readers_mistake_is_said_in_words(acme, source):
    drive = acme(source)
    with pytest.raises(AssertionError, match=MISTAKES[source]) as caught:
        check_dataset(drive)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("recognises", "said"),
    [
        (lambda path: True, r"acme_drive: recognises\(\) says True to empty, which is not a log"),
        (
            lambda path: bool(next(iter(path.iterdir())).name),
            r"acme_drive: recognises\(\) raised StopIteration: , asked for empty; it must say False to what is not",
        ),
        (lambda path: False, r"drive: opening it raised NotALog: .*no log of a format we know"),
    ],
    ids=["everything", "what is in a folder", "nothing"],
)
def test_a_dataset_that_recognises_too_much_or_too_little_is_named(acme, recognises, said):
    drive = acme(Drive, recognises)
    with pytest.raises(AssertionError, match=said):
        check_dataset(drive)


class WithTexts(Drive):
    """Names the beam of each sweep in a text, a line per sweep."""

    def __init__(self, path):
        super().__init__(path)
        for number, line in enumerate((path / "beams.csv").read_text().splitlines()):
            if len(line.split(",")) != 3:
                raise BrokenRecord(f"{path / 'beams.csv'}: line {number} has other than 3 columns")


class WithTextsUnread(WithTexts):
    def __init__(self, path):
        Drive.__init__(self, path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_text_is_cut_where_that_can_be_noticed(acme, end):
    drive = acme(WithTexts)
    (drive / "beams.csv").write_text("".join(f"{k},1,0.25{end}" for k in range(3)), newline="")
    check_dataset(drive, cut_short=["beams.csv"])


def test_a_text_that_is_not_looked_at_is_noticed(acme):
    drive = acme(WithTextsUnread)
    (drive / "beams.csv").write_text("1,2,3\n4,5,6\n")
    with pytest.raises(AssertionError, match=r"beams.csv cut to 7 of 12 bytes: was read as if it were complete"):
        check_dataset(drive, cut_short=["beams.csv"])


class Careless(Drive):
    def read_lidar(self, sensor, index):
        data = (self.path / f"{index}.bin").read_bytes()
        x, y, z, _ = np.frombuffer(data[: len(data) // 16 * 16], "<f4").reshape(-1, 4).T
        return LidarSweep(sensor, int(self.times_ns[index]), np.eye(4), x, y, z)


class Unnamed(Drive):
    def read_lidar(self, sensor, index):
        try:
            return super().read_lidar(sensor, index)
        except BrokenRecord:
            raise BrokenRecord("a sweep is cut short") from None


class Raw(Drive):
    def read_lidar(self, sensor, index):
        x, y, z, _ = np.fromfile(self.path / f"{index}.bin", np.uint8).view("<f4").reshape(-1, 4).T
        return LidarSweep(sensor, int(self.times_ns[index]), np.eye(4), x, y, z)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            Careless,
            r"^1.bin cut to 639 of 640 bytes: was read as if it were complete, wanted perceptum.inputs.BrokenRecord$",
        ),
        (Unnamed, r"^1.bin cut to 639 of 640 bytes: the error does not name the file: a sweep is cut short$"),
        (Raw, r"^1.bin cut to 639 of 640 bytes: .* ValueError: "),
    ],
)
def test_a_file_that_is_cut_short_must_be_an_error_that_names_it(acme, source, said):
    drive = acme(source)
    with pytest.raises(AssertionError, match=said):
        check_dataset(drive, cut_short=["1.bin"])
    assert sorted(file.name for file in Path(drive).iterdir()) == ["0.bin", "1.bin", "2.bin"]
    assert {file.stat().st_size for file in Path(drive).iterdir()} == {640}
