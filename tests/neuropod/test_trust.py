"""PERCEPTUM_TRUST: one setting decides for a whole process whether packages that are code may run."""

import ast
from pathlib import Path

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, create_python_neuropod, load_neuropod, loader

DOORS = {
    "front": lambda path: load_neuropod(path),
    "front, trusting": lambda path: load_neuropod(path, trust=True),
    "old": lambda path: loader.load_neuropod(path),
}
OPENS = {
    None: {"front, trusting", "old"},
    "never": set(),
    "ask": {"front, trusting"},
    "always": set(DOORS),
    " Always ": set(DOORS),
    "": {"front, trusting", "old"},
}


@pytest.mark.parametrize("setting", OPENS)
@pytest.mark.parametrize("door", DOORS)
def test_the_setting_and_the_door_decide(packed, monkeypatch, setting, door):
    path = packed("python", "scalar")
    if setting is None:
        monkeypatch.delenv("PERCEPTUM_TRUST", raising=False)
    else:
        monkeypatch.setenv("PERCEPTUM_TRUST", setting)
    if door in OPENS[setting]:
        with DOORS[door](path) as model:
            assert model.infer({"x": np.int64(1)})["out"] == 2
    else:
        with pytest.raises(NeuropodError, match=r"this package is code \(platform 'python'\) and can do anything"):
            DOORS[door](path)


@pytest.mark.parametrize("setting", ["never", "ask", "always"])
def test_data_needs_no_trust_whatever_the_setting(packed, monkeypatch, setting):
    path = packed("torchscript", "scalar")
    monkeypatch.setenv("PERCEPTUM_TRUST", setting)
    for door in DOORS.values():
        door(path).close()


def test_the_refusal_says_what_to_do(packed, monkeypatch):
    path = packed("python", "scalar")
    for setting, door, end in (
        ("never", "front, trusting", "PERCEPTUM_TRUST=never forbids such packages in this process"),
        ("ask", "old", "load it with perceptum.load_neuropod(path, trust=True)"),
        ("ask", "front", "if not, with isolate='sandbox' (perceptum infer --sandbox)"),
    ):
        monkeypatch.setenv("PERCEPTUM_TRUST", setting)
        with pytest.raises(NeuropodError) as error:
            DOORS[door](path)
        assert str(error.value).startswith(f"{path}: ")
        assert str(error.value).endswith(end)


def test_a_setting_that_does_not_exist_is_refused_and_not_taken_for_another(packed, monkeypatch):
    monkeypatch.setenv("PERCEPTUM_TRUST", "sometimes")
    with pytest.raises(NeuropodError, match="PERCEPTUM_TRUST must be never, ask or always, got 'sometimes'"):
        load_neuropod(packed("python", "scalar"), trust=True)


@pytest.mark.parametrize(("setting", "runs"), [("never", False), ("ask", True)])
def test_the_test_after_packing_obeys_it_too(tmp_path, monkeypatch, setting, runs):
    monkeypatch.setenv("PERCEPTUM_TRUST", setting)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text("def make(data):\n    return lambda: {}\n")

    def pack():
        create_python_neuropod(
            neuropod_path=tmp_path / "m",
            model_name="m",
            input_spec=[],
            output_spec=[],
            data_paths=[],
            code_path_spec=[{"python_root": tmp_path / "code", "dirs_to_package": [""]}],
            entrypoint_package="main",
            entrypoint="make",
            test_input_data={},
        )

    if runs:
        pack()
    else:
        with pytest.raises(NeuropodError, match="PERCEPTUM_TRUST=never"):
            pack()


def test_torch_load_is_only_called_with_weights_only():
    root = Path(__file__).resolve().parents[2]
    found = []
    for folder in ("neuropod", "src/perceptum", "examples", "benchmarks"):
        for path in (root / folder).glob("*.py" if folder.startswith("src") else "**/*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                    safe = {k.arg: ast.unparse(k.value) for k in node.keywords}.get("weights_only") == "True"
                    found += [] if safe else [f"{path}:{node.lineno}"]
    assert found == []
