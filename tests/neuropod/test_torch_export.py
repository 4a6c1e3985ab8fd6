"""torch.export programs: how they are called, and that a hostile archive runs nothing."""

import io
import json
import pickle
import re
import zipfile

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, create_torch_export_neuropod, load_neuropod

torch = pytest.importorskip("torch")


class Add(torch.nn.Module):
    def forward(self, x, y):
        return {"out": x + y}


class AddDict(torch.nn.Module):
    def forward(self, inputs):
        return {"out": inputs["x"] + inputs["y"]}


class Bare(torch.nn.Module):
    def forward(self, x, y):
        return x + y


class Scribbles(torch.nn.Module):
    def forward(self, x, y):
        x[0] = 99.0
        return {"out": x + y}


class Weighted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1, bias=False)
        self.linear.weight.data[:] = 3

    def forward(self, x, y):
        return {"out": self.linear(x)[:, 0] + y[:, 0]}


N = torch.export.Dim("n", min=0)


def exported(module, args=None, kwargs=None):
    # two tensors: torch takes one that is given twice for one input
    args = (torch.zeros(5, 2), torch.zeros(5, 2)) if args is None else args
    names = ("inputs",) if len(args) == 1 else ("x", "y")
    dims = {name: ({"x": {0: N}, "y": {0: N}} if name == "inputs" else {0: N}) for name in names}
    return torch.export.export(module, args, kwargs, dynamic_shapes=dims)


def options(tmp_path, **more):
    rows = [{"name": name, "dtype": "float32", "shape": ("n", 2)} for name in ("x", "y")]
    return {
        "neuropod_path": tmp_path / "model.neuropod",
        "model_name": "model",
        "input_spec": rows,
        "output_spec": [{"name": "out", "dtype": "float32", "shape": ("n", 2)}],
        **more,
    }


X = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_a_size_that_the_program_fixes_and_the_spec_leaves_open_is_refused(tmp_path):
    fixed = torch.export.export(Add(), (torch.zeros(5, 2), torch.zeros(5, 2)))
    message = r"takes 'x' only with the size 5 on axis 0, the spec says 'n'; export it with dynamic_shapes, or write 5"
    with pytest.raises(NeuropodError, match=message):
        create_torch_export_neuropod(**options(tmp_path), program=fixed)
    rows = [{"name": name, "dtype": "float32", "shape": (5, 2)} for name in ("x", "y")]
    create_torch_export_neuropod(**options(tmp_path, input_spec=rows), program=fixed)


@pytest.mark.parametrize(
    "program",
    [
        lambda: exported(Add()),
        lambda: exported(Bare()),
        lambda: exported(AddDict(), ({"x": torch.zeros(5, 2), "y": torch.zeros(5, 2)},)),
        lambda: exported(Add(), (), {"x": torch.zeros(5, 2), "y": torch.zeros(5, 2)}),
    ],
    ids=["by position", "one bare tensor", "one dict", "by keyword"],
)
def test_each_way_of_calling_works_whatever_the_order_of_the_inputs(tmp_path, program):
    create_torch_export_neuropod(**options(tmp_path), program=program())
    with load_neuropod(tmp_path / "model.neuropod") as model:
        for given in ({"x": X, "y": 2 * X}, {"y": 2 * X, "x": X}):
            np.testing.assert_array_equal(model.infer(given)["out"], 3 * X)


@pytest.mark.usefixtures("warm")
def test_a_saved_program_is_packed_as_it_is_and_tested(tmp_path):
    torch.export.save(exported(Add()), tmp_path / "a.pt2")
    create_torch_export_neuropod(
        **options(tmp_path, test_input_data={"x": X, "y": X}, test_expected_out={"out": 2 * X}),
        program_path=tmp_path / "a.pt2",
    )
    with zipfile.ZipFile(tmp_path / "model.neuropod") as package:
        assert package.read("0/data/model.pt2") == (tmp_path / "a.pt2").read_bytes()
        assert sorted(package.namelist()) == ["0/data/model.pt2", "config.json", "manifest.json", "test_data.pkl"]


def test_weights_travel_with_the_program(tmp_path):
    spec = [{"name": "out", "dtype": "float32", "shape": ("n",)}]
    create_torch_export_neuropod(**options(tmp_path, output_spec=spec), program=exported(Weighted()))
    with load_neuropod(tmp_path / "model.neuropod") as model:
        assert model.infer({"x": X, "y": 0 * X})["out"].tolist() == [3, 15, 27]


def test_a_program_that_writes_into_its_input_is_found_out_and_gets_copies(tmp_path, caplog):
    create_torch_export_neuropod(**options(tmp_path), program=exported(Scribbles()))
    with load_neuropod(tmp_path / "model.neuropod") as model:
        first, second = X.copy(), X.copy()
        for x in (first, second):
            assert model.infer({"x": x, "y": 0 * X})["out"][0].tolist() == [99, 99]
    assert second.tolist() == X.tolist()
    assert "model 'model' wrote into its input 'x'" in caplog.text


def test_exactly_one_source_is_packed(tmp_path):
    for sources in ({}, {"program": 1, "program_path": "a.pt2"}):
        with pytest.raises(NeuropodError, match="Exactly one of 'program' or 'program_path' must be provided"):
            create_torch_export_neuropod(**options(tmp_path), **sources)
    with pytest.raises(NeuropodError, match=r"program must be an ExportedProgram, got Add; torch.export.export"):
        create_torch_export_neuropod(**options(tmp_path), program=Add())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("x", "z"), "the program has no input 'z', which the spec names; it has x, y"),
        (("x",), "the program needs the input 'y', which the spec does not name; add its row"),
    ],
)
def test_the_specs_inputs_must_be_the_programs(tmp_path, names, message):
    rows = [{"name": name, "dtype": "float32", "shape": ("n", 2)} for name in names]
    with pytest.raises(NeuropodError, match=re.escape(message)):
        create_torch_export_neuropod(**options(tmp_path, input_spec=rows), program=exported(Add()))
    assert not (tmp_path / "model.neuropod").exists()


def test_strings_are_refused_when_packing(tmp_path):
    rows = [{"name": "x", "dtype": "string", "shape": ("n",)}]
    with pytest.raises(NeuropodError, match=r"'x' is a string tensor; torch\.export has numbers only"):
        create_torch_export_neuropod(**options(tmp_path, input_spec=rows), program=exported(Add()))


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


@pytest.fixture(scope="module")
def archive():
    """The files of a program with weights, by name below the archive's top folder."""
    buffer = io.BytesIO()
    torch.export.save(exported(Weighted()), buffer)
    with zipfile.ZipFile(buffer) as saved:
        return {name.partition("/")[2]: saved.read(name) for name in saved.namelist()}


@pytest.fixture
def load(tmp_path):
    """Returns load(files, root) -> the model of a package with such an archive."""

    def make(files, root=()):
        spec = [{"name": "out", "dtype": "float32", "shape": ("n",)}]
        options_ = options(tmp_path, output_spec=spec, package_as_zip=False)
        create_torch_export_neuropod(**options_, program=exported(Weighted()))
        folder = tmp_path / "model.neuropod"
        (folder / "manifest.json").unlink()
        with zipfile.ZipFile(folder / "0/data/model.pt2", "w") as out:
            for name, data in files.items():
                out.writestr(f"archive/{name}", data)
            for name, data in dict(root).items():
                out.writestr(name, data)
        return load_neuropod(folder)

    return make


def edited(archive, old, new):
    """Returns the archive whose program has other text somewhere."""
    text = archive["models/model.json"].decode()
    assert old in text
    return {**archive, "models/model.json": text.replace(old, new).encode()}


def test_a_program_that_was_only_unpacked_and_packed_again_loads(archive, load):
    assert load(archive).infer({"x": X, "y": 0 * X})["out"].tolist() == [3, 15, 27]


def replaced(table, **change):
    config = json.loads(table)
    for row in config["config"].values():
        row.update(change)
    return json.dumps(config).encode()


WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {**a, WEIGHTS: replaced(a[WEIGHTS], use_pickle=True)}, "would be unpickled"),
        (lambda a: {**a, CONSTANTS: b'{"config": {"a": {"path_name": "opaque_obj_0"}}}'}, "would be unpickled"),
        (
            lambda a: {**a, CONSTANTS: b'{"config": {"a": {"path_name": "custom_obj_0", "use_pickle": false}}}'},
            "would be unpickled",
        ),
        (
            lambda a: {**a, "data/weights/model.pt": pickle.dumps(Evil(), 2)},
            "'data/weights/model.pt', which is not known",
        ),
        (lambda a: {**a, "data/constants/model.pt": b""}, "'data/constants/model.pt', which is not known"),
        (lambda a: {**a, "data/aotinductor/model/a.so": b""}, "'data/aotinductor/model/a.so', which is not known"),
        (lambda a: {**a, "models/other.json": b"{}"}, "'models/other.json', which is not known"),
        (lambda a: {**a, "data/sample_inputs/model.pt": pickle.dumps(Evil(), 2)}, "holds more than tensors"),
        (lambda a: {k: v for k, v in a.items() if k != WEIGHTS}, f"the archive has no {WEIGHTS}"),
        (lambda a: {**a, "models/model.json": b"["}, "not JSON"),
    ],
)
def test_an_archive_that_would_run_code_is_refused(archive, load, change, message):
    with pytest.raises(NeuropodError, match=re.escape(message)) as error:
        load(change(archive))
    assert "0/data/model.pt2" in str(error.value)


def test_what_torch_reads_is_what_was_checked(archive):
    """Bytes before and after the archive, and a second archive in them, do not get to torch."""
    from perceptum.neuropod.backends.torch_export.archive import checked_archive

    buffer, other = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out, zipfile.ZipFile(other, "w") as second:
        for name, data in archive.items():
            out.writestr(f"archive/{name}", data)
        second.writestr("version", b"8.8")
    checked = checked_archive(other.getvalue() + buffer.getvalue(), own_ops=False).getvalue()
    with zipfile.ZipFile(io.BytesIO(checked)) as found:
        assert found.namelist() == [f"archive/{name}" for name in archive]
    assert b"8.8" not in checked


def test_torchs_older_reading_is_closed(archive, load):
    with pytest.raises(NeuropodError, match="the archive must hold one folder, and each file once"):
        load(archive, {"version": b"8.8", "serialized_state_dict.pt": pickle.dumps(Evil())})


CALL = "__import__('os').system('true')"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"target": "torch.ops.aten.linear.default"', '"target": "torch.serialization.os.system"'),
        ('"target": "torch.ops.aten.linear.default"', '"target": "torch.ops.import_module.x"'),
        ('"target": "torch.ops.aten.linear.default"', '"target": "torch.ops.aten.save.default"'),
        ('"target": "torch.ops.aten.linear.default"', '"target": "torch.ops.aten.from_file.default"'),
        ('"target": "torch.ops.aten.linear.default"', '"target": "torch.ops.aten._dir.append"'),
        ('"target": "torch.ops.aten.linear.default"', '"target": "_operator.methodcaller"'),
        ('"target": "torch.ops.aten.linear.default"', '"target": "torch.ops.higher_order.call_torchbind"'),
        ('"target": "torch.ops.aten.linear.default"', '"target": "#extension:x"'),
        ('"name": "x"', f'"name": "x={CALL}"'),
        ('"forward_arg_names": ["x"', f'"forward_arg_names": ["x={CALL}"'),
        ("Symbol('", f"{CALL} or Symbol('"),
        ("Symbol('", "sympify('1') + Symbol('"),
        ("Symbol('", f'Eq(\\"{CALL}\\", 1) + Symbol(\''),
        ('"guards_code": [', f'"guards_code": ["{CALL} == 0", '),
        ('"guards_code": [', '"guards_code": ["L.__class__ == 0", '),
        ("builtins.dict", "collections.defaultdict"),
        ('[\\\\\\"out\\\\\\"]', "[\\\\\\\"o': 1, 'x\\\\\\\"]"),
    ],
)
def test_a_program_whose_strings_are_more_than_names_is_refused(archive, load, old, new):
    with pytest.raises(NeuropodError, match="is not known to be data"):
        load(edited(archive, old, new))


def test_guards_as_torch_writes_them_are_accepted(tmp_path):
    class Guarded(torch.nn.Module):
        def forward(self, x, y):
            torch._check(x.shape[0] % 3 != 1)
            return {"out": x + y if x.shape[0] >= 2 else x - y}

    dims = {name: {0: torch.export.Dim.AUTO} for name in ("x", "y")}
    program = torch.export.export(Guarded(), (torch.zeros(6, 2), torch.zeros(6, 2)), dynamic_shapes=dims)
    create_torch_export_neuropod(**options(tmp_path), program=program)
    with load_neuropod(tmp_path / "model.neuropod") as model:
        np.testing.assert_array_equal(model.infer({"x": X, "y": X})["out"], 2 * X)
