"""What cannot be met is refused when planning: the row, what was wanted, what is offered."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.features import Spec, SpecError, UnknownFeature, canonical
from perceptum.features.lidar import CloudParams

FEATURES = ", ".join(feature.name for feature in canonical())
CLOUD = ", ".join(CloudParams.__struct_fields__)


def row(name, dtype, shape, **params):
    return {"name": name, "dtype": dtype, "shape": shape, **({"params": params} if params else {})}


VOXELS = row("lidar_voxels", "float32", ["num_voxels", 10, 5])
POINTS = row("lidar_points", "float32", ["num_points", 5])
COUNT = row("lidar_num_points", "int32", [1], max_points=101)
PLAIN = {"mean": [0], "std": [1]}
CASES = {
    "near name": ([row("lidar_voxel", "float32", [])], "no feature 'lidar_voxel'; did you mean 'lidar_voxels'?"),
    "far name": ([row("qqqq", "float32", [])], f"no feature 'qqqq'; there are {FEATURES}"),
    "only a suffix": ([row("__b", "float32", [])], f"no feature ''; there are {FEATURES}"),
    "an empty suffix": (
        [row("lidar_voxels__", "float32", ["n", 10, 5])],
        "input 'lidar_voxels__': its suffix, what follows the two underscores, is empty; "
        "a second instance takes a word: lidar_voxels__b",
    ),
    "a blank suffix": (
        [row("lidar_voxels__ ", "float32", ["n", 10, 5])],
        "input 'lidar_voxels__ ': its suffix, what follows the two underscores, is blank; "
        "a second instance takes a word: lidar_voxels__b",
    ),
    "a suffix that ends with a line": (
        [row("lidar_voxels__b\n", "float32", ["n", 10, 5])],
        "input 'lidar_voxels__b\n': its suffix, what follows the two underscores, begins or ends with a blank; "
        "a second instance takes a word: lidar_voxels__b",
    ),
    "dtype": (
        [row("lidar_voxels", "float64", ["n", 10, 5])],
        "input 'lidar_voxels' can be float32, the spec wants float64",
    ),
    "dtypes": (
        [row("lidar_bev_occupancy", "int8", [40, 1024, 1024])],
        "input 'lidar_bev_occupancy' can be uint8 or float32, the spec wants int8",
    ),
    "size": (
        [row("lidar_voxels", "float32", ["n", 10, 4])],
        "input 'lidar_voxels' must be (num_voxels, 10, 5) float32, the spec wants (n, 10, 4); "
        "sizes follow from the row's params: 5 from columns",
    ),
    "two sizes of pillars": (
        [row("lidar_pillar_features", "float32", ["n", 32, 9])],
        "input 'lidar_pillar_features' must be (num_pillars, 20, 11) float32, the spec wants (n, 32, 9); sizes follow "
        "from the row's params: 20 from max_points_per_voxel; 11 from columns, absolute_xyz, cluster_offset, "
        "center_offset, with_distance",
    ),
    "sizes of a bird's-eye view": (
        [row("lidar_bev_temporal", "uint8", [3, 700, 700])],
        "input 'lidar_bev_temporal' must be (200, 256, 256) uint8, the spec wants (3, 700, 700); sizes follow from "
        "the row's params: 200 from num_sweeps, grid, overflow_slices; 256 from grid",
    ),
    "rank": (
        [row("lidar_bev_occupancy", "uint8", [1024, 1024])],
        "input 'lidar_bev_occupancy' must be (40, 1024, 1024) uint8, the spec wants (1024, 1024); "
        "sizes follow from the row's params",
    ),
    "scalar": (
        [row("lidar_num_points", "int32", [])],
        "input 'lidar_num_points' must be (1,) int32, the spec wants (); sizes follow from the row's params",
    ),
    "any": (
        [row("lidar_points", "float32", [None])],
        "input 'lidar_points' must be (num_points, 5) float32, the spec wants (any,); "
        "sizes follow from the row's params",
    ),
    "one symbol, two frame sizes": (
        [row("lidar_voxels", "float32", ["n", 10, 5]), row("lidar_points", "float32", ["n", 5])],
        "the symbol 'n' has one value across a spec, but it stands for axis 0 of 'lidar_voxels' "
        "(num_voxels under its params) and axis 0 of 'lidar_points' (num_points under its params); use two symbols",
    ),
    "one symbol, a frame size and a number": (
        [row("lidar_voxels", "float32", ["n", "n", 5])],
        "the symbol 'n' has one value across a spec, but it stands for axis 0 of 'lidar_voxels' "
        "(num_voxels under its params) and axis 1 of 'lidar_voxels' (10); use two symbols",
    ),
    "one symbol, two numbers": (
        [row("ego_pose", "float64", ["n", "n"]), row("reference_stamp", "int64", ["n"])],
        "the symbol 'n' has one value across a spec, but it stands for axis 0 of 'ego_pose' (4) "
        "and axis 0 of 'reference_stamp' (1); use two symbols",
    ),
    "a group that disagrees": (
        [VOXELS, row("lidar_voxel_coords", "int32", ["m", 3], max_voxels=5)],
        "'lidar_voxels' and 'lidar_voxel_coords' belong together but their params differ; "
        "give both the same, or a suffix to one: lidar_voxel_coords__b",
    ),
    "a count beyond the cut": (
        [row("lidar_points", "float32", [100, 5]), row("lidar_num_points", "int32", [1])],
        "'lidar_points' is cut at 100 rows, but 'lidar_num_points' counts all; "
        'give both the params {"max_points": 100}',
    ),
    "a larger count beyond the cut": (
        [
            row("lidar_num_points", "int32", [1], max_points=101),
            row("lidar_points", "float32", [100, 5], max_points=101),
        ],
        "'lidar_points' is cut at 100 rows, but 'lidar_num_points' counts up to 101; "
        'give both the params {"max_points": 100}',
    ),
    "rows that belong together, cut at two sizes": (
        [row("lidar_voxels", "float32", [100, 10, 5]), row("lidar_voxel_coords", "int32", [50, 3])],
        "'lidar_voxel_coords' is cut at 50 rows, but 'lidar_voxels' at 100; their rows belong together: give both the "
        'same size, or the params {"max_voxels": 50}',
    ),
    "rows that belong together, of which some are cut": (
        [row("lidar_voxels", "float32", [100, 10, 5]), row("lidar_voxel_coords", "int32", ["n", 3])],
        "'lidar_voxels' is cut at 100 rows, but 'lidar_voxel_coords' has up to 120000; their rows belong together: "
        'give both the same size, or the params {"max_voxels": 100}',
    ),
    "points, of whose rings some are cut": (
        [row("lidar_points", "float32", ["n", 5]), row("lidar_ring", "int32", [100])],
        "'lidar_ring' is cut at 100 rows, but 'lidar_points' has all; their rows belong together: give both the same "
        'size, or the params {"max_points": 100}',
    ),
    "rows of two groups that belong together": (
        [row("lidar_points", "float32", [100, 5]), row("lidar_point_voxel_id", "int32", ["n"])],
        "'lidar_points' is cut at 100 rows, but 'lidar_point_voxel_id' has all; their rows belong together: give both "
        "the same size, or a suffix to one: lidar_point_voxel_id__b",
    ),
    "unknown parameter": (
        [row("lidar_points", "float32", ["n", 5], max_point=3)],
        "input 'lidar_points': no parameter 'max_point'; did you mean 'max_points'? "
        f"there are {CLOUD}, columns, range, max_points",
    ),
    "parameter of another type": (
        [row("lidar_points", "float32", ["n", 5], num_sweeps="two")],
        "input 'lidar_points': num_sweeps is 'two', wanted a whole number of at least 1",
    ),
    "parameter out of its range": (
        [row("lidar_points", "float32", ["n", 5], num_sweeps=0)],
        "input 'lidar_points': num_sweeps must be at least 1, got 0",
    ),
    "no number": (
        [row("lidar_points", "float32", ["n", 5], remove_close=float("nan"))],
        "input 'lidar_points': remove_close must be at least 0, got nan",
    ),
    "infinite": (
        [row("lidar_points", "float32", ["n", 5], remove_close=float("inf"))],
        "input 'lidar_points': remove_close must be finite, got [inf]",
    ),
    "infinite fill": (
        [row("lidar_range_image", "float32", [5, 64, 2048], fill=float("nan"))],
        "input 'lidar_range_image': fill and min_range must be finite, got [nan, 0.1]",
    ),
    "columns twice": (
        [row("lidar_points", "float32", ["n", 2], columns=["x", "x"])],
        "input 'lidar_points': columns must be one or more names, each once, got ['x', 'x']",
    ),
    "no columns": (
        [row("lidar_points", "float32", ["n", 1], columns=[])],
        "input 'lidar_points': columns must be one or more names, each once, got []",
    ),
    "an impossible range": (
        [row("lidar_points", "float32", ["n", 5], range=[0, 0, 0, 1, 1, 0])],
        "input 'lidar_points': a range must be min before max (x y z x y z), got (0.0, 0.0, 0.0, 1.0, 1.0, 0.0)",
    ),
    "an impossible grid": (
        [row("lidar_voxels", "float32", ["n", 10, 5], grid={"voxel": [0, 1, 1]})],
        "input 'lidar_voxels': grid: a grid's voxel edges must be positive and finite, got (0.0, 1.0, 1.0)",
    ),
    "field of view": (
        [row("lidar_range_image", "float32", [5, 64, 2048], fov=[-25, 3])],
        "input 'lidar_range_image': fov must be the upper edge, then the lower, in degrees within -90..90, "
        "got (-25.0, 3.0)",
    ),
    "a norm too short": (
        [row("lidar_range_image", "float32", [5, 64, 2048], norm={"mean": [0], "std": [1]})],
        "input 'lidar_range_image': norm needs a mean and a std for each of ['range', 'x', 'y', 'z', 'intensity']",
    ),
    "a norm by zero": (
        [row("lidar_range_image", "float32", [1, 64, 2048], channels=["x"], norm={"mean": [0], "std": [0]})],
        "input 'lidar_range_image': norm: a std must not be 0, got [0.0]",
    ),
    "a norm's clip too short": (
        [row("lidar_range_image", "float32", [1, 64, 2048], channels=["x"], norm={**PLAIN, "clip": []})],
        "input 'lidar_range_image': norm needs a clip, or null, for each of ['x']",
    ),
    "a norm's clip upside down": (
        [row("lidar_range_image", "float32", [1, 64, 2048], channels=["x"], norm={**PLAIN, "clip": [[2, 1]]})],
        "input 'lidar_range_image': norm: a clip must be the least value, then the greatest, got [(2.0, 1.0)]",
    ),
    "a fill too short": (
        [row("lidar_range_image", "float32", [5, 64, 2048], fill=[0, 1])],
        "input 'lidar_range_image': fill needs one number, or one for each of "
        "['range', 'x', 'y', 'z', 'intensity'], got [0.0, 1.0]",
    ),
    "more than a whole turn": (
        [row("lidar_range_image", "float32", [5, 64, 2048], azimuth_fov=[300, -90])],
        "input 'lidar_range_image': azimuth_fov must be the left edge, then the right, in degrees within -360..360 and "
        "at most 360 apart, got (300.0, -90.0)",
    ),
    "near preset": (
        [row("lidar_voxels", "float32", ["n", 10, 5], preset="bevfusio")],
        "input 'lidar_voxels': no preset 'bevfusio'; did you mean 'bevfusion' or 'bevfusion_seg'? "
        f"`perceptum features lidar_voxels` lists all {len(canonical().presets('lidar_voxels'))}",
    ),
    "several near presets": (
        [row("lidar_voxels", "float32", ["n", 10, 5], preset="pointpillars")],
        "input 'lidar_voxels': no preset 'pointpillars'; did you mean 'pointpillars_nus' or 'pointpillars_kitti' or "
        "'centerpoint_pillar_nus'? `perceptum features lidar_voxels` lists all "
        f"{len(canonical().presets('lidar_voxels'))}",
    ),
    "near preset of few": (
        [row("lidar_bev_occupancy", "uint8", [40, 1024, 1024], preset="pixor")],
        "input 'lidar_bev_occupancy': no preset 'pixor'; did you mean 'pixor_kitti'? there are pixor_kitti, hdnet, "
        "intentnet",
    ),
    "far preset": (
        [row("lidar_range_image", "float32", [5, 64, 2048], preset=7)],
        "input 'lidar_range_image': no preset '7'; there are rangenet_64x2048, rangenet_64x1024, "
        "rangenet_64x512, rangedet_waymo, lasernet_kitti, lasernet",
    ),
    "no presets": (
        [row("ego_pose", "float64", [4, 4], preset="x")],
        "input 'ego_pose': no preset 'x'; there are none for this feature",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_spec_that_cannot_be_met_is_refused_with_what_is_offered(case):
    rows, message = CASES[case]
    with pytest.raises(SpecError) as error:
        canonical().resolve(Spec.of(rows))
    assert str(error.value) == message
    assert isinstance(error.value, UnknownFeature) == message.startswith("no feature")


@pytest.mark.parametrize(
    "rows",
    [
        [VOXELS, row("lidar_voxel_coords", "int32", ["num_voxels", 3])],
        [VOXELS, row("lidar_voxel_coords", "int32", ["other", 3])],
        [VOXELS, row("lidar_voxel_coords__b", "int32", ["m", 3], max_voxels=5)],
        [POINTS, row("lidar_num_points", "int32", ["one"])],
        [
            row("lidar_points", "float32", [100, 5], max_points=100),
            row("lidar_num_points", "int32", [1], max_points=100),
        ],
        [row("lidar_points", "float32", [None, "c"])],
        [row("lidar_bev_occupancy", "float32", ["a", "b", "b"])],
    ],
)
def test_a_spec_that_can_be_met_is_not_refused(rows):
    assert [resolved.name for resolved in canonical().resolve(Spec.of(rows))] == [r["name"] for r in rows]


names = st.sampled_from([name for g in canonical().groups for name in (*g.params.__struct_fields__, "preset", "?")])
nonsense = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=5) | st.just(object()),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=2),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(feature=st.sampled_from(list(canonical())), params=st.dictionaries(names, nonsense, max_size=3))
def test_nonsense_as_params_is_a_spec_error_or_is_planned(feature, params):
    dims = [None] * len(feature.axes(canonical().group_of(feature.name).params))
    spec = Spec.of([row(feature.name, feature.dtypes[0], dims, **params)])
    try:
        (resolved,) = canonical().resolve(spec)
    except SpecError as error:
        message = str(error)
    else:
        message = f"input '{resolved.name}'"
    assert message.startswith(f"input '{feature.name}'")


def test_every_preset_can_be_planned_for_every_feature_of_its_group():
    schema = canonical()
    planned = 0
    for group in schema.groups:
        for feature in group:
            for preset in group.presets:
                schema.resolve(schema.spec([feature.name], {group.name: preset}))
                planned += 1
    assert planned > 30


def test_a_tensor_that_no_machine_holds_is_refused_when_planning():
    fine = {"grid": {"voxel": [1e-3, 1e-3, 0.2]}}
    with pytest.raises(SpecError) as error:
        canonical().resolve(canonical().spec(["lidar_bev_occupancy"], {"lidar_bev_occupancy": fine}))
    assert str(error.value) == (
        "input 'lidar_bev_occupancy' would be 391 GiB, (40, 102400, 102400) uint8; at most 128 GiB are built: "
        "take a coarser grid or fewer rows"
    )
