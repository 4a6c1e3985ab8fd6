"""Every dataset's root opens as one sequence of frames, by the splits it publishes: the same questions to all."""

import json
import pickle
import shutil
from functools import cache

import numpy as np
import pytest

import perceptum as pc
from perceptum.datasets.kitti.splits import OBJECT_FRAMES, object_lists
from perceptum.datasets.nuscenes.splits import SPLITS
from perceptum.errors import SpecError
from perceptum.inputs import BadOption, Dataset, Frame, Labels, LogError, NotALog
from perceptum.inputs.store import INDEX

from .conftest import make_argoverse2, make_kitti

SMALL = {"frames": 3, "beams": 8, "azimuth_steps": 60, "image_size": (80, 48)}


def nuscenes(root, made):
    made("nuscenes").make(root, scenes=("scene-0061", "scene-0103", "scene-0001"))
    return root


def argoverse2(root, made):
    make_argoverse2(root / "train" / "a")
    shutil.copytree(root / "train" / "a", root / "val" / "b")
    return root


def argoverse2_forecasting(root, made):
    # with fewer steps than the published ones have
    (root / "val").mkdir(parents=True)
    made("argoverse2_forecasting").make(root / "val" / "s-1")
    return root


def kitti_object(root, made):
    return make_kitti(root)


def kitti_odometry(root, made):
    first = made("kitti_odometry").make(root)
    shutil.copytree(first, first.parent / "08")
    return root


def kitti_raw(root, made):
    made("kitti_raw").make(root)
    return root


def view_of_delft(root, made):
    made("view_of_delft").make(root)
    lists = root / "lidar" / "ImageSets"
    lists.mkdir()
    ids = [path.stem for path in sorted((root / "lidar" / "training" / "velodyne").glob("*.bin"))]
    (lists / "train.txt").write_text("\n".join(ids[:3]))
    (lists / "val.txt").write_text(f"{ids[3]}\n99999\n")
    return root


def aimotive(root, made):
    made("aimotive").make(root / "train" / "night")
    return root


def waymo_v2(root, made):
    made("waymo_v2").make(root / "training")
    return root


def waymo_motion(root, made):
    motion = made("waymo_motion")
    # with fewer steps than the published ones have
    motion.make(root / "training", motion.scenario("a"), motion.scenario("b"))
    return root


def mcap(root, made):
    recording = made("recording")
    root.mkdir()
    first = recording.write_mcap(root / "monday.mcap", recording.drive(recording.Maker()))
    shutil.copy(first, root / "tuesday.mcap")
    return root


def rosbag(root, made):
    recording = made("recording")
    for split in ("train", "val"):
        (root / split).mkdir(parents=True)
        recording.write_rosbag2(root / split / "drive", recording.drive(recording.Maker()))
    return root


def store(root, made):
    from perceptum.convert import convert

    root.mkdir()
    convert(pc.open_log("synthetic", **SMALL), root / "train" / "first")
    shutil.copytree(root / "train" / "first", root / "val" / "second")
    return root


KINDS = {
    # made by, and by split the frames of each log; None: without a split
    nuscenes: {
        None: [4, 4, 4],
        "mini_train": [4],
        "mini_val": [4],
        "train": [4, 4],
        "val": [4],
    },
    argoverse2: {None: [4, 4], "train": [4], "val": [4]},
    argoverse2_forecasting: {None: [6], "val": [6]},
    kitti_object: {None: [3], "training": [3], "train": [2], "val": [1]},
    kitti_odometry: {None: [4, 4], "train": [4], "val": [4]},
    kitti_raw: {None: [5]},
    view_of_delft: {None: [4], "train": [3], "val": [1]},
    aimotive: {None: [3], "train": [3]},
    waymo_v2: {None: [4], "training": [4], "train": [4]},
    waymo_motion: {None: [0, 0], "train": [0, 0]},
    mcap: {None: [0, 0]},
    rosbag: {None: [0, 0], "train": [0], "val": [0]},
    store: {None: [3, 3], "train": [3], "val": [3]},
}
"""A 0 is whatever the log has when it is opened by itself."""


@pytest.fixture(scope="module")
def root_of(made, tmp_path_factory):
    """root_of(store): a root of the kind, made once."""
    return cache(lambda make: make(tmp_path_factory.mktemp("roots") / make.__name__, made))


@pytest.fixture(params=KINDS, ids=lambda make: make.__name__)
def kind(request):
    return request.param


def frames_of_logs(dataset):
    return np.bincount(dataset.places()[0], minlength=len(dataset.logs)).tolist()


def test_a_root_opens_as_all_its_logs_and_as_each_split(kind, root_of):
    for split, wanted in KINDS[kind].items():
        dataset = pc.open_dataset(root_of(kind), split=split)
        alone = [len(log) for log in dataset.logs]
        assert frames_of_logs(dataset) == [n or alone[i] for i, n in enumerate(wanted)]
        assert dataset.logs[0].source.dataset == kind.__name__
        assert len(list(dataset)) == len(dataset) == sum(frames_of_logs(dataset))
        assert dataset.name == " ".join(filter(None, (kind.__name__, split)))


def test_a_dataset_pickles_as_its_path_and_gives_the_same_frames(kind, root_of):
    dataset = pc.open_dataset(root_of(kind))
    packed = pickle.dumps(dataset)
    assert len(packed) < 6000
    again = pickle.loads(packed)
    assert again.logs.open_now() == []
    assert [(f.id, f.time_ns) for f in again] == [(f.id, f.time_ns) for f in dataset]
    for frame in (dataset[0], dataset[-1]):
        other = pickle.loads(pickle.dumps(frame))
        assert isinstance(other, Frame)
        assert (other.id, other.time_ns, other.log.source.name) == (frame.id, frame.time_ns, frame.log.source.name)
        assert (other.lidar is None) == (frame.lidar is None)
        assert other.lidar is None or other.lidar.x.tobytes() == frame.lidar.x.tobytes()
        assert len(pickle.dumps(frame)) < 3000


def test_an_unknown_split_names_those_there_are(kind, root_of):
    with pytest.raises(BadOption) as caught:
        pc.open_dataset(root_of(kind), split="holidays")
    said = str(caught.value)
    assert said.startswith(f"{root_of(kind)}: no split 'holidays'; ")
    for split in KINDS[kind]:
        # train is training in other words
        assert split is None or split in said or "training" in said
    assert (len(KINDS[kind]) > 1) == ("there are" in said)


def test_info_is_plain_and_has_a_row_for_each_log(kind, root_of):
    dataset = pc.open_dataset(root_of(kind))
    info = json.loads(json.dumps(dataset.info(sensors=True)))
    assert info["frames"] == len(dataset)
    assert [row["frames"] for row in info["logs"]] == [len(log) for log in dataset.logs]
    assert len({row["name"] for row in info["logs"]}) == len(dataset.logs)
    for row, log in zip(info["logs"], dataset.logs, strict=True):
        assert row["duration_s"] == pytest.approx(log.info()["duration_s"], abs=1e-9)
        assert row["lidars"] == list(log.source.lidars)


def test_every_kind_is_a_dataset_of_ours():
    from perceptum.datasets import DATASETS

    assert {make.__name__ for make in KINDS} | {"synthetic", "py123d"} == set(DATASETS)


def test_made_up_drives_of_two_splits_share_no_seed():
    train = pc.open_dataset("synthetic", logs=3, seed=5, split="train", **SMALL)
    val = pc.open_dataset("synthetic:logs=3,seed=5,split=val", **SMALL)
    assert [log.source.options.seed for log in train.logs] == [5, 6, 7]
    assert not {log.source.options.seed for log in val.logs} & {5, 6, 7}
    assert [f.id for f in pc.open_dataset("synthetic", logs=3, seed=5, **SMALL)] == [f.id for f in train]
    assert repr(val) == "<Dataset synthetic val: 3 logs, 9 frames>"
    with pytest.raises(BadOption, match=r"^synthetic: logs must be a whole number from 1 to 100000, got 0$"):
        pc.open_dataset("synthetic:logs=0")


def test_a_split_of_which_nothing_is_here_says_how_many_were_wanted_and_what_is(root_of):
    with pytest.raises(LogError) as caught:
        pc.open_dataset(root_of(nuscenes), split="test")
    assert str(caught.value) == (
        f"{root_of(nuscenes)}: none of the 150 logs of split test is here; here are scene-0061, scene-0103, scene-0001 "
        "(by split: mini_train 1, mini_val 1, train 2, val 1)"
    )
    with pytest.raises(LogError) as caught:
        pc.open_dataset(root_of(kitti_odometry), split="test")
    assert "none of the 11 logs of split test is here; here are 04, 08" in str(caught.value)


def test_how_much_of_a_split_is_here_is_told(root_of):
    assert repr(pc.open_dataset(root_of(nuscenes), split="mini_val")) == (
        "<Dataset nuscenes mini_val: 1 of 2 logs, 4 frames>"
    )
    assert repr(pc.open_dataset(root_of(kitti_object), split="val")) == (
        "<Dataset kitti_object val: 1 log, 1 of 3769 frames>"
    )


def test_a_list_of_frames_in_the_root_comes_before_the_fields(root_of, tmp_path):
    root = shutil.copytree(root_of(kitti_object), tmp_path / "kitti")
    (root / "ImageSets").mkdir()
    (root / "ImageSets" / "val.txt").write_text("000003\n000010\n")
    assert [f.id for f in pc.open_dataset(root, split="val")] == ["000003", "000010"]
    assert [f.id for f in pc.open_dataset(root / "training", split="val")] == ["000003", "000010"]
    assert [f.id for f in pc.open_dataset(root, split="train")] == ["000003", "000010"]
    (root / "ImageSets" / "val.txt").write_text("000003\n000003\n")
    with pytest.raises(LogError, match=r"ImageSets/val.txt: '000003' is listed twice"):
        pc.open_dataset(root, split="val")


def test_the_lists_of_kitti_object_divide_training_in_two():
    lists = object_lists()
    assert [len(lists[name]) for name in ("train", "val")] == [3712, 3769]
    assert sorted([*lists["train"], *lists["val"]]) == [f"{i:06}" for i in range(OBJECT_FRAMES)]
    assert lists["train"][:4] == ["000000", "000003", "000007", "000009"]
    assert lists["train"][-3:] == ["007474", "007476", "007479"]
    assert lists["val"][-3:] == ["007477", "007478", "007480"]


def test_the_splits_of_nuscenes_are_as_long_as_published_and_apart():
    assert {name: len(scenes) for name, scenes in SPLITS.items()} == {
        "train": 700,
        "val": 150,
        "test": 150,
        "mini_train": 8,
        "mini_val": 2,
    }
    assert len({*SPLITS["train"], *SPLITS["val"], *SPLITS["test"]}) == 1000
    # two of mini_train are of val
    assert {*SPLITS["mini_train"], *SPLITS["mini_val"]} <= {*SPLITS["train"], *SPLITS["val"]}


def test_a_split_says_which_version_is_meant(made, tmp_path):
    root = made("nuscenes").make(tmp_path / "nuscenes", scenes=("scene-0061", "scene-0003"))
    shutil.copytree(root / "v1.0-mini", root / "v1.0-trainval")
    with pytest.raises(BadOption, match="holds 2 versions"):
        pc.open_dataset(root)
    assert pc.open_dataset(root, split="val").logs[0].source.tables.name == "v1.0-trainval"
    assert pc.open_dataset(root, split="mini_train").logs[0].source.tables.name == "v1.0-mini"
    assert pc.open_dataset(f"{root}:split=val,version=v1.0-mini").logs[0].source.tables.name == "v1.0-mini"


@pytest.mark.parametrize("frames", ["keyframes", "sweeps"])
def test_what_the_index_counts_is_what_opening_gives(made, tmp_path, frames, root_of):
    """Also where a folder is not unpacked, and where two records are at one time: then the scene is opened."""

    def check(root):
        dataset = pc.open_dataset(root, frames=frames)
        alone = [pc.open_log(root, scene=row["name"], frames=frames) for row in dataset.info()["logs"]]
        assert dataset.logs.frames.tolist() == [len(log) for log in alone]
        assert [row["duration_s"] for row in dataset.info()["logs"]] == [log.info()["duration_s"] for log in alone]
        return dataset

    counted = check(root_of(nuscenes))
    # one, to see that the option can be
    assert len(counted.logs.open_now()) <= 1
    partial = shutil.copytree(root_of(nuscenes), tmp_path / "partial")
    shutil.rmtree(partial / "sweeps" / "LIDAR_TOP")
    check(partial)


def test_an_option_that_cannot_be_is_refused_when_the_dataset_is_opened(root_of):
    with pytest.raises(BadOption, match="radar_filter is 'all', wanted one of none, devkit, crn"):
        pc.open_dataset(root_of(nuscenes), radar_filter="all")
    with pytest.raises(BadOption, match=r"nuscenes: no option 'radar'; it takes version"):
        pc.open_dataset(root_of(nuscenes), radar="none")


def test_one_log_is_a_dataset_too(root_of):
    root = root_of(store)
    assert len(pc.open_dataset(root / "train" / "first")) == 3
    assert len(pc.open_dataset(f"file://{root / 'train' / 'first'}")) == 3
    assert len(pc.open_dataset(root_of(nuscenes), scene="scene-0103")) == 4
    assert len(pc.open_dataset(f"{root_of(nuscenes)}:scene=scene-0103")) == 4
    with pytest.raises(BadOption, match=r"no scene 'scene-0100' among 3 .*did you mean"):
        pc.open_dataset(root_of(nuscenes), scene="scene-0100")


def test_a_folder_without_logs_or_with_several_formats_says_what_is_there(root_of, tmp_path):
    with pytest.raises(NotALog, match="no log of a format we know"):
        pc.open_dataset(tmp_path)
    shutil.copytree(root_of(kitti_raw), tmp_path / "raw")
    shutil.copytree(root_of(argoverse2), tmp_path / "argo")
    with pytest.raises(NotALog) as caught:
        pc.open_dataset(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: holds logs of several formats (2 of argoverse2, 1 of kitti_raw); say which with "
        "format='argoverse2'"
    )
    assert len(pc.open_dataset(tmp_path, format="kitti_raw")) == 5


def test_a_log_that_links_lead_to_is_listed_once(root_of, tmp_path):
    root, elsewhere = tmp_path / "stores", tmp_path / "elsewhere"
    shutil.copytree(root_of(store) / "train", root / "train")
    shutil.copytree(root_of(store) / "val", elsewhere)
    for name, target in (("all", root / "train"), ("up", tmp_path), ("loop", root / "loop"), ("val", elsewhere)):
        (root / name).symlink_to(target)
    (root / "val too").symlink_to(elsewhere)
    rows = pc.open_dataset(root).info()["logs"]
    assert [(row["name"], row["split"]) for row in rows] == [("first", "train"), ("second", "val")]


def test_files_are_counted_as_they_are_listed(tmp_path):
    from perceptum.datasets.reading.files import count_numbered, numbered

    for name in ("1.feather", "30.feather", "x.feather", "2.bin"):
        (tmp_path / name).touch()
    assert count_numbered(tmp_path, ".feather") == len(numbered(tmp_path, ".feather")) == 2
    for twice in ("01.feather", f"{10**30}.feather"):
        (tmp_path / twice).touch()
        assert count_numbered(tmp_path, ".feather") is None
        (tmp_path / twice).unlink()
    assert count_numbered(tmp_path / "nowhere", ".feather") is None


def test_a_log_that_cannot_be_opened_is_an_error_or_left_out(root_of, tmp_path):
    root = shutil.copytree(root_of(store), tmp_path / "stores")
    (root / "train" / "first" / INDEX).write_bytes(b"cut short")
    with pytest.raises(LogError, match=INDEX):
        pc.open_dataset(root)
    dataset = pc.open_dataset(root, on_error="skip")
    assert [log.source.location for log in dataset.logs] == [str(root / "val" / "second")]
    assert len(dataset.left_out) == 1
    assert dataset.left_out[0].startswith(f"first: {root / 'train' / 'first'}")
    assert repr(dataset) == "<Dataset store: 1 log, 3 frames, 1 log left out>"
    (root / "val" / "second" / INDEX).write_bytes(b"cut short")
    with pytest.raises(LogError, match=r"stores: none of its 2 logs can be opened, the first: first: "):
        pc.open_dataset(root, on_error="skip")


def test_a_log_that_has_changed_since_is_an_error(root_of, tmp_path):
    root = shutil.copytree(root_of(argoverse2), tmp_path / "argo")
    dataset = pc.open_dataset(root)
    next((root / "val" / "b" / "sensors" / "lidar").iterdir()).unlink()
    with pytest.raises(LogError, match="b has 3 frames, and had 4 when the dataset was opened; open the dataset again"):
        dataset.logs[1]


def test_logs_are_opened_when_a_frame_is_asked_for_and_few_stay_open(root_of):
    dataset = pc.open_dataset(root_of(nuscenes), most_open_logs=2)
    assert (len(dataset), dataset.logs.open_now()) == (12, [])
    first = dataset[0].log
    assert dataset.logs.open_now() == [first]
    assert dataset[3].log is first
    kept = [dataset[4].log, dataset[8].log]
    assert dataset.logs.open_now() == kept
    assert dataset[0].log is not first
    with pytest.raises(LogError, match=r"^most_open_logs must be 1 or more, got 0$"):
        pc.open_dataset(root_of(nuscenes), most_open_logs=0)


def test_the_logs_of_a_dataset_share_one_cache_and_no_records(root_of):
    dataset = pc.open_dataset(root_of(nuscenes), cache_bytes=2**20)
    caches = [log.cache for log in dataset.logs]
    stamps = [log[0].lidar.time_ns for log in dataset.logs]
    assert len(set(stamps)) == 3
    assert {cache.nbytes for cache in caches} == {caches[0].nbytes}
    assert len(caches[0]) == 3
    small = pc.open_dataset(root_of(nuscenes), cache_bytes=3000)
    for log in small.logs:
        _ = log[0].lidar
    assert max(log.cache.nbytes for log in small.logs) <= 3000
    assert dataset.logs[0][0].log.cache.get("x", lambda: 1) == 1
    # logs that come one by one share the bound again
    frames = [pickle.loads(pickle.dumps(dataset[i])) for i in (0, 4)]
    _ = frames[0].radars["RADAR_FRONT"]
    assert frames[1].log.cache.nbytes == frames[0].log.cache.nbytes > 0


def test_scenes_of_one_place_have_one_map(root_of):
    dataset = pc.open_dataset(root_of(nuscenes))
    for log in dataset.logs:
        # as a cache of tensors asks for
        log.opened.by_record = True
    with pytest.warns(UserWarning, match="not read"):
        maps = [log.map for log in dataset.logs]
    assert maps[0] is maps[1] is maps[2] is not None
    assert sum(log.reads["map"] for log in dataset.logs) == 1
    files = [log.opened.of("map") for log in dataset.logs]
    assert files[0] == files[1] == files[2]
    assert any(path.endswith("singapore-onenorth.json") for path in files[0])


def test_850_scenes_open_at_once(made, tmp_path, monkeypatch):
    """Warm, from the kept index: 0.1 s here; nothing but the index is read, and no scene is opened."""
    import time

    monkeypatch.setenv("PERCEPTUM_CACHE", str(tmp_path / "cache"))
    nuscenes = made("nuscenes")
    names = nuscenes.make.__globals__
    monkeypatch.setitem(names, "_make_file", lambda path, record: path.parent.mkdir(parents=True, exist_ok=True))
    lidar = {"LIDAR_TOP": nuscenes.SENSORS["LIDAR_TOP"]}
    scenes = [scene for split in ("train", "val") for scene in SPLITS[split]]
    nuscenes.make(tmp_path / "root", scenes=scenes, sensors=lidar)
    (tmp_path / "root" / "v1.0-mini").rename(tmp_path / "root" / "v1.0-trainval")
    pc.open_dataset(tmp_path / "root")
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        dataset = pc.open_dataset(tmp_path / "root", split="val")
        took.append(time.perf_counter() - begun)
    assert repr(dataset) == "<Dataset nuscenes val: 150 logs, 600 frames>"
    assert dataset.logs.open_now() == []
    assert min(took) < 1
    assert len(pickle.dumps(pc.open_dataset(tmp_path / "root"))) < 100_000


CLASSES = {"car": ["vehicle.car", "Car"], "person": ["human.*", "Pedestrian"]}


def test_categories_are_called_by_class_and_the_others_stay(root_of):
    both = Dataset.concat([pc.open_dataset(root_of(make), classes=CLASSES) for make in (nuscenes, kitti_object)])
    seen = [set(frame.labels.category.tolist()) for frame in both]
    assert set().union(*seen) == {"car", "person"}
    own = pc.open_dataset(root_of(nuscenes), classes={"vehicle": ["vehicle.*"]})
    plain = pc.open_dataset(root_of(nuscenes))
    for frame, other in zip(own, plain, strict=True):
        labels, others = frame.labels, other.labels
        assert isinstance(labels, Labels)
        assert labels.boxes.tobytes() == others.boxes.tobytes()
        wanted = ["vehicle" if name.startswith("vehicle.") else name for name in others.category.tolist()]
        assert labels.category.tolist() == wanted
        assert frame.labels.category.flags.writeable is False
    assert pickle.loads(pickle.dumps(own))[1].labels.category.tolist() == own[1].labels.category.tolist()


def test_targets_of_two_datasets_have_one_numbering(root_of):
    both = Dataset.concat([pc.open_dataset(root_of(make), classes=CLASSES) for make in (nuscenes, kitti_object)])
    builder = pc.InputBuilder(["gt_labels"], params={"gt_boxes": {"classes": ["car", "person"]}}, training=True)
    for frame in (both[1], both[-1]):
        wanted = [["car", "person"].index(name) for name in frame.labels.category.tolist()]
        assert builder.build(frame)["gt_labels"].tolist() == wanted


def test_a_list_of_classes_goes_by_its_name(root_of):
    dataset = pc.open_dataset(root_of(nuscenes), classes="road_users")
    assert set(dataset[1].labels.category.tolist()) == {"vehicle", "pedestrian"}


def test_classes_that_cannot_be_are_refused_by_name(root_of):
    refused = {
        "nuscene": "classes: no list 'nuscene'; there are road_users, nuscenes, kitti, waymo, argoverse2, "
        "nuscenes_lidarseg, semantic_kitti; did you mean 'nuscenes'?",
        "waymo": f"classes: no category of {root_of(nuscenes)} is of one of the classes, which are of VEHICLE, "
        "PEDESTRIAN, CYCLIST; its categories are human.pedestrian.adult, vehicle.car",
    }
    for classes, said in refused.items():
        with pytest.raises(SpecError) as caught:
            pc.open_dataset(root_of(nuscenes), classes=classes)
        assert str(caught.value) == said
    with pytest.raises(SpecError, match=r"classes: 'car' must have a list of categories, got the text 'Car'"):
        pc.open_dataset(root_of(nuscenes), classes={"car": "Car"})
    with pytest.raises(SpecError, match=r"classes: 'Car' is listed twice, in 'a' and in 'b'"):
        pc.open_dataset(root_of(nuscenes), classes={"a": ["Car"], "b": ["Car"]})


def test_what_a_dataset_of_others_raises_while_it_lists_its_logs_is_a_log_error(tmp_path):
    from types import SimpleNamespace

    from perceptum.datasets.foreign import ForeignDataset
    from perceptum.datasets.roots import Root

    def logs_in(path, split, options):
        raise SystemExit("no more logs")

    theirs = SimpleNamespace(LOOKS_LIKE="", recognises=bool, open_source=print, logs_in=logs_in, count_frames=logs_in)
    module = ForeignDataset(theirs, "acme")
    with pytest.raises(LogError, match=r"dataset 'acme' fails in logs_in: .*no more logs"):
        module.logs_in(tmp_path, None, {})
    assert not hasattr(ForeignDataset(SimpleNamespace(**{**vars(theirs), "x": 1}), "acme"), "SPLITS")
    assert Root(tmp_path, "store", [tmp_path]).listing(None, {}).names.tolist() == [tmp_path.name]


@pytest.mark.data
def test_the_real_pieces_open_by_their_splits(real_nuscenes, real_kitti, real_argoverse2, real_aimotive):
    opened = {
        (real_nuscenes, "mini_train"): "<Dataset nuscenes mini_train: 1 of 8 logs, 1 frame>",
        (real_kitti, "val"): "<Dataset kitti_object val: 1 log, 1 of 3769 frames>",
        (real_argoverse2.parents[1], "val"): "<Dataset argoverse2 val: 1 log, 2 frames>",
        (real_aimotive.parents[2], "train"): "<Dataset aimotive train: 1 log, 2 frames>",
    }
    for (root, split), said in opened.items():
        dataset = pc.open_dataset(root, split=split)
        assert repr(dataset) == said
        assert dataset[0].labels is not None
