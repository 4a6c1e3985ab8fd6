"""Tests see surroundings of their own: who starts them, and from where, changes nothing that they see."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import perceptum

ROOT = Path(__file__).resolve().parents[2]

# a test that writes down what a program sees that it starts
SEEN = """
import pathlib, subprocess, sys

ASK = '''
import json, os, pathlib, signal
home = pathlib.Path.home()
print(json.dumps({
    "variables": dict(os.environ),
    "ctrl-c": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "umask": os.umask(0),
    "home": str(home),
    "home can be written": os.access(home, os.W_OK),
}))
'''

def test_what_is_seen():
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    (pathlib.Path(__file__).parent / "seen.json").write_text(done.stdout)
"""
# what make, git, a terminal, a language, a shell and a user's own settings leave in the environment
LEFT = {
    "MAKEFLAGS": "w -- PYTHON=python3.99",
    "MAKELEVEL": "2",
    "GIT_DIR": "/nowhere/.git",
    "COLUMNS": "40",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "FORCE_COLOR": "1",
    "LANG": "C",
    "LC_ALL": "C",
    "PYTHONWARNINGS": "ignore",
    "PYTHONHASHSEED": "1",
    "PYTHONPATH": "/nowhere",
    "PERCEPTUM_TRUST": "never",
    "PERCEPTUM_CACHE": "/nowhere",
    "NUMBA_CACHE_DIR": "/nowhere",
    "XDG_CACHE_HOME": "/nowhere",
    "OMP_NUM_THREADS": "7",
    "KERAS_BACKEND": "theano",
    "TF_CPP_MIN_LOG_LEVEL": "0",
    "TZ": "Asia/Kathmandu",
}
# PYTEST_... apart; Python itself sets LC_CTYPE where no language is set
SEEN_VARIABLES = {"PATH", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "HOME", "PYTHONPATH", "LC_CTYPE"}


@pytest.mark.parametrize(
    ("home", "workers"), [(None, 1), ("/nonexistent", 0)], ids=["without a home", "a home that is not there"]
)
def test_a_test_sees_nothing_of_what_started_it(tmp_path, workers, home):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_seen.py").write_text(SEEN)
    ours = str(Path(perceptum.__file__).parents[1])
    # a shell in which files are private, and which ignores Ctrl-C
    shell = ["sh", "-c", 'umask 077; trap "" INT; exec "$@"', "sh"]
    options = ["--import-mode=importlib", "-o", f"pythonpath={ours}", "-p", "no:cacheprovider", "-n", str(workers)]
    env = {"PATH": os.environ["PATH"], **LEFT} | ({} if home is None else {"HOME": home})
    command = [*shell, sys.executable, "-m", "pytest", *options, str(tmp_path)]
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())
    names = {name for name in seen["variables"] if not name.startswith("PYTEST_")}
    assert names <= SEEN_VARIABLES
    assert seen["variables"]["PYTHONPATH"] == ours
    assert (seen["ctrl-c"], seen["umask"], seen["home can be written"]) == (True, 0o022, True)
    # the home is the run's own, and goes with it
    assert seen["home"] not in (str(Path.home()), home)
    assert not Path(seen["home"]).exists()


def test_this_run_has_such_surroundings():
    # frameworks that tests have loaded set variables of their own
    assert {"MAKEFLAGS", "MAKELEVEL", "COLUMNS", "LANG", "LC_ALL", "NO_COLOR", "XDG_CACHE_HOME"} & set(
        os.environ
    ) == set()
    assert Path(os.environ["HOME"]).name.startswith("perceptum-tests-")


def test_a_test_that_hangs_is_stopped():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert 0 < options["timeout"] <= 600
