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
        unused = keras.Input((4,), name="y")
        nested = keras.Model({"x": inputs, "more": [unused]}, {"out": keras.layers.Dense(2)(inputs)})
        create_keras_neuropod(neuropod_path=sys.argv[1] + "/nested.neuropod", model_name="s", model=nested)
        steps = keras.Input(batch_shape=(1, 2, 3), name="x")
        remembers = keras.Model(steps, keras.layers.LSTM(2, stateful=True, name="lstm")(steps))
        create_keras_neuropod(neuropod_path=sys.argv[1] + "/forgot.neuropod", model_name="s", model=remembers)
        remembers(np.ones((1, 2, 3), np.float32))
        try:
            create_keras_neuropod(neuropod_path=sys.argv[1] + "/no.neuropod", model_name="s", model=remembers)
        except ValueError as error:
            print(error)
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

        a, b, c = keras.Input((2,), name="zeta"), keras.Input((2,), name="alpha"), keras.Input((3,), name="c")
        outputs = {"o": keras.layers.Subtract()([a, b]), "l": [keras.layers.Dense(2, name="d")(c), a]}
        nested = keras.Model({"zeta": a, "pair": [b, {"q": c}]}, outputs)
        create_keras_neuropod(neuropod_path=sys.argv[1] + "/nested.neuropod", model_name="s", model=nested)
        create_keras_neuropod(
            neuropod_path=sys.argv[1] + "/mapped.neuropod", model_name="s", model=nested,
            node_name_mapping={"z": "zeta", "a": "alpha", "q": "pair/1/q", "out": "o", "d": "d", "same": "l/1"},
        )

        steps = keras.Input(batch_shape=(1, 2, 3), name="x")
        rnns = [
            keras.layers.LSTM(2, stateful=True, name="lstm")(steps),
            keras.layers.GRU(2, stateful=True, name="gru")(steps),
            keras.layers.Bidirectional(keras.layers.SimpleRNN(2, stateful=True), name="both")(steps),
        ]
        remembers = keras.Model(steps, rnns)
        given = np.ones((1, 2, 3), np.float32)
        wanted = [[keras.ops.convert_to_numpy(y) for y in remembers(given)] for _ in range(3)]
        for layer in remembers.layers[1:]:
            layer.reset_states() if hasattr(layer, "reset_states") else layer.reset_state()
        remembers(given)  # what it has seen by now is packed
        create_keras_neuropod(neuropod_path=sys.argv[1] + "/rnns.neuropod", model_name="s", model=remembers)
        np.savez(sys.argv[1] + "/rnns.npz", second=np.hstack(wanted[1]), third=np.hstack(wanted[2]))

        class Running(keras.layers.Layer):
            def __init__(self, **more):
                super().__init__(**more)
                self.mean = keras.metrics.Mean()
            def call(self, x):
                self.mean.update_state(x)
                return x * 0 + self.mean.result()

        class Noisy(keras.layers.Layer):
            def call(self, x):
                return x + 0 * keras.random.normal(keras.ops.shape(x))  # draws from Keras's own generator

        words, numbers = keras.Input((), name="w", dtype="string"), keras.Input((1,), name="n")
        outputs = {
            "number": keras.layers.StringLookup(vocabulary=["a", "b"])(words),
            "running": Running()(numbers),
            "noisy": Noisy()(numbers),
        }
        states = keras.Model([words, numbers], outputs)
        create_keras_neuropod(neuropod_path=sys.argv[1] + "/states.neuropod", model_name="s", model=states)

        class Leaves(keras.layers.Layer):
            def call(self, x):
                raise SystemExit(3)
            def compute_output_spec(self, x):
                return keras.KerasTensor(x.shape, x.dtype)

        class Explains(Leaves):
            def call(self, x):
                raise ValueError("it failed:\\n  for this reason")

        shared = keras.layers.Dense(2, name="shared")
        for refused in (
            keras.Model(numbers, Leaves()(numbers)),
            keras.Model(numbers, Explains()(numbers)),
            keras.Model(numbers, [shared(numbers), shared(numbers)]),
        ):
            try:
                create_keras_neuropod(neuropod_path=sys.argv[1] + "/no.neuropod", model_name="s", model=refused)
            except ValueError as error:
                print(error)
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


@pytest.mark.slow
def test_inputs_and_outputs_are_named_by_the_keys_of_their_structure(script):
    folder, _, _, complained = script("tensorflow")
    given = {"zeta": np.full((1, 2), 5, np.float32), "pair/0": np.full((1, 2), 2, np.float32)}
    given["pair/1/q"] = np.zeros((1, 3), np.float32)
    with load_neuropod(folder / "nested.neuropod") as model:
        assert [row["name"] for row in model.inputs] == ["pair/0", "pair/1/q", "zeta"], complained
        out = model.infer(given)
    assert {name: array.tolist() for name, array in out.items()} == {"l/0": [[0, 0]], "l/1": [[5, 5]], "o": [[3, 3]]}
    # a mapping may say a layer's name, as before, or the place in the structure
    with load_neuropod(folder / "mapped.neuropod") as model:
        out = model.infer({"z": given["zeta"], "a": given["pair/0"], "q": given["pair/1/q"]})
    assert {name: array.tolist() for name, array in out.items()} == {"d": [[0, 0]], "same": [[5, 5]], "out": [[3, 3]]}


@pytest.mark.slow
def test_structures_survive_the_way_over_a_file(script):
    folder, _, _, complained = script("torch")
    with load_neuropod(folder / "nested.neuropod") as model:
        assert [row["name"] for row in model.inputs] == ["more/0", "x"], complained
        assert [row["name"] for row in model.outputs] == ["out"]
        assert model.infer({"x": np.zeros((2, 4), np.float32), "more/0": np.zeros((2, 4), np.float32)})["out"].size == 4


@pytest.mark.slow
def test_the_state_of_stateful_layers_is_packed(script):
    folder, _, _, complained = script("tensorflow")
    wanted = np.load(folder / "rnns.npz")
    with load_neuropod(folder / "rnns.neuropod") as model:
        assert model.inputs[0]["shape"] == [1, 2, 3], complained  # made for a batch of one
        for moment in ("second", "third"):
            out = model.infer({"x": np.ones((1, 2, 3), np.float32)})
            np.testing.assert_allclose(np.hstack(list(out.values())), wanted[moment], rtol=1e-5)


@pytest.mark.slow
def test_tables_metrics_and_keras_own_generator_are_packed(script):
    folder, _, _, complained = script("tensorflow")
    with load_neuropod(folder / "states.neuropod") as model:
        answers = [
            {k: v.tolist() for k, v in model.infer({"w": np.array(["b"]), "n": np.full((1, 1), n, "f")}).items()}
            for n in (1, 3)
        ]
    assert answers == [
        {"noisy": [[1]], "number": [2], "running": [[1]]},
        {"noisy": [[3]], "number": [2], "running": [[2]]},
    ], complained


@pytest.mark.slow
def test_what_a_file_of_keras_would_forget_is_refused(script):
    folder, _, told, _ = script("torch")
    assert "the layer 'lstm' keeps state from what it has seen, which a .keras file leaves out; call its" in told
    assert not (folder / "no.neuropod").exists()
    with load_neuropod(folder / "forgot.neuropod") as model:
        first, second = (model.infer({"x": np.ones((1, 2, 3), np.float32)})["lstm"].tolist() for _ in range(2))
    assert first != second


@pytest.mark.slow
def test_what_fails_while_it_is_traced_is_our_error_with_the_line_that_says_why(script):
    folder, _, told, _ = script("tensorflow")
    left, explained, twice = told.splitlines()[-4:-1]
    assert left == "Keras cannot trace the model for packing: SystemExit: 3"
    assert explained.startswith("Keras cannot trace the model for packing: ValueError: ")
    assert "it failed: for this reason" in explained
    assert twice.startswith("two of the model's outputs are named 'shared'; make the model with a dict of outputs")
    assert not (folder / "no.neuropod").exists()
