"""A log and a package in, answers out: told as a table or JSON, or written."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

import perceptum as pc
from perceptum.inference import Times, run_model
from perceptum.results import read_results

SMALL = "synthetic:frames=3,beams=16,azimuth_steps=300"
# says more of each frame than of the one before, and nothing at all in `late` at first
SOURCE = """
seen = []
def model(reference_stamp):
    n = len(seen)
    seen.append(n)
    found = {
        "boxes": np.full((n, 7), n / 3, np.float32),
        "scores": np.linspace(0, 1, n, dtype=np.float32),
        "names": np.array(["car", "Fußgänger"][:n], dtype=np.str_),
        "stamp": np.array(int(np.max(reference_stamp)), np.int64),
    }
    return found | ({"late": np.full((1, 2), np.nan)} if n else {})
"""
OUTPUTS = [
    {"name": "boxes", "dtype": "float32", "shape": ["n", 7]},
    {"name": "scores", "dtype": "float32", "shape": ["n"]},
    {"name": "names", "dtype": "string", "shape": ["n"]},
    {"name": "stamp", "dtype": "int64", "shape": []},
    {"name": "late", "dtype": "float64", "shape": [1, 2]},
]


@pytest.fixture
def counting(code_package) -> Path:
    shape = list(pc.features()["reference_stamp"].shape)
    dtype = pc.features()["reference_stamp"].dtypes[0]
    inputs = [{"name": "reference_stamp", "dtype": dtype, "shape": shape}]
    return code_package(SOURCE, OUTPUTS, inputs=inputs, name="counting model")


def test_what_is_written_is_what_the_model_said(command, counting):
    done = command("infer", SMALL, counting, "--trust", "--out", "r.arrow")
    assert done.status == 0
    rows = list(read_results("r.arrow"))
    log = pc.open_log(SMALL)
    own = [(row["frame"], row["frame_id"], row["time_ns"]) for row in rows]
    assert own == [(f.index, f.id, f.time_ns) for f in log]
    for n, row in enumerate(rows):
        np.testing.assert_array_equal(row["boxes"], np.full((n, 7), n / 3, np.float32))
        np.testing.assert_array_equal(row["scores"], np.linspace(0, 1, n, dtype=np.float32))
        assert [row[name].dtype.str for name in ("boxes", "scores", "stamp")] == ["<f4", "<f4", "<i8"]
        assert row["names"].tolist() == ["car", "Fußgänger"][:n]
        assert row["stamp"].shape == ()
        assert row["late"] is None if n == 0 else np.isnan(row["late"]).all()
    assert [p.name for p in Path().iterdir()] == ["r.arrow"]


def test_the_table_has_a_line_per_frame_and_a_gap_where_an_output_is_absent(command, counting):
    done = command("infer", SMALL, counting, "--trust")
    assert (done.status, done.err) == (0, "")
    assert "counting model (python) on synthetic(frames=3, seed=0)" in done.out
    lines = [line for line in done.out.splitlines() if line.startswith("│")]
    assert [("(1, 2) float64" in line) for line in lines] == [False, True, True]
    assert [f"({n}, 7) float32" in line for n, line in enumerate(lines)] == [True] * 3
    assert "3 frames: reading and building " in done.out
    assert "written to" not in done.out


def test_the_json_tells_shapes_and_times(command, counting):
    told = command("infer", SMALL, counting, "--trust", "--frames", "::2", "--out", "r.arrow", "--json").json
    assert {k: told[k] for k in ("model", "platform", "log", "frames", "out")} == {
        "model": "counting model",
        "platform": "python",
        "log": "street-0",
        "frames": 2,
        "out": "r.arrow",
    }
    assert all(told[f"{what}_ms"] >= told[f"{what}_ms_min"] > 0 for what in ("build", "infer"))
    assert [row["frame"] for row in told["outputs"]] == [0, 2]
    assert [row["boxes"] for row in told["outputs"]] == ["(0, 7) float32", "(1, 7) float32"]


def test_what_only_the_first_frame_takes_is_shown_apart(command, counting):
    told = command("infer", SMALL, counting, "--trust", "--json").json
    assert told["load_ms"] > 0
    assert told["first"].keys() == {"build_ms", "of_which_ms", "infer_ms"}
    assert told["first"]["build_ms"] > sum(told["first"]["of_which_ms"].values())
    *_, first, last = command("infer", SMALL, counting, "--trust").out.splitlines()
    assert re.fullmatch(
        r"loading the model [\d.]+ ms; first frame: reading and building [\d.]+ ms(, of which .*)?; infer [\d.]+ ms",
        first,
    )
    assert re.fullmatch(r"3 frames: reading and building [\d.]+ ms, infer [\d.]+ ms \(medians\)", last)


def test_kernels_that_are_loaded_are_in_no_frames_time():
    times = Times()
    times.add(0.287, 0.004, {"loading kernels": 0.280, "compiling kernels": 0.004})
    once = {"loading kernels": 280.0, "compiling kernels": 4.0}
    first = {"build_ms": 287.0, "of_which_ms": once, "infer_ms": 4.0}
    assert times.summary()["first"] == first
    assert times.summary()["build_ms"] == pytest.approx(3.0)
    for _ in range(3):
        times.add(0.002, 0.001, {})
    assert (times.summary()["first"], times.summary()["build_ms"]) == (first, 2.0)


def test_one_frame_is_spoken_of_as_one(command, counting):
    done = command("infer", SMALL, counting, "--trust", "--frames", 1, "--out", "r.arrow")
    assert "1 frame: reading and building " in done.out
    assert " ms (first calls); written to" in done.out
    assert done.out.endswith("; written to r.arrow\n")


def test_a_second_run_replaces_the_results_whole(command, counting):
    command("infer", SMALL, counting, "--trust", "--out", "r.arrow")
    command("infer", SMALL, counting, "--trust", "--frames", 2, "--out", "r.arrow")
    assert [row["frame"] for row in read_results("r.arrow")] == [2]


def test_a_folder_is_a_package_too(command, counting, unpacked):
    assert command("infer", SMALL, unpacked(counting), "--trust").status == 0


def test_the_demos_model_runs_from_its_package(command, bev_detector):
    told = command("infer", "synthetic:frames=1", bev_detector, "--out", "r.arrow", "--json").json
    (row,) = read_results("r.arrow")
    assert told["outputs"][0]["boxes"] == f"{row['boxes'].shape} float32"
    assert row["boxes"].shape == (len(row["scores"]), 7)
    assert len(row["scores"]) > 5


def test_threads_change_no_answer(command, bev_detector):
    for threads in (1, 2):
        command("infer", SMALL, bev_detector, "--threads", threads, "--out", f"{threads}.arrow")
    for one, two in zip(read_results("1.arrow"), read_results("2.arrow"), strict=True):
        np.testing.assert_array_equal(one["boxes"], two["boxes"])


@pytest.mark.data
@pytest.mark.parametrize("name", ["kitti_object", "argoverse2/sensor/val"])
def test_the_same_line_runs_on_real_frames(command, real_data, bev_detector, name):
    folder = real_data / name
    log = folder if name == "kitti_object" else next(p for p in folder.iterdir() if p.is_dir())
    told = command("infer", log, bev_detector, "--frames", ":2", "--out", "r.arrow", "--json").json
    rows = list(read_results("r.arrow"))
    assert len(rows) == told["frames"] == min(2, len(pc.open_log(log)))
    for row in rows:
        assert row["boxes"].shape[1:] == (7,)
        assert np.isfinite(row["boxes"]).all()
        assert len(row["boxes"]) == len(row["scores"]) > 0


# the join of builder and model, without the command line


class Twice:
    """A model in this process."""

    name, platform = "twice", "here"
    inputs = ["ego_pose"]  # noqa: RUF012

    def infer(self, tensors):
        return {"out": tensors["ego_pose"] * 2}


def test_answers_come_frame_by_frame_with_their_times():
    log, times, touched = pc.open_log(SMALL), Times(), []
    answers = run_model(log.frames(), Twice(), times, touch=lambda frame: touched.append(frame.index))
    first = next(answers)
    assert (first.frame.index, touched, len(times.build_ms), len(times.infer_ms)) == (0, [0], 1, 1)
    assert [answer.frame.index for answer in answers] == [1, 2]
    assert times.summary()["frames"] == 3
    assert first.outputs["out"].shape == tuple(pc.features()["ego_pose"].shape)


def test_an_answer_of_a_frame_is_not_changed_by_the_next():
    answers = list(run_model(pc.open_log(SMALL).frames(), Twice(), Times()))
    builder = pc.InputBuilder(["ego_pose"])
    for frame, answer in zip(pc.open_log(SMALL), answers, strict=True):
        np.testing.assert_array_equal(answer.outputs["out"], builder.build(frame)["ego_pose"] * 2)


def test_nothing_is_read_but_what_the_model_asks_for():
    log = pc.open_log(SMALL)
    list(run_model(log.frames(), Twice(), Times()))
    assert dict(log.reads) == {}


@pytest.mark.parametrize(
    ("build_ms", "median_ms", "least_ms"), [([9.0], 9, 9), ([9.0, 1], 5, 1), ([9.0, 9, 3, 1, 2], 2, 1)]
)
def test_the_first_two_frames_count_only_where_there_are_no_others(build_ms, median_ms, least_ms):
    told = Times(build_ms, list(build_ms)).summary()
    assert (told["build_ms"], told["build_ms_min"], told["infer_ms"]) == (median_ms, least_ms, median_ms)
    assert told["frames"] == len(build_ms)


def test_no_frames_have_no_times():
    assert Times().summary() == {"frames": 0}


def test_the_axes_of_outputs_are_written_beside_them(command, code_package):
    params = {"columns": ["x", "y", "z"], "frame": "lidar"}
    inputs = [{"name": "lidar_points", "dtype": "float32", "shape": ["n", 3], "params": params}]
    source = "def model(lidar_points): return {'boxes': np.ones((1, 7), np.float32), 'scores': np.ones(1, np.float32)}"
    package = code_package(source, OUTPUTS[:2], inputs=inputs)
    assert command("infer", SMALL, package, "--trust", "--out", "r.arrow").status == 0
    frame = pc.open_log(SMALL)[0]
    row = next(iter(read_results("r.arrow", boxes="boxes")))
    np.testing.assert_array_equal(row["ego_from_lidar"], frame.lidar.ego_from_sensor)
    np.testing.assert_allclose(row["boxes"][0, :3], (frame.lidar.ego_from_sensor @ [1, 1, 1, 1])[:3])


def test_what_a_model_was_not_given_comes_before_what_it_said(code_package):
    package = code_package(
        "def model(reference_stamp): return {'out': reference_stamp}",
        [{"name": "out", "dtype": "int64", "shape": [1]}],
        inputs=[{"name": "reference_stamp", "dtype": "int64", "shape": [1]}],
        name="needy",
    )
    with pc.load_neuropod(package, trust=True) as model, pytest.raises(ValueError, match=r"^model 'needy' ") as error:
        model.infer({})
    assert str(error.value).startswith("model 'needy' was not given reference_stamp, and failed: TypeError: ")


HOW_MANY = """
import os
def model(ego_pose):
    cpus = len(os.sched_getaffinity(0))
    return {"seen": np.array([os.getpid(), cpus, int(os.environ.get("OMP_NUM_THREADS", 0)), os.nice(0)], np.int64)}
"""


@pytest.fixture
def seeing(code_package) -> Path:
    return code_package(HOW_MANY, [{"name": "seen", "dtype": "int64", "shape": [4]}])


def test_a_model_in_processes_of_its_own_has_the_limits_that_are_given(command, seeing):
    limits = ("--limit", "threads=3", "--limit", "nice=5", "--limit", f"cpus={min(os.sched_getaffinity(0))}")
    words = ("infer", SMALL, seeing, "--trust", "--isolate", "--workers", 2, *limits, "--restart", "on_failure")
    done = command(*words, "--load-timeout", 60, "--heartbeat-timeout", 60, "--out", "r.arrow")
    assert (done.status, done.err) == (0, "")
    assert "2 frames at once" in done.out
    rows = [row["seen"].tolist() for row in read_results("r.arrow")]
    assert [row[1:] for row in rows] == [[1, 3, 5]] * 3
    assert os.getpid() not in {row[0] for row in rows}


def test_a_cache_is_kept_for_the_next_run(command, seeing):
    for _ in range(2):
        assert command("infer", SMALL, seeing, "--trust", "--cache", "kept").status == 0
    assert command("cache", "ls", "kept", "--json").json["bundles"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", 2], "--workers is for models in processes of their own: add --isolate, or --sandbox"),
        (["--limit", "threads=1"], "--limit is for models in processes of their own: add --isolate, or --sandbox"),
        (["--restart", "never"], "--restart is for models in processes of their own: add --isolate, or --sandbox"),
        (["--in-process", "--timeout", 1], "--timeout is for models in processes of their own: leave out --in-process"),
        (["--in-process", "--sandbox"], "--sandbox is a process of its own: leave out --in-process"),
        (["--isolate", "--limit", "ram=1"], "--limit must be threads=1, memory=4GB, cpus=0-3,8 or nice=5, got 'ram=1'"),
        (["--isolate", "--limit", "nice=1", "--limit", "nice=2"], "--limit nice is given twice"),
        (["--isolate", "--limit", "memory=lots"], "--limit memory must be a size such as 500MB or 200GB, got 'lots'"),
        (["--isolate", "--limit", "cpus=0,x"], "--limit cpus must be like 0-3,8, got '0,x'"),
        (["--isolate", "--limit", "threads=two"], "--limit threads must be a whole number, got 'two'"),
        (["--isolate", "--limit", "threads=0"], "--limit: threads must be a whole number from 1 on, got 0"),
        (["--isolate", "--environment", "odd"], None),
    ],
)
def test_how_a_model_is_run_may_make_no_sense(refusal, monkeypatch, tmp_path, words, said):
    monkeypatch.setenv("PERCEPTUM_ENVIRONMENTS", str(tmp_path / "environments"))
    status, told = refusal("infer", SMALL, "gone.neuropod", *words)
    assert status == 2
    assert told == said or (said is None and told.startswith("--environment: no environment 'odd'; there are: none"))
