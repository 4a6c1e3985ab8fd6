"""A loader's processes: how they start, die, and end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import perceptum as pc
from perceptum.errors import UsageError
from perceptum.loading import LoaderError, WorkerDied
from perceptum.loading.state import dataset_fingerprint

METHODS = ("fork", "forkserver", "spawn")
# nothing of it needs the compiler's kernels, so that a new process begins soon
LIGHT = ["gt_boxes", "ego_pose"]


@pytest.fixture(scope="module")
def street():
    return pc.open_log("synthetic", frames=6, seed=1)


# starting


@pytest.mark.parametrize("method", METHODS)
def test_every_way_to_start_gives_the_same_bytes(load, street, see, method):
    options = {"batch_size": 2, "shuffle": 3}
    wanted = [see(batch) for batch in load(street, LIGHT, **options)]
    loader = load(street, LIGHT, workers=2, start_method=method, **options)
    assert [see(batch) for batch in loader] == wanted
    # who died is replaced in the same way
    os.kill(loader._workers.pids[0], signal.SIGKILL)
    loader._on_worker_death = loader._workers._on_death = "retry"
    assert len([batch.indices for batch in loader]) == 3
    assert len(loader._workers.pids) == 2


def test_a_loader_works_in_a_thread_that_ends(load):
    """The system ends what a thread has started when the thread ends: here that is a thread which lives on."""
    loader, found = load(batch_size=2, workers=2, prefetch=1), []
    iterator = iter(loader)
    thread = threading.Thread(target=lambda: found.append(next(iterator)))
    thread.start()
    thread.join()
    time.sleep(0.05)
    found += iterator
    assert [batch.indices.tolist() for batch in found] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10]]


def test_a_forked_child_starts_workers_of_its_own(load, see, in_a_fork):
    loader = load(batch_size=2, workers=1)
    wanted = [see(batch) for batch in loader]
    iterator = iter(loader)
    first = next(iterator)

    def work():
        loader.set_epoch(0)
        same = [see(batch) for batch in loader] == wanted
        loader.close()
        return 0 if same else 1

    in_a_fork(work, 20, "a forked child's loader")
    assert first.indices.tolist() == [0, 1]
    assert len(list(iterator)) == 5


SCRIPT = """
import sys
import perceptum as pc

with pc.Loader(pc.open_log("synthetic", frames=4), ["ego_pose"], batch_size=2, workers=1, start_method="{}") as loader:
    print([batch.indices.tolist() for batch in loader])
"""
WITH_A_CLASS = """
import perceptum as pc

class Named(pc.Dataset):
    pass

def main():
    dataset = Named([pc.open_log("synthetic", frames=4)])
    with pc.Loader(dataset, ["ego_pose"], batch_size=2, workers=1, start_method="{}") as loader:
        print([batch.indices.tolist() for batch in loader])

if __name__ == "__main__":
    main()
"""


def ran(text, *args):
    """Runs a program that comes from standard input, or lies in a file."""
    command = [sys.executable, *(args or ["-"])]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout, done.stderr


def test_a_program_needs_no_guard():
    assert ran(SCRIPT.format("spawn")) == ("[[0, 1], [2, 3]]\n", "")


def test_classes_of_the_program_are_found(tmp_path):
    """It is imported again, as multiprocessing does; only such a program needs a guard."""
    program = tmp_path / "program.py"
    program.write_text(WITH_A_CLASS.format("forkserver"))
    assert ran("", program) == ("[[0, 1], [2, 3]]\n", "")


def test_classes_of_a_program_without_a_file_are_refused():
    _, said = ran(WITH_A_CLASS.format("spawn"))
    assert said.rstrip().endswith(
        "UsageError: Named: defined in a program that has no file, so that a worker process cannot import it; put it "
        "into a module, or use start_method='fork'"
    )


def test_what_cannot_be_sent_is_refused(load, small_log):
    log = small_log()
    log.source.lock = threading.Lock()
    with pytest.raises(UsageError, match=r"cannot be sent to a worker process \(TypeError: cannot pickle"):
        list(load(log, workers=1, start_method="spawn"))


def test_workers_load_no_framework(load, street):
    loader = load(street, LIGHT, workers=1, start_method="forkserver")
    list(loader)
    (pid,) = loader._workers.pids
    mapped = Path(f"/proc/{pid}/maps").read_text()
    assert "libtorch" not in mapped
    assert "tensorflow" not in mapped


def test_the_loader_loads_no_framework():
    code = "import sys, perceptum as pc; pc.Loader; print({'torch', 'tensorflow', 'rich'} & set(sys.modules))"
    assert ran("", "-c", code) == ("set()\n", "")


# dying


def deadly(log, number, how):
    """Returns the log, whose record of that number ends the process that reads it."""
    read = log.source.read_lidar

    def read_lidar(sensor, index):
        if index == number:
            how()
        return read(sensor, index)

    log.source.read_lidar = read_lidar
    return log


def segfault():
    import ctypes

    print("about to read at 0", flush=True)
    ctypes.string_at(0)


SAMPLE = r"frame '500000000' \(4 of memory log 'made by a test'\), draw \(7, 0, 4\)"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_death_is_reported_with_the_sample(load, small_log, workers):
    loader = load(deadly(small_log(), 4, segfault), batch_size=3, seed=7, workers=workers)
    found = []
    with pytest.raises(
        WorkerDied, match=f"^a worker of the loader died while it built {SAMPLE}: killed by SIGSEGV"
    ) as e:
        found.extend(batch.indices.tolist() for batch in loader)
    assert found == [[0, 1, 2]]
    assert "Fatal Python error: Segmentation fault" in e.value.__notes__
    # a new loop begins with new workers
    loader.set_epoch(5)
    assert next(iter(loader)).epoch == 5


def test_a_death_may_cost_no_more_than_its_sample(load, small_log):
    loader = load(deadly(small_log(), 4, segfault), batch_size=3, workers=2, seed=7, on_worker_death="skip")
    assert [batch.indices.tolist() for batch in loader] == [[0, 1, 2], [3, 5], [6, 7, 8], [9, 10]]
    stats = loader.stats()
    assert stats.deaths == 1
    assert stats.left_out[0].startswith("frame '500000000' (4 of memory log 'made by a test'): a worker died of it")
    assert "1 worker died and was replaced" in str(stats)
    # the same again in the next epoch
    assert [batch.indices.tolist() for batch in loader][1] == [3, 5]


def test_a_death_may_be_an_accident(load, small_log, tmp_path, see):
    marked = tmp_path / "died"

    def once():
        if not marked.exists():
            marked.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    wanted = [see(batch) for batch in load(batch_size=3)]
    loader = load(deadly(small_log(), 4, once), batch_size=3, workers=2, on_worker_death="retry")
    assert [see(batch) for batch in loader] == wanted
    assert loader.stats().deaths == 1


def test_a_batch_is_not_tried_for_ever(load, small_log):
    loader = load(deadly(small_log(), 4, segfault), batch_size=3, workers=1, on_worker_death="retry")
    with pytest.raises(WorkerDied, match="killed by SIGSEGV"):
        list(loader)
    assert loader.stats().deaths == 2


def test_workers_that_do_not_even_start_are_not_replaced_for_ever(load, small_log, monkeypatch):
    monkeypatch.setattr("perceptum.loading.worker.serve", lambda *args: os._exit(3))
    with pytest.raises(WorkerDied, match="died while it was started: exit status 3"):
        list(load(workers=1, on_worker_death="skip"))


def test_what_is_held_outlives_who_made_it(load):
    loader = load(batch_size=2, workers=1, on_worker_death="retry")
    iterator = iter(loader)
    batch = next(iterator)
    copy = batch["lidar_points"].copy()
    for pid in loader._workers.pids:
        os.kill(pid, signal.SIGKILL)
    assert len(list(iterator)) == 5
    assert (batch["lidar_points"] == copy).all()


# ending


@pytest.mark.parametrize("end", ["close", "del", "break", "error"])
def test_nothing_is_left_however_a_loop_ends(small_log, children, end):
    """The fixture looks what is left."""
    before = children()
    loader = pc.Loader(small_log(), ["lidar_points"], batch_size=2, workers=2, start_method="fork")
    try:
        for _ in loader:
            if end == "close":
                loader.close()
            if end == "error":
                raise KeyError
            break
    except KeyError:
        pass
    del _, loader
    assert children() == before


def test_a_loop_over_a_closed_loader_says_so(load):
    loader = load(batch_size=2, workers=1)
    iterator = iter(loader)
    next(iterator)
    loader.close()
    with pytest.raises(LoaderError, match=r"^the loader was closed in the middle of this loop$"):
        next(iterator)
    # it may be looped over again
    assert len(list(loader)) == 6


PROGRAM = """
import json, os, sys, time
import perceptum as pc

method, workers, state, delay_s = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
log = pc.open_log("synthetic", frames=12, seed=2)
loader = pc.Loader(log, ["gt_boxes"], batch_size=2, shuffle=5, workers=workers, start_method=method)
if os.path.exists(state):
    loader.load_state_dict(json.load(open(state)))
while loader.epoch < 3:
    for batch in loader:
        saved = json.dumps(loader.state_dict())
        with open(state + ".new", "w") as file:
            file.write(saved)
        with open(state + ".seen", "a") as file:
            file.write(json.dumps([batch.epoch, batch.indices.tolist(), batch["gt_boxes"].tobytes().hex()]) + "\\n")
        os.replace(state + ".new", state)
        print(batch.epoch, flush=True)
        time.sleep(delay_s)
"""


def program(path, text, *args, **options):
    path.write_text(text)
    return subprocess.Popen(
        [sys.executable, path, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def alive(pids):
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        # nobody may be there to wait for it
        if state != "Z":
            found.append(pid)
    return found


def gone(pids, most_s=30):
    until_s = time.monotonic() + most_s
    while (left := alive(pids)) and time.monotonic() < until_s:
        time.sleep(0.01)
    return not left


OF_ALL_KINDS = """
import time
import perceptum as pc

log = pc.open_log("synthetic", frames=12, seed=2)
loaders = [pc.Loader(log, ["ego_pose"], workers=2, start_method=method) for method in ("spawn", "forkserver", "fork")]
while True:
    for batches in zip(*loaders):
        print(*(pid for loader in loaders for pid in loader._workers.pids), flush=True)
        time.sleep(0.02)
"""


def test_ctrl_c_stops_soon_and_leaves_nothing(tmp_path):
    running = program(tmp_path / "train.py", OF_ALL_KINDS, start_new_session=True)
    pids = [int(pid) for pid in running.stdout.readline().split()]
    assert len(alive(pids)) == 6
    begin_s = time.monotonic()
    # as a terminal does: to the whole group
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=100)
    # three loaders, beside three times the work that the processors can do: 0.9 to 1.4 s
    assert time.monotonic() - begin_s < 10
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert said.count("Traceback") == 1
    assert gone(pids)


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    running = program(tmp_path / "train.py", OF_ALL_KINDS)
    pids = [int(pid) for pid in running.stdout.readline().split()]
    assert len(alive(pids)) == 6
    running.kill()
    running.communicate()
    assert gone(pids)


def test_a_run_that_was_killed_and_goes_on_gives_the_bytes_of_one_that_was_not(tmp_path, load):
    log = pc.open_log("synthetic", frames=12, seed=2)
    whole = load(log, ["gt_boxes"], batch_size=2, shuffle=5)
    wanted = [
        [batch.epoch, batch.indices.tolist(), batch["gt_boxes"].tobytes().hex()] for _ in range(3) for batch in whole
    ]
    state = tmp_path / "state"
    for workers, stop in ((2, 4), (0, 5)):
        running = program(tmp_path / "train.py", PROGRAM, "fork", workers, state, 0.01)
        for _ in range(stop):
            running.stdout.readline()
        running.kill()
        running.communicate()
    last = program(tmp_path / "train.py", PROGRAM, "fork", 3, state, 0)
    assert last.communicate(timeout=300)[1] == ""
    found = [json.loads(line) for line in Path(f"{state}.seen").read_text().splitlines()]
    # what was seen and then not saved, for it was killed in between, is seen again
    assert [row for row, before in zip(found, [None, *found], strict=False) if row != before] == wanted


def test_memory_is_flat_over_500_epochs(load, small_log):
    loader = load(small_log(4), ["ego_pose", "lidar_points"], batch_size=2, workers=1)

    def epochs(count):
        for _ in range(count):
            for batch in loader:
                del batch

    def used():
        (pid,) = loader._workers.pids
        sizes = []
        for process in ("self", pid):
            pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
            sizes.append(pages * os.sysconf("SC_PAGE_SIZE"))
        return sizes, [len(os.listdir(f"/proc/{process}/fd")) for process in ("self", pid)]

    epochs(50)
    (own, worker), descriptors = used()
    epochs(450)
    (own_after, worker_after), descriptors_after = used()
    assert descriptors_after == descriptors
    assert own_after - own < 3 << 20
    assert worker_after - worker < 3 << 20


def test_no_more_is_built_ahead_than_memory_allows(load, small_log):
    loader = load(small_log(60), batch_size=1, workers=2, prefetch=16)
    next(iter(loader))
    largest = loader._workers._largest
    loader.close()
    loader = load(small_log(60), batch_size=1, workers=2, prefetch=16, prefetch_bytes=6 * largest)
    for _ in loader:
        time.sleep(0.002)
        assert loader._workers.held_bytes <= 6 * loader._workers._largest
    # whoever holds more than that still gets the next batch
    held = list(loader)
    assert len(held) == 60


def test_a_dataset_is_the_same_wherever_it_lies(small_log):
    assert dataset_fingerprint(pc.Dataset([small_log()])) == dataset_fingerprint(pc.Dataset([small_log()]))
    assert dataset_fingerprint(pc.Dataset([small_log()])) != dataset_fingerprint(pc.Dataset([small_log(12)]))
