"""Packages made to do harm: zips that swell, pickles that lie. All are an error of one line, and take little memory."""

import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, create_placeholder_neuropod, create_python_neuropod, load_neuropod
from perceptum.neuropod.package import test_data
from perceptum.neuropod.package.package import open_package


def zip_of(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def refused(path):
    with pytest.raises(NeuropodError) as error:
        load_neuropod(path, trust=True)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_whose_reader_knows_no_measure_is_refused(tmp_path, method):
    """Python unpacks a whole chunk of these at once: 100 kilobytes that say they are ten bytes can be gigabytes."""
    path = zip_of(tmp_path / "m", {"config.json": bytes(1 << 20)}, method)
    assert f"'config.json' in the zip file is compressed by method {method}; a package is stored or" in refused(path)


def pack_code(tmp_path, **options):
    """Packs the folder "code" as "m"; main.make makes the model, which takes and gives nothing."""
    create_python_neuropod(
        neuropod_path=tmp_path / "m",
        model_name="m",
        input_spec=[],
        output_spec=[],
        data_paths=[],
        code_path_spec=[{"python_root": tmp_path / "code", "dirs_to_package": [""]}],
        entrypoint_package="main",
        entrypoint="make",
        **options,
    )


def test_such_a_method_is_not_written_either(tmp_path):
    (tmp_path / "code").mkdir()
    with pytest.raises(NeuropodError, match=r"zip_compression is 12; a package is stored or deflated"):
        pack_code(tmp_path, zip_compression=zipfile.ZIP_BZIP2)
    assert not (tmp_path / "m").exists()


def with_claimed_size(path, size):
    """Changes what the directory of a zip of one entry says of its size."""
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", size)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("claimed", [0, 10, (1 << 20) - 1, (1 << 32) - 2])
def test_an_entry_that_lies_about_its_size_is_refused(tmp_path, claimed):
    path = with_claimed_size(zip_of(tmp_path / "m", {"config.json": b" " * (1 << 20)}), claimed)
    assert any(word in refused(path) for word in ("not a complete zip file", "more than 200 times", "not JSON"))


def test_entries_that_lie_over_each_other_are_refused(tmp_path):
    """Many names for one block of data: what is small as a file is endless when it is unpacked."""
    path = zip_of(tmp_path / "m", {"config.json": b"{}" + b" " * 500_000, "0/data/a": b"x" * 500_000})
    data = path.read_bytes()
    directory = data.index(b"PK\x01\x02")
    first = data[directory : data.index(b"PK\x01\x02", directory + 4)]
    entries = b"".join(first.replace(b"config.json", f"{i:011d}".encode()) for i in range(2000))
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 2001, 2001, len(first + entries), directory, 0)
    path.write_bytes(data[:directory] + first + entries + end)
    assert "more than 200 times as much" in refused(path) or "not a complete zip file" in refused(path)


@pytest.mark.parametrize("name", ["0/data\0/x", "0/\0../x", "config.json\0.txt"])
def test_a_zero_in_a_name_cuts_it_and_hides_nothing(tmp_path, name):
    path = tmp_path / "m"
    plain = name.replace("\0", "~")
    path.write_bytes(zip_of(tmp_path / "z", {plain: b"{}"}).read_bytes().replace(plain.encode(), name.encode()))
    with pytest.raises(NeuropodError):
        load_neuropod(path, trust=True)
    assert sorted(os.listdir(tmp_path)) == ["m", "z"]


def test_a_file_and_a_folder_of_one_name_are_an_error(tmp_path):
    files = {
        "config.json": b'{"name": "m", "platform": "python", "input_spec": [], "output_spec": []}',
        "0/config.json": b'{"entrypoint": "make", "entrypoint_package": "main"}',
        "0/code": b"",
        "0/code/__init__.py": b"",
    }
    before = sorted(os.listdir(tmp_path))
    path = zip_of(tmp_path / "m", files)
    refused(path)
    assert sorted(os.listdir(tmp_path)) == [*before, "m"]


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000, b'{"name": ' + b"1" * 5000 + b"}"])
def test_json_that_is_deep_or_endless_is_an_error(tmp_path, text):
    refused(zip_of(tmp_path / "m", {"config.json": text}))


@pytest.mark.parametrize("name", ["config.json", "manifest.json", "perceptum.json"])
def test_json_without_end_is_not_even_read(folder, name):
    """Three bytes of it are sixty in Python; a file with holes in it may be larger than the memory."""
    with (folder / name).open("wb") as file:
        file.truncate(1 << 40)
    (folder / "manifest.json").touch() if name == "manifest.json" else (folder / "manifest.json").unlink()
    assert f"{name}: holds more than 16777216 bytes of JSON, more than any package needs" in refused(folder)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"format": 1, "input_params": {"x": 5}}', "the params of 'x' must be an object, got 5"),
        ('{"format": 1, "output_frames": 5}', "output_frames must be an object, got 5"),
        ('{"format": 1, "output_frames": {"y": "up"}}', "the frame of 'y' must be 'ego' or 'lidar', got 'up'"),
        ('{"format": 1, "schema": {"features": [1, "a"]}}', "the schema's features must be an object, got [1, 'a']"),
    ],
)
def test_metadata_of_another_form_is_an_error(folder, text, wanted):
    (folder / "perceptum.json").write_text(text)
    (folder / "manifest.json").unlink()
    assert f"perceptum.json: {wanted}" in refused(folder)


def test_test_data_that_is_no_array_fails_its_step(folder):
    from perceptum.neuropod.pack.verification import verify_package

    for side in ("test_input", "test_output"):
        data = {"test_input": None, "test_output": None, side: {"x": [[1], [1, 2]]}}
        (folder / "test_data.pkl").write_bytes(pickle.dumps(data))
        (folder / "manifest.json").unlink(missing_ok=True)
        steps = {step.check: step for step in verify_package(folder, trust=True)}
        assert "holds something that is not an array" in steps["symbols"].found


def test_byte_code_beside_a_custom_op_is_not_run(tmp_path):
    """No manifest lists it, so anyone may have put it there."""
    import py_compile

    (tmp_path / "code").mkdir()
    (tmp_path / "code/main.py").write_text("import hostile_op\ndef make(data):\n    return lambda: {}\n")
    (tmp_path / "hostile_op.py").write_text("")
    pack_code(tmp_path, custom_ops=[tmp_path / "hostile_op.py"], package_as_zip=False)
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    place = tmp_path / f"m/0/ops/__pycache__/hostile_op.{sys.implementation.cache_tag}.pyc"
    py_compile.compile(
        str(tmp_path / "evil.py"), str(place), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    load_neuropod(tmp_path / "m", trust=True).close()


def test_what_a_package_says_does_not_write_over_the_terminal(tmp_path):
    from typer.testing import CliRunner

    from perceptum.cli.commands import app

    config = {"name": "m\x1b[2J", "platform": "placeholder", "output_spec": [{"name": "\u202ey", "dtype": "int8"}]}
    config["output_spec"][0]["shape"] = ["\x1b]0;n"]
    shown = CliRunner().invoke(app, ["inspect", str(zip_of(tmp_path / "m", {"config.json": json.dumps(config)}))])
    assert shown.exit_code == 0
    assert not any(c in shown.stdout for c in "\x1b\u202e")
    assert "\\u202ey" in shown.stdout


def test_a_hostile_manifest_is_an_error(tmp_path):
    for text in (
        b'{"manifest_version": 1, "files": {"config.json": 3}}',
        b'{"manifest_version": 1, "files": []}',
        b"3",
    ):
        path = tmp_path / f"m{len(text)}"
        zip_of(path, {"config.json": b"{}", "manifest.json": text})
        assert refused(path).startswith((f"{path}: manifest.json: ", f"{path}: config.json: its sha256 is"))


BIG = 1 << 36

PICKLES = {
    "a memo of two billion entries": b"\x80\x04]r\xff\xff\xff\x7f",
    "an array made of nothing": b"cnumpy\nndarray\n((I%d\ntS'u1'\ntR." % BIG,
    "an array of nothing by its class": b"cnumpy\nndarray\n((I%d\nt\x81." % BIG,
    "bytes that are not there": b"\x80\x04\x8e" + struct.pack("<Q", BIG) + b"x.",
    "text that is not there": b"\x80\x04\x8d" + struct.pack("<Q", BIG) + b"x.",
    "a frame that is not there": b"\x80\x04\x95" + struct.pack("<Q", BIG) + b"x.",
    "a persistent id": b"\x80\x04K\x01Q.",
    "an extension": b"\x80\x04\x82\x01.",
    "an instance": b"(inumpy\nndarray\n.",
    "an object": b"(cnumpy\nndarray\no.",
    "a function": b"cnumpy\ndtype\n.",
    "a state for a function": b"c_codecs\nencode\n(N}S'x'\nI1\nstb.",
    "a state for text": b"S'x'\n}b.",
    "a call of text": b"S'x'\n(tR.",
    "an endless list": b"]q\x00h\x00a.",
}


def array_state(shape, dtype, data):
    """A pickle of an array with any state: what numpy would be told."""

    class Lie:
        def __reduce__(self):
            return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, shape, np.dtype(dtype), False, data)

    return pickle.dumps(Lie())


PICKLES |= {
    "an array of a size that its bytes do not have": array_state((BIG,), "u1", b"xx"),
    "an array of a negative size": array_state((-1,), "u1", b"x"),
    "an array of two negative sizes": array_state((-1, -1), "u1", b"x"),
    "objects that are fewer than they should be": array_state((5,), "O", ["a"]),
    "objects that are no text": array_state((1,), "O", [[1]]),
    "a structured array": pickle.dumps(np.zeros(2, [("a", "f4"), ("b", "O")])),
    "an array within each element": pickle.dumps(np.dtype(("f4", (3,)))),
    "a date": pickle.dumps(np.array(["2020-01-01"], "M8[D]")),
    "a dtype with a state of its own": b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR(I3\nS'|'\nNNNI8\nI1\nI63\nI9\ntb.",
    "a byte array of a size that its bytes do not have": b"\x80\x05\x96" + (8 << 30).to_bytes(8, "little") + b"xx.",
    "numbers without end": b"(" + b"I1\n" * 10 + b"t" + b"2t" * 5 + b"cnumpy\nload\n.",
}


MEGABYTE = 1 << 20


def again(head, one, times):
    """A pickle of a list of what `one` makes of what `head` has read."""
    return b"\x80\x04" + head + b"(" + one * times + b"l."


def memoized(*values):
    return b"".join(value + b"\x940" for value in values)


_ARRAY = memoized(b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\nndarray\n")
_STATE = b"(K\x01" + pickle.dumps((MEGABYTE,), 2)[2:-1] + b"h\x03\x89h\x00tb"
_MADE = b"h\x01h\x02K\x00\x85K\x00\x87R" + _STATE
PICKLES |= {
    "one text encoded again and again": again(
        memoized(pickle.dumps("x" * MEGABYTE, 2)[2:-1], b"c_codecs\nencode\n"), b"h\x01h\x00X\6\0\0\0latin1\x86R", 3000
    ),
    "one array copied again and again": again(
        memoized(b"B" + struct.pack("<I", MEGABYTE) + bytes(MEGABYTE))
        + _ARRAY
        + memoized(b"cnumpy\ndtype\n\x8c\x02u1\x85R"),
        _MADE,
        3000,
    ),
    "a key whose hash takes forever": b"\x80\x02}" + b"(K\x01K\x01t" + b"2\x86" * 40 + b"K\x01s.",
    "a set": pickle.dumps({1}),
}


@pytest.mark.parametrize("what", PICKLES)
def test_a_pickle_that_lies_is_an_error(what):
    with pytest.raises(NeuropodError, match=r"^test_data.pkl: "):
        test_data.load(PICKLES[what])


def test_lists_that_share_lists_do_not_grow():
    """Thirty lists, each twice the one before: a thousand million, if each were copied."""
    value = ["x"]
    for _ in range(30):
        value = [value, value]
    read = test_data.load(pickle.dumps(value))
    for _ in range(30):
        assert read[0] is read[1]
        read = read[0]


def test_none_of_these_pickles_takes_memory(tmp_path):
    path = tmp_path / "pickles"
    path.write_bytes(pickle.dumps(PICKLES))
    code = (
        "import pickle, resource, sys\n"
        "from perceptum.neuropod import NeuropodError\nfrom perceptum.neuropod.package import test_data\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for data in pickle.load(open(sys.argv[1], 'rb')).values():\n"
        "    try:\n"
        "        test_data.load(data)\n"
        "    except NeuropodError:\n"
        "        pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))  # noqa: E731
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, preexec_fn=limit
    )
    assert int(done.stdout) < 50_000  # kilobytes


@pytest.mark.parametrize("seed", range(3))
def test_damaged_pickles_are_an_error_or_plain_values(seed):
    import random

    rng = random.Random(seed)
    value = {"test_input": {"x": np.arange(6.0).reshape(2, 3), "s": np.array(["a", "é"])}, "test_output": None}
    for protocol in range(6):
        good = pickle.dumps(value, protocol)
        for _ in range(300):
            data = bytearray(good)
            for _ in range(rng.randint(1, 3)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            try:
                test_data.load(bytes(data))
            except NeuropodError as error:
                assert str(error).startswith("test_data.pkl: ")  # noqa: PT017


def test_text_kept_as_objects_is_read_and_protocol_5_too():
    words = np.array(["a", "é"], object)
    for protocol in range(6):
        assert test_data.load(pickle.dumps({"w": words}, protocol))["w"].tolist() == ["a", "é"]
        big = test_data.load(pickle.dumps(np.arange(4, dtype=">i4"), protocol))
        assert big.dtype.byteorder == ">" and big.tolist() == [0, 1, 2, 3]  # noqa: PT018
        fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
        np.testing.assert_array_equal(test_data.load(pickle.dumps(fortran, protocol)), fortran)
        assert test_data.load(pickle.dumps(np.zeros((0, 3)), protocol)).shape == (0, 3)
        assert test_data.load(pickle.dumps(np.float32(7), protocol)).tolist() == 7


def test_a_pickle_in_a_package_is_not_even_read_when_it_is_loaded(packed, package_folder):
    folder = package_folder(packed("python", "scalar"))
    (folder / "test_data.pkl").write_bytes(b"\x80\x04]r\xff\xff\xff\x7f.")
    open_package(folder).files.close()
    load_neuropod(folder, trust=True).close()


@pytest.fixture
def folder(packed, package_folder):
    """A package that is a folder, with a manifest that holds."""
    from perceptum.neuropod.package import manifest
    from perceptum.neuropod.package.archive import FolderFiles

    path = package_folder(packed("python", "scalar"))
    (path / "manifest.json").write_text(manifest.write(FolderFiles(path)))
    return path


def test_a_link_out_of_a_folder_is_refused(folder, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (folder / "0/data").mkdir(exist_ok=True)
    (folder / "0/data/weights").symlink_to(tmp_path / "secret")
    assert "'0/data/weights' is a link to another place; copy its target into the package" in refused(folder)


def test_a_linked_folder_cannot_bring_code_past_the_manifest(folder, tmp_path):
    """Python takes a folder of a name before a module of it, and no manifest lists what lies behind a link."""
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil/__init__.py").write_text("raise SystemExit('ran')")
    (folder / "0/code/problems").symlink_to(tmp_path / "evil")
    assert "'0/code/problems' is a link to another place" in refused(folder)
    (folder / "0/code/problems").unlink()
    (folder / "0/code/problems").symlink_to(folder / "0")
    assert "'0/code/problems' is a link to another place" in refused(folder)


def test_a_link_within_a_folder_is_a_file_like_any_other(folder):
    (folder / "0/code/same.py").symlink_to("problems.py")
    assert "0/code/same.py: is in the package but not in its manifest" in refused(folder)
    (folder / "manifest.json").unlink()
    load_neuropod(folder, trust=True).close()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("nowhere", path)], ids=["fifo", "broken link"])
def test_what_is_no_file_is_refused_and_not_waited_for(folder, make):
    make(folder / "0/data_or_not")
    assert "'0/data_or_not' is not a file; take it out of the package" in refused(folder)


def test_a_package_that_is_reached_by_a_link_is_a_package(folder, tmp_path):
    (tmp_path / "latest").symlink_to(folder)
    load_neuropod(tmp_path / "latest", trust=True).close()


def test_nothing_is_at_the_path_until_the_package_has_passed_its_test(tmp_path, monkeypatch):
    """Who is killed while it is tested leaves no package that nobody has tested."""
    seen = []

    def check(package, *_):
        seen.append((package.is_file(), (tmp_path / "m").exists()))
        raise NeuropodError(f"{package}: wrong")

    monkeypatch.setattr("perceptum.neuropod.pack.selftest.check_package", check)
    with pytest.raises(NeuropodError, match=rf"^{tmp_path}/m: wrong$"):
        create_placeholder_neuropod(
            neuropod_path=tmp_path / "m",
            model_name="m",
            input_spec=[],
            output_spec=[],
            test_input_data={},
        )
    assert seen == [(True, False)]
    assert not list(tmp_path.iterdir())
