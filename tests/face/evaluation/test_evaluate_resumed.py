"""An evaluation that is stopped: killed at any moment, it goes on, and finds what one that was never stopped finds."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

import perceptum as pc
from perceptum.errors import UsageError
from perceptum.evaluation import store as store_module
from perceptum.evaluation.entrants import entrants_of
from perceptum.evaluation.journal import Journal, read_entries
from perceptum.evaluation.record import FrameRecord, ModelRecord, decode, encode
from perceptum.evaluation.setup import Setup, differences
from perceptum.evaluation.store import Store
from perceptum.inputs import Dataset
from perceptum.problems import problem_named

TIMES = ["build_ms", "infer_ms"]
HERE = Path(__file__).parent


@pytest.fixture
def setup(problem, drive, counts):
    """What an evaluation of a model of one line is of."""
    models = {e.name: e.setup for e in entrants_of(counts("mine", lambda ego_pose: 1.0))}
    return Setup.of("boxes_counted", problem, Dataset.of(drive), [0], models)


def without_times(folder: Path) -> tuple[object, bytes]:
    """What an evaluation found, but for how long it took: of scores.json, and all of the observations."""
    plain = json.loads((folder / "scores.json").read_text())
    for model in plain["models"].values():
        for name in TIMES:
            model["frames"].pop(name)
    rows = pc.evaluation.Evaluation.load(folder).frames.drop(TIMES).to_pylist()
    return [plain, rows], (folder / "observations.arrow").read_bytes()


SCRIPT = """
import sys
import perceptum as pc
from perceptum.problems import problem_named
out, problem, drive, workers, *packages = sys.argv[1:]
def slow(records, what, total):
    for record in records:
        print(record.position, flush=True)
        yield record
pc.evaluate(problem, pc.open_log(drive), packages, out=out, trust=True, workers=int(workers), track=slow)
print("done", flush=True)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_and_finds_the_same(problem_file, drive_name, packages, tmp_path, workers):
    chosen = [packages["steady"], packages["dies"]]
    words = [problem_file, drive_name, str(workers), *map(str, chosen)]
    running = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "killed"), *words], stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    first = running.stdout.readline()
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert first.strip().isdigit()
    kept = [decode(entry).position for entry in read_entries(tmp_path / "killed" / "journal.bin")]
    assert int(first) in kept
    # the kernel had taken half of what was written next
    with (tmp_path / "killed" / "journal.bin").open("ab") as journal:
        journal.write(b"\x50\0\0\0\0\0\0\0half")
    done = []

    def see(records, what, total):
        assert total == 4 - len(kept)
        for record in records:
            done.append(record.position)
            yield record

    log = pc.open_log(drive_name)
    pc.evaluate(problem_file, log, chosen, out=tmp_path / "killed", trust=True, workers=workers, track=see)
    assert sorted(done + kept) == [0, 1, 2, 3]
    pc.evaluate(problem_file, log, chosen, out=tmp_path / "whole", trust=True)
    assert without_times(tmp_path / "killed") == without_times(tmp_path / "whole")
    assert not (tmp_path / "killed" / "journal.bin").exists()


def test_what_is_finished_is_not_run_again(problem_file, drive, packages, tmp_path):
    def evaluate(**options):
        return pc.evaluate(problem_file, drive, packages["steady"], out=tmp_path / "run", isolate=False, **options)

    first = evaluate(trust=True)
    # it would be refused if it was loaded
    again = evaluate()
    assert again.to_dict() == first.to_dict()
    before = (tmp_path / "run" / "scores.json").stat().st_mtime_ns
    evaluate(trust=True, fresh=True)
    assert (tmp_path / "run" / "scores.json").stat().st_mtime_ns > before


def test_an_evaluation_of_something_else_is_refused_and_what_differs_is_named(
    problem_file, drive, drive_name, packages, tmp_path
):
    def evaluate(problem=problem_file, log=drive, model=packages["steady"], **options):
        return pc.evaluate(
            problem, log, {"a": model}, out=tmp_path / "run", trust=True, isolate=False, **{"frames": [0], **options}
        )

    evaluate()
    for change, named in [
        ({"problem": f"{problem_file}:near=3"}, "option near of the problem: 1.5 before, 3"),
        ({"model": packages["raises"]}, r"model 'a': [0-9a-f]{16}\.\.\. before, [0-9a-f]{16}\.\.\. now"),
        (
            {"log": pc.open_log(drive_name.replace("frames=4", "frames=3"))},
            "log 0: street-0, 4 frames, .*, 3 frames, .* now",
        ),
        (
            # the same name, frames and times
            {"log": pc.open_log(f"{drive_name},noise_m=0.5")},
            "log 0: street-0, 4 frames, 0.3.* s, content [0-9a-f]{16} before, street-0, 4 frames, .* now",
        ),
        ({"frames": [0, 1]}, "frames: 1 before, 2 now"),
    ]:
        with pytest.raises(UsageError, match=f"run: holds an evaluation of something else .*{named}.*start over with"):
            evaluate(**change)
    assert evaluate(frames=[0, 1], fresh=True).counts["a"].judged == 2


def test_a_setup_that_comes_from_a_file_is_the_same(drive, packages):
    problem = problem_named("detection3d:metric=nuscenes")
    models = {e.name: e.setup for e in entrants_of(packages["steady"])}
    setup = Setup.of("detection3d", problem, Dataset.of(drive), [0, 1], models)
    again = msgspec.json.decode(msgspec.json.encode(setup), type=Setup)
    assert "metric" in setup.problem.options
    assert differences(setup, again) == []


def test_a_model_that_is_an_object_is_not_gone_on_with(problem, drive, counts, tmp_path):
    model = counts("mine", lambda ego_pose: 1.0)
    pc.evaluate(problem, drive, model, out=tmp_path / "run", frames=[0])
    with pytest.raises(UsageError, match=r"model 'mine': not a package, so that it is not known"):
        pc.evaluate(problem, drive, model, out=tmp_path / "run", frames=[0])


def test_a_folder_of_other_things_is_refused(problem, drive, counts, tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(UsageError, match=r"holds other files and no setup\.json; name an empty folder, or a new one$"):
        pc.evaluate(problem, drive, counts("mine", lambda ego_pose: 1.0), out=tmp_path, fresh=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_ctrl_c_does_not_wait_for_the_model_and_keeps_what_was_done(problem, drive, counts, tmp_path):
    calls, pressed = [], []

    def answer(ego_pose):
        calls.append(0)
        if len(calls) == 3:
            pressed.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        pc.evaluate(problem, drive, counts("slow", answer), out=tmp_path / "run")
    # the model takes five; on a busy machine a second is soon over
    assert time.monotonic() - pressed[0] < 4
    kept = [decode(entry).position for entry in read_entries(tmp_path / "run" / "journal.bin")]
    assert kept == [0, 1]


def test_two_evaluations_do_not_write_to_one_folder(tmp_path):
    first = Journal(tmp_path / "journal.bin")
    with pytest.raises(UsageError, match=r"another evaluation is writing to this folder; name another$"):
        Journal(tmp_path / "journal.bin")
    first.close()
    Journal(tmp_path / "journal.bin").close()


def test_a_run_that_was_killed_before_it_said_what_it_is_of_goes_on(tmp_path, setup):
    for left in ([], ["journal.bin"], [".setup.json.part"], ["journal.bin", ".setup.json.part"]):
        folder = tmp_path / "-".join(["run", *left])
        folder.mkdir()
        for name in left:
            (folder / name).touch()
        store = Store(folder, setup, fresh=False)
        assert store.done == {}
        store.close()
        assert msgspec.json.decode((folder / "setup.json").read_bytes(), type=Setup) == setup


def test_what_another_has_begun_or_ended_meanwhile_is_seen(tmp_path, setup, monkeypatch):
    other = msgspec.structs.replace(setup, dataset="another")
    began = []

    def begin_other(path):
        if not began:
            began.append(None)
            Store(path.parent, other, fresh=False).close()
        return Journal(path)

    # both have seen an empty folder
    monkeypatch.setattr(store_module, "Journal", begin_other)
    with pytest.raises(UsageError, match=r"something else .*dataset: another before"):
        Store(tmp_path, setup, fresh=False)


def test_a_journal_that_was_removed_meanwhile_is_made_anew(tmp_path, monkeypatch):
    path = tmp_path / "journal.bin"
    lock, removed = fcntl.flock, []

    def remove_first(file, how):
        if not removed:
            removed.append(path.unlink())
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    journal = Journal(path)
    journal.add(b"first")
    journal.close()
    assert list(read_entries(path)) == [b"first"]


def test_an_entry_that_a_full_disk_cut_short_does_not_hide_those_after_it(tmp_path):
    path = tmp_path / "journal.bin"
    journal = Journal(path)
    journal.add(b"first")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, limits[1]))
    try:
        with pytest.raises(OSError, match=r"journal\.bin"):
            journal.add(b"second")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.add(b"third")
    journal.close()
    assert list(read_entries(path)) == [b"first", b"third"]


def test_a_journal_is_read_up_to_what_is_not_whole(tmp_path):
    path = tmp_path / "journal.bin"
    record = FrameRecord(
        position=3, log="a", frame=3, frame_id="x", time_ns=5, models={"m": ModelRecord(status="failed", error="é")}
    )
    journal = Journal(path)
    journal.add(encode(record))
    journal.add(b"second")
    journal.close()
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        journal = Journal(path)
        assert len(journal.entries) == (cut >= len(whole) - 22)
        journal.add(b"third")
        journal.close()
        assert list(read_entries(path))[-1] == b"third"
    path.write_bytes(whole[:-1] + b"?")
    assert [decode(entry) for entry in read_entries(path)] == [record]
