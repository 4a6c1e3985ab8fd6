"""The command line in a process of its own: light, quiet towards programs, and gone without a trace when stopped."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import perceptum

COMMANDS = (
    "demo",
    "infer",
    "features",
    "explain",
    "build",
    "bench",
    "info",
    "convert",
    "objects",
    "check",
    "view",
    "doctor",
    "pack",
    "inspect",
    "verify",
    "diff",
)
HEAVY = {"torch", "tensorflow", "keras", "numba", "open3d", "ray", "matplotlib", "scipy", "pandas", "PIL"}
POSE_OUT = [{"name": "out", "dtype": "float64", "shape": [4, 4]}]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(command, name):
    done = command(name, "--help")
    assert (done.status, done.err) == (0, "")
    assert f"Usage: perceptum {name} " in done.out


def test_the_help_shows_all_that_was_written(command, monkeypatch):
    """rich took [rows] for markup of its own, and left it out."""
    import typer

    from perceptum.cli.commands import app

    monkeypatch.setenv("COLUMNS", "400")
    for name, one in typer.main.get_command(app).commands.items():
        shown = " ".join(command(name, "--help").out.split())
        texts = [one.help, *(getattr(param, "help", None) for param in one.params)]
        assert [text for text in texts if text and " ".join(text.split()) not in shown] == []


def test_the_help_lists_every_command(command):
    shown = command("--help").out
    assert [name for name in COMMANDS if f" {name} " not in shown] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_program_may_read_every_table(command, name):
    assert "--json" in command(name, "--help").out


def test_help_loads_nothing_heavy(tmp_path):
    program = """
import sys
from perceptum.cli.commands import app
for words in [["--help"], *([name, "--help"] for name in sys.argv[1:])]:
    app(words, standalone_mode=False)
print("loaded:", *sys.modules)
"""
    command = [sys.executable, "-c", program, *COMMANDS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = done.stdout.rpartition("loaded:")[2].split()
    assert "perceptum.cli.commands" in loaded
    assert HEAVY & set(loaded) == set()


def test_help_comes_within_a_second(perceptum, least):
    def took_s():
        # the processor's time, not the clock's: on a machine with more to do than cores, every half second is long
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert perceptum("--help").status == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert least(took_s, 1.0) < 1.0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["features", "ego_pose"], 0, ""),
        (["infer", "synthetic", "gone"], 2, "perceptum: gone: no such file or folder\n"),
        (["features", "ego_pos"], 2, "perceptum: no feature 'ego_pos'; did you mean 'ego_pose'?\n"),
    ],
)
def test_the_process_ends_with_the_commands_status(perceptum, tmp_path, words, status, said):
    done = perceptum(*words, cwd=tmp_path)
    assert (done.status, done.err) == (status, said)


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_pipe_gets_no_escape_codes(perceptum, variables):
    done = perceptum("info", "synthetic:frames=2", **variables)
    assert done.status == 0
    assert "LIDAR_TOP" in done.out
    assert "\x1b" not in done.out + done.err


def test_a_terminal_that_knows_only_ascii_gets_ascii(perceptum):
    done = perceptum("features", PYTHONIOENCODING="ascii")
    assert (done.status, done.err) == (0, "")
    assert "lidar_voxels" in done.out
    assert done.out.isascii()


@pytest.mark.parametrize("words", [["features"], ["features", "--json"], ["doctor"], ["--help"]])
def test_a_reader_that_goes_away_is_no_fault_of_ours(words):
    command = [sys.executable, "-m", "perceptum", *words]
    # a pipe whose reading end is shut before a word is written
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        said = running.stderr.read()
    assert said == b""
    assert running.returncode in (0, 1)


@pytest.mark.parametrize(
    ("out", "number", "status", "words_said"),
    [
        ("r.arrow", signal.SIGINT, 130, "perceptum: interrupted\n"),
        (None, signal.SIGINT, 130, "perceptum: interrupted\n"),
        ("r.arrow", signal.SIGTERM, 143, ""),
    ],
)
def test_stopping_a_run_leaves_nothing_behind(code_package, tmp_path, out, number, status, words_said):
    source = """
import pathlib, time
def model(ego_pose):
    pathlib.Path("running").touch()
    time.sleep(0.02)
    return {"out": ego_pose}
"""
    package = code_package(source, POSE_OUT)
    words = ["infer", "synthetic:frames=5000", str(package), "--trust", *([] if out is None else ["--out", out])]
    command = [sys.executable, "-m", "perceptum", *words]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(tmp_path / "running", running)
        if out is not None:
            assert (tmp_path / f".{out}.part").exists()
        running.send_signal(number)
        told, said = running.communicate(timeout=30)
    finally:
        running.kill()
    assert (running.returncode, told, said) == (status, "", words_said)
    assert [p.name for p in tmp_path.iterdir()] == ["running"]


PRESSED = """
import os, signal, sys
def press():
    os.kill(os.getpid(), signal.SIGINT)
class Callback:
    def __del__(self):
        press()
class Field:
    def __set_name__(self, owner, name):
        press()
class Finder:
    def find_spec(self, name, *_):
        if name == os.environ.get("WHEN"):
            del os.environ["WHEN"]
            match os.environ.get("HOW"):
                case None:
                    press()
                case "in a callback, which cannot raise":
                    Callback()
                case "while a class is made":
                    type("Owner", (), {"field": Field()})
sys.meta_path.insert(0, Finder())
from perceptum.cli import main
main()
"""


@pytest.mark.parametrize("how", [{}, {"HOW": "in a callback, which cannot raise"}])
@pytest.mark.parametrize("module", ["typer", "perceptum.cli.logs", "perceptum.info", "numba"])
def test_ctrl_c_is_one_line_whatever_is_being_imported(module, how):
    command = [sys.executable, "-c", PRESSED, "info", "synthetic:frames=20"]
    env = {**os.environ, "WHEN": module, **how}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "perceptum: interrupted\n")


def test_ctrl_c_is_one_line_where_python_makes_another_error_of_it():
    """It was a traceback that ended in "RuntimeError: Error calling __set_name__", with status 1."""
    command = [sys.executable, "-c", PRESSED, "info", "synthetic:frames=20"]
    env = {**os.environ, "WHEN": "perceptum.info", "HOW": "while a class is made"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "perceptum: interrupted\n")


def test_a_second_ctrl_c_while_it_ends_is_no_traceback():
    again = "import atexit, os, signal\natexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    command = [sys.executable, "-c", again + PRESSED, "info", "synthetic:frames=20"]
    env = {**os.environ, "WHEN": "perceptum.info"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "perceptum: interrupted\n" * 2)


GARBAGE = """
import os
class Seen:
    def __del__(self):
        os.write(1, b"looked for")
    def __init__(self):
        self.itself = self
import sys
seen = Seen()
from perceptum.cli import main
main()
"""


def test_a_command_ends_without_looking_for_garbage():
    """Beside the compiler's hundred thousand objects that takes a few tenths of a second, and seconds on a busy
    machine."""
    done = subprocess.run([sys.executable, "-c", GARBAGE, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"perceptum {perceptum.__version__}\n"


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGINT, 130, "perceptum: interrupted\n"), (signal.SIGTERM, 143, "")]
)
def test_stopping_a_model_is_one_line_whatever_it_raises_then(code_package, perceptum, tmp_path, number, status, said):
    source = f"""
import os
def model(ego_pose):
    try:
        os.kill(os.getpid(), {int(number)})
    except BaseException as error:
        raise RuntimeError("the model's own words") from error
    return {{"out": ego_pose}}
"""
    done = perceptum("infer", "synthetic:frames=2", code_package(source, POSE_OUT), "--trust", cwd=tmp_path)
    assert (done.status, done.out, done.err) == (status, "", said)


def test_what_is_told_to_ignore_ctrl_c_ignores_it():
    program = f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{PRESSED}"
    command = [sys.executable, "-c", program, "info", "synthetic:frames=2"]
    env = {**os.environ, "WHEN": "typer"}
    assert subprocess.run(command, env=env, capture_output=True, check=False, timeout=60).returncode == 0


def wait_for(path: Path, running: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_a_program_reads_is_json_alone(command):
    Path("spec.json").write_text(json.dumps([{"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}]))
    small = "synthetic:frames=2,beams=8,azimuth_steps=200"
    for words in (
        ["info", small],
        ["features"],
        ["features", "ego_pose"],
        ["explain", "spec.json", "--log", small],
        ["build", small, "spec.json"],
        ["bench", small, "--spec", "spec.json", "--rounds", 1],
        ["doctor"],
    ):
        done = command(*words, "--json")
        assert done.err == ""
        assert done.json


def test_the_version_is_told():
    done = subprocess.run(
        [sys.executable, "-m", "perceptum", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"perceptum {perceptum.__version__}\n"
