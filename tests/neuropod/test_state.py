"""What a model remembers from call to call is packed with it, wherever its framework keeps it, or it is refused."""

import logging

import numpy as np
import pytest

from perceptum.neuropod import (
    NeuropodError,
    create_jax_neuropod,
    create_tensorflow_neuropod,
    create_torch_export_neuropod,
    create_torchscript_neuropod,
    load_neuropod,
)


def spec(dtype="float32", inputs=None, outputs=None):
    return {
        "model_name": "m",
        "input_spec": inputs or [{"name": "x", "dtype": dtype, "shape": ["n"]}],
        "output_spec": outputs or [{"name": "y", "dtype": "float32", "shape": ["n"]}],
    }


ONE = {"x": np.ones(1, np.float32)}


@pytest.fixture
def answers(warm_workers):
    """answers(path) -> what a model gives to the same input, twice: in this process as in a worker."""

    def ask(path):
        found = []
        for load in (load_neuropod, warm_workers.load):
            with load(path) as model:
                found.append([model.infer(ONE)["y"].tolist() for _ in range(2)])
        assert found[0] == found[1]
        return found[0]

    return ask


TORCH = """
import torch

class Remembers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("kept", torch.tensor([10.0]))
        self.register_buffer("not_in_state_dict", torch.tensor([100.0]), persistent=False)
        self.plain = torch.tensor([1000.0])

    def forward(self, x: torch.Tensor):
        self.kept.add_(1)
        self.not_in_state_dict.add_(1)
        return {"y": x + self.kept + self.not_in_state_dict + self.plain}

class Random(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return {"y": x + torch.rand(1)}

class Drops(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x: torch.Tensor):
        return {"y": self.drop(x)}
"""


def test_torchscript_keeps_all_tensors_of_a_module(answers, tmp_path, torch_module):
    module = torch_module(TORCH, "Remembers", tmp_path)
    create_torchscript_neuropod(neuropod_path=tmp_path / "m", module=module, **spec())
    assert answers(tmp_path / "m") == [[1113], [1115]]


def test_torch_export_keeps_buffers_of_both_kinds(answers, tmp_path):
    import torch

    scope = {}
    exec(TORCH, scope)
    program = torch.export.export(scope["Remembers"](), (torch.ones(1),), strict=True)
    one = [{"name": "x", "dtype": "float32", "shape": [1]}]
    create_torch_export_neuropod(neuropod_path=tmp_path / "m", program=program, **spec(inputs=one))
    assert answers(tmp_path / "m") == [[1113], [1115]]


@pytest.mark.parametrize(
    ("name", "training", "warned"), [("Random", False, 1), ("Drops", True, 1), ("Drops", False, 0)]
)
@pytest.mark.parametrize("way", ["torchscript", "torch_export"])
def test_a_generator_of_torchs_own_is_a_warning(tmp_path, torch_module, caplog, way, name, training, warned):
    import torch

    module = torch_module(TORCH, name, tmp_path).train(training)
    with caplog.at_level(logging.WARNING):
        if way == "torchscript":
            create_torchscript_neuropod(neuropod_path=tmp_path / "m", module=module, **spec())
        else:
            scope = {}
            exec(TORCH, scope)
            program = torch.export.export(scope[name]().train(training), (torch.ones(1),))
            one = [{"name": "x", "dtype": "float32", "shape": [1]}]
            create_torch_export_neuropod(neuropod_path=tmp_path / "m", program=program, **spec(inputs=one))
    told = [text for text in caplog.messages if "draws random numbers (aten" in text or "in training mode" in text]
    assert len(told) == warned, caplog.messages


def tensorflow_models():
    """name -> (model, what it should answer to ones, twice), or why it is refused."""
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.seen = tf.Variable([5.0])
            keys, values = tf.constant(["a"]), tf.constant([7.0])
            self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1.0)
            self.mutable = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, -1.0)
            self.mutable.insert(keys, values)
            self.random = tf.random.Generator.from_seed(3)
            self.held = {}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def variable(self, x):
            return {"y": x + self.seen.assign_add([1.0])}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def static_table(self, x):
            return {"y": x + self.table.lookup(tf.constant(["a"]))}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def mutable_table(self, x):
            return {"y": x + self.mutable.lookup(tf.constant(["a"]))}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def generator(self, x):
            return {"y": x * 0 + tf.cast(self.random.uniform([1]) < 2.0, tf.float32)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def own_generator(self, x):
            return {"y": x * 0 + tf.cast(tf.random.uniform([1]) < 2.0, tf.float32)}

    return Model()


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        ("variable", [[7], [8]]),
        ("static_table", [[8], [8]]),
        ("mutable_table", [[8], [8]]),
        ("generator", [[1], [1]]),
        ("own_generator", [[1], [1]]),
    ],
)
def test_a_saved_model_keeps_variables_tables_and_generators(answers, tmp_path, caplog, function, wanted):
    import tensorflow as tf

    model = tensorflow_models()
    tf.saved_model.save(model, str(tmp_path / "saved"), signatures=getattr(model, function))
    with caplog.at_level(logging.WARNING):
        create_tensorflow_neuropod(neuropod_path=tmp_path / "m", saved_model_dir=tmp_path / "saved", **spec())
    assert answers(tmp_path / "m") == wanted
    warned = any("the model draws random numbers (RandomUniform)" in text for text in caplog.messages)
    assert warned is (function == "own_generator")


def test_a_variable_that_its_object_does_not_hold_is_refused(tmp_path):
    import tensorflow as tf

    lost = tf.Variable([5.0])

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": x + lost.assign_add([1.0])}

    with pytest.raises(NeuropodError, match=r"TensorFlow cannot save trackable_obj: AssertionError: .*untracked"):
        create_tensorflow_neuropod(neuropod_path=tmp_path / "m", trackable_obj=Model(), **spec())
    assert not (tmp_path / "m").exists()


def test_a_saved_model_whose_state_was_saved_under_another_handle_is_refused(tmp_path):
    """As Keras leaves a stateful RNN that is an attribute of what TensorFlow saves."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    model = tensorflow_models()
    tf.saved_model.save(model, str(tmp_path / "saved"), signatures=model.variable)
    file = tmp_path / "saved" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    names = [node.name for node in graph.node if node.op == "VarHandleOp"]
    served = next(n for n in graph.node if n.op == "StatefulPartitionedCall" and "serving_default_x" in n.input)
    own = next(name for name in served.input if name in names)
    other = graph.node.add()
    other.CopyFrom(next(node for node in graph.node if node.name == own))
    other.name = "elsewhere"
    served.input[list(served.input).index(own)] = "elsewhere"
    file.write_bytes(saved.SerializeToString())
    with pytest.raises(NeuropodError, match=r"keeps state in 'elsewhere' \(VarHandleOp\), which nothing fills at load"):
        create_tensorflow_neuropod(neuropod_path=tmp_path / "m", saved_model_dir=tmp_path / "saved", **spec())


def frozen(build):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        init = build(tf.compat.v1, x)
    return {
        "graph_def": graph.as_graph_def(),
        "node_name_mapping": {"x": "x", "y": "y"},
        "init_op_names": [] if init is None else [init.name],
    }


def a_variable(v1, x):
    kept = v1.get_variable("kept", [1], initializer=v1.ones_initializer(), use_resource=True)
    v1.identity(kept.assign_add(x), name="y")
    return v1.global_variables_initializer()


def an_old_variable(v1, x):
    kept = v1.get_variable("kept", [1], initializer=v1.ones_initializer(), use_resource=False)
    v1.identity(v1.assign_add(kept, x), name="y")
    return v1.global_variables_initializer()


def a_table(v1, x):
    import tensorflow as tf

    start = tf.lookup.KeyValueTensorInitializer(tf.constant(["a"]), tf.constant([7.0]))
    table = tf.lookup.StaticHashTable(start, -1.0)
    v1.identity(x + table.lookup(tf.constant(["a"])), name="y")
    return v1.tables_initializer()


@pytest.mark.parametrize(
    ("build", "op", "wanted"),
    [
        (a_variable, "VarHandleOp", [[2], [3]]),
        (an_old_variable, "VariableV2", [[2], [3]]),
        (a_table, "HashTableV2", [[8], [8]]),
    ],
)
def test_a_frozen_graph_with_state_needs_the_operator_that_fills_it(answers, tmp_path, build, op, wanted):
    source = frozen(build)
    create_tensorflow_neuropod(neuropod_path=tmp_path / "m", **source, **spec())
    assert answers(tmp_path / "m") == wanted
    message = (
        rf"keeps state in '\w+' \({op}\), which nothing fills at load; name the operator that does in init_op_names"
    )
    with pytest.raises(NeuropodError, match=message):
        create_tensorflow_neuropod(neuropod_path=tmp_path / "without", **{**source, "init_op_names": []}, **spec())
    assert not (tmp_path / "without").exists()


def test_a_jax_function_that_keeps_something_outside_of_itself_is_refused(tmp_path):
    pytest.importorskip("jax")
    calls = []
    kept = [0.0]
    draws = np.random.default_rng(0)

    def counts(x):
        calls.append(1)
        return {"y": x + len(calls)}

    def keeps(x):
        kept[0] = kept[0] + x
        return {"y": kept[0]}

    def rolls(x):
        return {"y": x + draws.random(dtype=np.float32)}

    for function in (counts, keeps, rolls):
        with pytest.raises(NeuropodError, match=r"outside of itself|JAX cannot export the function"):
            create_jax_neuropod(neuropod_path=tmp_path / "m", function=function, **spec())
    assert not (tmp_path / "m").exists()
