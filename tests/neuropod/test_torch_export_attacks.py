"""Files of torch.export that were made to run code, one for each way torch would run it, and harmless ones."""

import contextlib
import io
import json
import re
import zipfile

import pytest
import torch

from perceptum.neuropod import NeuropodError
from perceptum.neuropod.backends.torch_export.archive import checked_archive
from perceptum.neuropod.backends.torch_export.expressions import is_guard, is_size

MODEL = "models/model.json"
CODE = '__import__("os").mkdir("ran")'


class Weighted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, x, y):
        return {"out": self.linear(x + y)}


def saved(module, args, dynamic_shapes=None, kwargs=None):
    """Returns the bytes of a .pt2 file."""
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(module, args, kwargs, dynamic_shapes=dynamic_shapes), buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files():
    """The files of a genuine program, by name below the archive's top folder."""
    sizes = {name: {0: torch.export.Dim("n", min=0)} for name in ("x", "y")}
    with zipfile.ZipFile(io.BytesIO(saved(Weighted(), (torch.zeros(5, 2), torch.zeros(5, 2)), sizes))) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def zipped(files, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(f"top/{name}", data)
    return out.getvalue()


def ran(archive, folder, monkeypatch):
    """Returns whether torch, given the archive as it is, runs CODE."""
    monkeypatch.chdir(folder)
    with contextlib.suppress(Exception):
        torch.export.load(io.BytesIO(archive)).module()
    return (folder / "ran").exists()


def each(value, key, change):
    """Applies `change` to all that stands under a key."""
    if isinstance(value, dict):
        for k, v in value.items():
            value[k] = change(v) if k == key else v
            each(value[k], key, change)
    elif isinstance(value, list):
        for item in value:
            each(item, key, change)


def tree(model, key):
    return json.loads(model["graph_module"]["module_call_graph"][0]["signature"][key])


def set_tree(model, key, value):
    model["graph_module"]["module_call_graph"][0]["signature"][key] = json.dumps(value)


def a_comment_that_ends_up_in_an_f_string(model):
    """sympy takes line breaks out, after which the quotes pair up in another way."""
    hidden = "Add(0*Symbol('\\\n' 'f' #{" + CODE + "}\n '' #'\n), "
    each(model, "expr_str", lambda text: f"{hidden}{text})")


def the_same_in_a_guard(model):
    model["guards_code"].append("1 == 1 or '\\\n' == 'f' #{" + CODE + "}\n '' #'\n")


def keys_that_are_a_class_to_import(model):
    out = tree(model, "out_spec")
    out[1]["context"] = json.dumps({"__enum__": True, "fqn": "antigravity:x", "name": "y"})
    set_tree(model, "out_spec", out)


def a_keyword_with_an_annotation(model):
    spec = tree(model, "in_spec")
    args, kwargs = spec[1]["children_spec"]
    kwargs["context"] = json.dumps(["y: torch.serialization.os.getcwd"])
    kwargs["children_spec"] = [args["children_spec"].pop()]
    set_tree(model, "in_spec", spec)


def a_number_that_is_text(model):
    each(model, "hint", lambda hint: {"as_int": CODE})


def a_bound_that_is_text(model):
    each(model, "max_val", lambda bound: CODE)


def the_key_of_a_dict(model):
    argument = {"as_string_to_argument": {f"x': {CODE}, 'y": {"as_int": 1}}}
    model["graph_module"]["graph"]["nodes"][0]["inputs"].append({"name": "", "arg": argument, "kind": 1})


def a_name_that_is_an_attribute(model):
    each(model, "name", lambda name: "torch.load" if name == "add" else name)


def a_weight_that_is_an_attribute(model):
    each(model, "parameter_name", lambda name: f"__class__.{name}")


def an_object_of_a_class(model):
    argument = {"as_custom_obj": {"name": "x", "class_fqn": "a.B"}}
    model["graph_module"]["graph"]["nodes"][0]["inputs"].append({"name": "a", "arg": argument, "kind": 1})


def a_symbol_that_is_counted_to(model):
    model["range_constraints"]["u999999999999"] = {"min_val": 0, "max_val": 1}


def an_operator_of_torchvision_for_files(model):
    model["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.torchvision.write_file.default"


def text_under_a_key_that_is_not_known(model):
    model["graph_module"]["graph"]["tensor_values"]["add"]["new_field"] = CODE


ATTACKS = {
    a_comment_that_ends_up_in_an_f_string: "the expr_str",
    the_same_in_a_guard: "the guards_code",
    keys_that_are_a_class_to_import: "the out_spec with {'__enum__'",
    a_keyword_with_an_annotation: "the in_spec with 'y: torch.serialization.os.getcwd'",
    a_number_that_is_text: "the as_int",
    a_bound_that_is_text: "the max_val",
    the_key_of_a_dict: "the key in as_string_to_argument",
    a_name_that_is_an_attribute: "the name 'torch.load'",
    a_weight_that_is_an_attribute: "the parameter_name '__class__.linear",
    an_object_of_a_class: "the class_fqn",
    a_symbol_that_is_counted_to: "the key in range_constraints 'u999999999999'",
    an_operator_of_torchvision_for_files: "the operator 'torch.ops.torchvision.write_file.default'",
    text_under_a_key_that_is_not_known: "the new_field",
}


def attacked(files, attack):
    model = json.loads(files[MODEL])
    attack(model)
    return zipped({**files, MODEL: json.dumps(model).encode()})


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_what_could_run_code_does_not_get_to_torch(files, attack):
    with pytest.raises(NeuropodError, match=re.escape(ATTACKS[attack])) as error:
        checked_archive(attacked(files, attack), own_ops=False)
    assert str(error.value).endswith("in the program is not known to be data; export it again, or do not use it")


def test_the_attack_by_a_comment_is_real(files, tmp_path, monkeypatch):
    """If this fails, torch or sympy got safer: good; the check costs nothing."""
    assert ran(attacked(files, a_comment_that_ends_up_in_an_f_string), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "text",
    [
        "1 #", "'\\\n'", "f'{x}'", "x\n+1", "x.__class__", "Symbol('__x')", "eval('1')", "(lambda: 1)()",
        "[i for i in x]", "x := 1", "open", "9" * 30, "(" * 500, "x;y", "{}",
        "Symbol('a b')", "x.system", "Symbol(*x)", "\0", "é",
    ],
)  # fmt: skip
def test_an_expression_that_is_more_than_arithmetic_is_none(text):
    assert is_size(text) is (text == "open")  # a name alone is a symbol
    assert is_guard(text) is (text in ("open", "Symbol('a b')"))


def test_a_compressed_archive_is_refused(files):
    """It could be a thousand times as large as its package says."""
    with pytest.raises(NeuropodError, match="the archive's files are compressed, which torch does not do"):
        checked_archive(zipped(files, zipfile.ZIP_DEFLATED), own_ops=False)


def test_files_that_share_their_bytes_are_refused(files):
    """A thousand entries may all point to the same large one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {**files, "extra/0": bytes(1 << 20)}.items():
            archive.writestr(f"top/{name}", data)
        first = archive.getinfo("top/extra/0")
        for number in range(1, 100):
            entry = zipfile.ZipInfo(f"top/extra/{number}")
            for field in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(entry, field, getattr(first, field))
            archive.filelist.append(entry)
            archive.NameToInfo[entry.filename] = entry
            archive._didModify = True
    with pytest.raises(NeuropodError, match=r"the archive of \d+ bytes says that it holds more than that"):
        checked_archive(out.getvalue(), own_ops=False)


def test_sample_inputs_get_to_torch_as_we_wrote_them(files):
    """torch unpickles in full what it cannot read the safe way: what it gets is what was read that way."""
    samples = "data/sample_inputs/model.pt"
    genuine = torch.load(io.BytesIO(files[samples]), weights_only=True)
    other = io.BytesIO()
    torch.save(genuine, other, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(checked_archive(zipped({**files, samples: other.getvalue()}), own_ops=False)) as checked:
        written = checked.read(f"top/{samples}")
    assert written != other.getvalue()
    torch.testing.assert_close(torch.load(io.BytesIO(written), weights_only=True), genuine)


def branches(x):
    return {"out": torch.cond(x.shape[0] > 4, lambda t: t.cos(), lambda t: t.sin(), (x,))}


def loops(x):
    from torch._higher_order_ops import while_loop

    return {"out": while_loop(lambda i, t: i < 5, lambda i, t: (i + 1, t * 2), (torch.tensor(0), x))[1]}


def counts(x):
    return {"out": x.nonzero().float(), "infinite": x.masked_fill(x > 0, float("-inf"))}


def measures(x):
    n = x.shape[0]
    return {"out": x.view(n // 2, -1) * n**0.5 + int(n * 1.5) + max(n, 7) + n % 3}


def casts(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return {"out": x @ x.T}


def takes_a_dict(x):
    return {"a/b:c": x["first one"] + x["p.q-r"]}


@pytest.mark.parametrize("function", [branches, loops, counts, measures, casts, takes_a_dict])
def test_what_models_do_is_no_attack(function):
    class Model(torch.nn.Module):
        def forward(self, x):
            return function(x)

    x = torch.ones(6, 2)
    sizes = {0: torch.export.Dim.AUTO}
    if function is takes_a_dict:
        x, sizes = {"first one": x, "p.q-r": x.clone()}, {"first one": sizes, "p.q-r": sizes}
    data = saved(Model(), (x,), {"x": None if function is loops else sizes})
    outputs = torch.export.load(checked_archive(data, own_ops=False)).module()(x)
    for name, value in function(x).items():
        torch.testing.assert_close(outputs[name], value)
