"""Uber's out-of-process execution, by its names: options, state, heartbeats, and what its C++ tests ask of it."""

import gc
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import perceptum.neuropod
from perceptum.neuropod import NeuropodError, loader
from perceptum.neuropod.errors import WorkerError
from perceptum.neuropod.neuropod_native import BackendLoadSpec, Device, Neuropod, OpeOptions, RuntimeOptions
from perceptum.neuropod.process import channel as channel_module
from perceptum.neuropod.process import keeper
from perceptum.neuropod.process.channel import Channel
from perceptum.neuropod.process.memory import SharedMemory
from perceptum.neuropod.process.requests import Requests
from perceptum.neuropod.process.worker import wire
from perceptum.neuropod.process.worker.enclosure import why_not
from perceptum.neuropod.process.worker.shared import Arena

X = np.arange(6, dtype=np.float32)
FLOATS = ({"name": "x", "dtype": "float32", "shape": ["n"]}, {"name": "pid", "dtype": "int64", "shape": [1]})
TEXT = [{"name": name, "dtype": "string", "shape": ["n"]} for name in ("x", "y", "out")]
SOURCE = """
    import os
    import time
    import numpy as np

    def make(data):
        def model(x):
            if len(x) and x[0] == -1:
                time.sleep(2.6)
            return {"x": x * 2, "pid": np.array([os.getpid()])}
        return model
"""
JOIN = """
    import numpy as np

    def make(data):
        return lambda x, y: {"out": np.array([f"{a} {b}" for a, b in zip(x, y)])}
"""
LOADED = "The model has already been loaded. This usually means that `load_model_at_construction` was set to true"
NOT_LOADED = "The model was not loaded before calling `infer`. This usually means that `load_model_at_construction` was"


@pytest.fixture
def path(pack):
    return pack(SOURCE, FLOATS[:1], FLOATS)


def ope(**options):
    own = {name: options.pop(name) for name in list(options) if name in OpeOptions.__dataclass_fields__}
    return RuntimeOptions(use_ope=True, ope_options=OpeOptions(**own), **options)


def pid_of(model):
    return int(model.infer({"x": X})["pid"][0])


def is_gone(pid):
    """Whether a process ends within five seconds."""
    until_s = time.monotonic() + 5
    while time.monotonic() < until_s:
        try:
            if "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]:
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


# the doors


def doors():
    yield "load_neuropod", lambda path, **k: perceptum.neuropod.load_neuropod(path, trust=True, **k), "isolate"
    yield "loader", loader.load_neuropod, "use_ope"
    yield "native", Neuropod, "use_ope"


@pytest.mark.parametrize(("door", "word"), [pytest.param(d, w, id=n) for n, d, w in doors()])
def test_a_door_that_is_not_told_does_as_the_environment_says(door, word, path, monkeypatch):
    def where(**keywords):
        return pid_of(door(path, **keywords)) != os.getpid()

    monkeypatch.delenv("PERCEPTUM_ISOLATE", raising=False)
    assert not where()
    assert where(**{word: True})
    for value, apart in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("PERCEPTUM_ISOLATE", value)
        assert where() is apart
    monkeypatch.setenv("PERCEPTUM_ISOLATE", "1")
    assert not where(**{word: False})
    monkeypatch.setenv("PERCEPTUM_ISOLATE", "always")
    with pytest.raises(NeuropodError, match=r"^PERCEPTUM_ISOLATE must be 0, 1 or sandbox, got 'always'$"):
        where()


@pytest.mark.skipif(why_not() is not None, reason=f"no sandbox here: {why_not()}")
def test_the_environment_can_ask_for_the_sandbox_everywhere(pack, monkeypatch):
    monkeypatch.setenv("PERCEPTUM_ISOLATE", "sandbox")
    path = pack("import os\ndef make(data):\n    return lambda x: {'y': x + len(os.listdir('/home'))}\n")
    for door in (perceptum.neuropod.load_neuropod, loader.load_neuropod, Neuropod):
        with pytest.raises(NeuropodError, match=r"No such file or directory: '/home'"):
            door(path).infer({"x": X})


def test_a_package_is_tested_in_its_own_fresh_process_and_in_no_other_of_that(pack, monkeypatch):
    monkeypatch.setenv("PERCEPTUM_ISOLATE", "1")
    source = "import os\nPARENT = open(f'/proc/{os.getppid()}/cmdline').read()\ndef make(data):\n"
    source += f"    assert '{os.path.basename(sys.argv[0])}' in PARENT or 'pytest' in PARENT, PARENT\n"
    pack(source + "    return lambda x: {'y': x}\n", test_input_data={"x": X}, test_expected_out={"y": X})


def test_answers_and_messages_are_those_of_a_model_in_this_process(path):
    apart, here = (loader.load_neuropod(path, use_ope=use_ope) for use_ope in (True, False))
    np.testing.assert_array_equal(apart.infer({"x": X})["x"], here.infer({"x": X})["x"])
    for wrong in ({"z": X}, {"x": X.astype(float)}, {"x": X[None]}):
        said = []
        for model in (apart, here):
            with pytest.raises(NeuropodError) as error:
                model.infer(wrong)
            said.append(str(error.value))
        assert said[0] == said[1]


def test_an_unknown_keyword_is_met_with_those_there_are(path):
    with pytest.raises(RuntimeError, match=r"argument load_custom_ops; load_neuropod takes visible_gpu and use_ope$"):
        loader.load_neuropod(path, load_custom_ops=False)


# the options


def test_the_defaults_are_ubers_but_for_memory_which_is_kept():
    options = RuntimeOptions()
    assert (options.use_ope, options.visible_device, options.load_model_at_construction) == (None, Device.GPU0, True)
    assert options.disable_shape_and_type_checking is False
    assert options.ope_options == OpeOptions(free_memory_every_cycle=False, control_queue_name="")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"visible_device": -2}, "visible_device must be a GPU's number, or -1 for the CPU, got -2"),
        ({"visible_device": "cuda:0"}, "visible_device must be a GPU's number, or -1 for the CPU, got 'cuda:0'"),
        ({"use_ope": 1}, "use_ope must be True or False, got 1"),
        ({"load_model_at_construction": None}, "load_model_at_construction must be True or False, got None"),
    ],
)
def test_options_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(NeuropodError) as error:
        RuntimeOptions(**wrong)
    assert str(error.value) == message


def test_options_that_would_do_nothing_are_refused(path):
    with pytest.raises(NeuropodError, match="ope_options are for a model in a worker process; set use_ope=True"):
        Neuropod(path, options=RuntimeOptions(ope_options=OpeOptions(free_memory_every_cycle=True)))
    with pytest.raises(NeuropodError, match="visible_gpu and use_ope are among the options"):
        Neuropod(path, visible_gpu=None, options=RuntimeOptions())
    with pytest.raises(NeuropodError, match=r"the compiled backend '/opt/b\.so' cannot be used"):
        Neuropod(path, [BackendLoadSpec("python", "1.0.0", "/opt/b.so")], options=ope(control_queue_name="/nowhere"))


@pytest.mark.parametrize("use_ope", [True, False])
def test_a_model_may_be_loaded_later_once(path, use_ope):
    model = Neuropod(path, options=RuntimeOptions(use_ope=use_ope, load_model_at_construction=False))
    assert (model.get_name(), model.get_platform()) == ("m", "python")
    assert ([spec.name for spec in model.get_inputs()], [spec.name for spec in model.get_outputs()]) == (
        ["x"],
        ["x", "pid"],
    )
    with pytest.raises(RuntimeError, match=f"^{NOT_LOADED}"):
        model.infer({"x": X})
    model.load_model()
    assert (pid_of(model) == os.getpid()) is not use_ope
    assert [spec.name for spec in model.get_inputs()] == ["x"]
    with pytest.raises(RuntimeError, match=f"^{LOADED}"):
        model.load_model()
    with pytest.raises(RuntimeError, match=f"^{LOADED}"):
        Neuropod(path, use_ope=use_ope).load_model()


def test_a_package_that_is_not_there_is_known_before_it_is_loaded(tmp_path):
    with pytest.raises(RuntimeError, match=r"Error loading Neuropod\. No file or directory at"):
        Neuropod(tmp_path / "none", options=RuntimeOptions(load_model_at_construction=False))


@pytest.mark.parametrize("use_ope", [True, False])
def test_outputs_may_be_requested(path, use_ope):
    model = Neuropod(path, use_ope=use_ope)
    assert list(model.infer({"x": X}, ["pid"])) == ["pid"]
    assert list(model.infer({"x": X}, [])) == ["x", "pid"]
    with pytest.raises(RuntimeError, match="Tried to request a tensor that does not exist: z"):
        model.infer({"x": X}, ["z"])


@pytest.mark.parametrize("use_ope", [True, False])
def test_checks_can_be_left_out_but_not_that_of_names(path, use_ope):
    model = Neuropod(path, options=RuntimeOptions(use_ope=use_ope, disable_shape_and_type_checking=True))
    assert model.infer({"x": X.astype(np.float64)})["x"].dtype == np.float64
    with pytest.raises(RuntimeError, match="Tried to seal a tensor with name 'z', but could not find it in the spec"):
        model.infer({"z": X})


def resident_bytes(pid, name):
    """Returns how much of the shared memory of that name a process has in its pages."""
    total, counts = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "-" in line.split(maxsplit=1)[0]:
            counts = f"/memfd:{name}" in line
        elif counts and line.startswith("Rss:"):
            total += int(line.split()[1]) << 10
    return total


@pytest.mark.parametrize("frees", [True, False])
def test_free_memory_every_cycle_gives_pages_back_in_both_processes(path, frees):
    """Both map both files: what is let go of in either is gone from both."""
    model = Neuropod(path, options=ope(free_memory_every_cycle=frees))
    large = model._model.allocate((1 << 21,), np.float32)
    large[...] = 1
    pid = int(model.infer({"x": large})["pid"][0])
    assert resident_bytes(pid, "perceptum inputs") >= large.nbytes
    del large
    for _ in range(2):
        # the blocks of one call's outputs come back with the next call, and their pages go after it
        model.infer({"x": X})
    time.sleep(0.1)
    assert (resident_bytes(pid, "perceptum inputs") < 1 << 20) is frees
    assert (resident_bytes(os.getpid(), "perceptum inputs") < 1 << 20) is frees
    assert (resident_bytes(pid, "perceptum outputs") < 1 << 20) is frees
    np.testing.assert_array_equal(model.infer({"x": X})["x"], X * 2)


def test_a_free_block_counts_once_however_often_its_pages_go(monkeypatch):
    from perceptum.neuropod.process.worker import shared

    monkeypatch.setattr(shared, "_KEEP_BYTES", 1 << 20)
    arena = Arena("test")
    for _ in range(5):
        places = [arena.allocate(1 << 18)[0] for _ in range(8)]
        for chunk, offset in places:
            arena.chunks[chunk].memory[offset : offset + (1 << 18)] = b"\1" * (1 << 18)
        arena.returned.extend(places)
        # nobody has any
        assert arena.used_bytes == 0
        assert 0 <= arena._free_bytes <= 1 << 20
        held = os.fstat(arena.chunks[0].descriptor).st_blocks * 512
        assert held <= (1 << 20) + (1 << 18)
    arena.close()


# a worker that was started by hand


@pytest.fixture
def listening(tmp_path):
    """listening() -> the command, and the socket at which it listens."""
    commands = []

    def start(path=tmp_path / "socket"):
        command = [sys.executable, "-m", "perceptum", "worker", "--socket", str(path)]
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        commands.append(running)
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s and running.poll() is None:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(path))
                break
            except OSError:
                time.sleep(0.02)
        return running, str(path)

    yield start
    for running in commands:
        running.terminate()
        running.communicate(timeout=10)


def test_models_run_in_processes_of_a_worker_that_listens(path, listening, monkeypatch):
    monkeypatch.setenv("OF_THE_PARENT", "1")
    running, name = listening()
    assert running.stderr.readline() == f"perceptum worker: listening at {name}; Ctrl-C ends it\n"
    assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, other = (Neuropod(path, options=ope(control_queue_name=name)) for _ in range(2))
    pids = [pid_of(one), pid_of(other)]
    assert len({*pids, running.pid, os.getpid()}) == 4
    parents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in pids}
    assert parents == {running.pid}

    # a crash is one model's, and is known at once
    os.kill(pids[0], signal.SIGSEGV)
    begin_s = time.monotonic()
    with pytest.raises(
        WorkerError, match="OPE lost communication with the other process: model 'm': its worker ended:"
    ):
        pid_of(one)
    assert time.monotonic() - begin_s < 5
    with pytest.raises(WorkerError) as error:
        pid_of(one)
    assert (error.value.reason, error.value.exit_signal) == ("died", "SIGSEGV")
    assert pid_of(other) == pids[1]

    # a model that is let go of ends its process
    del other, error
    gc.collect()
    assert is_gone(pids[1])

    # without who listens there is nothing
    third = Neuropod(path, options=ope(control_queue_name=name))
    pid = pid_of(third)
    running.terminate()
    assert running.wait(10) == 0
    assert is_gone(pid)
    assert not os.path.exists(name)
    with pytest.raises(WorkerError, match="OPE lost communication"):
        third.infer({"x": X})
    with pytest.raises(WorkerError) as error:
        Neuropod(path, options=ope(control_queue_name=name))
    assert str(error.value) == (
        f"{path}: no worker listens at '{name}' (No such file or directory); "
        f"start one: perceptum worker --socket {name}"
    )


def test_other_options_are_ignored_for_a_worker_that_listens_with_a_warning(path, listening):
    _, name = listening()
    wanted = "visible_device, load_model_at_construction: ignored, as Uber's library did"
    with pytest.warns(UserWarning, match=wanted):
        model = Neuropod(
            path,
            options=ope(control_queue_name=name, visible_device=Device.CPU, load_model_at_construction=False),
        )
    assert pid_of(model) != os.getpid()


def test_a_process_of_a_worker_that_listens_ends_with_its_parent(path, listening):
    """However that ends; a child that it forked lives on, and holds nothing."""
    _, name = listening()
    program = (
        "import os, sys, time\n"
        "import numpy as np\n"
        "from perceptum.neuropod.neuropod_native import *\n"
        f"options = RuntimeOptions(use_ope=True, ope_options=OpeOptions(control_queue_name={name!r}))\n"
        f"model = Neuropod({str(path)!r}, options=options)\n"
        "print(int(model.infer({'x': np.zeros(1, np.float32)})['pid'][0]), flush=True)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(60)\n"
        "    os._exit(0)\n"
        "print(child, flush=True)\n"
        "time.sleep(60)\n"
    )
    running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pid, child = (int(running.stdout.readline()) for _ in range(2))
    try:
        running.kill()
        running.wait()
        assert is_gone(pid)
        assert os.path.exists(f"/proc/{child}")
    finally:
        os.kill(child, signal.SIGKILL)
        running.stdout.close()


def test_a_socket_that_was_left_over_is_taken_and_nothing_else_is(listening, tmp_path):
    first, name = listening()
    second, _ = listening()
    assert second.wait(10) == 1
    assert second.stderr.read() == f"perceptum worker: cannot listen at {name}: Address already in use\n"
    first.kill()
    first.wait()
    assert os.path.exists(name)
    third, _ = listening()
    assert third.poll() is None
    (tmp_path / "file").write_text("kept")
    fourth, _ = listening(tmp_path / "file")
    # what was asked for cannot be done: bad use
    assert fourth.wait(10) == 2
    assert fourth.stderr.read().endswith("file is there already; name another\n")
    assert (tmp_path / "file").read_text() == "kept"


def test_who_connects_to_a_worker_of_another_version_is_told(path, tmp_path):
    name = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()

        def answer(body, descriptors):
            line, _ = server.accept()
            with line, socket.socket(socket.AF_UNIX) as theirs:
                wire.send(line, wire.WORKER, body, [theirs.fileno()] * descriptors)

        for body, descriptors, message in (
            ({"version": wire.VERSION + 1, "pid": 1}, 1, "is of another version of perceptum; start it with this one"),
            ({"version": wire.VERSION, "pid": 1}, 0, "no worker listens at .*a message that is none of a worker's"),
            (b"{", 1, "no worker listens at"),
        ):
            thread = threading.Thread(target=answer, args=(body, descriptors))
            thread.start()
            with pytest.raises(NeuropodError, match=message):
                Neuropod(path, options=ope(control_queue_name=name))
            thread.join()


# heartbeats


def test_a_worker_that_was_stopped_counts_as_lost_and_one_that_computes_does_not(path, monkeypatch):
    monkeypatch.setattr(channel_module, "_LOOK_S", 0.2)
    model = Neuropod(path, options=ope(heartbeat_timeout_s=2.2))
    assert len(model.infer({"x": -np.ones(1, np.float32)})) == 2
    os.kill(pid_of(model), signal.SIGSTOP)
    begin_s = time.monotonic()
    with pytest.raises(WorkerError) as error:
        model.infer({"x": X})
    assert 2 < time.monotonic() - begin_s < 6
    assert error.value.reason == "timeout"
    assert str(error.value).startswith(
        "OPE lost communication with the other process: model 'm': its worker has given no sign of life for 2.2 s and "
        "was killed"
    )


def test_a_timeout_between_two_beats_is_refused(path):
    with pytest.raises(NeuropodError) as error:
        Neuropod(path, options=ope(heartbeat_timeout_s=1))
    assert str(error.value) == (
        f"{path}: heartbeat_timeout_s must be more than 2, the seconds between two beats, got 1"
    )
    with pytest.raises(NeuropodError, match="heartbeat_timeout_s is for a model in a process of its own"):
        perceptum.neuropod.load_neuropod(path, trust=True, heartbeat_timeout_s=5)


def test_time_in_which_this_process_stood_still_is_no_silence_of_its_worker(monkeypatch):
    now_s = [0.0]
    monkeypatch.setattr(channel_module.time, "monotonic", lambda: now_s[0])
    silence = channel_module._Silence(5.0)
    heard = []
    for seconds, beats in [(0, 7), (1, 7), (100, 7), (1, 7), (1, 7), (0.5, 8), (1, 8), (4, 8), (1, 8), (1, 8), (1, 8)]:
        now_s[0] += seconds
        heard.append(silence.is_over(beats))
    # the hundred seconds count as one, and a beat begins anew
    assert heard == [False] * 10 + [True]


def test_a_worker_counts_while_it_lives(path, monkeypatch):
    with perceptum.neuropod.load_neuropod(path, trust=True, isolate=True) as model:
        assert model._runner.beats >= 1


# the state machine: what does not belong ends a worker, with an error, and at once


@pytest.fixture
def serve(path):
    """serve() -> a channel to a worker that has loaded the model."""
    order = {"how": "hosted", "path": str(path), "platform": "python", "trust": "given", "visible_gpu": None}
    order["sys_path"] = sys.path
    hurried = Path(__file__).with_name("hurried_worker.py")
    words = [sys.executable, str(hurried), str(keeper.BOOTSTRAP), "0.3"]
    channels = []

    def start():
        memory = SharedMemory()
        channel = Channel(words, os.environ, order, memory, Requests(memory, False), "adaptive")
        channels.append(channel)
        channel.loaded(20)
        return channel

    yield start
    for channel in channels:
        channel.process.kill()
        assert channel.process.over.wait(5)
        channel.forget()
    del channel
    channels.clear()


def lost(channel, seconds=20.0):
    """Waits for a worker's end; returns its last words."""
    assert channel.process.over.wait(seconds)
    assert channel.process.ended.status == 1
    return channel.process.lines[-1]


@pytest.mark.parametrize("kind", [wire.ORDER, wire.LOADED, wire.WORKER, wire.ENDED, 77])
def test_a_message_that_does_not_belong_ends_a_worker(serve, kind):
    served = serve()
    wire.send(served._connection, kind, b"{}")
    assert lost(served) == f"perceptum worker: a message of kind {kind} is none for a worker that serves; it ends"
    with pytest.raises(WorkerError, match=f"its worker ended: exit status 1 .*a message of kind {kind}"):
        served.infer({"x": X}, (), None)


@pytest.mark.parametrize(
    ("kind", "body"), [(wire.CHUNK, b""), (wire.PLAN, b"{"), (wire.PLAN, b"[]"), (wire.PLAN, b'{"plan": 0}')]
)
def test_a_message_that_makes_no_sense_ends_a_worker(serve, kind, body):
    served = serve()
    wire.send(served._connection, kind, body)
    assert lost(served) == "perceptum worker: what it was sent makes no sense; it ends"


def asked(channel, number, kind=wire.INFER, numbers=()):
    body = wire.pack(list(numbers))
    memory, begin = channel._control.memory, wire.REQUEST + wire.HEAD.size
    wire.HEAD.pack_into(memory, wire.REQUEST, number, kind, 0, len(body), 0)
    memory[begin : begin + len(body)] = body
    channel._to_worker.post()


@pytest.mark.parametrize(("number", "kind"), [(1, wire.INFER), (3, wire.INFER), (0, wire.INFER), (2, wire.RESULT)])
def test_a_request_out_of_turn_ends_a_worker(serve, number, kind):
    served = serve()
    served.infer({"x": X}, (), 20)
    asked(served, number, kind)
    assert lost(served) == f"perceptum worker: request {number} of kind {kind} after request 1; it ends"


def test_a_request_for_what_was_never_sent_ends_a_worker(serve):
    served = serve()
    asked(served, 1, numbers=[5])
    assert lost(served) == "perceptum worker: a request without its plan, number 5; it ends"


def test_a_request_in_memory_that_was_never_sent_ends_a_worker(serve):
    served = serve()
    served.infer({"x": X}, (), 20)
    asked(served, 2, numbers=[0, 9, 0, 6])
    assert lost(served) == "perceptum worker: a request without its memory, chunk 9; it ends"


def test_a_request_whose_body_never_comes_ends_a_worker(serve):
    served = serve()
    asked(served, 1, wire.INFER | wire.BY_SOCKET)
    assert lost(served) == "perceptum worker: a request without its body; it ends"


def test_a_block_beyond_its_memory_is_refused_and_the_next_call_is_answered(serve):
    served = serve()
    served.infer({"x": X}, (), 20)
    nbytes = served._memory.arena.chunks[0].nbytes
    request = served._requests.of({"x": X}, ())
    for offset, count in ((nbytes, 1), (nbytes - 8, 3), (0, 1 << 60)):
        served._owed = request._replace(body=b"")
        served._number += 1
        asked(served, served._number, numbers=[0, 0, offset, count])
        owed, served._owed = served._owed, None
        with pytest.raises(Exception, match=r"."):
            served._finish(owed, 20)
    np.testing.assert_array_equal(served.infer({"x": X}, (), 20)["x"], X * 2)


@pytest.mark.parametrize("ending", ["close", "hang up", "another order"])
def test_a_worker_that_was_never_told_what_to_load_ends(ending):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        words = [sys.executable, str(keeper.BOOTSTRAP), str(theirs.fileno())]
        running = subprocess.Popen(words, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True)
        theirs.close()
        if ending == "close":
            wire.send(ours, wire.CLOSE)
        elif ending == "another order":
            wire.send(ours, wire.PLAN, b"{}")
        ours.close()
        said = running.communicate(timeout=20)[1]
    wanted = (1, "perceptum: this worker is not of the same version as its parent\n")
    assert (running.returncode, said) == (wanted if ending == "another order" else (0, ""))


# blocks of memory


def test_a_block_that_comes_back_twice_or_was_never_lent_is_given_to_one(monkeypatch):
    """Uber's ids had a counter for this; here a place is taken back from its owner alone, and only once."""
    arena = Arena("test")
    first = arena.allocate(1024)[0]
    arena.returned.extend([first, first, (0, 1 << 20), (7, 0)])
    again, other = arena.allocate(1024)[0], arena.allocate(1024)[0]
    assert again == first
    assert other != first
    assert arena.used_bytes == 2048
    arena.close()


def test_memory_comes_back_once_when_the_last_view_of_it_dies(path):
    model = loader.load_neuropod(path, use_ope=True)
    channel = model._runner._channel
    large = np.ones(1 << 16, np.float32)
    out = model.infer({"x": large})["x"]
    channel._outputs._gone.clear()
    views = [out[1:], out.reshape(2, -1).T, memoryview(out), out.view(np.int32)[::7], out]
    del out
    random.Random(0).shuffle(views)
    while views:
        assert len(channel._outputs._gone) == 0
        views.pop()
    gc.collect()
    assert len(channel._outputs._gone) == 1
    used = model.allocator.used_bytes
    mine = model.allocate((1000,), np.float32)
    view = mine[10:]
    del mine
    assert model.allocator.used_bytes > used
    del view
    assert model.allocator.used_bytes == used
    model.close()


def test_outputs_that_are_kept_are_never_written_again(path):
    """Stale or not, a block that somebody has is nobody else's."""
    with loader.load_neuropod(path, use_ope=True) as model:
        kept = [model.infer({"x": np.full(5000, k, np.float32)})["x"] for k in range(50)]
        assert [set(array.tolist()) for array in kept] == [{2.0 * k} for k in range(50)]


@pytest.mark.slow
def test_a_program_may_run_four_models_from_four_threads(pack):
    """Uber's test_ope_multiple_instances, after its issue 397."""
    path = pack(JOIN, TEXT[:2], TEXT[2:])
    models = [Neuropod(path, use_ope=True) for _ in range(4)]
    x, y = np.array(["apple", "banana", "carrot"]), np.array(["sauce", "pudding", "cake"])
    right = [0] * 4

    def ask(number):
        for _ in range(2048):
            found = models[number].infer({"x": x, "y": y})["out"].tolist()
            right[number] += found == ["apple sauce", "banana pudding", "carrot cake"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [2048] * 4


def test_bytes_reach_a_model_as_bytes(pack):
    """What is text is for its framework to say: to TensorFlow any bytes are a string."""
    path = pack("def make(data):\n    return lambda x, y: {'out': x}\n", TEXT[:2], TEXT[2:])
    y = np.array(["a", "b"])
    answers = []
    for use_ope in (True, False):
        with loader.load_neuropod(path, use_ope=use_ope) as model:
            answers.append([model.infer({"x": np.array([b"\xc3\xa9", b""]), "y": y})["out"].tolist()])
            with pytest.raises(NeuropodError) as error:
                model.infer({"x": np.array([b"a", b"\xff"]), "y": y})
            answers[-1].append(str(error.value))
    assert answers[0] == answers[1]
    assert answers[0][0] == ["é", ""]


def test_a_lean_worker_is_given_text_and_names_the_input_that_is_none():
    from perceptum.neuropod.process.worker.tensors import Plan, encoded

    data = {name: encoded(np.array([[value]])) for name, value in (("x", b"\xc3\xa9"), ("y", b"\xff"))}
    for name, takes_bytes, wanted in (("x", True, b"\xc3\xa9"), ("x", False, "é"), ("y", True, b"\xff")):
        plan = Plan({"rows": [(name, "S", 2)], "wanted": []}, takes_bytes)
        place = wire.pack([0, wire.TEXT, 0, 1, 1])
        found = plan.views(place, lambda _, name=name: type("Chunk", (), {"memory": memoryview(data[name])}))[0]
        assert found[name].tolist() == [[wanted]]
    plan = Plan({"rows": [("y", "S", 2)], "wanted": []}, False)
    with pytest.raises(ValueError, match=r"^input 'y': a string tensor holds bytes that are not UTF-8: b'\\xff' \(inv"):
        plan.views(place, lambda _: type("Chunk", (), {"memory": memoryview(data["y"])}))
