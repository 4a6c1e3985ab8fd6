"""The two commands: what they say where something is missing, and that they install only what is."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = "/usr/bin:/bin"


def stand_in(folder: Path, name: str, script: str) -> Path:
    """A command of our own that comes before the machine's."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def run(script: str, *arguments: str, path: str = COMMANDS, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": path, "HOME": os.environ.get("HOME", "/"), **environment}
    command = [ROOT / ".ci" / script, *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


# answers the three questions of .ci/environment: which version, is it new enough, can it make environments
PYTHON = 'case "$2" in *print*) echo {version} ;; *ensurepip*) exit {no_venv} ;; *) exit {too_old} ;; esac'


@pytest.fixture
def machine(tmp_path):
    """Makes commands that stand in for a machine's own; user 0 is root."""

    def make(user: int = 1000, **commands: str) -> str:
        for name, script in {"id": f"echo {user}", **commands}.items():
            stand_in(tmp_path, name.replace("_", "-"), script)
        return f"{tmp_path}:{COMMANDS}"

    return make


def test_a_missing_python_says_what_to_install(machine, tmp_path):
    done = run("environment", str(tmp_path / "venv"), "demo", path=machine(user=0), PYTHON="python3.99")
    assert done.returncode == 1
    assert done.stderr == (
        "no 'python3.99' here, Perceptum needs Python 3.11 or newer: "
        "apt-get install -y python3.11 python3.11-venv, or name the one there is with make PYTHON=...\n"
    )


def test_an_old_python_is_refused(machine, tmp_path):
    old = stand_in(tmp_path, "old", PYTHON.format(version="3.10", too_old=1, no_venv=0))
    done = run("environment", str(tmp_path / "venv"), "demo", path=machine(), PYTHON=str(old))
    assert done.returncode == 1
    assert done.stderr == f"'{old}' is Python 3.10, Perceptum needs 3.11 or newer: name another with make PYTHON=...\n"
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_says_what_to_install(machine, tmp_path):
    bare = stand_in(tmp_path, "bare", PYTHON.format(version="3.12", too_old=0, no_venv=1))
    done = run("environment", str(tmp_path / "venv"), "demo", path=machine(), PYTHON=str(bare))
    assert done.returncode == 1
    assert done.stderr == f"'{bare}' cannot make virtual environments: sudo apt-get install -y python3.12-venv\n"


# makes an environment whose own python writes down what it is asked to install
VENV = """case "$*" in
    *"-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    *"-m pip"*) echo "$@" >> "{calls}" ;;
    *print*) echo 3.11 ;;
esac"""


@pytest.mark.parametrize(
    ("group", "pins", "checkout"),
    [("test", "constraints.txt", "--editable . "), ("devkit", "constraints-devkit.txt", "")],
)
def test_a_group_with_versions_of_its_own_is_installed_without_the_checkout(machine, tmp_path, group, pins, checkout):
    python = stand_in(tmp_path, "python", VENV.format(calls=tmp_path / "calls"))
    done = run("environment", str(tmp_path / "venv"), group, path=machine(), PYTHON=str(python))
    assert (done.returncode, done.stderr) == (0, "")
    pip, packages, *alone = (tmp_path / "calls").read_text().splitlines()
    assert pip.endswith(f"--constraint {pins} --upgrade pip")
    assert packages.endswith(f"--constraint {pins} --build-constraint {pins} {checkout}--group {group}")
    assert [line.partition("check ")[2] for line in alone] == (
        ["--no-deps --requirement alone-devkit.txt"] if group == "devkit" else []
    )


# two of the four libraries, in the form that ldconfig prints
LDCONFIG = r"printf '\tlibGL.so.1 (libc6,x86-64) => /x/libGL.so.1\n\tlibX11.so.6 (libc6,x86-64) => /x/libX11.so.6\n'"


def test_system_libraries_that_may_not_be_installed_are_named(machine):
    done = run("system-libs", path=machine(user=1000, ldconfig=LDCONFIG, sudo="exit 1"))
    assert done.returncode == 0
    assert done.stdout == (
        "the open3d viewer needs system libraries, its tests will skip; to install them:\n"
        "  sudo apt-get update && sudo apt-get install -y --no-install-recommends libusb-1.0-0 libegl1\n"
    )


@pytest.mark.parametrize("user", [0, 1000])
def test_only_missing_system_libraries_are_installed(machine, tmp_path, user):
    apt = f'echo "$@" >> "{tmp_path}/calls"'
    sudo = '[ "$1" != -n ] || shift; exec "$@"'
    done = run("system-libs", path=machine(user=user, ldconfig=LDCONFIG, apt_get=apt, sudo=sudo))
    assert (done.returncode, done.stdout) == (
        0,
        "installing the system libraries of the open3d viewer: libusb-1.0-0 libegl1\n",
    )
    update, install = (tmp_path / "calls").read_text().splitlines()
    assert update.startswith("update")
    assert re.fullmatch(r"install -y .*--no-install-recommends .* libusb-1\.0-0 libegl1", install)


def test_a_failed_install_of_system_libraries_goes_on_and_says_how(machine):
    done = run("system-libs", path=machine(user=0, ldconfig=LDCONFIG, apt_get="exit 100"))
    assert done.returncode == 0
    assert "  apt-get update && apt-get install -y --no-install-recommends libusb-1.0-0 libegl1\n" in done.stdout


def test_a_machine_with_the_system_libraries_is_left_alone(machine):
    every = "".join(rf"\t{name} (libc6) => /x\n" for name in ("libusb-1.0.so.0", "libEGL.so.1"))
    done = run("system-libs", path=machine(user=0, ldconfig=f"{LDCONFIG}; printf '{every}'", apt_get="exit 1"))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("status", [0, 2])
def test_ci_runs_the_command_that_the_readme_shows_and_nothing_else(machine, status):
    shown = re.findall(r"^\$ (make test)\b", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    path = machine(make=f'echo make "$@"; exit {status}')
    done = run("run", path=path, HOME="/nonexistent")
    assert (done.returncode, done.stdout.splitlines()) == (status, shown)


def make(*words: str) -> list[str]:
    done = subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_help_lists_every_command():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    assert {line.split()[1] for line in make("help")} == set(phony[1].split())


def test_all_tests_run_side_by_side():
    # the environment need not be there for a look at the command
    command = make("--dry-run", "--assume-old=.venv-test/.installed", "unit")[-1]
    assert command.endswith(" -m pytest -n auto --dist worksteal")


@pytest.mark.parametrize(("memory_bytes", "workers"), [(64 << 30, 6), (12 << 30, 3), (1 << 30, 1)])
def test_a_worker_is_started_for_each_core_as_far_as_memory_goes(pytestconfig, monkeypatch, memory_bytes, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": memory_bytes >> 12, "SC_PAGE_SIZE": 1 << 12}.__getitem__)
    assert pytestconfig.hook.pytest_xdist_auto_num_workers(config=pytestconfig) == workers
