"""Groups: what they check when they are made, and what rows of one suffix, or of one symbol, must agree on."""

from __future__ import annotations

import json
import pickle
from typing import get_args, get_type_hints

import msgspec
import pytest

from perceptum.features import (
    COLUMN_UNITS,
    FRAMES,
    UNITS,
    Concat,
    Feature,
    FrameOfReference,
    Group,
    Params,
    Schema,
    Spec,
    SpecError,
    Stack,
    Unit,
    canonical,
)
from perceptum.features.lidar import BevStatsParams, PillarsParams, PointsParams, VoxelsParams
from perceptum.features.targets import PixorParams


class ImageParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As a part will be: one picture's transform."""

    width: int = 8
    flip: bool = False


class CameraParams(Params, frozen=True, kw_only=True):
    image: ImageParams = ImageParams()
    channels_first: bool = True
    rows: int | None = None

    def parts(self):
        return {"image": self.image}

    def dims(self):
        return {"W": self.image.width}

    def cap(self, dim):
        return self.rows if dim == "num_edges" else None


class ScaledPointsParams(PointsParams, frozen=True, kw_only=True):
    """A stranger's params for something per point: as many rows as lidar_points has."""

    scale: float = 1.0


def picture_shape(params):
    return (1, "H", "W") if params.channels_first else ("H", "W", 1)


def feature(name="acme", **change):
    fields = {"dtypes": ("float32",), "shape": (1,), "units": "none", "frame": "none"}
    return Feature(name=name, **{**fields, **change})


def group(*features, name="acme", params=None, **more):
    return Group(name=name, params=params or CameraParams(), features=features, **more)


PICTURES = group(feature("picture", shape=picture_shape), feature("depth", shape=("H", "W")), name="pictures")
PROJECTIONS = group(feature("projection", shape=(3, 4)), name="projections")
POINTWISE = Group(
    name="pointwise",
    params=ScaledPointsParams(),
    features=(feature("pointwise", shape=("num_points",), frame="reference"),),
)
EDGES = group(
    feature("edges", shape=(2, "num_edges"), collate=Concat(axis=1, index="offset", offset_of="lidar_points")),
    feature("num_edges", dtypes=("int32",), counts="edges"),
    name="graph",
)
SCHEMA = Schema("mine", "1", (*canonical().groups, PICTURES, PROJECTIONS, POINTWISE, EDGES))
NAMES = [*(group.name for group in SCHEMA.groups), *sorted(SCHEMA.parts)]


def row(name, dtype, shape, **params):
    return {"name": name, "dtype": dtype, "shape": shape, **({"params": params} if params else {})}


def resolve(*rows):
    return SCHEMA.resolve(Spec.of(rows))


def refused(*rows):
    with pytest.raises(SpecError) as error:
        resolve(*rows)
    return str(error.value)


def a_list(params):
    return ["n"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: group(feature(), name="a__b"), "a group's name must be an identifier without a double underscore, "),
        (lambda: group(), "group 'acme': features must be a tuple of one or more, got ()"),
        (lambda: group("x"), "group 'acme': features holds 'x', which is not a Feature"),
        (lambda: group(feature(), feature()), "group 'acme': the feature 'acme' is listed twice"),
        (lambda: group(feature(), params=5), "group 'acme': params must be a Params, got 5"),
        (lambda: group(feature(), filler="Filler"), "group 'acme': the filler must be a class, got 'Filler'"),
        (lambda: group(feature(), presets={"a": 5}), "group 'acme': the preset 'a' must be a dict of params, got 5"),
        (
            lambda: group(feature(), presets={"a": {"rows": "many"}}),
            "group 'acme': the preset 'a': rows is 'many', wanted a whole number or null",
        ),
        (
            lambda: group(feature(frame="reference")),
            "group 'acme': the frame of 'acme' is \"reference\", so the params need the field and part `frame`",
        ),
        (
            lambda: group(feature(shape=a_list)),
            "feature 'acme': the shape must be a tuple of positive integers and names, got ['n']",
        ),
        (
            lambda: feature(shape=(0,)),
            "feature 'acme': the shape must be a tuple of positive integers and names, got (0,)",
        ),
        (lambda: feature(units="feet"), f"feature 'acme': units must be one of {', '.join(UNITS)}, got 'feet'"),
        (lambda: feature(frame="moon"), f"feature 'acme': frame must be one of {', '.join(FRAMES)}, got 'moon'"),
        (lambda: feature(cut="at random"), "feature 'acme': cut must be one of first_rows, None, got 'at random'"),
        (lambda: feature(collate="stack"), "feature 'acme': collate must be Stack() or Concat(...), got 'stack'"),
        (lambda: feature(collate=Concat(axis=1)), "feature 'acme': Concat(axis=1) wants more axes than [1]"),
        (lambda: Concat(axis=-1), "Concat: axis must be 0 or more, got -1"),
        (lambda: Concat(axis=True), "Concat: axis must be 0 or more, got True"),
        (lambda: Concat(index="row"), 'Concat: index must be "column", "offset" or None, got \'row\''),
        (lambda: Concat(index="offset"), "Concat: index \"offset\" and offset_of go together, got 'offset', None"),
        (lambda: Concat(offset_of="x"), "Concat: index \"offset\" and offset_of go together, got None, 'x'"),
        (lambda: Concat(axis=1, index="column"), 'Concat: index "column" wants axis 0, got 1'),
        (
            lambda: Schema("mine", "1", (group(feature(counts="points")),)),
            "feature 'acme': counts names 'points', which is not a feature here",
        ),
        (
            lambda: Schema("mine", "1", (EDGES,)),
            "feature 'edges': offset_of names 'lidar_points', which is not a feature here",
        ),
        (
            lambda: Schema("mine", "1", (group(feature(), name="image"),)),
            "schema 'mine': the group 'image' has the name of a part; rename it",
        ),
        (lambda: Schema("mine", "1", ("ego",)), "schema 'mine': groups holds 'ego', which is not a Group"),
    ],
)
def test_what_does_not_fit_together_is_refused_when_it_is_made(make, message):
    with pytest.raises(SpecError) as error:
        make()
    assert str(error.value).startswith(message)


def test_every_closed_word_has_a_meaning_and_every_column_a_unit():
    assert set(UNITS) == set(get_args(Unit))
    assert set(FRAMES) == set(get_args(FrameOfReference))
    assert set(COLUMN_UNITS.values()) < set(UNITS)
    columns = [
        column
        for g in canonical().groups
        for field, hint in get_type_hints(type(g.params)).items()
        if field in ("columns", "channels")
        for column in get_args(get_args(hint)[0])
    ]
    # what pillars are decorated with follows from other parameters
    columns += PillarsParams(with_distance=True).column_names()
    # what PIXOR regresses is fixed
    columns += PixorParams().column_names()
    assert set(columns) == set(COLUMN_UNITS)


def test_a_shape_may_follow_from_the_parameters():
    first, last = canonical().group("lidar_bev_stats"), BevStatsParams(bev_layout="YXC", channels=("count",))
    (stats,) = first.features
    assert stats.axes(first.params) == ("C", "Y", "X")
    assert stats.sizes(last) == (1024, 1024, 1)
    (resolved,) = resolve(row("picture", "float32", ["h", 8, 1], channels_first=False))
    assert resolved.sizes == ("H", 8, 1)
    assert "must be (1, H, 8) float32, the spec wants (h, 8, 1)" in refused(row("picture", "float32", ["h", 8, 1]))


def test_groups_and_schemas_pickle_and_come_back_from_json():
    assert pickle.loads(pickle.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA.from_json(SCHEMA.to_json()) == SCHEMA
    assert SCHEMA.from_json(SCHEMA.to_json()).fingerprint == SCHEMA.fingerprint
    assert [f.collate for f in EDGES] == [Concat(1, "offset", "lidar_points"), Stack()]


def test_a_preset_that_no_longer_suits_is_refused_where_it_is_used():
    mine = canonical().with_params("mine", "2", {"lidar_range_image": {"channels": ["range"]}})
    with pytest.raises(SpecError, match="norm needs a mean and a std for each of"):
        mine.spec(["lidar_range_image"], {"lidar_range_image": "rangenet_64x2048"})


# parts


def test_two_frames_of_reference_under_one_suffix_are_refused_across_groups():
    ego, lidar = row("lidar_points", "float32", ["n", 5]), row("lidar_voxels", "float32", ["m", 10, 5], frame="lidar")
    assert refused(ego, lidar) == (
        "'lidar_points' has the frame \"ego\" and 'lidar_voxels' \"lidar\", but rows of one suffix share their frame; "
        'give both the same, as params={"frame": ...} does, or a suffix to one: lidar_voxels__b'
    )
    resolve(ego, {**lidar, "name": "lidar_voxels__b"})
    resolve({**ego, "params": {"frame": "lidar"}}, lidar)


def test_two_image_transforms_under_one_suffix_are_refused():
    picture, projection = row("picture", "float32", [1, "h", 8]), row("projection", "float32", [3, 4])
    resolve(picture, projection)
    flipped = {**projection, "params": {"image": {"flip": True}}}
    assert refused(picture, flipped) == (
        '\'picture\' has the image {"width":8,"flip":false} and \'projection\' {"width":8,"flip":true}, but rows of '
        'one suffix share their image; give both the same, as params={"image": ...} does, or a suffix to one: '
        "projection__b"
    )
    resolve(picture, {**flipped, "name": "projection__b"})


def test_the_range_image_has_a_frame_of_its_own():
    rows = [row("lidar_range_image", "float32", [5, 64, 2048]), row("lidar_points", "float32", ["n", 5], frame="lidar")]
    resolve(*rows)


# symbols


SAME_POINTS = {"columns": ["x", "y"], "intensity_mode": "raw"}
SAME_VOXELS = {"columns": ["x"], "max_points_per_voxel": 3, "coord_order": "xyz", "intensity_mode": "tanh"}


def test_what_the_same_parameters_decide_may_share_a_symbol():
    resolve(row("lidar_points", "float32", ["n", 2], **SAME_POINTS), row("lidar_points__b", "float32", ["n", 5]))
    resolve(row("lidar_points", "float32", ["n", 5]), row("pointwise", "float32", ["n"], scale=3))
    resolve(row("lidar_voxels", "float32", ["n", 3, 1], **SAME_VOXELS), row("lidar_voxel_coords__b", "int32", ["n", 3]))


@pytest.mark.parametrize(
    "params",
    [
        {"num_sweeps": 2},
        {"range": [0, 0, 0, 1, 1, 1]},
        {"max_points": 9},
        {"nonfinite_features": "drop"},
        {"remove_close": 1.0},
        {"compensate": "per_sweep"},
        {"sensors": ["top"]},
    ],
    ids=str,
)
def test_what_other_parameters_decide_may_not_share_a_symbol_with_points(params):
    message = refused(row("lidar_points", "float32", ["n", 5]), row("pointwise", "float32", ["n"], **params))
    ((name, value),) = params.items()
    assert message.startswith(
        "the symbol 'n' has one value across a spec, but it stands for axis 0 of 'lidar_points' (num_points under its "
        f"params) and axis 0 of 'pointwise' (num_points under its params); 'lidar_points' has {name} "
    )
    theirs, advice = message.rpartition(", 'pointwise' ")[2].split(": ")
    assert json.loads(theirs) == value
    assert advice == "give both the same, or use two symbols"


@pytest.mark.parametrize(
    "params",
    [{"num_sweeps": 2}, {"grid": {"voxel": [1, 1, 1]}}, {"max_voxels": 9}, {"overflow": "break"}, {"min_rows": 1}],
    ids=str,
)
def test_what_other_parameters_decide_may_not_share_a_symbol_with_voxels(params):
    message = refused(
        row("lidar_voxel_coords", "int32", ["n", 3]), row("lidar_voxel_coords__b", "int32", ["n", 3], **params)
    )
    assert "use two symbols" in message


def test_params_that_say_nothing_of_sizes_share_only_with_themselves():
    resolve(row("depth", "float32", ["h", 8]), row("picture", "float32", [1, "h", 8]))
    assert "use two symbols" in refused(
        row("depth", "float32", ["h", 8]), row("picture__b", "float32", [1, "h", 8], channels_first=True, rows=3)
    )
    assert VoxelsParams().size_key("P") != VoxelsParams(min_rows=1).size_key("P")


# counts


def test_a_count_is_held_to_what_it_counts_and_to_nothing_else():
    edges, count = row("edges", "float32", [2, 100]), row("num_edges", "int32", [1])
    assert refused(edges, count) == (
        "'edges' is cut at 100 rows, but 'num_edges' counts all; give both the params {\"rows\": 100}"
    )
    resolve({**edges, "params": {"rows": 100}}, {**count, "params": {"rows": 100}})
    resolve(edges, row("num_edges__b", "int32", [1]))
    # a (1,) that counts nothing was taken for a count
    resolve(row("lidar_points", "float32", [100, 5]), row("reference_stamp", "int64", [1]))


# params= for several rows


def spread(rows, params):
    return [r.params for r in SCHEMA.spec(rows, params)]


def test_a_part_spreads_over_all_rows_that_have_it_and_bring_no_params():
    own = row("lidar_bev_stats__b", "float32", [8, 1024, 1024], density_cap=9)
    rows = ["lidar_points", "lidar_range_image", own, "ego_pose", "lidar_voxel_coords"]
    assert spread(rows, {"frame": "lidar"}) == [
        {"frame": "lidar"}, None, {"density_cap": 9}, None, {"frame": "lidar"},
    ]  # fmt: skip
    assert spread(["lidar_points"], {"frame": "lidar", "lidar_points": {"num_sweeps": 2}}) == [
        {"frame": "lidar", "num_sweeps": 2}
    ]
    # what is said of the group goes before
    assert spread(["lidar_points", "lidar_voxels"], {"frame": "lidar", "lidar_points": {"frame": "ego"}}) == [
        {"frame": "ego"},
        {"frame": "lidar"},
    ]
    assert spread(["lidar_voxels"], {"frame": "ego", "lidar_voxels": "bevfusion"}) == [
        {"frame": "ego", "preset": "bevfusion"}
    ]
    pictures = {"image": {"width": 4}, "projections": {"image": {"flip": True}}}
    assert spread(["picture", "projection"], pictures) == [
        {"image": {"width": 4}},
        {"image": {"width": 4, "flip": True}},
    ]
    assert [r.shape for r in SCHEMA.spec(["picture"], {"image": {"width": 4}})] == [(1, "H", 4)]


CAMERAS = ["camera_images", "camera_intrinsics", "camera_projection", "lidar_points"]


@pytest.mark.parametrize("preset", [{"preset": "petr_320x800"}, "petr_320x800"])
def test_a_preset_said_of_a_part_is_that_of_every_group_that_has_the_part(preset):
    spec = canonical().spec(CAMERAS, {"image": preset, "frame": "lidar"})
    placed = {"preset": "petr_320x800", "frame": "lidar"}
    assert [row.params for row in spec] == [
        {"preset": "petr_320x800"},
        {"preset": "petr_320x800"},
        placed,
        {"frame": "lidar"},
    ]
    assert [row.shape for row in spec][:3] == [(6, 3, 320, 800), (6, 4, 4), (6, 4, 4)]
    canonical().resolve(spec)
    # each row then stands alone
    assert canonical().spec([row.to_dict() for row in spec]) == spec


def test_what_else_is_said_of_the_part_or_the_group_is_merged_with_its_preset():
    params = {"image": {"preset": "petr_320x800", "flip": True}, "camera_images": {"layout": "HWC"}}
    first, second = canonical().spec(CAMERAS[:2], params)
    assert first.params == {"preset": "petr_320x800", "image": {"flip": True}, "layout": "HWC"}
    assert second.params == {"preset": "petr_320x800", "image": {"flip": True}}
    # what is said of the group goes before
    params = {"image": {"preset": "detr3d"}, "camera_images": "bevformer_base"}
    assert [row.params["preset"] for row in canonical().spec(CAMERAS[:2], params)] == ["bevformer_base", "detr3d"]


def test_a_preset_that_groups_lack_is_refused_with_their_names():
    mine = msgspec.structs.replace(PROJECTIONS, presets={"mine": {"image": {"flip": True}}})
    schema = Schema("mine", "1", (*canonical().groups, PICTURES, mine))
    with pytest.raises(SpecError) as error:
        schema.spec(["picture", "projection", "depth"], {"image": {"preset": "mine"}})
    assert str(error.value) == (
        "params for the rows of pictures: no preset 'mine' of pictures; it is a preset of projections; name it under "
        "those alone, and say in the params of the others what `perceptum features projections --preset mine` shows"
    )
    # a row that is given what the preset means
    spec = schema.spec(["projection"], {"image": {"preset": "mine"}})
    assert [row.params for row in spec] == [{"preset": "mine"}]
    with pytest.raises(
        SpecError, match=r"^params for the rows of camera_images: no preset 'petr_320'; did you mean 'petr_320x"
    ):
        canonical().spec(["camera_images"], {"image": "petr_320"})
    with pytest.raises(SpecError, match=r"^params for the rows of camera_images: no preset '5'; there are bevfusion_"):
        canonical().spec(["camera_images"], {"image": {"preset": 5}})


def test_each_row_then_stands_alone():
    spec = SCHEMA.spec(["lidar_points", "lidar_voxels"], {"frame": "lidar", "lidar_voxels": {"min_rows": 1}})
    assert SCHEMA.spec([r.to_dict() for r in spec]) == spec


@pytest.mark.parametrize(
    ("rows", "params", "message"),
    [
        (
            ["lidar_points", "ego_pose"],
            {"lidar_bev_stats": {}},
            "params for 'lidar_bev_stats', but no row is of that group; the rows are of lidar_points, ego",
        ),
        (
            ["ego_pose", "lidar_range_image"],
            {"frame": "lidar"},
            "params for 'frame', but no row has that part; the rows are of ego, lidar_range_image",
        ),
        (
            [row("lidar_points", "float32", ["n", 5], num_sweeps=2), "ego_pose"],
            {"lidar_points": {"num_sweeps": 3}},
            "params for 'lidar_points', but every row that is of that group brings its own params; set it there, or "
            "remove them",
        ),
        (
            [row("lidar_points", "float32", ["n", 5], num_sweeps=2), "ego_pose"],
            {"frame": "lidar"},
            "params for 'frame', but every row that has that part brings its own params; set it there, or remove them",
        ),
        ([], {"frame": "lidar"}, "params for 'frame', but no row has that part; the rows are of no group"),
        (["ego_pose"], {"fram": "lidar"}, "no group or part 'fram'; did you mean 'frame'?"),
        (["ego_pose"], {"lidar_voxel": {}}, "no group or part 'lidar_voxel'; did you mean 'lidar_voxels'?"),
        (
            ["ego_pose"],
            {"qqqq": {}},
            f"no group or part 'qqqq'; there are {', '.join(NAMES)}",
        ),
        (
            ["lidar_ring"],
            {"lidar_ring": {}},
            "params for 'lidar_ring': give them under its group, 'lidar_points'",
        ),
        (
            ["lidar_points"],
            {"frame": "moon"},
            "input 'lidar_points': frame is 'moon', wanted 'ego', 'ego_ground', 'lidar' or 'radar'",
        ),
    ],
)
def test_params_that_no_row_would_take_are_refused(rows, params, message):
    with pytest.raises(SpecError) as error:
        SCHEMA.spec(rows, params)
    assert str(error.value) == message


PARAMETER, HEADING = "is a parameter; give it", "is a heading over parameters; give them"


@pytest.mark.parametrize(
    ("params", "said", "under"),
    [
        ({"ground": "map"}, f"'ground' {PARAMETER}", 'lidar_voxels={"ground": ...}'),
        ({"max_points": 3}, f"'max_points' {PARAMETER}", 'lidar_points={"max_points": ...}'),
        ({"cloud": {"num_sweeps": 5}}, f"'cloud' {HEADING}", 'lidar_voxels={"num_sweeps": ...}'),
        ({"cloud": 5}, f"'cloud' {HEADING}", 'lidar_voxels={"sensors": ...}'),
        ({"reference": {"ground": "map"}}, f"'reference' {HEADING}", 'lidar_voxels={"ground": ...}'),
        ({"voxel_rows": {"order": "sorted"}}, f"'voxel_rows' {HEADING}", 'lidar_voxels={"order": ...}'),
    ],
)
def test_a_parameter_without_its_group_says_where_it_is_given(params, said, under):
    with pytest.raises(SpecError) as error:
        SCHEMA.spec(["lidar_voxels", "lidar_bev_stats"], params)
    at_once = "only 'agents', 'classes', 'frame' and 'image' may be said once for all rows"
    assert str(error.value) == f"{said} under a group: {under}; {at_once}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fill": -1, "dtypes": ("int32", "uint8")}, "feature 'a': the fill -1 is not a uint8"),
        ({"fill": 0.5, "dtypes": ("int32",)}, "feature 'a': the fill 0.5 is not an int32"),
        ({"shape": lambda params: (3,)}, "feature 'a': the shape must be a tuple or a module's function, got "),
    ],
)
def test_what_could_not_be_built_or_sent_to_another_process_is_refused(change, message):
    fields = {"name": "a", "dtypes": ("float32",), "shape": (3,), "units": "none", "frame": "none"}
    with pytest.raises(SpecError) as error:
        Feature(**{**fields, **change})
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("norm", [{"mean": [0.0], "std": [1e-50]}, {"mean": [1e300], "std": [1.0]}])
def test_numbers_that_float32_cannot_hold_are_refused(norm):
    params = {"lidar_range_image": {"channels": ["range"], "norm": norm}}
    with pytest.raises(SpecError, match="norm"):
        canonical().resolve(canonical().spec(["lidar_range_image"], params))
