"""py123d logs: against a stand-in for its library with the same names, and once with the library itself."""

import sys
import types

import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.datasets.py123d.records import lens_of
from perceptum.inputs import BrokenRecord, Lens, LogError, PoseUnknown, encode_jpeg
from perceptum.inputs.poses import quaternion_from_yaw, rigid, rotation_from_quaternion
from perceptum.install import install_command

pa = pytest.importorskip("pyarrow")

FIRST_US, STEP_US = 1_700_000_000_000_000, 100_000
PLACE = np.array([5000.0, 2000, 60])
YAW = 0.5


def space(**names):
    return types.SimpleNamespace(**names)


def pose(translation=(0, 0, 0), wxyz=(1, 0, 0, 0)):
    matrix = rigid(rotation_from_quaternion(wxyz), translation)
    return space(transformation_matrix=matrix, array=np.array([*translation, *wxyz], dtype=np.float64))


class PinholeCameraMetadata:
    intrinsics = space(camera_matrix=np.array([[700.0, 0, 20], [0, 690, 10], [0, 0, 1]]))
    distortion = space(array=np.array([-0.2, 0.1, 0.001, 0.002, 0]))
    camera_to_imu_se3 = pose((1.6, 0, 1.4), (0.5, -0.5, 0.5, -0.5))
    height, width = 24, 40


class FisheyeMEICameraMetadata(PinholeCameraMetadata):
    projection = space(gamma1=700.0, gamma2=690.0, u0=20.0, v0=10.0)
    distortion = space(k1=0.1, k2=0.2, p1=0.3, p2=0.4)
    mirror_parameter = 1.5


def lidar(i):
    rng = np.random.default_rng(i)
    features = {
        "intensity": rng.integers(0, 256, 30, dtype=np.uint8),
        "channel": rng.integers(0, 32, 30, dtype=np.uint8),
        "timestamps": FIRST_US + i * STEP_US + np.arange(30, dtype=np.int64),
    }
    mounted = {"LIDAR_TOP": space(lidar_to_imu_se3=pose((1.3, 0, 1.6)))}
    xyz = rng.normal(size=(30, 3)).astype(np.float32)
    return space(xyz=xyz, point_cloud_features=features, lidar_metadatas=mounted)


def radar(i):
    features = {name: np.full(2, k, np.float32) for k, name in enumerate(("rcs", "radial_velocity", "velocity_x_comp"))}
    place = pose((3.5, 0.1, 0.4))
    radars = {"a": space(radar_to_imu_se3=place), **({"b": space(radar_to_imu_se3=place)} if i == 2 else {})}
    return space(xyz=np.ones((2, 3), np.float32), point_cloud_features=features, radar_metadatas=radars)


def box(i):
    # two metres ahead of the car, turned by 0.1 against it
    ahead = PLACE + 2 * np.array([np.cos(YAW), np.sin(YAW), 0])
    return space(
        attributes=space(label=space(name="CAR"), track_token=f"t{i}", num_lidar_points=i),
        bounding_box_se3=space(array=np.array([*ahead, *quaternion_from_yaw(YAW + 0.1), 4, 2, 1.5])),
        velocity_3d=None if i else space(array=np.array([np.cos(YAW), np.sin(YAW), 0])),
    )


def ego(i):
    return space(timestamp=space(time_us=int(times("ego_state_se3")[i])), imu_se3=pose(PLACE, quaternion_from_yaw(YAW)))


def times(key):
    if key == "ego_state_se3":
        # two stamps of a finer original are one microsecond
        return FIRST_US + np.array([-STEP_US, -STEP_US, 0, STEP_US, 2 * STEP_US, 3 * STEP_US])
    return FIRST_US + STEP_US * np.arange(3 if not key.startswith("camera") else 2)


def line(*points):
    return space(array=np.array(points, dtype=np.float64))


def lane(id, successors=(), left=None, right=None, **more):
    x = 10.0 * id
    return space(
        object_id=id,
        lane_type=space(name="SURFACE_STREET"),
        left_boundary_3d=line((x, 2, 0), (x + 10, 2, 0)),
        right_boundary_3d=line((x, -2, 0), (x + 10, -2, 0)),
        centerline_3d=line((x, 0, 0), (x + 10, 0, 0)),
        successor_ids=list(successors),
        left_lane_id=left,
        right_lane_id=right,
        lane_group=space(intersection_id=3 if id == 2 else None),
        **more,
    )


MAP_LAYERS = {
    "LANE": [lane(1, [2, 99]), lane(2, left=1, right=77)],
    "CROSSWALK": [space(object_id=5, outline_3d=line((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 0, 0)))],
    "ROAD_LINE": [space(object_id=6, polyline_3d=line((0, 0, 0), (1, 0, 0)))],
}


class MapAPI:
    available_map_layers = tuple(space(name=name) for name in MAP_LAYERS)
    map_has_z = False

    def get_all_map_objects_in_layer(self, layer):
        return iter(MAP_LAYERS[layer.name])


RECORDS = {"lidar": lidar, "radar": radar, "ego_state_se3": ego, "box_detections_se3": lambda i: [box(0), box(1)]}
METADATA = {
    "ego_state_se3": None,
    "box_detections_se3": None,
    "lidar.lidar_merged": None,
    "radar.radar_front": None,
    "camera.pcam_f0": PinholeCameraMetadata(),
    "camera.fmcam_l0": FisheyeMEICameraMetadata(),
    "camera.pcam_l0": PinholeCameraMetadata(),
}
DATA = {
    "camera.pcam_f0": [encode_jpeg(np.full((24, 40, 3), 90, np.uint8))] * 2,
    "camera.fmcam_l0": [7, 8],
    "camera.pcam_l0": ["a/b.jpg", "../../etc/b.jpg"],
}


def table(folder, key):
    if not (folder / f"{key}.arrow").exists():
        return None
    columns = {f"{key}.timestamp_us": times(key)}
    return pa.table(columns | ({f"{key}.data": DATA[key]} if key in DATA else {}))


class ArrowSceneAPI:
    def __init__(self, folder):
        self.folder = folder

    def get_all_modality_metadatas(self):
        return {key: value for key, value in METADATA.items() if (self.folder / f"{key}.arrow").exists()}

    def get_modality_at_timestamp(self, time_us, kind, id, criteria):
        assert criteria == "exact"
        key = kind if id is None else f"{kind}.{id}"
        index = int(np.flatnonzero(times(key) == time_us)[0])
        if (self.folder / f"{key}.arrow").read_bytes() != b"whole":
            raise AssertionError("a table is damaged")
        if kind == "camera":
            return space(rgb_image=np.full((24, 40, 3), index, np.uint8))
        return RECORDS[kind](index)

    def get_modality_between_timestamps(self, first, last, kind, id, inclusive):
        assert inclusive == "both"
        return (RECORDS[kind](i) for i in range(len(times(kind))))

    def get_map_api(self):
        return MapAPI() if (self.folder / "map.arrow").exists() else None


@pytest.fixture
def library(monkeypatch):
    """A stand-in for the modules of py123d that the reader uses."""
    api, sync = types.ModuleType("arrow_scene_api"), types.ModuleType("sync_utils")
    api.ArrowSceneAPI, sync.get_modality_table = ArrowSceneAPI, table
    base = "py123d.api.scene.arrow"
    packages = ("py123d", "py123d.api", "py123d.api.scene", base, f"{base}.modalities")
    for name in packages:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, f"{base}.arrow_scene_api", api)
    monkeypatch.setitem(sys.modules, f"{base}.modalities.sync_utils", sync)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "log-1"
    path.mkdir()
    for name in ("sync", "map", *METADATA):
        (path / f"{name}.arrow").write_bytes(b"whole")
    return path


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_log_has_the_librarys_sensors(library, folder):
    log = open_log(folder)
    assert (log.source.dataset, log.source.name, len(log)) == ("py123d", "log-1", 3)
    assert list(log.source.lidars) == ["lidar_merged"]
    assert list(log.source.radars) == ["radar_front"]
    assert sorted(log.source.cameras) == ["fmcam_l0", "pcam_f0", "pcam_l0"]
    assert log[1].time_ns == (FIRST_US + STEP_US) * 1000


def test_points_are_in_the_ego_frame_with_their_own_times(library, folder):
    sweep = open_log(folder)[1].lidar
    np.testing.assert_array_equal(sweep.x, lidar(1).xyz[:, 0])
    np.testing.assert_array_equal(sweep.ego_from_sensor, np.eye(4))
    assert sweep.origin.tolist() == [1.3, 0, 1.6]
    assert sweep.offset_ns.tolist() == [1000 * i for i in range(30)]
    assert (sweep.intensity_scale, sweep.ring.dtype) == (255.0, np.uint8)


def test_detections_are_in_the_ego_frame_and_say_where_their_radar_sits(library, folder):
    log = open_log(folder)
    cycle = log[1].radars["radar_front"]
    assert (cycle.rcs.tolist(), cycle.v_radial.tolist(), cycle.vx_comp.tolist()) == ([0, 0], [1, 1], [2, 2])
    assert cycle.vx is cycle.v_radial_comp is None
    np.testing.assert_array_equal(cycle.ego_from_sensor, np.eye(4))
    assert cycle.origin.tolist() == [3.5, 0.1, 0.4]
    # of several radars at once: a ray could start at any of them
    assert np.isnan(log[2].radars["radar_front"].origin).all()


def test_boxes_are_brought_into_the_ego_frame(library, folder):
    labels = open_log(folder)[0].labels
    np.testing.assert_allclose(labels.boxes[0], [2, 0, 0, 4, 2, 1.5, 0.1], atol=1e-9)
    np.testing.assert_allclose(labels.velocity, [[1, 0], [np.nan, np.nan]], atol=1e-12)
    assert labels.category.tolist() == ["CAR", "CAR"]
    assert labels.num_points.tolist() == [0, 1]
    assert open_log(folder).labels(5) is None


def test_equal_stamps_of_poses_are_one_pose(library, folder):
    poses = open_log(folder).source.poses
    assert len(poses.times_ns) == 5
    np.testing.assert_array_equal(poses.at(FIRST_US * 1000)[:3, 3], PLACE)


@pytest.mark.parametrize(
    ("image", "holds"),
    [
        (np.full((24, 40), 700, np.uint16), "uint16 (24, 40)"),
        (np.full((24, 40, 3), 700, np.uint16), "uint16 (24, 40, 3)"),
        (np.full((24, 40, 3), 0.5, np.float32), "float32 (24, 40, 3)"),
        (np.full((24, 40, 4), 7, np.uint8), "uint8 (24, 40, 4)"),
    ],
)
def test_decoded_pictures_that_are_none_of_8_bits_are_refused(library, folder, monkeypatch, image, holds):
    log = open_log(folder)
    fisheye = log[1].cameras["fmcam_l0"]
    monkeypatch.setattr(ArrowSceneAPI, "get_modality_at_timestamp", lambda *_, **__: space(rgb_image=image))
    for read in (fisheye.decode, lambda: fisheye.encoded):
        with pytest.raises(BrokenRecord) as caught:
            read()
        assert str(caught.value) == (
            f"{fisheye.source}: holds {holds}, wanted a picture (height, width, 3) of uint8; "
            "depth and other measures are not pictures"
        )


@pytest.mark.parametrize("number", [0, 3, 4])
def test_a_broken_pose_is_a_gap(library, folder, monkeypatch, number):
    def broken(i):
        state = ego(i)
        # the row of the second sweep
        state.imu_se3.array[number] = np.nan if i == 3 else state.imu_se3.array[number]
        return state

    monkeypatch.setitem(RECORDS, "ego_state_se3", broken)
    log = open_log(folder)
    with pytest.raises(PoseUnknown) as caught:
        _ = log[1].world_from_ego
    time_ns = (FIRST_US + STEP_US) * 1000
    assert str(caught.value).startswith(
        f"no pose at {time_ns} ns: {folder}/ego_state_se3.arrow: pose 2 has the quaternion ["
    )
    np.testing.assert_array_equal(log[0].world_from_ego[:3, 3], PLACE)
    np.testing.assert_array_equal(log[2].world_from_ego[:3, 3], PLACE)
    assert len(log.skipped) == 1


def test_cameras_have_their_lens_and_bytes_or_pixels(library, folder):
    log = open_log(folder)
    front = log[0].cameras["pcam_f0"]
    assert front.encoded == DATA["camera.pcam_f0"][0]
    assert (front.distortion_model, front.intrinsics[0, 0]) == ("brown", 700)
    assert front.size == (24, 40)
    np.testing.assert_allclose(front.ego_from_camera[:3, 3], [1.6, 0, 1.4])
    fisheye = log[1].cameras["fmcam_l0"]
    assert (fisheye.distortion_model, fisheye.distortion.tolist()) == ("mei", [1.5, 0.1, 0.2, 0.3, 0.4])
    fisheye.decode()[:] = 0
    assert (fisheye.decode() == 1).all()
    assert fisheye.encoded.startswith(b"\x89PNG")


def test_an_ftheta_camera_is_seen_through_its_forward_polynomial():
    class FThetaCameraMetadata:
        intrinsics = space(cx=20.0, cy=10.0, fw_poly=np.array([0, 480.0, -8, 22, -60, 14]), bw_poly=np.zeros(6))

    said_of = lens_of(FThetaCameraMetadata(), "here")
    lens = Lens(said_of.intrinsics, said_of.distortion_model, said_of.distortion)
    angle = 0.4
    (pixel,), _ = lens.project([[np.sin(angle), 0, np.cos(angle)]])
    radius = np.polynomial.polynomial.polyval(angle, FThetaCameraMetadata.intrinsics.fw_poly)
    np.testing.assert_allclose(pixel, [20 + radius, 10], atol=1e-9)


def test_a_camera_of_another_kind_is_refused():
    kinds = "wanted a pinhole, a mei fisheye or an f-theta camera with intrinsics"
    assert said(lambda: lens_of(space(), "here")) == f"here: a camera of the kind SimpleNamespace, {kinds}"


def test_a_path_that_leaves_the_dataset_is_refused(library, folder):
    log = open_log(folder)
    assert (log[0].cameras["pcam_l0"].decode() == 0).all()
    assert said(log[1].cameras["pcam_l0"].decode) == (
        f"{folder}/camera.pcam_l0.arrow: row 1 names '../../etc/b.jpg', outside of the dataset"
    )


def test_the_map_is_the_librarys_without_the_heights_it_fills_in(library, folder):
    hd_map = open_log(folder).map
    assert {name: (layer.kind, len(layer)) for name, layer in hd_map.layers.items()} == {
        "crossing": ("polygon", 1),
        "lane_divider": ("line", 1),
        "lane": ("polygon", 2),
    }
    assert hd_map.layers["crossing"][0][:, :2].tolist() == [[0, 0], [1, 0], [1, 1]]
    assert hd_map.lanes.successors.tolist() == [[0, 1]]
    assert hd_map.lanes.neighbors.tolist() == [[-1, -1], [0, -1]]
    assert hd_map.lanes.is_intersection.tolist() == [False, True]
    assert np.isnan(hd_map.lanes.centerlines.points[:, 2]).all()
    (folder / "map.arrow").unlink()
    assert open_log(folder).map is None


def test_lights_signs_and_speed_limits_are_those_of_the_map(library, folder, monkeypatch):
    bare = open_log(folder).map.lanes
    assert (bare.turn, bare.has_traffic_control, bare.speed_limit_mps) == (None, None, None)

    def zone(id, kind, lanes):
        outline = line((0, 0, 0), (1, 0, 0), (1, 1, 0))
        return space(object_id=id, outline_3d=outline, stop_zone_type=space(name=kind), lane_ids=lanes)

    crossing = space(
        object_id=3, outline_3d=line((0, 0, 0), (1, 0, 0), (1, 1, 0)), intersection_type=space(name="STOP_SIGN")
    )
    layers = {
        "LANE": [lane(1, speed_limit_mps=13.5), lane(2), lane(4), lane(5)],
        "STOP_ZONE": [zone(8, "TRAFFIC_LIGHT", [4]), zone(9, "PEDESTRIAN_CROSSING", [5])],
        "INTERSECTION": [crossing],
    }
    monkeypatch.setitem(globals(), "MAP_LAYERS", layers)
    monkeypatch.setattr(MapAPI, "available_map_layers", tuple(space(name=name) for name in layers))
    hd_map = open_log(folder).map
    assert {name: len(layer) for name, layer in hd_map.layers.items()} == {"stop_line": 2, "intersection": 1, "lane": 4}
    lanes = hd_map.lanes
    assert lanes.has_traffic_control.tolist() == [False, True, True, False]
    np.testing.assert_array_equal(lanes.speed_limit_mps, [13.5, np.nan, np.nan, np.nan])


def test_what_the_library_cannot_read_is_named(library, folder):
    (folder / "lidar.lidar_merged.arrow").write_bytes(b"damaged")
    log = open_log(folder, on_error="skip")
    time_ns = FIRST_US * 1000
    assert log[0].lidar is None
    assert log.skipped == [
        f"lidar/lidar_merged 0: {folder}/lidar.lidar_merged.arrow at {time_ns} ns: py123d cannot read it "
        "(a table is damaged)"
    ]


def test_without_the_library_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "py123d", None)
    assert said(lambda: open_log(folder), LogError) == (
        f"reading logs of py123d needs its library: {install_command('py123d')}"
    )


def test_a_log_without_sensors_says_so(library, folder):
    for key in METADATA:
        if "." in key:
            (folder / f"{key}.arrow").unlink()
    assert said(lambda: open_log(folder), LogError) == (
        f"{folder}: no lidar, camera or radar in this log; it has box_detections_se3, ego_state_se3"
    )


@pytest.mark.data
@pytest.mark.slow
def test_a_log_converted_by_the_library_is_the_original(real_argoverse2, tmp_path):
    """Runs where py123d is installed, which the test environment leaves out: it brings ray, a viewer and notebooks."""
    pytest.importorskip("py123d")
    from py123d.api.map.arrow.arrow_map_writer import ArrowMapWriter
    from py123d.api.scene.arrow.arrow_log_writer import ArrowLogWriter, SyncConfig
    from py123d.api.scene.arrow.utils.log_writer_config import LogWriterConfig
    from py123d.parser.av2.av2_sensor_parser import Av2SensorParser

    for split in ("train", "test"):
        (tmp_path / "in" / split).mkdir(parents=True)
    (tmp_path / "in" / "val").symlink_to(real_argoverse2.parent)
    parser = Av2SensorParser(["av2-sensor_val"], tmp_path / "in")
    logs, maps = tmp_path / "logs", ArrowMapWriter(True, tmp_path / "maps", tmp_path / "logs")
    for one in parser.get_map_parsers():
        if maps.reset(one.get_map_metadata()):
            for thing in one.iter_map_objects():
                maps.write_map_object(thing)
        maps.close()
    stored = {"lidar_store_option": "binary", "lidar_codec": "ipc_zstd", "camera_store_option": "jpeg_binary"}
    config = LogWriterConfig(force_log_conversion=True, async_conversion=True, **stored)
    sync = SyncConfig(reference_column="lidar.lidar_merged.timestamp_us", direction="forward")
    writer = ArrowLogWriter(config, logs, tmp_path / "sensors", sync_config=sync)
    for one in parser.get_log_parsers():
        writer.reset(one.get_log_metadata())
        for modality in one.iter_modalities_async():
            writer.write_async(modality)
        writer.close()
    ours, theirs = open_log(real_argoverse2), open_log(logs / "av2-sensor_val" / real_argoverse2.name)
    for a, b in zip(ours, theirs, strict=True):
        assert a.time_ns == b.time_ns
        for name in ("x", "y", "z", "intensity"):
            assert getattr(a.lidar, name).tobytes() == np.ascontiguousarray(getattr(b.lidar, name)).tobytes()
        # stamps are cut to microseconds
        assert np.abs(a.lidar.offset_ns - b.lidar.offset_ns).max() < 1000
        np.testing.assert_array_equal(a.world_from_ego, b.world_from_ego)
        i, j = np.argsort(a.labels.track_id), np.argsort(b.labels.track_id)
        np.testing.assert_allclose(a.labels.boxes[i], b.labels.boxes[j], atol=1e-9)
        assert (a.labels.num_points[i] == b.labels.num_points[j]).all()
    one, other = ours.map.lanes, theirs.map.lanes
    assert {(one.ids[a], one.ids[b]) for a, b in one.successors} == {
        (other.ids[a], other.ids[b]) for a, b in other.successors
    }


def test_a_layer_of_the_map_that_is_not_read_is_said(library, folder, monkeypatch):
    monkeypatch.setattr(MapAPI, "available_map_layers", (*MapAPI.available_map_layers, space(name="BRIDGE")))
    with pytest.warns(UserWarning, match="^the map of py123d: not read: layer BRIDGE"):
        assert open_log(folder).map.unread == ("layer BRIDGE (1)",)
