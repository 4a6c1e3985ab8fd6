"""doctor: what is here and what is missing, without loading any of it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import subprocess
import sys
from types import SimpleNamespace

import msgspec
import pytest

import perceptum
from perceptum import doctor, plugged
from perceptum.features import canonical
from perceptum.install import install_command

HEAVY = {"torch", "tensorflow", "numba", "open3d", "matplotlib", "PIL"}


def packages(found) -> dict[str, str]:
    return {package["package"]: package["version"] for package in found["packages"]}


@pytest.fixture
def absent(monkeypatch):
    """absent("torch"): the module cannot be found."""
    real = importlib.util.find_spec

    def hide(*modules):
        monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None if name in modules else real(name))

    return hide


def test_what_is_here_is_told_with_its_version():
    found = doctor.examine()
    assert packages(found)["numpy"] == importlib.metadata.version("numpy")
    assert found["machine"]["python"] == platform.python_version()
    assert found["machine"]["perceptum"] == perceptum.__version__
    assert found["machine"]["cores"] >= 1


@pytest.mark.parametrize(
    ("reason", "said"),
    [(None, "possible, unless a container forbids it"), ("Linux 4.0 is too old", "not possible: Linux 4.0 is too old")],
)
def test_whether_models_can_run_in_workers_and_sandboxes_is_reported(monkeypatch, reason, said):
    monkeypatch.setattr("perceptum.neuropod.process.worker.enclosure.possible.why_not", lambda: reason)
    machine = doctor.examine()["machine"]
    assert (machine["models in workers"], machine["models in a sandbox"]) == ("possible", said)


def test_where_there_are_no_workers_there_is_no_sandbox(monkeypatch):
    monkeypatch.setattr(doctor.sys, "platform", "darwin")
    machine = doctor.examine()["machine"]
    assert machine["models in workers"] == "not possible: they need Linux, this is darwin"
    assert machine["models in a sandbox"] == machine["models in workers"]


def test_what_is_absent_is_told_with_what_brings_it(absent):
    absent("torch", "PIL")
    found = doctor.examine()
    assert (packages(found)["torch"], packages(found)["pillow"]) == ("-", "-")
    assert f"torch is not installed (TorchScript and PyTorch models): {install_command('torch')}" in found["advice"]
    assert f"pillow is not installed (pictures): {install_command('camera')}" in found["advice"]


def test_an_absent_core_package_has_no_extra(absent):
    absent("msgspec")
    assert f"msgspec is not installed (core: schema): {install_command()}" in doctor.examine()["advice"]


def test_a_package_of_unknown_version_is_here_all_the_same(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", version)
    found = doctor.examine()
    assert packages(found)["numpy"] == "unknown"
    assert not any(advice.startswith("numpy ") for advice in found["advice"])


def test_an_empty_kernel_cache_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    found = doctor.examine()
    said = "no kernel is compiled yet: the first build takes some seconds longer"
    assert (found["machine"]["kernel cache"], found["machine"]["kernels in cache"]) == (str(tmp_path), 0)
    assert said in found["advice"]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.nbi").touch()
    found = doctor.examine()
    assert found["machine"]["kernels in cache"] == 1
    assert said not in found["advice"]


def test_variables_that_set_threads_are_told(monkeypatch):
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert doctor.examine()["machine"]["threads set by"] == "nothing"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert doctor.examine()["machine"]["threads set by"] == "OMP_NUM_THREADS=3"


def test_nothing_heavy_is_loaded():
    program = "import sys; from perceptum.doctor import examine; examine(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            "tensorflow.python.eager",
            f"tensorflow is not installed (TensorFlow models): {install_command('tensorflow')}",
        ),
        ("PIL", f"pillow is not installed (pictures): {install_command('camera')}"),
        ("numba", f"numba is not installed (core: kernels): {install_command()}"),
        ("somebody_elses", None),
        (None, None),
    ],
)
def test_the_package_of_a_module_is_named(module, said):
    assert doctor.missing_package(module) == said


def test_the_command_tells_the_same(command, absent):
    absent("open3d")
    told = command("doctor", "--json").json
    assert told.keys() == {"machine", "packages", "plug_ins", "advice"}
    assert packages(told) == packages(doctor.examine())
    shown = command("doctor")
    assert shown.status == 0
    assert f"advice: open3d is not installed (the 3D viewer): {install_command('open3d')}\n" in shown.out


def test_every_extra_that_is_advised_exists():
    extras = set(importlib.metadata.metadata("perceptum").get_all("Provides-Extra") or ())
    assert {package["extra"] for package in doctor.examine()["packages"]} - {"-"} <= extras


class Module:
    """What an entry point may load: a dataset and a backend at once."""

    LOOKS_LIKE, FRAMEWORK, RUNS_CODE = "a folder", "none", False
    recognises = open_source = copy_reason = load = version = None


class Groups:
    """A feature plug-in whose only group has a name of ours."""

    GROUPS = (msgspec.structs.replace(canonical().group("ego"), features=canonical().group("ego").features[:1]),)


def exits():
    raise SystemExit(3)


@pytest.fixture
def installed(monkeypatch):
    """installed({group: {name: what it loads}}): plug-ins of the distribution acme 1.2."""

    def install(found):
        def entry(name, group, load):
            dist = SimpleNamespace(name="acme", version="1.2")
            return SimpleNamespace(name=name, group=group, value=f"acme.{name}", dist=dist, load=load)

        entries = [entry(name, group, load) for group, own in found.items() for name, load in own.items()]
        monkeypatch.setattr(plugged, "entry_points", lambda group: [one for one in entries if one.group == group])

    return install


def test_plug_ins_are_listed_with_where_they_come_from_and_whether_they_are_used(installed, command):
    installed(
        {
            "perceptum.features": {"exits": exits, "taken": lambda: Groups},
            "perceptum.datasets": {"drive": lambda: Module, "nuscenes": lambda: Module, "bare": lambda: object},
            "perceptum.backends": {"tflite": lambda: Module, "onnx": lambda: Module, "exits": exits},
        }
    )
    told = command("doctor", "--json").json
    assert [(p["kind"], p["plug-in"], p["package"], p["version"], p["not used"]) for p in told["plug_ins"]] == [
        ("features", "exits", "acme", "1.2", "cannot be loaded: SystemExit: 3"),
        ("features", "taken", "acme", "1.2", "left out, since others have its names: ego"),
        ("datasets", "drive", "acme", "1.2", None),
        ("datasets", "nuscenes", "acme", "1.2", "left out, since one of ours has its name"),
        (
            "datasets",
            "bare",
            "acme",
            "1.2",
            "dataset 'bare' (acme.bare) is missing recognises, LOOKS_LIKE, open_source",
        ),
        ("backends", "tflite", "acme", "1.2", None),
        ("backends", "onnx", "acme", "1.2", "left out, since one of ours has its name"),
        ("backends", "exits", "acme", "1.2", told["plug_ins"][-1]["not used"]),
    ]
    assert "SystemExit: 3" in told["plug_ins"][-1]["not used"]
    shown = command("doctor").out
    assert (
        "advice: plug-in 'exits' of acme is not used: cannot be loaded: SystemExit: 3; fix or uninstall it\n" in shown
    )
    installed({})
    assert "plug-ins: none installed\n" in command("doctor").out
