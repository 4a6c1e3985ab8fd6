"""What is packed is a file: a pipe would be waited for, and a device read without end."""

import os

import pytest

from perceptum.neuropod import (
    NeuropodError,
    create_jax_neuropod,
    create_onnx_neuropod,
    create_python_neuropod,
    create_tensorflow_neuropod,
    create_torch_export_neuropod,
    create_torchscript_neuropod,
)

SPEC = {"model_name": "m", "input_spec": [], "output_spec": []}


def saved_model(source, tmp_path):
    folder = tmp_path / "saved"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    (folder / "variables" / "x").symlink_to(source)
    return {"saved_model_dir": folder}


def code(source, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "x").symlink_to(source)
    return {
        "data_paths": [],
        "code_path_spec": [{"python_root": tmp_path / "code", "dirs_to_package": [""]}],
        "entrypoint_package": "main",
        "entrypoint": "make",
    }


def data(source, tmp_path):
    return {**code(__file__, tmp_path), "data_paths": [{"path": str(source), "packaged_name": "x"}]}


PACKERS = {
    "torchscript": (create_torchscript_neuropod, lambda source, _: {"module_path": source}),
    "torch_export": (create_torch_export_neuropod, lambda source, _: {"program_path": source}),
    "onnx": (create_onnx_neuropod, lambda source, _: {"model_path": source}),
    "jax": (create_jax_neuropod, lambda source, _: {"exported_path": source}),
    "frozen": (create_tensorflow_neuropod, lambda source, _: {"frozen_graph_path": source, "node_name_mapping": {}}),
    "saved": (create_tensorflow_neuropod, saved_model),
    "code": (create_python_neuropod, code),
    "data": (create_python_neuropod, data),
    "op": (create_torchscript_neuropod, lambda source, _: {"module_path": __file__, "custom_ops": [source]}),
}


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("source", ["pipe", "device", "folder"])
def test_what_is_not_a_file_is_refused_at_once(tmp_path, kind, source):
    path = tmp_path / "source"
    if source == "pipe":
        os.mkfifo(path)
    elif source == "device":
        path.symlink_to("/dev/zero")
    elif kind in ("saved", "code"):
        return  # a folder in a folder is its own affair
    else:
        path.mkdir()
    create, options = PACKERS[kind]
    with pytest.raises(NeuropodError, match=r"is not a file(; only files can be packed)?$"):
        create(neuropod_path=tmp_path / "m", **options(path, tmp_path), **SPEC)
    assert not (tmp_path / "m").exists()
