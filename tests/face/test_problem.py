"""A problem: what its models take and give; packing from one checks the model against it."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from perceptum.errors import NeuropodError, SpecError, UsageError
from perceptum.neuropod import create_placeholder_neuropod, create_python_neuropod, load_neuropod
from perceptum.problems import Detection3d, Problem


def row(name, dtype, *shape):
    return {"name": name, "dtype": dtype, "shape": list(shape)}


X, OUT = row("x", "float32", "n"), row("out", "float32", "n")
THREE = np.arange(3, dtype=np.float32)


@pytest.fixture
def code(tmp_path):
    """code(expression) -> packager and keywords of a model that is that function."""

    def make(expression):
        folder = tmp_path / f"code{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "main.py").write_text(f"import numpy as np\ndef make(data):\n    return {expression}\n")
        return {
            "create": create_python_neuropod,
            "data_paths": [],
            "code_path_spec": [{"python_root": folder, "dirs_to_package": [""]}],
            "entrypoint_package": "main",
            "entrypoint": "make",
            "model_name": "model",
        }

    return make


def test_a_model_that_solves_the_problem_is_packed_with_its_test_data(tmp_path, code):
    problem = Problem([X], [OUT], {"x": THREE, "out": THREE * 2})
    problem.pack(neuropod_path=tmp_path / "m", **code("lambda x: {'out': x * 2}"))
    with zipfile.ZipFile(tmp_path / "m") as files:
        assert "test_data.pkl" in files.namelist()
    with load_neuropod(tmp_path / "m", trust=True) as model:
        problem.check(model)
        assert model.infer({"x": THREE})["out"].tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("lambda x: {'out': x * 3}", "out does not match expected value!"),
        ("lambda x: {'out': x.astype('f8')}", "'out' in the output spec is expected to be of type FLOAT_TENSOR"),
        ("lambda x: {'out': x[None]}", "'out' in the output spec is expected to have 1 dimensions, but had 2"),
        ("lambda x: {}", "the model did not return 'out'; it returned nothing"),
        ("lambda x: {'out': x * 2, 'more': x}", "Tensor name(s) '{more}' are not found in the output spec"),
        ("lambda y: {'out': y}", "unexpected keyword argument 'x'"),
    ],
)
def test_a_model_that_does_not_is_refused(tmp_path, code, expression, message):
    problem = Problem([X], [OUT], {"x": THREE, "out": THREE * 2})
    with pytest.raises(NeuropodError) as error:
        problem.pack(neuropod_path=tmp_path / "m", **code(expression))
    assert message in str(error.value)


def test_without_test_data_it_is_run_on_zeros_that_are_not_kept(tmp_path, code):
    problem = Problem([X, row("words", "string", 2)], [OUT, row("more", "int64")])
    good = "lambda x, words: {'out': x, 'more': np.int64(len(words[0]))}"
    problem.pack(neuropod_path=tmp_path / "m", **code(good))
    with zipfile.ZipFile(tmp_path / "m") as files:
        assert "test_data.pkl" not in files.namelist()
    with pytest.raises(NeuropodError, match="the model did not return 'more'; it returned out"):
        problem.pack(neuropod_path=tmp_path / "n", **code("lambda x, words: {'out': x}"))


def test_a_placeholder_stands_in_until_there_is_a_model(tmp_path):
    problem = Problem([X], [OUT], {"x": THREE, "out": THREE * 2})
    problem.pack(create_placeholder_neuropod, neuropod_path=tmp_path / "m", model_name="later")
    with load_neuropod(tmp_path / "m") as model:
        assert model.infer({"x": THREE})["out"].shape == (3,)


def test_expected_outputs_alone_need_inputs(tmp_path, code):
    problem = Problem([X], [OUT], {"out": THREE})
    with pytest.raises(UsageError, match="test data: outputs without inputs; add them"):
        problem.pack(neuropod_path=tmp_path / "m", **code("lambda x: {'out': x}"))


def test_names_of_features_become_rows_and_the_schema_is_recorded(tmp_path, code):
    problem = Problem(["ego_pose", X], [OUT])
    assert problem.inputs[0]["name"] == "ego_pose"
    assert problem.inputs[0]["shape"] == [4, 4]
    problem.pack(neuropod_path=tmp_path / "m", **code("lambda ego_pose, x: {'out': x}"))
    with zipfile.ZipFile(tmp_path / "m") as files:
        assert list(json.loads(files.read("perceptum.json"))["schema"]["features"]) == ["ego_pose"]
    with pytest.raises(SpecError, match="ego_pos"):
        Problem(["ego_pos"])


def test_a_models_own_spec_must_suit_the_problem(tmp_path, code):
    problem = Problem([X, row("y", "float32", "n")], [OUT])
    source = code("lambda x: {'out': x}")
    problem.pack(neuropod_path=tmp_path / "m", input_spec=[X], **source)
    for options, message in (
        ({"input_spec": [row("z", "float32", "n")]}, "the spec needs the input 'z'; the problem gives x, y"),
        ({"input_spec": [row("x", "float64", "n")]}, "the spec: input 'x' is float64 ['n'], the problem says float32"),
        ({"input_spec": [row("x", "float32", 1, 2)]}, "the spec: input 'x' is float32 [1, 2], the problem says"),
        ({"output_spec": [row("z", "float32", "n")]}, "the spec has no output 'out'; it gives z"),
    ):
        with pytest.raises(UsageError) as error:
            problem.pack(neuropod_path=tmp_path / "n", **{**source, **options})
        assert message in str(error.value)


def test_models_are_checked_against_it(tmp_path, code):
    Problem([X], [OUT]).pack(neuropod_path=tmp_path / "m", **code("lambda x: {'out': x}"))
    with load_neuropod(tmp_path / "m", trust=True) as model:
        Problem([X, row("y", "int8")], [OUT]).check(model)
        Problem((), [OUT]).check(model)
        Problem([row("x", "float32", 7)], [row("out", "float32", None)]).check(model)
        with pytest.raises(UsageError, match="model 'model' has no output 'boxes'; it gives out"):
            Detection3d().check(model)
        with pytest.raises(UsageError, match="model 'model' needs the input 'x'; the problem gives y"):
            Problem([row("y", "int8")], [OUT]).check(model)


def test_sizes_that_are_fixed_on_both_sides_must_be_equal():
    class Model:
        name, inputs, outputs = "m", [row("x", "float32", 3)], [row("out", "float32", 3)]

    Problem([row("x", "float32", 3)], [row("out", "float32", 3)]).check(Model())
    with pytest.raises(UsageError, match=r"model 'm': output 'out' is float32 \[3\], the problem says float32 \[4\]"):
        Problem([row("x", "float32", 3)], [row("out", "float32", 4)]).check(Model())


def test_a_name_on_both_sides_is_told_apart():
    problem = Problem([X], [X], {"inputs/x": THREE, "outputs/x": THREE * 2})
    np.testing.assert_array_equal(problem.test_input["x"], THREE)
    np.testing.assert_array_equal(problem.test_output["x"], THREE * 2)
    with pytest.raises(UsageError, match="'x' is an input and an output; name it inputs/x or outputs/x"):
        Problem([X], [X], {"x": THREE})
    with pytest.raises(UsageError, match="test data: 'z' is neither an input nor an output of the problem"):
        Problem([X], [OUT], {"z": THREE})


def test_it_is_written_and_read_as_json():
    problem = Problem([X], [OUT])
    assert Problem.from_json(problem.to_json()).inputs == problem.inputs
    assert Problem.from_json('{"input_spec": ["ego_pose"]}').inputs[0]["name"] == "ego_pose"
    for text, message in (
        ("{", "a problem must be JSON"),
        ("[]", "this is a list of rows, as a builder takes for its inputs; packing also needs the outputs"),
        ('{"inputs": []}', "a problem is"),
        ('{"input_spec": [{"name": "x"}]}', "is missing dtype, shape"),
        ('{"input_spec": 3}', "must be a list of rows"),
    ):
        with pytest.raises(SpecError, match=message):
            Problem.from_json(text)


def test_detection_is_a_problem_whose_models_choose_their_inputs(tmp_path, code):
    problem = Detection3d(test_data={"ego_pose": np.eye(4), "boxes": np.zeros((0, 7), np.float32)})
    assert [r["name"] for r in problem.outputs] == ["boxes", "scores"]
    assert list(problem.test_input) == ["ego_pose"]
    assert list(problem.test_output) == ["boxes"]
    good = "lambda ego_pose: {'boxes': np.zeros((0, 7), 'f4'), 'scores': np.zeros(0, 'f4')}"
    with pytest.raises(UsageError, match="the problem leaves the inputs to its models: give input_spec"):
        problem.pack(neuropod_path=tmp_path / "m", **code(good))
    problem.pack(neuropod_path=tmp_path / "m", input_spec=["ego_pose"], **code(good))
    with load_neuropod(tmp_path / "m", trust=True) as model:
        problem.check(model)
    with pytest.raises(NeuropodError, match="the model did not return 'scores'"):
        problem.pack(
            neuropod_path=tmp_path / "n",
            input_spec=["ego_pose"],
            **code("lambda ego_pose: {'boxes': np.zeros((0, 7), 'f4')}"),
        )


def test_the_axes_of_an_output_are_part_of_a_problem():
    class Model:
        name = "m"
        inputs = ({"name": "lidar_points", "dtype": "float32", "shape": ["n", 5], "params": {"frame": "lidar"}},)
        outputs = (row("boxes", "float32", "n", 7),)

    for frame in ("ego", "lidar"):
        Problem((), [row("boxes", "float32", "n", 7)]).check(Model())
        problem = Problem((), [{**row("boxes", "float32", "n", 7), "frame": frame}])
        assert Problem.from_json(problem.to_json()).outputs == problem.outputs
        if frame == "lidar":
            problem.check(Model())
        else:
            with pytest.raises(UsageError) as refused:
                problem.check(Model())
            wanted = "output 'boxes' is in the lidar frame of reference, the problem says ego"
            assert str(refused.value) == f"model 'm': {wanted}"
    assert problem.frame_of(Model(), "boxes") == "lidar"
    with pytest.raises(UsageError, match=r"^model 'm' has no output 'scores'$"):
        problem.frame_of(Model(), "scores")
