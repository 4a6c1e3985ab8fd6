"""agent_history and gt_trajectory, against plain Python from their definition: one agent and one step at a time."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.datasets import memory_log
from perceptum.features import SpecError, canonical
from perceptum.inputs import Labels, MissingRecord, Poses
from perceptum.inputs.cache import Cache
from perceptum.inputs.poses import inverse, quaternion_from_yaw

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
STEP = 100 * MS
NAMES = ["agent_history", "agent_mask", "agent_type", "agent_num", "agent_label_index"]
FUTURE = ["gt_trajectory", "gt_trajectory_mask"]
ALL = [{"name": "agent", "of": ["*"]}]
FAR = np.array([652_345.25, 4_712_345.75, 120.5])


def poses(frames: int) -> Poses:
    """A curve far from the world's origin, rolling and pitching a little."""
    times = T0 + STEP * np.arange(-3, frames + 3)
    seconds = (times - T0) * 1e-9
    quaternions = quaternion_from_yaw(0.4 + 0.3 * seconds)
    quaternions[:, 1] += 0.01
    places = FAR + np.column_stack([8 * seconds, 2 * seconds**2, 0.1 * seconds])
    return Poses(times, quaternions, places)


def moment(k: int, n: int = 12, seed: int = 3, **columns) -> Labels:
    """Boxes that move; some are not there at some moments, and some velocities are not known."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(-60, 60, (n, 3)), rng.uniform(-15, 15, (n, 2))
    speed[::4] = np.nan
    size, yaw = rng.uniform(0.5, 6, (n, 3)), rng.uniform(-3.1, 3.1, n)
    start[:, 2] *= 0.02
    there = (np.arange(n) * 7 + k) % 5 > 0
    order = rng.permutation(n)
    order = order[there[order]]
    place = start + np.column_stack([np.nan_to_num(speed) * 0.1 * k, np.zeros(n)])
    given = {
        "boxes": np.column_stack([place, size, yaw + 0.05 * k])[order],
        "category": np.array(["car", "truck", "pedestrian"])[order % 3],
        "track_id": np.array([f"track {i}" for i in range(n)])[order],
        "velocity": speed[order],
    }
    return Labels(T0 + k * STEP, **{**given, **columns})


def drive(frames: int = 8, without: tuple[int, ...] = (), **options):
    labels = [moment(k) for k in range(frames) if k not in without]
    return memory_log(labels=labels, poses=poses(frames), times_ns=T0 + STEP * np.arange(frames), **options)


def build(moment, names=NAMES, augment=None, draw=None, **params):
    agents = {"num_steps": 4, "max_agents": 20, "classes": ALL, **params.pop("agents", {})}
    given = {"agents": agents, **({canonical().group_of(names[0]).name: params} if params else {})}
    return InputBuilder(names, params=given, training=True, augment=augment).build(moment, draw=draw)


def class_of(category, classes):
    for number, one in enumerate(classes):
        if (one == category) if isinstance(one, str) else (category in one["of"] or one["of"] == ["*"]):
            return number
    return -1


def oracle(log, index, steps, classes=ALL, ref_from_ego=None):
    """Returns rows of (key, class, {step: (place, heading, velocity, size)}) and each one's box now, in order."""
    ref_from_ego = np.eye(4) if ref_from_ego is None else ref_from_ego
    frame = log[index]
    scale = np.linalg.norm(ref_from_ego[:3, 0])
    found = {}
    for step in steps:
        at = index + step
        if not 0 <= at < len(log) or log[at].labels is None:
            continue
        labels = log[at].labels
        ego_from_then = inverse(frame.world_from_ego) @ log[at].world_from_ego
        for row in range(len(labels)):
            number = class_of(labels.category[row], classes)
            if number < 0:
                continue
            x, y, z, length, width, height, yaw = labels.boxes[row]
            place = (ref_from_ego @ ego_from_then @ [x, y, z, 1])[:3]
            turn = ref_from_ego[:3, :3] @ ego_from_then[:3, :3]
            heading = (turn @ [np.cos(yaw), np.sin(yaw), 0])[:2]
            velocity = (turn @ [*labels.velocity[row], 0])[:2]
            size = np.array([length, width, height]) * scale
            own = found.setdefault((labels.track_id[row], number), {})
            own[step] = (place, heading / np.linalg.norm(heading), velocity, size, row)
    return found


def ordered(found, now=0, most=20, radius=100.0):
    seen = [(np.hypot(*own[now][0][:2]), key) for key, own in found.items() if now in own]
    return [key for distance, key in sorted(seen) if distance <= radius][:most]


def velocity_at(own, step, steps):
    """The labelled one; where that is not known, from the place before, or at the first from the next."""
    place, _, velocity, _, _ = own[step]
    if not np.isnan(velocity).any():
        return velocity
    before = [s for s in steps if s < step and s in own]
    after = [s for s in steps if s > step and s in own]
    if before:
        return (place - own[before[-1]][0])[:2] / (0.1 * (step - before[-1]))
    return (own[after[0]][0] - place)[:2] / (0.1 * (after[0] - step)) if after else np.zeros(2)


def expected(found, keys, steps, most=20):
    out, mask = np.zeros((most, len(steps), 10)), np.zeros((most, len(steps)), np.uint8)
    for row, key in enumerate(keys):
        for at, step in enumerate(steps):
            if step in found[key]:
                place, heading, _, size, _ = found[key][step]
                out[row, at] = [*place, *heading, *velocity_at(found[key], step, steps), *size]
                mask[row, at] = 1
    return out, mask


@pytest.mark.parametrize("index", [0, 2, 7])
@pytest.mark.parametrize("classes", [ALL, ["car"], [{"name": "rest", "of": ["truck", "pedestrian"]}, "car"]], ids=str)
def test_the_history_is_what_its_definition_says(index, classes) -> None:
    log, steps = drive(), range(-3, 1)
    found = oracle(log, index, steps, classes)
    keys = ordered(found)
    out, mask = expected(found, keys, steps)
    got = build(log[index], agents={"classes": classes})
    assert got["agent_num"].tolist() == [len(keys)]
    assert np.array_equal(got["agent_mask"], mask)
    assert np.abs(got["agent_history"] - out).max() < 2e-5
    assert got["agent_type"].tolist() == [number for _, number in keys] + [-1] * (20 - len(keys))
    labels = [found[key][0][4] for key in keys]
    assert got["agent_label_index"].tolist() == labels + [-1] * (20 - len(keys))


@pytest.mark.parametrize("frame", ["ego", "ego_ground"])
@pytest.mark.parametrize("seed", range(3))
def test_a_draw_moves_agents_as_it_moves_everything(frame, seed) -> None:
    log, steps = drive(), range(-3, 1)
    augment = Augment(rotate=1.0, flip_x=0.5, flip_y=0.5, scale=(0.8, 1.2), translate=0.5)
    draw = Draw(seed, 0, 5)
    plain, moved = build(log[5], frame=frame), build(log[5], frame=frame, augment=augment, draw=draw)
    change = np.eye(4)
    turned, scale = draw.random("rotate").uniform(-1, 1), draw.random("scale").uniform(0.8, 1.2)
    mirror = [-1.0 if draw.random(name).uniform() < 0.5 else 1.0 for name in ("flip_x", "flip_y")]
    c, s = np.cos(turned), np.sin(turned)
    change[:3, :3] = scale * np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag([*mirror, 1])
    change[:3, 3] = draw.random("translate").normal(size=3) * 0.5
    found = oracle(log, 5, steps, ref_from_ego=change)
    out, mask = expected(found, ordered(found), steps)
    assert np.array_equal(moved["agent_mask"], mask)
    assert np.abs(moved["agent_history"] - out).max() < 5e-5
    assert not np.array_equal(plain["agent_history"], moved["agent_history"])


def test_trajectories_are_of_the_same_agents() -> None:
    log, future = drive(), range(1, 4)
    found = oracle(log, 3, range(-3, 4))
    keys = ordered(found)
    got = build(log[3], [*FUTURE, *NAMES], num_future=3, columns=["x", "y", "cos_yaw", "vx", "x_from_now"])
    for row, key in enumerate(keys):
        for at, step in enumerate(future):
            own = found[key]
            assert got["gt_trajectory_mask"][row, at] == (step in own)
            if step in own:
                velocity = velocity_at(own, step, range(-3, 4))
                wanted = [*own[step][0][:2], own[step][1][0], velocity[0], own[step][0][0] - own[0][0][0]]
                assert np.abs(got["gt_trajectory"][row, at] - wanted).max() < 2e-5
            else:
                assert not got["gt_trajectory"][row, at].any()
    assert not got["gt_trajectory"][len(keys) :].any()
    assert not got["gt_trajectory_mask"][len(keys) :].any()


def test_asking_for_trajectories_changes_no_history() -> None:
    log = drive()
    alone, both = build(log[4]), build(log[4], [*NAMES, *FUTURE, "gt_ego_trajectory", "agent_raster"])
    for name in NAMES:
        assert np.array_equal(alone[name], both[name]), name


def test_the_vehicle_is_an_agent_by_its_poses() -> None:
    log = drive()
    got = build(log[5], agents={"include_ego": "first", "ego_size": [5, 2, 1.5], "ego_middle": [1.4, 0, 0.8]})
    plain = build(log[5])
    for at, step in enumerate(range(-3, 1)):
        ego_from_then = inverse(log[5].world_from_ego) @ log[5 + step].world_from_ego
        heading = ego_from_then[:2, 0] / np.linalg.norm(ego_from_then[:2, 0])
        wanted = [*(ego_from_then @ [1.4, 0, 0.8, 1])[:3], *heading]
        assert np.abs(got["agent_history"][0, at, :5] - wanted).max() < 1e-5
        assert got["agent_history"][0, at, 7:].tolist() == [5, 2, 1.5]
    assert got["agent_mask"][0].all()
    assert got["agent_type"][0] == 1
    assert got["agent_label_index"][0] == -1
    assert np.array_equal(got["agent_history"][1:], plain["agent_history"][:-1])
    among = build(log[5], agents={"include_ego": "as_agent"})
    assert among["agent_type"][0] == 1
    assert among["agent_num"] == got["agent_num"]


def test_the_vehicles_own_trajectory_is_by_its_poses() -> None:
    log = drive()
    got = build(log[5], ["gt_ego_trajectory", "gt_ego_trajectory_mask"], num_future=8)
    # the poses go on for three steps after the last frame
    assert got["gt_ego_trajectory_mask"].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
    for step in range(1, 6):
        then = log.world_from_ego(T0 + (5 + step) * STEP)
        wanted = (inverse(log[5].world_from_ego) @ then)[:2, 3]
        assert np.abs(got["gt_ego_trajectory"][step - 1] - wanted).max() < 1e-5
    assert not got["gt_ego_trajectory"][5:].any()


# which agents


def street(*rows, frames=4, **options):
    """Rows of (step, track id, x, category) of boxes at y = 0, of a vehicle that stands."""
    labels = []
    for k in range(frames):
        own = [row for row in rows if row[0] == k]
        boxes = np.array([[row[2], 0, 0, 4, 2, 1.5, 0] for row in own], dtype=np.float64).reshape(-1, 7)
        names = np.array([row[1] for row in own], dtype=np.str_), np.array([row[3] for row in own], dtype=np.str_)
        labels.append(Labels(T0 + k * STEP, boxes, names[1], names[0]))
    return memory_log(labels=labels, times_ns=T0 + STEP * np.arange(frames), **options)


def xs(tensors):
    return tensors["agent_history"][: int(tensors["agent_num"][0]), :, 0].tolist()


def test_agents_are_ordered_by_distance_and_then_by_track_id() -> None:
    log = street((3, "b", 5.0, "car"), (3, "c", -5.0, "car"), (3, "a", 5.0, "car"), (3, "d", 1.0, "car"))
    assert build(log[3])["agent_label_index"][:4].tolist() == [3, 2, 0, 1]


def test_an_agent_that_is_gone_now_is_only_of_ever() -> None:
    rows = [(0, "a", 1.0, "car"), (1, "a", 2.0, "car"), (3, "b", 9.0, "car"), (1, "b", 7.0, "car")]
    log = street(*rows)
    assert xs(build(log[3])) == [[0, 7, 0, 9]]
    assert xs(build(log[3], agents={"select": "trailing"})) == [[0, 0, 0, 9]]
    assert xs(build(log[3], agents={"select": "ever"})) == [[1, 2, 0, 0], [0, 7, 0, 9]]
    assert build(log[3], agents={"select": "ever"})["agent_label_index"][:2].tolist() == [-1, 0]


def test_one_track_id_in_two_classes_is_two_agents_and_in_one_class_one() -> None:
    log = street((2, "1", 1.0, "car"), (3, "1", 2.0, "truck"), (3, "1", 3.0, "pedestrian"))
    assert xs(build(log[3])) == [[0, 0, 1, 2]]
    classes = [{"name": "vehicle", "of": ["car", "truck"]}, "pedestrian"]
    assert xs(build(log[3], agents={"classes": classes})) == [[0, 0, 1, 2], [0, 0, 0, 3]]
    assert xs(build(log[3], agents={"classes": ["car", "truck"]})) == [[0, 0, 0, 2]]


def test_a_class_may_be_all_that_begins_with_a_word() -> None:
    log = street((3, "1", 1.0, "vehicle.car"), (3, "2", 2.0, "vehicle.bus.rigid"), (3, "3", 3.0, "human.adult"))
    classes = [{"name": "bus", "of": ["vehicle.bus.*"]}, {"name": "other", "of": ["vehicle.*", "nothing"]}]
    got = build(log[3], agents={"classes": classes})
    assert got["agent_type"][:3].tolist() == [1, 0, -1]


def test_boxes_without_a_track_id_are_agents_of_one_step() -> None:
    log = street((2, "", 1.0, "car"), (3, "", 2.0, "car"), (3, "", 3.0, "car"))
    assert xs(build(log[3])) == [[0, 0, 0, 2], [0, 0, 0, 3]]


def test_those_beyond_the_radius_the_range_and_the_number_are_left_out() -> None:
    log = street(*((3, str(k), 10.0 * k, "car") for k in range(6)))
    assert [row[-1] for row in xs(build(log[3], agents={"radius": 30}))] == [0, 10, 20, 30]
    assert [row[-1] for row in xs(build(log[3], agents={"range": [10, -1, 30, 1]}))] == [10, 20]
    builder = InputBuilder(NAMES, params={"agents": {"max_agents": 2, "num_steps": 4, "classes": ALL}})
    tensors = builder.build(log[3])
    assert [row[-1] for row in xs(tensors)] == [0, 10]
    assert tensors.dropped["agents over max_agents"] == 4


def test_what_is_not_known_of_a_box_spoils_only_that() -> None:
    """NaN velocities come from places; a box that is not finite is not there; a track that ends has no velocity."""
    boxes = np.array([[3, 0, 0, 4, 2, 1.5, 0], [np.nan, 0, 0, 4, 2, 1.5, 0]])
    ids = np.array(["a", "b"])
    times = T0 + STEP * np.arange(2)
    labels = []
    for k, t in enumerate(times.tolist()):
        moved = boxes + np.array([k, 0, 0, 0, 0, 0, 0])
        labels.append(Labels(t, moved, ids, ids, np.full((2, 2), np.nan)))
    got = build(memory_log(labels=labels, times_ns=times)[1], agents={"num_steps": 2})
    assert got["agent_num"] == 1
    assert got["agent_history"][0, :, 5].tolist() == [10, 10]
    alone = build(memory_log(labels=labels[1:], times_ns=times)[1], agents={"num_steps": 2})
    assert alone["agent_history"][0, :, 5].tolist() == [0, 0]


def test_numbers_that_do_not_fit_into_float32_are_not_known() -> None:
    """A box with such a number is not there; such a velocity comes from places."""
    boxes = np.array([[3, 0, 0, 4, 2, 1.5, 0], [1e39, 0, 0, 4, 2, 1.5, 0], [5, 0, 0, 1e39, 2, 1.5, 0]])
    ids, times = np.array(["a", "b", "c"]), T0 + STEP * np.arange(3)
    velocity = np.array([[1e39, 0], [0, 0], [0, 0]])
    labels = [Labels(t, boxes, ids, ids, velocity) for t in times.tolist()]
    columns = ["x", "y", "z", "vx", "ax", "length", "dx"]
    log = memory_log(labels=labels, times_ns=times)
    got = build(log[1], agents={"num_steps": 2, "radius": None}, columns=columns)
    assert got["agent_num"] == 1
    assert np.isfinite(got["agent_history"]).all()
    assert got["agent_history"][0, 1].tolist() == [3, 0, 0, 0, 0, 4, 0]


def test_columns_that_follow_from_others() -> None:
    log = street((0, "a", 1.0, "car"), (2, "a", 3.0, "car"), (3, "a", 6.0, "car"))
    names = ["dx", "observed", "time_lag", "vx", "ax", "yaw", "yaw_rate"]
    got = build(log[3], columns=names)["agent_history"][0].T
    assert got[0].tolist() == [0, 0, 0, 3]
    assert got[1].tolist() == [1, 0, 1, 1]
    assert np.allclose(got[2], [0.3, 0, 0.1, 0])
    assert np.allclose(got[3], [10, 0, 10, 30])
    assert np.allclose(got[4], [0, 0, 0, 200])


def test_a_yaw_rate_takes_the_shorter_way() -> None:
    labels = []
    for k, yaw in enumerate([3.1, -3.1]):
        box = np.array([[5, 0, 0, 4, 2, 1.5, yaw]])
        labels.append(Labels(T0 + k * STEP, box, np.array(["car"]), np.array(["a"])))
    log = memory_log(labels=labels, times_ns=[label.time_ns for label in labels])
    got = build(log[1], agents={"num_steps": 2}, columns=["yaw", "yaw_rate"])["agent_history"][0]
    assert np.allclose(got[:, 1], (2 * np.pi - 6.2) / 0.1, atol=1e-4)


def test_the_layout_may_have_the_steps_first() -> None:
    log = drive()
    plain, turned = build(log[4]), build(log[4], layout="TAF")
    assert np.array_equal(plain["agent_history"].swapaxes(0, 1), turned["agent_history"])
    assert np.array_equal(plain["agent_mask"].T, turned["agent_mask"])
    future = [build(log[4], FUTURE, num_future=3, layout=layout)["gt_trajectory"] for layout in ("ATF", "TAF")]
    assert np.array_equal(future[0].swapaxes(0, 1), future[1])


def test_velocities_may_be_of_the_past_alone() -> None:
    """A label's velocity may know what comes next: nuScenes' are central differences."""
    log = drive()
    found = oracle(log, 4, range(-3, 1))
    for own in found.values():
        for step, (place, heading, _, size, row) in own.items():
            own[step] = (place, heading, np.full(2, np.nan), size, row)
    out, _ = expected(found, ordered(found), range(-3, 1))
    got = build(log[4], agents={"velocity": "past"})["agent_history"]
    assert np.abs(got - out).max() < 1e-3


def test_boxes_that_are_of_no_class_are_reported_with_what_there_is(caplog) -> None:
    log = street((3, "a", 1.0, "Tram"), (3, "b", 2.0, "Cow"))
    builder = InputBuilder(NAMES, params={"agents": {"classes": ["car", "bus"]}})
    for _ in range(2):
        assert builder.build(log[3])["agent_num"] == 0
    assert [record.message for record in caplog.records] == [
        f"memory: frame 3 ({T0 + 3 * STEP}) has 2 boxes, and none is of a class in `classes` (car, bus): its "
        "categories are Cow, Tram (reported once; set `classes` to road_users, which has some of them, or to a list of "
        "those to take)"
    ]


# which labels


def test_a_step_takes_the_labels_nearest_to_it_and_none_of_the_future() -> None:
    """Labels every 200 ms, frames every 100 ms."""
    log = drive(without=(1, 3, 5, 7))
    agents = {"dt": 0.2, "tolerance": 0.1, "num_steps": 3}
    for index, lags in ((4, [0.4, 0.2, 0.0]), (5, [0.5, 0.3, 0.1])):
        got = build(log[index], agents=agents, columns=["time_lag"])
        wanted = np.where(got["agent_mask"] > 0, lags, 0)
        assert np.allclose(got["agent_history"][..., 0], wanted)
        assert got["agent_mask"].any(axis=0).all()
        # the box is one of the frame's own labels, or of none
        assert (got["agent_label_index"].max() >= 0) == (index == 4)
    assert build(log[5], agents={"dt": 0.2, "tolerance": 0.05})["agent_num"] == 0
    # with nothing labelled just before, what comes next is not taken for now
    late = drive(without=(3, 4, 5))
    assert build(late[5], agents={"dt": 0.2, "tolerance": 0.1})["agent_num"] == 0


def test_between_labels_places_may_be_interpolated() -> None:
    rows = [(0, "a", 1.0, "car"), (2, "a", 5.0, "car"), (2, "b", 7.0, "car")]
    labels = [frame.labels for frame in street(*rows) if frame.index in (0, 2)]
    log = memory_log(labels=labels, times_ns=T0 + STEP * np.arange(3))
    agents = {"num_steps": 3, "between": "linear", "tolerance": 0.1}
    got = build(log[2], agents=agents)
    assert xs(got) == [[1, 3, 5], [0, 0, 7]]
    assert got["agent_mask"][:2].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert xs(build(log[2], agents={"num_steps": 3})) == [[1, 0, 5], [0, 0, 7]]


def test_a_log_that_keeps_nothing_has_the_same_agents_between_its_labels() -> None:
    """A label at a step's very time was read twice, for before and after, and their distance in time divided by."""
    plain, bare = drive(without=(1, 3)), drive(without=(1, 3))
    bare.cache = Cache(0)
    agents = {"between": "linear", "tolerance": 0.1}
    one, other = build(plain[4], agents=agents), build(bare[4], agents=agents)
    assert one["agent_mask"].all(axis=1).any()
    for name in NAMES:
        assert np.array_equal(one[name], other[name]), name


def test_what_lies_between_labels_is_moved_with_the_vehicle() -> None:
    """A box that stands in the world, seen from a vehicle that drives and turns."""
    way, stands = poses(4), np.array([FAR[0] + 20, FAR[1] + 5, FAR[2] + 1, 1])
    labels = []
    for k in (0, 2):
        ego_from_world = inverse(way.at(T0 + k * STEP))
        x, y, z = (ego_from_world @ stands)[:3]
        yaw = np.arctan2(ego_from_world[1, 0], ego_from_world[0, 0])
        box = np.array([[x, y, z, 4, 2, 1.5, yaw]])
        labels.append(Labels(T0 + k * STEP, box, np.array(["car"]), np.array(["a"]), np.zeros((1, 2))))
    log = memory_log(labels=labels, poses=way, times_ns=T0 + STEP * np.arange(4))
    got = build(log[2], agents={"num_steps": 3, "between": "linear", "tolerance": 0.1}, columns=["x", "y", "z", "yaw"])
    own = got["agent_history"][0]
    assert got["agent_mask"][0].all()
    assert np.abs(own[:, :3] - (inverse(way.at(T0 + 2 * STEP)) @ stands)[:3]).max() < 1e-5
    assert np.abs(own[:, 3] - own[2, 3]).max() < 1e-5


def test_unrelated_frames_have_no_past_and_no_future() -> None:
    got = build(drive(sequential=False)[4], [*NAMES, *FUTURE])
    assert got["agent_mask"][:, -1].sum() == got["agent_num"] > 0
    assert not got["agent_mask"][:, :-1].any()
    assert not got["gt_trajectory_mask"].any()


def test_a_frame_without_labels_has_no_agents(caplog) -> None:
    log = memory_log(times_ns=T0 + STEP * np.arange(3), poses=poses(3))
    builder = InputBuilder([*NAMES, *FUTURE, "agent_raster"], training=True)
    with caplog.at_level(logging.WARNING):
        for frame in log:
            tensors = builder.build(frame)
    said = [record.message for record in caplog.records]
    assert said == [
        f"memory: frame 0 ({T0}) has no labels: it has no agents, and their masks are 0 (reported once; the param "
        '"required" makes it an error)'
    ]
    assert not tensors["agent_history"].any()
    assert set(tensors["agent_type"].tolist()) == {-1}
    required = InputBuilder(NAMES, params={"agent_history": {"required": True}})
    with pytest.raises(MissingRecord, match=r'has no labels, and the spec requires them \(the param "required"\)'):
        required.build(log[1])


def test_labels_without_boxes_are_no_reason_to_report(caplog) -> None:
    nothing = Labels(T0, np.zeros((0, 7)), np.zeros(0, np.str_), np.zeros(0, np.str_))
    got = build(memory_log(labels=[nothing], times_ns=[T0])[0], agents={"include_ego": "first"})
    assert got["agent_num"] == 1
    assert not caplog.records


def test_labels_are_read_once_and_only_those_of_the_steps() -> None:
    log = drive(30)
    builder = InputBuilder(NAMES, params={"agents": {"num_steps": 4}})
    builder.build(log[20])
    assert log.reads["labels"] == 4
    builder.build(log[21])
    assert log.reads["labels"] == 5


def test_thousands_of_agents_are_sorted_out() -> None:
    labels = [moment(k, n=5000, seed=9) for k in range(3)]
    log = memory_log(labels=labels, poses=poses(3), times_ns=T0 + STEP * np.arange(3))
    found = oracle(log, 2, range(-1, 1))
    got = build(log[2], agents={"num_steps": 2, "max_agents": 300, "radius": None})
    out, mask = expected(found, ordered(found, most=300, radius=1e9), range(-1, 1), most=300)
    assert np.array_equal(got["agent_mask"], mask)
    assert np.abs(got["agent_history"] - out).max() < 2e-5


# agent_raster


def boxes_from_above(log, index, steps, range_m, cell):
    """(steps, Y, X) uint8: which cells' centres are in a box, each asked by itself."""
    x_min, y_min, x_max, y_max = range_m
    x = x_min + (np.arange(round((x_max - x_min) / cell)) + 0.5) * cell
    y = y_min + (np.arange(round((y_max - y_min) / cell)) + 0.5) * cell
    found = oracle(log, index, steps)
    out = np.zeros((len(steps), len(y), len(x)), np.uint8)
    for own in found.values():
        for at, step in enumerate(reversed(steps)):
            if step in own:
                place, (c, s), _, size, _ = own[step]
                dx, dy = x[None] - place[0], y[:, None] - place[1]
                out[at] |= (np.abs(c * dx + s * dy) <= size[0] / 2) & (np.abs(c * dy - s * dx) <= size[1] / 2)
    return out


RANGE = [-40.0, -30.0, 50.0, 35.0]


def raster(frame, dtype="float32", **params):
    tracks = {"num_steps": 3, "classes": ALL, **params.pop("tracks", {})}
    row = {"name": "agent_raster", "dtype": dtype, "shape": ["a", "b", "c"]}
    row["params"] = {"tracks": tracks, "range": RANGE, "cell": 0.5, **params}
    return InputBuilder([row]).build(frame)["agent_raster"]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_cell_is_of_a_box_where_its_centre_is_in_it(dtype) -> None:
    log = drive()
    wanted = boxes_from_above(log, 5, range(-2, 1), RANGE, 0.5)
    got = raster(log[5], dtype)
    assert got.shape == (3, 130, 180)
    assert got.dtype == dtype
    assert np.array_equal(got, wanted)
    assert wanted.any(axis=(1, 2)).all()
    turned = raster(log[5], dtype, bev_layout="XYC", flip_x=True, flip_y=True)
    assert np.array_equal(turned, wanted[:, ::-1, ::-1].transpose(2, 1, 0))


def test_of_an_agent_labelled_twice_only_the_first_box_is_drawn() -> None:
    twice = street((2, "1", 1.0, "car"), (3, "1", 2.0, "car"), (3, "1", 20.0, "car"), (3, "1", -20.0, "truck"))
    once = street((2, "1", 1.0, "car"), (3, "1", 2.0, "car"), (3, "", 2.0, "car"))
    assert np.array_equal(raster(twice[3]), raster(once[3]))
    both = raster(twice[3], tracks={"classes": ["car", "truck"]})
    assert both[0].sum() == 2 * raster(once[3])[0].sum()


def test_a_box_without_a_size_covers_no_cell_not_even_that_of_its_middle() -> None:
    boxes = np.array([[0.25, 0.25, 0, 0, 0, 0, 0], [2.25, 2.25, 0, 4, 0, 0, 0.0]])
    ids = np.array(["a", "b"])
    assert not raster(memory_log(labels=[Labels(T0, boxes, ids, ids)], times_ns=[T0])[0]).any()


def test_the_vehicle_has_channels_of_its_own() -> None:
    log = drive()
    got = raster(log[5], ego=True)
    assert np.array_equal(got[:3], raster(log[5]))
    # 4.87 x 1.85 m about the origin
    now = np.argwhere(got[3])
    assert len(now) == 10 * 4
    assert now.min(axis=0).tolist() == [58, 75]


def test_a_memory_used_again_holds_nothing_of_the_frame_before() -> None:
    log = drive()
    params = {"tracks": {"num_steps": 3}, "range": RANGE}
    builder = InputBuilder(["agent_raster", *NAMES], params={"agent_raster": params})
    for index in (5, 0, 7, 2):
        fresh = InputBuilder(["agent_raster", *NAMES], params={"agent_raster": params}).build(log[index])
        again = builder.build(log[index])
        assert all(np.array_equal(fresh[name], again[name]) for name in fresh)


def test_colours_fade_into_the_past_and_newer_boxes_lie_on_top() -> None:
    """nuScenes' way: the value in HSV grows evenly from 0.4 with the boxes of an agent."""
    log = street((1, "a", 10.0, "car"), (2, "a", 20.0, "car"), (3, "a", 30.0, "car"), (3, "b", -20.0, "truck"))
    classes, colours = ["car", "truck"], [[255, 255, 0], [255, 153, 51], [255, 0, 0]]
    got = raster(log[3], "uint8", tracks={"classes": classes}, ego=True, colours=colours, bev_layout="YXC")

    def at(x):
        return got[60, round((x + 40) / 0.5)].tolist()

    assert [at(10), at(20), at(30)] == [[102, 102, 0], [178, 178, 0], [255, 255, 0]]
    assert at(-20) == [255, 153, 51]
    assert at(0) == [255, 0, 0]
    assert at(40) == [0, 0, 0]
    bright = raster(log[3], tracks={"classes": classes}, ego=True, colours=colours, bev_layout="YXC", fade_from=1)
    assert bright[60, 100].tolist() == [255, 255, 0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"agents": {"dt": 0}}, "dt must be above 0, got 0"),
        ({"agents": {"tolerance": 0.06}}, "tolerance must be at most half of dt, 0.05"),
        ({"agents": {"classes": []}}, "classes must be one or more classes, each once"),
        ({"agents": {"range": [1, 0, 0, 1]}}, "range must be xmin ymin xmax ymax"),
        ({"agents": {"ego_size": [1, -1, 1]}}, "ego_size must be 0 or more"),
        ({"agents": {"max_agents": 0}}, "max_agents must be at least 1"),
        ({"agent_history": {"columns": ["x", "x"]}}, "columns must be one or more names, each once"),
        ({"agent_raster": {"cell": 0}}, "cell must be above 0"),
        ({"agent_raster": {"cell": 1e-3}}, "range and cell give 100000 cells along X"),
        ({"agent_raster": {"colours": []}}, "colours must be 3, one for each class, got 0"),
        ({"agent_raster": {"colours": [[0, 0, 256]] * 3}}, "colours must be from 0 to 255"),
        ({"agent_raster": {"fade_from": 2}}, "fade_from must be at most 1"),
        ({"gt_trajectory": {"dt": -1}}, "dt must be above 0"),
        (
            {"agents": {"dt": 0.5, "tolerance": 0.25}, "gt_trajectory": {"dt": 0.1}},
            "tolerance must be at most half of dt, 0.05, .* one label would be of two steps",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(params, message) -> None:
    with pytest.raises(SpecError, match=message):
        InputBuilder(["agent_history", "agent_raster", "gt_trajectory"], params=params, training=True)


def test_trajectories_of_other_agents_are_refused() -> None:
    with pytest.raises(SpecError, match="agents"):
        InputBuilder(
            ["agent_history", "gt_trajectory"], params={"agent_history": {"agents": {"max_agents": 3}}}, training=True
        )


@pytest.mark.parametrize("odd", [np.nan, np.inf, 1e39, -3e38, 1e20])
def test_labels_beyond_all_measure_are_left_out_counted_and_in_no_tensor(odd) -> None:
    """A speed of 1e39 m/s was infinite in float32, and so was the change of one of 3e38."""
    columns = ["x", "y", "yaw", "vx", "vy", "ax", "ay", "yaw_rate", "height", "dx"]
    params = {"agent_history": {"columns": columns}, "gt_trajectory": {"num_future": 2, "columns": ["x", "vx", "dx"]}}
    agents = {"classes": ALL, "num_steps": 3, "velocity": "labels", "max_agents": 20, "radius": None}
    params = {name: {**own, "agents": agents} for name, own in params.items()}
    broken = moment(3)
    broken.boxes[1, 5], broken.boxes[2, 0], broken.velocity[3, 0] = odd, odd, odd
    log = memory_log(
        labels=[broken if k == 3 else moment(k) for k in range(6)], poses=poses(6), times_ns=T0 + STEP * np.arange(6)
    )
    built = InputBuilder([*NAMES, "agent_raster", *FUTURE], params=params, training=True).build(log[3])
    for name, array in built.items():
        assert np.isfinite(array).all(), name
    assert built["agent_num"].item() == len(broken) - 2
    assert built.dropped["agents' boxes with broken numbers"] == 2
