"""`perceptum evaluate` and `perceptum compare`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from perceptum.evaluation import Evaluation
from perceptum.neuropod.process.worker.enclosure import why_not


@pytest.fixture
def evaluate(command, problem_file, drive_name, packages):
    """evaluate(models, *words): the command, in this process."""

    def run(models, *words):
        given = [word for name in models for word in ("--model", f"{name}={packages[name]}")]
        return command("evaluate", problem_file, drive_name, *given, "--trust", "--in-process", *words)

    return run


def test_the_table_compares_models_and_says_where_one_failed(evaluate, tmp_path):
    done = evaluate(["steady", "raises"], "--out", "run")
    assert (done.status, done.err) == (0, "")
    assert "boxes_counted on 4 frames of 1 log: over the 3 frames on which all models were judged" in done.out
    assert "each over the frames on which it was judged, which are not the same:" in done.out
    assert "error by class:" in done.out
    assert "raises: 3 frames counted" in done.out
    assert "failed: raises on frame 2 (000002) of street-0: model 'raises model' failed: KeyError: " in done.out
    assert "written to run: report.html, scores.json, frames.parquet, observations.arrow" in done.out
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        *("frames.parquet", "observations.arrow", "report.html", "scores.json", "setup.json")
    ]


def test_the_json_is_what_scores_json_holds(evaluate, tmp_path):
    told = evaluate(["steady"], "--out", "run", "--json").json
    assert told.pop("out") == "run"
    assert told == json.loads((tmp_path / "run" / "scores.json").read_text())
    steady = told["models"]["steady"]
    assert steady["scores"]["summary"] == {"error": 5.25, "hits": 0.0}
    assert steady["frames"]["judged"] == 4
    assert steady["scores"]["curves"]["sorted errors"]["all"]["y"] == [5, 5, 5, 6]
    assert told["setup"]["models"]["steady"]["title"] == "steady model"


def test_the_status_says_whether_a_model_failed(evaluate):
    assert evaluate(["steady"], "--strict").status == 0
    assert evaluate(["steady", "raises"]).status == 0
    assert evaluate(["raises"], "--strict").status == 1
    assert evaluate(["steady", "never"]).status == 1
    assert evaluate(["steady"], "--frames", "1:3", "--json").json["common_frames"] == 2


def test_several_logs_are_one_sequence(command, problem_file, packages, drive_name):
    other = drive_name + ",seed=3"
    words = ("--model", packages["steady"], "--trust", "--in-process", "--frames", "3:5", "--json")
    told = command("evaluate", problem_file, drive_name, other, *words).json
    assert [log["name"] for log in told["setup"]["logs"]] == ["street-0", "street-3"]
    assert told["common_frames"] == 2


def test_bad_use_is_refused(refusal, problem_file, drive_name, packages):
    def refused(*words):
        return refusal("evaluate", problem_file, drive_name, *words)

    steady = packages["steady"]
    assert refused("--model", "gone.neuropod") == (2, "gone.neuropod: no such file or folder")
    assert refused("--model", steady, "--in-process", "--timeout", "1") == (
        2,
        "--timeout is for models in processes of their own: leave out --in-process",
    )
    assert refused("--model", steady, "--in-process", "--limit", "threads=1")[1].startswith("--limit is for models in ")
    assert refused("--model", f"a={steady}", "--model", steady)[1].startswith("--model: give each a name, or none; ")
    assert refused("--model", f"a={steady}", "--model", f"a={steady}")[1] == "--model: two models are called 'a'"
    assert refused("--model", steady, "--trust", "--out", "run.json")[1].startswith("cannot write run.json: ")
    assert refused("--model", steady, "--trust", "--frames", "9:")[1].startswith("--frames 9: picks no frame; ")


def test_the_problem_is_looked_at_before_the_packages_and_the_logs(refusal):
    words = ("nowhere", "--model", "gone.neuropod")
    status, said = refusal("evaluate", "detection", *words)
    assert (status, said.partition(";")[0]) == (2, "no problem 'detection'")
    assert "; there are bev_segmentation, detection3d, " in said
    assert refusal("evaluate", "detection3d", *words) == (2, "gone.neuropod: no such file or folder")


def test_a_cache_is_kept_and_nothing_is_added_by_the_next_run(evaluate, command):
    kept = []
    for _ in range(2):
        assert evaluate(["steady"], "--cache", "kept").status == 0
        kept.append(command("cache", "ls", "kept", "--json").json)
    assert {row["name"]: row["tensors"] for row in kept[0]["features"]}["ego_pose"] == 4
    assert kept[1]["bundles"] == kept[0]["bundles"]


@pytest.mark.skipif(why_not() is not None, reason=f"no sandbox here: {why_not()}")
def test_a_sandbox_needs_no_trust_and_keeps_the_model_in(command, problem_file, drive_name, packages):
    words = (
        "evaluate",
        problem_file,
        drive_name,
        "--model",
        f"sees={packages['sees']}",
        "--frames",
        "0:2",
        "--out",
        "run",
    )
    refused = command(*words)
    assert refused.status == 1
    assert "this package is code" in refused.err
    done = command(*words, "--sandbox", "--json")
    assert done.json["models"]["sees"]["frames"]["judged"] == 2
    observed = Evaluation.load("run").observations["sees"]
    assert {float(one["count"].ravel()[0]) for one in observed.values()} <= {1.0, 2.0, 3.0}


def test_runs_are_compared(evaluate, command, packages, tmp_path):
    assert evaluate(["raises"], "--out", "a").status == 0
    assert evaluate(["steady"], "--out", "b").status == 0
    done = command("compare", "a", "b")
    assert (done.status, done.err) == (0, "")
    assert "raises -> steady" in done.out
    assert "over the frames on which both were judged:" in done.out
    assert "3 frames changed, the greatest loss first:" in done.out
    told = command("compare", "a", "b", "--json").json
    assert [row["frame_id"] for row in told["failures"]] == ["000002"]
    assert [row["gain"] for row in told["frames"]] == [-5, -5, -5]
    assert told["below"] == []
    failed = command("compare", "a", "b", "--fail-below", "error=-0.5", "--fail-below", "hits=-2")
    assert failed.status == 1
    assert "below: error of raises -> steady gained -4.917, wanted at least -0.5" in failed.out
    assert command("compare", "b", "a", "--fail-below", "error=-0.5").status == 0


def test_bad_comparisons_are_refused(refusal, tmp_path):
    status, said = refusal("compare", "a", "b")
    assert (status, said) == (2, "a: no scores.json, so this is not the folder of an evaluation")
    assert refusal("compare", "a", "b", "--fail-below", "NDS")[1] == "--fail-below must be like NDS=-0.01, got 'NDS'"


def test_ctrl_c_keeps_the_work_and_shows_how_to_go_on(problem_file, drive_name, packages, tmp_path):
    log = drive_name.replace("frames=4", "frames=200")
    words = ["evaluate", problem_file, log, "--model", str(packages["steady"]), "--trust", "--out", "run"]
    command = [sys.executable, "-m", "perceptum", *words]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "run" / "journal.bin"
    while running.poll() is None and not (journal.exists() and journal.stat().st_size > 0):
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=100)
    assert running.returncode == 130
    kept, how, end = err.splitlines()[-2].partition(" of 200 frames are kept in run; go on with: ")
    assert int(kept) >= 1
    assert how
    assert shlex.split(end) == ["perceptum", *words]
    assert err.splitlines()[-1] == "perceptum: interrupted"
