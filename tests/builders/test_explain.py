"""explain(): the plan, with sizes and times once a frame has been built."""

from __future__ import annotations

import json

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.builders.pages import allocate_pages
from perceptum.features import SpecError, canonical

NAMES = [feature.name for feature in canonical()]


@pytest.fixture
def frame(frame_of, street):
    points = street(200)
    points[3, 0] = float("nan")
    return frame_of(points[:, :3])


def test_a_tensor_that_is_not_there_is_answered_with_those_that_are(frame):
    tensors = InputBuilder(["lidar_points", "ego_pose"]).build(frame)
    with pytest.raises(KeyError) as caught:
        tensors["lidar_point"]
    assert caught.value.args == ("no tensor 'lidar_point' here; there are lidar_points, ego_pose",)
    assert (tensors.get("lidar_point"), "lidar_point" in tensors) == (None, False)


@pytest.mark.parametrize(
    ("params", "clouds"),
    [
        ({}, 1),
        ({"frame": "ego_ground"}, 2),
        ({"columns": ["x", "height_above_ground"]}, 2),
    ],
)
def test_where_the_ground_is_costs_a_second_cloud_only_where_something_depends_on_it(params, clouds):
    own = {"lidar_voxels": {**params, "ground": "lidar"}, "lidar_pillars": {"frame": params.get("frame", "ego")}}
    builder = InputBuilder(["lidar_voxels", "lidar_pillar_features"], params=own)
    assert sum(stage.title.startswith("cloud") for stage in builder.explain().stages) == clouds


@pytest.mark.parametrize(("frame_name", "clouds"), [("ego", 1), ("ego_ground", 2)])
def test_radars_do_not_look_at_the_ground_in_vain_either(frame_name, clouds):
    own = {"radar_voxels": {"ground": "lidar", "frame": frame_name}, "radar_points": {"frame": frame_name}}
    builder = InputBuilder(["radar_voxels", "radar_points"], params=own)
    assert sum(stage.title.startswith("radar cloud") for stage in builder.explain().stages) == clouds


def test_before_a_build_the_plan_shows_what_will_be_and_no_times():
    plan = InputBuilder(NAMES, training=True).explain()
    assert [t.name for t in plan.tensors] == NAMES
    assert {t.ms for t in plan.tensors} | {s.ms for s in plan.stages} == {None}
    shapes = {t.name: t.shape for t in plan.tensors}
    assert shapes["lidar_points"] == ("num_points", 5)
    assert shapes["lidar_bev_occupancy"] == (40, 1024, 1024)
    sizes = {t.name: t.nbytes for t in plan.tensors}
    assert sizes["lidar_points"] is None
    assert sizes["lidar_bev_occupancy"] == 40 * 1024 * 1024
    assert sizes["ego_pose"] == 128


def test_after_a_build_it_shows_the_frames_sizes_and_the_times(frame):
    builder = InputBuilder(NAMES, training=True)
    tensors = builder.build(frame)
    plan = builder.explain()
    for line in plan.tensors:
        assert line.shape == tensors[line.name].shape
        assert line.nbytes == tensors[line.name].nbytes
        assert line.ms >= 0
        assert (line.owner, line.copies) == ("builder's pool", "none")
    assert all(stage.ms >= 0 for stage in plan.stages)
    assert plan.stages[1].dropped == {"non-finite points": 1}


@pytest.mark.parametrize("built", [False, True])
def test_the_plan_is_plain_data_that_json_can_carry(frame, built):
    builder = InputBuilder(NAMES, training=True)
    if built:
        builder.build(frame)
    plain = json.loads(json.dumps(builder.explain().to_dict()))
    assert plain["fingerprint"] == canonical().fingerprint
    assert plain["schema"] == f"canonical {canonical().version}"
    assert [tensor["name"] for tensor in plain["tensors"]] == NAMES
    assert plain["tensors"][0]["params"]["columns"] == ["x", "y", "z", "intensity", "time_lag"]
    assert plain["writable"] is False


def test_it_tells_which_tensors_share_a_stage():
    grid = {"grid": {"voxel": [0.1, 0.1, 0.2]}}
    like_the_others = {
        "lidar_bev_temporal": {**grid, "num_sweeps": 1},
        "lidar_pillars": {**grid, "max_voxels": 120_000},
    }
    builder = InputBuilder(NAMES, training=True, params=like_the_others)
    stages = {s.title: s.serves for s in builder.explain().stages}
    lidar = [name for name in NAMES if name.startswith("lidar") and "range" not in name]
    group_of = {feature.name: group.name for group in canonical().groups for feature in group}
    seen = ("camera_depth", "lidar_camera_pixels", "lidar_camera_index", "gt_segmentation")
    assert stages["cloud (1 sweep, ego frame)"] == tuple(n for n in NAMES if n in lidar or n in seen)
    of_points = ("lidar_points", "lidar_camera_pixels")
    assert stages["cells (1024 x 1024 x 40)"] == tuple(n for n in lidar if group_of[n] not in of_points)
    rows = tuple(n for n in lidar if group_of[n] in ("lidar_voxels", "lidar_pillars"))
    assert stages["voxel rows (hash)"] == rows
    assert stages["ego"] == ("ego_pose", "reference_stamp")


@pytest.mark.parametrize("built", [False, True])
def test_printed_it_names_every_stage_and_tensor(frame, built):
    builder = InputBuilder(NAMES, training=True, writable=True)
    if built:
        builder.build(frame)
    text, plan = str(builder.explain()), builder.explain()
    for word in [*NAMES, *(s.title for s in plan.stages), canonical().fingerprint, "shared by", "in builder's pool"]:
        assert word in text
    assert text.endswith("tensors are writable, 64-byte aligned")
    assert ("1 non-finite points dropped" in text) == built
    assert (" ms" in text) == built


def test_it_says_whose_the_memory_is_and_where_a_framework_copies():
    class Model:
        inputs = ({"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]},)
        given = None

        def copies(self, tensors):
            assert {name: (a.dtype.name, a.ndim) for name, a in tensors.items()} == {"lidar_points": ("float32", 2)}
            assert all(array.ctypes.data % 64 == 0 for array in tensors.values())
            # what the model says may hang on where it lies: it is memory of the model's own
            assert all(np.shares_memory(array, np.frombuffer(self.given, np.uint8)) for array in tensors.values())
            return {"lidar_points": "it wants another layout"}

        def allocator(self, name, nbytes):
            assert self.given is None
            self.given = allocate_pages(name, nbytes)
            return self.given

    model = Model()
    builder = InputBuilder(model)
    assert model.given is None, "planning takes no memory"
    (line,) = builder.explain().tensors
    assert (line.owner, line.copies) == ("model", "it wants another layout")


VOXELS = {"name": "lidar_voxels", "dtype": "float32", "shape": ["n", 32, 4], "params": "pointpillars_kitti"}
COORDS = {"name": "lidar_voxel_coords", "dtype": "int32", "shape": ["n", 3], "params": "pointpillars_kitti"}


def test_before_a_build_it_says_what_will_be_known_and_what_bounds_it():
    builder = InputBuilder([VOXELS, COORDS, "lidar_points", "ego_pose"], params={"frame": "lidar"})
    plan = builder.explain()
    assert plan.by_frame == {"num_voxels": 40_000, "num_points": None}
    assert [t.most_bytes for t in plan.tensors] == [40_000 * 32 * 4 * 4, 40_000 * 3 * 4, None, 128]
    text = str(plan)
    assert "(num_voxels, 32, 4) float32  up to 19.5 MiB" in text
    assert (
        "known once a frame is built, as by `explain --log`: num_voxels (at most 40000), num_points, scratch, "
        "what is dropped, times"
    ) in text
    assert "0 B scratch" not in text


def test_a_tensor_of_gibibytes_is_said_to_be_one():
    grid = {"range": [-500, -500, -3, 500, 500, 3], "voxel": [0.1, 0.1, 0.1]}
    text = str(InputBuilder(["lidar_bev_occupancy"], params={"lidar_bev_occupancy": {"grid": grid}}).explain())
    assert "  5.6 GiB" in text


def test_after_a_build_nothing_is_left_open(frame):
    builder = InputBuilder([VOXELS])
    builder.build(frame)
    text = str(builder.explain())
    assert "known once a frame is built" not in text
    assert "up to" not in text
    assert "scratch" in text


def test_it_says_what_each_tensor_is_and_which_params_are_not_the_schemas_own():
    rows = [VOXELS, COORDS, {"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}]
    lines = str(InputBuilder(rows).explain()).splitlines()
    lines = lines[lines.index("what they are:") + 1 :]
    assert lines[0] == (
        "  lidar_voxels: Hard voxels: the first P points of each voxel, voxels in the order in which they were first "
        "seen, or as `order` says. In the primary lidar's axes at the reference time."
    )
    assert lines[1] == (
        '    preset pointpillars_kitti: frame "lidar", grid {"range": [0.0, -39.68, -3.0, 69.12, 39.68, 1.0], '
        '"voxel": [0.16, 0.16, 4.0]}, columns ["x", "y", "z", "intensity"], max_points_per_voxel 32, max_voxels 40000'
    )
    assert lines[2].startswith(
        "  lidar_voxel_coords: Each voxel's cell, z y x by default. In whole cells along each axis"
    )
    assert lines[3] == "    with the params of lidar_voxels"
    assert lines[4] == "  ego_pose: world_from_ego at the reference time. In metres, in the log's fixed axes."


def test_it_says_where_presets_give_their_values_of_training():
    plan = InputBuilder([VOXELS], training=True).explain()
    assert (plan.training, plan.by_frame) == (True, {"num_voxels": 16_000})
    assert "presets give their training values" in str(plan)
    assert "max_voxels 16000" in str(plan)
    assert "of training" not in str(InputBuilder([VOXELS]).explain())


def test_it_says_the_fingerprint_of_what_is_built_and_training_has_another():
    testing, training = (InputBuilder([VOXELS], training=yes) for yes in (False, True))
    assert testing.fingerprint == canonical().fingerprint_of(testing.spec)
    assert len({testing.fingerprint, training.fingerprint, testing.schema.fingerprint}) == 3
    assert f"\nfingerprint of these tensors: {training.fingerprint}\n" in str(training.explain())
    both = InputBuilder({"a": [VOXELS], "b": ["ego_pose"]})
    assert both.fingerprints == {"a": testing.fingerprint, "b": InputBuilder(["ego_pose"]).fingerprint}
    assert both.explain().to_dict()["built_fingerprints"] == both.fingerprints
    with pytest.raises(SpecError, match="fingerprints of a, b; take"):
        _ = both.fingerprint


def test_what_a_value_is_reads_as_a_sentence():
    shown = str(InputBuilder(["lidar_num_points", "lidar_range_image_mask"]).explain())
    assert "lidar_num_points: How many rows of lidar_points are real.\n" in shown
    assert "as measured. A value is 1 for yes, 0 for no.\n" in shown


# ---- what rows agree on, where it is an object


def test_what_rows_agree_on_is_what_differs_from_the_defaults_and_is_said_once():
    builder = InputBuilder(["camera_images", "camera_projection"], params={"image": {"cameras": ["a"], "flip": True}})
    parts = json.loads(json.dumps(builder.explain().to_dict()))["parts"]
    assert parts == {"rows": {"image": {"cameras": ["a"], "flip": True}, "frame": "ego"}}
    lines = str(builder.explain()).splitlines()
    assert lines[1] == 'rows agree on image {"cameras": ["a"], "flip": true}, frame ego'
    assert sum('"flip"' in line for line in lines) == 1


def test_an_object_that_says_nothing_is_the_default():
    assert "rows agree on the default image" in str(InputBuilder(["camera_images"]).explain()).splitlines()


def test_parameters_of_a_preset_are_shown_without_the_object_that_is_shown_above():
    names, image = ["camera_images", "camera_image_affine"], {"preset": "bevdet_256x704"}
    text = str(InputBuilder(names, params={"image": image}).explain())
    assert (
        '    preset bevdet_256x704: resampler "pil_bicubic", norm "imagenet_unit" = {"scale": "1/255", "mean": [0.485, '
        '0.456, 0.406], "std": [0.229, 0.224, 0.225], "arithmetic": "divide"}'
    ) in text.splitlines()
    assert "    preset bevdet_256x704" in text.splitlines()
    assert "  cameras (CAM_FRONT_LEFT and 5 more) " in text


def test_a_norm_by_name_is_explained_in_numbers():
    params = {"camera_images": {"norm": "petr_bgr", "channel_order": "BGR"}}
    text = str(InputBuilder(["camera_images"], params=params).explain())
    assert (
        'norm "petr_bgr" = {"scale": "1", "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395], '
        '"arithmetic": "multiply"}'
    ) in text


def test_of_a_cloud_that_params_hold_only_what_differs_is_explained():
    text = str(
        InputBuilder(
            ["camera_depth"], params={"camera_depth": {"lidar": {"num_sweeps": 3}, "frame": "lidar"}}
        ).explain()
    )
    assert '    frame "lidar", lidar {"num_sweeps": 3}' in text.splitlines()
