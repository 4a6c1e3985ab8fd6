"""Labels of single points: read when asked for, checked, skipped where they are broken, and kept by the store."""

import contextlib
import io
import json

import numpy as np
import pytest

import perceptum as pc
from perceptum.check import check_log
from perceptum.convert import convert
from perceptum.datasets.memory import memory_log
from perceptum.inputs import BrokenRecord, LidarSweep, Log, PointLabels

from .made_nuscenes import VERSION, change, token

XYZ = np.zeros((3, 4), np.float32)


@pytest.fixture
def labelled(kitti_odometry):
    """A sequence with SemanticKITTI's labels for three of its four sweeps."""
    (kitti_odometry / "labels").mkdir()
    for number in range(3):
        labels = np.arange(50, dtype="<u4") << 16 | 10 + number
        (kitti_odometry / "labels" / f"{number:06}.label").write_bytes(labels.tobytes())
    return kitti_odometry


def sweep_of(labels, time_ns=5):
    return LidarSweep("lidar", time_ns, np.eye(4), *XYZ, point_labels=labels)


def broken():
    raise BrokenRecord("a.label: cut short")


def said(ask):
    with pytest.raises(BrokenRecord) as caught:
        ask()
    return str(caught.value)


def test_they_are_read_when_one_is_asked_for_and_once():
    reads = []

    def read():
        reads.append(1)
        return np.array([1, 2, 3, 255], np.uint8), np.array([0, 0, 7, 65535], np.uint16)

    sweep = memory_log([sweep_of(PointLabels(read, 4))])[0].lidar
    assert reads == []
    assert sweep.semantic.tolist() == [1, 2, 3, 255]
    assert sweep.instance.tolist() == [0, 0, 7, 65535]
    assert sweep.semantic.dtype == sweep.instance.dtype == np.int32
    assert not sweep.semantic.flags.writeable
    assert reads == [1]


def test_a_sweep_without_has_none():
    log = memory_log([sweep_of(None)])
    assert (log[0].lidar.semantic, log[0].lidar.instance, log.point_classes) == (None, None, None)
    assert log.point_labels(log[0].lidar) is None


@pytest.mark.parametrize(
    ("semantic", "instance", "wanted"),
    [
        (np.zeros(3, np.uint8), None, "semantic is uint8 (3,), wanted integers (4,), one for each point"),
        (np.zeros(4), None, "semantic is float64 (4,), wanted integers (4,), one for each point"),
        (np.zeros(4, int), np.zeros((4, 1), int), "instance is int64 (4, 1), wanted integers (4,), one for each point"),
        (np.zeros(4, int), [0, 0, 0, 0], "instance is list , wanted integers (4,), one for each point"),
        (np.array([0, 0, 0, 2**31]), None, "semantic goes from 0 to 2147483648, wanted what fits int32"),
    ],
)
def test_columns_that_do_not_fit_are_refused(semantic, instance, wanted):
    sweep = sweep_of(PointLabels(lambda: (semantic, instance), 4, "a.label"))
    assert said(lambda: sweep.semantic) == f"a.label: {wanted}"


def test_labels_for_other_points_are_refused():
    assert said(lambda: sweep_of(PointLabels.of(np.zeros(5, int)))) == "lidar: 5 labels for 4 points"


def test_broken_labels_are_an_error_or_skipped_and_said_once():
    source = memory_log([sweep_of(PointLabels(broken, 4))]).source
    strict, lenient = Log(source), Log(source, on_error="skip")
    assert said(lambda: strict.point_labels(strict[0].lidar)) == "a.label: cut short"
    for _ in range(2):
        assert lenient.point_labels(lenient[0].lidar) is None
    assert lenient.skipped == ["point labels of lidar at 5 ns: a.label: cut short"]
    assert len(lenient[0].lidar) == 4


def test_the_cache_counts_what_they_will_take():
    one, other = sweep_of(PointLabels(broken, 4)), sweep_of(None)
    logs = [memory_log([sweep]) for sweep in (one, other)]
    for log in logs:
        _ = log[0].lidar
    assert logs[0].cache.nbytes >= logs[1].cache.nbytes + 4 * 8


def test_the_store_keeps_them_with_their_classes(tmp_path):
    log = pc.open_log("synthetic", frames=2, beams=8, azimuth_steps=90)
    convert("synthetic:frames=2,beams=8,azimuth_steps=90", tmp_path / "store")
    stored = pc.open_log(tmp_path / "store")
    assert stored.point_classes == log.point_classes
    for frame, other in zip(log, stored, strict=True):
        assert frame.lidar.semantic.tolist() == other.lidar.semantic.tolist()
        assert frame.lidar.instance.tolist() == other.lidar.instance.tolist()
        assert [column.dtype for column in other.lidar.point_labels.stored] == [np.uint8, np.uint16]
    assert check_log(str(tmp_path / "store")) == []


def test_broken_labels_cost_a_store_no_points(labelled, tmp_path):
    (labelled / "labels" / "000001.label").write_bytes(b"short")
    with pytest.raises(BrokenRecord, match=r"000001\.label: 5 bytes, wanted 200 for the 50 points of the sweep"):
        convert(str(labelled), tmp_path / "strict")
    done = convert(str(labelled), tmp_path / "store", on_error="skip")
    why = f"{labelled}/labels/000001.label: 5 bytes, wanted 200 for the 50 points of the sweep"
    assert done.skipped == [why]
    stored = pc.open_log(tmp_path / "store")
    assert len(stored[1].lidar) == 50
    assert said(lambda: stored[1].lidar.semantic).endswith(
        f"its points' labels were broken when the log was converted: {why}"
    )
    assert stored[0].lidar.semantic.tolist() == pc.open_log(labelled)[0].lidar.semantic.tolist()
    assert stored.point_classes[10] == "car"


def test_check_names_codes_that_have_no_class(labelled):
    (labelled / "labels" / "000002.label").write_bytes(np.full(50, 77, "<u4").tobytes())
    assert [problem.what for problem in check_log(str(labelled)) if problem.kind == "labels"] == [
        "lidar velodyne record 2: points have the class 77, which the log does not name"
    ]


def test_semantickittis_low_bits_are_the_class_and_its_high_bits_the_instance(labelled):
    log = pc.open_log(labelled)
    for number in range(3):
        assert log[number].lidar.semantic.tolist() == [10 + number] * 50
        assert log[number].lidar.instance.tolist() == list(range(50))
    assert log[3].lidar.semantic is None
    assert (log.point_classes[10], log.point_classes[259]) == ("car", "moving-other-vehicle")
    assert len(log.point_classes) == 34


def test_a_sequence_without_labels_names_no_classes(kitti_odometry):
    assert pc.open_log(kitti_odometry).point_classes is None


def points_of(nuscenes, index=1):
    sweep = pc.open_log(nuscenes)[index].lidar
    record = next(row for row in tables(nuscenes, "sample_data") if sweep.source.endswith(row["filename"]))
    return len(sweep), record["token"]


def tables(nuscenes, name):
    return json.loads((nuscenes / VERSION / f"{name}.json").read_text())


def add_table(nuscenes, name, file, content, index=1):
    """Writes a table of one row, for one keyframe, and its file."""
    n, record = points_of(nuscenes, index)
    row = {"token": token(name), "sample_data_token": record, "filename": file}
    (nuscenes / VERSION / f"{name}.json").write_text(json.dumps([row]))
    (nuscenes / file).parent.mkdir(parents=True, exist_ok=True)
    (nuscenes / file).write_bytes(content(n))
    return n


def lidarseg(n):
    return (np.arange(n) % 32).astype(np.uint8).tobytes()


def panoptic(n, dtype=np.uint16, name="data"):
    file = io.BytesIO()
    np.savez_compressed(file, **{name: (17000 + np.arange(n)).astype(dtype)})
    return file.getvalue()


def test_nuscenes_lidarseg_labels_the_points_of_keyframes(nuscenes):
    change(nuscenes, "category", lambda rows: [row.update(index=i) for i, row in enumerate(rows)])
    before = pc.open_log(nuscenes)
    assert (before[1].lidar.semantic, before.point_classes) == (None, None)
    n = add_table(nuscenes, "lidarseg", f"lidarseg/{VERSION}/a_lidarseg.bin", lidarseg)
    log = pc.open_log(nuscenes, frames="sweeps")
    labelled = [sweep for frame in log for sweep in [frame.lidar] if sweep.point_labels is not None]
    assert len(labelled) == 1
    assert labelled[0].semantic.tolist() == [i % 32 for i in range(n)]
    assert labelled[0].instance is None
    assert log.point_classes == {i: row["name"] for i, row in enumerate(tables(nuscenes, "category"))}


def test_panoptic_nuscenes_gives_class_and_instance(nuscenes):
    add_table(nuscenes, "lidarseg", f"lidarseg/{VERSION}/a_lidarseg.bin", lidarseg)
    n = add_table(nuscenes, "panoptic", f"panoptic/{VERSION}/a_panoptic.npz", panoptic)
    sweep = pc.open_log(nuscenes)[1].lidar
    assert sweep.semantic.tolist() == [17 + i // 1000 for i in range(n)]
    assert sweep.instance.tolist() == [i % 1000 for i in range(n)]
    assert pc.open_log(nuscenes).point_classes is None


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (lambda n: panoptic(n)[:-30], "not an npz of data.npy (File is not a zip file)"),
        (lambda n: panoptic(n, name="other"), "not an npz of data.npy (\"There is no item named 'data.npy'"),
        (lambda n: panoptic(n, np.int16), "data.npy is int16"),
        (lambda n: panoptic(n - 1), "data.npy is uint16"),
        (lambda n: panoptic(n + 9000), "not an npz of data.npy (it has "),
        (lambda n: b"", "not an npz of data.npy (File is not a zip file)"),
    ],
)
def test_a_broken_panoptic_file_is_named(nuscenes, content, wanted):
    add_table(nuscenes, "panoptic", "panoptic/a.npz", content)
    sweep = pc.open_log(nuscenes)[1].lidar
    assert said(lambda: sweep.semantic).startswith(f"{nuscenes}/panoptic/a.npz: {wanted}")


def test_a_panoptic_file_cut_or_changed_anywhere_is_an_error_or_labels(nuscenes):
    n = add_table(nuscenes, "panoptic", "panoptic/a.npz", panoptic)
    whole, rng = panoptic(n), np.random.default_rng(0)
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] = int(rng.integers(256))
        for content in (whole[:at], bytes(changed)):
            (nuscenes / "panoptic" / "a.npz").write_bytes(content)
            with contextlib.suppress(BrokenRecord):
                assert len(pc.open_log(nuscenes)[1].lidar.semantic) == n


def test_a_broken_table_or_file_of_labels_costs_no_points(nuscenes):
    add_table(nuscenes, "lidarseg", "lidarseg/a.bin", lambda n: b"12345")
    sweep = pc.open_log(nuscenes)[1].lidar
    assert said(lambda: sweep.semantic) == (
        f"{nuscenes}/lidarseg/a.bin: 5 labels of a byte, wanted one for each of the sweep's {len(sweep)} points"
    )
    add_table(nuscenes, "lidarseg", "../a.bin", lambda n: b"")
    outside = pc.open_log(nuscenes)[1].lidar
    assert said(lambda: outside.semantic).endswith(
        "file name '../a.bin' leaves the log's folder, wanted a path below it"
    )
    (nuscenes / VERSION / "lidarseg.json").write_text("[{")
    assert "lidarseg.json" in said(lambda: pc.open_log(nuscenes)[1].lidar.semantic)


def test_the_synthetic_drive_labels_what_its_rays_hit():
    log = pc.open_log("synthetic", frames=3, beams=32, azimuth_steps=720)
    frame = log[2]
    sweep, labels = frame.lidar, frame.labels
    names = np.array([log.point_classes[code] for code in sweep.semantic.tolist()])
    assert {"car", "road", "building", "sidewalk", "vegetation", "pole"} <= set(names)
    # as many points of a class that has boxes as the boxes say that they hold
    for category in ("car", "truck", "pedestrian", "cyclist"):
        hits = labels.num_points[labels.category == category].sum()
        assert (names == category).sum() >= hits
        assert (sweep.instance[names == category] > 0).all()
    assert (sweep.instance[np.isin(names, ["road", "building", "sidewalk"])] == 0).all()
    height = sweep.z + sweep.ego_from_sensor[2, 3]
    assert np.abs(np.median(height[names == "road"])) < 0.5
    assert np.median(height[names == "building"]) > 1
