"""What cannot be done is one line that names the thing; the exit status says whose fault it is; nothing is left."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from perceptum.install import install_command

SMALL = "synthetic:frames=3,beams=16,azimuth_steps=300"
POSE_OUT = [{"name": "out", "dtype": "float64", "shape": [4, 4]}]
ECHO = "def model(ego_pose): return {'out': ego_pose}"


@pytest.fixture
def echo(code_package) -> Path:
    return code_package(ECHO, POSE_OUT)


# a log


def test_a_folder_that_is_no_log(refusal):
    Path("holiday").mkdir()
    status, text = refusal("info", "holiday")
    assert (status, text.split(" (")[0]) == (2, "holiday: no log of a format we know")


@pytest.mark.parametrize("words", [["info"], ["view"], ["build", "lidar_points"], ["bench"], ["infer", "m.neuropod"]])
def test_a_folder_that_is_missing(refusal, words):
    name, *rest = words
    assert refusal(name, "nowhere", *rest) == (2, "nowhere: no such folder; check the path")


def test_a_file_in_place_of_a_log(refusal, monkeypatch):
    # logs beside the folder, as other tests make them, would be named
    Path("inner/most").mkdir(parents=True)
    monkeypatch.chdir("inner/most")
    Path("notes.txt").touch()
    assert refusal("info", "notes.txt") == (2, "notes.txt: is a file, wanted the folder of a log")


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("synthetic:frames=0", "synthetic: frames must be a whole number from 1 to 100000, got 0"),
        ("synthetic:frames", "synthetic: option 'frames' is not of the form name=value, e.g. frames=20"),
        ("synthetic:seed=x", "synthetic: option seed is 'x', wanted a number or a size such as 1600x900"),
    ],
)
def test_options_of_the_synthetic_drive_that_make_no_sense(refusal, log, said):
    assert refusal("info", log) == (2, said)


def test_a_lidar_file_that_is_cut_short(refusal, kitti, echo):
    file = kitti / "training" / "velodyne" / "000001.bin"
    file.write_bytes(file.read_bytes()[:-3])
    status, text = refusal("build", kitti, "lidar_points", "--frames", 1)
    assert (status, text) == (
        1,
        f"{file}: 7997 bytes is not a multiple of 16 (4 float32 per point); the file is cut short",
    )


def test_frames_before_a_broken_one_are_kept_whole(command, kitti):
    file = kitti / "training" / "velodyne" / "000001.bin"
    file.write_bytes(b"abc")
    done = command("build", kitti, "lidar_points", "--out", "made")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert [p.name for p in Path("made").iterdir()] == ["000000.npz"]
    assert np.load("made/000000.npz")["lidar_points"].shape == (500, 5)


def test_a_log_that_breaks_on_the_way_leaves_no_results(refusal, kitti, code_package):
    package = code_package(
        "def model(lidar_points): return {'n': np.array(len(lidar_points))}",
        [{"name": "n", "dtype": "int64", "shape": []}],
        inputs=[{"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]}],
    )
    (kitti / "training" / "velodyne" / "000001.bin").write_bytes(b"abc")
    status, text = refusal("infer", kitti, package, "--trust", "--out", "r.arrow")
    assert (status, "000001.bin: 3 bytes" in text) == (1, True)


def test_a_missing_calibration(refusal, kitti):
    file = kitti / "training" / "calib" / "000000.txt"
    file.unlink()
    status, text = refusal("view", kitti)
    assert (status, str(file) in text) == (1, True)


def test_without_need_of_it_a_missing_calibration_is_no_fault(command, kitti):
    shutil.rmtree(kitti / "training" / "calib")
    done = command("build", kitti, "lidar_num_points", "--json")
    assert [Path(row["file"]).name for row in done.json] == ["000000.npz", "000001.npz"]


# frames


THREE = "the log has 3 frames, numbers 0 to 2 (their positions), ids 000000 to 000002 (the dataset's names)"


@pytest.mark.parametrize("frames", ["abc", "007", "000135", "1.5", "1e3"])
def test_a_frame_that_is_neither_a_number_nor_an_id_of_the_log(refusal, frames):
    said = f"--frames {frames}: no frame has that number or id; {THREE}"
    assert refusal("build", SMALL, "ego_pose", "--frames", frames) == (2, said)


@pytest.mark.parametrize("frames", ["", " ", "0:2:x", "1:2:3:4", "::0"])
def test_frames_that_are_no_frames(refusal, frames):
    said = f"--frames must be like 12, 0:50, 0:50:5 or an id, got '{frames}'; {THREE}"
    assert refusal("build", SMALL, "ego_pose", "--frames", frames) == (2, said)


@pytest.mark.parametrize("frames", ["3", "-4", "3:", "2:1", "5:9", ":0", "2:0:1"])
def test_frames_that_the_log_has_not(refusal, frames):
    said = f"--frames {frames} picks no frame; {THREE}"
    assert refusal("build", SMALL, "ego_pose", f"--frames={frames}") == (2, said)


@pytest.mark.parametrize("frames", ["000009:", ":x", "0:000009:2"])
def test_an_id_that_the_log_has_not(refusal, frames):
    unknown = next(part for part in frames.split(":") if part not in ("", "0", "2"))
    said = f"--frames {frames}: no frame '{unknown}'; {THREE}"
    assert refusal("build", SMALL, "ego_pose", f"--frames={frames}") == (2, said)


@pytest.mark.parametrize("words", [["view"], ["explain", "ego_pose", "--log"]])
@pytest.mark.parametrize("frame", [3, -4, "000009", "x", ""])
def test_a_frame_that_the_log_has_not(refusal, words, frame):
    said = f"synthetic(frames=3, seed=0): no frame '{frame}'; {THREE}"
    assert refusal(*words, SMALL, f"--frame={frame}") == (2, said)


# a spec


def spec(*rows: object) -> str:
    Path("spec.json").write_text(json.dumps(rows))
    return "spec.json"


@pytest.mark.parametrize(
    "words", [["explain", "lidar_voxel"], ["build", SMALL, "lidar_voxel"], ["features", "lidar_voxel"]]
)
def test_an_unknown_feature(refusal, words):
    assert refusal(*words) == (2, "no feature 'lidar_voxel'; did you mean 'lidar_voxels'?")


def test_an_unknown_feature_of_a_bench(refusal):
    said = "no feature 'lidar_voxel'; did you mean 'lidar_voxels'?"
    assert refusal("bench", SMALL, "--spec", "ego_pose,lidar_voxel") == (2, said)


def test_a_wrong_shape(refusal):
    status, text = refusal("explain", spec({"name": "lidar_bev_stats", "dtype": "float32", "shape": [512, 512]}))
    assert (status, text) == (
        2,
        "input 'lidar_bev_stats' must be (8, 1024, 1024) float32, the spec wants (512, 512); "
        "sizes follow from the row's params",
    )


def test_a_wrong_dtype(refusal):
    rows = spec({"name": "lidar_bev_stats", "dtype": "int8", "shape": [8, 1024, 1024]})
    assert refusal("explain", rows) == (2, "input 'lidar_bev_stats' can be float32, the spec wants int8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[{", "spec.json: a spec must be JSON: Input data was truncated"),
        ("", "spec.json: a spec must be JSON: Input data was truncated"),
        ('{"a": 1}', "spec.json: a spec must be a list of rows, got dict"),
        ("[1]", "spec.json: a spec row must be a dict with name, dtype and shape, got 1"),
        ("[]", "the spec has no rows: there is nothing to build"),
        (
            '[{"name": "ego_pose"}]',
            "spec.json: spec row 'ego_pose' is missing dtype, shape; it holds name, dtype, shape, params and frame",
        ),
    ],
)
def test_a_spec_file_that_is_none(refusal, text, said):
    Path("spec.json").write_text(text)
    assert refusal("explain", "spec.json") == (2, said)


@pytest.mark.parametrize("name", ["gone.json", "gone.neuropod", "some/where", "./gone"])
def test_a_spec_file_that_is_missing(refusal, name):
    said = f"{name}: no such file; a spec is a package, a JSON file, or feature names joined by commas"
    assert refusal("explain", name) == (2, said)


@pytest.mark.parametrize("nothing", ["", ",", " , "])
def test_a_spec_of_nothing(refusal, nothing):
    assert refusal("explain", nothing) == (2, "the spec has no rows: there is nothing to build")


def test_a_folder_with_a_features_name_does_not_hide_the_feature(command):
    Path("ego_pose").mkdir()
    assert [t["name"] for t in command("explain", "ego_pose", "--json").json["tensors"]] == ["ego_pose"]


def test_a_folder_that_is_no_package(refusal):
    Path("ego_pose").mkdir()
    said = "ego_pose: no config.json, so this is not a package; a package holds it at its root"
    assert refusal("explain", "./ego_pose") == (2, said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x"], "--params must be like lidar_voxels=pointpillars_kitti or frame=lidar, got 'x'"),
        (["=x"], "--params must be like lidar_voxels=pointpillars_kitti or frame=lidar, got '=x'"),
        (["frame="], "--params must be like lidar_voxels=pointpillars_kitti or frame=lidar, got 'frame='"),
        (
            ["lidar_points={"],
            "--params lidar_points: not the JSON that it begins as (Input data was truncated): {",
        ),
        (
            ["lidar_points=[" + "[" * 9999],
            None,
        ),
        (
            ["frame=ego", "frame=lidar"],
            "--params frame is given twice; a preset with changes is frame='{\"preset\": NAME, ...}'",
        ),
        (["fram=ego"], "no group or part 'fram'; did you mean 'frame'?"),
        (["frame=LIDAR"], "input 'lidar_points': frame is 'LIDAR', wanted 'ego', 'ego_ground', 'lidar' or 'radar'"),
        (["lidar_points=3"], "'lidar_points': params must be a dict or a preset's name, got 3"),
        (["ego={}"], "params for 'ego', but no row is of that group; the rows are of lidar_points"),
    ],
)
@pytest.mark.parametrize("command_words", [["explain"], ["build", SMALL], ["bench", SMALL, "--spec"]])
def test_params_that_cannot_be(refusal, command_words, words, said):
    status, text = refusal(*command_words, "lidar_points", *(part for word in words for part in ("--params", word)))
    assert status == 2
    assert said in (None, text)


# a package


def test_a_package_in_the_place_of_a_log(refusal, echo):
    for words in (["infer", echo, SMALL], ["build", echo, "ego_pose"], ["info", echo]):
        said = f"{echo}: this is a package, wanted a log, which comes before it; "
        assert refusal(*words) == (2, f"{said}`perceptum inspect {echo}` shows what is in a package")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["infer", SMALL], "a package; a log comes first, as in perceptum infer LOG MODEL"),
        (["verify"], "a package; a log comes first, as in perceptum infer LOG MODEL"),
        (["explain"], "a spec; a log comes first, as in perceptum build LOG SPEC"),
        (["build", SMALL], "a spec; a log comes first, as in perceptum build LOG SPEC"),
    ],
)
def test_a_log_in_the_place_of_a_package_or_spec(refusal, kitti, words, said):
    log = kitti / "training"
    assert refusal(*words, log) == (2, f"{log}: this is a log (kitti_object), wanted {said}")


@pytest.mark.parametrize("name", ["tiny.pt", "tiny.onnx", "saved"])
def test_a_model_that_is_not_packed_yet(refusal, name):
    if name == "saved":
        Path(name).mkdir()
        Path(name, "saved_model.pb").touch()
    else:
        Path(name).write_bytes(b"PK")
    said = f"{name}: this is a model as a framework saves it, wanted a package; make one first: "
    hint = f"perceptum pack {name} {Path(name).stem}.neuropod --spec JSON"
    assert refusal("infer", SMALL, f"./{name}") == (2, f"{said}{hint}")


@pytest.mark.parametrize(
    "words", [["infer", SMALL], ["view", SMALL, "--model"], ["inspect"], ["verify"], ["diff", "."]]
)
def test_a_missing_package(refusal, words):
    assert refusal(*words, "gone.neuropod") == (2, "gone.neuropod: no such file or folder")


def test_a_package_that_is_code_runs_only_when_trusted(refusal, command, echo):
    status, text = refusal("infer", SMALL, echo, "--out", "r.arrow")
    assert status == 1
    assert text.startswith(f"{echo}: this package is code (platform 'python') and can do anything that you can; ")
    assert "--trust" in text or "trust=True" in text
    assert command("infer", SMALL, echo, "--trust").status == 0


@pytest.fixture
def changed(bev_detector, unpacked) -> Path:
    """The demo's package with the record of a feature that meant something else."""
    folder = unpacked(bev_detector)
    record = json.loads((folder / "perceptum.json").read_text())
    feature = record["schema"]["features"]["lidar_bev_stats"]
    feature["fingerprint"] = "0" * len(feature["fingerprint"])
    (folder / "perceptum.json").write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize("words", [["infer", SMALL], ["explain"], ["build", SMALL]])
def test_a_package_whose_features_mean_something_else_today(refusal, changed, words):
    status, text = refusal(*words, changed)
    assert status == 1
    assert text.startswith(f"{changed}: ")
    assert "lidar_bev_stats" in text


def test_a_package_that_was_changed(refusal, echo, unpacked):
    folder = unpacked(echo)
    (folder / "manifest.json").write_text('{"manifest_version": 1, "files": {}}')
    status, text = refusal("infer", SMALL, folder, "--trust")
    assert (status, "get it again" in text) == (1, True)


def test_a_model_that_raises(refusal, code_package):
    package = code_package("def model(ego_pose): raise KeyError('lost')", POSE_OUT)
    said = "model 'made of code' failed: KeyError: 'lost'"
    assert refusal("infer", SMALL, package, "--trust", "--out", "r.arrow") == (1, said)


def test_a_model_that_is_no_detector_is_not_drawn(refusal, echo):
    said = "model 'made of code' is not a detector: it gives out, not boxes, scores"
    assert refusal("view", SMALL, "--model", echo, "--trust") == (2, said)


def test_a_detector_of_other_boxes_is_not_drawn(refusal, code_package):
    outputs = [
        {"name": "boxes", "dtype": "float32", "shape": ["n", 9]},
        {"name": "scores", "dtype": "float32", "shape": ["n"]},
    ]
    source = "def model(ego_pose): return {'boxes': np.zeros((2, 9), 'f4'), 'scores': np.ones(2, 'f4')}"
    said = "a detector gives boxes (n, 7) and scores (n,), got boxes (2, 9) and scores (2,)"
    assert refusal("view", SMALL, "--model", code_package(source, outputs), "--trust") == (2, said)


# where it goes


def test_results_into_a_missing_folder(refusal, echo):
    said = f"cannot write {Path('no', 'r.arrow')}: there is no folder no"
    assert refusal("infer", SMALL, echo, "--trust", "--out", "no/r.arrow") == (2, said)


def test_results_in_place_of_a_folder(refusal, echo):
    Path("made").mkdir()
    said = "cannot write made: it is a folder; name a file"
    assert refusal("infer", SMALL, echo, "--trust", "--out", "made") == (2, said)


@pytest.mark.parametrize("name", ["r.json", "r.csv", "R.NPZ", "r.png"])
def test_results_are_not_written_under_the_name_of_another_format(refusal, name):
    said = f"cannot write {name}: results are an Arrow file, which pyarrow.feather reads, or a .parquet file; "
    better = Path(name).with_suffix(".arrow")
    assert refusal("infer", SMALL, "m.neuropod", "--out", name) == (2, f"{said}name it {better}")


@pytest.mark.parametrize("name", ["p.jpg", "p.pdf", "p.npz"])
def test_a_picture_is_not_written_under_the_name_of_another_format(refusal, name):
    said = f"cannot write {name}: pictures are PNG files; name it p.png"
    assert refusal("view", SMALL, "--out", name) == (2, said)


@pytest.mark.parametrize("name", ["t.parquet", "t.npy", "t.zip"])
@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["build", SMALL, "ego_pose", "--out"], "each frame gets an .npz file in a folder"),
        (["demo", "--out"], "packages and a picture go into a folder"),
        (["convert", SMALL], "a store is a folder"),
    ],
)
def test_a_folder_is_not_written_under_the_name_of_a_file(refusal, words, what, name):
    said = f"cannot write {name}: {what}; name one without an ending"
    assert refusal(*words, name) == (2, said)


def test_several_frames_are_not_one_npz_file(refusal):
    said = "cannot write t.npz: it holds one frame, got 3; name a folder, or one frame"
    assert refusal("build", SMALL, "ego_pose", "--out", "t.npz") == (2, said)


def test_a_package_is_not_written_under_the_name_of_a_model(refusal):
    said = "cannot write m.onnx: a package is a zip file, or a folder; name it m.neuropod"
    assert refusal("pack", "model.pt", "m.onnx", "--problem", "detection3d") == (2, said)


def test_a_picture_into_a_missing_folder(refusal):
    assert refusal("view", SMALL, "--out", "no/p.png") == (2, "cannot write no/p.png: there is no folder no")


@pytest.mark.parametrize("words", [["build", SMALL, "ego_pose"], ["demo", "--frames", 1]])
def test_tensors_in_place_of_a_file(refusal, words):
    Path("made").write_text("mine")
    assert refusal(*words, "--out", "made") == (2, "cannot write made: made is a file; name a folder")
    assert Path("made").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no /proc, in which nobody can write")
def test_results_where_nobody_can_write(refusal, echo):
    said = "cannot write /proc/r.arrow: No such file or directory"
    assert refusal("infer", SMALL, echo, "--trust", "--out", "/proc/r.arrow") == (2, said)


# what typer itself refuses


@pytest.mark.parametrize(
    "words",
    [
        ["nothing"],
        ["info"],
        ["info", "synthetic", "--color"],
        ["infer", SMALL],
        ["build", SMALL, "ego_pose", "--threads", 0],
        ["bench", SMALL, "--rounds", 0],
        ["demo", "--frames", 0],
        ["demo", "--seed", -1],
        ["view", SMALL, "--viewer", "vtk"],
    ],
)
def test_unknown_words_and_numbers_out_of_range_are_bad_use(command, words):
    done = command(*words)
    assert (done.status, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_without_words_the_help_is_told(command):
    done = command()
    assert done.status == 2
    assert "Usage: perceptum" in done.out + done.err


# what is not installed


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("matplotlib", f"matplotlib is not installed (drawings): {install_command('view')}"),
        ("torch", f"torch is not installed (TorchScript and PyTorch models): {install_command('torch')}"),
    ],
)
def test_an_absent_package_is_named_with_what_brings_it(refusal, monkeypatch, module, said):
    import perceptum.view

    def view(*_):
        raise ModuleNotFoundError(f"No module named '{module}'", name=f"{module}.part")

    monkeypatch.setattr(perceptum.view.Scene, "draw", view)
    assert refusal("view", SMALL) == (1, said)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have their own ways to a display")
def test_a_window_without_a_display_is_refused(refusal, monkeypatch):
    """open3d waited forever, whatever was pressed."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("perceptum.view._open3d", lambda: None)
    said = "the 3D viewer needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set; "
    assert refusal("view", SMALL, "--viewer", "open3d") == (2, said + "draw a picture instead (--viewer png)")


def test_an_absent_viewer_says_how_to_get_it(refusal, monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    status, text = refusal("view", SMALL, "--viewer", "open3d")
    assert status == 1
    assert text.startswith("the 3D viewer needs open3d (")
    assert text.endswith(
        f"{install_command('open3d')}, and on Debian or Ubuntu apt-get install libusb-1.0-0 libegl1 libgl1 libx11-6"
    )


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), ImportError("of something else"), ValueError("ours")])
def test_our_own_mistakes_are_not_hidden(monkeypatch, error):
    import perceptum.view
    from perceptum.cli import main

    def draw(*_):
        raise error

    monkeypatch.setattr(perceptum.view.Scene, "draw", draw)
    monkeypatch.setattr(sys, "argv", ["perceptum", "view", SMALL])
    with pytest.raises(type(error)):
        main()


def test_a_message_of_many_lines_is_told_in_one(refusal, monkeypatch):
    import perceptum.view
    from perceptum.errors import UsageError

    def draw(*_):
        raise UsageError("first\nsecond")

    monkeypatch.setattr(perceptum.view.Scene, "draw", draw)
    assert refusal("view", SMALL) == (2, "first second")


@pytest.mark.parametrize(
    "words",
    [
        ["info", SMALL],
        ["check", SMALL],
        ["convert", SMALL, "store"],
        ["explain", "lidar_points", "--log", SMALL],
        ["build", SMALL, "lidar_points"],
        ["build", SMALL, "lidar_points", "--on-error", "skip"],
        ["bench", SMALL, "--spec", "lidar_points"],
        ["view", SMALL],
        ["infer", SMALL, "MODEL", "--trust"],
    ],
    ids=lambda words: f"{words[0]} skip" if "skip" in words else words[0],
)
def test_no_memory_is_one_line_in_every_command(command, code_package, monkeypatch, words):
    from perceptum.datasets.synthetic.source import SyntheticSource

    def read(*_):
        raise MemoryError("Unable to allocate 1.86 TiB for an array")

    points = [{"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]}]
    if "MODEL" in words:
        echo = code_package("def model(lidar_points): return {'out': np.eye(4)}", POSE_OUT, inputs=points)
        words = [*words[:2], echo, "--trust"]
    monkeypatch.setattr(SyntheticSource, "read_lidar", read)
    done = command(*words)
    assert (done.status, done.err) == (1, "perceptum: no memory: Unable to allocate 1.86 TiB for an array\n")


def test_no_memory_for_a_tensor_is_one_line_that_names_it(refusal, monkeypatch):
    import mmap

    def no_pages(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", no_pages)
    status, said = refusal("build", SMALL, "lidar_bev_occupancy")
    assert status == 1
    assert said.startswith("no memory for ")


@pytest.mark.parametrize("words", [["info", ""], ["check", " "], ["explain", "ego_pose", "--log", ""]])
def test_a_log_of_no_name_is_not_this_folder(refusal, words):
    said = "LOG is empty; name a folder, a recording or synthetic, and this folder as ."
    assert refusal(*words) == (2, said)


def test_a_misspelled_family_and_format_are_met_with_the_nearest(refusal):
    assert refusal("features", "lidr") == (2, "no feature or family 'lidr'; did you mean 'lidar'?")
    said = "no format 'kiti'; there are argoverse2, kitti, nuscenes; did you mean 'kitti'?"
    assert refusal("submit", "kiti", "results", SMALL, "--out", "made") == (2, said)


def test_a_worker_does_not_listen_where_a_file_is(refusal):
    Path("notes").write_text("mine")
    assert refusal("worker", "--socket", "notes") == (2, "--socket notes: a file is there already; name another")


def test_a_frame_to_explain_needs_a_log(refusal):
    assert refusal("explain", "ego_pose", "--frame", 1) == (2, "--frame is for --log: without a log nothing is built")


def test_a_picture_in_the_place_of_a_folder_is_refused_before_it_is_drawn(refusal, monkeypatch):
    import perceptum.view

    monkeypatch.setattr(perceptum.view.Scene, "of", lambda *_: pytest.fail("it was drawn"))
    Path("made").mkdir()
    assert refusal("view", SMALL, "--out", "made") == (2, "cannot write made: it is a folder; name a file")
