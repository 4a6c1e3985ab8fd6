"""A loader's batches: the same bytes, however they were built."""

from __future__ import annotations

import copy
import os
import pickle

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment, Tensors
from perceptum.errors import UsageError
from perceptum.inputs import BrokenRecord
from perceptum.loading import Batches, LoaderError, StateMismatch, Stats

AUGMENT = Augment(rotate=0.5, drop_points=0.2)


def test_a_batch_is_what_the_builder_builds(load, small_log):
    log, spec = small_log(), ["lidar_points", "ego_pose"]
    loader = load(log, spec, batch_size=4)
    batches = list(loader)
    assert [batch.indices.tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert [batch.frame_ids for batch in batches][2] == [log[index].id for index in (8, 9, 10)]
    wanted = pc.InputBuilder(spec, training=True).build_batch([log[index] for index in (8, 9, 10)])
    assert isinstance(batches[2], Tensors)
    for name, array in wanted.items():
        np.testing.assert_array_equal(batches[2][name], array)
    assert list(wanted) == list(batches[2])
    assert len(loader) == 3


@pytest.mark.parametrize("options", [{}, {"augment": AUGMENT}, {"batch_size": None}, {"writable": True}], ids=str)
def test_no_byte_depends_on_how_many_build(load, see, options):
    options = {"batch_size": 3, "shuffle": 5} | options
    wanted = [see(batch) for loader in [load(**options)] for _ in range(2) for batch in loader]
    for workers in (1, 2, 3):
        loader = load(workers=workers, **options)
        assert [see(batch) for _ in range(2) for batch in loader] == wanted


@pytest.mark.parametrize("threads", [1, 2])
def test_a_draw_follows_from_the_place_in_the_epoch_alone(load, threads):
    """Whatever the batches and the ranks: the sample at a position is the same to the byte."""
    options = {"shuffle": 8, "augment": AUGMENT, "threads": threads}

    def samples(**more):
        return {
            (batch.epoch, int(batch.samples.positions[0])): batch["lidar_points"].tobytes()
            for batch in load(batch_size=None, **options, **more)
        }

    alone = samples()
    ranks = samples(shard=(0, 2)) | samples(shard=(1, 2))
    assert {key: ranks[key] for key in alone} == alone
    draws = [draw for batch in load(batch_size=4, **options) for draw in batch.draws]
    assert [(draw.seed, draw.epoch, draw.index) for draw in draws] == [(8, 0, position) for position in range(11)]


def test_epochs_differ_and_count_on(load):
    loader = load(shuffle=1, batch_size=11)
    orders = [batch.indices.tolist() for _ in range(3) for batch in loader]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(11)) for order in orders)
    loader.set_epoch(1)
    assert [batch.indices.tolist() for batch in loader] == orders[1:2]
    assert loader.epoch == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loop_that_is_left_has_ended_its_epoch(load, workers):
    loader = load(shuffle=1, batch_size=2, workers=workers)
    first = next(iter(loader))
    assert first.epoch == 0
    del first
    assert [batch.epoch for batch in loader] == [1] * 6


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("begun", [False, True])
def test_a_loop_over_a_loader_ends_those_before_it(load, workers, begun):
    loader = load(batch_size=2, workers=workers)
    first = iter(loader)
    if begun:
        next(first)
    second = iter(loader)
    found = [next(second)]
    with pytest.raises(LoaderError, match="another one over the same loader has begun"):
        next(first)
    # which goes on with what its workers have built for it meanwhile
    found += second
    assert len(found) == len(loader)


@pytest.mark.parametrize("again", [copy.copy, lambda loader: pickle.loads(pickle.dumps(loader))])
def test_a_copy_of_a_loader_goes_on_with_workers_of_its_own(load, see, again):
    loader = load(batch_size=4, workers=1, shuffle=3)
    loop = iter(loader)
    next(loop)
    with again(loader) as other:
        assert other.state_dict() == loader.state_dict()
        assert other.stats().batches == 0
        other.load_state_dict(loader.state_dict())
        assert [see(batch) for batch in other] == [see(batch) for batch in loop]


@pytest.mark.parametrize("workers", [0, 1])
def test_several_models_get_their_tensors_by_name(load, see, workers):
    spec = {"a": ["lidar_points"], "b": ["ego_pose", "lidar_points"]}
    batch = next(iter(load(spec=spec, batch_size=2, workers=workers)))
    assert isinstance(batch, Batches)
    assert {model: list(tensors) for model, tensors in batch.items()} == {
        "a": ["lidar_points", "lidar_points_batch_ptr"],
        "b": ["ego_pose", "lidar_points", "lidar_points_batch_ptr"],
    }
    assert batch.indices.tolist() == [0, 1]


@pytest.mark.parametrize("workers", [0, 2])
def test_held_tensors_are_never_written_over(load, workers):
    loader = load(batch_size=2, shuffle=2, workers=workers, prefetch_bytes=1)
    held = [(batch["lidar_points"], batch["lidar_points"].copy()) for _ in range(4) for batch in loader]
    assert len(held) == 24
    for array, kept in held:
        np.testing.assert_array_equal(array, kept)


def test_what_is_let_go_is_used_again(load):
    loader = load(batch_size=2, workers=1)
    for _ in range(30):
        for batch in loader:
            del batch
    (worker,) = loader._workers._workers.values()
    # of 180 batches: those ahead, those held, those on their way back
    assert len(worker.outputs._chunks) <= 10


@pytest.mark.parametrize("workers", [0, 1])
def test_tensors_are_read_only_unless_they_are_to_be_written(load, workers):
    batch = next(iter(load(workers=workers)))
    with pytest.raises(ValueError, match="read-only"):
        batch["lidar_points"][:] = 0
    loader = load(workers=workers, writable=True, prefetch=1)
    for _ in range(3):
        for batch in loader:
            assert batch["lidar_points"].any()
            batch["lidar_points"][:] = 0
    assert [batch["lidar_points"].any() for batch in loader] == [True] * 11


def test_a_batch_pickles(load, see):
    batch = next(iter(load(batch_size=2, shuffle=1)))
    assert see(pickle.loads(pickle.dumps(batch))) == see(batch)


@pytest.mark.parametrize("drop_last", [False, True])
def test_ranks_go_through_disjoint_parts_of_equal_length(load, drop_last):
    loaders = [load(batch_size=2, shuffle=3, shard=(rank, 3), drop_last=drop_last) for rank in range(3)]
    parts = [[index for batch in loader for index in batch.indices.tolist()] for loader in loaders]
    assert {len(loader) for loader in loaders} == {1 if drop_last else 2}
    assert len({len(part) for part in parts}) == 1
    taken = [index for part in parts for index in part]
    assert len(taken) == (6 if drop_last else 12)
    assert len(set(taken)) == (6 if drop_last else 11)


def test_a_cache_changes_no_byte(load, see, tmp_path):
    log = pc.open_log("synthetic", frames=5, seed=3, beams=16, azimuth_steps=300)
    options = {"spec": ["lidar_points", "gt_boxes"], "batch_size": 2, "shuffle": 4}
    wanted = [see(batch) for batch in load(log, **options)]
    for workers in (2, 1, 0):
        loader = load(log, cache=tmp_path / "cache", workers=workers, **options)
        assert [see(batch) for batch in loader] == wanted
        # as it is kept: nothing of it is made again
        assert ("lidar_points" in loader.stats().stages_s) or workers != 2


# a run that is gone on with


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 0), (1, 3), (2, 2)])
@pytest.mark.parametrize("stop", [0, 2, 4, 7])
def test_a_resumed_run_gives_the_same_bytes(load, see, before, after, stop):
    options = {"batch_size": 3, "shuffle": 6, "augment": AUGMENT}
    wanted = [see(batch) for loader in [load(**options)] for _ in range(3) for batch in loader]
    first, state = load(workers=before, **options), None
    found = []
    while len(found) < stop:
        for batch in first:
            found.append(see(batch))
            if len(found) == stop:
                break
    state = first.state_dict()
    second = load(workers=after, **options)
    second.load_state_dict(state)
    while len(found) < len(wanted):
        found += [see(batch) for batch in second]
    assert found == wanted


def test_a_state_is_small_plain_data(load):
    import json

    loader = load(shuffle=1)
    iterator = iter(loader)
    next(iterator), next(iterator)
    state = loader.state_dict()
    assert json.loads(json.dumps(state)) == state
    assert (state["epoch"], state["position"]) == (0, 2)


def test_a_run_is_gone_on_with_by_other_ranks_and_other_batches(load):
    first = load(batch_size=2, shuffle=4, shard=(0, 2))
    order = next(iter(load(batch_size=11, shuffle=4))).indices.tolist()
    next(iter(first))
    state = first.state_dict()
    assert state["position"] == 4
    rest = load(batch_size=3, shuffle=4)
    rest.load_state_dict(state)
    assert [index for batch in rest for index in batch.indices.tolist()] == order[4:]


def test_the_epoch_of_a_loaded_state_may_be_set_again(load):
    loader = load(shuffle=4, batch_size=4)
    list(loader), next(iter(loader))
    again = load(shuffle=4, batch_size=4)
    again.load_state_dict(loader.state_dict())
    again.set_epoch(1)
    assert [len(batch.indices) for batch in again] == [4, 3]
    again.set_epoch(1)
    assert [len(batch.indices) for batch in again] == [4, 4, 3]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"shuffle": 2}, "the seed of the order differs: 1 in the state, 2 here"),
        ({"spec": ["ego_pose"]}, r"what is built \(the spec, its parameters\) differs"),
        ({"drop_last": True}, "drop_last differs: False in the state, True here"),
    ],
)
def test_a_state_of_another_run_is_refused(load, other, words):
    state = load(shuffle=1).state_dict()
    with pytest.raises(StateMismatch, match=f"^the state does not continue this run: {words}"):
        load(**{"shuffle": 1} | other).load_state_dict(state)


def test_a_state_of_another_dataset_is_refused(load, small_log):
    state = load(shuffle=1).state_dict()
    with pytest.raises(StateMismatch, match="the number of frames differs: 11 in the state, 12 here"):
        load(small_log(12), shuffle=1).load_state_dict(state)
    with pytest.raises(StateMismatch, match="the dataset"):
        load([small_log(6), small_log(5)], shuffle=1).load_state_dict(state)


@pytest.mark.parametrize("state", [{}, {"format": 99}, [], {"format": 1}])
def test_what_is_no_state_is_refused(load, state):
    with pytest.raises(StateMismatch):
        load().load_state_dict(state)


# frames that cannot be built


def broken(log, *numbers):
    """Returns the log with broken records."""
    read = log.source.read_lidar

    def read_lidar(sensor, index):
        if index in numbers:
            raise BrokenRecord(f"sweep {index} is cut short")
        return read(sensor, index)

    log.source.read_lidar = read_lidar
    return log


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_an_error_comes_in_its_turn_and_says_of_which_sample(load, small_log, workers):
    loader = load(broken(small_log(), 4), batch_size=2, workers=workers, seed=9)
    found = []
    with pytest.raises(BrokenRecord, match=r"^sweep 4 is cut short\n") as raised:
        found.extend(batch.indices.tolist() for batch in loader)
    assert found == [[0, 1], [2, 3]]
    assert raised.value.__notes__ == ["in frame '500000000' (4 of memory log 'made by a test'), draw (9, 0, 4)"]
    # the batch was not delivered: who goes on begins with it
    assert loader.state_dict()["position"] == 4
    if workers:
        assert "in the worker:" in str(raised.value.__cause__)
        assert "read_lidar" in str(raised.value.__cause__)


@pytest.mark.parametrize("workers", [0, 2])
def test_frames_that_cannot_be_built_are_left_out_and_listed(load, small_log, workers):
    loader = load(broken(small_log(), 1, 4, 5), batch_size=2, workers=workers, on_error="skip")
    assert [batch.indices.tolist() for batch in loader] == [[0], [2, 3], [6, 7], [8, 9], [10]]
    stats = loader.stats()
    assert stats.left_out == [
        f"frame '{10**8 * (n + 1)}' ({n} of memory log 'made by a test'): BrokenRecord: sweep {n} is cut short"
        for n in (1, 4, 5)
    ]
    assert "3 frames left out" in str(stats)
    assert stats.samples == 8


def test_ranks_do_not_go_out_of_step_where_a_whole_batch_is_left_out(load, small_log):
    loader = load(broken(small_log(), 0, 2), batch_size=2, shard=(0, 2), on_error="skip")
    with pytest.raises(LoaderError, match="the other ranks are not a batch short: frame '300000000'"):
        list(loader)


# bad use


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size must be a number of 1 or more, or None, got 0"),
        ({"shuffle": True}, "shuffle must be a number from 0 to .*, or None, got True; it is the seed of the order"),
        ({"workers": -1}, "workers must be a number from 0 to 256, got -1"),
        ({"shard": (2, 2)}, "shard's rank must be a number from 0 to 1, got 2"),
        ({"shard": 2}, r"shard must be \(rank, world\), got an int: 2"),
        ({"start_method": "thread"}, "start_method must be None, 'fork', 'spawn' or 'forkserver', got 'thread'"),
        ({"on_error": "ignore"}, "on_error must be 'raise' or 'skip', got 'ignore'"),
        ({"augment": AUGMENT}, "augment needs a seed from which its choices follow: shuffle=, or seed="),
    ],
)
def test_what_makes_no_sense_is_refused(small_log, options, words):
    with pytest.raises(UsageError, match=f"^{words}$"):
        pc.Loader(small_log(), ["ego_pose"], **options)


def test_an_empty_dataset_is_refused(small_log):
    with pytest.raises(UsageError, match="the dataset has no frames to load"):
        pc.Loader(pc.Dataset([small_log()]).subset([]), ["ego_pose"])


# what is said of a run


def test_the_statistics_say_what_waits_for_what(load):
    loader = load(batch_size=2, workers=2)
    assert loader.stats().advice == "nothing was loaded yet"
    list(loader)
    stats = loader.stats()
    assert (stats.batches, stats.samples, stats.deaths) == (6, 11, 0)
    assert {"lidar_points", "ego_pose"} <= set(stats.stages_s)
    assert stats.elapsed_s >= stats.waited_s > 0
    assert stats.built_s > 0
    assert stats.to_dict()["batches_per_s"] == stats.batches / stats.elapsed_s
    assert str(stats).startswith("6 batches, 11 samples, ")


@pytest.mark.parametrize(
    ("waited_s", "built_s", "workers", "words"),
    [
        (6.2, 8, 1, "the loop waits for the loader 62% of the time: add workers"),
        (6.2, 1, 2, "the loop waits for the loader 62% of the time: give the loader more room"),
        (0.1, 1, 2, "the loader keeps up: the loop waits 1% of the time, its workers 40%"),
        (9.0, 9, 0, "the loop builds its batches itself, 90% of the time: workers would do that beside it"),
    ],
)
def test_the_advice(monkeypatch, waited_s, built_s, workers, words):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    stats = Stats(workers, batches=3, elapsed_s=10.0, waited_s=waited_s, built_s=built_s, idle_s=8.0)
    assert stats.advice.startswith(words)


def test_progress_is_shown_or_reported(load, capfd):
    seen = []
    loader = load(batch_size=4, progress=lambda *args: seen.append(args))
    list(loader), next(iter(loader))
    assert seen == [(0, 1, 3), (0, 2, 3), (0, 3, 3), (1, 1, 3)]
    list(load(batch_size=4, progress=True))
    # silent where it is not a terminal
    assert capfd.readouterr() == ("", "")


def test_an_epoch_without_a_batch_is_refused(load):
    with pytest.raises(UsageError) as refused:
        load(batch_size=50, drop_last=True, shard=(0, 2))
    assert str(refused.value) == "drop_last leaves no batch: 11 frames for batches of 50 on 2 ranks"


def test_a_path_is_not_a_log(load):
    with pytest.raises(TypeError) as refused:
        load("drives/train")
    assert str(refused.value) == (
        "a dataset is made of logs, got a str; what lies at a path is opened first, by open_log or open_dataset"
    )


def test_waiting_for_new_workers_is_not_want_of_room(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    stats = Stats(workers=2, batches=8, elapsed_s=8.0, waited_s=4.0, started_s=3.0, built_s=2.0)
    assert stats.advice == (
        "the loop waits for the loader 50% of the time: most of it while workers started and kernels were loaded or "
        "compiled, which happens once"
    )
    stats.started_s = 0.0
    assert stats.advice.endswith("give the loader more room (prefetch, prefetch_bytes)")
    stats.built_s = 12.0
    assert stats.advice.endswith("its 2 workers have 2 CPUs: ask for less, or keep it in a cache")
