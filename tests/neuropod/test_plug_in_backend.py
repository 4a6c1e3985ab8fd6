"""A backend from outside: one file, one line, one test, as CONTRIBUTING says; here it is installed as a package."""

import os
import sys
import textwrap

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import InputBuilder
from perceptum.neuropod import NeuropodError, load_neuropod
from perceptum.neuropod.pack.inspection import inspect_package
from perceptum.neuropod.pack.packing import pack
from perceptum.neuropod.pack.verification import verify_package

BACKEND = textwrap.dedent(
    '''
    """Multiplies all points by a number that lies in a file."""

    import numpy as np

    from perceptum.neuropod.frameworks.handoff import why_copied

    FRAMEWORK = "acme"
    RUNS_CODE = False


    def version():
        return "1.2.3"


    def copy_reason(array):
        return "acme copies what is large" if array.size > 1_000_000 else why_copied(array, aligned=True)


    def load(package, visible_gpu):
        return Runner(float(package.read("0/data/factor.txt")))


    class Runner:
        def __init__(self, factor):
            self.factor = factor

        def run(self, inputs, wanted):
            return {"out": inputs["lidar_points"] * np.float32(self.factor)}

        def close(self):
            pass
    '''
)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """install(source): puts a distribution with that backend for the platform "acme" on Python's path."""

    def put(source):
        site = tmp_path / "site"
        info = site / "acme-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "acme_backend.py").write_text(source)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[perceptum.backends]\nacme = acme_backend\n")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
        monkeypatch.delitem(sys.modules, "acme_backend", raising=False)

    yield put
    sys.modules.pop("acme_backend", None)


@pytest.fixture
def package(tmp_path):
    def write(folder, config):
        (folder / "0" / "data").mkdir()
        (folder / "0" / "data" / "factor.txt").write_text("2.5")

    def make(**options):
        rows = {"input_spec": [{"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]}]}
        rows["output_spec"] = [{"name": "out", "dtype": "float32", "shape": ["n", 5]}]
        pack("acme", {"neuropod_path": tmp_path / "m", "model_name": "m", **rows, **options}, write)
        return tmp_path / "m"

    return make


def test_a_backend_from_outside_packs_loads_runs_and_is_explained(install, package):
    install(BACKEND)
    path = package(test_input_data={"lidar_points": np.ones((3, 5), np.float32)})
    frame = pc.open_log("synthetic", frames=2, seed=0, beams=8, azimuth_steps=100)[0]
    with load_neuropod(path) as model:
        builder = InputBuilder(model)
        tensors = builder.build(frame)
        assert model.infer(tensors)["out"].tobytes() == (tensors["lidar_points"] * np.float32(2.5)).tobytes()
        assert "copies: none" in str(builder.explain())
        assert model.copies({"lidar_points": np.ones((1_000_000, 5), np.float32)}) == {
            "lidar_points": "acme copies what is large"
        }
        assert isinstance(model.infer(tensors, outputs="native")["out"], np.ndarray)
    assert inspect_package(path)["platform_version"]["here"] == "1.2.3"
    assert [step.ok for step in verify_package(path)].count(False) == 0


@pytest.mark.parametrize("raised", ["SystemExit(3)", "KeyError('gone')", "GeneratorExit()"])
@pytest.mark.parametrize(
    ("place", "doing"),
    [
        ('"""Multiplies', "cannot be imported"),
        ("    return Runner", "loading failed"),
        ("        return {", "failed"),
        ('    return "acme', "cannot say what it copies"),
        ("        pass", "cannot be closed"),
    ],
)
def test_whatever_it_raises_is_our_error(install, package, raised, place, doing):
    path = package()
    indent = place[: len(place) - len(place.lstrip())]
    install(BACKEND.replace(place, f"{indent}raise {raised}\n{place}", 1))
    kind = raised.partition("(")[0]
    given = {"lidar_points": np.ones((3, 5), np.float32)}

    def use():
        model = load_neuropod(path)
        model.copies(given)
        model.infer(given)
        model.close()

    with pytest.raises(NeuropodError, match=rf"{doing}.*{kind}") as told:
        use()
    assert type(told.value.__cause__).__name__ == kind


def test_a_version_that_cannot_be_said_is_no_end_of_an_inspection(install, package):
    path = package()
    install(BACKEND.replace('    return "1.2.3"', "    raise SystemExit(3)"))
    assert inspect_package(path)["platform_version"]["here"] is None
    failed = [step.found for step in verify_package(path) if step.check == "framework"]
    assert failed == ["the backend cannot say its version: SystemExit: 3"]


def test_a_backend_that_lacks_a_part_is_refused_by_name(install, package):
    path = package()
    install(BACKEND.replace("def copy_reason", "def other"))
    with pytest.raises(
        NeuropodError, match=r"the backend 'acme' \(acme_backend\) is missing copy_reason; update or uninstall"
    ):
        load_neuropod(path)
