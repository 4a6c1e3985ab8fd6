"""Models judged on the same frames: what is scored, what fails, and that nothing is averaged away."""

from __future__ import annotations

import re

import numpy as np
import pytest

import perceptum as pc
from perceptum.errors import UsageError
from perceptum.evaluation import Evaluation, ProblemFailed
from perceptum.inputs import Dataset, Log, LogError, MissingRecord
from perceptum.inputs.lazy_logs import LazyLogs, LogAbout
from perceptum.neuropod import NeuropodError
from perceptum.neuropod.process.limits import Limits
from perceptum.testing import check_problem


def statuses(found: Evaluation, model: str) -> list[str]:
    return [row["status"] for row in found.frames.to_pylist() if row["model"] == model]


@pytest.fixture(scope="session")
def three(problem, drive, packages) -> Evaluation:
    """A steady model, one that raises on frame 2, one that kills its process there: each in a process of its own."""
    return pc.evaluate(problem, drive, [packages[name] for name in ("steady", "raises", "dies")], trust=True)


def test_a_model_that_fails_on_a_frame_fails_there_alone(three):
    assert three.models == ["steady model", "raises model", "dies model"]
    assert statuses(three, "steady model") == ["judged"] * 4
    assert statuses(three, "raises model") == ["judged", "judged", "failed", "judged"]
    assert statuses(three, "dies model") == ["judged", "judged", "failed", "judged"]
    raised, died = three.failures()
    assert (raised["frame"], raised["frame_id"], raised["log"]) == (2, "000002", "street-0")
    assert raised["error"].startswith("model 'raises model' failed: KeyError: 'no such thing")
    assert died["error"] == "model 'dies model': its worker ended: killed by SIGKILL"
    assert all("\n" not in row["error"] for row in three.failures())


def test_each_model_is_scored_over_its_own_frames_and_all_over_those_that_they_share(three):
    # 75, 75, 75 and 76 objects are labelled
    assert three.scores["steady model"].summary["error"] == pytest.approx(21 / 4)
    assert three.scores["raises model"].summary["error"] == pytest.approx(1 / 3)
    assert three.scores["dies model"].summary["error"] == pytest.approx(2 / 3)
    assert not three.is_alike
    assert three.common_frames == 3
    assert three.common["steady model"].summary["error"] == pytest.approx(16 / 3)
    assert [scores.counts for scores in three.common.values()] == [{"frames counted": 3}] * 3


def test_the_table_has_scores_frames_failures_and_times(three):
    rows = three.table()
    assert [list(row) for row in rows] == [["model", "error", "hits", "frames", "failures", "build ms", "infer ms"]] * 3
    assert [(row["frames"], row["failures"]) for row in rows] == [(3, 0), (3, 1), (3, 1)]
    assert all(row["build ms"] > 0 and row["infer ms"] > 0 for row in rows)
    assert [(row["frames"], row["failures"]) for row in three.own_table()] == [(4, 0), (3, 1), (3, 1)]
    shared = {"steady model": pytest.approx(16 / 3), "raises model": pytest.approx(1 / 3)}
    assert three.class_table()[0] == {"class": "object", "": "error", **shared, "dies model": pytest.approx(2 / 3)}


def test_the_frames_table_has_a_row_per_frame_and_model(three, drive):
    assert three.frames.column_names == [
        *("log", "index", "frame", "frame_id", "time_ns", "model", "status", "error", "build_ms", "infer_ms"),
        *("score_error", "score_hits"),
    ]
    rows = three.frames.to_pylist()
    assert [(row["index"], row["frame_id"], row["model"]) for row in rows] == [
        (n, frame.id, model) for n, frame in enumerate(drive) for model in three.models
    ]
    assert [row["score_error"] for row in rows if row["model"] == "steady model"] == [5, 5, 5, 6]
    assert three.worst("steady model", 1)[0]["frame"] == 3


def test_a_model_that_hangs_fails_after_its_time(problem, drive, packages):
    found = pc.evaluate(problem, drive, {"a": packages["hangs"]}, frames=[2, 3], trust=True, timeout_s=1.0)
    assert statuses(found, "a") == ["failed", "judged"]
    assert "1 s" in found.failures()[0]["error"]
    with pytest.raises(UsageError, match=r"^timeout_s is for models in processes of their own, and isolate is False$"):
        pc.evaluate(problem, drive, packages["hangs"], isolate=False, timeout_s=1.0)


def test_a_model_computes_with_the_threads_that_it_is_given(problem, drive, packages):
    found = pc.evaluate(problem, drive, {"a": packages["threads"]}, frames=[0], trust=True, limits=Limits(threads=3))
    assert found.observations["a"][0]["count"] == 3


def test_a_cache_gives_what_was_built_before(problem, drive, counts, tmp_path):
    """Of the second run everything is found: inputs, and what the frames are judged by."""
    scan = [{"name": "lidar_num_points", "dtype": "int32", "shape": [1]}]
    models = [counts("pose", lambda ego_pose: 75.0), counts("scan", lambda lidar_num_points: 75.0, scan)]
    cache = pc.TensorCache(tmp_path / "kept")
    first = pc.evaluate(problem, drive, models, frames=[0, 1], cache=cache)
    built = cache.stats().misses
    assert (built > 4, cache.stats().hits, cache.stats().left_out) == (True, 0, {})
    again = pc.evaluate(problem, drive, models, frames=[0, 1], cache=tmp_path / "kept", threads=2)
    assert (cache.stats().misses, cache.stats().hits) == (built, built)
    assert [again.scores[name].summary for name in ("pose", "scan")] == [first.scores["pose"].summary] * 2


def test_a_log_that_cannot_be_opened_is_counted(problem, drive, counts):
    def opened(number):
        if number == 1:
            raise LogError("the log is gone")
        return drive

    logs = LazyLogs([4, 4], opened, lambda number: LogAbout(f"log {number}", 4))
    dataset = Dataset(logs, name="two")
    found = pc.evaluate(problem, dataset, counts("counting", lambda ego_pose: 75.0), frames=[3, 4, 5])
    assert statuses(found, "counting") == ["judged", "not built", "not built"]
    assert [(row["log"], row["frame"], row["error"]) for row in found.failures()] == [
        ("log 1", 0, "the log is gone"),
        ("log 1", 1, "the log is gone"),
    ]


def test_answers_that_break_the_spec_fail(problem, drive, packages):
    found = pc.evaluate(problem, drive, {"breaks": packages["breaks"]}, trust=True)
    assert statuses(found, "breaks") == ["judged", "failed", "failed", "failed"]
    errors = [row["error"] for row in found.failures()]
    assert errors[0] == "output 'count' is nan, wanted a number of objects"
    assert all("count" in error for error in errors)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "the model answered a NoneType, wanted its outputs by name"),
        ([1], "the model answered a list, wanted its outputs by name"),
        ({1: 2}, "the output 'count' is missing; the model gave 1"),
        ({"count": None}, "the output 'count' is NoneType, wanted an array"),
        ({"count": np.array([None])}, "the output 'count' is object (1,), wanted an array"),
    ],
)
def test_answers_that_are_no_outputs_at_all_fail(problem, drive, counts, monkeypatch, answer, said):
    model = counts("odd", lambda ego_pose: 0)
    monkeypatch.setattr(model, "infer", lambda inputs: answer)
    found = pc.evaluate(problem, drive, model, frames=[0])
    assert [(row["status"], row["error"]) for row in found.failures()] == [("failed", said)]


def test_a_model_that_fails_on_everything_has_no_score(problem, drive, packages, counts):
    found = pc.evaluate(problem, drive, {"never": packages["never"]}, trust=True, isolate=False)
    assert np.isnan(found.scores["never"].summary["error"])
    assert found.counts["never"].judged == 0
    assert found.counts["never"].infer_ms is None


def test_two_workers_find_what_one_finds(three, problem, drive, packages):
    chosen = [packages[name] for name in ("steady", "dies")]
    one, two = (pc.evaluate(problem, drive, chosen, trust=True, workers=n) for n in (1, 2))
    times = ["build_ms", "infer_ms"]
    assert one.frames.drop(times).equals(two.frames.drop(times))
    for name in one.models:
        assert one.to_dict()["models"][name]["scores"] == two.to_dict()["models"][name]["scores"]


def test_frames_without_labels_are_counted_and_no_model_is_run_on_them(problem, memory_log, counts, drive):
    called = []
    model = counts("counting", lambda ego_pose: called.append(0) or 1.0)
    bare = memory_log([frame.sweeps()[0] for frame in drive])
    found = pc.evaluate(problem, [drive, bare], model, frames=[0, 4, 5])
    assert statuses(found, "counting") == ["judged", "not judged", "not judged"]
    assert [row["error"] for row in found.failures()] == ["the frame has no labels"] * 2
    assert found.counts["counting"].not_judged == 2
    assert len(called) == 1


def test_what_cannot_be_built_for_one_model_is_built_for_the_others(problem, drive, counts):
    class Broken:
        """The drive, whose second sweep cannot be read."""

        def __getattr__(self, name):
            return getattr(drive.source, name)

        def read_lidar(self, sensor, index):
            if index == 1:
                raise MissingRecord("sweep 1 is gone")
            return drive.source.read_lidar(sensor, index)

    points = [row.to_dict() for row in pc.features.canonical().spec(["lidar_points"]).rows]
    blind = counts("blind", lambda ego_pose: 75.0)
    sees = counts("sees", lambda lidar_points: len(lidar_points), points)
    found = pc.evaluate(problem, Log(Broken()), [blind, sees])
    assert statuses(found, "blind") == ["judged"] * 4
    assert statuses(found, "sees") == ["judged", "not built", "judged", "judged"]
    assert [row["error"] for row in found.failures()] == ["sweep 1 is gone"]
    assert found.table()[1]["failures"] == 1


def test_shared_stages_count_for_each_model_that_needs_them(problem, drive, counts):
    points = [row.to_dict() for row in pc.features.canonical().spec(["lidar_points"]).rows]
    models = [counts("blind", lambda ego_pose: 75.0), counts("sees", lambda lidar_points: 75.0, points)]
    rows = pc.evaluate(problem, drive, models).frames.to_pylist()
    least = {name: min(row["build_ms"] for row in rows if row["model"] == name) for name in ("blind", "sees")}
    assert 0 < least["blind"] < least["sees"]


def test_the_problem_of_these_tests_is_a_good_one(problem, drive):
    check_problem(problem, drive, lambda frame: {"count": np.array(75.0 + frame.index)})


def test_a_problem_whose_own_code_fails_stops(problem, drive, counts):
    class Wrong(type(problem)):
        def observe(self, model, outputs, targets, frame):
            return [][0]

    with pytest.raises(ProblemFailed, match=r"^problem 'boxes_counted' fails in observe of .*: IndexError: "):
        pc.evaluate(Wrong(), drive, counts("counting", lambda ego_pose: 1.0))

    class Objects(type(problem)):
        def observe(self, model, outputs, targets, frame):
            return {"count": [1, 2]}

    with pytest.raises(ProblemFailed, match=r"must be arrays of numbers or texts, 'count' is list$"):
        pc.evaluate(Objects(), drive, counts("counting", lambda ego_pose: 1.0))


def test_what_makes_no_sense_is_refused_before_anything_is_run(problem, drive, counts, packages):
    other = counts("other", lambda ego_pose: 1.0)
    other.outputs = [{"name": "boxes", "dtype": "float32", "shape": [None, 7]}]
    with pytest.raises(UsageError, match=r"^model 'other' has no output 'count'; it gives boxes$"):
        pc.evaluate(problem, drive, other)
    with pytest.raises(UsageError, match=r"^frames: there is no frame 4, synthetic has 4$"):
        pc.evaluate(problem, drive, packages["steady"], frames=[4])
    with pytest.raises(UsageError, match=r"^workers must be a whole number of frames in flight, at least 1, got 0$"):
        pc.evaluate(problem, drive, packages["steady"], workers=0)
    with pytest.raises(UsageError, match=r"^an evaluation needs at least one model$"):
        pc.evaluate(problem, drive, [])
    with pytest.raises(UsageError, match=r"^a model is the path of a package, or has name, inputs, outputs and infer"):
        pc.evaluate(problem, drive, [3])
    with pytest.raises(NeuropodError, match=r"trust"):
        pc.evaluate(problem, drive, packages["steady"])


def test_models_of_one_name_are_called_after_their_files(problem, drive, packages, tmp_path, counts):
    copy = tmp_path / "newer.neuropod"
    copy.write_bytes(packages["steady"].read_bytes())
    found = pc.evaluate(problem, drive, [packages["steady"], copy], frames=[0], trust=True, isolate=False)
    assert found.models == ["steady", "newer"]
    digests = {model.digest for model in found.setup.models.values()}
    assert len(digests) == 1
    assert re.fullmatch("[0-9a-f]{64}", digests.pop())
    with pytest.raises(UsageError, match=r"^two models are called 'same'; give each a name of its own: NAME=PACKAGE"):
        pc.evaluate(problem, drive, [counts("same", lambda ego_pose: 1.0), counts("same", lambda ego_pose: 2.0)])


def test_an_evaluation_is_saved_loaded_and_scored_again(three, problem, tmp_path):
    three.save(tmp_path / "run")
    again = Evaluation.load(tmp_path / "run")
    assert again.to_dict() == three.to_dict()
    assert again.frames.equals(three.frames)
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        *("setup.json", "scores.json", "frames.parquet", "observations.arrow", "report.html")
    }
    wider = again.scored_again(type(problem)(near=10.0))
    assert wider.scores["steady model"].summary["hits"] == 1.0
    assert again.scored_again(problem, positions=[0, 1]).scores["dies model"].summary["error"] == 1.0
    with pytest.raises(UsageError, match=r"no scores\.json, so this is not the folder of an evaluation$"):
        Evaluation.load(tmp_path)
