"""Hostile packages and inputs by the hundred, in one process: each is our error that names the thing, or works right.

The packages are of the platform "placeholder", which needs no framework: what is tried is what stands before one.
"""

import copy
import itertools
import json
import os
import socket
import stat
import warnings
import zipfile

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, create_placeholder_neuropod, load_neuropod
from perceptum.neuropod.pack.inspection import inspect_package

ROWS = {
    "input_spec": [{"name": "x", "dtype": "float32", "shape": ["n", 2]}],
    "output_spec": [{"name": "y", "dtype": "float32", "shape": ["n"]}],
}
CONFIG = {"name": "m", "platform": "placeholder", "platform_version_semver": "*", "custom_ops": [], **ROWS}
CONFIG["input_tensor_device"] = {"x": "GPU"}
MODEL = {"seed": 0, "sizes": {"n": 3}}
FILES = {"config.json": json.dumps(CONFIG).encode(), "0/config.json": json.dumps(MODEL).encode()}
GIVEN = {"x": np.ones((4, 2), np.float32)}

NAN, DEEP = float("nan"), "[" * 5000 + "]" * 5000
ODD = [
    None,
    True,
    0,
    -1,
    1.5,
    NAN,
    float("inf"),
    2**70,
    "",
    "a\nb",
    "\0",
    "../x",
    [],
    {},
    [1],
    {"a": 1},
    [[]],
    "é" * 5000,
]


def zipped(files, path, compression=zipfile.ZIP_STORED):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of a name that is there twice
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, data in files.items() if isinstance(files, dict) else files:
                archive.writestr(name, data)


def with_config(path, change):
    config = copy.deepcopy(CONFIG)
    change(config)
    zipped({**FILES, "config.json": json.dumps(config)}, path)


def at_key(where, value):
    """A package whose config has an odd value at a key: a path of keys and numbers."""

    def change(config):
        inner = config
        for key in where[:-1]:
            inner = inner[key]
        inner[where[-1]] = value

    return lambda path: with_config(path, change)


def without(key):
    return lambda path: with_config(path, lambda config: config.pop(key))


def text(name, data):
    return lambda path: zipped({**FILES, name: data}, path)


def files(more):
    return lambda path: zipped([*FILES.items(), *more], path)


def changed(change):
    """A whole package's bytes, damaged."""

    def make(path):
        zipped(FILES, path)
        path.write_bytes(change(bytearray(path.read_bytes())))

    return make


def entry(name, **fields):
    """A zip entry with fields of its own."""

    def make(path):
        info = zipfile.ZipInfo(name)
        for field, value in fields.items():
            setattr(info, field, value)
        zipped([*FILES.items(), (info, b"x")], path)

    return make


def patched(at, size, value, mark=b"PK\x01\x02"):
    """A field of the first entry in the zip's directory says something else."""

    def change(data):
        place = data.index(mark) + at
        data[place : place + size] = value.to_bytes(size, "little")
        return bytes(data)

    return changed(change)


def bomb(path):
    zipped({**FILES, "0/data/zeros": bytes(300 << 20)}, path, zipfile.ZIP_DEFLATED)


def folder(fill):
    def make(path):
        for name, data in FILES.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        fill(path)

    return make


def bound(path):
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path may have 107 characters
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def replaced(name, make):
    def fill(path):
        (path / name).unlink(missing_ok=True)
        make(path / name)

    return folder(fill)


def manifest(plain):
    return text("manifest.json", plain if isinstance(plain, bytes | str) else json.dumps(plain))


KEYS = [("name",), ("platform",), ("platform_version_semver",), ("custom_ops",), ("input_tensor_device",)]
KEYS += [("input_spec",), ("output_spec",), ("input_spec", 0), ("output_spec", 0), ("input_spec", 0, "name")]
KEYS += [
    ("input_spec", 0, "dtype"),
    ("input_spec", 0, "shape"),
    ("output_spec", 0, "shape"),
    ("output_spec", 0, "name"),
]

PACKAGES = {
    f"{'.'.join(map(str, key))} is {str(v)[:20]!r} {k}": at_key(key, v) for key in KEYS for k, v in enumerate(ODD)
}
PACKAGES |= {f"no {key}": without(key) for key in CONFIG}
PACKAGES |= {
    f"{name} is {label}": text(name, data)
    for name, (label, data) in itertools.product(
        ("config.json", "0/config.json", "perceptum.json", "manifest.json"),
        {
            "empty": b"",
            "not JSON": b"{",
            "deep": DEEP,
            "a list": b"[]",
            "a number": b"1e400",
            "NaN": b"NaN",
            "not UTF-8": b'{"name": "\xff"}',
            "UTF-16": '{"name": "m"}'.encode("utf-16"),
            "a byte order mark": b"\xef\xbb\xbf{}",
            "two values": b"{}{}",
            "endless digits": b'{"name": ' + b"9" * 9000 + b"}",
            "one key twice": b'{"name": "m", "name": 5}',
            "a lone surrogate": b'{"name": "\\ud800", "platform": "placeholder"}',
        }.items(),
    )
}
PACKAGES |= {f"0/config.json has {v!r}": text("0/config.json", json.dumps(v)) for v in (
    {"seed": -1, "sizes": {"n": 3}}, {"seed": True, "sizes": {"n": 3}}, {"seed": 0}, {"seed": 0, "sizes": []},
    {"seed": 0, "sizes": {"n": -3}}, {"seed": 0, "sizes": {"n": 1.5}}, {"seed": 0, "sizes": {"n": None}},
    {"seed": "0", "sizes": {"n": 3}}, {"seed": NAN, "sizes": {"n": 3}},
)}  # fmt: skip
PACKAGES |= {f"perceptum.json has {v!r}": text("perceptum.json", json.dumps(v)) for v in (
    {}, {"format": 2}, {"format": "1"}, {"format": 1, "schema": []}, {"format": 1, "schema": {"features": 5}},
    {"format": 1, "input_params": []}, {"format": 1, "input_params": {"x": "a"}},
    {"format": 1, "output_frames": {"y": "x"}},
    {"format": 1, "output_frames": []}, {"format": 1, "gradients": "yes"}, {"format": 1, "input_params": {"z": {}}},
)}  # fmt: skip
PACKAGES |= {f"the manifest is {v!r}": manifest(v) for v in (
    {}, {"manifest_version": 1}, {"manifest_version": 1, "files": []}, {"manifest_version": 2, "files": {}},
    {"manifest_version": 1, "files": {}}, {"manifest_version": 1, "files": {"config.json": 5}},
    {"manifest_version": 1, "files": {"config.json": "0" * 64, "0/config.json": "0" * 64}},
    {"manifest_version": 1, "files": {"../config.json": "0"}}, {"manifest_version": 1.5, "files": {}},
)}  # fmt: skip
PACKAGES |= {f"holds the path {name!r}": files([(name, b"x")]) for name in (
    "../x", "/x", "0/../../x", "./x", "0//x", "C:/x", "0\\..\\x", "..", "0/./x", "a:b", "\\x", "0/../config.json",
)}  # fmt: skip
PACKAGES |= {f"holds {name!r} twice": files([(name, b"{}")]) for name in ("config.json", "0/config.json")}
PACKAGES |= {
    "a link in the zip": entry("0/data/x", external_attr=(stat.S_IFLNK | 0o777) << 16),
    "a pipe in the zip": entry("0/data/x", external_attr=(stat.S_IFIFO | 0o666) << 16),
    "a device in the zip": entry("0/data/x", external_attr=(stat.S_IFCHR | 0o666) << 16),
    "a block device in the zip": entry("0/data/x", external_attr=(stat.S_IFBLK | 0o666) << 16),
    "a socket in the zip": entry("0/data/x", external_attr=(stat.S_IFSOCK | 0o666) << 16),
    "bzip2": entry("0/data/x", compress_type=zipfile.ZIP_BZIP2),
    "lzma": entry("0/data/x", compress_type=zipfile.ZIP_LZMA),
    "a bomb": bomb,
    "encrypted": patched(8, 2, 1),
    "an unknown method": patched(10, 2, 99),
    "a wrong CRC": patched(16, 4, 7),
    "a size that lies": patched(24, 4, 3),
    "a packed size that lies": patched(20, 4, 1 << 30),
    "an offset that lies": patched(42, 4, 1 << 30),
    "an offset elsewhere": patched(42, 4, 11),
    "a name that is cut": patched(28, 2, 3),
    "a name that is too long": patched(28, 2, 60000),
    "a directory that lies": patched(16, 4, 5, b"PK\x05\x06"),
    "a directory of many": patched(10, 2, 60000, b"PK\x05\x06"),
    "no directory": changed(lambda data: bytes(data[: data.index(b"PK\x01\x02")])),
    "its first half": changed(lambda data: bytes(data[: len(data) // 2])),
    "its second half": changed(lambda data: bytes(data[len(data) // 2 :])),
    "a byte less": changed(lambda data: bytes(data[:-1])),
    "zeros in the middle": changed(lambda data: bytes(data[:40]) + bytes(60) + bytes(data[100:])),
    "another zip behind it": changed(lambda data: bytes(data) + b"PK\x05\x06" + bytes(18)),
    "an empty file": lambda path: path.write_bytes(b""),
    "an empty zip": lambda path: zipped({}, path),
    "text": lambda path: path.write_text("hello"),
    "a folder in it": lambda path: zipped({f"m/{name}": data for name, data in FILES.items()}, path),
    "a name of 60000 letters": files([("0/data/" + "a" * 60000, b"")]),
    "a name with a newline": files([("0/data/a\nb", b"")]),
    "a file that is a folder too": files([("0/data", b""), ("0/data/x", b"")]),
    "CONFIG.JSON": lambda path: zipped({"CONFIG.JSON": FILES["config.json"], "0/config.json": b"{}"}, path),
    "a pipe": os.mkfifo,
    "a socket": bound,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "an empty folder": lambda path: path.mkdir(),
    "a folder whose config is a folder": lambda path: (path / "config.json").mkdir(parents=True),
    "a folder with a pipe": replaced("0/pipe", os.mkfifo),
    "a folder whose config is a pipe": replaced("config.json", os.mkfifo),
    "a folder whose model is a pipe": replaced("0/config.json", os.mkfifo),
    "a folder with a socket": replaced("0/socket", bound),
    "a folder with a link to a device": replaced("0/zero", lambda path: path.symlink_to("/dev/zero")),
    "a folder whose config is a device": replaced("config.json", lambda path: path.symlink_to("/dev/zero")),
    "a folder with a link that leads out": replaced("0/x", lambda path: path.symlink_to("/etc/hostname")),
    "a folder with a linked folder": replaced("0/more", lambda path: path.symlink_to("/etc")),
    "a folder with a link to itself": replaced("0/x", lambda path: path.symlink_to(path)),
    "a folder with a link to nothing": replaced("0/x", lambda path: path.symlink_to("nowhere")),
    "a folder whose config has no end": replaced("config.json", lambda path: os.truncate(path, 1 << 40)
        if path.exists() else (path.touch(), os.truncate(path, 1 << 40))),
}  # fmt: skip


def test_there_are_enough_of_them():
    assert len(PACKAGES) >= 240
    assert len(INPUTS) >= 120


def test_the_package_that_all_are_made_of_is_good(tmp_path):
    zipped(FILES, tmp_path / "m")
    with load_neuropod(tmp_path / "m") as model:
        assert model.infer(GIVEN)["y"].shape == (4,)


@pytest.mark.parametrize("kind", PACKAGES)
def test_a_hostile_package_is_our_error_that_names_it_or_works(tmp_path, kind):
    path = tmp_path / "m"
    PACKAGES[kind](path)
    before = sorted(os.listdir(tmp_path))
    for use in (_run, inspect_package):
        error = refusal(lambda use=use: use(path))
        if error is not None:
            assert str(path) in error or "model '" in error
            assert "Traceback" not in error
            assert len(error) < 13_000  # a name that is shown may be as long as it likes
            assert not any(word in error for word in ("KeyError", "AttributeError", "TypeError", "IndexError"))
    assert sorted(os.listdir(tmp_path)) == before


def refusal(use):
    """Returns what is said of our own error; None where there is none. All else is the test's failure."""
    try:
        use()
    except NeuropodError as error:
        return str(error)
    return None


def _run(path):
    with load_neuropod(path, trust=True) as model:
        names = [row["name"] for row in model.inputs]
        out = model.infer({**GIVEN} if names == ["x"] and len(model.inputs[0]["shape"]) == 2 else {})
        assert set(out) == {row["name"] for row in model.outputs}
        return True


class Lies:
    """An array interface that says what it is told to."""

    def __init__(self, **fields):
        self.held = np.ones((4, 2), np.float32)
        self.__array_interface__ = {**self.held.__array_interface__, **fields}


class Raises:
    """Has what an array has, and raises when it is looked at."""

    def __init__(self, name, error):
        self._name, self._error = name, error

    def __getattr__(self, name):
        if name == object.__getattribute__(self, "_name"):
            raise object.__getattribute__(self, "_error")
        raise AttributeError(name)


class Capsule:
    """A DLPack door behind which is something else."""

    def __init__(self, given):
        self._given = given

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **options):
        return self._given


class Device(Capsule):
    def __dlpack_device__(self):
        return (2, 7)


class Sub(np.ndarray):
    def __array_finalize__(self, other):
        self.more = 1


class Shapeless(np.ndarray):
    @property
    def shape(self):
        raise SystemExit(3)


X = np.ones((4, 2), np.float32)


def read_only():
    array = X.copy()
    array.flags.writeable = False
    return array


def unaligned(dtype="float32"):
    raw = np.zeros(4 * 2 * np.dtype(dtype).itemsize + 1, np.uint8)
    return np.ndarray((4, 2), dtype, raw, 1)


DTYPES = (
    "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64 longdouble complex64 complex128"
)
STRUCTURED = np.dtype([("a", "f4"), ("b", "f4")])
SHAPES = [
    (),
    (1,),
    (0,),
    (2,),
    (4,),
    (0, 2),
    (4, 0),
    (0, 0),
    (4, 1),
    (4, 3),
    (1, 4, 2),
    (4, 2, 1),
    (1,) * 32,
    (1,) * 64,
]

# what -> (inputs, whether they are right)
INPUTS = {f"dtype {d}": ({"x": np.ones((4, 2), d)}, d == "float32") for d in DTYPES.split()}
INPUTS |= {
    f"big-endian {d}": ({"x": np.ones((4, 2), f">{d}")}, False) for d in ("f4", "f8", "i2", "i4", "u8", "c8", "f2")
}
INPUTS |= {f"shape {shape}": ({"x": np.ones(shape, np.float32)}, shape == (0, 2)) for shape in SHAPES}
INPUTS |= {
    f"of {type(v).__name__} {k}": ({"x": v}, False)
    for k, v in enumerate(
        (
            None,
            True,
            1,
            1.5,
            1j,
            "x",
            b"x",
            bytearray(8),
            [],
            [[1.0, 2.0]],
            (1, 2),
            {},
            set(),
            range(4),
            object(),
            print,
        )
    )
}
INPUTS |= {
    f"odd {k}": ({"x": v}, False)
    for k, v in enumerate((type, np, np.float32, slice(0, 1), memoryview(b"ab"), Ellipsis, iter(()), (x for x in ())))
}
INPUTS |= {
    "a list of arrays": ({"x": [X, X]}, False),
    "objects": ({"x": X.astype(object)}, False),
    "an object that is a list": ({"x": np.array([[[1], [2]]] * 4, dtype=object)}, False),
    "text": ({"x": np.array([["a", "b"]] * 4)}, False),
    "bytes": ({"x": np.array([[b"a", b"b"]] * 4)}, False),
    "text with zeros": ({"x": np.array([["a\0b", "\0"]] * 4)}, False),
    "newer text": ({"x": np.array([["a", "b"]] * 4, dtype=np.dtypes.StringDType())}, False),
    "times": ({"x": np.zeros((4, 2), "M8[ns]")}, False),
    "durations": ({"x": np.zeros((4, 2), "m8[s]")}, False),
    "void": ({"x": np.zeros((4, 2), "V4")}, False),
    "a structure": ({"x": np.zeros((4, 2), STRUCTURED)}, False),
    "a record": ({"x": np.zeros((4, 2), STRUCTURED).view(np.recarray)}, False),
    "masked": ({"x": np.ma.masked_array(X, X > 0)}, False),
    "a matrix": ({"x": np.asmatrix(X)}, True),
    "a subclass": ({"x": X.view(Sub)}, True),
    "a memory map": ({"x": np.asarray(X).view(np.memmap)}, True),
    "a subclass without a shape": ({"x": X.view(Shapeless)}, None),
    "read-only": ({"x": read_only()}, True),
    "unaligned": ({"x": unaligned()}, True),
    "unaligned and wrong": ({"x": unaligned("float64")}, False),
    "transposed": ({"x": np.ones((2, 4), np.float32).T}, True),
    "reversed": ({"x": X[::-1, ::-1]}, True),
    "every second": ({"x": np.ones((8, 4), np.float32)[::2, ::2]}, True),
    "spread": ({"x": np.broadcast_to(np.float32(1), (4, 2))}, True),
    "spread to terabytes": ({"x": np.broadcast_to(np.float32(1), (1 << 40, 2, 2))}, False),
    "overlapping": ({"x": np.lib.stride_tricks.as_strided(X, (4, 2), (4, 4))}, True),
    "no strides": ({"x": np.lib.stride_tricks.as_strided(X, (4, 2), (0, 0))}, True),
    "NaN": ({"x": np.full((4, 2), NAN, np.float32)}, True),
    "infinite": ({"x": np.full((4, 2), -np.inf, np.float32)}, True),
    "subnormal": ({"x": np.full((4, 2), 1e-45, np.float32)}, True),
    "a scalar": ({"x": np.float32(1)}, False),
    "a scalar of text": ({"x": np.str_("a")}, False),
    "none": ({}, True),
    "not a dict": (5, False),
    "a list of pairs": ([("x", X)], False),
    "nothing": (None, False),
    "a text": ("x", False),
    "an array": (X, False),
    "an interface": ({"x": Lies()}, True),
    "an interface of more": ({"x": Lies(shape=(4, 2, 1))}, None),
    "an interface of another type": ({"x": Lies(typestr="<f8", shape=(2, 2))}, None),
    "an interface without a type": ({"x": Lies(typestr="")}, False),
    "an interface with a type of its own": ({"x": Lies(typestr="zz")}, False),
    "an interface of objects": ({"x": Lies(typestr="|O")}, False),
    "an interface with a negative size": ({"x": Lies(shape=(-4, 2))}, False),
    "an interface with a size of text": ({"x": Lies(shape=("4", 2))}, False),
    "an interface with a fraction": ({"x": Lies(shape=(4.5, 2))}, False),
    "an interface without a shape": ({"x": Lies(shape=None)}, False),
    "an interface of too many": ({"x": Lies(shape=(1,) * 65)}, False),
    "an interface larger than memory": ({"x": Lies(shape=(1 << 62, 1 << 62))}, False),
    "an interface to nowhere": ({"x": Lies(data=None)}, None),
    "an interface to text": ({"x": Lies(data="here")}, False),
    "an interface of another version": ({"x": Lies(version="three")}, None),
    "an interface with odd strides": ({"x": Lies(strides=(1,))}, False),
    "a capsule of nothing": ({"x": Capsule(None)}, False),
    "a capsule of text": ({"x": Capsule("x")}, False),
    "a capsule of an array": ({"x": Capsule(X)}, False),
    "a capsule that is an array's": ({"x": Capsule(X.__dlpack__())}, True),
    "a capsule of a device": ({"x": Device(X.__dlpack__())}, None),
    "a capsule without a device": ({"x": type("Half", (), {"__dlpack__": lambda self: None})()}, False),
    "no array behind the name": ({"y": X}, False),
    "one name more": ({"x": X, "z": X}, False),
    "a name with a newline": ({"x\n": X}, False),
    "a name that is not text": ({5: X}, False),
    "a name that is nothing": ({None: X}, False),
    "a name that is a NaN": ({NAN: X}, False),
    "a name that is a tuple": ({("x",): X}, False),
    "a name that is bytes": ({b"x": X}, False),
    "an empty name": ({"": X}, False),
    "a name with a zero": ({"x\0": X}, False),
    "a lone surrogate for a name": ({"\ud800": X}, False),
    "a name of a million letters": ({"x" * 1_000_000: X}, False),
}
for _name, _error in itertools.product(
    ("__dlpack__", "__array_interface__"),
    (SystemExit(3), GeneratorExit(), MemoryError(), RecursionError(), OSError("no"), StopIteration(), BufferError()),
):
    INPUTS[f"{_name} that raises {type(_error).__name__}"] = ({"x": Raises(_name, _error)}, False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("inputs") / "m"
    create_placeholder_neuropod(neuropod_path=path, model_name="m", **ROWS)
    with load_neuropod(path) as loaded:
        yield loaded


@pytest.mark.parametrize("what", INPUTS)
def test_a_hostile_input_is_our_error_that_names_it_or_works(model, what):
    given, right = INPUTS[what]
    answers = []
    error = refusal(lambda: answers.append(model.infer(given)))
    if error is not None:
        assert right is not True, error
        assert error.startswith("model 'm'")
        assert any(word in error for word in ("'x'", "'y'", "must be a dict", "Tensor name")), error
        assert "Traceback" not in error
    else:
        assert right is not False
        rows = None if "x" not in given or isinstance(given["x"], Capsule) else len(np.asarray(given["x"]))
        assert answers[0]["y"].shape == ((rows,) if rows is not None else answers[0]["y"].shape)


def test_the_model_is_none_the_worse(model):
    first = model.infer(GIVEN)["y"]
    for what in INPUTS:
        if INPUTS[what][1] is False:
            with pytest.raises(NeuropodError):
                model.infer(INPUTS[what][0])
    assert model.infer(GIVEN)["y"].tolist() == first.tolist()
