"""Signals of recordings: inertial units and the velocities of odometry, in whatever container."""

from __future__ import annotations

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.inputs import BrokenRecord

CONTAINERS = ("mcap", "bag", "sqlite")


def rows_of(names, change=None):
    """A drive with an inertial unit at 100 Hz, and odometry; the unit looks to the left."""

    def made(maker):
        rows = names.drive(maker)
        mount = maker.transform(names.FIRST_NS, "base_link", "imu", (0.5, 0, 1), (np.sqrt(0.5), 0, 0, np.sqrt(0.5)))
        rows.append(("/tf_static", names.FIRST_NS - 4 * names.STEP_NS, maker.tf(mount)))
        for k in range(40):
            time_ns = names.FIRST_NS + k * 10_000_000
            own = maker.imu(time_ns, (0.01 * k, -2.0, 9.8), (0, 0, 0.1), unknown=("orientation",))
            rows.append(("/imu/data", time_ns + 3_000_000, own))
            twist = {"linear": (8.0, 0.1 * k, 0), "angular": (0, 0, 0.1)}
            rows.append(("/odom", time_ns + 5_000_000, maker.odometry(time_ns, (k, 0, 0), **twist)))
        return sorted(change(maker, rows) if change else rows, key=lambda row: row[1])

    return made


@pytest.fixture
def recorded(made, tmp_path):
    names = made("recording")

    def record(change=None, **options):
        path = names.write_mcap(tmp_path / "drive.mcap", rows_of(names, change)(names.Maker()))
        return open_log(path, **options)

    return record


def test_inertial_units_and_odometry_are_signals_by_their_topics(recorded, made):
    log, first = recorded(), made("recording").FIRST_NS
    assert log.signals == ("/imu/data", "/odom")
    assert log.reads == {}
    imu, odometry = log.signal("/imu/data"), log.signal("/odom")
    # stamped when it was measured, not when it was recorded
    assert imu.times_ns.tolist() == [first + k * 10_000_000 for k in range(40)]
    assert list(imu.columns) == ["linear_acceleration", "angular_velocity"]
    assert imu.columns["linear_acceleration"][3].tolist() == pytest.approx([0.03, -2, 9.8])
    assert imu.measures == {"specific_force": "linear_acceleration", "angular_rate": "angular_velocity"}
    np.testing.assert_allclose(
        imu.ego_from_sensor, [[0, -1, 0, 0.5], [1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]], atol=1e-9
    )
    assert (imu.frame, odometry.frame) == ("imu", "base_link")
    assert odometry.columns["linear_velocity"][3].tolist() == pytest.approx([8, 0.3, 0])
    assert odometry.columns["position"][3].tolist() == [3, 0, 0]
    assert odometry.measures == {"velocity": "linear_velocity", "angular_rate": "angular_velocity"}


def test_they_become_the_state_of_the_ego(recorded):
    columns = ["velocity_x", "velocity_y", "acceleration_x", "acceleration_y", "acceleration_z", "angular_rate_z"]
    params = {"ego_state": {"columns": columns, "source": "signals"}}
    log = recorded()
    frame = log[1]
    tensors = InputBuilder(["ego_state", "ego_state_valid"], params=params).build(frame)
    assert tensors["ego_state_valid"].all()
    k = (frame.time_ns - log[0].time_ns) / 10_000_000
    # turned from the unit to the ego, less gravity and what turning does half a metre ahead: w^2 r = 0.005
    wanted = [8, 0.1 * k, 2.0 + 0.005, 0.01 * k, 9.8 - 9.80665, 0.1]
    np.testing.assert_allclose(tensors["ego_state"], wanted, atol=1e-5)


def test_a_log_by_the_recorders_clock_has_its_signals_by_it(recorded, made):
    found = recorded(clock="log").signal("/imu/data")
    assert found.times_ns[0] == made("recording").FIRST_NS + 3_000_000


def broken(maker, rows):
    """One message of each kind of fault: a number, a stamp, its length, and a time that was there."""
    found = [k for k, row in enumerate(rows) if row[0] == "/imu/data"]
    time_ns = rows[found[0]][1] - 3_000_000
    for k, message in (
        (2, maker.imu(time_ns + 20_000_000, (np.nan, 0, 0), (0, 0, 0), unknown=("orientation",))),
        (3, maker.imu(0, (1, 0, 0), (0, 0, 0), unknown=("orientation",))),
        (4, ("sensor_msgs/msg/Imu", maker.encode(rows[found[4]][2])[:60])),
        (5, maker.imu(time_ns + 10_000_000, (1, 0, 0), (0, 0, 0), unknown=("orientation",))),
    ):
        rows[found[k]] = (*rows[found[k]][:2], message)
    return rows


def test_broken_messages_leave_gaps(recorded):
    log = recorded(broken)
    assert len(log.signal("/imu/data")) == 36
    assert len(log.skipped) == 4
    for said in (
        "not complete",
        "the stamp 0, which was never set",
        "linear_acceleration that is not finite",
        "repeated",
    ):
        assert any(said.replace("not complete", "are not a complete") in line for line in log.skipped), said


def test_a_unit_that_no_transform_places_measures_nothing_in_the_ego_frame(recorded):
    def elsewhere(maker, rows):
        return [row for row in rows if row[0] != "/imu/data"] + [
            ("/imu/data", row[1], maker.imu(row[1], (0, 0, 9.8), (0, 0, 0), frame="nowhere"))
            for row in rows
            if row[0] == "/imu/data"
        ]

    found = recorded(elsewhere).signal("/imu/data")
    assert (found.measures, found.ego_from_sensor, found.frame) == ({}, None, "nowhere")
    assert found.columns["orientation"][0].tolist() == [0.8, 0, 0, 0.6]


def changed(names, **fields):
    """Writes all messages of the inertial unit again, with a stamp or frame from their number."""

    def change(maker, rows):
        own = [k for k, row in enumerate(rows) if row[0] == "/imu/data"]
        for number, k in enumerate(own):
            stamp, frame = (fields.get(name, lambda number: None)(number) for name in ("stamp", "frame"))
            stamp = names.FIRST_NS + 10_000_000 * number if stamp is None else stamp
            message = maker.imu(stamp, (1, 0, 9.8), (0, 0, 0), frame="imu" if frame is None else frame)
            rows[k] = (*rows[k][:2], message)
        return rows

    return change


def test_messages_of_another_frame_are_left_out_and_said(recorded, made):
    log = recorded(changed(made("recording"), frame=lambda number: "" if number == 3 else "imu"))
    found = log.signal("/imu/data")
    assert (len(found), found.frame) == (39, "imu")
    assert set(found.measures) == {"specific_force", "angular_rate"}
    assert [line for line in log.skipped if "is in the frame ''" in line and "most are in 'imu'" in line]


@pytest.mark.parametrize("stamp", [0, 1_700_000_000_000_000_000])
def test_a_topic_whose_stamps_were_never_set_is_refused(recorded, made, stamp):
    log = recorded(changed(made("recording"), stamp=lambda number: stamp))
    said = "which was never updated; read the log by the times" if stamp else "has the stamp 0, which was never set"
    with pytest.raises(BrokenRecord, match=said):
        log.signal("/imu/data")
    assert len(recorded(changed(made("recording"), stamp=lambda number: stamp), clock="log").signal("/imu/data")) == 40


def test_an_odometry_without_a_child_measures_in_the_ego_frame(recorded):
    def nameless(maker, rows):
        for _, _, message in rows:
            if hasattr(message, "child_frame_id"):
                message.child_frame_id = ""
        return rows

    found = recorded(nameless).signal("/odom")
    assert found.measures == {"velocity": "linear_velocity", "angular_rate": "angular_velocity"}
    np.testing.assert_array_equal(found.ego_from_sensor, np.eye(4))


def test_a_topic_of_broken_messages_alone_is_broken(recorded):
    def all_cut(maker, rows):
        return [
            (topic, log_ns, ("sensor_msgs/msg/Imu", b"\0\1\0\0") if topic == "/imu/data" else message)
            for topic, log_ns, message in rows
        ]

    with pytest.raises(BrokenRecord, match=r"/imu/data at .* are not a complete sensor_msgs/msg/Imu"):
        recorded(all_cut).signal("/imu/data")


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gives_the_same(container, made, tmp_path, recorded):
    names = made("recording")
    wanted = recorded()
    path = names.write_as(container, tmp_path, rows_of(names))
    log = open_log(path)
    assert log.signals == wanted.signals
    for name in log.signals:
        one, other = log.signal(name), wanted.signal(name)
        assert np.array_equal(one.times_ns, other.times_ns)
        assert list(one.columns) == list(other.columns)
        assert all(np.array_equal(values, other.columns[column]) for column, values in one.columns.items())


@pytest.mark.data
def test_a_real_inertial_unit(request):
    from pathlib import Path

    path = Path(__file__).parents[3] / "shared" / "data" / "robot_logs" / "os1_first_scan.mcap"
    if not path.exists():
        pytest.skip("the real data does not ship: no shared/data/robot_logs beside the repository")
    found = open_log(path).signal("/os1_cloud_node/imu")
    assert len(found) == 9
    # a unit at rest: gravity, upwards
    assert np.abs(np.linalg.norm(found.columns["linear_acceleration"], axis=1) - 9.8).max() < 0.6
    # its driver says that it measured no orientation
    assert "orientation" not in found.columns
    np.testing.assert_allclose(found.ego_from_sensor[:3, 3], [0.006253, -0.011775, 0.007645])
