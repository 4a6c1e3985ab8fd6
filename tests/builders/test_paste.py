"""Objects pasted into training samples: against a slow oracle, with shapely for what overlaps."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

import perceptum as pc
from perceptum.builders import Augment, BuildError, Draw, InputBuilder, Paste, split
from perceptum.datasets import memory_log
from perceptum.features import SpecError
from perceptum.inputs import BrokenRecord, Labels, LidarSweep, LogError, PointLabels
from perceptum.inputs.objects import ObjectDatabase

from .objects import database, spread
from .radars import MS, T0, curve, mount

CATEGORIES = ["car", "pedestrian", "bus"]
CLASSES = {"classes": ["car", "pedestrian", "bus"]}
COLUMNS = ["x", "y", "z", "intensity", "time_lag", "ring", "elongation"]
DRAWS = st.builds(Draw, st.integers(0, 2**64 - 1), st.integers(0, 99), st.integers(0, 2**64 - 1))
few = settings(deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Threads share even small clouds."""
    monkeypatch.setattr(split, "_FEWEST", 64)


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("databases") / "objects"
    category = [CATEGORIES[k % 2] for k in range(60)]
    velocity = np.random.default_rng(1).normal(0, 5, (60, 2))
    velocity[::5] = np.nan
    more = {"velocity": velocity, "points": [3 + 5 * (k % 9) for k in range(60)]}
    return database(folder, spread(60), category, lidars=("side", "elsewhere", "top"), **more)


def labels_at(time_ns, boxes, category="car", **more):
    names = np.array([category] * len(boxes), np.str_)
    return Labels(time_ns, boxes, names, np.array([f"own {k}" for k in range(len(boxes))], np.str_), **more)


@pytest.fixture(scope="module")
def drive():
    """Two lidars on a bend, points each with a time of its own; four sweeps of each and labels at all but the first."""
    random = np.random.default_rng(3)
    times = T0 + np.arange(4) * 100 * MS
    top, side = mount(-0.4, (0.9, 0.1, 1.8), 0.05), mount(1.2, (0.2, 0.9, 1.1), -0.1)
    sweeps, labels = [], []
    for time_ns in times.tolist():
        for name, ego_from_sensor, n in (("top", top, 9000), ("side", side, 2500)):
            xyz = random.uniform((-45, -45, -3), (45, 45, 3), (n, 3)).astype(np.float32)
            xyz[::97] = np.nan
            columns = {"intensity": random.integers(0, 256, n).astype(np.uint8), "intensity_scale": 255.0}
            columns |= {
                "ring": random.integers(0, 32, n).astype(np.uint16),
                "row_of_ring": np.arange(32, dtype=np.int32),
            }
            if name == "top":
                columns |= {"elongation": random.uniform(0, 1, n).astype(np.float16)}
            columns["offset_ns"] = np.sort(random.integers(-50 * MS, 50 * MS, n))
            sweeps.append(LidarSweep(name, time_ns, ego_from_sensor, *xyz.T.copy(), **columns))
    for k, time_ns in enumerate(times[1:].tolist()):
        labels.append(labels_at(time_ns, spread(6, seed=50 + k), num_points=np.arange(6, dtype=np.int64)))
    return memory_log(sweeps, labels=labels, poses=curve(T0 + np.arange(-5, 15) * 50 * MS))


def inside(xyz, boxes, extra_m=(0.0, 0.0, 0.0)):
    """(P,) which points (P, 3) are in any of the boxes."""
    found = np.zeros(len(xyz), bool)
    for box in boxes:
        c, s = np.cos(box[6]), np.sin(box[6])
        own = (xyz - box[:3]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        found |= (np.abs(own) <= (box[3:6] + extra_m) / 2).all(axis=1)
    return found


def rectangle(box):
    c, s, half = np.cos(box[6]), np.sin(box[6]), np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * box[3:5] / 2
    return shapely.Polygon(half @ np.array([[c, s], [-s, c]]) + box[:2])


def pasted_by(paste, draw, labels):
    """The numbers of the objects, and their boxes, by the words of Paste."""
    db = paste.opened
    stand, numbers, boxes = [rectangle(box) for box in labels.boxes], [], []
    for name, count in dict(paste.counts).items():
        there = int((labels.category == name).sum()) if paste.up_to else 0
        pool = np.flatnonzero((db.category == name) & (db.num_points >= paste.min_points))
        wanted = count - there
        if wanted <= 0:
            continue
        random = draw.random(f"paste/{name}")
        picked = pool[random.choice(len(pool), min(wanted * paste.tries, len(pool)), replace=False)]
        turned = random.uniform(*paste.rotate, len(picked)) if paste.rotate else np.zeros(len(picked))
        found = 0
        for number, angle in zip(picked, turned, strict=True):
            box = db.boxes[number].copy()
            c, s = np.cos(angle), np.sin(angle)
            box[:2] = c * box[0] - s * box[1], s * box[0] + c * box[1]
            box[6] += angle
            free = not any(rectangle(box).intersection(other).area > 1e-9 for other in stand)
            if free and found < wanted:
                found += 1
                stand.append(rectangle(box))
                numbers.append(int(number))
                boxes.append(box)
    return numbers, np.array(boxes).reshape(-1, 7)


def built(frame, paste, draw, names=("lidar_points", "gt_boxes"), sweeps=1, **options):
    params = {"lidar_points": {"columns": COLUMNS, "num_sweeps": sweeps}, "gt_boxes": CLASSES}
    params = {name: params[name] for name in names if name in params}
    augment = Augment(paste=paste)
    return InputBuilder(list(names), params=params, training=True, augment=augment, **options).build(frame, draw=draw)


@few
@given(
    draw=DRAWS,
    up_to=st.booleans(),
    tries=st.sampled_from([1, 4]),
    rotate=st.sampled_from([None, 0.6]),
    order=st.permutations(["car", "pedestrian"]),
    min_points=st.sampled_from([0, 20]),
)
def test_boxes_that_overlap_none_are_pasted_in_order(objects, drive, draw, up_to, tries, rotate, order, min_points):
    own = {"up_to": up_to, "tries": tries, "rotate": rotate, "min_points": min_points}
    paste = Paste(database=objects, counts=dict.fromkeys(order, 15), **own)
    labels = drive[2].labels
    got = built(drive[2], paste, draw)["gt_boxes"].astype(np.float64)
    numbers, boxes = pasted_by(paste, draw, labels)
    assert len(got) == len(labels) + len(boxes)
    np.testing.assert_allclose(got[: len(labels), :6], labels.boxes[:, :6], atol=1e-5)
    np.testing.assert_allclose(got[len(labels) :, :6], boxes[:, :6], atol=1e-5)
    assert len(set(numbers)) == len(numbers)
    shapes = [rectangle(box) for box in boxes]
    assert not any(a.intersection(b).area > 1e-9 for k, a in enumerate(shapes) for b in shapes[:k])


@few
@given(
    draw=DRAWS,
    remove=st.booleans(),
    extra=st.sampled_from([0.0, 1.5]),
    rotate=st.sampled_from([None, 0.6]),
    sweeps=st.sampled_from([1, 3]),
    threads=st.sampled_from([1, 3]),
)
def test_points_in_pasted_boxes_go_and_those_of_objects_come(
    objects, drive, draw, remove, extra, rotate, sweeps, threads
):
    more = {"remove_points": remove, "extra_size": (extra, extra, 0.0), "rotate": rotate}
    paste = Paste(database=objects, counts={"car": 20, "pedestrian": 20}, **more)
    plain = built(drive[3], paste, None, ["lidar_points"], sweeps)["lidar_points"]
    got = built(drive[3], paste, draw, ["lidar_points"], sweeps, threads=threads)["lidar_points"]
    numbers, boxes = pasted_by(paste, draw, drive[3].labels)
    assert boxes.shape[0] > 5
    gone = inside(plain[:, :3].astype(np.float64), boxes, (extra, extra, 0.0)) & remove
    assert not remove or gone.any()
    wanted = []
    angles = boxes[:, 6] - objects.boxes[numbers, 6]
    for number, box, angle in zip(numbers, boxes, angles, strict=True):
        own, c, s = objects.points(number), np.cos(angle), np.sin(angle)
        x, y, z = (own[axis].astype(np.float64) for axis in "xyz")
        xyz = np.stack([c * x - s * y, s * x + c * y, z], axis=1) + box[:3]
        # "elsewhere" is none of this log's lidars: the primary one takes its points, and has elongation
        elongation = np.where(own["lidar"] == 0, 0, own["elongation"])
        intensity = np.rint(own["intensity"] * 255) / 255
        wanted.append(np.column_stack([xyz, intensity, 0 * x, np.minimum(own["ring"], 31), elongation]))
    wanted = np.concatenate(wanted)
    # what stays is what was there, to the last bit and in its order
    kept = plain[~gone]
    assert len(got) == len(kept) + len(wanted)
    ours = ~np.isin(as_rows(got), as_rows(plain))
    assert np.array_equal(got[~ours], kept)
    apart, which = cKDTree(wanted[:, :3]).query(got[ours][:, :3])
    assert apart.max() < 3e-5
    assert len(set(which.tolist())) == len(wanted)
    np.testing.assert_allclose(got[ours][:, 3:], wanted[which][:, 3:], atol=1e-3)


def as_rows(points):
    return np.ascontiguousarray(points).view(np.dtype((np.void, points.shape[1] * 4)))[:, 0]


@few
@given(draw=DRAWS, data=st.data())
def test_a_sample_is_the_same_whatever_is_asked_and_by_how_many_threads(objects, drive, draw, data):
    names = ["lidar_points", "gt_boxes", "lidar_voxels", "lidar_bev_occupancy", "lidar_range_image", "gt_heatmap"]
    paste = Paste(database=objects, counts={"car": 20, "pedestrian": 5}, rotate=0.4)
    augment = Augment(paste=paste, rotate=0.5, flip_y=0.5, drop_points=(0.0, 0.3), shuffle_points=True)
    given_rows = {"lidar_points": {"num_sweeps": 2}, "lidar_range_image": {"height": 32, "width": 256}}
    whole = InputBuilder(names, params=given_rows, training=True, augment=augment).build(drive[3], draw=draw)
    some = data.draw(st.permutations(names))[:2]
    params = {name: own for name, own in given_rows.items() if name in some}
    builder = InputBuilder(some, params=params, training=True, augment=augment, threads=data.draw(st.integers(1, 3)))
    with ThreadPoolExecutor(3) as pool:
        several = list(pool.map(lambda k: (k, builder.build(drive[k], draw=draw)), [1, 3, 2, 3, 0, 3]))
    for k, tensors in several:
        for name in some:
            if k == 3:
                assert tensors[name].tobytes() == whole[name].tobytes(), name
    stacking = [name for name in some if name != "lidar_points"]
    if stacking:
        own = {name: own for name, own in params.items() if name in stacking}
        batches = InputBuilder(stacking, params=own, training=True, augment=augment)
        batch = batches.build_batch([drive[1], drive[3]], draws=[draw, draw])
        for name in stacking:
            assert whole[name].tobytes() in batch[name].tobytes(), name


def test_pasted_objects_move_with_the_sample(objects, drive):
    draw, paste = Draw(3, 1, 4), Paste(database=objects, counts={"car": 20})
    both = []
    for augment in (Augment(paste=paste), Augment(paste=paste, rotate=(0.5, 0.5), flip_y=1.0, scale=(1.1, 1.1))):
        rows = ["lidar_points", "gt_boxes"]
        builder = InputBuilder(rows, params={"gt_boxes": CLASSES}, training=True, augment=augment)
        both.append(builder.build(drive[3], draw=draw))
    c, s = np.cos(0.5), np.sin(0.5)
    turn = 1.1 * np.array([[c, s, 0], [s, -c, 0], [0, 0, 1]])
    for name in ("lidar_points", "gt_boxes"):
        np.testing.assert_allclose(both[1][name][:, :3], both[0][name][:, :3] @ turn.T, atol=1e-4)


def test_velocity_is_turned_with_the_object_and_track_ids_say_that_it_was_pasted(objects, drive):
    from perceptum.builders.augment.paste.paster import Paster
    from perceptum.builders.crew import Crew
    from perceptum.builders.sample import Sample
    from perceptum.builders.stage import Stages

    paste = Paste(database=objects, counts={"car": 20, "pedestrian": 20}, rotate=(0.3, 0.3))
    frame = Paster(paste, Stages(Crew(1), {})).pasted(Sample(drive[2], Draw(0, 0, 5))).frame
    numbers, boxes = pasted_by(paste, Draw(0, 0, 5), drive[2].labels)
    own = slice(6, None)
    assert frame.labels.track_id[own].tolist() == [f"pasted/{k}" for k in range(len(numbers))]
    assert frame.labels.track_id[:6].tolist() == drive[2].labels.track_id.tolist()
    assert frame.labels.num_points.tolist() == [*range(6), *objects.num_points[numbers]]
    np.testing.assert_allclose(frame.labels.boxes[own], boxes, atol=1e-9)
    c, s = np.cos(0.3), np.sin(0.3)
    np.testing.assert_allclose(frame.labels.velocity[own], objects.velocity[numbers] @ np.array([[c, s], [-s, c]]))
    assert np.isnan(frame.labels.velocity[:6]).all()
    # the frame that was given is as it was
    assert len(drive[2].labels) == 6
    assert len(drive[2].lidar) == 9000


def test_without_a_draw_nothing_is_pasted(objects, drive):
    paste = Paste(database=objects, counts={"car": 20})
    plain = InputBuilder(["lidar_points"]).build(drive[3])["lidar_points"]
    builder = InputBuilder(["lidar_points"], augment=Augment(paste=paste))
    assert builder.build(drive[3])["lidar_points"].tobytes() == plain.tobytes()
    assert builder.build(drive[3], draw=Draw(0, 0, 0))["lidar_points"].tobytes() != plain.tobytes()


def test_into_a_frame_without_labels_nothing_is_pasted_which_is_reported_once(objects, drive, caplog):
    paste = Paste(database=objects, counts={"car": 20})
    plain = InputBuilder(["lidar_points"]).build(drive[0])["lidar_points"]
    builder = InputBuilder(["lidar_points"], augment=Augment(paste=paste))
    for _ in range(2):
        assert builder.build(drive[0], draw=Draw(0, 0, 0))["lidar_points"].tobytes() == plain.tobytes()
    assert [record.message for record in caplog.records] == [
        f"memory: frame 0 ({T0}) has no labels, so that nothing is pasted into it (reported once)"
    ]


def test_nobody_reads_labels_where_no_sweep_is_read(objects, drive):
    def refuse(time_ns):
        raise AssertionError("labels were read")

    frame = memory_log(
        [LidarSweep("top", T0, np.eye(4), *np.zeros((3, 4), np.float32))], labels=[labels_at(T0, spread(2))]
    )[0]
    frame.log.source.read_labels = refuse
    augment = Augment(paste=Paste(database=objects, counts={"car": 3}))
    InputBuilder(["ego_motion"], augment=augment).build(frame, draw=Draw(0, 0, 0))
    with pytest.raises(BuildError, match="labels were read"):
        InputBuilder(["lidar_points"], augment=augment).build(frame, draw=Draw(0, 0, 0))


def test_objects_stand_on_the_ground_of_the_log_that_they_come_to(tmp_path, drive):
    high = database(tmp_path / "high", [[10, 0, 1.0, 4, 2, 1.6, 0.3]], ground_z=-1.73, intensity_scale=4.0)
    frame = memory_log(
        [LidarSweep("top", T0, np.eye(4), *np.zeros((3, 4), np.float32), intensity=np.zeros(4, np.float32))],
        labels=[labels_at(T0, np.empty((0, 7)))],
    )[0]
    for ground, z in (("plane", 2.73), ("recorded", 1.0)):
        got = built(frame, Paste(database=high, counts={"car": 1}, ground=ground), Draw(0, 0, 0))
        assert got["gt_boxes"][0, 2] == pytest.approx(z)
        own = high.points(0)
        np.testing.assert_allclose(got["lidar_points"][4:, 2], own["z"].astype(np.float64) + z, atol=1e-6)
        np.testing.assert_allclose(got["lidar_points"][4:, 3], own["intensity"] / 4, rtol=1e-6)


def test_labels_call_objects_as_the_log_does(tmp_path):
    other = database(tmp_path / "other", spread(8), "Car", seed=2)
    boxes = np.array([[90.0, 90, 0, 4, 2, 1.5, 0]])
    frame = memory_log(
        [LidarSweep("top", T0, np.eye(4), *np.zeros((3, 4), np.float32))],
        labels=[labels_at(T0, boxes, "vehicle.car")],
    )[0]
    params = {"gt_boxes": {"classes": "nuscenes"}}
    counts = []
    for names in ({}, {"Car": "vehicle.car"}):
        paste = Paste(database=other, counts={"Car": 4}, names=names, tries=4)
        builder = InputBuilder(["gt_boxes"], params=params, training=True, augment=Augment(paste=paste))
        counts.append(len(builder.build(frame, draw=Draw(0, 0, 1))["gt_boxes"]))
    # of the nuscenes list "Car" is none; named as there, the one that stands counts among the four
    assert counts == [1, 4]
    paste = Paste(database=other, counts={"vehicle": 4}, classes="road_users", tries=4)
    builder = InputBuilder(["gt_boxes"], training=True, augment=Augment(paste=paste))
    assert len(builder.build(frame, draw=Draw(0, 0, 1))["gt_boxes"]) == 4


def test_nobody_drew_what_is_pasted_in_a_picture(tmp_path):
    other = database(tmp_path / "other", spread(8), "car", seed=2)
    boxes = np.array([[90.0, 90, 0, 4, 2, 1.5, 0]])
    drawn = {"occlusion": np.array([1]), "truncation": np.array([0.2]), "boxes_2d": np.array([[1.0, 2, 3, 4]])}
    areas = {"unlabelled_2d": np.ones((3, 4)), "forecast_role": np.array([2])}
    areas |= {"attributes": np.array(["vehicle.parked"]), "num_radar_points": np.array([5])}
    frame = memory_log(
        [LidarSweep("top", T0, np.eye(4), *np.zeros((3, 4), np.float32))],
        labels=[labels_at(T0, boxes, **drawn, **areas)],
    )[0]
    from perceptum.builders.augment.paste.scene import chosen_by

    paste = Paste(database=other, counts={"car": 3}, tries=4)
    chosen = chosen_by(paste, paste.pools(), Draw(0, 0, 1), frame, frame.labels)
    labels = chosen.labels(frame.labels)
    assert len(labels) == 3
    assert labels.occlusion.tolist() == [1, 3, 3]
    assert labels.forecast_role.tolist() == [2, 0, 0]
    assert labels.attributes.tolist() == ["vehicle.parked", "", ""]
    assert labels.num_radar_points.tolist() == [5, 0, 0]
    np.testing.assert_array_equal(labels.truncation, [0.2, np.nan, np.nan])
    np.testing.assert_array_equal(labels.boxes_2d, [[1, 2, 3, 4], [np.nan] * 4, [np.nan] * 4])
    assert labels.unlabelled_2d.shape == (3, 4)


def test_a_range_image_and_labels_of_points_have_what_was_pasted(objects):
    random = np.random.default_rng(4)
    xyz = random.uniform((-45, -45, -3), (45, 45, 3), (3000, 3)).astype(np.float32)
    codes, instances = random.integers(0, 3, 3000).astype(np.uint8), random.integers(0, 9, 3000).astype(np.int64)
    sweep = LidarSweep("top", T0, np.eye(4), *xyz.T.copy(), point_labels=PointLabels.of(codes, instances))
    classes = {0: "ground", 1: "car", 2: "tree"}
    log = memory_log([sweep], labels=[labels_at(T0, np.empty((0, 7)))], point_classes=classes)
    paste = Paste(database=objects, counts={"car": 10, "pedestrian": 10})
    draw = Draw(0, 0, 2)
    got = built(log[0], paste, draw)
    names = ["lidar_range_image", "lidar_range_image_index"]
    params = {name: {"height": 64, "width": 512, "channels": ["range", "x"], "fov": [30.0, -30.0]} for name in names}
    image = InputBuilder(names, params={"lidar_range_image": params[names[0]]}, augment=Augment(paste=paste))
    tensors = image.build(log[0], draw=draw)
    index = tensors["lidar_range_image_index"].reshape(-1)
    shown = index[index >= 0]
    assert shown.max() < len(got["lidar_points"])
    there = tensors["lidar_range_image"][1].reshape(-1)[index >= 0]
    assert np.array_equal(there, got["lidar_points"][shown, 0])
    from perceptum.builders.augment.paste.paster import Paster
    from perceptum.builders.crew import Crew
    from perceptum.builders.sample import Sample
    from perceptum.builders.stage import Stages

    changed = Paster(paste, Stages(Crew(1), {})).pasted(Sample(log[0], draw)).frame.lidar
    numbers, boxes = pasted_by(paste, draw, log[0].labels)
    kept = ~inside(xyz.astype(np.float64), boxes)
    assert (~kept).any()
    own = np.concatenate([[1 if objects.category[k] == "car" else -1] * objects.num_points[k] for k in numbers])
    assert np.array_equal(changed.semantic, np.append(codes[kept], own))
    assert np.array_equal(changed.instance[: kept.sum()], instances[kept])
    assert len(np.unique(changed.instance[kept.sum() :])) == len(numbers)
    assert changed.instance[kept.sum() :].min() == 9


def test_a_sweep_without_points_gets_those_of_objects(objects):
    none = np.empty(0, np.float32)
    columns = {"image_column": np.empty(0, np.int32), "return_index": np.empty(0, np.uint8), "ring": np.empty(0, ">i4")}
    sweep = LidarSweep("top", T0, np.eye(4), none, none, none, **columns)
    log = memory_log([sweep], labels=[labels_at(T0, np.empty((0, 7)))])
    paste = Paste(database=objects, counts={"car": 5})
    numbers, _ = pasted_by(paste, Draw(0, 0, 0), log[0].labels)
    assert len(built(log[0], paste, Draw(0, 0, 0))["lidar_points"]) == objects.num_points[numbers].sum()


def test_columns_of_the_lidars_own_image_are_those_of_its_azimuths(objects):
    random = np.random.default_rng(6)
    azimuth = random.uniform(-np.pi, np.pi, 5000)
    reach = random.uniform(46, 60, 5000)
    column = np.floor((0.4 - azimuth) / (2 * np.pi) * 720) % 720
    xyz = np.stack([reach * np.cos(azimuth), reach * np.sin(azimuth), 0 * reach])
    sweep = LidarSweep("top", T0, np.eye(4), *xyz, image_column=column.astype(np.int16))
    log = memory_log([sweep], labels=[labels_at(T0, np.empty((0, 7)))])
    from perceptum.builders.augment.paste.paster import Paster
    from perceptum.builders.crew import Crew
    from perceptum.builders.sample import Sample
    from perceptum.builders.stage import Stages

    paste = Paste(database=objects, counts={"car": 20}, remove_points=False)
    got = Paster(paste, Stages(Crew(1), {})).pasted(Sample(log[0], Draw(0, 0, 0))).frame.lidar
    wanted = (0.4 - np.arctan2(got.y, got.x)) / (2 * np.pi) * 720
    apart = np.remainder(got.image_column[5000:] + 0.5 - wanted[5000:] + 360, 720) - 360
    assert len(apart) > 100
    assert np.abs(apart).max() <= 1.1
    assert got.image_column.max() < 720


def test_a_plan_with_objects_goes_to_another_process_by_the_path_of_its_database(objects, drive):
    paste = Paste(database=objects, counts={"car": 20})
    builder = InputBuilder(["lidar_points"], augment=Augment(paste=paste))
    text = pickle.dumps(builder)
    assert len(text) < 20_000
    again = pickle.loads(text)
    draw = Draw(0, 0, 3)
    assert (
        again.build(drive[3], draw=draw)["lidar_points"].tobytes()
        == builder.build(drive[3], draw=draw)["lidar_points"].tobytes()
    )
    assert pickle.loads(pickle.dumps(paste)) == paste


def test_another_database_at_the_path_is_not_taken_for_the_first(tmp_path):
    first = database(tmp_path / "one", spread(3))
    text = pickle.dumps(first)
    database(tmp_path / "two", spread(4))
    (tmp_path / "one").rename(tmp_path / "old")
    (tmp_path / "two").rename(tmp_path / "one")
    with pytest.raises(LogError, match="these are other objects than when this was made; open the database again"):
        pickle.loads(text)


@pytest.mark.parametrize(
    ("given_values", "says"),
    [
        ({"counts": {"cra": 3}}, "no category 'cra'; did you mean 'car'? {folder} has car, pedestrian"),
        ({"counts": {"bus": 3}}, "no category 'bus'; {folder} has car, pedestrian"),
        (
            {"counts": {"cyclist": 3}, "classes": "road_users"},
            "{folder} has no object of class 'cyclist'; its categories are car, pedestrian",
        ),
        (
            {"counts": {"cycle": 3}, "classes": "road_users"},
            "no class 'cycle'; did you mean 'cyclist'? classes are vehicle, pedestrian, cyclist",
        ),
        ({"counts": {"car": 3}, "min_points": 99}, "{folder} has no object of 'car' with 99 points or more"),
        ({"counts": {}}, 'counts must be classes and how many of each, {{"car": 15}}, got {{}}'),
        ({"counts": {"car": -1}}, "counts must be a class and how many of it, got 'car': -1"),
        ({"counts": {"car": 1}, "tries": 0}, "tries must be a whole number, at least 1, got 0"),
        ({"counts": {"car": 1}, "min_points": 1.5}, "min_points must be a whole number, at least 0, got 1.5"),
        ({"counts": {"car": 1}, "up_to": 1}, "up_to must be True or False, got 1"),
        ({"counts": {"car": 1}, "ground": "map"}, "ground must be one of plane, recorded, got 'map'"),
        (
            {"counts": {"car": 1}, "rotate": (1, 0)},
            "rotate must be a number of radians, or from the lower to the higher, got (1, 0)",
        ),
        (
            {"counts": {"car": 1}, "rotate": 45},
            "rotate is in radians, at most 2 pi either way, got 45; if these are degrees, it is 0.7854",
        ),
        (
            {"counts": {"car": 1}, "classes": "waymos"},
            "classes: no list 'waymos'; did you mean 'waymo'? there are road_users, nuscenes, kitti, waymo, "
            "argoverse2, nuscenes_lidarseg, semantic_kitti",
        ),
        ({"counts": {"car": 1}, "classes": 3}, "classes must be the name of a list, or a list of classes, got 3"),
        ({"counts": {"car": 1}, "classes": [3]}, "classes: Expected `str | object`, got `int` - at `$[0]`"),
        (
            {"counts": {"car": 1}, "extra_size": (1, -1, 0)},
            "extra_size must be metres of length, width and height, got (1, -1, 0)",
        ),
        (
            {"counts": {"car": 1}, "names": {"Car": "x"}},
            "names: no category 'Car'; did you mean 'car'? {folder} has car, pedestrian",
        ),
        (
            {"counts": {"car": 1}, "names": {"car": ""}},
            "names must be categories and what they are called, got {{'car': ''}}",
        ),
    ],
)
def test_what_cannot_be_pasted_is_refused_when_it_is_said(objects, given_values, says):
    with pytest.raises(SpecError) as error:
        Paste(database=objects, **given_values)
    assert str(error.value) == f"augment: paste: {says.format(folder=objects.folder)}"


def test_numbers_of_numpy_are_numbers(objects):
    def paste(whole, real):
        return Paste(
            database=objects, counts={"car": whole(3)}, min_points=whole(1), rotate=real(0.5), extra_size=real(0.25)
        )

    assert paste(np.int64, np.float32) == paste(int, float)
    assert repr(paste(np.int64, np.float32)) == repr(paste(int, float))


def test_only_a_paste_can_be_pasted():
    with pytest.raises(SpecError, match="augment: paste must be a Paste, got 'objects'"):
        Augment(paste="objects")


def test_what_is_no_whole_database_is_refused_when_it_is_opened(tmp_path):
    whole = database(tmp_path / "whole", spread(5)).folder
    hint = "`perceptum objects LOG --out FOLDER` makes one"
    (tmp_path / "empty").mkdir()

    def refused(folder):
        with pytest.raises(LogError) as error:
            Paste(database=folder, counts={"car": 1})
        return type(error.value), str(error.value)

    missing = tmp_path / "missing"
    assert refused(missing) == (LogError, f"{missing}: no such folder, wanted a database of objects; {hint}")
    assert refused(tmp_path / "empty") == (
        LogError,
        f"{tmp_path / 'empty'}: is not a database of objects: it has no manifest.json; {hint}",
    )
    points, manifest = whole / "points.arrow", whole / "manifest.json"
    bytes_before, text_before = points.read_bytes(), manifest.read_text()
    points.write_bytes(bytes_before[:-100])
    size = len(bytes_before)
    again = "make the database again"
    assert refused(whole) == (
        BrokenRecord,
        f"{points}: {size - 100} bytes, its manifest says {size}; the file is cut short; {again}",
    )
    points.write_bytes(b"\0" * size)
    kind, says = refused(whole)
    assert kind is BrokenRecord
    assert says.startswith(f"{points}: is not an Arrow file (")
    points.unlink()
    assert refused(whole) == (BrokenRecord, f"{points}: No such file or directory; {again}")
    points.write_bytes(bytes_before)
    for text, says in (
        ("[]", f"{whole}: is not a database of objects: its manifest.json is of something else; {hint}"),
        (
            text_before.replace('"version": 1', '"version": 2'),
            f"{whole}: is of version 2 of the format, and this reads 1",
        ),
        (
            text_before.replace('"lidars"', '"lidar"'),
            f"{manifest}: lacks what a database of objects says of itself; {again}",
        ),
    ):
        manifest.write_text(text)
        assert refused(whole)[1] == says
    manifest.write_text("{")
    assert refused(whole)[1].startswith(f"{manifest}: cannot be read as JSON (")


def test_explain_says_what_is_pasted(objects):
    augment = Augment(paste=Paste(database=objects, counts={"car": 3, "pedestrian": 1}, tries=2))
    assert repr(augment) == f"Augment(paste=Paste(3 car, 1 pedestrian, tries=2 of {objects.folder}))"


def test_objects_of_a_drive_fit_another_and_are_those_that_were_cut_out(tmp_path):
    from perceptum.objects import make_objects

    log = pc.open_log("synthetic", frames=3, seed=0, beams=16, azimuth_steps=600)
    made = make_objects([log], tmp_path / "objects", classes="road_users", min_points=8)
    db = ObjectDatabase.open(tmp_path / "objects")
    assert made.classes == dict(db.classes)
    for number in range(0, len(db), 5):
        about, own = db.about(number), db.points(number)
        frame = next(frame for frame in log if frame.id == about["frame"])
        row = frame.labels.track_id.tolist().index(about["track"])
        assert np.array_equal(db.boxes[number], frame.labels.boxes[row])
        params = {"lidar_points": {"columns": ["x", "y", "z", "intensity", "ring"], "intensity_mode": "raw"}}
        points = InputBuilder(["lidar_points"], params=params).build(frame)["lidar_points"]
        within = inside(points[:, :3].astype(np.float64), [db.boxes[number]])
        assert len(own["x"]) == within.sum() == db.num_points[number] >= 8
        np.testing.assert_allclose(own["x"] + db.boxes[number, 0], points[within, 0], atol=1e-5)
        assert np.array_equal(own["intensity"], points[within, 3])
        assert np.array_equal(own["ring"], points[within, 4])
    # put back where it was cut out, with nothing else around, an object is what it was
    frame = log[1]
    alone = replace(frame.labels, **{
        name: getattr(frame.labels, name)[:0] for name in ("boxes", "category", "track_id", "velocity", "num_points")
    })  # fmt: skip
    bare = memory_log([frame.lidar], labels=[alone], poses=log.poses)[0]
    paste = Paste(database=db, counts={"car": 3}, ground="recorded")
    before = InputBuilder(["lidar_points"]).build(bare)["lidar_points"]
    after = built(bare, paste, Draw(0, 0, 9))
    assert len(after["gt_boxes"])
    assert len(after["lidar_points"]) != len(before)
