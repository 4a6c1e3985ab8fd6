"""What SECURITY.md says that a sandbox keeps out, each point tried from inside."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from perceptum.neuropod.process.limits import Limits
from perceptum.neuropod.process.sandbox import Sandbox, confinement
from perceptum.neuropod.process.worker.enclosure import filter, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no sandbox here: {why_not()}")

WORKER = Path(filter.__file__).parents[1]
MEMORY_BYTES = 512 << 20
START = """
import importlib.util, json, sys
folder, order = sys.argv[1], json.loads(sys.argv[2])
spec = importlib.util.spec_from_file_location(
    "perceptum_worker", folder + "/__init__.py", submodule_search_locations=[folder]
)
module = importlib.util.module_from_spec(spec)
sys.modules["perceptum_worker"] = module
spec.loader.exec_module(module)
from perceptum_worker.confine import CannotConfine, confine
try:
    confine(order)
except CannotConfine as error:
    sys.exit(str(error))
exec(sys.argv[3])
"""


def start(code, sandbox, *, package=None, limits=None, python=(sys.executable,), environment=None, **options):
    """Starts a process that goes into a sandbox and then runs `code`."""
    order = confinement(limits, sandbox, package=package)
    words = [*python, "-c", START, str(options.pop("worker", WORKER)), json.dumps(order), code]
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
        **options,
    )


def ended(code, sandbox=None, **options):
    """Returns (exit status, stdout, stderr) of code that ran inside."""
    process = start(code, sandbox or Sandbox(memory_bytes=MEMORY_BYTES), **options)
    out, err = process.communicate(timeout=250)
    return process.returncode, out, err


def _load_attacks():
    spec = importlib.util.spec_from_file_location("attacks", Path(__file__).with_name("attacks.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ATTACKS = _load_attacks()

# what is refused in another way than by "not permitted" or "no such", and how
SAID = {
    "reach_the_network_by_ipv4": "Operation not permitted",
    "reach_an_abstract_socket": "Operation not permitted",
    "reach_a_socket_in_the_package": "Operation not permitted",
    "look_up_a_name": "name resolution",
    "read_home": "No such file",
    "go_up_from_the_root": "No such file",
    "write_to_the_package": "Read-only file system",
    "change_the_package": "Read-only file system",
    "change_rights_of_the_package": "Read-only file system",
    "fill_tmp": "No space left",
    "fill_tmp_with_names": "No space left",
    "kill_its_victim": "No such process",
    "kill_everybody": "No such process",
    "start_a_process": "Operation not permitted",
    "start_many_threads": "can't start new thread",
    "have_much_memory": "MemoryError",
    "use_a_call_that_nobody_looked_at": "not implemented",
    "have_them_by_clone3": "not implemented",
}


def _other_python():
    """Returns how to run a Python as an ordinary user, where that can be done from here."""
    python = "/usr/bin/python3"
    if os.geteuid() != 0 or shutil.which("setpriv") is None or not os.path.exists(python):
        return None
    return ("setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", python)


@pytest.fixture(scope="module", params=["this user", "another user"])
def outcome(request, tmp_path_factory):
    """What came of every attempt, made in one sandbox: name -> [kept out, what it said]."""
    python, folder = (sys.executable,), tmp_path_factory.mktemp("sandbox")
    if request.param == "another user":
        python = _other_python()
        if python is None:
            pytest.skip("only root can be another user")
        # out of pytest's own folder, which is root's alone
        folder = Path("/tmp") / f"perceptum-sandbox-{uuid.uuid4().hex}"
        folder.mkdir()
    try:
        yield _outcome(folder, python)
    finally:
        shutil.rmtree(folder)


def _outcome(folder, python):
    package, home = folder / "package", folder / "home"
    package.mkdir()
    home.mkdir()
    shutil.copy(ATTACKS.__file__, package / "attacks.py")
    worker = shutil.copytree(WORKER, folder / "worker", ignore=shutil.ignore_patterns("__pycache__"))
    secret = home / "secret"
    secret.write_text("my secret")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777)
    word, abstract = uuid.uuid4().hex, uuid.uuid4().hex
    process = subprocess.Popen(["sleep", "60"])
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as hidden,
        socket.socket(socket.AF_UNIX) as named,
        secret.open() as held,
    ):
        hidden.bind("\0" + abstract)
        named.bind(str(package / "socket"))
        for listener in (hidden, named):
            listener.listen()
        (package / "socket").chmod(0o777)
        victim = {
            "port": server.getsockname()[1],
            "abstract": abstract,
            "socket": str(package / "socket"),
            "secret": str(secret),
            "package": str(package),
            "file": str(package / "attacks.py"),
            "pid": process.pid,
            # backwards: forwards it is in the words that the process is started with
            "drow": word[::-1],
            "memory_bytes": MEMORY_BYTES,
        }
        code = (
            f"sys.path.insert(0, {str(package)!r}); import attacks\n"
            f"victim = json.loads({json.dumps(victim)!r})\n"
            "print(json.dumps({name: attacks.tried(name, victim) for name in attacks.ATTEMPTS}))"
        )
        sandbox = Sandbox(memory_bytes=MEMORY_BYTES, temporary_bytes=8 << 20)
        status, out, err = ended(
            code,
            sandbox,
            package=package,
            python=python,
            worker=worker,
            pass_fds=[held.fileno()],
            environment={"PERCEPTUM_TEST_SECRET": word, "TF_VAR_password": word},
        )
    assert process.poll() is None, "the victim was killed"
    process.kill()
    process.wait()
    assert status == 0, err
    assert not (package / "added").exists()
    return json.loads(out)


@pytest.mark.parametrize("name", ATTACKS.ATTEMPTS)
def test_a_sandbox_keeps_code_from_what_it_tries_to(outcome, name):
    kept_out, said = outcome[name]
    assert kept_out, f"{name}: {said}"
    assert SAID.get(name, "") in said


def test_without_a_sandbox_most_of_it_succeeds(tmp_path):
    """The attempts are real: they fail because of the sandbox."""
    victim = {"secret": str(tmp_path / "secret"), "package": str(tmp_path), "file": str(tmp_path / "secret")}
    (tmp_path / "secret").write_text("my secret")
    for name in (
        "read_home",
        "read_the_users_of_the_machine",
        "write_to_the_package",
        "change_the_package",
        "have_shared_memory",
        "see_other_processes",
        "start_a_program",
        "find_devices",
        "read_the_hosts_name",
    ):
        kept_out, said = ATTACKS.tried(name, victim)
        assert not kept_out, f"{name}: {said}"


# what ends in the model's own end

HOLD_MEMORY_THAT_NO_LIMIT_COUNTS = """
import mmap
kept = []
import ctypes
libc = ctypes.CDLL(None)
while True:
    block = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.write(b"1" * (16 << 20))
    view = ctypes.c_char.from_buffer(block)
    # what may not be written to is not counted as data
    libc.mprotect(ctypes.c_void_p(ctypes.addressof(view)), ctypes.c_size_t(16 << 20), 1)
    kept.append((block, view))
"""


def test_memory_that_the_systems_limit_does_not_count_is_seen_and_ends_the_model():
    status, _, err = ended(HOLD_MEMORY_THAT_NO_LIMIT_COUNTS, Sandbox(memory_bytes=256 << 20))
    assert status == -signal.SIGKILL
    assert "sandbox: the model has" in err
    assert "MiB of memory and may have 256: killed" in err


def test_memory_is_counted_over_all_processes_that_a_model_starts():
    code = (
        "import os, time\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0:\n"
        "        kept = b'1' * (100 << 20)\n"
        "        time.sleep(60)\n"
        "time.sleep(60)\n"
    )
    status, _, err = ended(code, Sandbox(memory_bytes=256 << 20, processes=4))
    assert status == -signal.SIGKILL
    assert "may have 256: killed" in err


def test_a_model_may_start_as_many_processes_as_it_is_allowed_and_no_more():
    code = (
        "import os, time\n"
        "count = 0\n"
        "try:\n"
        "    for count in range(10000):\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(60)\n"
        "except BlockingIOError:\n"
        "    print(count)\n"
    )
    status, out, err = ended(code, Sandbox(processes=2))
    assert status == 0, err
    assert 2 <= int(out) <= 2 + 64 + 4 * len(os.sched_getaffinity(0))


def test_no_process_is_left_of_those_that_a_model_started():
    code = "import os, sys, time\nif os.fork():\n    sys.exit()\nos.setsid()\nprint(flush=True)\ntime.sleep(600)\n"
    process = start(code, Sandbox(processes=1))
    # its stdout is open as long as any of them lives
    _, err = process.communicate(timeout=250)
    assert process.returncode == 0, err


def test_cpu_time_over_the_limit_ends_the_model():
    status, _, _ = ended("while True: pass", Sandbox(cpu_s=1))
    assert status == -signal.SIGXCPU


def test_cpu_time_over_the_limit_ends_a_model_that_takes_no_notice():
    code = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    status, _, _ = ended(code, Sandbox(cpu_s=1))
    assert status == -signal.SIGKILL


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import sys; sys.exit(3)", 3),
        ("import os; os._exit(4)", 4),
        ("import os; os.abort()", -signal.SIGABRT),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV),
    ],
)
def test_the_process_outside_ends_as_the_worker_did(code, status):
    assert ended(code)[0] == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_inside_outlives_the_process_outside(number):
    process = start("import time; print('ready', flush=True); time.sleep(600)", Sandbox())
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    # both ends of these pipes are closed only when the worker is gone
    process.communicate(timeout=250)
    assert process.returncode == -number


def test_nothing_is_left_behind(tmp_path):
    before = sorted(os.listdir("/tmp")), Path("/proc/mounts").read_text()
    ended("open('/tmp/left', 'w').write('x')")
    after = sorted(os.listdir("/tmp")), Path("/proc/mounts").read_text()
    assert "left" not in after[0]
    assert before[1] == after[1]


def test_an_output_that_is_a_file_or_a_terminal_is_not_given_to_the_model(tmp_path):
    path = tmp_path / "log"
    path.write_text("my log\n")
    order = confinement(None, Sandbox())
    code = "print('from the model', flush=True)"
    with path.open("a") as stream:
        words = [sys.executable, "-c", START, str(WORKER), json.dumps(order), code]
        assert subprocess.run(words, stdout=stream).returncode == 0
    assert path.read_text() == "my log\n"


def test_cpus_that_are_set_cannot_be_left():
    code = "import os; os.sched_setaffinity(0, range(os.cpu_count())); print(len(os.sched_getaffinity(0)))"
    cpu = min(os.sched_getaffinity(0))
    assert ended(code, limits=Limits(cpus=[cpu]))[1] == "1\n"


def test_what_it_may_read_besides_is_read_only(tmp_path):
    (tmp_path / "words").write_text("one two")
    (tmp_path / "link").symlink_to("words")
    tmp_path.chmod(0o755)
    code = f"print(open('{tmp_path}/link').read()); open('{tmp_path}/words', 'w')"
    status, out, err = ended(code, Sandbox(read=(tmp_path,)))
    assert out == "one two\n"
    assert "Read-only file system" in err
    assert status == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_root_is_told_which_file_its_sandboxed_model_may_not_read(tmp_path):
    package = tmp_path / "package"
    package.mkdir(mode=0o700)
    status, _, err = ended("", package=package)
    assert status == 1
    assert err == (
        f"no sandbox here: what root sandboxes runs as a user without rights, who may not read {package}; allow it: "
        f"chmod -R a+rX {package}\n"
    )
