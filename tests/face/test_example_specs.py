"""The specs of examples/specs, each built from a log with the sensors, map, labels and signals that its model takes."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import InputBuilder
from perceptum.features import Spec, canonical
from perceptum.features.models import MODELS
from perceptum.inputs import encode_jpeg
from perceptum.inputs.poses import quaternion_from_rotation

TESTS = Path(__file__).resolve().parents[1]
EXAMPLES = TESTS.parent / "examples"
SPECS = {path.stem: path for path in sorted((EXAMPLES / "specs").glob("*.json"))}
# the end of a spec's name -> the axes that models of this dataset are trained in
AXES = {
    "kitti": "lidar",
    "kitti_odometry": "lidar",
    "nuscenes": "lidar",
    "argoverse2": "ego",
    "argoverse2_forecasting": "ego",
    "waymo": "ego",
    "waymo_motion": "ego",
    "view_of_delft": "radar",
}
# what a dataset's made-up log is written by, in tests/datasets, and where it is in the folder
MADE = {
    "kitti": ("conftest.py", "make_kitti", ""),
    "kitti_odometry": ("made_kitti_odometry.py", "make", "sequences/04"),
    "nuscenes": ("made_nuscenes.py", "make", ""),
    "argoverse2": ("conftest.py", "make_argoverse2", ""),
    "argoverse2_forecasting": ("made_argoverse2_forecasting.py", "make", ""),
    "waymo": ("made_waymo_v2.py", "make", ""),
    "waymo_motion": ("made_waymo_motion.py", "make", "training.tfrecord-00000-of-01000"),
    "view_of_delft": ("made_view_of_delft.py", "make", ""),
}
# what is not in the axes of its dataset
IN_EGO = (
    *("lss_nuscenes", "bevdet_v2_nuscenes", "bevdepth_nuscenes", "crn_nuscenes"),
    *("bevdet4d_nuscenes", "mtp_nuscenes"),
)
# rows that are in other axes than the rest: CRN's radar in the lidar's, the state of BEVFormer in the vehicle's
SUFFIXES = {"radar": "lidar", "can_bus": "ego"}
# counted and left out as the spec says: CRN takes a part of the states, and published models so many agents
CHOSEN = {
    *("detections in other states", "agents over max_agents"),
    *("boxes of no class", "boxes of fewer points than min_points", "boxes out of range", "boxes outside the grid"),
}
# of frames in which nothing turns, crosses, is controlled or lies beside
MAY_BE_EMPTY = ("lane_turn", "lane_control", "lane_intersect", "lane_edges_")
# where a camera looks, to the left of ahead, in degrees
YAWS = {"FRONT": 0, "FRONT_RIGHT": -55, "FRONT_LEFT": 55, "BACK": 180, "BACK_LEFT": 110, "BACK_RIGHT": -110}
# ten sweeps and six cycles of each radar before the last frame
# the moment that scenarios are about, whose past is taken and whose future is learnt; of other logs the last frame
MOMENTS = {"argoverse2_forecasting": 2, "waymo_motion": 2}
STREET = {"frames": 12, "beams": 32, "azimuth_steps": 500, "image_size": (16, 16)}
# the real logs have no radar
REAL = {
    "kitti": "kitti_object",
    "kitti_odometry": "kitti_odometry/dataset/sequences/00",
    "nuscenes": "nuscenes/scene-0061",
    "argoverse2": "argoverse2/sensor/val/7fab2350-7eaf-3b7e-a39d-6937a4c1bede",
}


def spec_of(spec: str) -> Spec:
    return Spec.from_json(SPECS[spec].read_bytes())


def is_training(spec: str) -> bool:
    """Whether it asks for targets, which is said at the end of its name."""
    return spec.endswith("_training")


def dataset_of(spec: str) -> str:
    """The dataset that ends a spec's name, or "street": of none in particular, so that the made-up street will do."""
    spec = spec.removesuffix("_training")
    return next((name for name in sorted(AXES, key=len, reverse=True) if spec.endswith(f"_{name}")), "street")


WITH_CAMERAS = [spec for spec, path in SPECS.items() if "camera_images" in path.read_text()]
LIDAR_ONLY = [spec for spec in SPECS if all(row.name.startswith("lidar_") for row in spec_of(spec))]
OF_REAL = [spec for spec in LIDAR_ONLY if dataset_of(spec) in REAL]


def write_pictures(folder, size):
    """The same picture in the place of every one, of the size that those of the dataset have."""
    height, width = size
    slopes = np.stack(np.broadcast_arrays(*np.ogrid[0 : 200 : height * 1j, 0 : 250 : width * 1j], 90), axis=-1)
    encoded = encode_jpeg(slopes.astype(np.uint8))
    for path in folder.rglob("*.jpg"):
        path.write_bytes(encoded)


def write_kitti(made, folder):
    made["make_kitti"](folder)
    write_pictures(folder, (375, 1242))
    for path in folder.rglob("velodyne/*.bin"):
        points = np.fromfile(path, "<f4").reshape(-1, 4)
        # some of them in the camera's view
        points[::2, 0] = 5 + 10 * abs(points[::2, 0])
        points.tofile(path)
    # and some in what is labelled
    for frame in pc.open_log(folder):
        path = folder / "training" / "velodyne" / f"{frame.id}.bin"
        points = np.fromfile(path, "<f4").reshape(-1, 4)
        points[1:4, :3] = frame.labels.in_frame("lidar").boxes[0, :3]
        points.tofile(path)


def write_kitti_odometry(made, folder):
    """With SemanticKITTI's labels of the points: cars."""
    sequence = made["make"](folder)
    (sequence / "labels").mkdir()
    for path in (sequence / "velodyne").iterdir():
        np.full(path.stat().st_size // 16, 10, "<u4").tofile(sequence / "labels" / f"{path.stem}.label")


def write_nuscenes(made, folder):
    """With all six cameras, and pictures of 900 x 1600."""
    cameras = {}
    for name, degrees in YAWS.items():
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        looks = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
        place, wxyz = [1.5 * c, 0.5 * s, 1.5], quaternion_from_rotation(looks).tolist()
        cameras[f"CAM_{name}"] = ("camera", place, wxyz, 3, -20_000)
    made["make"](folder, sensors=made["SENSORS"] | cameras)

    def enlarge(rows):
        for row in rows:
            row.update({"height": 900, "width": 1600} if row["width"] else {})

    made["change"](folder, "sample_data", enlarge)
    write_pictures(folder, (900, 1600))
    turning = {"accel": [0.1, 0.2, 9.5], "rotation_rate": [0, 0.001, 0.2], "vel": [10, 0, 0]}
    placed = {"orientation": [1, 0, 0, 0], "pos": [600, 1600, 0]}
    (folder / "can_bus").mkdir()
    messages = [{**turning, **placed, "utime": made["START_US"] + 20_000 * k} for k in range(80)]
    (folder / "can_bus" / "scene-0001_pose.json").write_text(json.dumps(messages))


OWN = {"kitti": write_kitti, "kitti_odometry": write_kitti_odometry, "nuscenes": write_nuscenes}


@pytest.fixture(scope="session")
def logs(once) -> Callable[[str], tuple[pc.inputs.Log, str]]:
    """logs("nuscenes"): a log in that dataset's form, with its sensors and columns, and its name for the command."""

    def made(name):
        if name == "street":
            size = "x".join(map(str, STREET["image_size"]))
            words = ",".join(f"{key}={size if key == 'image_size' else value}" for key, value in STREET.items())
            return pc.open_log("synthetic", **STREET), f"synthetic:{words}"
        file, make, inside = MADE[name]
        module = runpy.run_path(str(TESTS / "datasets" / file))
        own = OWN.get(name)
        write = module[make] if own is None else lambda folder: own(module, folder)
        folder = once(f"example_{name}", lambda folder: write(folder / "log")) / "log" / inside
        return pc.open_log(folder), str(folder)

    return made


@pytest.fixture(scope="session")
def built(logs) -> Callable[[str], dict[str, np.ndarray]]:
    """built("rangenet"): the tensors of a spec, from the last frame of the log of its dataset."""
    return lambda spec: builder_of(spec).build(logs(dataset_of(spec))[0][MOMENTS.get(dataset_of(spec), -1)])


def builder_of(spec):
    return InputBuilder(spec_of(spec), training=is_training(spec))


def rows_of(spec):
    """Each row, with the params that it comes to."""
    rows = spec_of(spec)
    return [(row, resolved.params) for row, resolved in zip(rows, canonical().resolve(rows), strict=True)]


def assert_as_asked(spec, tensors):
    """Dtypes, shapes and symbols are those of the spec, nothing is empty, and nothing was lost but points outside."""
    sizes = {}
    assert list(tensors) == [row.name for row, _ in rows_of(spec)]
    for row, params in rows_of(spec):
        tensor = tensors[row.name]
        assert (str(tensor.dtype), tensor.ndim) == (row.dtype, len(row.shape)), row.name
        for dim, n in zip(row.shape, tensor.shape, strict=True):
            assert sizes.setdefault(dim, n) == n, row.name
        assert np.isfinite(tensor).all(), row.name
        assert tensor.any() or row.name.startswith(MAY_BE_EMPTY), row.name
        assert_cells_and_counts(row.name, tensor, params)
    assert all(n == dim for dim, n in sizes.items() if isinstance(dim, int))
    # nothing is not finite, and no voxel or point is over a cap
    lost = {why for why, n in tensors.dropped.items() if n}
    assert lost <= CHOSEN, lost
    assert ("detections in other states" in lost) == spec.startswith("crn")
    if "lidar_point_voxel_id" in tensors:
        # every point has its voxel, and every voxel a point, where there is no cap
        ids = tensors["lidar_point_voxel_id"]
        assert set(ids[ids >= 0].tolist()) == set(range(len(tensors["lidar_voxel_coords"])))


def assert_cells_and_counts(name, tensor, params):
    if name.endswith("_coords"):
        size = params.grid.size if params.coord_order == "xyz" else params.grid.size[::-1]
        assert ((tensor >= 0) & (tensor < size)).all()
        assert len(np.unique(tensor, axis=0)) == len(tensor)
    elif name.endswith(("voxel_num_points", "pillar_num_points")):
        assert tensor.min() >= 1
        assert tensor.max() <= params.max_points_per_voxel
    elif name == "lidar_sweep_valid":
        # the made-up nuScenes has 16 sweeps: one fewer than there are from MotionNet's oldest to its newest
        assert tensor.tolist() == ([0, 1, 1, 1, 1] if params.sweep_step == 4 else [1] * params.num_sweeps)


@pytest.mark.parametrize("spec", SPECS)
def test_every_spec_is_built_from_a_log_with_its_sensors(spec, built):
    assert_as_asked(spec, built(spec))


@pytest.mark.parametrize("spec", SPECS)
def test_the_command_line_takes_every_spec(spec, logs, command, tmp_path):
    log, named = logs(dataset_of(spec))
    names, training = [row.name for row, _ in rows_of(spec)], ["--training"] * is_training(spec)
    assert [tensor["name"] for tensor in command("explain", SPECS[spec], "--json", *training).json["tensors"]] == names
    last = len(log) - 1
    (one,) = command("build", named, SPECS[spec], "--frames", last, "--out", "one.npz", "--json", *training).json
    assert one["frame_id"] == log[last].id
    with np.load(tmp_path / "one.npz") as written:
        assert set(names) <= set(written)
        assert all(f"{written[name].shape} {written[name].dtype}" == one[name] for name in names)


@pytest.mark.parametrize("spec", SPECS)
def test_places_are_in_the_axes_that_the_model_was_trained_in(spec):
    for row, params in rows_of(spec):
        if "frame" in params.parts():
            wanted = AXES.get(dataset_of(spec), "ego_ground" if spec == "hdnet" else "ego")
            wanted = SUFFIXES.get(row.name.partition("__")[2], "ego" if spec in IN_EGO else wanted)
            assert params.frame == wanted, row.name


@pytest.mark.parametrize("spec", SPECS)
def test_rows_are_a_preset_and_nothing_more(spec):
    assert all(list(row.params) == ["preset"] for row, _ in rows_of(spec))
    presets: dict[str, set[object]] = {}
    for row, _ in rows_of(spec):
        presets.setdefault(row.name.partition("_")[0], set()).add(row.params["preset"])
    # targets are of several kinds, of which each has its own
    assert all(len(own) == 1 for kind, own in presets.items() if kind != "gt"), presets


@pytest.mark.parametrize("spec", SPECS)
def test_a_spec_that_asks_for_targets_says_so_in_its_name_and_is_for_training_alone(spec):
    targets = [row.name for row, _ in rows_of(spec) if canonical()[row.name.partition("__")[0]].target]
    assert bool(targets) == is_training(spec)
    if targets:
        with pytest.raises(ValueError, match=rf"'{targets[0]}'.*training"):
            InputBuilder(spec_of(spec))


def test_a_spec_for_training_has_the_inputs_of_the_one_without_targets():
    pairs = [(spec, spec.removesuffix("_training")) for spec in SPECS if is_training(spec)]
    pairs = [(training, plain) for training, plain in pairs if plain in SPECS and plain != "bevfusion_nuscenes"]
    assert len(pairs) > 6
    for training, plain in pairs:
        inputs = [row for row, _ in rows_of(training) if not canonical()[row.name].target]
        assert inputs == [row for row, _ in rows_of(plain)], training


def test_specs_of_one_grid_hold_the_same_points(built):
    plain, decorated = built("pointpillars_kitti"), built("pointpillars_decorated_kitti")
    assert (decorated["lidar_pillar_features"][..., :4] == plain["lidar_voxels"]).all()
    assert (decorated["lidar_pillar_coords"] == plain["lidar_voxel_coords"]).all()
    hard, mean = built("pv_rcnn_kitti"), built("second_kitti")
    assert (mean["lidar_voxel_coords"] == hard["lidar_voxel_coords"]).all()
    own = hard["lidar_voxels"].sum(axis=1) / hard["lidar_voxel_num_points"][:, None]
    np.testing.assert_allclose(mean["lidar_voxel_mean"], own, rtol=1e-6, atol=1e-6)
    one, other = built("centerpoint_voxel_nuscenes"), built("voxelnext_nuscenes")
    assert all((one[name] == other[name]).all() for name in other)


def test_dsvt_gets_what_openpcdets_dynamic_voxels_are_made_of(built):
    """After DynamicVoxelVFE: cells in float32, voxels by x, then y, then z, and the mean of all their points."""
    tensors = built("dsvt_waymo")
    points = tensors["lidar_points"]
    low, edge, size = np.float32([-74.88, -74.88, -2]), np.float32([0.32, 0.32, 0.1875]), np.array([468, 468, 32])
    cells = np.floor((points[:, :3] - low) / edge).astype(int)
    inside = ((cells >= 0) & (cells < size)).all(axis=1)
    found, ids, counts = np.unique(cells[inside], axis=0, return_inverse=True, return_counts=True)
    assert (tensors["lidar_voxel_coords"] == found[:, ::-1]).all()
    assert (tensors["lidar_point_voxel_id"][inside] == ids.ravel()).all()
    assert (tensors["lidar_point_voxel_id"][~inside] == -1).all()
    sums = np.zeros((len(found), points.shape[1]))
    np.add.at(sums, ids.ravel(), points[inside].astype(np.float64))
    np.testing.assert_allclose(tensors["lidar_voxel_mean"], sums / counts[:, None], rtol=1e-6, atol=1e-6)


def test_cylinder3d_gets_the_cells_of_its_own_code(built):
    """As its dataset code has it: clip into the range, divide by (max - min) / (cells - 1), round down."""
    tensors = built("cylinder3d_kitti_odometry")
    x, y, z = tensors["lidar_points"][:, :3].T.astype(np.float64)
    low, high, cells = np.array([0, -np.pi, -4]), np.array([50, np.pi, 2]), np.array([480, 360, 32])
    turned = np.column_stack([np.hypot(x, y), np.arctan2(y, x), z])
    wanted = np.floor((np.clip(turned, low, high) - low) / ((high - low) / (cells - 1))).astype(int)
    coords = tensors["lidar_voxel_coords"]
    assert (coords[tensors["lidar_point_voxel_id"]] == wanted).all()
    # as torch.unique leaves them
    assert (np.lexsort(coords.T[::-1]) == np.arange(len(coords))).all()


def test_the_radar_and_the_lidar_of_radarnet_are_views_of_one_place(built):
    """What both see of the same cars lies in the same cells; what the lidar alone sees is far more."""
    tensors = built("radarnet")
    # from 2 m above the ground up there are walls and cars, no street
    high = tensors["lidar_bev_temporal"].reshape(10, 32, 400, 400)[:, 22:].any(axis=(0, 1))
    near = np.lib.stride_tricks.sliding_window_view(np.pad(high, 6), (13, 13)).any(axis=(2, 3))
    seen = tensors["radar_bev"][:6].any(axis=0)
    assert near[seen].mean() > 0.8 > 2 * near.mean()


@pytest.mark.data
@pytest.mark.parametrize("spec", OF_REAL)
def test_real_logs_fill_the_tensors_of_every_lidar_spec(spec, real_data):
    log = pc.open_log(real_data / REAL[dataset_of(spec)])
    tensors = InputBuilder(spec_of(spec)).build(log[-1])
    # one sample of nuScenes has no sweeps before it
    valid = tensors.pop("lidar_sweep_valid", None)
    assert valid is None or valid.tolist() == [0, 0, 0, 0, 1]
    rows = {row.name: params for row, params in rows_of(spec)}
    for name, tensor in tensors.items():
        assert_cells_and_counts(name, tensor, rows[name])
        assert np.isfinite(tensor).all()
    found = {name: int(np.count_nonzero(tensor)) for name, tensor in tensors.items()}
    assert min(found.values()) > 5000, found
    assert not any(tensors.dropped.values())


@pytest.mark.data
def test_voxelnext_gets_the_voxels_that_were_counted_in_a_real_sweep_of_argoverse2(real_data):
    log = pc.open_log(real_data / REAL["argoverse2"])
    first = next(frame for frame in log if frame.time_ns == 315966265259836000)
    tensors = InputBuilder(spec_of("voxelnext_argoverse2")).build(first)
    assert len(tensors["lidar_voxel_mean"]) == 56_118
    # as recorded, not in [0, 1]
    assert tensors["lidar_voxel_mean"][:, 3].max() > 200


def table():
    """Spec -> the cells of its line in the table of examples/README.md."""
    lines = re.findall(r"^\| \[`(\w+)`\]\(specs/\1\.json\) \| (.*) \|$", (EXAMPLES / "README.md").read_text(), re.M)
    return {spec: [cell.strip() for cell in cells.split(" | ")] for spec, cells in lines}


def test_the_readme_lists_every_spec_with_what_it_takes():
    listed = table()
    assert list(listed) == list(SPECS)
    for spec, (_, takes, follows, _) in listed.items():
        assert re.findall(r"`(\w+)`", takes) == [row.name for row, _ in rows_of(spec)], spec
        # no paper's model is shown as if it were exact
        said = {
            canonical().group_of(row.name.partition("__")[0]).preset(row.params["preset"]).follows
            for row, _ in rows_of(spec)
        }
        assert ("in the style of" in follows) == any("in the style of" in one for one in said), spec


def test_models_and_specs_name_the_same_features():
    """Each spec is of a model that is known to take its features, and each model's map, agents and state are in one."""
    taken: dict[str, set[str]] = {}
    for spec, (said, *_) in table().items():
        model = max((name for name in MODELS if said.startswith(name)), key=len)
        own = {row.name.partition("__")[0] for row, _ in rows_of(spec)}
        inputs = {name for name in own if not canonical()[name].target}
        assert inputs <= set(MODELS[model]), (spec, inputs - set(MODELS[model]))
        taken.setdefault(model, set()).update(inputs)
    for model, own in taken.items():
        wanted = {name for name in MODELS[model] if name.startswith(("map_", "agent_", "lane_", "ego_", "ref_"))}
        # by the heights of the ground HDNet's points are placed already
        assert wanted - own <= {"map_ground_height"}, (model, wanted - own)


# ---- cameras


def pixels_of(tensors, points):
    """Where points (N, 3) of the frame of reference fall in the pictures of a spec, as its model works it out from what
    it is given: u, v and depth, (K, N, 3)."""
    homogeneous = np.column_stack([points, np.ones(len(points))]).T
    if "camera_intrinsics" in tensors:
        k, out = tensors["camera_intrinsics"].astype(np.float64), tensors["camera_extrinsics"].astype(np.float64)
        # LSS and what came of it take where a camera is, CaDDN what takes points to it
        inward = out if k.shape[-2:] == (3, 4) else np.linalg.inv(out)
        q = k[:, :3, :3] @ inward[:, :3] @ homogeneous
    else:
        q = tensors["camera_projection"][:, :3].astype(np.float64) @ homogeneous
    u, v, depth = q.transpose(1, 0, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = np.stack([u / depth, v / depth, depth, np.ones_like(depth)], axis=1)
    if "camera_image_affine" in tensors:
        pixels = tensors["camera_image_affine"].astype(np.float64) @ pixels
    return pixels[:, :3].transpose(0, 2, 1)


# spec -> factor, and top and left of the crop, of nuScenes' pictures
PUBLISHED = {
    "lss_nuscenes": (0.22, 48, 0),
    "bevdet_nuscenes": (0.48, 176, 32),
    "bevdet_v2_nuscenes": (0.44, 140, 0),
    "bevdepth_nuscenes": (0.44, 140, 0),
    "crn_nuscenes": (0.44, 140, 0),
    "petr_nuscenes": (0.5, 130, 0),
    "detr3d_nuscenes": (1, 0, 0),
    "bevformer_nuscenes": (1, 0, 0),
    "bevformer_tiny_nuscenes": (0.5, 0, 0),
    "bevdet4d_nuscenes": (0.44, 140, 0),
    **dict.fromkeys(
        ("bevfusion_nuscenes", "bevfusion_nuscenes_training", "bevfusion_seg_nuscenes_training"), (0.48, 176, 32)
    ),
}
SIZES = {
    "lss_nuscenes": (128, 352),
    "petr_nuscenes": (320, 800),
    "detr3d_nuscenes": (928, 1600),
    "bevformer_nuscenes": (928, 1600),
    "bevformer_tiny_nuscenes": (480, 800),
}


def test_every_camera_spec_of_nuscenes_has_its_numbers_here():
    assert set(PUBLISHED) == {spec for spec in WITH_CAMERAS if dataset_of(spec) == "nuscenes"}


def check_points(spec, frame, tensors, points):
    """Float32 matrices bring points of the sweep to where float64 and the published formula do; returns the pixels."""
    rows = {row.name: params for row, params in rows_of(spec)}
    moved = spec not in ("lss_nuscenes", "bevdepth_nuscenes", "crn_nuscenes")
    placed = next(params for name, params in rows.items() if name in ("camera_extrinsics", "camera_projection"))
    ego_from_ref = np.eye(4) if placed.frame == "ego" else frame.ego_from_lidar
    in_ego = ego_from_ref @ np.column_stack([points, np.ones(len(points))]).T
    found = pixels_of(tensors, points)
    scale, top, left = PUBLISHED[spec]
    for k, name in enumerate(rows["camera_images"].image.cameras):
        picture = frame.cameras[name]
        then = frame.log.world_from_ego(picture.time_ns) if moved else frame.world_from_ego
        u, v, depth = (
            picture.intrinsics @ np.linalg.solve(then @ picture.ego_from_camera, frame.world_from_ego @ in_ego)[:3]
        )
        ahead = depth > 1
        wanted = np.column_stack([u / depth * scale - left, v / depth * scale - top, depth])
        near = ahead & (np.abs(wanted[:, :2]) < 4000).all(axis=1)
        assert near.any()
        np.testing.assert_allclose(found[k, near], wanted[near], rtol=2e-6, atol=5e-3)
    return found


@pytest.mark.parametrize("spec", PUBLISHED)
def test_matrices_bring_points_to_the_pixels_of_the_published_pipelines(spec, logs, built):
    log, _ = logs("nuscenes")
    points = np.random.default_rng(0).uniform((-40, -40, -3), (40, 40, 3), (500, 3))
    tensors = built(spec)
    check_points(spec, log[-1], tensors, points)
    assert tensors["camera_images"].shape == (6, 3, *SIZES.get(spec, (256, 704)))


@pytest.mark.data
@pytest.mark.parametrize("spec", PUBLISHED)
def test_real_cameras_show_the_points_of_the_real_sweep(spec, real_data):
    """Each picture shows about as many points of the sweep as its part of the recorded one does."""
    frame = pc.open_log(real_data / REAL["nuscenes"])[0]
    tensors = builder_of(spec).build(frame)
    sweep = frame.lidar
    points = np.column_stack([sweep.x, sweep.y, sweep.z]).astype(np.float64)
    if spec in IN_EGO:
        points = (frame.ego_from_lidar @ np.column_stack([points, np.ones(len(points))]).T)[:3].T
    height, width = tensors["camera_images"].shape[2:]
    u, v, depth = check_points(spec, frame, tensors, points).transpose(2, 0, 1)
    seen = ((depth > 1) & (u >= 0) & (u < width) & (v >= 0) & (v < height)).sum(axis=1)
    assert seen.min() > 1500
    for picture in tensors["camera_images"]:
        assert picture.std(axis=(1, 2)).min() > 0.1
    if "camera_depth" in tensors:
        assert min(np.count_nonzero(depth) for depth in tensors["camera_depth"]) > 200


@pytest.mark.data
def test_caddns_points_are_the_pixels_of_p2(real_data):
    """All of the frame's points, which were cut to the camera's view; P2 times R0_rect times Tr_velo_to_cam."""
    log = pc.open_log(real_data / REAL["kitti"])
    tensors = InputBuilder(spec_of("caddn_kitti")).build(log[0])
    sweep = log[0].lidar
    points = np.column_stack([sweep.x, sweep.y, sweep.z]).astype(np.float64)
    text = (real_data / REAL["kitti"] / "training" / "calib" / f"{log[0].id}.txt").read_text()
    lines = dict(line.split(":") for line in text.splitlines() if ":" in line)
    p2, r0, tr = (np.array(lines[key].split(), np.float64) for key in ("P2", "R0_rect", "Tr_velo_to_cam"))
    rectified = r0.reshape(3, 3) @ tr.reshape(3, 4) @ np.column_stack([points, np.ones(len(points))]).T
    u, v, depth = p2.reshape(3, 4) @ np.vstack([rectified, np.ones(len(points))])
    (found,) = pixels_of(tensors, points)
    np.testing.assert_allclose(found[:, :2], np.column_stack([u / depth, v / depth]), rtol=0, atol=2e-3)
    # the model takes z of the rectified camera for the depth, which is 2.7 mm less
    np.testing.assert_allclose(found[:, 2] - rectified[2], p2[11], rtol=0, atol=1e-4)
    height, width = tensors["camera_images"].shape[2:]
    assert ((found[:, 0] >= 0) & (found[:, 0] < width) & (found[:, 1] >= 0) & (found[:, 1] < height)).all()
    picture = log[0].cameras["image_2"].decode()
    assert (tensors["camera_images"][0] == picture.transpose(2, 0, 1).astype(np.float32) / np.float32(255)).all()


@pytest.mark.data
def test_pointpainting_gives_every_point_its_pixel(real_data):
    log = pc.open_log(real_data / REAL["kitti"])
    spec = spec_of("pointpainting_kitti")
    tensors = InputBuilder(spec).build(log[0])
    assert len(tensors["lidar_points"]) == len(tensors["lidar_camera_pixels"]) > 19_000
    assert (tensors["lidar_camera_index"] == 0).mean() > 0.99
    both = InputBuilder([*spec, {"name": "camera_projection", "dtype": "float64", "shape": [1, 4, 4],
                                 "params": {"preset": "pointpainting_kitti"}}]).build(log[0])  # fmt: skip
    (wanted,) = pixels_of({"camera_projection": both["camera_projection"]}, tensors["lidar_points"][:, :3])
    seen = tensors["lidar_camera_index"] == 0
    np.testing.assert_allclose(tensors["lidar_camera_pixels"][seen], wanted[seen], rtol=0, atol=2e-3)
