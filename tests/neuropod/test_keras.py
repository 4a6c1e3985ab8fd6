"""Keras 3 models of every backend that runs here become SavedModels, and answer as Keras did."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from perceptum.neuropod import load_neuropod

SCRIPT = textwrap.dedent(
    """
    import sys
    sys.path.insert(0, sys.argv[1])
    import numpy as np
    import keras
    from perceptum.neuropod import create_keras_neuropod
    from my_layers import Scale

    keras.utils.set_random_seed(0)
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((4,), name="right")
    x = keras.layers.Conv2D(4, 3, activation="relu")(left)
    x = keras.layers.BatchNormalization()(keras.layers.Flatten()(x))
    x = keras.layers.Concatenate()([x, keras.layers.Dense(5, "gelu")(right)])
    model = keras.Model([left, right], [keras.layers.Dense(2, name="a")(x), Scale(3.0, name="b")(x)])
    rng = np.random.default_rng(0)
    given = {"left": rng.random((5, 8, 8, 3), np.float32), "right": rng.random((5, 4), np.float32)}
    a, b = (keras.ops.convert_to_numpy(y) for y in model([given["left"], given["right"]], training=False))
    create_keras_neuropod(
        neuropod_path=sys.argv[1] + "/model.neuropod", model_name="keras_model", model=model,
        node_name_mapping={"picture": "left", "right": "right", "first": "a", "b": "b"},
    )
    np.savez(sys.argv[1] + "/data.npz", picture=given["left"], right=given["right"], first=a, b=b)
    print(keras.backend.backend(), "tensorflow" in sys.modules)
    """
)
LAYERS = textwrap.dedent(
    """
    import keras

    @keras.saving.register_keras_serializable("my_layers")
    class Scale(keras.layers.Layer):
        def __init__(self, factor, **more):
            super().__init__(**more)
            self.factor = factor
        def call(self, x):
            return keras.ops.tanh(x) * self.factor
        def get_config(self):
            return {**super().get_config(), "factor": self.factor}
    """
)


# each backend is imported once, and asked all that it is asked for
THEN = {
    "torch": LAYERS.replace("keras.ops.tanh(x)", "x.sigmoid()")
    + textwrap.dedent(
        """
        inputs = keras.Input((4,), name="x")
        own = keras.Model(inputs, Scale(3.0, name="b")(inputs))
        try:
            create_keras_neuropod(neuropod_path=sys.argv[1] + "/own.neuropod", model_name="own", model=own)
        except ValueError as error:
            print(error)
        """
    ),
    "tensorflow": textwrap.dedent(
        """
        import warnings

        warnings.filterwarnings("error", "The structure of `inputs`")
        model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(2, name="scores")])
        create_keras_neuropod(neuropod_path=sys.argv[1] + "/sequential.neuropod", model_name="s", model=model)
        try:
            create_keras_neuropod(neuropod_path="a", model_name="s", model=keras.Sequential([keras.layers.Dense(2)]))
        except ValueError as error:
            print(error)
        """
    ),
}


def run(folder, backend):
    folder.mkdir()
    (folder / "my_layers.py").write_text(LAYERS)
    (folder / "script.py").write_text(SCRIPT + THEN.get(backend, ""))
    done = subprocess.run(
        [sys.executable, folder / "script.py", folder],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    (folder / "done.json").write_text(json.dumps([done.returncode, done.stdout, done.stderr]))


@pytest.fixture(scope="module")
def script(once):
    """script(backend) -> (its folder, its exit status, what it wrote, what it complained of), run once."""

    def make(backend):
        home = once(f"keras_{backend}", lambda folder: run(folder / "made", backend)) / "made"
        return home, *json.loads((home / "done.json").read_text())

    return make


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax", "numpy"])
def test_a_model_of_each_backend_is_packed_and_answers_the_same(script, backend):
    folder, status, told, complained = script(backend)
    assert status == 0, complained
    assert told.split()[0] == backend
    wanted = np.load(folder / "data.npz")
    with load_neuropod(folder / "model.neuropod") as model:
        assert model.platform == "tensorflow"
        assert model.inputs[0] == {"name": "picture", "dtype": "float32", "shape": ["batch_size", 8, 8, 3]}
        out = model.infer({name: wanted[name] for name in ("picture", "right")})
    for name in ("first", "b"):
        np.testing.assert_allclose(out[name], wanted[name], rtol=2e-4, atol=2e-5)


@pytest.mark.slow
def test_a_model_that_only_its_own_backend_can_run_is_refused(script):
    folder, _, told, _ = script("torch")
    last = told.strip().splitlines()[-1]
    assert "the model runs on Keras with torch and not with TensorFlow, which packs it (" in last
    assert "use layers and keras.ops that every backend has, in a module that can be imported" in last
    assert not (folder / "own.neuropod").exists()


@pytest.mark.slow
def test_a_sequential_model_names_its_last_layer(script):
    folder, _, told, complained = script("tensorflow")
    assert told.splitlines()[-1:] == [
        "the model does not know its inputs; make it by keras.Model(inputs, outputs), or build it"
    ], complained
    with load_neuropod(folder / "sequential.neuropod") as model:
        assert model.outputs == [{"name": "scores", "dtype": "float32", "shape": ["batch_size", 2]}]
        assert model.infer({"x": np.zeros((4, 3), np.float32)})["scores"].shape == (4, 2)
