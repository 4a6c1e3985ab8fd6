"""perceptum objects: databases of labelled objects, cut out of logs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceptum.datasets import memory_log
from perceptum.errors import UsageError
from perceptum.inputs import BrokenRecord, Labels, LidarSweep, LogError
from perceptum.objects import ObjectDatabase, make_objects

SMALL = "synthetic:frames=2,beams=16,azimuth_steps=400"
T0 = 1_700_000_000_000_000_000


def frames(n=2, sensors=("top",), labelled=True, **columns):
    """A log of a box of 2 x 2 x 2 m at x = 10 with eight points in it, and one beside it, for each lidar."""
    corners = np.array([[x, y, z] for x in (9.5, 10.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)] + [[12.0, 0, 0]])
    sweeps, labels = [], []
    for k in range(n):
        for number, name in enumerate(sensors):
            ego_from_sensor = np.eye(4)
            ego_from_sensor[:3, 3] = 1 + number, 0, 0
            xyz = (corners - ego_from_sensor[:3, 3]).astype(np.float32)
            sweeps.append(LidarSweep(name, T0 + k * 10**8, ego_from_sensor, *xyz.T.copy(), **columns))
        boxes = np.array([[10.0, 0, 0, 2, 2, 2, 0], [40.0, 0, 0, 2, 2, 2, 0], [10.0, 0, 0, np.nan, 2, 2, 0]])
        categories, tracks = np.array(["car", "car", "bus"]), np.array(["a", "b", "c"])
        labels.append(Labels(T0 + k * 10**8, boxes, categories, tracks))
    return memory_log(sweeps, labels=labels if labelled else [], ids=[f"f{k}" for k in range(n)])


def test_objects_are_cut_out_and_told_in_a_line(command):
    done = command("objects", SMALL, SMALL.replace("frames=2", "frames=2,seed=3"), "--out", "objects")
    assert done.status == 0
    assert done.err == ""
    assert "labelled frames of 4" in done.out
    assert sorted(path.name for path in Path().iterdir()) == ["objects"]
    database = ObjectDatabase.open("objects")
    assert len(database.logs) == 2
    assert database.num_points.min() >= 5


def test_json_tells_what_was_done(command):
    done = command("objects", SMALL, "--out", "objects", "--classes", "car, truck", "--min-points", "9", "--json").json
    database = ObjectDatabase.open("objects")
    assert done["classes"] == dict(database.classes)
    assert set(done["classes"]) <= {"car", "truck"}
    assert (done["path"], done["frames"], done["labelled"], done["skipped"]) == ("objects", 2, 2, [])
    assert (done["objects"], done["points"]) == (len(database), database.num_points.sum())
    assert done["bytes"] == sum(path.stat().st_size for path in Path("objects").iterdir())
    assert database.num_points.min() >= 9


def test_the_same_logs_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        make_objects([frames()], tmp_path / name)
    for file in ("manifest.json", "objects.arrow", "points.arrow"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert ObjectDatabase(tmp_path / "one") == ObjectDatabase(tmp_path / "two")


def test_an_object_has_the_points_in_its_box_of_all_lidars(tmp_path):
    columns = {"intensity": np.arange(9, dtype=np.uint8), "intensity_scale": 255.0, "ring": np.arange(9)[::-1].copy()}
    made = make_objects([frames(sensors=("top", "side"), **columns)], tmp_path / "objects")
    database = ObjectDatabase.open(tmp_path / "objects")
    # the one far off has no points, and the other no size
    assert made.classes == {"car": 2}
    assert made.points == 32
    assert database.lidars == ("top", "side")
    own = database.points(1)
    assert np.array_equal(own["x"], np.tile(np.repeat([-0.5, 0.5], 4), 2).astype(np.float32))
    assert np.array_equal(own["intensity"], np.tile(np.arange(8, dtype=np.float32), 2))
    assert np.array_equal(own["ring"], np.tile(np.arange(8, 0, -1), 2))
    assert np.array_equal(own["lidar"], np.repeat([0, 1], 8))
    assert not own["elongation"].any()
    assert database.intensity_scale.tolist() == [255.0, 255.0]
    assert np.isnan(database.velocity).all()
    assert database.about(1) == {"log": "memory", "frame": "f1", "time_ns": T0 + 10**8, "track": "a"}


def test_intensities_of_all_lidars_come_to_the_scale_of_the_first(tmp_path):
    log = frames(1, sensors=("top", "side"), intensity=np.full(9, 10, np.float32))
    read = log.source.read_lidar

    def scaled(sensor, *more):
        sweep = read(sensor, *more)
        return replace(sweep, intensity_scale=255.0 if sensor == "top" else 100.0)

    log.source.read_lidar = scaled
    make_objects([log], tmp_path / "objects")
    database = ObjectDatabase.open(tmp_path / "objects")
    assert database.intensity_scale.tolist() == [255.0]
    own = database.points(0)
    assert np.allclose(own["intensity"], np.where(own["lidar"] == 0, 10.0, 25.5))


def test_objects_that_are_there_are_left_alone(command, refusal):
    words = ("objects", SMALL, "--out", "objects")
    command(*words)
    assert refusal(*words) == (2, "objects: already exists; name another folder, or replace it with --overwrite")
    assert command(*words, "--overwrite", "--classes", "car").status == 0
    assert set(ObjectDatabase("objects").classes) == {"car"}
    assert sorted(path.name for path in Path().iterdir()) == ["objects"]
    Path("precious").mkdir()
    says = "precious: is not a database of objects, so --overwrite leaves it alone; name another"
    assert refusal("objects", SMALL, "--out", "precious", "--overwrite") == (2, says)
    says = "cannot write there/objects: there is no folder there"
    assert refusal("objects", SMALL, "--out", "there/objects") == (2, says)
    says = "cannot write objects.arrow: a database of objects is a folder; name one without an ending"
    assert refusal("objects", SMALL, "--out", "objects.arrow") == (2, says)


@pytest.mark.parametrize("way", ["exchange", "two renames"])
def test_a_link_to_objects_is_replaced_and_what_it_leads_to_stays(tmp_path, way, monkeypatch):
    if way == "two renames":
        monkeypatch.setattr("perceptum.exchange.exchanged", lambda one, other: False)
    make_objects([frames()], tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    made = make_objects([frames(1)], tmp_path / "link", overwrite=True)
    assert not (tmp_path / "link").is_symlink()
    assert len(ObjectDatabase.open(tmp_path / "link")) == made.objects == 1
    assert len(ObjectDatabase.open(tmp_path / "real")) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_where_there_are_no_objects_it_says_what_there_is(command, refusal, tmp_path):
    status, says = refusal("objects", SMALL, "--out", "objects", "--classes", "tram")
    assert status == 1
    assert says.endswith(
        "no object of the classes that are asked for has 5 points or more; the categories are car, cyclist, "
        "pedestrian, truck"
    )
    with pytest.raises(LogError, match="memory: no frame has labels, so there are no objects to cut out"):
        make_objects([frames(labelled=False)], tmp_path / "objects")
    with pytest.raises(UsageError, match="no list of classes 'cars'; there are road_users, "):
        make_objects([frames()], tmp_path / "objects", classes="cars")
    with pytest.raises(UsageError, match="objects are cut out of one or more logs, and none is named"):
        make_objects([], tmp_path / "objects")
    with pytest.raises(UsageError, match="an object has one point or more, got min_points 0"):
        make_objects([frames()], tmp_path / "objects", min_points=0)


def test_a_frame_that_cannot_be_read_stops_it_or_is_left_out(tmp_path):
    log = frames(3)
    read = log.source.read_labels

    def broken(time_ns):
        if time_ns == T0 + 10**8:
            raise BrokenRecord("labels: cut short")
        return read(time_ns)

    log.source.read_labels = broken
    with pytest.raises(BrokenRecord, match="labels: cut short"):
        make_objects([log], tmp_path / "objects")
    # nothing is left of what was begun
    assert list(tmp_path.iterdir()) == []
    made = make_objects([log], tmp_path / "objects", on_error="skip")
    assert made.skipped == ["frame 1 (f1): labels: cut short"]
    assert (made.labelled, made.objects) == (2, 2)
