"""What is extracted is gone with the process that extracted it, however that ends."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from perceptum.neuropod.package.tied_folder import PREFIX, TiedFolder, sweep

LOAD = """
import sys, time, perceptum
model = perceptum.load_neuropod(sys.argv[1], trust=True)
model._files.folder("")
print("loaded", flush=True)
time.sleep(100)
"""
WATCHER = """
import sys, time
from perceptum.neuropod.package import tied_folder
{change}
folder = tied_folder.TiedFolder()
(folder.path / "file").write_text("weights")
print(folder.path, flush=True)
time.sleep(100)
"""
NO_WATCHER = "tied_folder._watch = lambda path: None"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, of this process and of those that it starts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def started():
    """started(code, *words) -> a process that has said its first line, and that line."""
    processes = []

    def start(code, *words):
        process = subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def ours(folder):
    """TensorFlow leaves files of its own there when it is killed."""
    return [name for name in os.listdir(folder) if name.startswith(PREFIX)]


def is_empty(folder, within_s=10.0):
    """Returns whether our folders go: the watcher needs a moment."""
    end_s = time.monotonic() + within_s
    while ours(folder) and time.monotonic() < end_s:
        time.sleep(0.02)
    return not ours(folder)


@pytest.mark.parametrize("backend", ["python", "tensorflow_saved"])
def test_a_killed_process_leaves_nothing_of_its_package(packed, temporary, started, backend):
    process, line = started(LOAD, packed(backend, "scalar"))
    assert line == "loaded"
    assert len(ours(temporary)) == 1
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert is_empty(temporary)


def test_the_parent_of_a_killed_process_leaves_nothing_either(packed, temporary, started):
    """The one side loads in a child that the other started: here the starter is killed, then its child."""
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LOAD!r}, sys.argv[1]])"
    process, line = started(nested, packed("python", "scalar"))
    assert line == "loaded"
    children = (f"/proc/{process.pid}/task/{process.pid}/children",)
    child = int(open(children[0]).read().split()[0])  # noqa: SIM115
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    os.kill(child, signal.SIGKILL)
    assert is_empty(temporary)


def test_a_killed_group_of_processes_leaves_nothing(temporary):
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHER.format(change="")], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert is_empty(temporary)


def test_where_the_watcher_dies_too_the_next_folder_sweeps(temporary, started):
    process, path = started(WATCHER.format(change=NO_WATCHER))
    process.kill()
    process.wait()
    assert os.path.isdir(path)
    folder = TiedFolder()
    assert os.listdir(temporary) == [folder.path.name]
    folder.close()
    assert os.listdir(temporary) == []


def test_a_sweep_leaves_the_folders_of_the_living_and_what_is_not_ours(temporary, started):
    _, path = started(WATCHER.format(change=NO_WATCHER))
    (temporary / "something_else").mkdir()
    (temporary / f"{PREFIX}link").symlink_to(temporary / "something_else")
    (temporary / f"{PREFIX}file").write_text("mine")
    sweep()
    assert os.path.isfile(os.path.join(path, "file"))
    assert (temporary / "something_else").is_dir()
    assert (temporary / f"{PREFIX}link").is_symlink()
    assert (temporary / f"{PREFIX}file").read_text() == "mine"


def test_close_deletes_at_once_and_a_second_close_does_nothing(temporary):
    folder = TiedFolder()
    (folder.path / "read_only").mkdir()
    (folder.path / "read_only" / "file").write_text("x")
    (folder.path / "read_only").chmod(0o500)
    folder.close()
    folder.close()
    assert os.listdir(temporary) == []


def test_a_folder_that_nobody_holds_is_deleted(temporary):
    TiedFolder()
    assert os.listdir(temporary) == []


def test_a_forked_childs_end_leaves_the_parents_folder(temporary):
    folder = TiedFolder()
    child = os.fork()
    if child == 0:
        try:
            folder.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert folder.path.is_dir()
    sweep()
    assert folder.path.is_dir()
    folder.close()


def test_no_watcher_outlives_its_folder(temporary):
    folder = TiedFolder()
    arguments = folder._end.peek()[2]
    watcher = arguments[2]
    assert watcher.poll() is None
    folder.close()
    assert watcher.poll() == 0


def test_a_folder_costs_a_few_milliseconds(temporary, least):
    def took_s():
        start_s = time.perf_counter()
        TiedFolder().close()
        return time.perf_counter() - start_s

    assert least(took_s, 0.05) < 0.05


def test_a_model_that_runs_keeps_its_files_while_others_come_and_go(packed, temporary):
    import perceptum

    with perceptum.load_neuropod(packed("python", "scalar"), trust=True) as model:
        TiedFolder().close()
        sweep()
        assert model.infer({"x": np.int64(1)})["out"] == 2
        assert (model._files.folder("") / "0" / "code" / "problems.py").is_file()
