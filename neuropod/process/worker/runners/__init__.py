"""How a worker runs a model where perceptum cannot be imported: with numpy and the model's framework alone.

They give the answers of the backends of the same platforms, but look through nothing: who starts such a worker trusts
its package.
"""

import importlib
from typing import Any, Dict, Optional, Sequence, Tuple

from .errors import NeuropodError

__all__ = ["PLATFORMS", "load", "load_runner"]

PLATFORMS = {
    "onnx": "onnx",
    "python": "python",
    "pytorch": "python",
    "tensorflow": "tensorflow",
    "torchscript": "torchscript",
}
"""Platform -> the module of this folder that runs it."""


def load(order: Dict[str, Any]) -> Tuple[Any, Dict[str, Any]]:
    """Returns the model of an order's package, and what the parent is told of it."""
    runner = load_runner(
        order["platform"], order["path"], order["config"], order.get("visible_gpu"), order.get("threads")
    )
    return runner, {"why_code": order.get("why_code", []), "seals": False}


def load_runner(
    platform: str, folder: str, config: Dict[str, Any], visible_gpu: Optional[int], threads: Optional[int] = None
) -> Any:
    """Loads a package's model and returns its runner.

    folder: the unpacked package, which is only read. config: what its config.json holds. visible_gpu: None keeps the
    model on the CPU. threads: how many the framework may use for a call; None leaves it to the framework.

    A runner's `run(inputs, wanted)` takes C-contiguous arrays by name, strings as unicode arrays, perhaps read-only,
    and returns arrays by name, strings as unicode arrays, with the `wanted` outputs that the model has among them. None
    shares memory with an input. They may share it with what the model keeps, and are to be read before the next call.
    `close()` gives back what the model holds.

    Raises NeuropodError, or whatever the package's code raises.
    """
    if platform not in PLATFORMS:
        raise NeuropodError(
            "models of the platform '{}' run only where perceptum is; other Pythons run {}".format(
                platform, ", ".join(sorted(PLATFORMS))
            )
        )
    module = importlib.import_module("." + PLATFORMS[platform], __name__)
    return module.load(folder, config, visible_gpu, threads)


def row_names(config: Dict[str, Any], key: str) -> Sequence[str]:
    """Returns the names of the rows of a spec, "input_spec" or "output_spec", in its order."""
    return [row["name"] for row in config.get(key) or ()]
