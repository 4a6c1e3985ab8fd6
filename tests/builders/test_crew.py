"""Crew: one thread budget for steps and for the items of a step."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders.crew import Crew

THREADS = (1, 2, 5)


class Watch:
    """Counts who works at once."""

    def __init__(self):
        self.lock, self.now, self.most, self.threads = threading.Lock(), 0, 0, set()

    def __enter__(self):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.threads.add(threading.get_ident())

    def __exit__(self, *_):
        with self.lock:
            self.now -= 1


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_each_item_is_worked_on_once(threads, n):
    seen = []
    Crew(threads).each(seen.append, iter(range(n)))
    assert sorted(seen) == list(range(n))


@pytest.mark.parametrize("threads", [2, 3])
def test_work_is_side_by_side_and_never_beyond_the_budget(threads):
    crew, watch = Crew(threads), Watch()

    def work(_):
        with watch:
            time.sleep(0.02)

    crew.each(work, range(12))
    assert watch.most == threads
    assert threading.get_ident() in watch.threads


@pytest.mark.parametrize("threads", THREADS)
def test_work_within_work_does_not_lock_up(threads):
    crew, done = Crew(threads), []

    def outer(i):
        crew.each(lambda j: crew.each(lambda k: done.append((i, j, k)), range(3)), range(3))

    caller = threading.Thread(target=lambda: crew.each(outer, range(6)), daemon=True)
    caller.start()
    caller.join(20)
    assert not caller.is_alive()
    assert len(set(done)) == len(done) == 6 * 9


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_is_raised_when_nobody_works_any_more(threads, error):
    crew, watch = Crew(threads), Watch()

    def work(i):
        with watch:
            time.sleep(0.001)
            if i == 3:
                raise error

    for _ in range(5):
        with pytest.raises(type(error)):
            crew.each(work, range(50))
        assert watch.now == 0
    seen = []
    crew.each(seen.append, range(9))
    assert len(seen) == 9


@st.composite
def graphs(draw):
    """Steps 0.. each needing some before it: needs and then, as Crew.steps takes them."""
    n = draw(st.integers(0, 12))
    before = [draw(st.sets(st.integers(0, k - 1), max_size=3)) if k else set() for k in range(n)]
    then = [[k for k in range(n) if j in before[k]] for j in range(n)]
    return before, then


@settings(max_examples=60, deadline=None)
@given(graph=graphs(), threads=st.sampled_from(THREADS))
def test_steps_run_once_each_after_those_they_need(graph, threads):
    before, then = graph
    done, lock = [], threading.Lock()

    def work(k):
        with lock:
            assert before[k] <= set(done)
        time.sleep(Random(k).random() * 1e-4)
        with lock:
            done.append(k)

    Crew(threads).steps(work, [len(b) for b in before], then)
    assert sorted(done) == list(range(len(before)))


@pytest.mark.parametrize("threads", THREADS)
def test_a_step_that_fails_lets_nothing_new_begin(threads):
    begun = []

    def work(k):
        begun.append(k)
        if k == 0:
            raise LookupError("no")

    with pytest.raises(LookupError):
        Crew(threads).steps(work, [0, 1, 1], [[1], [2], []])
    assert begun == [0]


@pytest.mark.parametrize("threads", [2, 4])
def test_steps_may_use_each_and_callers_share_the_crew(threads):
    crew, done, lock = Crew(threads), [], threading.Lock()

    def call(name):
        def work(k):
            crew.each(lambda i: done.append((name, k, i)), range(4))

        crew.steps(work, [0, 0, 1, 2], [[2], [3], [3], []])

    callers = [threading.Thread(target=call, args=(name,), daemon=True) for name in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
        assert not caller.is_alive()
    with lock:
        assert len(set(done)) == len(done) == 5 * 4 * 4


def test_a_thread_that_comes_late_keeps_nothing_alive_that_the_work_held():
    """Its buffers did not come back to the pool, and every frame made new ones."""
    crew, begun, go_on = Crew(2), threading.Event(), threading.Event()

    def busy():
        begun.set()
        go_on.wait()

    crew.call(busy)
    begun.wait()

    class Held:
        pass

    held = Held()
    watch = weakref.ref(held)

    def work(item, held=held):
        return held

    crew.each(work, range(3))
    del held, work
    gc.collect()
    assert watch() is None
    go_on.set()


def test_who_has_nothing_to_do_is_spare():
    crew, begun, go_on, end = Crew(3), threading.Event(), threading.Event(), threading.Event()

    def busy():
        begun.set()
        go_on.wait()

    assert (Crew(1).spare, crew.spare) == (0, 2)
    crew.call(busy)
    begun.wait()
    assert crew.spare == 1
    go_on.set()
    crew.call(end.set)
    end.wait()
    for _ in range(1000):
        if crew.spare == 2:
            return
        time.sleep(0.001)
    raise AssertionError("who is done is still counted as busy")
