"""What is TensorFlow's own: the eager world beside sessions, and outputs that lie in the graph's memory."""

import numpy as np
import pytest

from perceptum.neuropod import create_tensorflow_neuropod, load_neuropod
from perceptum.neuropod.backends.tensorflow.aliases import kept_outputs


def test_sessions_and_eager_tensors_live_side_by_side(loaded, aligned):
    import tensorflow as tf

    model = loaded("tensorflow_frozen", "addition")
    x = aligned(np.ones((2, 2), np.float32))
    assert tf.executing_eagerly()
    before = tf.constant([1.0]) + 1
    out = model.infer({"x": x, "y": x})["out"]
    after = tf.function(lambda t: t * 2)(tf.constant(out))
    assert (before.numpy().tolist(), after.numpy().tolist()) == ([2], [[4, 4], [4, 4]])
    assert tf.executing_eagerly()


def graph_of(build):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        tf.identity(build(tf, x), name="out")
    return graph


@pytest.mark.parametrize(
    ("build", "kept"),
    [
        (lambda tf, x: x + 1, False),
        (lambda tf, x: tf.reshape(x * 2, [-1, 1]), False),
        (lambda tf, x: tf.nn.relu(x), False),
        (lambda tf, x: x, True),
        (lambda tf, x: x[1:], True),
        (lambda tf, x: tf.reshape(x, [-1, 1]), True),
        (lambda tf, x: tf.constant([1.0, 2.0]), True),
        (lambda tf, x: tf.ones([3]) * 2, True),
        (lambda tf, x: tf.compat.v1.get_variable("v", [3], use_resource=True), True),
        (lambda tf, x: tf.compat.v1.get_variable("v", [3], use_resource=False), True),
        (lambda tf, x: tf.cond(tf.size(x) > 1, lambda: x, lambda: x + 1), True),
        (lambda tf, x: tf.function(lambda t: t * 2)(x), False),
        (lambda tf, x: tf.function(lambda t: t)(x), True),
        (lambda tf, x: tf.function(lambda t: tf.constant([5.0]))(x), True),
        (lambda tf, x: tf.function(lambda t: tf.function(lambda u: u + 1)(t)[0:1])(x), False),
    ],
)
def test_what_lies_in_a_feed_a_constant_or_a_variable_is_told_apart(build, kept):
    graph = graph_of(build)
    assert (kept_outputs(graph, ["x:0"], ["out:0"]) == {"out:0"}) is kept


def test_a_fed_tensor_that_is_also_fetched_is_kept():
    assert kept_outputs(graph_of(lambda tf, x: x), ["x:0"], ["x:0"]) == {"x:0"}


def test_folded_constants_are_not_changed_by_their_readers(tmp_path):
    graph = graph_of(lambda tf, x: tf.ones([3]) * 2)
    create_tensorflow_neuropod(
        neuropod_path=tmp_path / "m",
        model_name="folded",
        graph_def=graph.as_graph_def(),
        node_name_mapping={"x": "x", "out": "out"},
        input_spec=[{"name": "x", "dtype": "float32", "shape": (None,)}],
        output_spec=[{"name": "out", "dtype": "float32", "shape": (3,)}],
    )
    with load_neuropod(tmp_path / "m") as model:
        model.infer({"x": np.zeros(1, np.float32)})["out"][:] = 9
        assert model.infer({"x": np.zeros(1, np.float32)})["out"].tolist() == [2, 2, 2]


@pytest.mark.parametrize("backend", ["tensorflow_frozen", "tensorflow_saved"])
def test_a_missing_feed_is_tensorflows_own_error_on_one_line(loaded, backend):
    with pytest.raises(
        RuntimeError, match=r"^model 'addition_model' was not given y, and failed: InvalidArgumentError: "
    ) as error:
        loaded(backend, "addition").infer({"x": np.zeros((1, 2), np.float32)})
    assert "\n" not in str(error.value)


def test_a_saved_model_leaves_nothing_in_the_temporary_folder(packed, tmp_path, monkeypatch):
    path = packed("tensorflow_saved", "state")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with load_neuropod(path) as model:
        assert list(tmp_path.iterdir()) == []
        assert model.infer({"x": np.ones(3, np.float32)})["total"].tolist() == [1, 1, 1]


def test_dims_of_strings_keep_their_shape(tmp_path):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        s = tf.compat.v1.placeholder(tf.string, [None, None], name="s")
        tf.strings.join([s, s], name="out")
    create_tensorflow_neuropod(
        neuropod_path=tmp_path / "m",
        model_name="words",
        graph_def=graph.as_graph_def(),
        node_name_mapping={"s": "s", "out": "out"},
        input_spec=[{"name": "s", "dtype": "string", "shape": (None, None)}],
        output_spec=[{"name": "out", "dtype": "string", "shape": (None, None)}],
    )
    with load_neuropod(tmp_path / "m") as model:
        assert model.infer({"s": np.array([["a", "é"]])})["out"].tolist() == [["aa", "éé"]]
        assert model.infer({"s": np.empty((0, 2), "U1")})["out"].shape == (0, 2)
        variable_width = np.array([["a"]], dtype=np.dtypes.StringDType())
        assert model.infer({"s": variable_width})["out"].tolist() == [["aa"]]
