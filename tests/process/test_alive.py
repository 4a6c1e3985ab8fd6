"""A worker that ends, hangs or is left alone: one clear error, at once; nothing is left however a program ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError
from perceptum.neuropod.errors import WorkerError
from perceptum.neuropod.process.keeper import Ended
from perceptum.neuropod.process.remote import Restart

ONES = {"x": np.ones(3, np.float32)}
DOUBLES = "def make(data):\n    return lambda x: {'y': x * 2}"
# x[0] is how long it sleeps, or what else it does
ODD = """
import ctypes, os, time
def make(data):
    def model(x):
        if x[0] < 0:
            os._exit(int(-x[0]))
        if x[0] == 1000:
            ctypes.string_at(0)
        if x[0] == 2000:
            # with Python's lock held, in C
            ctypes.PyDLL(None).sleep(600)
        time.sleep(float(x[0]))
        return {"y": x * 2}
    return model
"""


def does(number):
    return {"x": np.array([number, 1], np.float32)}


def gone(pid, within_s=3.0):
    """Returns whether a process ends within so long. A zombie that nobody has waited for has ended."""
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.005)
    return False


def test_a_killed_worker_is_noticed_within_milliseconds(isolated):
    model = isolated(ODD, restart=Restart(most=100, backoff_s=0))
    took_ms = []
    for _ in range(5):
        model.infer(does(0))
        killed_s = []

        def kill(killed_s=killed_s, pid=model.worker_pids[0]):
            time.sleep(0.1)
            killed_s.append(time.monotonic())
            os.kill(pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(WorkerError, match=r"^model 'm': its worker ended: killed by SIGKILL") as error:
            model.infer(does(60))
        took_ms.append((time.monotonic() - killed_s[0]) * 1e3)
        thread.join()
        assert (error.value.reason, error.value.exit_status, error.value.exit_signal) == ("died", -9, "SIGKILL")
    print(f"from SIGKILL to the error: median {median(took_ms):.2f} ms, {took_ms}")
    assert median(took_ms) < 50


def test_a_worker_that_died_between_calls_is_noticed_at_the_next(isolated):
    model = isolated(ODD)
    model.infer(does(0))
    os.kill(model.worker_pids[0], signal.SIGKILL)
    assert gone(model._runner._channel.process.pid)
    with pytest.raises(WorkerError, match=r"killed by SIGKILL"):
        model.infer(does(0))


def test_without_a_restart_each_call_says_how_it_ended(isolated):
    model = isolated(ODD)
    with pytest.raises(WorkerError, match=r"^model 'm': its worker ended: exit status 5"):
        model.infer(does(-5))
    for _ in range(3):
        with pytest.raises(
            WorkerError, match=r"exit status 5.*not restarted, unless loaded with restart='on_failure'"
        ) as error:
            model.infer(does(0))
        assert error.value.exit_status == 5
    assert model.worker_pids == ()


def test_a_crashed_worker_is_restarted_and_the_callers_memory_survives(isolated):
    model = isolated(ODD, restart="on_failure")
    x = model.allocate((2,), np.float32)
    kept = model.allocate((1 << 20,), np.float32)
    kept[:] = 3
    x[:] = 0, 7
    before = model.infer({"x": x})["y"]
    first = model.worker_pids
    with pytest.raises(WorkerError, match="SIGSEGV"):
        model.infer(does(1000))
    assert model.infer({"x": x})["y"].tolist() == [0, 14]
    assert model.worker_pids != first
    assert before.tolist() == [0, 14]
    kept[0] = 0
    assert (model.infer({"x": kept})["y"][1:] == 6).all()


def test_the_error_of_a_crash_names_the_line_in_which_it_was(isolated):
    model = isolated("import os, signal\ndef make(data):\n    return lambda x: os.kill(os.getpid(), signal.SIGSEGV)")
    line = r"killed by SIGSEGV \(Fatal Python error: Segmentation fault, in File \".*main\.py\", line 3 in <lambda>\)$"
    with pytest.raises(WorkerError, match=line) as error:
        model.infer(ONES)
    assert any(line.startswith("Current thread ") for line in error.value.stderr)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "killed by SIGSEGV"),
        (("one", "two"), "killed by SIGSEGV (two)"),
        (
            ("one", "Fatal Python error: Aborted", "Extension modules: numpy (total: 1)"),
            "(Fatal Python error: Aborted)",
        ),
        (
            ("Fatal Python error: Aborted", "Current thread 0x1 (most recent call first):"),
            "(Fatal Python error: Aborted)",
        ),
    ],
)
def test_what_is_said_of_an_end_is_the_line_that_says_most(lines, said):
    assert str(Ended(-signal.SIGSEGV, lines)).endswith(said)


def test_an_end_by_the_limit_of_cpu_time_says_so():
    assert str(Ended(-signal.SIGXCPU)) == "killed by SIGXCPU, since it had used up its CPU time"


@pytest.mark.parametrize("value", [0, -1, 2, float("nan"), "5", True])
def test_a_heartbeat_timeout_that_cannot_be_is_refused(pack, load, value):
    path = pack(DOUBLES)
    said = f"{path}: heartbeat_timeout_s must be more than 2, the seconds between two beats, got {value!r}"
    with pytest.raises(NeuropodError) as error:
        load(path, heartbeat_timeout_s=value)
    assert str(error.value) == said


def test_limits_that_are_a_dict_are_refused(pack, load):
    path = pack(DOUBLES)
    with pytest.raises(NeuropodError) as error:
        load(path, limits={"cpus": [0]})
    assert str(error.value) == (
        f"{path}: limits must be Limits(cpus=, threads=, memory_bytes=, nice=), got {{'cpus': [0]}}"
    )


def test_restarts_have_a_budget_and_wait_longer_each_time(isolated):
    model = isolated(ODD, restart=Restart(most=3, within_s=60, backoff_s=0.1))
    took_s = []
    for _ in range(4):
        begin_s = time.monotonic()
        with pytest.raises(WorkerError, match=r"its worker ended: exit status 1"):
            model.infer(does(-1))
        took_s.append(time.monotonic() - begin_s)
    assert took_s[2] > 0.1
    assert took_s[3] > 0.2
    with pytest.raises(WorkerError, match=r"restarted 3 times within 60 s and is given up: .*exit status 1"):
        model.infer(does(0))


def test_the_budget_is_of_a_span_of_time(isolated):
    model = isolated(ODD, restart=Restart(most=1, within_s=0.5, backoff_s=0))
    for _ in range(2):
        with pytest.raises(WorkerError, match=r"its worker ended: exit status 1"):
            model.infer(does(-1))
        time.sleep(0.6)
    assert model.infer(does(0))["y"].tolist() == [0, 2]


def test_a_policy_that_there_is_not_is_named(pack, load):
    with pytest.raises(NeuropodError, match="restart must be 'never' or 'on_failure', got 'always'"):
        load(pack(DOUBLES), restart="always")


def test_a_call_that_takes_too_long_is_an_error_and_the_worker_is_gone(isolated):
    model = isolated(ODD, timeout_s=0.5, restart="on_failure")
    pid = model.worker_pids[0]
    for number in (60, 2000):
        begin_s = time.monotonic()
        with pytest.raises(
            WorkerError, match=r"^model 'm': its worker did not answer within 0.5 s and was killed"
        ) as error:
            model.infer(does(number))
        assert error.value.reason == "timeout"
        assert 0.4 < time.monotonic() - begin_s < 2
        assert gone(pid)
        assert model.infer(does(0))["y"].tolist() == [0, 2]
        pid = model.worker_pids[0]


def test_loading_that_takes_too_long_is_an_error(pack, load):
    path = pack("import time\ntime.sleep(600)\ndef make(data): pass")
    with pytest.raises(WorkerError, match=r"m: its worker did not load it within 0.5 s") as error:
        load(path, load_timeout_s=0.5)
    assert error.value.reason == "timeout"


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("import os; os._exit(3)", r"its worker could not start: exit status 3"),
        ("import ctypes; ctypes.string_at(0)", r"its worker could not start: killed by SIGSEGV"),
        ("import os, sys; print('last words', file=sys.stderr, flush=True); os.abort()", r"killed by SIGABRT"),
    ],
)
def test_a_package_whose_import_ends_its_process_is_an_error(pack, load, code, wanted):
    with pytest.raises(WorkerError, match=wanted) as error:
        load(pack(f"{code}\ndef make(data): pass"))
    assert error.value.reason == "start"


def test_a_stopped_worker_is_killed_too(isolated):
    model = isolated(ODD, timeout_s=0.5)
    model.infer(does(0))
    pid = model.worker_pids[0]
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(WorkerError, match="did not answer"):
        model.infer(does(0))
    assert gone(pid)


def test_close_ends_a_worker_that_is_in_a_call(isolated):
    model = isolated(ODD)
    pid = model.worker_pids[0]
    errors = []

    def call():
        try:
            model.infer(does(600))
        except NeuropodError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.2)
    begin_s = time.monotonic()
    model.close()
    assert time.monotonic() - begin_s < 5
    thread.join(5)
    assert not thread.is_alive()
    assert len(errors) == 1
    assert gone(pid)


def test_a_model_that_is_dropped_takes_its_worker_with_it(pack):
    from perceptum.neuropod import load_neuropod

    model = load_neuropod(pack(DOUBLES), trust=True, isolate=True)
    pid = model.worker_pids[0]
    out = model.infer(ONES)["y"]
    del model
    assert gone(pid)
    assert out.tolist() == [2, 2, 2]


# ----------------------------------------------------------------------- whole programs

PROGRAM = """
import os, signal, sys, threading, time
import numpy as np
from perceptum.neuropod import load_neuropod
from perceptum.neuropod.errors import WorkerError, NeuropodError

path = sys.argv[1]
def load(**options):
    model = load_neuropod(path, trust=True, isolate=True, **options)
    print("pid", *model.worker_pids, flush=True)
    return model
def does(number):
    return {"x": np.array([number, 1], np.float32)}
"""


class Program:
    """A program of its own that drives models; the first lines that it prints are its workers' numbers."""

    def __init__(self, path, code):
        command = [sys.executable, "-c", PROGRAM + textwrap.dedent(code), str(path)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.workers = []

    def line(self):
        line = self.process.stdout.readline().strip()
        if line.startswith("pid"):
            self.workers += [int(word) for word in line.split()[1:]]
        return line

    def until(self, word):
        while True:
            line = self.line()
            if line == word:
                return
            assert line, self.process.stderr.read()

    def end(self, within_s=10):
        """Returns (status, stdout's rest, stderr), and asserts that its workers are gone."""
        try:
            out, err = self.process.communicate(timeout=within_s)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.communicate()
        for line in out.splitlines():
            if line.startswith("pid"):
                self.workers += [int(word) for word in line.split()[1:]]
        assert self.workers
        for pid in self.workers:
            assert gone(pid), f"the worker {pid} is left over"
        return self.process.returncode, out, err


@pytest.fixture
def program(pack):
    """program(code, source) -> a Program."""

    def make(code, source=ODD):
        return Program(pack(source), code)

    def named():
        # but for those of other programs' multiprocessing, which come and go on a busy machine
        return {name for name in os.listdir("/dev/shm") if not name.startswith(("sem.mp-", "psm_"))}

    before = named()
    yield make
    assert named() <= before


@pytest.mark.parametrize(
    "doing",
    [
        "time.sleep(600)",
        "model.infer(does(600))",
        "model.infer(does(2000))",
        "model.infer_async(does(600)); time.sleep(600)",
        # a child of the program that goes on holds its sockets and pipes
        "os.fork() or (os.setsid(), time.sleep(20), os._exit(0)); model.infer(does(2000))",
    ],
)
def test_the_worker_dies_with_its_parent_however_that_dies(program, doing):
    run = program(f"model = load()\nprint('ready', flush=True)\n{doing}")
    run.until("ready")
    time.sleep(0.3)
    run.process.kill()
    begin_s = time.monotonic()
    assert all(gone(pid, 2) for pid in run.workers)
    print(f"gone {1e3 * (time.monotonic() - begin_s):.1f} ms after the parent was killed")
    run.process.wait(5)
    run.process.stdout.close()
    run.process.stderr.close()


ENDS = {
    "a program that does not close": ("", 0),
    "sys.exit within a with": ("with model: sys.exit(4)", 4),
    "os._exit": ("os._exit(5)", 5),
    "an error": ("raise ValueError", 1),
    "a call in a daemon thread": (
        "threading.Thread(target=model.infer, args=[does(600)], daemon=True).start(); time.sleep(0.2)",
        0,
    ),
    "an asynchronous call that hangs": ("model.infer_async(does(600)); time.sleep(0.2)", 0),
    "asynchronous calls that wait": ("f = [model.infer_async(does(600)) for _ in range(9)]; sys.exit(3)", 3),
    "outputs that live on": ("out = [model.infer(does(0)) for _ in range(9)]; model.close()", 0),
    "an abort": ("os.abort()", -signal.SIGABRT),
    "a call with Python's lock held": (
        "threading.Thread(target=model.infer, args=[does(2000)], daemon=True).start(); time.sleep(0.2)",
        0,
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_nothing_is_left_when_a_program_ends(program, how):
    code, wanted = ENDS[how]
    run = program(f"model = load()\nmodel.infer(does(0))\n{code}")
    begin_s = time.monotonic()
    status, _, err = run.end()
    assert status == wanted, err
    assert time.monotonic() - begin_s < 8
    if wanted == 0:
        assert err == ""


@pytest.mark.parametrize("when", ["loading", "inferring", "between"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_program_and_worker(program, when, number):
    code = {
        "loading": "print('ready', flush=True); model = load()",
        "inferring": "model = load(); print('ready', flush=True); model.infer(does(600))",
        "between": "model = load(); print('ready', flush=True); time.sleep(600)",
    }[when]
    source = ODD if when != "loading" else "import os, time\nprint('here', flush=True)\ntime.sleep(600)"
    run = program(code, source)
    run.until("ready")
    time.sleep(1.0 if when == "loading" else 0.3)
    if when == "loading":
        run.workers += [int(pid) for pid in kin(run.process.pid)]
    run.process.send_signal(number)
    status, _, err = run.end()
    assert status == -number
    assert ("KeyboardInterrupt" in err) is (number == signal.SIGINT)


def kin(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += (task / "children").read_text().split()
    return found


def test_ctrl_c_in_a_call_leaves_a_model_that_goes_on(program):
    run = program(
        """
        model = load()
        print("ready", flush=True)
        for _ in range(3):
            try:
                model.infer(does(0.6))
            except KeyboardInterrupt:
                print("interrupted", flush=True)
        for n in range(50):
            x = np.array([0, n], np.float32)
            assert model.infer({"x": x})["y"].tolist() == [0, 2 * n]
        assert len(model.worker_pids) == 1
        model.close()
        print("done", flush=True)
        """
    )
    run.until("ready")
    for _ in range(3):
        time.sleep(0.25)
        run.process.send_signal(signal.SIGINT)
        run.until("interrupted")
    run.until("done")
    assert run.end()[0] == 0


def test_ctrl_c_at_any_moment_is_an_interrupt_and_no_wrong_answer(program):
    """A timer raises KeyboardInterrupt at lines that nobody chose."""
    run = program(
        """
        import random, dataclasses
        def interrupt(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        model = load(restart="on_failure")
        model._runner._restart = dataclasses.replace(model._runner._restart, most=10**6, backoff_s=0)
        counts = {"answers": 0, "interrupts": 0, "errors": 0}
        until_s = time.monotonic() + 4
        n = 0
        while time.monotonic() < until_s:
            n += 1
            if not model.worker_pids and n % 2:
                model.infer(does(0))
            span_s = 0.3 if not model.worker_pids else random.choice([4e-4, 2e-3, 0.1])
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, span_s))
                    for k in range(20):
                        more = {"x": np.array([0, n, *range(k % 3)], np.float32)}
                        found = model.infer(more)["y"].tolist()
                        assert found == (2 * more["x"]).tolist(), (n, found)
                        counts["answers"] += 1
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                counts["interrupts"] += 1
            except WorkerError as error:
                counts["errors"] += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        model.infer(does(0))
        model.close()
        print(counts, flush=True)
        print("done", flush=True)
        """
    )
    lines = [run.line()]
    while lines[-1] and lines[-1] != "done":
        lines.append(run.line())
    status, _, err = run.end()
    assert lines[-1:] == ["done"], err
    assert status == 0
    print(lines[-2], err)


def test_ctrl_c_while_closing_leaves_nothing(program):
    run = program(
        """
        model = load()
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        threading.Thread(target=lambda: model._runner.run({"x": does(600)["x"]}, ("y",)), daemon=True).start()
        time.sleep(0.2)
        try:
            model.close()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        model.close()
        """
    )
    # where closing took no time, the signal ends the program as it ends any
    assert run.end()[0] in (0, 1, -signal.SIGINT)


def test_a_forked_child_is_told_and_its_parent_goes_on(program):
    run = program(
        """
        model = load()
        x = model.allocate((2,), np.float32)
        x[:] = 0, 3
        out = model.infer({"x": x})["y"]
        pid = os.fork()
        if pid == 0:
            try:
                model.infer({"x": x})
            except NeuropodError as error:
                assert "from which this one was forked; load it again here" in str(error), error
            try:
                model.infer_async({"x": x}).result(5)
            except NeuropodError as error:
                assert "from which this one was forked" in str(error), error
            assert out.tolist() == [0, 6]
            model.close()
            own = load()
            assert own.infer(does(0))["y"].tolist() == [0, 2]
            own.close()
            del model, x, out
            sys.exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        for n in range(5):
            x[1] = n
            assert model.infer({"x": x})["y"].tolist() == [0, 2 * n]
        pid = os.fork()
        if pid == 0:
            sys.exit(8)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 8
        assert model.infer(does(0))["y"].tolist() == [0, 2]
        print("done", flush=True)
        """
    )
    status, out, err = run.end()
    assert status == 0, err
    assert "done" in out


def test_a_fork_in_the_middle_of_a_call_of_another_thread(program):
    run = program(
        """
        model = load()
        thread = threading.Thread(target=lambda: [model.infer(does(0.001)) for _ in range(200)])
        thread.start()
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                try:
                    model.infer(does(0))
                except NeuropodError as error:
                    os._exit(7 if "forked" in str(error) else 1)
                os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        thread.join()
        model.close()
        """
    )
    status, _, err = run.end()
    assert status == 0, err


def test_many_threads_drive_many_workers(pack, load):
    path = pack("def make(data):\n    return lambda x: {'y': x * 2}")
    models = [load(path) for _ in range(3)]
    wrong = []

    def drive(seed):
        rng = np.random.default_rng(seed)
        for _ in range(60):
            model = models[rng.integers(3)]
            x = rng.random(rng.integers(1, 3000)).astype(np.float32)
            if rng.integers(2):
                own = model.allocate(x.shape, x.dtype)
                own[:] = x
                x = own
            if not np.array_equal(model.infer({"x": x})["y"], x * 2):
                wrong.append(seed)

    pool = [threading.Thread(target=drive, args=[n]) for n in range(8)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    assert wrong == []
