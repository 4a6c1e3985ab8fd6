"""The packagers, at Uber's place and with Uber's keywords. Each makes a package and tests it in a fresh process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from .errors import NeuropodError
from .pack.packing import Common, pack
from .package.config import Config

__all__ = [
    "create_jax_neuropod",
    "create_keras_neuropod",
    "create_onnx_neuropod",
    "create_placeholder_neuropod",
    "create_python_neuropod",
    "create_pytorch_neuropod",
    "create_tensorflow_neuropod",
    "create_torch_export_neuropod",
    "create_torchscript_neuropod",
]


def create_torchscript_neuropod(
    *,
    module: Any = None,
    module_path: str | os.PathLike[str] | None = None,
    gradients: bool | None = None,
    **common: Unpack[Common],
) -> None:
    """Packs a ScriptModule, or the file that one was saved in: exactly one of the two.

    gradients: whether the model differentiates while it runs, as by torch.autograd.grad. It then runs slower, and its
        outputs carry no gradients all the same. None looks for that in its code.

    The other keywords are those of `packing.PackOptions`.
    """
    if (module is None) == (module_path is None):
        raise NeuropodError("Exactly one of 'module' or 'module_path' must be provided.")

    def write(folder: Path, _: Config) -> None:
        from .backends import torchscript

        torchscript.write(folder, module, module_path)

    pack("torchscript", common, write, gradients)


def create_torch_export_neuropod(
    *, program: Any = None, program_path: str | os.PathLike[str] | None = None, **common: Unpack[Common]
) -> None:
    """Packs a torch.export.ExportedProgram, or the .pt2 file that one was saved in: exactly one of the two.

    Its inputs are forward's arguments, or the keys of forward's one dict. Programs that only pickle can store are
    refused. The other keywords are those of `packing.PackOptions`.
    """
    if (program is None) == (program_path is None):
        raise NeuropodError("Exactly one of 'program' or 'program_path' must be provided.")

    def write(folder: Path, config: Config) -> None:
        from .backends import torch_export

        torch_export.write(folder, config, program, program_path)

    pack("torch_export", common, write)


def create_onnx_neuropod(
    *, model: Any = None, model_path: str | os.PathLike[str] | None = None, **common: Unpack[Common]
) -> None:
    """Packs an onnx.ModelProto or its bytes, or an .onnx file with the weights beside it: one of the two.

    The other keywords are those of `packing.PackOptions`.
    """
    if (model is None) == (model_path is None):
        raise NeuropodError("Exactly one of 'model' or 'model_path' must be provided.")

    def write(folder: Path, config: Config) -> None:
        from .backends.onnx import write as onnx_write

        onnx_write.write(folder, config, model, model_path)

    pack("onnx", common, write)


def create_jax_neuropod(
    *,
    function: Callable[..., Any] | None = None,
    exported: Any = None,
    exported_path: str | os.PathLike[str] | None = None,
    **common: Unpack[Common],
) -> None:
    """Packs a JAX function, a jax.export.Exported, or the file of one (its `serialize()`): exactly one of the three.

    function: takes the inputs by keyword and returns a dict of outputs. It is exported with the spec's own shapes.
    An Exported may also take one dict, or the inputs in the spec's order, and return the outputs in the spec's order.
    The other keywords are those of `packing.PackOptions`.
    """
    if sum(source is not None for source in (function, exported, exported_path)) != 1:
        raise NeuropodError("Exactly one of 'function', 'exported' or 'exported_path' must be provided.")

    def write(folder: Path, config: Config) -> None:
        from .backends.jax import write as jax_write

        jax_write.write(folder, config, function, exported, exported_path)

    pack("jax", common, write)


def create_placeholder_neuropod(*, seed: int = 0, **common: Unpack[Common]) -> None:
    """Packs no model at all: what is loaded takes the inputs and returns random outputs, right in type and shape.

    It needs no framework. The same seed and sizes give the same values; sizes that no input settles are chosen now.
    The other keywords are those of `packing.PackOptions`; test_expected_out is left aside, for nothing random meets it.
    """
    common["test_expected_out"] = None

    def write(folder: Path, config: Config) -> None:
        from .backends import placeholder

        placeholder.write(folder, config, seed)

    pack("placeholder", common, write)


def create_tensorflow_neuropod(
    *,
    node_name_mapping: Mapping[str, str] | None = None,
    frozen_graph_path: str | os.PathLike[str] | None = None,
    graph_def: Any = None,
    saved_model_dir: str | os.PathLike[str] | None = None,
    trackable_obj: Any = None,
    init_op_names: str | Sequence[str] = (),
    **common: Unpack[Common],
) -> None:
    """Packs one of: a frozen graph's file, a GraphDef, a SavedModel's folder, an object that tf.saved_model.save takes.

    node_name_mapping: spec name to node ("node" or "node:0"); needed for the first two.
    init_op_names: operators to run once after loading.
    The other keywords are those of `packing.PackOptions`.
    """
    sources = (frozen_graph_path, graph_def, saved_model_dir, trackable_obj)
    if sum(source is not None for source in sources) != 1:
        raise NeuropodError(
            "Exactly one of `frozen_graph_path`, `graph_def`, `saved_model_dir` and `trackable_obj` must be provided."
        )
    init_ops = [init_op_names] if isinstance(init_op_names, str) else list(init_op_names)

    def write(folder: Path, config: Config) -> None:
        from .backends.tensorflow import write as tensorflow_write

        if saved_model_dir is not None or trackable_obj is not None:
            tensorflow_write.write_saved(folder, config, saved_model_dir, trackable_obj, node_name_mapping, init_ops)
        else:
            tensorflow_write.write_frozen(folder, config, frozen_graph_path, graph_def, node_name_mapping, init_ops)

    pack("tensorflow", common, write)


def create_python_neuropod(
    *,
    data_paths: Sequence[Mapping[str, str]],
    code_path_spec: Sequence[Mapping[str, Any]],
    entrypoint_package: str,
    entrypoint: str,
    requirements: str | None = None,
    gradients: bool | None = None,
    **common: Unpack[Common],
) -> None:
    """Packs Python code and its data. Who loads it runs it: it needs trust.

    data_paths: [{"path": FILE, "packaged_name": NAME}].
    code_path_spec: [{"python_root": FOLDER, "dirs_to_package": [FOLDER IN IT, ...]}]; "" is all of it.
    entrypoint_package, entrypoint: a module and its function, which is given the folder of the data and returns the
        model: a callable that takes the inputs by name and returns a dict of numpy arrays.
    requirements: the packages that the code needs, as pip reads them.
    gradients: True where the code differentiates with torch: it then can, also when its caller says torch.no_grad() or
        torch.inference_mode(). Else it runs as its caller says.
    The other keywords are those of `packing.PackOptions`.
    """

    def write(folder: Path, _: Config) -> None:
        from .backends.python import write as python_write

        package = None if common.get("package_as_zip", True) else Path(common["neuropod_path"])
        python_write.write_code(folder, package, code_path_spec)
        python_write.write_data(folder, data_paths)
        python_write.write_entry(folder, entrypoint_package, entrypoint, requirements)

    pack("python", common, write, gradients)


create_pytorch_neuropod = create_python_neuropod


def create_keras_neuropod(
    *,
    sess: Any = None,
    model: Any,
    node_name_mapping: Mapping[str, str] | None = None,
    **common: Unpack[Common],
) -> None:
    """Packs a Keras 3 model, traced into a SavedModel: what is stored is data, whichever backend Keras runs on.

    On JAX or torch, the model is saved and traced by a second process whose Keras runs on TensorFlow; layers of one's
    own then need Keras's `register_keras_serializable` in a module that can be imported.

    sess: None; sessions ended with Keras 2.
    node_name_mapping: spec name to the model's own name of that input or output; needed where they differ.
        Outputs that output_spec leaves out need none.
    input_spec and output_spec may be left out, or None: they are read off the model, the first axis being "batch_size".
    The other keywords are those of `packing.PackOptions`.
    """
    from .backends.tensorflow import keras as keras_export

    if sess is not None:
        raise NeuropodError("create_keras_neuropod packs Keras 3 models, which have no session; leave sess out")
    names = keras_export.names(model, node_name_mapping)
    if common.get("input_spec") is None:
        common["input_spec"] = keras_export.input_spec(model, names)
    if common.get("output_spec") is None:
        common["output_spec"] = keras_export.output_spec(model, names)
    with keras_export.saved_model(model, names) as folder:
        create_tensorflow_neuropod(saved_model_dir=folder, **common)
