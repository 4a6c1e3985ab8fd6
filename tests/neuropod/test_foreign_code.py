"""A package's code may raise anything but an interrupt: it is our error, with theirs as its cause, and ends nothing."""

import textwrap

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, create_python_neuropod

GIVEN = {"x": np.ones(2, np.float32)}


@pytest.fixture
def pack(tmp_path):
    """pack(source) -> the package whose main.make that source has."""

    def make(source, entrypoint="make", module="main", **options):
        (tmp_path / "code" / "inner").mkdir(parents=True)
        (tmp_path / "code" / "main.py").write_text(textwrap.dedent(source))
        create_python_neuropod(
            neuropod_path=tmp_path / "m",
            model_name="m",
            input_spec=[{"name": "x", "dtype": "float32", "shape": ["n"]}],
            output_spec=[{"name": "y", "dtype": "float32", "shape": ["n"]}],
            data_paths=[],
            code_path_spec=[{"python_root": tmp_path / "code", "dirs_to_package": [""]}],
            entrypoint_package=module,
            entrypoint=entrypoint,
            **options,
        )
        return tmp_path / "m"

    return make


PLACES = {
    "import": "{0}\ndef make(data): return lambda x: dict(y=x)",
    "entry point": "def make(data):\n    {0}\n    return lambda x: dict(y=x)",
    "model": "def make(data):\n    def model(x):\n        {0}\n        return dict(y=x)\n    return model",
    "outputs": """
        class Outputs(dict):
            def items(self):
                {0}
        def make(data): return lambda x: Outputs(y=x)
        """,
    "array": """
        import numpy as np
        class Odd(np.ndarray):
            def __array_finalize__(self, other):
                {0}
        def make(data): return lambda x: dict(y=x.view(Odd))
        """,
}
RAISED = {
    "raise SystemExit(3)": "SystemExit: 3",
    "raise GeneratorExit": "GeneratorExit",
    "import sys; sys.exit('bye')": "SystemExit: bye",
    "raise BaseException('odd')": "BaseException: odd",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("raised", RAISED)
def test_whatever_code_raises_is_our_error(load, isolate, pack, place, raised):
    path = pack(PLACES[place].format(raised))
    with pytest.raises(NeuropodError) as told, load(path, trust=True) as model:
        model.infer(GIVEN)
    assert str(told.value).endswith(f"failed: {RAISED[raised]}")
    # what a worker's code raised cannot be raised here: it would end whoever lets it pass
    assert isolate or not isinstance(told.value.__cause__, Exception)


def test_what_cannot_say_what_it_is_is_our_error_too(load, pack):
    path = pack(
        """
        class Mute(BaseException):
            def __str__(self):
                raise SystemExit(4)
        def make(data):
            raise Mute
        """
    )
    with pytest.raises(NeuropodError, match="loading failed: Mute: its message cannot be shown"):
        load(path, trust=True)


def test_an_interrupt_is_not_the_codes(load, isolate, pack):
    """But for a worker's: whoever presses Ctrl-C interrupts this process."""
    path = pack(PLACES["model"].format("raise KeyboardInterrupt"))
    with load(path, trust=True) as model, pytest.raises(NeuropodError if isolate else KeyboardInterrupt):
        model.infer(GIVEN)


def test_the_self_test_of_code_that_leaves_says_so(pack):
    with pytest.raises(NeuropodError, match=r"the test in a fresh process failed: model 'm' failed: SystemExit: 3"):
        pack(PLACES["model"].format("raise SystemExit(3)"), test_input_data=GIVEN)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_deleted_raises_nothing(load, pack):
    path = pack(
        """
        class Model:
            def __call__(self, x):
                return {"y": x}
            def __del__(self):
                raise SystemExit(3)
        def make(data):
            return Model()
        """
    )
    with load(path, trust=True) as model:
        assert model.infer(GIVEN)["y"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("module", "entrypoint", "source", "wanted"),
    [
        (
            "man",
            "make",
            "",
            "the entry point's module 'man' is not in the package's code (0/code); it holds inner, main",
        ),
        (
            "inner.deep",
            "make",
            "",
            "the entry point's module 'inner.deep' is not in the package's code (0/code); it holds inner, main",
        ),
        ("main", "mak", "", "the entry point 'main.mak' is not a function in the package's code"),
        ("main", "make", "from .absent import x", "loading failed: ModuleNotFoundError: No module named 'absent'"),
        (
            "main",
            "make",
            "from .inner import x",
            "failed: ImportError: cannot import name 'x' from 'inner'",
        ),
        (
            "main",
            "make",
            "import no_such_thing",
            "loading failed: ModuleNotFoundError: No module named 'no_such_thing'",
        ),
    ],
)
def test_what_is_not_there_is_named_as_its_author_knows_it(load, pack, module, entrypoint, source, wanted):
    path = pack(source, entrypoint, module)
    with pytest.raises(NeuropodError) as told:
        load(path, trust=True)
    assert "neuropod_" not in str(told.value).replace(str(path), "")
    assert wanted.removeprefix("loading failed: ") in str(told.value)
