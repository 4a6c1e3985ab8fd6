"""bench: a line per tensor and one for all, the builders taking turns on frames that are read already."""

from __future__ import annotations

import pytest

import perceptum as pc
from perceptum import bench
from perceptum.builders import Tensors
from perceptum.features import Row
from perceptum.inputs import Frame

SMALL = "synthetic:frames=3,beams=16,azimuth_steps=300"
NAMES = ["lidar_points", "ego_pose"]


@pytest.fixture
def frames() -> list[Frame]:
    return list(pc.open_log(SMALL).frames())


def test_there_is_a_line_per_tensor_and_one_for_all(frames):
    lines = bench.measure_builder(frames, NAMES, rounds=2)
    assert [line["tensors"] for line in lines] == ["lidar_points", "ego_pose", "all 2"]
    for line in lines:
        assert 0 < line["least ms"] <= line["median ms"]
        # both are rounded
        assert 1e3 / line["frames/s"] == pytest.approx(line["median ms"], abs=0.001)


def test_without_a_spec_every_feature_is_measured_and_targets_in_training_only():
    inputs = [name for name, feature in pc.features().items() if not feature.target]
    assert bench.rows_of_all(training=False) == inputs
    assert bench.rows_of_all(training=True) == list(pc.features())


def test_without_a_spec_all_features_are_measured_together(frames):
    lines = bench.measure_builder(frames[:1], None, rounds=1)
    names = bench.rows_of_all(training=False)
    assert [line["tensors"] for line in lines] == [*names, f"all {len(names)}"]


def test_rows_of_every_form_are_named_by_their_name(frames):
    row = {"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}
    lines = bench.measure_builder(frames[:1], ["reference_stamp", row], rounds=1)
    assert [line["tensors"] for line in lines] == ["reference_stamp", "ego_pose", "all 2"]
    lines = bench.measure_builder(frames[:1], [Row.of(row)], rounds=1)
    assert [line["tensors"] for line in lines] == ["ego_pose"]


@pytest.fixture
def builds(monkeypatch) -> list[tuple[str, int]]:
    """What is built, in order: (number of rows, frame)."""
    done = []

    class Counting(pc.InputBuilder):
        def __init__(self, rows, **options):
            super().__init__(rows, **options)
            self.told = "+".join(row if isinstance(row, str) else row["name"] for row in rows)

        def build(self, frame, draw=None):
            done.append((self.told, frame.index))
            return super().build(frame)

    monkeypatch.setattr(bench, "InputBuilder", Counting)
    return done


def test_the_builders_take_turns_on_every_frame(frames, builds):
    bench.measure_builder(frames, NAMES, rounds=2)
    one_round = [(name, index) for index in range(3) for name in ("lidar_points", "ego_pose", "lidar_points+ego_pose")]
    # and one round before those that count
    assert builds == one_round * 3


def test_the_first_round_does_not_count(frames, monkeypatch):
    now_s, took_s = [0.0], iter([9.0] * 9 + [0.001, 0.001, 0.002] * 3)

    class Slow(pc.InputBuilder):
        def build(self, frame, draw=None):
            now_s[0] += next(took_s)
            return Tensors({}, once_s={"loading kernels": 8.0} if now_s[0] == 9.0 else {})

    monkeypatch.setattr(bench, "InputBuilder", Slow)
    monkeypatch.setattr(bench, "perf_counter", lambda: now_s[0])
    one, _, everything = bench.measure_builder(frames, ["ego_pose", "reference_stamp"], rounds=1)
    assert (one["median ms"], one["least ms"], one["frames/s"]) == (1.0, 1.0, 1000.0)
    assert (everything["median ms"], everything["frames/s"]) == (2.0, 500.0)
    first = [(line["first ms"], line["of it loading"], line["of it compiling"]) for line in (one, everything)]
    assert first == [(9000.0, 8000.0, 0.0), (9000.0, 0.0, 0.0)]


def test_records_are_read_before_the_clock_starts(frames, builds):
    log = frames[0].log
    assert not log.reads
    bench.measure_builder(frames, ["lidar_points"], rounds=1)
    assert log.reads["lidar/LIDAR_TOP"] == len(frames)


def test_the_rounds_are_tracked(frames):
    seen = []

    def track(items, what, total):
        for item in items:
            seen.append((what, total))
            yield item

    bench.measure_builder(frames[:1], ["ego_pose"], rounds=4, track=track)
    assert seen == [("measuring", 5)] * 5


def test_the_command_says_what_was_measured(command):
    done = command("bench", SMALL, "--spec", "ego_pose", "--frames", ":2", "--rounds", 1, "--threads", 2)
    assert done.status == 0
    said = "synthetic(frames=3, seed=0): 2 frames, 1 round, 2 threads; frame 0 (000000) to frame 1 (000001)"
    assert said in " ".join(done.out.split())
    assert "ego_pose" in done.out


def test_the_command_needs_no_log(command):
    lines = command("bench", "--spec", "ego_pose", "--rounds", 1, "--json").json
    assert [line["tensors"] for line in lines] == ["ego_pose"]


def test_a_package_is_measured_by_what_it_asks_for(command, bev_detector):
    lines = command("bench", SMALL, "--spec", bev_detector, "--rounds", 1, "--json").json
    assert [line["tensors"] for line in lines] == ["lidar_bev_occupancy", "lidar_bev_stats", "all 2"]
