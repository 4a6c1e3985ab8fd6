"""Kernels are compiled and kept: for anybody, wherever something can be written, and never somebody else's code."""

import os
import shutil
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import perceptum
from perceptum.inputs import kernel_folder as folders

IMPORTED_FROM = str(Path(perceptum.__file__).parents[1])
# nobody can make a folder there
NOWHERE = "/proc/nowhere"
# a superuser may write everywhere, unless this is taken from him
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []


@pytest.fixture
def compiling(tmp_path):
    """compiling(code, **environment): what a new process prints that finds modules in tmp_path/code and ours."""
    (tmp_path / "code").mkdir()
    if AS_ANYBODY and shutil.which("setpriv") is None:
        pytest.skip("a superuser without setpriv (util-linux) can write everywhere")

    def start(code, *, package=IMPORTED_FROM, **environment):
        names = ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
        env = {name: os.environ[name] for name in names if name in os.environ}
        env |= {"PYTHONPATH": os.pathsep.join([str(tmp_path / "code"), package]), "TMPDIR": str(tmp_path)} | environment
        command = [*AS_ANYBODY, sys.executable, "-c", textwrap.dedent(code)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=tmp_path, env=env, stdout=pipe, stderr=pipe, text=True)

    def finish(process):
        said, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        return said.split()

    def run(code, **options):
        return finish(start(code, **options))

    run.start, run.finish, run.code = start, finish, tmp_path / "code"
    return run


KERNEL = """
from perceptum.inputs.kernel import kernel

@kernel
def total(values):
    out = values[0] * 0
    for i in range(len(values)):
        out += values[i]
    return out
"""
CALL = """
import numpy as np
import made
print(made.total(np.arange(5.0)), made.total.stats.cache_path, sum(made.total.stats.cache_hits.values()))
"""


def test_what_was_compiled_is_kept_for_the_next_process(compiling):
    (compiling.code / "made.py").write_text(KERNEL)
    beside = compiling.code / "__pycache__"
    assert compiling(CALL) == ["10.0", str(beside), "0"]
    assert compiling(CALL) == ["10.0", str(beside), "1"]


def test_the_folder_that_numba_is_told_is_taken(compiling, tmp_path):
    (compiling.code / "made.py").write_text(KERNEL)
    for hits in "01":
        total, folder, found = compiling(CALL, NUMBA_CACHE_DIR=str(tmp_path / "named"))
        assert (total, Path(folder).parent, found) == ("10.0", tmp_path / "named", hits)


def test_one_that_may_write_neither_beside_the_source_nor_at_home_still_keeps_it(compiling, tmp_path):
    """Waymo's reader failed there: 'cannot cache function ...: no locator available'."""
    (compiling.code / "made.py").write_text(KERNEL)
    compiling.code.chmod(0o555)
    private = tmp_path / f"perceptum-kernels-{os.geteuid()}"
    for hits, home in (("0", {}), ("1", {"HOME": NOWHERE})):
        # without HOME, home is what the system's list of users says
        total, folder, found = compiling(CALL, XDG_CACHE_HOME=NOWHERE, **home)
        assert (total, Path(folder).parent, found) == ("10.0", private, hits)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_one_that_may_write_nowhere_compiles_each_time(compiling, tmp_path):
    (compiling.code / "made.py").write_text(KERNEL)
    compiling.code.chmod(0o555)
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), NOWHERE)
    no_temporary = "import tempfile\ntempfile.tempdir = '/proc/nowhere'\n"
    for _ in range(2):
        assert compiling(no_temporary + CALL, **nowhere) == ["10.0", "None", "0"]


def test_every_kernel_has_a_folder_where_what_is_installed_cannot_be_written(compiling, tmp_path):
    installed = tmp_path / "installed" / "perceptum"
    shutil.copytree(Path(perceptum.__file__).parent, installed, ignore=shutil.ignore_patterns("__pycache__"))
    folders_there = [folder for folder, _, _ in os.walk(installed)]
    code = """
        import importlib, pathlib, perceptum
        import numpy as np

        root = pathlib.Path(perceptum.__file__).parent
        files = [path for path in root.rglob("*.py") if "perceptum.inputs.kernel import" in path.read_text()]
        names = [".".join(("perceptum", *path.relative_to(root).with_suffix("").parts)) for path in files]
        modules = {name: importlib.import_module(name) for name in names}
        kernels = {k for m in modules.values() for k in vars(m).values() if getattr(k, "__module__", "") in modules}
        # not those that are compiled into others, of which nothing is kept
        kernels = [k for k in kernels if type(getattr(k, "_cache", None)).__name__ == "_Kept"]
        count = modules["perceptum.datasets.waymo_v2.points"].count
        hit = modules["perceptum.datasets.synthetic.kernels"].hit
        print(count(np.ones((2, 3, 4), np.float32), False), hit(0, -5.0, 0, 0, 1.0, 0, 0, 1.0, 2.0, 3.0))
        print(len(names), len(kernels), *{k.stats.cache_path for k in kernels})
    """
    try:
        for folder in folders_there:
            os.chmod(folder, 0o555)
        counted, distance, modules, kernels, *places = compiling(code, package=str(installed.parent), HOME=NOWHERE)
    finally:
        for folder in folders_there:
            os.chmod(folder, 0o755)
    assert (counted, distance) == ("6", "4.0")
    assert int(kernels) > int(modules) > 8
    private = tmp_path / f"perceptum-kernels-{os.geteuid()}"
    assert {Path(place).parent for place in places} == {private}


SLOW_INDEX = """
import time
from numba.core.caching import IndexDataCacheFile
save = IndexDataCacheFile._save_index
IndexDataCacheFile._save_index = lambda self, overloads: (time.sleep(0.5), save(self, overloads))
"""
CALL_WITH = """
import numpy as np
import made
print(made.total(np.arange(5).astype(np.{kind})), sum(made.total.stats.cache_hits.values()))
"""


def test_processes_that_compile_for_different_types_at_once_do_not_take_each_others_code(compiling):
    """With numba's own files both took the name of the first for theirs, and the next process called the wrong one."""
    (compiling.code / "made.py").write_text(KERNEL)
    kinds = {"float32": "10.0", "float64": "10.0", "int8": "10"}
    started = [compiling.start(SLOW_INDEX + CALL_WITH.format(kind=kind)) for kind in kinds]
    assert [compiling.finish(process)[0] for process in started] == list(kinds.values())
    for kind, total in kinds.items():
        assert compiling(CALL_WITH.format(kind=kind)) == [total, "1"]


SLOW_COMPILING = """
import time
from perceptum.inputs import kernel as kernels
save = kernels._Kept.save_overload
def save_slowly(self, *args):
    open("compiling", "w").close()
    time.sleep({seconds})
    save(self, *args)
kernels._Kept.save_overload = save_slowly
"""


def test_processes_that_need_a_kernel_at_the_same_time_compile_it_once(compiling):
    (compiling.code / "made.py").write_text(KERNEL)
    code = SLOW_COMPILING.format(seconds=1.0) + CALL_WITH.format(kind="float32")
    started = [compiling.start(code) for _ in range(3)]
    assert sorted(compiling.finish(process) for process in started) == [["10.0", "0"], ["10.0", "1"], ["10.0", "1"]]


def test_a_process_that_hangs_or_is_killed_while_it_compiles_holds_nobody_up_for_long(compiling, tmp_path):
    (compiling.code / "made.py").write_text(KERNEL)
    hanging = compiling.start(SLOW_COMPILING.format(seconds=1000) + CALL_WITH.format(kind="float32"))
    try:
        until_s = time.monotonic() + 60
        while not list(tmp_path.rglob("compiling")) and time.monotonic() < until_s:
            time.sleep(0.01)
        impatient = "from perceptum.inputs import kernel as kernels; kernels._LONGEST_COMPILING_S = 0.1\n"
        assert compiling(impatient + CALL_WITH.format(kind="float64")) == ["10.0", "0"]
        waiting = compiling.start(CALL_WITH.format(kind="float32"))
    finally:
        hanging.kill()
        hanging.communicate()
    assert compiling.finish(waiting) == ["10.0", "0"]


def test_a_kernel_that_calls_itself_with_other_types_does_not_wait_for_itself(compiling):
    made = """
        from perceptum.inputs.kernel import kernel

        @kernel
        def halved(value, whole):
            if value < 1:
                return 0.0
            return halved(value / 2, whole) + 1.0
    """
    (compiling.code / "made.py").write_text(textwrap.dedent(made))
    patient = "from perceptum.inputs import kernel as kernels; kernels._LONGEST_COMPILING_S = 1000\n"
    assert compiling(patient + "import made; print(made.halved(16, 1))") == ["5.0"]


def test_a_kernel_is_compiled_anew_where_what_went_into_it_has_changed(compiling):
    caller = """
        from perceptum.inputs.kernel import kernel
        from called import FACTOR, scaled
        import named

        @kernel
        def total(values):
            out = 0.0
            for i in range(len(values)):
                out += scaled(values[i]) * FACTOR + named.OFFSET
            return out
    """
    called = """
        from perceptum.inputs.kernel import kernel
        FACTOR = {factor}

        @kernel
        def scaled(value):
            return value * {scale}
    """
    (compiling.code / "made.py").write_text(textwrap.dedent(caller))
    answers = []
    for factor, scale, offset in ((1, 1.0, 0), (2, 1.0, 0), (2, 3.0, 0), (2, 3.0, 7), (2, 3.0, 7)):
        (compiling.code / "called.py").write_text(textwrap.dedent(called.format(factor=factor, scale=scale)))
        (compiling.code / "named.py").write_text(f"OFFSET = {offset}\n")
        answers.append(compiling("import sys; sys.dont_write_bytecode = True\n" + CALL)[::2])
    assert answers == [["10.0", "0"], ["20.0", "0"], ["60.0", "0"], ["95.0", "0"], ["95.0", "1"]]


def test_a_kernel_is_compiled_anew_where_an_intrinsic_that_writes_its_code_has_changed(compiling):
    caller = """
        from perceptum.inputs.kernel import kernel
        from written import number

        @kernel
        def total(values):
            return values[0] + number()
    """
    written = """
        import numba
        from numba.extending import intrinsic

        @intrinsic
        def number(_):
            def generate(context, builder, signature, arguments):
                return context.get_constant(numba.types.float64, {number})
            return numba.types.float64(), generate
    """
    (compiling.code / "made.py").write_text(textwrap.dedent(caller))
    answers = []
    for number in (1.0, 2.0, 2.0):
        (compiling.code / "written.py").write_text(textwrap.dedent(written.format(number=number)))
        answers.append(compiling("import sys; sys.dont_write_bytecode = True\n" + CALL)[::2])
    assert answers == [["1.0", "0"], ["2.0", "0"], ["2.0", "1"]]


def test_a_damaged_file_of_compiled_code_is_replaced(compiling):
    (compiling.code / "made.py").write_text(KERNEL)
    compiling(CALL)
    for ending in (".nbi", ".nbc"):
        (kept,) = (compiling.code / "__pycache__").glob(f"*{ending}")
        for damage in (b"", b"no pickle at all"):
            kept.write_bytes(damage)
            assert compiling(CALL)[::2] == ["10.0", "0"]
    assert compiling(CALL)[::2] == ["10.0", "1"]


def test_a_kernel_goes_on_where_its_folder_has_gone_or_cannot_be_written_any_more(compiling):
    (compiling.code / "made.py").write_text(KERNEL)
    code = """
        import os, shutil
        import numpy as np
        import made
        print(made.total(np.arange(5.0)))
        folder = made.total.stats.cache_path
        os.chmod(folder, 0o500)
        print(made.total(np.arange(5)))
        os.chmod(folder, 0o700)
        shutil.rmtree(folder)
        print(made.total(np.arange(5, dtype=np.int16)))
    """
    assert compiling(code) == ["10.0", "10", "10"]


def test_python_collects_garbage_after_a_kernel_was_compiled_if_it_did_before(compiling):
    (compiling.code / "made.py").write_text(KERNEL)
    code = """
        import gc
        import numpy as np
        import made
        made.total(np.arange(5.0))
        print(gc.isenabled())
        gc.disable()
        made.total(np.arange(5))
        print(gc.isenabled())
        gc.enable()
        try:
            made.total(None)
        except Exception:
            print(gc.isenabled())
    """
    assert compiling(code) == ["True", "False", "True"]


def test_a_kernel_is_the_function_itself_where_numba_is_told_not_to_compile(compiling):
    (compiling.code / "made.py").write_text(KERNEL)
    code = "import numpy as np, made; print(made.total(np.arange(5.0)), type(made.total).__name__)"
    assert compiling(code, NUMBA_DISABLE_JIT="1") == ["10.0", "function"]


@pytest.fixture
def private(monkeypatch, tmp_path):
    """private(): the folder that is chosen now for this user alone."""
    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PERCEPTUM_CACHE", raising=False)

    def choose():
        folders._private_folder.cache_clear()
        return folders._private_folder()

    yield choose
    folders._private_folder.cache_clear()


def test_the_users_own_cache_comes_before_the_temporary_files(private, tmp_path, monkeypatch):
    assert private() == tmp_path / "cache" / "perceptum" / "kernels"
    assert stat.S_IMODE(private().stat().st_mode) == 0o700
    monkeypatch.setenv("PERCEPTUM_CACHE", str(tmp_path / "ours"))
    assert private() == tmp_path / "ours" / "kernels"
    monkeypatch.setenv("PERCEPTUM_CACHE", "relative")
    assert private() == tmp_path / f"perceptum-kernels-{os.geteuid()}"


def _writable_by_all(folder):
    folder.chmod(0o777)


def _writable_by_the_group(folder):
    folder.chmod(0o770)


def _a_link(folder):
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def _below_a_folder_that_all_may_write(folder):
    folder.parent.chmod(0o777)


@pytest.mark.parametrize(
    "spoil", [_writable_by_all, _writable_by_the_group, _a_link, _below_a_folder_that_all_may_write]
)
def test_a_folder_in_which_others_could_put_their_code_is_refused(private, tmp_path, monkeypatch, spoil):
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    monkeypatch.setattr(folders.tempfile, "tempdir", str(open_to_all))
    monkeypatch.setenv("XDG_CACHE_HOME", NOWHERE)
    taken = private()
    assert taken == open_to_all / f"perceptum-kernels-{os.geteuid()}"
    spoil(taken)
    fresh = private()
    assert fresh not in (None, taken)
    assert fresh.parent == open_to_all
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700
    # as /tmp is: who may write there cannot rename what is ours
    open_to_all.chmod(0o1777)
    if spoil is _below_a_folder_that_all_may_write:
        assert private() == taken


def test_a_folder_that_somebody_else_made_is_refused(private, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", NOWHERE)
    somebody = os.geteuid() + 1
    monkeypatch.setattr(folders.os, "geteuid", lambda: somebody)
    (tmp_path / f"perceptum-kernels-{somebody}").mkdir()
    assert private().name.startswith("perceptum-kernels-")
    assert private() != tmp_path / f"perceptum-kernels-{somebody}"


def test_a_fresh_folder_goes_with_the_process_that_made_it(compiling, tmp_path):
    (compiling.code / "made.py").write_text(KERNEL)
    compiling.code.chmod(0o555)
    taken = tmp_path / f"perceptum-kernels-{os.geteuid()}"
    taken.mkdir()
    taken.chmod(0o777)
    total, folder, _ = compiling(CALL, XDG_CACHE_HOME=NOWHERE)
    assert total == "10.0"
    assert Path(folder).is_relative_to(tmp_path)
    assert not Path(folder).is_relative_to(taken)
    assert not Path(folder).parent.exists()
    assert list(taken.iterdir()) == []


FORK = """
import os
import signal
import sys
from threading import Event, Thread

from numba.core.compiler_lock import global_compiler_lock

import perceptum.inputs.kernel
from one import total
import numpy as np

compiling, forked = Event(), Event()

def compile_slowly():
    with global_compiler_lock:
        compiling.set()
        forked.wait(0.5)

thread = Thread(target=compile_slowly)
thread.start()
compiling.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    os._exit(int(total(np.arange(4.0)) != 6))
forked.set()
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), total(np.arange(4.0)))
"""


def test_a_child_forked_while_a_thread_compiles_can_compile(compiling):
    """numba's lock stayed closed in the child, which waited for it forever."""
    (compiling.code / "one.py").write_text(KERNEL)
    assert compiling(FORK) == ["0", "6.0"]
