"""The two detectors as packages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from perceptum.builders import InputBuilder
from perceptum.features import canonical
from perceptum.inputs import Frame
from perceptum.neuropod import create_tensorflow_neuropod, create_torchscript_neuropod
from perceptum.neuropod.frameworks.tensorflow import import_tensorflow
from perceptum.problems import Detection3d

__all__ = ["PACKERS", "pack_bev_detector", "pack_range_detector"]

# both frameworks parse their models' source, which CPython 3.11 cannot do in two threads at once (issue 106905)
_PARSING = Lock()


def pack_bev_detector(path: Path, frame: Frame) -> None:
    """Packs the TorchScript detector; `frame` gives the test data."""
    with _PARSING:
        import torch

        from .bev_detector import INPUTS, BevDetector

        module = torch.jit.script(BevDetector().eval())
    _replace(path, create_torchscript_neuropod, "bev detector", INPUTS, frame, module=module)


def pack_range_detector(path: Path, frame: Frame) -> None:
    """Packs the TensorFlow detector; `frame` gives the test data."""
    with TemporaryDirectory() as folder:
        with _PARSING:
            tf = import_tensorflow()
            from .range_detector import INPUTS, RangeDetector

            detector = RangeDetector()
            tf.saved_model.save(detector, folder, signatures=detector.__call__.get_concrete_function())
        _replace(path, create_tensorflow_neuropod, "range detector", INPUTS, frame, saved_model_dir=folder)


def _replace(
    path: Path, create: Callable[..., None], name: str, inputs: list[dict[str, Any]], frame: Frame, **source: Any
) -> None:
    """Packs beside `path` and puts the package there when it is whole and tested."""
    beside = path.with_name(f".{path.name}.new")
    _remove(beside)
    try:
        create(
            neuropod_path=str(beside),
            model_name=name,
            input_spec=inputs,
            # a range image has a sensor's axes, so that those of the boxes must be said
            output_spec=[row | ({"frame": "ego"} if row["name"] == "boxes" else {}) for row in Detection3d().outputs],
            schema=canonical(),
            test_input_data=InputBuilder(inputs).build(frame),
            **source,
        )
        if path.is_dir() and not path.is_symlink():
            _remove(path)
        beside.replace(path)
    finally:
        _remove(beside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


PACKERS: dict[str, Callable[[Path, Frame], None]] = {
    "bev_detector": pack_bev_detector,
    "range_detector": pack_range_detector,
}
"""File name -> what packs it."""
