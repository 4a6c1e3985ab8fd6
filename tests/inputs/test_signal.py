"""Signals: what a vehicle reports of itself over time; read once, cut, interpolated, and kept by stores."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from perceptum.convert import convert
from perceptum.datasets import memory_log, open_log
from perceptum.inputs import BrokenRecord, Log, LogError, MissingRecord, Signal

T0 = 1_700_000_000_000_000_001
TEN_MS = 10_000_000
SMALL = "synthetic:frames=3,seed=2,beams=4,azimuth_steps=32,image_size=32x24"


def signal(n=5, name="can/speed", **more):
    rows = np.arange(n, dtype=np.float64)
    columns = {"speed": rows, "velocity": np.outer(rows, [1.0, 0.5, 0.0])}
    more = {"measures": {"velocity": "velocity"}, "ego_from_sensor": np.eye(4), **more}
    return Signal(name, T0 + TEN_MS * np.arange(n), columns, {"speed": "m/s"}, **more)


def test_a_signal_is_read_only_and_says_what_it_holds():
    found = signal()
    assert len(found) == 5
    assert repr(found) == f"<Signal can/speed: 5 messages of speed velocity from {T0} to {T0 + 4 * TEN_MS} ns>"
    with pytest.raises(ValueError, match="read-only"):
        found.columns["speed"][0] = 1
    with pytest.raises(ValueError, match="read-only"):
        found.times_ns[0] = 1
    assert np.array_equal(pickle.loads(pickle.dumps(found)).columns["velocity"], found.columns["velocity"])


def test_times_stay_int64_to_the_last_nanosecond():
    found = signal()
    part = found.between(T0 + TEN_MS, T0 + 3 * TEN_MS)
    assert part.times_ns.dtype == np.int64
    assert part.times_ns.tolist() == [T0 + k * TEN_MS for k in (1, 2, 3)]
    assert part.columns["speed"].base is not None
    assert len(found.between(T0 + TEN_MS + 1, T0 + 2 * TEN_MS - 1)) == 0
    assert len(found.between(T0 + TEN_MS, T0)) == 0


def test_a_value_is_between_the_messages_around_it_or_one_of_them():
    found = signal()
    between = T0 + TEN_MS + TEN_MS // 4
    assert found.at(between, "speed") == pytest.approx(1.25, abs=1e-12)
    assert found.at(between, "velocity").tolist() == pytest.approx([1.25, 0.625, 0])
    assert found.at(between, "speed", "before") == 1
    assert found.at(between, "speed", "after") == 2
    # at a message's own time: that one, and the first that is later
    assert found.at(T0 + TEN_MS, "speed") == 1
    assert found.at(T0 + TEN_MS, "speed", "before") == 1
    assert found.at(T0 + TEN_MS, "speed", "after") == 2
    # beyond the ends
    assert found.at(T0 - 1, "speed", "before") is None
    assert found.at(T0 - 5, "speed") == 0
    assert found.at(T0 + 10 * TEN_MS, "speed", "after") == 4
    assert found.at(T0 + 10 * TEN_MS, "speed", tolerance_ns=TEN_MS) is None
    assert found.at(T0 + 10 * TEN_MS, "speed", "after", tolerance_ns=TEN_MS) is None
    assert found.at(T0 + 5 * TEN_MS, "speed", tolerance_ns=TEN_MS) == 4
    with pytest.raises(LogError, match="can/speed: no column 'sped'; the columns are speed, velocity"):
        found.at(T0, "sped")


def test_between_two_messages_that_are_too_far_apart_only_the_near_one_counts():
    sparse = Signal("s", np.array([0, 1_000], dtype=np.int64), {"v": np.array([1.0, 3.0])})
    assert sparse.at(100, "v", tolerance_ns=200) == 1
    assert sparse.at(900, "v", tolerance_ns=200) == 3
    assert sparse.at(500, "v", tolerance_ns=200) is None
    assert sparse.at(500, "v") == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"times_ns": np.array([1.0, 2.0])}, "times_ns is float64"),
        ({"times_ns": np.array([2, 2], dtype=np.int64)}, "its times must increase: 2 ns is followed by 2 ns"),
        ({"columns": {"v": np.zeros(3)}}, "column v is float64 (3,), wanted (2,) or (2, k) float64"),
        ({"columns": {"v": np.zeros(2, dtype=np.float32)}}, "column v is float32"),
        ({"columns": {"v": np.array([1.0, np.nan])}}, "column v has numbers that are not finite"),
        ({"measures": {"steering": "w"}}, "steering is its column 'w' (2,); the columns are v"),
        ({"measures": {"velocity": "v"}}, "velocity is its column 'v' (2, 3)"),
        ({"measures": {"speed": "v"}}, "measures 'speed', wanted one of velocity, acceleration"),
        (
            {"columns": {"v": np.zeros((2, 3))}, "measures": {"velocity": "v"}},
            "velocity has three axes, so ego_from_sensor must say which",
        ),
    ],
)
def test_what_is_no_signal_is_refused(change, said):
    given = {"name": "s", "times_ns": np.array([1, 2], dtype=np.int64), "columns": {"v": np.zeros(2)}} | change
    with pytest.raises(BrokenRecord) as error:
        Signal(**given)
    assert said in str(error.value)


def test_broken_messages_leave_gaps_and_are_listed():
    times = np.array([1, 2, 2, 9, 3, 4, 5], dtype=np.int64)
    values = np.array([0, np.nan, 2, 3, 4, 5, np.inf])
    found = Signal.leaving_gaps(
        "s", times, {"v": values, "never": np.full(7, np.nan)}, source="file", broken=["a line"]
    )
    assert found.times_ns.tolist() == [1, 2, 3, 4]
    assert found.columns["v"].tolist() == [0, 2, 4, 5]
    assert list(found.columns) == ["v"]
    assert found.broken == (
        "a line",
        "file: column never is not finite in any of the 7 messages",
        "file: message 1 at 2 ns has a v that is not finite",
        "file: message 6 at 5 ns has a v that is not finite",
        "file: the time of message 3, 9 ns, is repeated or out of order",
    )
    with pytest.raises(BrokenRecord, match="file: has no messages"):
        Signal.leaving_gaps("s", times[:0], {"v": values[:0]}, source="file")


def test_a_log_reads_a_signal_when_it_is_asked_for_and_once():
    log = memory_log(times_ns=[T0, T0 + TEN_MS], signals=[signal(), signal(name="other")])
    assert log.signals == ("can/speed", "other")
    assert log.reads == {}
    assert log.signal("can/speed") is log.signal("can/speed")
    assert log.reads == {"signal/can/speed": 1}
    assert log.skipped == []
    part = log[1].signal("can/speed", before_s=0.005, after_s=0.02)
    assert part.times_ns.tolist() == [T0 + k * TEN_MS for k in (1, 2, 3)]
    assert len(log[0].signal("can/speed", float("inf"), float("inf"))) == 5
    assert len(pickle.loads(pickle.dumps(log)).signal("other")) == 5


def test_a_signal_that_is_not_there_is_named_also_where_broken_ones_are_skipped():
    for on_error in ("raise", "skip"):
        log = Log(memory_log(times_ns=[T0], signals=[signal()]).source, on_error=on_error)
        with pytest.raises(MissingRecord, match="memory: no signal 'can'; the log has can/speed"):
            log.signal("can")
    with pytest.raises(MissingRecord, match="no signal 'can'; the log has none"):
        memory_log(times_ns=[T0])[0].signal("can")


def test_what_a_signal_leaves_out_is_among_what_the_log_skipped():
    made = Signal.leaving_gaps("s", np.array([1, 1], dtype=np.int64), {"v": np.zeros(2)}, source="file")
    log = memory_log(times_ns=[1], signals=[made])
    assert log.skipped == []
    log.signal("s")
    log.signal("s")
    assert log.skipped == ["signal s: file: the time of message 1, 1 ns, is repeated or out of order"]


def test_memory_logs_take_signals_and_nothing_else():
    with pytest.raises(LogError, match=r"signals\[0\] is a dict, wanted a Signal"):
        memory_log(times_ns=[1], signals=[{}])
    with pytest.raises(LogError, match="signals: two have the name 'can/speed'"):
        memory_log(times_ns=[1], signals=[signal(), signal()])


class Strange:
    """A source of others, whose signals are not as they should be."""

    def __init__(self, of, signals, given=None):
        self._of, self.signals, self._given = of, signals, given

    def __getattr__(self, name):
        return getattr(self._of, name)

    def read_signal(self, name):
        return self._given


def test_what_others_call_a_signal_is_checked():
    source = memory_log(times_ns=[1]).source
    with pytest.raises(LogError, match="the source's `signals` must be a dict"):
        _ = Log(Strange(source, ["s"])).signals
    with pytest.raises(LogError, match=r"read_signal\('s'\) gave a dict, wanted a Signal"):
        Log(Strange(source, {"s": ()}, {})).signal("s")


def test_a_store_keeps_signals_to_the_last_bit(tmp_path):
    one, other = open_log(SMALL), open_log(convert(SMALL, tmp_path / "drive").path)
    assert one.signals == other.signals == ("vehicle",)
    assert dict(one.source.signals) == dict(other.source.signals)
    a, b = one.signal("vehicle"), other.signal("vehicle")
    assert a.times_ns.tobytes() == b.times_ns.tobytes()
    assert list(a.columns) == list(b.columns)
    for column, values in a.columns.items():
        assert values.tobytes() == b.columns[column].tobytes()
    assert (a.units, a.measures, a.frame, a.broken) == (b.units, b.measures, b.frame, b.broken)
    assert np.array_equal(a.ego_from_sensor, b.ego_from_sensor)
    assert pickle.loads(pickle.dumps(other)).signals == ("vehicle",)


def test_a_store_keeps_any_name_and_what_was_left_out(tmp_path):
    made = Signal.leaving_gaps("/imu/data 1", np.array([5, 5], dtype=np.int64), {"a/b": np.zeros((2, 4))}, source="f")
    log = memory_log(times_ns=[5], signals=[made, signal()])
    again = open_log(convert(log, tmp_path / "drive").path)
    assert again.signals == ("/imu/data 1", "can/speed")
    found = again.signal("/imu/data 1")
    assert (found.broken, found.columns["a/b"].shape, found.measures) == (made.broken, (1, 4), {})
    assert again.signal("can/speed").ego_from_sensor.tolist() == np.eye(4).tolist()
    assert made.broken[0] in again.source.index.about["skipped"][0]


def test_a_store_without_signals_has_none(tmp_path):
    log = memory_log(times_ns=[5])
    assert open_log(convert(log, tmp_path / "drive").path).signals == ()


def test_a_cut_table_of_signals_is_a_broken_record(tmp_path):
    folder = convert(SMALL, tmp_path / "drive").path
    table = tmp_path / "drive" / "signals.arrow"
    table.write_bytes(table.read_bytes()[:200])
    with pytest.raises(BrokenRecord, match=r"signals.arrow: not a complete Arrow file"):
        open_log(folder).signal("vehicle")
