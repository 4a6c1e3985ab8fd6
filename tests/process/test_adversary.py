"""Attacks on isolated models: threads that meet, programs in odd surroundings, memory and descriptors that run out."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, load_neuropod
from perceptum.neuropod.errors import WorkerError
from perceptum.neuropod.process import keeper
from perceptum.neuropod.process.latch import Latch
from perceptum.neuropod.process.line import Line
from perceptum.neuropod.process.memory import SharedMemory
from perceptum.neuropod.process.pool import WorkerPool
from perceptum.neuropod.process.remote import RemoteRunner, Restart
from perceptum.neuropod.process.worker import wire

ONES = {"x": np.ones(3, np.float32)}
DOUBLES = "def make(data):\n    return lambda x: {'y': x * 2}"
# x[0] is how long it sleeps, or how it ends
ODD = """
import os, time
def make(data):
    def model(x):
        if x[0] < 0:
            os._exit(int(-x[0]))
        time.sleep(float(x[0]))
        return {"y": x * 2}
    return model
"""
# loads at once the first and second time, and never after that
LOADS_TWICE = """
import os, time
def make(data):
    try:
        os.mkdir({marker!r})
    except FileExistsError:
        try:
            os.mkdir({marker!r} + "2")
        except FileExistsError:
            time.sleep(600)
    def model(x):
        os._exit(3)
    return model
"""


def does(number):
    return {"x": np.array([number, 1], np.float32)}


def in_time(call, seconds=5.0):
    """Returns what a call returns, or raises what it raises, in a thread that is waited for so long and no longer."""
    found = []

    def run():
        try:
            found.append((call(), None))
        except BaseException as error:
            found.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, f"it takes longer than {seconds:g} s"
    answer, error = found[0]
    if error is not None:
        raise error
    return answer


def until(is_so, seconds=5.0):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


# ----------------------------------------------------------------------- calls that wait in line


def test_a_call_that_waits_for_room_in_a_line_that_is_closed_is_cancelled():
    line = Line(workers=1, room=1)
    go = threading.Event()
    running = line.put(lambda: go.wait(10))
    until(running.running)
    waiting = line.put(lambda: 1)
    late = []

    def put():
        try:
            late.append(line.put(lambda: 2))
        except RuntimeError as error:
            late.append(error)

    threads = [threading.Thread(target=put, daemon=True) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    assert not late
    in_time(line.close)
    for thread in threads:
        thread.join(5)
    go.set()
    assert running.result(5)
    assert waiting.cancelled()
    for each in late:
        assert isinstance(each, RuntimeError) or isinstance(each.exception(5), CancelledError) or each.cancelled()
    assert len(late) == len(threads)


def test_who_waits_for_several_calls_hears_of_those_that_a_close_cancels():
    line = Line()
    go = threading.Event()
    running = line.put(lambda: go.wait(10))
    until(running.running)
    futures = [line.put(lambda: 1) for _ in range(3)]
    line.close()
    go.set()
    assert not wait([*futures, running], timeout=3).not_done
    assert all(future.cancelled() for future in futures)


def test_a_line_that_is_dropped_cancels_what_waits_and_ends_its_threads():
    line = Line(workers=2, room=4)
    go = threading.Event()
    running = [line.put(lambda: go.wait(10)) for _ in range(2)]
    until(lambda: all(future.running() for future in running))
    waiting = [line.put(lambda: 1) for _ in range(4)]
    del line
    go.set()
    assert not wait([*waiting, *running], timeout=3).not_done


def test_two_threads_that_ask_at_once_share_one_line(isolated, monkeypatch):
    from perceptum.neuropod import model as module

    made = []

    class Slow(Line):
        def __init__(self, *args, **options):
            made.append(self)
            time.sleep(0.1)
            super().__init__(*args, **options)

    monkeypatch.setattr(module, "Line", Slow)
    model = isolated(DOUBLES)
    futures = []
    threads = [threading.Thread(target=lambda: futures.append(model.infer_async(ONES))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    try:
        assert [(future.result(5)["y"] == 2).all() for future in futures] == [True] * 4
        assert len(made) == 1
    finally:
        made.clear()


def test_a_closed_model_takes_no_calls_and_starts_no_threads_for_them(isolated):
    model = isolated(DOUBLES)
    model.close()
    before = threading.active_count()
    with pytest.raises(NeuropodError, match="model 'm' is closed; load it again"):
        model.infer_async(ONES)
    assert threading.active_count() == before


def test_a_model_that_is_closed_as_a_call_gets_in_line_says_so(isolated):
    model = isolated(DOUBLES)
    model.infer_async(ONES).result(5)
    model._line.close()
    with pytest.raises(NeuropodError, match=r"^model 'm': no calls are taken any more: the model is closed"):
        model.infer_async(ONES)


# ----------------------------------------------------------------------- closing meets the rest


def test_closing_while_a_call_begins_says_that_the_model_is_closed(isolated, monkeypatch):
    model = isolated(DOUBLES)
    check = model._check_inputs

    def closes(arrays):
        check(arrays)
        model.close()

    monkeypatch.setattr(model, "_check_inputs", closes)
    with pytest.raises(NeuropodError, match="closed"):
        model.infer(ONES)


@pytest.mark.parametrize("backoff_s", [0, 0.5])
def test_closing_ends_a_restart_that_never_ends(pack, load, tmp_path, backoff_s):
    model = load(
        pack(LOADS_TWICE.format(marker=str(tmp_path / "marker"))), restart=Restart(most=9, backoff_s=backoff_s)
    )
    errors = []
    for _ in range(2):
        with pytest.raises(WorkerError):
            model.infer(ONES)

    def call():
        try:
            model.infer(ONES)
        except NeuropodError as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    # it loads, or waits before it is started
    time.sleep(0.2)
    in_time(model.close, 6)
    thread.join(5)
    assert "closed" in str(errors[0])


def test_a_pool_is_closed_whole_while_its_workers_are_given_up(pack, load):
    model = load(pack(ODD), workers=3)
    pool = model._runner
    runners = list(pool._runners)
    # the first worker is lost while the others are being closed
    close = runners[0].close

    def closes_late():
        close()
        if runners[0] in pool._runners:
            pool._lose(runners[0], WorkerError("it died"))

    runners[0].close = closes_late
    model.close()
    assert [runner._channel for runner in runners] == [None] * 3


def test_a_worker_that_a_pool_gives_up_leaves_no_descriptor(pack, load):
    model = load(pack(ODD), workers=2)
    model.infer(ONES)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(WorkerError):
        model.infer(does(-3))
    assert len(model.worker_pids) == 1
    until(lambda: len(os.listdir("/proc/self/fd")) < before - 3)
    model.infer(ONES)


def test_what_ends_the_last_restart_is_said_when_it_is_given_up(pack, load):
    path = pack(ODD)
    model = load(path, restart=Restart(most=2, backoff_s=0))
    os.unlink(path)
    with pytest.raises(WorkerError):
        model.infer(does(-3))
    for _ in range(4):
        with pytest.raises(NeuropodError) as caught:
            model.infer(ONES)
    assert "given up" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("count", range(1, 12))
def test_an_interrupt_before_an_answer_is_read_leaves_it_to_the_next_call(isolated, count):
    """The first answer comes with messages, which would else be taken for those of the next."""
    model = isolated(DOUBLES, wait="sleep")
    code = type(model._runner._channel)._finish.__code__
    left = count

    def line(frame, event, argument):
        nonlocal left
        if event == "line" and frame.f_lineno > code.co_firstlineno + 6:
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return line

    before = sys.gettrace()
    sys.settrace(lambda frame, event, argument: line if frame.f_code is code else None)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.infer(ONES)
    finally:
        sys.settrace(before)
    if model._runner._channel._is_reading:
        # half of it was read: that is said
        with pytest.raises(WorkerError, match="interrupted while its answer was read"):
            model.infer(ONES)
        return
    for number in (1, 2, 3):
        assert (model.infer({"x": np.full(3, number, np.float32)})["y"] == 2 * number).all()


# ----------------------------------------------------------------------- workers that end at the wrong moment


def kills_while_it_copies(model, monkeypatch):
    """The next call finds a worker that is alive, and that has ended when its arrays are written down."""
    channel, requests = model._runner._channel, model._runner._requests
    of = requests.of

    def kills(inputs, wanted):
        channel.process.kill()
        assert channel.process.over.wait(5)
        monkeypatch.undo()
        return of(inputs, wanted)

    monkeypatch.setattr(requests, "of", kills)


def test_a_call_whose_worker_ends_before_it_is_sent_is_asked_of_the_next(isolated, monkeypatch):
    model = isolated(DOUBLES, restart=Restart(backoff_s=0))
    pids = model.worker_pids
    kills_while_it_copies(model, monkeypatch)
    assert model.infer(ONES)["y"].tolist() == [2, 2, 2]
    assert model.worker_pids != pids
    # with memory that is new to the worker: it is told of that before
    kills_while_it_copies(model, monkeypatch)
    arena = model.allocator.arena
    arena._next = arena._end
    assert model.infer({"x": np.ones(5000, np.float32)})["y"][-1] == 2
    assert len(arena.chunks) == 2


def test_a_pool_passes_over_a_worker_that_ended_between_calls(pack, load):
    model = load(pack(DOUBLES), workers=2)
    next_one = model._runner._free[-1]
    os.kill(next_one.pids[0], signal.SIGKILL)
    assert next_one._channel.process.over.wait(5)
    assert model.infer(ONES)["y"].tolist() == [2, 2, 2]
    assert len(model.worker_pids) == 1


class Resting:
    """A worker that answers nothing, or that cannot start: it has no process."""

    is_given_up = False

    def __init__(self, pids=(1,), memory=None):
        self.pids = pids
        self.memory = memory
        self.asked = 0

    def run(self, inputs, wanted):
        self.asked += 1
        if not self.pids:
            error = WorkerError("it could not start", "start")
            error.was_taken = False
            raise error
        return {}

    def close(self):
        pass


def test_a_pool_asks_a_worker_that_must_be_started_again_last():
    memory = SharedMemory()
    well, ill = Resting(memory=memory), Resting((), memory)
    pool = WorkerPool([well, ill])
    for _ in range(3):
        assert pool.run({}, ()) == {}
    assert (well.asked, ill.asked) == (3, 1)


def test_no_worker_comes_after_one_that_could_not_load(pack, load, monkeypatch):
    """It was revived by a thread of its own, five times, while the error was on its way."""
    started = []
    start = keeper.start
    monkeypatch.setattr(keeper, "start", lambda *args: started.append(start(*args)) or started[-1])
    path = pack("import os; os._exit(3)\ndef make(data): pass")
    for n in (1, 2):
        with pytest.raises(WorkerError, match="its worker could not start: exit status 3"):
            load(path, restart=Restart(backoff_s=0))
        time.sleep(0.05)
        assert len(started) == n


def test_workers_that_still_load_end_when_another_cannot_whoever_keeps_the_error(pack, monkeypatch):
    loaded = RemoteRunner.loaded

    def fails(runner):
        loaded(runner)
        raise NeuropodError("no")

    monkeypatch.setattr(RemoteRunner, "loaded", fails)
    processes = []
    start = keeper.start
    monkeypatch.setattr(keeper, "start", lambda *args: processes.append(start(*args)) or processes[-1])
    # what pytest keeps has the frames
    with pytest.raises(NeuropodError, match=r"m: no$") as error:
        load_neuropod(pack(DOUBLES), trust=True, isolate=True, workers=2)
    assert [process.over.wait(5) for process in processes] == [True, True]
    assert error.value.__traceback__ is not None


def test_closing_does_not_wait_for_a_restart_that_waits(pack, load):
    model = load(pack(ODD), restart=Restart(backoff_s=600))
    for _ in range(2):
        with pytest.raises(WorkerError, match="exit status 3"):
            model.infer(does(-3))

    def call():
        with pytest.raises(NeuropodError, match="closed"):
            model.infer(ONES)

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.1)
    begin_s = time.monotonic()
    in_time(model.close)
    assert time.monotonic() - begin_s < 2
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"most": -1}, "restart: most must be a whole number from 0 on, got -1"),
        ({"most": 2.0}, "restart: most must be a whole number from 0 on, got 2.0"),
        ({"within_s": float("nan")}, "restart: within_s must be a number of seconds from 0 on, got nan"),
        ({"backoff_s": -0.1}, "restart: backoff_s must be a number of seconds from 0 on, got -0.1"),
    ],
)
def test_a_restart_that_cannot_be_is_refused(values, said):
    with pytest.raises(NeuropodError) as error:
        Restart(**values)
    assert str(error.value) == said


def test_the_longest_backoff_is_no_error(isolated):
    model = isolated(ODD, restart=Restart(most=3000, within_s=float("inf"), backoff_s=1e300))
    model._runner._restarts.extend([time.monotonic()] * 2000)
    waits = []
    model._runner._closing.wait = waits.append
    with pytest.raises(WorkerError):
        model.infer(does(-3))
    assert model.infer(ONES)["y"].tolist() == [2, 2, 2]
    assert waits == [threading.TIMEOUT_MAX]


def test_an_end_that_comes_late_is_not_written_to_a_descriptor_of_somebody_else(isolated):
    model = isolated(DOUBLES)
    channel = model._runner._channel
    number = channel._waking._descriptor
    # as if it slept
    channel._control.memory[wire.TO_PARENT + 32] = 1
    end, channel.process._on_end = channel.process._on_end, lambda ended: None
    channel.process.kill()
    assert channel.process.over.wait(5)
    channel.forget()
    reads, writes = os.pipe()
    os.dup2(writes, number)
    os.set_blocking(reads, False)
    try:
        end(channel.process.ended)
        with pytest.raises(BlockingIOError):
            os.read(reads, 1)
    finally:
        for descriptor in (reads, writes, number):
            os.close(descriptor)


# ----------------------------------------------------------------------- the thread that keeps workers


def interrupted(call, count):
    """Calls, and raises KeyboardInterrupt at the so-manieth call or return of Python below, where it may come; returns
    whether it came."""
    left = count

    def step(frame, event, argument):
        nonlocal left
        left -= event in ("call", "return")
        if left == 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_who_is_interrupted_while_a_worker_ends_holds_up_nobody():
    """An interrupt within an Event's wait left its lock closed: the keeper's thread waited for it for ever."""
    count, was_interrupted = 0, True
    while was_interrupted:
        count += 1
        latch = Latch()
        was_interrupted = interrupted(lambda latch=latch: latch.wait(0.001), count)
        in_time(latch.set)
        assert latch.wait(0)
    assert count > 3


def test_all_who_wait_hear_of_an_end():
    latch, heard = Latch(), []
    threads = [threading.Thread(target=lambda: heard.append(latch.wait(5))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert not latch.wait(0.05)
    assert not latch.is_set()
    latch.set()
    latch.set()
    for thread in threads:
        thread.join(2)
    assert heard == [True] * 4
    assert latch.wait() is True


@pytest.mark.parametrize("kind", ["line", "pool"])
def test_who_is_interrupted_in_line_holds_up_nobody(kind):
    count, was_interrupted = 0, True
    while was_interrupted and count < 200:
        count += 1
        if kind == "line":
            line = Line()
            was_interrupted = interrupted(lambda line=line: line._waiting.put(Future(), int), count)
            in_time(line.close)
        else:
            pool = WorkerPool([Resting()])
            was_interrupted = interrupted(lambda pool=pool: pool._give_back(pool._take()), count)
            in_time(pool.close)
    assert 8 < count < 200


def test_a_program_with_thousands_of_descriptors_sees_its_workers_end(isolated):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip("this process may not have so many")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        model = isolated(ODD)
        with pytest.raises(WorkerError, match="exit status 3"):
            in_time(lambda: model.infer(does(-3)))
        in_time(model.close)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_is_called_at_a_workers_end_may_fail_and_the_keeper_goes_on(caplog):
    def fails(ended):
        raise RuntimeError("can't start new thread")

    process = keeper.start(["/bin/true"], {}, [], fails)
    assert process.over.wait(5)
    again = keeper.start(["/bin/true"], {}, [], lambda ended: None)
    assert again.over.wait(5)
    assert "can't start new thread" in caplog.text


def test_a_worker_that_cannot_be_watched_is_not_left_running(pack, monkeypatch):
    from errno import EMFILE

    path = pack(DOUBLES)
    begun = []

    def fails(pid):
        begun.append(pid)
        raise OSError(EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", fails)
    with pytest.raises(WorkerError, match=r"could not start: .*Too many open files"):
        load_neuropod(path, trust=True, isolate=True)
    assert not Path(f"/proc/{begun[0]}").exists()


def test_a_fork_waits_for_a_worker_that_is_being_started(monkeypatch):
    """Else the child would hold a pipe by which a process that is started is waited for, as long as it lives."""
    in_between, forked = threading.Event(), threading.Event()

    class Os:
        def __getattr__(self, name):
            return getattr(os, name)

        def pipe(self):
            made = os.pipe()
            if threading.current_thread().name == "perceptum keeper" and len(begun) == 2:
                in_between.set()
                forked.wait(0.3)
            begun.append(made)
            return made

    begun = []
    monkeypatch.setattr(subprocess, "os", Os())
    ended = threading.Event()
    starting = threading.Thread(target=lambda: keeper.start(["/bin/true"], {}, [], lambda _: ended.set()), daemon=True)
    starting.start()
    if not in_between.wait(2):
        begun.append(None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        time.sleep(4)
        os._exit(0)
    forked.set()
    try:
        assert ended.wait(2)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        starting.join(5)


# ----------------------------------------------------------------------- whole programs in odd surroundings

BEGIN = """
import os, signal, sys, threading, time
import numpy as np
from perceptum.neuropod import load_neuropod
from perceptum.neuropod.errors import WorkerError, NeuropodError

path = sys.argv[1]
ONES = {"x": np.ones(3, np.float32)}
def does(number):
    return {"x": np.array([number, 1], np.float32)}
def load(**options):
    return load_neuropod(path, trust=True, isolate=True, **options)
"""


@pytest.fixture
def run(pack):
    """run(code, *words) -> what a program of its own does."""

    def make(code, *words, source=ODD, shell="", within_s=30, **options):
        path = str(pack(source))
        command = [sys.executable, *words, "-c", BEGIN + textwrap.dedent(code), path]
        if shell:
            command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *command]
        return subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False, **options)

    return make


def test_a_program_that_a_broken_pipe_ends_is_not_ended_by_its_worker(run):
    done = run("""
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        model = load()
        os.kill(model.worker_pids[0], signal.SIGKILL)
        for _ in range(3):
            try:
                model.infer(ONES)
            except WorkerError as error:
                print("an error")
        model.close()
        model = load()
        # dead, but not yet known to be
        channel = model._runner._channel
        os.kill(channel.process.pid, signal.SIGKILL)
        time.sleep(0.2)
        channel._ended = None
        try:
            channel._send(3, b"x" * 100)
        except WorkerError:
            print("an error")
        channel._to_worker._sleeps[0] = 1
        channel._to_worker.post()
        print("done")
    """)
    assert done.stdout.split("\n")[:5] == ["an error"] * 4 + ["done"], (done.returncode, done.stderr)


@pytest.mark.parametrize("handler", ["SIG_IGN", "waits"])
def test_a_program_that_reaps_all_children_still_sees_its_workers_end(run, handler):
    done = run(
        """
        def waits(*_):
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                pass
        signal.signal(signal.SIGCHLD, HANDLER)
        model = load()
        print((model.infer(ONES)["y"] == 2).all())
        try:
            model.infer(does(-3))
        except WorkerError as error:
            print(error.exit_status, error.exit_signal, error)
        with load(restart="on_failure") as model:
            for _ in range(2):
                try:
                    model.infer(does(-3))
                except WorkerError:
                    pass
                print((model.infer(ONES)["y"] == 2).all())
    """.replace("HANDLER", "signal.SIG_IGN" if handler == "SIG_IGN" else "waits")
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [lines[0], *lines[2:]] == ["True"] * 3, done.stdout
    # what nobody knows is not said to have been 0
    assert "status 0" not in lines[1]
    assert lines[1].startswith("3 ") or lines[1].startswith("None "), lines[1]


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_program_without_the_standard_descriptors(run, closed, tmp_path):
    said = tmp_path / "said"
    source = """
    import os
    def make(data):
        def model(x):
            os.write(1, b"a line\\n" * 100)
            os.write(2, b"a line\\n" * 100)
            return {"y": x * 2}
        return model
    """
    done = run(
        f"""
        out = open({str(said)!r}, "w")
        try:
            model = load(timeout_s=5)
            for _ in range(5):
                print((model.infer(ONES)["y"] == 2).all(), file=out)
            model.close()
            print("done", file=out)
        except Exception as error:
            print(repr(error), file=out)
        out.close()
    """,
        source=source,
        shell=closed,
    )
    assert said.read_text().split() == ["True"] * 5 + ["done"], (said.read_text(), done.stderr)


def test_a_folder_that_is_gone_is_no_hindrance(run, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    done = run(
        """
        os.rmdir(os.getcwd())
        sys.path.insert(0, "")
        with load() as model:
            print((model.infer(ONES)["y"] == 2).all())
    """,
        cwd=gone,
    )
    assert done.stdout == "True\n", done.stderr


def test_a_python_that_does_not_know_itself_is_said_with_the_package(run):
    done = run("""
        sys.executable = ""
        try:
            load()
        except NeuropodError as error:
            print(str(error).startswith(path), error)
    """)
    assert done.stdout.startswith("True "), done.stderr
    assert "sys.executable" in done.stdout


def test_a_system_without_shared_memory_is_said_with_the_package(run):
    done = run("""
        def fails(*_):
            raise OSError(38, "Function not implemented")
        os.memfd_create = fails
        try:
            load()
        except NeuropodError as error:
            print(str(error).startswith(path), error)
    """)
    assert done.stdout.startswith("True "), done.stderr
    assert "shared memory" in done.stdout


def test_each_number_of_descriptors_is_enough_or_an_error_that_leaves_none(run):
    done = run(
        """
        import gc, resource
        load().close()
        def count():
            gc.collect()
            return len(os.listdir("/proc/self/fd"))
        before = count()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        worked = failed = 0
        for most in range(before, before + 40):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            try:
                load().close()
                worked += 1
            except NeuropodError:
                failed += 1
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            until = time.monotonic() + 2
            while count() != before and time.monotonic() < until:
                time.sleep(0.01)
            if count() != before:
                print("at", most - before, count() - before)
                before = count()
            if worked:
                break
        load().close()
        print("done", worked > 0, failed > 5)
    """,
        "-X",
        "dev",
        "-W",
        "error::ResourceWarning",
        within_s=60,
    )
    assert done.stdout == "done True True\n", (done.stdout, done.stderr)
    assert "ResourceWarning" not in done.stderr, done.stderr


@pytest.mark.parametrize("words", [["-O"], ["-I"], ["-X", "dev", "-W", "error"]], ids=" ".join)
def test_pythons_of_other_flags(run, words):
    done = run(
        """
        with load(restart="on_failure") as model:
            print((model.infer(ONES)["y"] == 2).all())
            try:
                model.infer(does(-3))
            except WorkerError:
                print("died")
            print((model.infer(ONES)["y"] == 2).all())
            print((model.infer_async(ONES).result()["y"] == 2).all())
        with load(workers=2) as model:
            print((model.infer(ONES)["y"] == 2).all())
    """,
        *words,
        env={**os.environ, "PYTHONPATH": ""} if "-I" in words else None,
    )
    assert done.stdout.split() == ["True", "died", "True", "True", "True"], done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_children_of_multiprocessing_load_models_of_their_own(run, tmp_path, method):
    module = tmp_path / "child_of_test.py"
    module.write_text(
        "import numpy as np\n"
        "from perceptum.neuropod import load_neuropod\n"
        "def work(path):\n"
        "    with load_neuropod(path, trust=True, isolate=True) as model:\n"
        "        return float(model.infer({'x': np.ones(3, np.float32)})['y'].sum())\n"
    )
    done = run(
        f"""
        import multiprocessing
        sys.path.insert(0, {str(tmp_path)!r})
        from child_of_test import work
        if __name__ == "__main__":
            sys.modules["__main__"].__spec__ = None
            with load() as model:
                model.infer(ONES)
                with multiprocessing.get_context({method!r}).Pool(2) as pool:
                    print(pool.map(work, [path] * 2))
                print((model.infer(ONES)["y"] == 2).all())
    """,
        within_s=60,
    )
    assert done.stdout == "[6.0, 6.0]\nTrue\n", done.stderr


def test_a_command_that_never_connects_ends_with_an_interrupt(pack):
    import _thread

    path = pack(DOUBLES)
    begun = threading.Event()
    start = keeper._Keeper.start
    processes = []

    def started(self, wish):
        process = start(self, wish)
        processes.append(process)
        begun.set()
        return process

    def interrupt():
        begun.wait(5)
        time.sleep(0.1)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    keeper._Keeper.start, before = started, keeper._Keeper.start
    try:
        with pytest.raises(KeyboardInterrupt):
            load_neuropod(path, trust=True, isolate=True, command="sh -c 'sleep 300; {worker}'")
    finally:
        keeper._Keeper.start = before
        thread.join()
    assert processes[0].over.wait(2)


def test_a_program_whose_stderr_nobody_reads_still_sees_its_workers_end(pack):
    source = """
    import os
    def make(data):
        def model(x):
            if x[0] < 0:
                os._exit(3)
            os.write(2, b"a line of words, and more of them\\n" * 20_000)
            return {"y": x * 2}
        return model
    """
    code = """
    talks, ends = load(timeout_s=10), load()
    begin = time.monotonic()
    print((talks.infer(ONES)["y"] == 2).all())
    try:
        ends.infer(does(-1))
    except WorkerError as error:
        print(error.exit_status)
    talks.close()
    ends.close()
    print(time.monotonic() - begin < 4)
    """
    command = [sys.executable, "-c", BEGIN + textwrap.dedent(code), str(pack(source))]
    reading, writing = os.pipe()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=writing, timeout=20, check=False)
    finally:
        os.close(reading)
        os.close(writing)
    assert done.stdout.split() == [b"True", b"3", b"True"]


def test_a_worker_behind_a_command_ends_with_its_parent_though_a_fork_of_that_lives_on(run):
    done = run("""
        model = load(command="sh -c '{worker}; true'")
        print(float(model.infer(ONES)["y"].sum()))
        channel = model._runner._channel
        children = open(f"/proc/{channel.process.pid}/task/{channel.process.pid}/children").read().split()
        print(*children)
        child = os.fork()
        if child == 0:
            for descriptor in (1, 2):
                os.close(descriptor)
            time.sleep(4)
            os._exit(0)
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    first, worker = done.stdout.splitlines()
    assert first == "6.0", done.stderr
    until(lambda: not Path(f"/proc/{worker}").exists(), 3)


def test_a_forked_child_seals_nothing(isolated):
    model = isolated(DOUBLES)
    channel = model._runner._channel
    channel.seals = True
    x = model.allocate((3,), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            model.seal("x", x)
        except NeuropodError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    x[:] = 1
    assert (model.infer({"x": x})["y"] == 2).all()


# ----------------------------------------------------------------------- memory


def test_outputs_of_every_size_fit_into_the_memory_of_a_sandbox():
    from perceptum.neuropod.process.worker.shared import Arena, Chunk, block_bytes, make_file

    total = 4 << 20
    arena = Arena("test", Chunk(make_file("test", total)))
    rng = np.random.default_rng(0)
    for _ in range(500):
        # two outputs and a small one, half of all memory together, of other sizes each time
        first = int(rng.integers(1 << 16, 1 << 20))
        sizes = [block_bytes(n) for n in (first, int(rng.integers(1 << 16, 1 << 20)), 64)]
        arena.returned.extend(arena.allocate_all(sizes))


def test_an_empty_output_may_have_any_size_that_numpy_allows(pack, load):
    source = "import numpy as np\ndef make(data):\n    return lambda x: {'y': np.zeros((0, 1 << 50), np.float32)}"
    output = {"name": "y", "dtype": "float32", "shape": [None, None]}
    model = load(pack(source, outputs=(output,)))
    assert model.infer(ONES)["y"].shape == (0, 1 << 50)


@pytest.mark.parametrize("seconds", [float("nan"), -1.0, "5", True])
def test_a_timeout_that_is_none_is_refused(pack, load, seconds):
    path = pack(DOUBLES)
    for name in ("timeout_s", "load_timeout_s"):
        with pytest.raises(NeuropodError, match=f"{name} must be"):
            load(path, **{name: seconds})
