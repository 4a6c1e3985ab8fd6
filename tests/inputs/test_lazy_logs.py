"""Logs that are opened when they are asked for: once whatever the threads, few at a time, in each process anew."""

import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from perceptum.datasets import open_log
from perceptum.inputs import Cache, Dataset
from perceptum.inputs.lazy_logs import JoinedLogs, LazyLogs, LogAbout

FRAMES = [3, 5, 2, 4]
SMALL = {"beams": 8, "azimuth_steps": 60, "image_size": (80, 48)}


def open_one(number):
    return open_log("synthetic", frames=FRAMES[number], seed=number, **SMALL)


def about(number):
    return LogAbout(f"street {number}", FRAMES[number], split="train")


@pytest.fixture
def logs():
    return LazyLogs(FRAMES, open_one, about, most_open=2)


def test_what_is_known_opens_no_log(logs):
    dataset = Dataset(logs, name="streets")
    assert (len(dataset), repr(dataset)) == (14, "<Dataset streets: 4 logs, 14 frames>")
    assert dataset.place(8) == (2, 0)
    assert dataset.about(1) == LogAbout("street 1", 5, split="train")
    assert dataset.subset(of_each=-1).places()[1].tolist() == [2, 4, 1, 3]
    assert pickle.loads(pickle.dumps(dataset)).place(8) == (2, 0)
    assert repr(logs) == "<LazyLogs: 4, 0 of them open>"
    with pytest.raises(IndexError, match=r"^no log 4, there are 4$"):
        logs[4]


def test_threads_open_each_log_once():
    opened, begin = [], threading.Barrier(8)

    def slow(number):
        opened.append(number)
        return open_one(number)

    logs = LazyLogs(FRAMES, slow, about)

    def ask(_):
        begin.wait()
        return [logs[number] for number in range(4)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert sorted(opened) == [0, 1, 2, 3]
    assert all(answer == answers[0] for answer in answers)


def test_joined_logs_stay_lazy(logs):
    joined = JoinedLogs([logs, LazyLogs(FRAMES[:1], open_one, about)])
    assert len(joined) == 5
    assert logs.open_now() == []
    assert joined[-1].source.name == "street-0"
    assert logs.open_now() == []
    assert [log.source.name for log in joined] == ["street-0", "street-1", "street-2", "street-3", "street-0"]


def lidar_of(index, dataset):
    return dataset[index].lidar.x.tobytes()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_another_process_opens_for_itself_and_reads_the_same(method):
    from perceptum.dataset import open_dataset

    dataset = open_dataset("synthetic", logs=2, frames=2, classes="road_users", **SMALL)
    own = [lidar_of(index, dataset) for index in (0, 3)]
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.map(partial(lidar_of, dataset=dataset), (0, 3)) == own


def test_parts_of_a_cache_share_its_bound_and_not_its_keys():
    whole = Cache(10_000)
    one, other = whole.part("one"), whole.part("other")
    assert one.get("x", lambda: 1) == 1
    assert other.get("x", lambda: 2) == 2
    assert whole.part("one").get("x", lambda: 3) == 1
    assert ("x" in one, "x" in whole, "y" in other) == (True, False, False)
    assert len(whole) == len(one) == 2
    assert whole.nbytes == one.nbytes == other.nbytes
    for number in range(50):
        other.get(number, lambda: b"x" * 500)
    assert whole.nbytes <= 10_000
    # what was used longest ago goes first, whosever it is
    assert "x" not in one
    again = pickle.loads(pickle.dumps(one))
    assert again.get("z", lambda: 4) == whole.part("one").get("z", lambda: 5) == 4
    one.clear()
    assert len(whole) == 0
