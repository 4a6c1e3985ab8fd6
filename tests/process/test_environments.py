"""Which Python a package's worker runs in, and the environments that are registered for it. Nothing is downloaded."""

import dataclasses
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from perceptum.neuropod import NeuropodError, create_python_neuropod
from perceptum.neuropod.frameworks.versions import for_pip
from perceptum.neuropod.package.config import Config
from perceptum.neuropod.process import environments
from perceptum.neuropod.process.environments import Need, choose
from perceptum.neuropod.process.environments.for_package import create_for
from perceptum.neuropod.process.environments.installed import installed_packages
from perceptum.neuropod.process.environments.registry import register
from perceptum.neuropod.uber.preinstall import preinstall_deps, preinstalled

PYTHON = sys.version.split()[0]

# stands in for uv: an environment in a moment, without an index; each requirement becomes a name in its packages
UV = f"""#!{sys.executable}
import os, pathlib, subprocess, sys, time
words = sys.argv[1:]
with open(os.environ["UV_LOG"], "a") as log:
    print(*words, file=log)
if words[0] == "venv":
    subprocess.run([{sys.executable!r}, "-m", "venv", "--without-pip", words[-1]], check=True)
    (pathlib.Path(words[-1]) / "bin" / "tool").write_text("#!" + words[-1] + "/bin/python\\n")
else:
    python = pathlib.Path(words[words.index("--python") + 1])
    (site,) = python.parents[1].glob("lib/python3*/site-packages")
    for requirement in words[words.index("--python") + 2:]:
        if requirement == "endless":
            time.sleep(1000)
        if requirement == "large":
            sys.exit("warning: slow\\nerror: Failed to write\\n  cause: No space left on device (os error 28)")
        name, _, version = requirement.partition("==")
        folder = site / f"{{name}}-{{version or '9.9'}}.dist-info"
        folder.mkdir()
        (folder / "METADATA").touch()
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The folder of environments, of this test alone."""
    monkeypatch.setenv("PERCEPTUM_ENVIRONMENTS", str(tmp_path / "environments"))
    return tmp_path / "environments"


@pytest.fixture
def uv(tmp_path, monkeypatch):
    """The log of a program `uv` that makes environments without an index."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "uv").write_text(UV)
    (programs / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("UV_LOG", str(tmp_path / "uv.log"))
    return tmp_path / "uv.log"


@pytest.fixture(scope="session")
def empty_venv(once):
    def make(folder):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)

    return once("empty_venv", make) / "venv"


@pytest.fixture
def venv(tmp_path, empty_venv):
    """venv("name", "torch==2.1.0", ...): registers a virtual environment that seems to have these packages."""

    def make(name, *requirements):
        folder = tmp_path / f"venv_{name}"
        shutil.copytree(empty_venv, folder, symlinks=True)
        install(folder, *requirements)
        return environments.add(name, folder)

    return make


def install(folder, *requirements):
    (site,) = folder.glob("lib/python3*/site-packages")
    for requirement in requirements:
        package, _, version = requirement.partition("==")
        info = site / f"{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").touch()


def config(platform, versions="*"):
    return Config("model", platform, (), (), platform_version_semver=versions)


def refused(*args, **options):
    with pytest.raises(NeuropodError) as error:
        choose(*args, **options)
    return str(error.value)


# registering


def test_an_environment_is_added_listed_and_removed(venv):
    added = venv("old", "torch==2.1.0", "numpy==1.26.4", "scikit_learn==1.0")
    assert environments.registered() == [added]
    assert added.version == PYTHON
    assert added.python.endswith("venv_old/bin/python")
    assert added.frameworks() == {"numpy": "1.26.4", "torch": "2.1.0"}
    assert added.packages()["scikit-learn"] == "1.0"
    environments.remove("old")
    assert environments.registered() == []
    assert Path(added.python).exists()  # it is the user's own


def test_the_environments_are_in_the_users_data(monkeypatch, tmp_path):
    from perceptum.neuropod.process.environments.registry import folder

    monkeypatch.delenv("PERCEPTUM_ENVIRONMENTS")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder() == tmp_path / ".local/share/perceptum/environments"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert folder() == tmp_path / "data/perceptum/environments"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # which its definition says to pass over
    assert folder() == tmp_path / ".local/share/perceptum/environments"


def test_a_name_is_given_once(venv):
    venv("old")
    with pytest.raises(NeuropodError) as error:
        environments.add("old", sys.executable)
    assert str(error.value) == "there is an environment 'old' already; perceptum env remove old, or another name"


@pytest.mark.parametrize("name", ["../up", "", "a b", ".hidden", "a/b", "x" * 65, "this"])
def test_a_name_that_cannot_be_one_is_refused(name, place):
    with pytest.raises(NeuropodError, match=r"^an environment cannot be called"):
        environments.add(name, sys.executable)
    assert not place.exists()


def test_what_is_not_a_python_is_refused(tmp_path, place):
    (tmp_path / "text").write_text("no program")
    (tmp_path / "fails").write_text("#!/bin/sh\necho oh no >&2\nexit 3\n")
    (tmp_path / "old").write_text('#!/bin/sh\necho \'["p", [2, 7, 18], "/", []]\'\n')
    for name in ("fails", "old"):
        (tmp_path / name).chmod(0o755)
    expected = {
        "text": "is not a Python that runs: Permission denied",
        "fails": "is not a Python that runs: oh no",
        "old": "is Python 2.7.18; workers need 3.6 or newer",
        "absent": "is neither a Python interpreter nor the folder of a virtual environment",
        "": "has no bin/python; name a Python interpreter, or the folder of a virtual environment",
    }
    for name, text in expected.items():
        with pytest.raises(NeuropodError) as error:
            environments.add("new", tmp_path / name)
        assert str(error.value) == f"{tmp_path / name}: {text}"
    assert not place.exists()


def test_an_unknown_name_is_met_with_those_there_are(venv):
    venv("old")
    with pytest.raises(NeuropodError) as error:
        environments.remove("new")
    assert str(error.value) == "no environment 'new'; there are: old (perceptum env add new PYTHON adds one)"


def test_a_path_in_the_place_of_a_name_is_met_with_how_it_gets_one(venv):
    folder = os.path.dirname(sys.executable)
    with pytest.raises(NeuropodError, match=re.escape(f"there are: none (perceptum env add NAME {folder} adds one)")):
        environments.find(folder)
    with pytest.raises(NeuropodError, match=re.escape("(perceptum env add NAME PYTHON adds one)")):
        environments.find("no/where")


def test_this_python_is_no_environment_that_could_be_removed():
    with pytest.raises(NeuropodError, match=r"^'this' is the Python that runs perceptum, and not"):
        environments.remove("this")


def test_a_record_that_makes_no_sense_is_passed_over(venv, place):
    odd = venv("old").to_json().replace(PYTHON, "new")
    for name, text in {"cut": "{", "list": "[]", "other": '{"a": 1}', "none": "null", "version": odd}.items():
        (place / f"{name}.json").write_text(text)
    assert [environment.name for environment in environments.registered()] == ["old"]


def test_what_is_installed_is_read_without_a_python_and_again_when_it_changes(venv, tmp_path, monkeypatch):
    environment = venv("old", "torch==2.1.0")
    monkeypatch.setattr(subprocess, "run", None)
    assert environment.frameworks() == {"torch": "2.1.0"}
    install(tmp_path / "venv_old", "numpy==1.26.4")
    assert environment.frameworks() == {"torch": "2.1.0", "numpy": "1.26.4"}


def test_what_an_interrupted_uninstall_left_is_not_installed(tmp_path):
    (tmp_path / "gone-1.0.dist-info").mkdir()
    (tmp_path / "~orch-1.0.dist-info").mkdir()
    (tmp_path / "~orch-1.0.dist-info" / "METADATA").touch()
    (tmp_path / "egg_file-2.0-py3.11.egg-info").touch()
    (tmp_path / "egg-3.0-py3.6-linux-x86_64.egg-info").mkdir()
    (tmp_path / "egg-3.0-py3.6-linux-x86_64.egg-info" / "PKG-INFO").touch()
    assert installed_packages([str(tmp_path), str(tmp_path / "absent")]) == {"egg-file": "2.0", "egg": "3.0"}


# choosing


def test_this_python_runs_what_it_can(venv):
    venv("old", "numpy==1.26.4", "onnxruntime==1.20.1")
    here = choose(config("onnx"), None)
    assert (here.name, here.python, here.lean) == ("this Python", sys.executable, False)
    assert choose(config("python", PYTHON), None).name == "this Python"
    assert choose(config("placeholder"), None).name == "this Python"


def test_an_environment_runs_what_this_python_cannot(venv):
    old = venv("old", "numpy==1.26.4", "onnxruntime==1.20.1")
    chosen = choose(config("onnx", "1.20"), None)
    assert (chosen.name, chosen.python, chosen.lean) == ("old", old.python, True)
    assert chosen.packages["onnxruntime"] == "1.20.1"
    assert chosen.variables["VIRTUAL_ENV"] == old.prefix
    assert chosen.variables["PATH"].split(os.pathsep)[0] == f"{old.prefix}/bin"


def test_the_newest_that_fits_is_chosen(venv):
    for name, version in {"a": "1.9.0", "b": "1.20.1", "c": "1.10.0", "d": "2.1.0"}.items():
        venv(name, "numpy==1.26.4", f"onnxruntime=={version}")
    assert choose(config("onnx", "1.9 - 1.20"), None).name == "b"
    assert choose(config("onnx", "<1.20"), None).name == "c"


def test_a_build_of_the_framework_under_another_name_counts(venv):
    venv("cpu", "numpy==1.26.4", "tensorflow_cpu==2.5.1")
    venv("build", "numpy==1.26.4", "torch==1.4.0+cpu")
    assert choose(config("tensorflow", "2.5.1"), None).name == "cpu"
    assert choose(config("torchscript", "1.4.0"), None).name == "build"


def test_what_has_no_numpy_or_is_gone_is_not_chosen(venv, tmp_path):
    venv("bare", "onnxruntime==1.20.1")
    venv("gone", "onnxruntime==1.20.1", "numpy==1.26.4")
    (tmp_path / "venv_gone/bin/python").unlink()
    told = refused(config("onnx", "1.20"), None, package="p.neuropod")
    assert told == (
        f"the package needs onnxruntime '1.20': this Python has onnxruntime {here_version('onnxruntime')}, "
        "environment 'bare' has onnxruntime 1.20.1 and no numpy, environment 'gone' is not there any more; "
        "'perceptum env create NAME p.neuropod' makes one that fits"
    )
    with pytest.raises(NeuropodError) as error:
        choose(config("onnx", "1.20"), None, "bare")
    assert str(error.value) == "the environment 'bare' has no numpy, which a worker needs"
    with pytest.raises(NeuropodError, match=r"^the environment 'gone' is not there any more: .*; perceptum env remove"):
        choose(config("onnx", "1.20"), None, "gone")


def here_version(name):
    return installed_packages(sys.path)[name]


def test_where_nothing_fits_it_is_said_what_there_is(venv):
    venv("old", "numpy==1.26.4", "torch==2.1.0")
    assert refused(config("torchscript", "1.4.0"), None) == (
        f"the package needs torch '1.4.0': this Python has torch {here_version('torch')}, environment 'old' has "
        "torch 2.1.0; 'perceptum env create NAME PKG' makes one that fits"
    )
    assert refused(config("python", "3.6"), "torch==1.4.0\n") == (
        f"the package needs Python '3.6', torch 1.4.0: this Python has Python {PYTHON}, "
        f"environment 'old' has Python {PYTHON}; 'perceptum env create NAME PKG' makes one that fits"
    )


def test_a_platform_that_other_pythons_cannot_run_has_only_this_one(venv):
    venv("old", "numpy==1.26.4", "jax==0.1.0")
    assert refused(config("jax", "0.1"), None) == (
        f"the package needs jax '0.1': this Python has jax {here_version('jax')}; models of the platform 'jax' run "
        "only where perceptum is"
    )
    assert refused(config("jax", "0.1"), None, "old").startswith("models of the platform 'jax' run only where perc")


def test_a_range_that_is_none_is_refused_in_the_words_of_the_loader():
    assert refused(config("onnx", "a.b.c"), None).startswith("platform_version_semver 'a.b.c' is not a version range")


def test_an_explicit_name_wins_where_it_can_run_the_package(venv):
    venv("old", "numpy==1.26.4", "onnxruntime==1.20.1")
    assert choose(config("onnx"), None, "old").name == "old"
    assert choose(config("onnx"), None, "this").name == "this Python"
    assert refused(config("onnx", "1.19"), None, "old") == (
        "the package needs onnxruntime '1.19'; the environment 'old' has onnxruntime 1.20.1"
    )
    assert refused(config("onnx", "1.20"), None, "this").startswith(
        "the package needs onnxruntime '1.20': this Python has onnxruntime "
    )
    assert refused(config("onnx"), None, "new").startswith("no environment 'new'; there are: old")


def test_the_lock_decides_between_those_in_range(venv, caplog):
    here = here_version("onnxruntime")
    lock = "onnxruntime==1.20.1\n"
    assert choose(config("python"), f"onnxruntime=={here}\n").name == "this Python"
    with caplog.at_level(logging.WARNING):
        assert choose(config("python"), lock, package="p").name == "this Python"
    assert caplog.messages == [f"p: made with onnxruntime 1.20.1, runs with {here}"]
    venv("other", "numpy==1.26.4", "onnxruntime==1.19.0")
    assert choose(config("python"), lock).name == "this Python"
    venv("exact", "numpy==1.26.4", "onnxruntime==1.20.1")
    caplog.clear()
    assert choose(config("python"), lock).name == "exact"
    assert caplog.messages == []


def test_an_environment_with_what_is_locked_goes_before_others_whatever_they_are_called(venv):
    for name, version in {"a": "1.1", "b": "1.0", "c": "0.9"}.items():
        venv(name, "numpy==1.26.4", f"no_such_package=={version}")
    assert choose(config("python"), "no-such-package==1.0\n").name == "b"


def test_what_this_python_lacks_an_environment_may_have_in_another_version(venv, caplog):
    lock = "no-such_package==1.0\n"
    assert refused(config("python"), lock) == (
        f"the package needs no-such_package 1.0: this Python has Python {PYTHON} and not no-such_package 1.0; "
        "'perceptum env create NAME PKG' makes one that fits"
    )
    venv("other", "numpy==1.26.4", "no_such_package==1.1")
    assert choose(config("python"), lock, package="p").name == "other"
    assert caplog.messages == ["p: made with no-such_package 1.0, runs with 1.1"]


def test_an_environment_that_is_this_python_has_perceptum():
    environments.add("mine", sys.executable)
    assert choose(config("jax"), None, "mine").lean is False


def test_another_python_below_the_same_prefix_is_not_this_one(tmp_path):
    """As /usr/bin/python3.8 is beside /usr/bin/python3.11."""
    other = dataclasses.replace(environments.add("mine", sys.executable), name="other", version="3.6.9")
    site = tmp_path / "python3.6" / "site-packages"
    site.mkdir(parents=True)
    (site / "numpy-1.19.5.dist-info").mkdir()
    (site / "numpy-1.19.5.dist-info" / "METADATA").touch()
    register(dataclasses.replace(other, folders=(str(site),)))
    chosen = choose(config("python", "3.6"), None)
    assert (chosen.name, chosen.lean) == ("other", True)


def test_a_build_of_a_locked_version_is_that_version(venv, caplog):
    venv("build", "numpy==1.26.4", "no_such_package==1.0+cpu")
    assert choose(config("python"), "no-such-package==1.0\n").name == "build"
    assert caplog.messages == []
    assert choose(config("python"), "no-such-package==1.0+gpu\n").name == "build"
    assert caplog.messages == ["PKG: made with no-such-package 1.0+gpu, runs with 1.0+cpu"]


def test_choosing_is_quick(venv, least):
    for number in range(20):
        venv(f"e{number}", "numpy==1.26.4", *(f"package_{n}==1.0" for n in range(30)))
    choose(config("onnx"), None)

    def measure():
        start = time.perf_counter()
        choose(config("torchscript", "1.4.0 || *"), None)
        with pytest.raises(NeuropodError):
            choose(config("onnx", "1.20"), None)
        return time.perf_counter() - start

    assert least(measure, 0.1) < 0.1


# what a package needs, as pip takes it


@pytest.mark.parametrize(
    ("versions", "specifiers"),
    [
        ("*", ""),
        ("1.13.1", "==1.13.1"),
        ("> 1.13.1", ">1.13.1"),
        ("1.4.0 - 1.6.0", ">=1.4.0,<=1.6.0"),
        ("3.6", ">=3.6.0,<3.7.0"),
        ("^1.2", ">=1.2.0,<2.0.0"),
        ("1.2 || 2.x", ">=2.0.0,<3.0.0"),
    ],
)
def test_a_range_is_written_for_pip(versions, specifiers):
    assert for_pip(versions) == specifiers


@pytest.mark.parametrize(
    ("platform", "versions", "pins", "requirements"),
    [
        ("torchscript", "1.13.1", (), ["torch==1.13.1", "numpy<2"]),
        ("torchscript", "*", (), ["torch", "numpy"]),
        ("torchscript", "<2.3.0", (), ["torch<2.3.0", "numpy<2"]),
        ("torchscript", "<=2.3.0", (), ["torch<=2.3.0", "numpy"]),
        ("onnx", "1.18", (), ["onnxruntime>=1.18.0,<1.19.0", "numpy<2"]),
        ("tensorflow", "2.15.0", (), ["tensorflow==2.15.0", "numpy"]),
        ("python", "3.6", (), ["numpy"]),
        ("python", "*", (("torch", "1.4.0"), ("numpy", "1.19.5")), ["torch==1.4.0", "numpy==1.19.5"]),
    ],
)
def test_what_a_package_needs_is_what_is_installed_for_it(platform, versions, pins, requirements):
    assert Need(platform, versions, pins).requirements() == requirements


# making


def test_an_environment_is_made_once_for_the_same_requirements(uv, place):
    first = environments.create("a", ["numpy", "onnxruntime==1.20.1"])
    assert first.frameworks() == {"numpy": "9.9", "onnxruntime": "1.20.1"}
    assert first.requirements == ("numpy", "onnxruntime==1.20.1")
    second = environments.create("b", [" onnxruntime==1.20.1", "numpy"])
    assert second.python == first.python
    assert environments.create("a", ["numpy", "onnxruntime==1.20.1"]) == first
    assert len(uv.read_text().splitlines()) == 2
    assert environments.create("c", ["numpy"]).python != first.python
    assert (Path(first.prefix) / "bin/tool").read_text() == f"#!{first.prefix}/bin/python\n"
    done = subprocess.run([first.python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True)
    assert done.stdout == f"{first.prefix}\n"
    environments.remove("a")
    assert Path(first.prefix).is_dir()
    environments.remove("b")
    environments.remove("c")
    assert sorted(path.name for path in place.rglob("*")) == ["made"]


def test_a_name_that_is_taken_is_not_given_to_other_requirements(uv):
    environments.create("a", ["numpy"])
    with pytest.raises(NeuropodError, match=r"^there is an environment 'a' already"):
        environments.create("a", ["torch"])


def test_many_at_once_make_one(uv):
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda number: environments.create(f"e{number}", ["numpy"]), range(6)))
    assert len({environment.python for environment in made}) == 1
    assert len(uv.read_text().splitlines()) == 2
    assert len(environments.registered()) == 6


def test_two_processes_at_once_make_one(uv):
    program = "import sys; from perceptum.neuropod.process import environments as e; e.create(sys.argv[1], ['numpy'])"
    running = [subprocess.Popen([sys.executable, "-c", program, name]) for name in ("a", "b", "a")]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert len(uv.read_text().splitlines()) == 2
    assert {environment.name for environment in environments.registered()} == {"a", "b"}


def test_one_that_was_killed_is_not_taken_for_whole_and_is_swept(uv, place):
    program = "from perceptum.neuropod.process import environments as e; e.create('a', ['numpy', 'endless'])"
    running = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    until = time.monotonic() + 60
    while not (uv.exists() and "endless" in uv.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert environments.registered() == []
    (left,) = (place / "made").glob(".*.*")
    assert not (place / "made" / left.name.split(".")[1]).exists()
    environments.create("b", ["numpy"])
    assert not left.exists()


@pytest.mark.parametrize(
    ("requirements", "told"),
    [
        (["large"], "no environment was made: Failed to write cause: No space left on device (os error 28) (Python "),
        ([" "], "environment 'a': nothing is required; name what it is to have, such as numpy"),
        (["--index-url=x"], "environment 'a': '--index-url=x' is an option, not a requirement"),
    ],
)
def test_what_cannot_be_made_leaves_nothing(uv, place, requirements, told):
    with pytest.raises(NeuropodError) as error:
        environments.create("a", requirements)
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)
    assert environments.registered() == []
    assert list(place.glob("made/*")) == []


def test_a_home_that_cannot_be_written_to_is_one_line(uv, tmp_path, monkeypatch, venv):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PERCEPTUM_ENVIRONMENTS", str(tmp_path / "file" / "environments"))
    told = (
        f"{tmp_path}/file/environments: environments cannot be kept there: Not a directory; "
        "PERCEPTUM_ENVIRONMENTS names another folder"
    )
    for make in (lambda: environments.create("a", ["numpy"]), lambda: environments.add("a", sys.executable)):
        with pytest.raises(NeuropodError) as error:
            make()
        assert str(error.value) == told


def test_an_environment_is_made_for_a_package(uv, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/main.py").write_text("def get(data):\n    return lambda: {}\n")
    create_python_neuropod(
        neuropod_path=tmp_path / "p.neuropod",
        model_name="p",
        input_spec=[],
        output_spec=[],
        data_paths=[],
        code_path_spec=[{"python_root": str(tmp_path / "code"), "dirs_to_package": [""]}],
        entrypoint_package="main",
        entrypoint="get",
        requirements="scikit-learn==0.22.0\n",
    )
    made = create_for("p", tmp_path / "p.neuropod")
    assert made.packages() == {"numpy": "9.9", "scikit-learn": "0.22.0"}
    assert choose(config("python"), "scikit-learn==0.22.0\n").name == "p"


@pytest.mark.parametrize("own", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["our pip", "a new pip"])
def test_without_uv_pip_makes_it(tmp_path, monkeypatch, place, own):
    monkeypatch.setattr("perceptum.neuropod.process.environments.making._own_pip_serves", lambda base: own)
    wheels = make_wheels(tmp_path, {"numpy": "1.0", "needed": "2.0"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setattr("shutil.which", lambda name: None)
    made = environments.create("a", ["numpy", "needed"])
    assert {name: made.packages()[name] for name in ("numpy", "needed")} == {"numpy": "1.0", "needed": "2.0"}
    done = subprocess.run([made.python, "-c", "import needed; print(needed.VERSION)"], capture_output=True, text=True)
    assert done.stdout == "2.0\n"
    if not own:
        # a script, which names the Python that runs it
        pip = subprocess.run([Path(made.prefix) / "bin/pip", "--version"], capture_output=True, text=True, check=True)
        assert str(made.prefix) in pip.stdout
    with pytest.raises(NeuropodError) as error:
        environments.create("b", ["absent==3.3.2"])
    assert str(error.value) == (
        f"no environment was made: No matching distribution found for absent==3.3.2 (Python {PYTHON}; --python names "
        "another)"
    )
    assert list(place.glob("made/.*")) == []


def make_wheels(folder, versions):
    """Writes wheels of modules that hold their version, and returns their folder."""
    wheels = folder / "wheels"
    wheels.mkdir()
    for name, version in versions.items():
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(wheels / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return wheels


# Uber's preinstall_deps


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_what_was_installed_before_comes_first_on_the_path(tmp_path, home, monkeypatch):
    wheels = make_wheels(tmp_path, {"needed": "2.0", "numpy": "1.0"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    preinstall_deps(version, "needed==2.0\nnumpy==1.0\n")
    packages = home / ".neuropod/pythonpackages" / f"py{version.replace('.', '')}"
    assert sorted(path.name for path in packages.iterdir() if path.is_dir()) == ["needed==2.0", "numpy==1.0"]
    assert (packages / "needed==2.0.complete").exists()
    (site,) = packages.glob("needed==2.0/lib/python3*/site-packages")
    chosen = choose(config("python"), "needed==2.0\n")
    assert (chosen.name, chosen.paths) == ("this Python", (str(site),))
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(f"import sys; sys.path.insert(0, {str(site)!r}); import needed")]
    )
    assert found.returncode == 0
    # whole ones are not installed again, those that a killed process left are
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    preinstall_deps(version, "needed==2.0\n")
    (packages / "needed==2.0.complete").unlink()
    assert preinstalled([("needed", "2.0")]) == {}
    with pytest.raises(NeuropodError) as error:
        preinstall_deps(version, "needed==2.0\n")
    assert str(error.value) == (
        "preinstall_deps: needed==2.0 was not installed: No matching distribution found for needed==2.0"
    )
    assert not (packages / "needed==2.0").exists()


def test_requirements_for_another_python_are_not_installed_for_this_one(home):
    with pytest.raises(NeuropodError) as error:
        preinstall_deps("2.7", "needed==2.0\n")
    assert str(error.value) == (
        f"preinstall_deps: this is Python {PYTHON}, not 2.7; run it with that Python, or make an environment: "
        "perceptum env create NAME --requirement ..."
    )
    assert not home.exists()


def test_a_home_that_is_read_only_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    with pytest.raises(NeuropodError, match=r"^preinstall_deps: \S+ cannot be written to: Not a directory$"):
        preinstall_deps(PYTHON, "needed==2.0\n")


# the command line


@pytest.fixture
def run(capsys, monkeypatch):
    """run(*words) -> (exit status, standard output, standard error) of `perceptum env WORDS`."""
    from perceptum.cli import commands

    def ask(*words):
        monkeypatch.setattr(sys, "argv", ["perceptum", "env", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            commands.run()
        return (end.value.code or 0, *capsys.readouterr())

    return ask


def test_the_command_line_adds_makes_lists_and_removes(run, uv, empty_venv):
    assert run("add", "bare", empty_venv) == (
        0,
        f"bare: Python {PYTHON} with neither numpy nor a framework, {empty_venv}/bin/python\n",
        "",
    )
    status, out, _ = run("create", "new", "-r", "numpy==2.0", "--requirement", "torch==2.1.0", "--yes", "--json")
    assert status == 0
    made = json.loads(out)
    assert made["frameworks"] == {"numpy": "2.0", "torch": "2.1.0"}
    assert made["made"] is True
    status, out, _ = run("list", "--json")
    rows = json.loads(out)
    assert [row["name"] for row in rows] == ["this", "bare", "new"]
    assert rows[0]["frameworks"]["numpy"] == here_version("numpy")
    assert rows[2] == made
    assert "torch 2.1.0" in run("list")[1]
    assert run("remove", "new") == (0, "removed: new\n", "")
    assert not Path(made["path"]).exists()


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("remove", "new"), 2, "no environment 'new'; there are: none (perceptum env add new PYTHON adds one)"),
        (("create", "new"), 2, "say what 'new' is for: a package, or --requirement NAME==VERSION"),
        (
            ("create", "new", "absent.neuropod", "-r", "numpy"),
            2,
            "an environment is made for a package or of --requirement, not both",
        ),
        (("create", "new", "absent.neuropod"), 2, "absent.neuropod: no such file or folder"),
        (("add", "new", "absent"), 2, None),
    ],
)
def test_the_command_line_says_in_one_line_what_is_wrong(run, words, status, told):
    found, out, err = run(*words)
    assert (found, out) == (status, "")
    assert err.count("\n") == 1
    assert told is None or err == f"perceptum: {told}\n"


def test_before_anything_is_downloaded_it_says_what_and_from_where_and_asks(run, uv, monkeypatch):
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://me:secret@mirror.example/simple")
    monkeypatch.setenv("UV_INDEX", "own=https://own.example/simple")
    words = ("create", "new", "-r", "torch==2.1.0", "-r", "numpy")
    what = (
        f"numpy, torch==2.1.0, and what these need, for Python {PYTHON} ({sys.executable}), by uv from "
        "https://mirror.example/simple, https://own.example/simple"
    )
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err == f"perceptum: making 'new' installs {what}; nobody can be asked here, so add --yes if it shall\n"
    asked = []
    monkeypatch.setattr("perceptum.cli.environments._on_terminal", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda text, **_: asked.append(text) or len(asked) > 1)
    assert run(*words) == (1, "", f"'new' is made of {what}\n")
    assert not uv.exists()
    assert run(*words)[0] == 0
    # of the same requirements there is one now
    assert run("create", "other", "-r", "numpy", "-r", "torch==2.1.0")[0] == 0
    assert len(asked) == 2


def test_where_pip_looks_is_what_its_settings_say(monkeypatch, tmp_path):
    from perceptum.neuropod.process.environments.ahead import look_ahead

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://me:secret@own.example/simple")
    ahead = look_ahead("new", ["numpy"])
    assert (ahead.program, ahead.is_made) == ("pip", False)
    assert ahead.sources == ("https://pypi.org/simple", "https://own.example/simple")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL")
    assert look_ahead("new", ["numpy"]).sources == ("https://mirror.example/simple",)
