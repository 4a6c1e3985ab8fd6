"""Opening: the format is detected, and what is not a log says so."""

import pickle
import subprocess
import sys
import types

import numpy as np
import pytest

from perceptum.datasets import DATASETS, detect, open_log
from perceptum.datasets.foreign import ForeignSource
from perceptum.inputs import BrokenRecord, LogError


def message(*args, **options) -> str:
    with pytest.raises(LogError) as caught:
        open_log(*args, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_format_is_detected_from_the_folder(kitti, argoverse2):
    assert open_log(kitti).source.dataset == "kitti_object"
    assert open_log(str(kitti / "training")).source.dataset == "kitti_object"
    assert open_log(argoverse2).source.dataset == "argoverse2"


def test_a_forced_format_is_taken_at_its_word(argoverse2):
    assert open_log(argoverse2, format="argoverse2").source.name == "log-0001"
    assert message(argoverse2, format="kitti_object") == f"{argoverse2}: no frames in this kitti_object log"


def test_a_link_to_a_log_is_a_log(argoverse2, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(argoverse2)
    assert len(open_log(link)) == 4


def test_the_camera_tolerance_is_the_users(argoverse2):
    assert len(open_log(argoverse2)[0].cameras) == 2
    assert len(open_log(argoverse2, camera_tolerance_ns=7_000_000)[0].cameras) == 0


def test_no_such_folder_says_so(tmp_path):
    assert message(tmp_path / "gone") == f"{tmp_path}/gone: no such folder; check the path"


def test_a_misspelt_name_is_guessed():
    assert message("sinthetic") == "sinthetic: no such folder; did you mean 'synthetic'?"
    # a format is not a path
    assert message("nuscenes") == "nuscenes: no such folder; check the path"


def test_a_file_is_no_log(tmp_path):
    path = tmp_path / "nothing" / "else" / "a.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert message(path) == f"{path}: is a file, wanted the folder of a log"


def test_an_address_of_an_unknown_kind_is_refused():
    assert message("ftp://b/log").startswith("ftp://b/log: no address that we can open (")


def test_a_folder_that_is_no_log_says_what_a_log_looks_like(tmp_path):
    text = message(tmp_path)
    assert text.startswith(f"{tmp_path}: no log of a format we know (")
    for phrase in (
        "argoverse2: one log with sensors/lidar/NS.feather and city_SE3_egovehicle.feather",
        "kitti_object: training/ or testing/ with velodyne/NNNNNN.bin, calib/ and image_2/",
    ):
        assert phrase in text


def test_a_folder_of_several_logs_names_the_first(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / "val" / name / "sensors" / "lidar").mkdir(parents=True)
        (tmp_path / "val" / name / "calibration").mkdir()
    assert message(tmp_path) == (
        f"{tmp_path}: is not a log itself but holds val/a (argoverse2), val/b (argoverse2), val/c (argoverse2), ...; "
        f"open one of them, e.g. {tmp_path}/val/a"
    )


def test_looking_for_logs_below_comes_to_an_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    for i in range(300):
        (tmp_path / f"b{i}").mkdir()
    assert "no log of a format we know" in message(tmp_path)


@pytest.mark.parametrize(
    ("dataset", "deep", "name"),
    [
        ("kitti", "training/velodyne", "kitti_object"),
        ("kitti", "training/velodyne/000003.bin", "kitti_object"),
        ("kitti_odometry", "image_2/000000.png", "kitti_odometry"),
        ("kitti_odometry", "calib.txt", "kitti_odometry"),
        ("kitti_raw", "velodyne_points/data", "kitti_raw"),
        ("kitti_raw", "oxts/data/0000000000.txt", "kitti_raw"),
        ("argoverse2", "sensors/lidar", "argoverse2"),
        ("argoverse2", "city_SE3_egovehicle.feather", "argoverse2"),
        ("aimotive", "sensor/camera/M_FISHEYE_L/M_FISHEYE_L_0033643.jpg", "aimotive"),
        ("nuscenes", "v1.0-mini", "nuscenes"),
        ("nuscenes", "samples/LIDAR_TOP", "nuscenes"),
        ("waymo_v2", "vehicle_pose", "waymo_v2"),
    ],
)
def test_a_path_too_deep_in_a_log_says_what_to_open(dataset, deep, name, request):
    folder = request.getfixturevalue(dataset)
    if dataset == "nuscenes":
        deep = deep.replace("v1.0-mini", next(folder.glob("v1.0-*")).name)
    path = folder / deep
    assert path.exists()
    log = folder / "training" if name == "kitti_object" else folder
    what = "is a file, wanted the folder of a log" if path.is_file() else "is not a log itself"
    assert message(path) == f"{path}: {what}; it is in {log} ({name}); open that"
    assert open_log(log).source.dataset == name


def test_a_path_in_logs_of_several_formats_names_each(view_of_delft):
    path = view_of_delft / "lidar" / "training" / "velodyne"
    assert message(path) == (
        f"{path}: is not a log itself; it is in {path.parent} (kitti_object) and in {view_of_delft} (view_of_delft); "
        "open one of these"
    )


def test_a_path_beside_logs_says_which_there_are(kitti_odometry):
    root = kitti_odometry.parents[1]
    assert message(root / "poses" / "04.txt") == (
        f"{root}/poses/04.txt: is a file, wanted the folder of a log; in {root} beside it are "
        "sequences/04 (kitti_odometry); open one of them"
    )
    text = message(root / "poses")
    assert text.startswith(f"{root}/poses: no log of a format we know (")
    assert text.endswith(f"); in {root} beside it are sequences/04 (kitti_odometry); open one of them")


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
@pytest.mark.parametrize("format", [None, "kitti_object", "mcap", "store"])
@pytest.mark.parametrize("name", ["drive", "drive.mcap", "drive.bag"])
def test_what_is_neither_file_nor_folder_is_no_log(tmp_path, special, kind, format, name):
    special(tmp_path / name, kind)
    assert message(tmp_path / name, format=format) == (
        f"{tmp_path}/{name}: is a {kind}, wanted the folder of a log or the file of a recording"
    )


def test_an_unknown_format_lists_those_there_are(tmp_path):
    text = message(tmp_path, format="kitty_object")
    assert text.startswith("no dataset format 'kitty_object'; there are ")
    assert text.endswith("; did you mean 'kitti_object'?")
    assert all(name in text for name in detect.DATASETS)


def test_an_unknown_option_lists_those_there_are(kitti):
    assert message(kitti, frames=3) == "kitti_object: no option 'frames'; it takes none"
    text = message("synthetic", frame=3)
    assert text.startswith("synthetic: no option 'frame'; it takes ")
    assert text.endswith("; did you mean 'frames'?")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("synthetic:frames", "option 'frames' is not of the form name=value, e.g. frames=20"),
        ("synthetic:", "option '' is not of the form name=value, e.g. frames=20"),
        ("synthetic:frames=", "option 'frames=' is not of the form name=value, e.g. frames=20"),
        ("synthetic:frames=2,frames=3", "option frames is given twice, 2 and 3"),
        ("synthetic:frames=many", "option frames is 'many', wanted a number or a size such as 1600x900"),
    ],
)
def test_options_in_the_name_are_checked(text, wanted):
    assert message(text) == f"synthetic: {wanted}"


def test_options_in_the_name_are_numbers_and_sizes(monkeypatch):
    taken = {}

    def open_source(frames=1, noise_m=0.0, image_size=(1, 1)):
        taken.update(frames=frames, noise_m=noise_m, image_size=image_size)
        return types.SimpleNamespace(location="synthetic")

    made = types.SimpleNamespace(open_source=open_source)
    monkeypatch.setattr(detect.importlib, "import_module", lambda name: made)
    monkeypatch.setattr(detect, "Log", lambda source, **rules: source)
    open_log("synthetic:frames=20,noise_m=0.5,image_size=160x90", frames=21)
    assert taken == {"frames": 21, "noise_m": 0.5, "image_size": (160, 90)}


def test_synthetic_reads_no_folder(tmp_path):
    assert message(tmp_path, format="synthetic") == (
        f"{tmp_path}: format='synthetic' reads no folder; open the log 'synthetic' instead"
    )


class Entry:
    """An entry point as importlib.metadata gives it."""

    def __init__(self, name, module):
        self.name, self.value, self.module = name, f"somewhere:{name}", module

    def load(self):
        if isinstance(self.module, BaseException):
            raise self.module
        return self.module


@pytest.fixture
def others(monkeypatch):
    entries = []
    monkeypatch.setattr(detect.metadata, "entry_points", lambda group: entries)
    return entries


def theirs(source):
    return types.SimpleNamespace(
        recognises=lambda path: (path / "theirs").exists(), LOOKS_LIKE="a file theirs", open_source=lambda path: source
    )


def test_others_datasets_come_in_by_entry_points(others, tmp_path, tmp_path_factory, kitti):
    source = open_log(kitti).source
    others.append(Entry("theirs", theirs(source)))
    (tmp_path / "theirs").write_text("")
    assert open_log(tmp_path).source.source is source
    assert open_log(tmp_path, format="theirs").source.source is source
    assert "theirs: a file theirs" in message(tmp_path_factory.mktemp("nothing"))


def test_two_datasets_that_recognise_one_folder_are_named(others, tmp_path):
    others += [Entry("one", theirs(None)), Entry("two", theirs(None))]
    (tmp_path / "theirs").write_text("")
    assert message(tmp_path) == f"{tmp_path}: looks like one and like two; say which with format='one'"


def test_a_dataset_that_cannot_be_used_is_named(others, tmp_path):
    others.append(Entry("broken", ImportError("no module named nowhere")))
    assert message(tmp_path, format="broken") == (
        "dataset 'broken' (somewhere:broken) cannot be imported: ImportError: no module named nowhere"
    )
    others[:] = [Entry("half", types.SimpleNamespace(recognises=lambda path: False))]
    assert message(tmp_path, format="half") == "dataset 'half' (somewhere:half) is missing LOOKS_LIKE, open_source"


def test_a_dataset_that_cannot_be_used_stops_no_other(others, tmp_path, tmp_path_factory, kitti, caplog):
    source = open_log(kitti).source
    others += [Entry("broken", ZeroDivisionError("in their code")), Entry("theirs", theirs(source))]
    (tmp_path / "theirs").write_text("")
    assert [open_log(tmp_path).source.source for _ in range(2)] == [source] * 2
    assert "theirs: a file theirs" in message(tmp_path_factory.mktemp("nothing"))
    assert caplog.messages == [
        "dataset 'broken' (somewhere:broken) cannot be imported: ZeroDivisionError: in their code; fix or uninstall it"
    ]


def test_a_table_line_is_a_module_with_the_protocol():
    for name, module in DATASETS.items():
        loaded = detect.importlib.import_module(module)
        assert callable(loaded.recognises), name
        assert callable(loaded.open_source), name
        assert name == "synthetic" or isinstance(loaded.LOOKS_LIKE, str), name


def test_opening_imports_nothing_heavy(kitti, argoverse2):
    code = (
        "import sys, perceptum as pc;"
        f"pc.open_log({str(kitti)!r}); pc.open_log({str(argoverse2)!r});"
        "heavy = {'pyarrow', 'msgspec', 'numba', 'PIL', 'simplejpeg', 'torch', 'tensorflow', 'open3d', 'scipy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_log_without_frames_says_so(tmp_path):
    (tmp_path / "sensors" / "lidar").mkdir(parents=True)
    (tmp_path / "calibration").mkdir()
    assert message(tmp_path) == f"{tmp_path}: no frames in this argoverse2 log"


def test_pictures_whose_times_are_broken_are_left_out_where_the_log_skips_that(kitti_raw, kitti_odometry):
    (kitti_raw / "image_00" / "timestamps.txt").unlink()
    said = message(kitti_raw)
    assert said == f"{kitti_raw}/image_00/timestamps.txt: no such file; the records have no times"
    log = open_log(kitti_raw, on_error="skip")
    assert (list(log.source.lidars), list(log.source.cameras), log.skipped) == (["velodyne"], ["image_02"], [said])
    with (kitti_odometry / "times.txt").open() as times:
        one = len(times.readlines())
    picture = next((kitti_odometry / "image_2").iterdir())
    (picture.parent / f"{one:06}.png").write_bytes(picture.read_bytes())
    said = message(kitti_odometry)
    assert said == f"{kitti_odometry}/times.txt: {one} lines, but {one:06}.png needs line {one + 1}"
    log = open_log(kitti_odometry, on_error="skip")
    # the others of the camera have times
    assert (log.skipped, len(log.source.cameras["image_2"])) == ([said], one)


def test_what_the_frames_times_come_from_must_be_whole(kitti_raw):
    (kitti_raw / "velodyne_points" / "timestamps.txt").write_text("never\n")
    assert message(kitti_raw, on_error="skip") == message(kitti_raw)


def test_a_log_that_is_left_with_nothing_says_what_is_broken(tmp_path):
    for camera in ("image_02", "image_03"):
        (tmp_path / camera / "data").mkdir(parents=True)
        (tmp_path / camera / "data" / "0000000000.png").touch()
    said = message(tmp_path, format="kitti_raw", on_error="skip")
    assert said == f"{tmp_path}/image_02/timestamps.txt: no such file; the records have no times"


def test_a_frame_whose_boxes_are_broken_is_stamped_by_its_neighbours(aimotive):
    boxes = sorted((aimotive / "dynamic" / "box" / "3d_body").iterdir())
    whole = open_log(aimotive)
    labelled = [frame.labels is not None for frame in whole]
    boxes[1].write_bytes(b"{")
    assert str(boxes[1]) in message(aimotive)
    log = open_log(aimotive, on_error="skip")
    np.testing.assert_allclose(log.source.times_ns, whole.source.times_ns, atol=50_000_000)
    assert [str(boxes[1]) in line for line in log.skipped] == [True]
    labelled[1] = False
    assert [frame.labels is not None for frame in log] == labelled


def test_links_that_lead_in_a_circle_are_followed_once(tmp_path, kitti):
    above = tmp_path / "above"
    above.mkdir()
    (above / "log").symlink_to(kitti)
    (above / "again").symlink_to(above)
    (above / "itself").symlink_to("itself")
    (above / "up").symlink_to("..")
    assert message(above) == (
        f"{above}: is not a log itself but holds log (kitti_object); open one of them, e.g. {above / 'log'}"
    )
    assert open_log(above / "again" / "again" / "log").source.dataset == "kitti_object"


def test_options_may_stand_behind_the_path(nuscenes):
    behind = open_log(f"{nuscenes}:scene=scene-0001,frames=sweeps")
    assert behind.source.name == "scene-0001"
    assert len(behind) == len(open_log(nuscenes, scene="scene-0001", frames="sweeps")) > len(open_log(nuscenes))
    assert message(f"{nuscenes}:scene=scene-0001,frame=1").startswith("nuscenes: no option 'frame'; it takes ")


def test_a_folder_with_a_colon_in_its_name_is_that_folder(argoverse2):
    colon = argoverse2.rename(argoverse2.with_name("log:a=1"))
    assert open_log(colon).source.dataset == "argoverse2"


def test_a_recording_takes_its_options_behind_the_path_too(mcap_recording):
    behind = open_log(f"{mcap_recording}:clock=log,damaged=skip")
    assert len(behind) == len(open_log(mcap_recording, clock="log", damaged="skip"))
    assert message(f"{mcap_recording}:clock=wall") == "clock is 'wall', wanted 'header' or 'log' or 'publish'"
    assert message(f"{mcap_recording}:clocks=log").startswith("mcap: no option 'clocks'; it takes ")


def test_a_map_is_no_log_and_says_what_reads_it(tmp_path):
    (tmp_path / "town.xodr").write_bytes(b"")
    assert message(tmp_path / "town.xodr") == (
        f"{tmp_path}/town.xodr: is a map, not a log; read it with perceptum.datasets.maps.opendrive.read_opendrive, "
        "or give it to a recording as hdmap="
    )


class Left(BaseException):
    pass


RAISED = [KeyError("gone"), SystemExit(3), GeneratorExit(), Left("away")]


def raising(error):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_others_code_raises_is_our_error_that_names_the_dataset(others, tmp_path, kitti, error):
    (tmp_path / "theirs").write_text("")
    kind = type(error).__name__
    others[:] = [Entry("theirs", error)]
    assert message(tmp_path, format="theirs").startswith(
        f"dataset 'theirs' (somewhere:theirs) cannot be imported: {kind}"
    )
    module = theirs(open_log(kitti).source)
    others[:] = [Entry("theirs", module)]
    module.open_source = raising(error)
    assert message(tmp_path).startswith(f"{tmp_path}: dataset 'theirs' cannot open it: {kind}")


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_a_folder_over_which_others_code_fails_is_not_theirs(others, tmp_path, caplog, error):
    module = theirs(None)
    module.recognises = raising(error)
    others[:] = [Entry("theirs", module)]
    assert "no log of a format we know" in message(tmp_path)
    assert f"dataset 'theirs' fails over {tmp_path}: {type(error).__name__}" in caplog.messages[0]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_a_record_over_which_others_code_fails_is_a_broken_one(others, tmp_path, kitti, error):
    (tmp_path / "theirs").write_text("")

    class Failing(type(open_log(kitti).source)):
        def __init__(self):
            self.__dict__ |= vars(open_log(kitti).source)

        read_lidar = raising(error)

    others[:] = [Entry("theirs", theirs(Failing()))]
    log = open_log(tmp_path)
    with pytest.raises(
        BrokenRecord, match=rf"dataset 'theirs' cannot read lidar \w+ 0: {type(error).__name__}"
    ) as told:
        _ = log[0].sweeps()[0]
    assert told.value.__cause__ is error
    skipping = open_log(tmp_path, on_error="skip")
    assert len(skipping[0].sweeps()) == 0
    assert len(skipping.skipped) == 1
    assert pickle.loads(pickle.dumps(ForeignSource(1, "a"))).source == 1


def test_several_frames_are_asked_for_by_their_own_name(kitti):
    with pytest.raises(TypeError, match=r"^a log gives one frame by its number; several are log.frames\(0, 3, None\)"):
        _ = open_log(kitti)[0:3]
