"""Made once: one maker whatever the threads, others wait, different things side by side, also after a fork."""

import os
import pickle
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from perceptum.inputs.once import Guard, get_or_make, once


def together(count, work):
    """Returns what `work(i)` gave in `count` threads that begin at the same moment."""
    gate = threading.Barrier(count)

    def run(i):
        gate.wait()
        return work(i)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def in_a_fork(work):
    """Whether `work()` is true in a forked child, and was done within five seconds."""
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        os._exit(0 if work() else 1)
    return os.waitpid(child, 0)[1] == 0


def test_many_threads_that_want_one_thing_have_it_made_once():
    made, store = [], {}

    def slowly():
        made.append(threading.get_ident())
        time.sleep(0.05)
        return object()

    assert len(set(together(8, lambda _: get_or_make(store, "a", slowly)))) == 1
    assert len(made) == 1


def test_different_things_are_made_side_by_side():
    meeting = threading.Barrier(3)
    # each maker waits for the others: one after another they would never meet
    assert together(3, lambda i: get_or_make({}, i, lambda: meeting.wait(5) >= 0)) == [True] * 3
    store = {}
    assert together(3, lambda i: get_or_make(store, i, lambda: meeting.wait(5) >= 0)) == [True] * 3


def test_those_who_waited_get_what_a_store_does_not_keep():
    class Forgetful(dict):
        def __setitem__(self, key, value):
            pass

    store, made = Forgetful(), []

    def slowly():
        time.sleep(0.1)
        made.append(1)
        return len(made)

    assert together(4, lambda _: get_or_make(store, "a", slowly)) == [1] * 4
    assert get_or_make(store, "a", slowly) == 2


def test_what_a_maker_raises_is_not_remembered_and_those_who_waited_try_for_themselves():
    tries, store = [], {}

    def make():
        tries.append(1)
        time.sleep(0.02)
        if len(tries) < 3:
            raise OSError("not yet")
        return "there"

    def ask(_):
        try:
            return get_or_make(store, "a", make)
        except OSError as error:
            return str(error)

    assert Counter(together(5, ask)) == {"not yet": 2, "there": 3}
    assert len(tries) == 3


def test_a_maker_may_raise_anything_and_leaves_nothing_behind():
    store = {}
    for error in (KeyError("own"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()):

        def fail(error=error):
            raise error

        with pytest.raises(type(error)):
            get_or_make(store, "a", fail)
    assert get_or_make(store, "a", lambda: 1) == 1


def test_a_maker_may_ask_for_other_things():
    store = {}

    def fibonacci(n):
        return get_or_make(store, n, lambda: n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2))

    assert together(6, lambda i: fibonacci(30 - i)) == [fibonacci(30 - i) for i in range(6)]
    assert fibonacci(30) == 832040


def test_a_maker_that_asks_for_its_own_thing_is_an_error():
    store = {}

    def make():
        return get_or_make(store, "a", lambda: get_or_make(store, "b", make))

    with pytest.raises(RuntimeError, match=r"^making 'a' asks for 'a' itself$"):
        make()
    assert store == {}


def test_two_threads_that_want_what_the_other_makes_do_not_wait_for_ever():
    store, meeting = {}, threading.Barrier(2)

    def make(own, other):
        meeting.wait(5)
        return get_or_make(store, other, lambda: "made for the other")

    def ask(i):
        own, other = ("a", "b") if i else ("b", "a")
        try:
            return get_or_make(store, own, lambda: make(own, other))
        except RuntimeError as error:
            return str(error).partition(" ")[0]

    # one of the two is refused; then the other makes both
    assert sorted(together(2, ask)) == ["made for the other", "making"]


def test_a_property_is_worked_out_once_and_not_those_of_other_objects_with_it():
    meeting = threading.Barrier(2)

    class Thing:
        worked_out = 0

        @once
        def answer(self):
            """What it is."""
            self.worked_out += 1
            # with one lock for the class, as functools.cached_property has, they would never meet
            return meeting.wait(5)

    things = [Thing(), Thing()]
    answers = together(6, lambda i: (i % 2, things[i % 2].answer))
    assert len(set(answers)) == 2
    assert [thing.worked_out for thing in things] == [1, 1]
    assert vars(things[0])["answer"] == things[0].answer
    assert Thing.answer.__doc__ == "What it is."


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_threads_that_stayed_behind():
    store, guard, go_on, inside = {}, Guard(), threading.Event(), threading.Barrier(3)

    def hold():
        with guard:
            inside.wait(5)
            go_on.wait(5)

    def make():
        inside.wait(5)
        go_on.wait(5)
        return "the parent's"

    threads = [threading.Thread(target=hold), threading.Thread(target=lambda: get_or_make(store, "a", make))]
    for thread in threads:
        thread.start()
    inside.wait(5)

    def child():
        with guard:
            return get_or_make(store, "a", lambda: "the child's") == "the child's"

    assert in_a_fork(child)
    go_on.set()
    for thread in threads:
        thread.join()
    assert store == {"a": "the parent's"}


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_maker_that_forks_finishes_in_both():
    store = {}
    assert get_or_make(store, "a", lambda: in_a_fork(lambda: get_or_make(store, "b", lambda: 1) == 1))
    child = get_or_make(store, "c", os.fork)
    if child == 0:
        signal.alarm(5)
        os._exit(0 if get_or_make(store, "c", lambda: 1) == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_guard_is_pickled_as_a_new_one():
    guard = Guard()
    with guard:
        sent = pickle.loads(pickle.dumps(guard))
        assert together(1, lambda _: sent.__enter__()) == [None]


@pytest.mark.parametrize("seed", range(3))
def test_many_threads_many_things_and_errors_at_random(seed):
    store, makers, most_makers = {}, Counter(), Counter()

    def make(key):
        makers[key] += 1
        most_makers[key] = max(most_makers[key], makers[key])
        try:
            if chance[key].random() < 0.3:
                time.sleep(1e-4)
            if chance[key].random() < 0.3:
                raise OSError
            # only ever for what comes later: no circles
            return key + (ask(key + 1) if key < 19 else 0)
        finally:
            makers[key] -= 1

    def ask(key):
        while True:
            try:
                return get_or_make(store, key, lambda: make(key))
            except OSError:
                pass

    chance = {key: random.Random(seed * 100 + key) for key in range(20)}
    order = [random.Random(seed * 7 + i).sample(range(20), 20) for i in range(12)]
    together(12, lambda i: [ask(key) for key in order[i]])
    assert store == {key: sum(range(key, 20)) for key in range(20)}
    assert set(most_makers.values()) == {1}
