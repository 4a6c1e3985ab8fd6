"""Packages that Uber's own tool made, years ago."""

from pathlib import Path

import numpy as np
import pytest

from perceptum.neuropod import load_neuropod

PACKAGES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "neuropod_packages"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not PACKAGES.is_dir(), reason="the genuine packages do not ship"),
]


@pytest.mark.parametrize("name", ["tf_addition_model", "torchscript_addition_model"])
def test_a_genuine_addition_model_adds(name):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    with load_neuropod(PACKAGES / name) as model:
        assert model.name == "addition_model"
        assert [row["shape"] for row in model.inputs] == [[None, None], [None, None]]
        np.testing.assert_array_equal(model.infer({"x": x, "y": x})["out"], 2 * x)


def test_a_genuine_strings_model_joins():
    with load_neuropod(PACKAGES / "torchscript_strings_model") as model:
        out = model.infer({"x": np.array(["apple", "Käse"]), "y": np.array(["sauce", "🧀"])})["out"]
    assert out.tolist() == ["apple sauce", "Käse 🧀"]
