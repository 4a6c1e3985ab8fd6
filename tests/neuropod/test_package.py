"""The package on disk: Uber's bytes, nothing half-written, and hostile files refused."""

import hashlib
import json
import os
import re
import shutil
import stat
import warnings
import zipfile

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, create_python_neuropod, load_neuropod
from perceptum.neuropod.package import archive
from perceptum.neuropod.package.package import open_package

ROWS = {
    "input_spec": [
        {"name": "x", "dtype": "float32", "shape": ("batch_size",)},
        {"name": "y", "dtype": "float32", "shape": ("batch_size",)},
    ],
    "output_spec": [{"name": "out", "dtype": "float32", "shape": ("batch_size",)}],
}
SOURCE = "def get_model(data):\n    return lambda x, y: {'out': x + y}\n"


@pytest.fixture
def pack(tmp_path):
    """Returns pack(name, **options) -> the path of a package of Python code."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "addition_model.py").write_text(SOURCE)

    def make(name="addition", **options):
        create_python_neuropod(
            **{
                "neuropod_path": tmp_path / name,
                "model_name": "addition_model",
                "data_paths": [],
                "code_path_spec": [{"python_root": code, "dirs_to_package": [""]}],
                "entrypoint_package": "addition_model",
                "entrypoint": "get_model",
                **ROWS,
                **options,
            }
        )
        return tmp_path / name

    return make


def digest(data):
    return hashlib.sha256(data).hexdigest()


def test_the_bytes_are_those_that_ubers_tests_pin(pack):
    path = pack(package_as_zip=False)
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["manifest_version"] == 1
    assert list(manifest["files"]) == ["0/code/__init__.py", "0/code/addition_model.py", "0/config.json", "config.json"]
    assert manifest["files"]["config.json"].startswith("0309cf21")
    assert manifest["files"]["0/config.json"].startswith("a52f7705")
    assert manifest["files"]["0/code/__init__.py"] == digest(b"")
    assert manifest["files"]["0/code/addition_model.py"] == digest(SOURCE.encode())
    assert (path / "manifest.json").read_text() == json.dumps(manifest, indent=4, sort_keys=True)
    assert (path / "0" / "ops").is_dir()


def test_config_json_has_ubers_seven_keys_and_no_more(pack):
    config = json.loads((pack(package_as_zip=False) / "config.json").read_text())
    assert sorted(config) == [
        "custom_ops",
        "input_spec",
        "input_tensor_device",
        "name",
        "output_spec",
        "platform",
        "platform_version_semver",
    ]


def test_the_same_model_gives_the_same_zip(pack):
    first, second = pack("a").read_bytes(), pack("b").read_bytes()
    assert first == second
    with zipfile.ZipFile(pack("c")) as files:
        assert files.namelist() == sorted(files.namelist())
        assert {info.date_time for info in files.infolist()} == {(2000, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in files.infolist()} == {zipfile.ZIP_DEFLATED}


def test_a_zip_may_be_stored_without_compression(pack):
    with zipfile.ZipFile(pack(zip_compression=zipfile.ZIP_STORED)) as files:
        assert {info.compress_type for info in files.infolist()} == {zipfile.ZIP_STORED}


@pytest.mark.parametrize("as_zip", [True, False])
def test_what_is_there_already_is_not_overwritten(pack, tmp_path, as_zip):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(NeuropodError) as error:
        pack("taken", package_as_zip=as_zip)
    told = f"The specified neuropod path ({tmp_path / 'taken'}) already exists! Aborting..."
    assert str(error.value) == f"{told} overwrite=True (--overwrite) replaces it"
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_packager_that_fails_leaves_nothing_behind(pack, tmp_path, as_zip):
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(NeuropodError, match="is not a file"):
        pack("half", package_as_zip=as_zip, data_paths=[{"path": "/nowhere", "packaged_name": "a"}])
    assert sorted(os.listdir(tmp_path)) == before


def test_a_disk_error_in_the_middle_leaves_nothing_behind(pack, tmp_path, monkeypatch):
    before = sorted(os.listdir(tmp_path))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("perceptum.neuropod.package.package.write_zip", full)
    with pytest.raises(OSError, match="No space left") as error:
        pack("half")
    assert error.value.filename == str(tmp_path / "half")
    assert sorted(os.listdir(tmp_path)) == before


def test_the_folder_to_pack_into_must_exist(pack, tmp_path):
    with pytest.raises(NeuropodError, match="the folder that it should go into does not exist; make it first"):
        pack("no/such/place")


def test_a_missing_package_is_named(tmp_path):
    with pytest.raises(NeuropodError) as error:
        load_neuropod(tmp_path / "nothing")
    assert str(error.value) == f"Error loading Neuropod. No file or directory at '{tmp_path / 'nothing'}'"


def test_a_file_that_is_no_package_is_named(tmp_path):
    path = tmp_path / "text"
    for data in (b"", b"hello", b"PK\x03\x04" + b"\0" * 40):
        path.write_bytes(data)
        with pytest.raises(NeuropodError) as error:
            load_neuropod(path)
        assert str(error.value) == f"{path}: a package is a folder or a zip file, this is neither; get it again"


def test_a_package_that_may_not_be_read_is_named(pack, monkeypatch):
    path = pack()

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("perceptum.neuropod.package.package.ZipFiles", denied)
    with pytest.raises(NeuropodError, match=rf"^{re.escape(str(path))}: cannot be read: .*Permission denied"):
        load_neuropod(path)


def test_a_package_of_many_files_opens_quickly(tmp_path):
    import time

    path = tmp_path / "many.zip"
    config = b'{"name": "m", "platform": "python", "input_spec": [], "output_spec": []}'
    files = {"config.json": config, **{f"0/data/{i}": b"" for i in range(3000)}}
    manifest = {"files": {name: digest(data) for name, data in files.items()}, "manifest_version": 1}
    write_zip(path, [*files.items(), ("manifest.json", json.dumps(manifest).encode())])
    start_s = time.perf_counter()
    assert len(open_package(path).files.names) == 3002
    assert time.perf_counter() - start_s < 5


def test_a_folder_that_is_no_package_is_named(tmp_path):
    with pytest.raises(NeuropodError) as error:
        load_neuropod(tmp_path)
    assert str(error.value) == f"{tmp_path}: no config.json, so this is not a package; a package holds it at its root"


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_zip_that_is_cut_short_is_named(pack, part):
    path = pack()
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(NeuropodError, match=rf"^{re.escape(str(path))}: "):
        load_neuropod(path, trust=True)


def test_every_flipped_byte_of_a_zip_is_an_error_or_harmless(pack):
    path = pack()
    data = path.read_bytes()
    x = np.ones(2, np.float32)
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            with load_neuropod(path, trust=True) as model:
                assert model.infer({"x": x, "y": x})["out"].tolist() == [2, 2]
        except NeuropodError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017


def test_a_changed_file_does_not_match_the_manifest(pack):
    path = pack(package_as_zip=False)
    code = path / "0" / "code" / "addition_model.py"
    code.write_text(SOURCE.replace("+", "-"))
    with pytest.raises(NeuropodError) as error:
        load_neuropod(path, trust=True)
    assert str(error.value) == (
        f"{path}: 0/code/addition_model.py: its sha256 is {digest(code.read_bytes())[:16]}..., the manifest says "
        f"{digest(SOURCE.encode())[:16]}...; the package was changed after it was made, get it again"
    )


def test_an_added_file_does_not_match_the_manifest(pack):
    path = pack(package_as_zip=False)
    (path / "0" / "code" / "numpy.py").write_text("evil = True")
    with pytest.raises(NeuropodError, match=r"0/code/numpy.py: is in the package but not in its manifest"):
        load_neuropod(path, trust=True)


def test_a_missing_file_does_not_match_the_manifest(pack):
    path = pack(package_as_zip=False)
    (path / "0" / "config.json").unlink()
    with pytest.raises(NeuropodError, match=r"0/config.json: is missing; the package was changed"):
        load_neuropod(path, trust=True)


def test_byte_code_beside_the_code_is_neither_an_error_nor_run(pack, tmp_path):
    import py_compile

    path = pack(package_as_zip=False)
    code = path / "0" / "code" / "addition_model.py"
    evil = tmp_path / "evil.py"
    evil.write_text("raise SystemExit('ran byte code')")
    target = code.parent / "__pycache__" / "addition_model.cpython-311.pyc"
    py_compile.compile(str(evil), str(target), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    with load_neuropod(path, trust=True) as model:
        assert model.infer({"x": np.ones(1, np.float32), "y": np.ones(1, np.float32)})["out"].tolist() == [2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must hold a JSON object, got list"),
        ("{}", "the key 'name' is missing"),
        ('{"name": 3, "platform": "python"}', "Field 'name' in config must be a string! Got value 3"),
        ('{"name": "a", "platform": null}', "Field 'platform' in config must be a string!"),
        ('{"name": "a", "platform": "python", "input_spec": 3}', "'input_spec' must be a list of rows, got int"),
        ('{"name": "a", "platform": "python", "custom_ops": "x"}', "Optional field 'custom_ops' must be a list!"),
        (
            '{"name": "a", "platform": "python", "custom_ops": ["../x"]}',
            "'custom_ops' must hold names of files in 0/ops",
        ),
        ('{"name": "a", "platform": "caffe"}', "no backend for the platform 'caffe'; there are "),
    ],
)
def test_a_broken_config_says_what_is_wrong(pack, text, message):
    path = pack(package_as_zip=False)
    (path / "manifest.json").unlink()
    (path / "config.json").write_text(text)
    with pytest.raises(NeuropodError, match=rf"^{re.escape(str(path))}: .*{re.escape(message)}"):
        load_neuropod(path, trust=True)


def write_zip(path, names_to_data, attributes=None):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as files:
        warnings.simplefilter("ignore")  # zipfile warns of a name that is listed twice
        for name, data in names_to_data:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (attributes or stat.S_IFREG | 0o644) << 16
            files.writestr(info, data)


@pytest.mark.parametrize("name", ["../out", "/etc/out", "0/../../out", "a\\..\\out", "C:/out", "./out", "0//out"])
def test_a_path_that_leads_out_of_the_package_is_refused(tmp_path, name):
    path = tmp_path / "slip.zip"
    write_zip(path, [("config.json", b"{}"), (name, b"x")])
    with pytest.raises(NeuropodError, match=rf"^{re.escape(str(path))}: the zip file holds the path .* do not use it$"):
        load_neuropod(path, trust=True)
    assert os.listdir(tmp_path) == ["slip.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_a_device_in_a_zip_is_refused(tmp_path, kind):
    path = tmp_path / "link.zip"
    write_zip(path, [("config.json", b"/etc/passwd")], kind | 0o777)
    with pytest.raises(NeuropodError, match=r"'config.json' in the zip file is a link or a device, not a file"):
        load_neuropod(path)


def test_a_name_that_stands_twice_in_a_zip_is_refused(tmp_path):
    path = tmp_path / "twice.zip"
    write_zip(path, [("config.json", b"{}"), ("config.json", b"[]")])
    with pytest.raises(NeuropodError, match=r"the file '[\w./]+' is in the zip file twice; get the package again"):
        load_neuropod(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "SMALL_BYTES", 1 << 20)
    path = tmp_path / "bomb.zip"
    write_zip(path, [("config.json", b"{}"), ("0/data/zeros", bytes(4 << 20))])
    with pytest.raises(
        NeuropodError, match=r"more than 200 times as much; if you trust it, unpack it and load the folder"
    ):
        load_neuropod(path)


def test_an_encrypted_file_is_refused(pack):
    path = pack()
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(NeuropodError, match="in the zip file is encrypted"):
        load_neuropod(path, trust=True)


def test_what_is_extracted_is_deleted_when_the_model_is_closed(pack):
    path = pack()
    model = load_neuropod(path, trust=True)
    folder = model._files.folder("")
    assert (folder / "0" / "code" / "addition_model.py").is_file()
    model.close()
    assert not folder.exists()


def test_a_failed_load_deletes_what_it_extracted(pack, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    path = pack(entrypoint="no_such_function")
    with pytest.raises(NeuropodError, match=r"the entry point 'addition_model.no_such_function' is not a function"):
        load_neuropod(path, trust=True)
    assert os.listdir(temporary) == []


def test_an_old_package_without_the_later_keys_gets_their_defaults(pack):
    path = pack(package_as_zip=False)
    (path / "manifest.json").unlink()
    shutil.rmtree(path / "0" / "ops")
    config = json.loads((path / "config.json").read_text())
    for key in ("custom_ops", "input_tensor_device", "platform_version_semver"):
        del config[key]
    (path / "config.json").write_text(json.dumps(config))
    opened = open_package(path)
    assert opened.config.custom_ops == ()
    assert opened.config.device("x") == "GPU"
    assert opened.config.platform_version_semver == "*"
    with load_neuropod(path, trust=True) as model:
        assert model.infer({"x": np.ones(1, np.float32), "y": np.ones(1, np.float32)})["out"].tolist() == [2]


@pytest.mark.parametrize("backend", ["python", "tensorflow_frozen"])
def test_json_that_is_none_is_named_with_its_file(packed, package_folder, backend):
    folder = package_folder(packed(backend, "addition"))
    (folder / "0" / "config.json").write_text("{")
    with pytest.raises(NeuropodError, match=rf"^{folder}: 0/config.json: not JSON: "):
        load_neuropod(folder, trust=True)
