"""features, explain, build and info: what they tell and write."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import perceptum as pc
from perceptum.errors import UsageError
from perceptum.tensors import read_about

SMALL = "synthetic:frames=3,beams=16,azimuth_steps=300"
ONE_ROW = '[{"name": "lidar_points", "dtype": "float32", "shape": [64, 3], "params": {"columns": ["x", "y", "z"]}}]'


def cells(table):
    """The words of a table, without what is drawn around them."""
    return " ".join("".join(" " if "\u2500" <= letter <= "\u257f" else letter for letter in table).split())


def test_the_catalogue_is_told_whole(command):
    rows = command("features", "--json").json
    assert [row["name"] for row in rows] == list(pc.features())
    assert all({"dtypes", "shape", "units", "frame", "params", "prose", "presets"} <= row.keys() for row in rows)


def test_the_table_names_every_feature(command):
    shown = command("features").out
    assert [name for name in pc.features() if name not in shown] == []


def test_one_feature_is_told_whole(command):
    one = command("features", "lidar_voxels", "--json").json
    (own,) = (row for row in pc.features().to_rows() if row["name"] == "lidar_voxels")
    assert one == json.loads(json.dumps(own))
    shown = command("features", "lidar_voxels").out
    assert "(num_voxels, P, C)" in shown
    table = cells(shown)
    assert """coord_order 'xyz' or 'zyx' "zyx" The columns of the coords.""" in table
    assert "grid.voxel a list of 3, each a number [0.1,0.1,0.2] m The cell" in table
    assert "max_points_per_voxel a whole number of at least 1 10 count" in table


def test_a_features_presets_are_shown_with_their_values_and_what_they_follow(command):
    shown = cells(command("features", "lidar_voxel_coords").out)
    assert "pointpillars_kitti" in shown
    assert "max_voxels: 40000" in shown
    assert "max_voxels: 16000" in shown
    assert "OpenPCDet tools/cfgs/kitti_models/pointpillar.yaml" in shown


def test_a_features_closed_words_are_explained(command):
    shown = cells(command("features", "lidar_points").out)
    assert "reference: the one that the param `frame` names" in shown
    assert "time_lag s how long before the reference time" in shown
    assert "flag: 1 for yes, 0 for no" in " ".join(command("features", "lidar_range_image_mask").out.split())


def test_the_list_is_by_family(command):
    shown = command("features").out
    assert shown.index("lidar: ") < shown.index("lidar_points") < shown.index("ego: ") < shown.index("ego_pose")
    only = command("features", "--family", "ego").out
    assert "ego_pose" in only
    assert "lidar" not in only
    assert [row["name"] for row in command("features", "--family", "ego", "--json").json] == [
        "ego_pose",
        "reference_stamp",
        "ego_motion",
        "ego_motion_valid",
        "ego_state",
        "ego_state_valid",
        "ref_from_ego",
    ]


def test_the_shared_parameters_have_a_heading_of_their_own(command):
    shown = command("features", "lidar_voxels").out
    own, cloud = (shown.index(f"parameters of {what}") for what in ("lidar_voxels", "the cloud"))
    assert own < shown.index("max_voxels  ") < cloud < shown.index("num_sweeps  ")
    assert "used by" in shown
    assert "PointPillars" in shown
    assert "voxel M-1" in shown


def test_a_feature_is_shown_under_a_preset(command):
    shown = cells(command("features", "lidar_bev_occupancy", "--preset", "pixor_kitti").out)
    assert "pixor_kitti, after philip-huang/PIXOR srcs/datagen.py" in shown
    assert "(C, Y, X) = (35, 800, 700)" in shown
    assert ["frame", ' or \'lidar\' "ego" now "lidar" ego: the vehicle'][0] in shown
    assert """"ego" now "lidar\"""" in shown
    assert "y = 40" in shown
    row = command("features", "lidar_bev_occupancy", "--preset", "pixor_kitti", "--json").json
    assert row["sizes"] == [35, 800, 700]


def test_a_value_within_a_parameter_that_is_null_by_default_is_shown_too(command):
    shown = cells(command("features", "lidar_range_image", "--preset", "rangenet_64x2048").out)
    assert "norm.mean a list, each a number null now [12.12,10.88,0.23,-1.04,0.21]" in shown
    assert "norm.mean a list, each a number null One" in cells(command("features", "lidar_range_image").out)


@pytest.mark.parametrize("name", [group.features[0].name for group in pc.features().schema.groups])
def test_a_feature_of_every_group_can_be_shown(command, name):
    for preset in (None, *pc.features().schema.group_of(name).presets):
        done = command("features", name, *([] if preset is None else ["--preset", preset]))
        assert (done.status, done.err) == (0, "")
        assert name in done.out


def test_an_instance_with_a_suffix_is_shown_as_such(command):
    row = command("features", "lidar_voxels__fine", "--json").json
    assert (row["name"], row["sizes"]) == ("lidar_voxels__fine", ["num_voxels__fine", 10, 5])
    assert "lidar_voxels__fine" in command("features", "lidar_voxels__fine").out


def test_one_feature_fits_a_common_terminal(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for words in (["features"], ["features", "lidar_voxels"], ["features", "lidar_range_image"]):
        wide = [line for line in command(*words).out.splitlines() if len(line) > 80]
        # but for what is one word: a path, a list of numbers in full
        assert [line for line in wide if "[" not in line and len(line.split()) > 1] == []


@pytest.mark.parametrize("name", [group.features[0].name for group in pc.features().schema.groups])
def test_prose_is_folded_in_a_pipe_too_and_rows_of_numbers_are_not(command, name):
    lines = command("features", name).out.splitlines()
    # a word alone, such as the path of a configuration, has nowhere to be folded
    long = [line for line in lines if len(line) > 100 and " " in line.strip()]
    assert [line for line in long if not re.match(r"    (in training )?[\w.]+: \S", line)] == []
    presets = pc.features().describe(name)["presets"]
    values = [one[part] for one in presets.values() for part in ("params", "training") if one[part]]
    assert sum(re.match(r"    (in training )?[\w.]+: [\[\"\d.a-z-]", line) is not None for line in lines) >= len(values)


def test_the_help_names_every_family(command):
    shown = " ".join(command("features", "--help").out.replace("│", " ").split())
    families = pc.features().families
    own = [family for family, names in families.items() if family in ("targets", names[0].partition("_")[0])]
    assert {"lidar", "radar", "ego"} <= set(own)
    assert f"Only this family: {', '.join(own)}, or a plug-in's name." in shown


def test_a_preset_in_the_style_of_a_paper_is_not_said_to_be_after_it(command):
    for words in (["features", "radar_bev"], ["features", "radar_bev", "--preset", "radarnet"]):
        assert "radarnet, in the style of the paper" in cells(command(*words).out)


def test_the_list_is_folded_in_a_pipe_too(command):
    assert max(map(len, command("features").out.splitlines())) <= 120


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lidar_voxel__fine"], "no feature 'lidar_voxel'; did you mean 'lidar_voxels'?"),
        (["lidar_voxels__"], "no feature 'lidar_voxels__'; did you mean 'lidar_voxels'?"),
        (["--family", "lidr"], "no family 'lidr'; did you mean 'lidar'?"),
        (["ego_pose", "--family", "ego"], "--family is for the list; leave it out to see 'ego_pose'"),
        (["--preset", "a"], "--preset a needs the feature to show: perceptum features NAME --preset a"),
        (["ego_pose", "--preset", "second"], "no preset 'second'; there are none for this feature"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(refusal, words, said):
    assert refusal("features", *words) == (2, said)


def test_a_plan_is_told_without_a_log(command):
    plan = command("explain", "lidar_voxels, lidar_voxel_coords", "--json").json
    assert [tensor["name"] for tensor in plan["tensors"]] == ["lidar_voxels", "lidar_voxel_coords"]
    assert [stage["ms"] for stage in plan["stages"]] == [None] * len(plan["stages"])


def test_a_log_adds_sizes_and_times(command):
    plan = command("explain", "lidar_points", "--log", SMALL, "--frame", -1, "--json").json
    (tensor,) = plan["tensors"]
    built = pc.InputBuilder(["lidar_points"]).build(pc.open_log(SMALL)[2])["lidar_points"]
    assert (tensor["shape"], tensor["nbytes"]) == (list(built.shape), built.nbytes)
    assert all(stage["ms"] > 0 for stage in plan["stages"])


def test_a_plan_with_times_says_which_frame_was_built(command):
    assert command("explain", "ego_pose", "--log", SMALL, "--frame", 1).out.endswith(
        "\nbuilt: frame 1 (000001) of street-0\n"
    )
    assert "built: " not in command("explain", "ego_pose").out


def test_a_plan_shows_first_calls_apart_from_the_work(command):
    done = command("explain", "lidar_points", "--log", SMALL, "--frame", "000002")
    *_, times, built = done.out.splitlines()
    assert built == "built: frame 2 (000002) of street-0"
    assert re.fullmatch(
        r"first build, with reading its records: [\d.]+ ms(, of which .* kernels)?; second build: [\d.]+ ms", times
    )
    told = command("explain", "lidar_points", "--log", SMALL, "--json").json["built"]
    assert (told["log"], told["frame"], told["frame_id"]) == ("street-0", 0, "000000")
    assert told["first_ms"] > sum(told["of_which_ms"].values())
    assert told["second_ms"] > 0
    assert command("explain", "lidar_points", "--json").json["built"] is None


def test_a_spec_file_is_a_spec(command):
    Path("spec.json").write_text(ONE_ROW)
    (tensor,) = command("explain", "spec.json", "--json").json["tensors"]
    assert (tensor["name"], tensor["shape"]) == ("lidar_points", [64, 3])


def test_a_package_is_a_spec(command, bev_detector):
    for text in (command("explain", bev_detector).out, str(command("explain", bev_detector, "--json").json)):
        assert "lidar_bev_occupancy" in text
        assert "lidar_bev_stats" in text


def test_an_unpacked_package_is_a_spec(command, unpacked, bev_detector):
    folder = unpacked(bev_detector)
    names = [tensor["name"] for tensor in command("explain", folder, "--json").json["tensors"]]
    assert names == ["lidar_bev_occupancy", "lidar_bev_stats"]


@pytest.mark.parametrize(
    ("frames", "picked"),
    [("000001", [1]), ("000001:", [1, 2]), ("0:000002", [0, 1]), ("000002::-1", [2, 1, 0]),
     (":", [0, 1, 2]), ("1", [1]), ("-1", [2]), ("-3", [0]), ("1:", [1, 2]), (":-1", [0, 1]), ("::2", [0, 2]),
     ("::-1", [2, 1, 0]), ("0:99", [0, 1, 2]), (" 0 : 2 ", [0, 1])],
)  # fmt: skip
def test_frames_are_picked_as_python_slices_them(command, frames, picked):
    rows = command("build", SMALL, "reference_stamp", f"--frames={frames}", "--json").json
    assert [row["file"] for row in rows] == [str(Path("out", f"{index:06d}.npz")) for index in picked]
    assert sorted(p.name for p in Path("out").iterdir()) == sorted(f"{index:06d}.npz" for index in picked)


def test_a_number_of_the_log_is_a_number_also_where_it_is_an_id(command, monkeypatch):
    from perceptum.datasets.synthetic import SyntheticSource

    monkeypatch.setattr(SyntheticSource, "ids", ["1", "17", "a:b"])
    for frames, picked in (("1", [1]), ("17", [1]), ("a:b", [2]), ("-1", [2]), ("17:", [1, 2])):
        rows = command("build", SMALL, "ego_pose", f"--frames={frames}", "--overwrite", "--json").json
        assert [row["frame"] for row in rows] == picked
    assert command("explain", "ego_pose", "--log", SMALL, "--frame", "17").out.endswith("frame 1 (17) of street-0\n")


def test_one_frame_may_be_one_file(command):
    (row,) = command("build", SMALL, "ego_pose", "--frames", 1, "--out", "one.npz", "--json").json
    assert (row["file"], row["frame_id"]) == ("one.npz", "000001")
    assert list(np.load("one.npz")) == ["ego_pose"]
    # a folder stays one, whatever its name
    Path("many.npz").mkdir()
    command("build", SMALL, "ego_pose", "--out", "many.npz")
    assert len(list(Path("many.npz").iterdir())) == 3


def test_what_is_built_is_what_the_builder_builds(command):
    rows = command("build", SMALL, "lidar_points,ego_pose", "--frames", 2, "--out", "a/b", "--json").json
    built = pc.InputBuilder(["lidar_points", "ego_pose"]).build(pc.open_log(SMALL)[2])
    assert rows == [
        {
            "fingerprint": pc.InputBuilder(["lidar_points", "ego_pose"]).fingerprint,
            "training": False,
            "file": "a/b/000002.npz",
            "frame": 2,
            "frame_id": "000002",
            "lidar_points": f"{built['lidar_points'].shape} float32",
            "ego_pose": f"{built['ego_pose'].shape} {built['ego_pose'].dtype}",
        }
    ]
    with np.load("a/b/000002.npz") as back:
        assert {name: back[name].tobytes() for name in back} == {name: a.tobytes() for name, a in built.items()}


def test_a_file_says_what_was_built_and_holds_the_tensors_alone(command):
    words = ("build", SMALL, "lidar_voxels", "--params", "lidar_voxels=pointpillars_kitti", "--frames", 1, "--training")
    done = command(*words)
    builder = pc.InputBuilder(["lidar_voxels"], params={"lidar_voxels": "pointpillars_kitti"}, training=True)
    assert read_about(Path("out/000001.npz")) == {
        "fingerprint": builder.fingerprint,
        "training": True,
        "log": "street-0",
        "frame_id": "000001",
    }
    assert list(np.load("out/000001.npz")) == ["lidar_voxels"]
    said = f"fingerprint of these tensors: {builder.fingerprint}, with the presets' training values; each file has it"
    assert done.out.splitlines()[-1] == said
    np.savez("plain.npz", a=np.zeros(1))
    assert read_about(Path("plain.npz")) == {}
    Path("text.npz").write_text("text")
    with pytest.raises(UsageError, match=r"text\.npz: not an \.npz file that perceptum wrote"):
        read_about(Path("text.npz"))


def test_files_of_an_earlier_build_are_replaced_only_when_asked_to(command, refusal):
    assert command("build", SMALL, "ego_pose", "--frames", "1:").status == 0
    before = Path("out/000001.npz").read_bytes()
    assert refusal("build", SMALL, "reference_stamp") == (
        2,
        "out has 2 files of these frames already, such as 000001.npz; --overwrite replaces them, --out names another "
        "folder, --frames picks others",
    )
    assert Path("out/000001.npz").read_bytes() == before
    assert command("build", SMALL, "reference_stamp", "--frames", 0).status == 0
    assert command("build", SMALL, "reference_stamp", "--overwrite").status == 0
    assert list(np.load("out/000001.npz")) == ["reference_stamp"]
    one = ("build", SMALL, "ego_pose", "--frames", 0, "--out", "one.npz")
    assert command(*one).status == 0
    assert refusal(*one) == (2, "one.npz is there already; --overwrite replaces it, --out names another")
    assert command(*one, "--overwrite").status == 0


@pytest.mark.parametrize("image", ["image=petr_320x800", 'image={"preset": "petr_320x800"}'])
def test_a_preset_of_all_camera_rows_is_given_once(command, image):
    plan = command("explain", "camera_images,camera_projection", "--params", image, "--json").json
    assert [tensor["preset"] for tensor in plan["tensors"]] == ["petr_320x800"] * 2
    assert plan["parts"]["rows"]["image"]["crop"] == [320, 800]


def test_params_are_given_by_group_and_by_part(command):
    given = ("--params", "frame=lidar", "--params", 'lidar_bev_stats={"preset": "pixor_kitti", "frame": "lidar"}')
    names = "lidar_points,lidar_bev_stats"
    params = {"frame": "lidar", "lidar_bev_stats": {"preset": "pixor_kitti", "frame": "lidar"}}
    own = pc.InputBuilder(names.split(","), params=params)
    told = command("explain", names, *given, "--json").json
    assert told["built_fingerprints"] == {"": own.fingerprint}
    rows = command("build", SMALL, names, *given, "--frames", 0, "--json").json
    assert rows[0]["fingerprint"] == own.fingerprint
    assert rows[0]["lidar_bev_stats"] == f"{own.build(pc.open_log(SMALL)[0])['lidar_bev_stats'].shape} float32"
    measured = command("bench", SMALL, "--spec", names, *given, "--rounds", 1, "--json").json
    assert [row["tensors"] for row in measured] == [*names.split(","), "all 2"]


def test_a_file_is_named_after_its_frame_whatever_that_is_called(command, monkeypatch):
    from perceptum.datasets.synthetic import SyntheticSource

    monkeypatch.setattr(SyntheticSource, "ids", ["a/b", "..", "000134"])
    rows = command("build", SMALL, "ego_pose", "--json").json
    assert [(row["file"], row["frame"], row["frame_id"]) for row in rows] == [
        ("out/a%2Fb.npz", 0, "a/b"),
        ("out/...npz", 1, ".."),
        ("out/000134.npz", 2, "000134"),
    ]
    assert sorted(path.name for path in Path("out").iterdir()) == ["...npz", "000134.npz", "a%2Fb.npz"]


def test_threads_change_no_byte_of_a_file(command):
    for threads in (1, 3):
        assert command("build", SMALL, "lidar_voxels", "--out", f"t{threads}", "--threads", threads).status == 0
    for index in range(3):
        one, three = (np.load(f"t{threads}/{index:06d}.npz")["lidar_voxels"] for threads in (1, 3))
        assert one.tobytes() == three.tobytes()


def test_a_log_is_told_as_it_tells_itself(command):
    told, own = command("info", SMALL, "--json").json, pc.open_log(SMALL).info()
    kinds = ("lidars", "radars", "cameras", "signals")
    assert {k: told[k] for k in own if k not in kinds} == {k: v for k, v in own.items() if k not in kinds}
    # the command may say more of a sensor or a signal, and nothing else
    for kind in kinds:
        assert list(told[kind]) == list(own[kind])
        assert all(told[kind][name].items() >= stream.items() for name, stream in own[kind].items())


def test_the_sensors_of_a_log_are_shown(command):
    shown = command("info", SMALL).out
    info = pc.open_log(SMALL).info()
    assert [name for kind in ("lidars", "radars", "cameras") for name in info[kind] if name not in shown] == []
    assert info["location"] in shown
    assert all(word in shown for word in ("vehicle", "angular_rate", "velocity acceleration angular_rate"))


def test_a_logs_numbers_are_readable_by_themselves(command):
    shown = cells(command("info", SMALL).out)
    height, width = command("info", SMALL, "--json").json["map"]["ground"]
    assert f"ground {height} x {width} rows x columns of the raster of ground heights" in shown
    assert "gaps 0 where the next pose comes too late to say more" in shown
    assert "dropped: records that would fill the gaps; points: of a usual record, the median of three" in shown


def test_a_name_in_brackets_is_shown_as_it_is(command, kitti):
    Path("[bold]").mkdir()
    (kitti / "training").rename(Path("[bold]") / "training")
    shown = command("info", "[bold]").out
    assert "[bold]/training" in shown
    (Path("[bold]") / "training").rename(kitti / "training")


@pytest.mark.data
def test_real_logs_are_told(command, real_data):
    told = command("info", real_data / "kitti_object", "--json").json
    assert (told["dataset"], told["sequential"]) == ("kitti_object", False)
    told = command("info", next((real_data / "argoverse2" / "sensor" / "val").iterdir()), "--json").json
    assert (told["dataset"], told["sequential"]) == ("argoverse2", True)


def test_a_file_with_both_specs_is_read_as_pack_reads_it(command, tmp_path):
    row = {"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}
    (tmp_path / "problem.json").write_text(json.dumps({"input_spec": [row], "output_spec": []}))
    told = command("explain", str(tmp_path / "problem.json"), "--json").json
    assert [tensor["name"] for tensor in told["tensors"]] == ["ego_pose"]
