"""A size that a model fixes and its spec leaves open: refused when packing, or at the latest when it is called."""

import logging

import numpy as np
import pytest

from perceptum.neuropod import (
    NeuropodError,
    create_jax_neuropod,
    create_onnx_neuropod,
    create_tensorflow_neuropod,
    create_torch_export_neuropod,
    create_torchscript_neuropod,
    load_neuropod,
)
from perceptum.neuropod.pack.other_sizes import Tried, try_other_sizes


def row(name, *shape):
    return {"name": name, "dtype": "float32", "shape": shape}


def spec(*shape):
    return {"input_spec": [row("x", *shape)], "output_spec": [row("mean", 3)], "model_name": "m"}


def frozen():
    """The mean over the two rows of its input, as a GraphDef."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [2, 3], name="x")
        tf.divide(tf.reduce_sum(x, 0), 2.0, name="mean")
    return graph.as_graph_def()


def pack_frozen(path, **options):
    create_tensorflow_neuropod(
        neuropod_path=path, graph_def=frozen(), node_name_mapping={"x": "x", "mean": "mean"}, **options
    )


def pack_saved(path, **options):
    import tensorflow as tf

    class Mean(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([2, 3], tf.float32, name="x")])
        def __call__(self, x):
            return {"mean": tf.reduce_sum(x, 0) / x.shape[0]}

    create_tensorflow_neuropod(neuropod_path=path, trackable_obj=Mean(), **options)


def pack_onnx(path, **options):
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x", "axis"], ["mean"], keepdims=0)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [3])],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    create_onnx_neuropod(neuropod_path=path, model=model, **options)


def pack_torch_export(path, **options):
    import torch

    class Mean(torch.nn.Module):
        def forward(self, x):
            return {"mean": x.sum(0) / x.shape[0]}

    program = torch.export.export(Mean(), (torch.zeros(2, 3),))
    create_torch_export_neuropod(neuropod_path=path, program=program, **options)


def pack_jax(path, **options):
    import jax

    exported = jax.export.export(jax.jit(lambda x: {"mean": x.sum(0) / x.shape[0]}))(
        x=jax.ShapeDtypeStruct((2, 3), np.float32)
    )
    create_jax_neuropod(neuropod_path=path, exported=exported, **options)


def pack_jax_in_order(path, **options):
    import jax

    exported = jax.export.export(jax.jit(lambda x: {"mean": x.sum(0) / x.shape[0]}))(
        jax.ShapeDtypeStruct((2, 3), np.float32)
    )
    create_jax_neuropod(neuropod_path=path, exported=exported, **options)


PACKERS = {
    "graph": pack_frozen,
    "SavedModel": pack_saved,
    "ONNX model": pack_onnx,
    "program": pack_torch_export,
    "function": pack_jax,
    "function in order": pack_jax_in_order,
}


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize(("dim", "shown"), [("n", "'n'"), (None, "any"), (4, "4")])
def test_a_fixed_size_that_the_spec_leaves_open_is_refused_when_packing(tmp_path, kind, dim, shown):
    what = kind.removesuffix(" in order")
    wanted = rf"the {what} takes 'x' only with the size 2 on axis 0, the spec says {shown}; .*, or write 2 in the spec"
    with pytest.raises(NeuropodError, match=wanted):
        PACKERS[kind](tmp_path / "m", **spec(dim, 3))
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("kind", PACKERS)
def test_another_number_of_axes_is_refused_too(tmp_path, kind):
    with pytest.raises(NeuropodError, match=r"'x' has 2 axes in the .* and 1 in the spec; make them equal"):
        PACKERS[kind](tmp_path / "m", **spec("n"))


@pytest.mark.parametrize("kind", PACKERS)
def test_a_spec_that_says_the_size_is_packed(tmp_path, kind):
    PACKERS[kind](tmp_path / "m", **spec(2, 3))
    with load_neuropod(tmp_path / "m") as model:
        assert model.infer({"x": np.ones((2, 3), np.float32)})["mean"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("kind", PACKERS)
def test_an_old_package_whose_spec_leaves_the_size_open_is_wrong_for_no_size(tmp_path, kind, package_folder):
    """No packager looked, before: what is wrong for four rows must be an error, not a number."""
    import json

    PACKERS[kind](tmp_path / "m", **spec(2, 3))
    folder = package_folder(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config["input_spec"][0]["shape"][0] = "n"
    (folder / "config.json").write_text(json.dumps(config))
    with load_neuropod(folder) as model:
        assert model.infer({"x": np.ones((2, 3), np.float32)})["mean"].tolist() == [1, 1, 1]
        with pytest.raises(NeuropodError, match=r"4|Guard failed: x.size\(\)\[0\] == 2"):
            model.infer({"x": np.ones((4, 3), np.float32)})


def test_unchecked_calls_are_no_way_around_it(tmp_path):
    pack_frozen(tmp_path / "m", **spec(2, 3))
    for level in ("cheap", "off"):
        with load_neuropod(tmp_path / "m", validate=level) as model:
            with pytest.raises(NeuropodError, match="takes 'x' only with the size 2 on axis 0, got 4"):
                model.infer({"x": np.ones((4, 3), np.float32)})
            with pytest.raises(NeuropodError, match=r"axes, got 1|2 dimensions"):
                model.infer({"x": np.ones(6, np.float32)})


SOURCE = """
import torch

class Baked(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return {"mean": torch.arange(2) * x.sum()}

class Square(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return {"mean": x.reshape(2, 2).sum(1)}

class Any(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return {"mean": x * 2}
"""


@pytest.fixture
def pack_script(tmp_path, torch_module):
    def pack(name):
        create_torchscript_neuropod(
            neuropod_path=tmp_path / "m",
            model_name="m",
            module=torch_module(SOURCE, name, tmp_path),
            input_spec=[row("x", "n")],
            output_spec=[row("mean", 2 if name == "Square" else "n")],
            test_input_data={"x": np.ones(4 if name == "Square" else 2, np.float32)},
        )

    return pack


def test_torchscript_is_tried_with_another_size(pack_script, tmp_path):
    with pytest.raises(NeuropodError, match=r"'n' is an open size .* with 4 in place of 2 the output's axis 0 is 2"):
        pack_script("Baked")
    assert not (tmp_path / "m").exists()
    pack_script("Any")


def test_a_model_that_fails_with_another_size_is_a_warning(pack_script, caplog):
    """It may have its reasons, and it is never silent."""
    with caplog.at_level(logging.WARNING):
        pack_script("Square")
    told = caplog.messages[-1]
    assert "leaves sizes open, and fails with sizes other than its test data's, with 'x' (8,): model 'm'" in told
    assert "shape '[2, 2]' is invalid for input of size 8" in told


def _doubled(inputs):
    return {"y": inputs["x"], "z": inputs["x"][:2]}


@pytest.mark.parametrize(
    ("inputs", "outputs", "wanted"),
    [
        ([row("x", "n")], [row("y", "n")], None),
        ([row("x", "n")], [row("z", "m")], None),
        ([row("x", None)], [row("y", None)], None),
        ([row("x", 2)], [row("z", 2)], None),
        ([row("x", "n")], [row("z", "n")], "'n' is an open size of inputs and of the output 'z', but with 4 in place"),
    ],
)
def test_sizes_that_inputs_and_outputs_share_grow_together(inputs, outputs, wanted):
    given = {"x": np.ones(2, np.float32)}
    names = {r["name"] for r in outputs}
    answer = {name: value for name, value in _doubled(given).items() if name in names}
    found = try_other_sizes(inputs, outputs, given, answer, lambda arrays: _doubled(arrays))
    assert found == Tried() if wanted is None else found.refused.startswith(wanted)


def test_of_several_open_sizes_the_one_that_fails_is_named():
    def infer(inputs):
        if len(inputs["x"]) > 2:
            raise NeuropodError("too many")
        return {}

    given = {"x": np.ones(2, np.float32), "y": np.ones((3, 0, 1), np.float32)}
    found = try_other_sizes([row("y", "m", "k", None), row("x", "n")], [], given, {}, infer)
    assert found == Tried(failed="with 'x' (4,): too many")
