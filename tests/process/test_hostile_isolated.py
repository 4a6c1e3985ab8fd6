"""What hostile models and odd inputs do in this process they do in a worker, with the same messages; and no more."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, load_neuropod
from perceptum.neuropod.errors import WorkerError

ONES = {"x": np.ones(3, np.float32)}
HOW = {"name": "how", "dtype": "string", "shape": []}
X = {"name": "x", "dtype": "float32", "shape": [None]}
Y = {"name": "y", "dtype": "float32", "shape": [None]}

# a line of code -> what the model does instead of returning its answer
BAD = {
    "raises an error": "raise ValueError('odd')",
    "raises SystemExit": "raise SystemExit(3)",
    "calls sys.exit": "import sys; sys.exit('bye')",
    "raises GeneratorExit": "raise GeneratorExit",
    "raises BaseException": "raise BaseException('odd')",
    "raises MemoryError": "raise MemoryError",
    "raises what cannot say what it is": "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})",
    "raises two lines": "raise ValueError('one\\ntwo')",
    "raises a huge text": "raise ValueError('x' * (3 << 20))",
    "raises lone surrogates": "raise ValueError('\\ud800 and \\0')",
    "raises the deepest recursion": "f = lambda f: f(f); f(f)",
    "raises a chain": "try: 1 / 0\n        except Exception as error: raise KeyError('second') from error",
    "raises ours": "from perceptum.neuropod import NeuropodError; raise NeuropodError('said by the model')",
    "raises a name that looks like ours": "raise type('WorkerError', (Exception,), {})('no')",
    "asks for memory without end": "np.zeros(1 << 60, np.uint8)",
    "returns nothing": "return None",
    "returns a list": "return [x]",
    "returns an array": "return x",
    "returns a list as output": "return {'y': [1.0, 2.0]}",
    "returns a number": "return {'y': 1.0}",
    "returns None as output": "return {'y': None}",
    "returns objects": "return {'y': np.array([object(), None])}",
    "returns records": "return {'y': np.zeros(2, [('a', 'f4'), ('b', 'i8')])}",
    "returns another type": "return {'y': np.zeros(3, np.float64)}",
    "returns another rank": "return {'y': np.zeros((2, 2), np.float32)}",
    "returns booleans": "return {'y': np.ones(3, bool)}",
    "returns complex numbers": "return {'y': np.ones(3, np.complex64)}",
    "returns dates": "return {'y': np.zeros(3, 'M8[s]')}",
    "returns half numbers": "return {'y': np.ones(3, np.float16)}",
    "returns bytes": "return {'y': np.array([b'a', b'bc'])}",
    "returns text": "return {'y': np.array(['a', 'b\\U0001f600'])}",
    "returns bytes that are not text": "return {'y': np.array([b'\\xff\\xfe'])}",
    "returns another byte order": "return {'y': np.ones(3, '>f4')}",
    "returns another name": "return {'z': x}",
    "returns one name too many": "return {'y': x, 'z': x}",
    "returns a thousand names": "return {f'y{n}': x for n in range(1000)}",
    "returns a name that is a number": "return {1: x, 'y': x}",
    "returns a name that is no text": "return {'\\ud800': x, 'y': x}",
    "returns a huge name": "return {'n' * 300000: x, 'y': x}",
    "returns no outputs": "return {}",
    "returns a mapping whose items fail": "return type('M', (dict,), {'items': lambda self: 1 / 0})(y=x)",
    "returns 64 dimensions": "return {'y': np.zeros((1,) * 64, np.float32)}",
    "writes to its input": "x[...] = 7; return {'y': x}",
}
SOURCE = (
    "import numpy as np\n\ndef make(data):\n    def model(how, x):\n        return BAD[str(how)](x)\n    return model\n"
)


def source(lines):
    functions = "".join(f"def _{n}(x):\n        {line}\n\n" for n, line in enumerate(lines.values()))
    table = ", ".join(f"{name!r}: _{n}" for n, name in enumerate(lines))
    return f"{SOURCE}\n{functions}\nBAD = {{{table}}}\n"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same package here and in a worker."""
    from perceptum.neuropod import create_python_neuropod

    folder = tmp_path_factory.mktemp("bad")
    (folder / "main.py").write_text(source(BAD))
    create_python_neuropod(
        neuropod_path=folder / "m",
        model_name="m",
        input_spec=[HOW, X],
        output_spec=[Y],
        data_paths=[],
        code_path_spec=[{"python_root": folder, "dirs_to_package": [""]}],
        entrypoint_package="main",
        entrypoint="make",
    )
    with (
        load_neuropod(folder / "m", trust=True) as here,
        load_neuropod(folder / "m", trust=True, isolate=True) as there,
    ):
        # what it keeps between calls is there from now on
        outcome(there, "writes to its input")
        yield here, there


def outcome(model, how):
    given = {"how": np.array(how), "x": np.arange(3, dtype=np.float32)}
    try:
        out = model.infer(given)
    except NeuropodError as error:
        cause = error.__cause__
        return type(error).__name__, str(error), None if cause is None else type(cause).__name__
    return {name: (array.dtype.str, array.tolist()) for name, array in out.items()}, given["x"].tolist()


@pytest.mark.parametrize("how", BAD)
def test_it_is_the_same_error_as_in_this_process(both, how):
    here, there = both
    wanted, found = outcome(here, how), outcome(there, how)
    if how == "writes to its input":
        assert found[0] == wanted[0]
        return
    assert found[:2] == wanted[:2]
    assert there.worker_pids


def test_an_interrupt_that_the_model_raises_does_not_interrupt_its_caller(isolated):
    """In this process nobody can tell it from Ctrl-C."""
    model = isolated("def make(data):\n    def model(x):\n        raise KeyboardInterrupt\n    return model")
    with pytest.raises(NeuropodError, match=r"^model 'm' failed: KeyboardInterrupt"):
        model.infer(ONES)
    with pytest.raises(NeuropodError, match=r"^model 'm' failed: KeyboardInterrupt"):
        model.infer(ONES)


def test_the_models_own_lines_are_the_cause(isolated):
    model = isolated("def make(data):\n    def model(x):\n        raise KeyError('odd')\n    return model")
    with pytest.raises(NeuropodError, match=r"^model 'm' failed: KeyError: 'odd'$") as error:
        model.infer(ONES)
    cause = error.value.__cause__
    assert type(cause).__name__ == "KeyError"
    assert isinstance(cause, KeyError)
    assert 'main.py", line 3, in model\n' in str(cause.__cause__)


# how a model ends its process -> (status, signal)
ENDS = {
    "os._exit(0)": (0, None),
    "os._exit(7)": (7, None),
    "os.abort()": (-signal.SIGABRT, "SIGABRT"),
    "ctypes.string_at(0)": (-signal.SIGSEGV, "SIGSEGV"),
    "os.kill(os.getpid(), 9)": (-signal.SIGKILL, "SIGKILL"),
    "os.kill(os.getpid(), 15)": (-signal.SIGTERM, "SIGTERM"),
    "os.killpg(0, 9)": (-signal.SIGKILL, "SIGKILL"),
    "[socket.socket(fileno=int(n)).shutdown(2) for n in os.listdir('/proc/self/fd')"
    " if os.path.exists(f'/proc/self/fd/{n}') and 'socket' in os.readlink(f'/proc/self/fd/{n}')]; time.sleep(60)": None,
}


@pytest.fixture(scope="module")
def mortal(tmp_path_factory):
    """A model that runs the code in its input, and is restarted as often as it takes."""
    from perceptum.neuropod import create_python_neuropod
    from perceptum.neuropod.process.remote import Restart

    folder = tmp_path_factory.mktemp("mortal")
    (folder / "main.py").write_text(
        "import ctypes, os, socket, sys, time, threading, signal, subprocess\nimport numpy as np\n"
        "kept = []\n"
        "def make(data):\n    def model(how, x):\n        scope = {**globals(), 'x': x}\n"
        "        exec(str(how), scope)\n        return {'y': scope.get('y', x)}\n    return model\n"
    )
    create_python_neuropod(
        neuropod_path=folder / "m",
        model_name="m",
        input_spec=[HOW, X],
        output_spec=[Y],
        data_paths=[],
        code_path_spec=[{"python_root": folder, "dirs_to_package": [""]}],
        entrypoint_package="main",
        entrypoint="make",
    )
    often = Restart(most=1000, backoff_s=0)
    with load_neuropod(folder / "m", trust=True, isolate=True, restart=often, timeout_s=5) as model:
        yield model


def run(model, code, x=ONES["x"]):
    return model.infer({"how": np.array(code), "x": x})["y"]


@pytest.fixture
def nothing_left(_keeper):
    """A worker that ended and one that is started again do not have the same numbers; test_leaks.py has a look."""


@pytest.mark.parametrize("code", ENDS)
def test_a_model_that_ends_its_process_is_an_error_and_no_more(mortal, code):
    x = mortal.allocate((3,), np.float32)
    x[:] = 2
    assert run(mortal, "y = x + 1", x).tolist() == [3, 3, 3]
    with pytest.raises(WorkerError, match=r"^model 'm': its worker ended: ") as error:
        run(mortal, code, x)
    assert error.value.reason == "died"
    if ENDS[code] is not None:
        status, name = ENDS[code]
        assert (error.value.exit_status, error.value.exit_signal) == (status, name)
        assert (name or f"exit status {status}") in str(error.value)
    # what the caller had built is as it was, and the next worker reads it
    assert run(mortal, "y = x + 1", x).tolist() == [3, 3, 3]


def test_what_a_crash_wrote_is_in_its_error(mortal):
    with pytest.raises(WorkerError) as error:
        run(mortal, "print('on stdout', flush=True); print('on stderr', file=sys.stderr); ctypes.string_at(0)")
    assert "on stdout" in error.value.stderr
    assert "on stderr" in error.value.stderr
    assert "Fatal Python error: Segmentation fault" in error.value.stderr


def test_a_model_that_prints_writes_to_stderr_and_never_to_our_stdout(mortal, capfd):
    run(mortal, "print('loud', flush=True); os.write(1, b'low\\n'); os.write(2, b'err\\n'); os.system('echo child')")
    until_s = time.monotonic() + 5
    err = ""
    while "child" not in err and time.monotonic() < until_s:
        out, more = capfd.readouterr()
        assert out == ""
        err += more
    assert [word for word in err.split() if word in ("loud", "low", "err", "child")] == ["loud", "low", "err", "child"]


def test_a_model_that_prints_without_end_does_not_stop_its_answers(mortal, capfd):
    run(mortal, "for n in range(2000): print('x' * 1000)")
    run(mortal, "os.write(2, bytes(3 << 20))")
    assert run(mortal, "y = x").tolist() == [1, 1, 1]
    capfd.readouterr()


def test_a_model_that_never_returns_is_ended(mortal):
    mortal._runner._timeout_s, kept = 0.3, mortal._runner._timeout_s
    try:
        for code in (
            "time.sleep(1000)",
            "os.closerange(0, 4096); time.sleep(1000)",
            "while True: pass",
            "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(1000)",
        ):
            begin_s = time.monotonic()
            with pytest.raises(
                WorkerError, match=r"^model 'm': its worker did not answer within 0.3 s and was killed"
            ) as error:
                run(mortal, code)
            assert error.value.reason == "timeout"
            assert time.monotonic() - begin_s < 10
    finally:
        mortal._runner._timeout_s = kept
    assert run(mortal, "y = x").tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "code",
    [
        "os.chdir('/')",
        "os.environ.clear()",
        "sys.path[:] = []; sys.modules.pop('json')",
        "sys.stdout = sys.stderr = None",
        "sys.stdout and sys.stdout.close()",
        "os.close(0); os.close(1); os.close(2)",
        "[signal.signal(s, signal.SIG_IGN) for s in (1, 2, 3, 10, 12, 13, 14, 15, 17)]",
        "signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)",
        "sys.setrecursionlimit(100)",
        "sys.setswitchinterval(10)",
        "import gc; gc.disable(); gc.freeze()",
        "sys.settrace(lambda *_: None)",
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "threading.Thread(target=time.sleep, args=(60,)).start()",
        "subprocess.Popen(['sleep', '60'])",
        "kept.append(x); x[...] = 1",
        "np.seterr(all='raise')",
        "import decimal, locale; os.umask(0o777)",
        "os.nice(5)",
        "import subprocess; subprocess.run('rm -rf \"$TMPDIR\"', shell=True)",
    ],
)
def test_what_a_model_does_to_its_process_does_not_reach_ours(mortal, code):
    before = (os.getcwd(), dict(os.environ), signal.getsignal(signal.SIGINT))
    with pytest.raises(WorkerError):
        run(mortal, "os._exit(0)")
    run(mortal, code)
    for count in range(3):
        x = np.full(1000, count, np.float32)
        assert run(mortal, "y = x * 2", x).tolist() == (x * 2).tolist()
    assert (os.getcwd(), dict(os.environ), signal.getsignal(signal.SIGINT)) == before


def test_forks_of_the_worker_end_with_it(mortal):
    pids = run(mortal, "y = np.array([os.fork() or time.sleep(600) for _ in range(3)], np.float32)")
    kin = [int(pid) for pid in pids]
    assert all(os.path.exists(f"/proc/{pid}") for pid in kin)
    with pytest.raises(WorkerError):
        run(mortal, "os._exit(0)")
    until_s = time.monotonic() + 5
    while any(os.path.exists(f"/proc/{pid}") for pid in kin):
        assert time.monotonic() < until_s


def test_a_fork_that_goes_on_as_the_worker_does_not_answer_twice(mortal):
    """Both return from the model: the child must not post an answer of its own."""
    for count in range(5):
        x = np.full(4, count, np.float32)
        assert run(mortal, "os.fork(); y = x + 1", x).tolist() == [count + 1] * 4


def test_a_worker_without_descriptors_answers_or_ends(mortal):
    with contextlib.suppress(WorkerError):
        assert run(mortal, "os.closerange(0, 4096); y = x + 1").tolist() == [2, 2, 2]
    with contextlib.suppress(WorkerError):
        run(mortal, "y = x")
    assert run(mortal, "y = x").tolist() == [1, 1, 1]
