"""What is installed here, what is missing, and what would cause trouble."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import perceptum
from perceptum.inputs.kernel_folder import kernel_folder
from perceptum.install import install_command
from perceptum.plugged import plug_in_rows

__all__ = ["examine", "missing_package"]

# distribution -> import name, what it is for, the extra that brings it
_PACKAGES = {
    "numpy": ("numpy", "core", ""),
    "numba": ("numba", "core: kernels", ""),
    "pyarrow": ("pyarrow", "core: tables", ""),
    "msgspec": ("msgspec", "core: schema", ""),
    "torch": ("torch", "TorchScript and PyTorch models", "torch"),
    "tensorflow": ("tensorflow", "TensorFlow models", "tensorflow"),
    "simplejpeg": ("simplejpeg", "quick JPEG", "camera"),
    "pillow": ("PIL", "pictures", "camera"),
    "tensorcodec": ("tensorcodec", "pictures of a video", "video"),
    "matplotlib": ("matplotlib", "drawings", "view"),
    "open3d": ("open3d", "the 3D viewer", "open3d"),
    "onnxruntime": ("onnxruntime", "ONNX models", "onnx"),
    "jax": ("jax", "JAX models", "jax"),
    "mcap": ("mcap", "MCAP recordings", "mcap"),
    "rosbags": ("rosbags", "ROS bags", "mcap"),
    "laspy": ("laspy", "aiMotive's .laz points", "laz"),
    "lanelet2": ("lanelet2", "Lanelet2 maps", "lanelet2"),
    "shapely": ("shapely", "checks of a map's areas", "map"),
}


def examine() -> dict[str, Any]:
    """Returns machine, packages, plug-ins and advice, as plain data; imports none of the heavy packages.

    Plug-ins are loaded, to see whether they can be.
    """
    packages = [_package(name, *about) for name, about in _PACKAGES.items()]
    folder = _kernels()
    machine = {
        "perceptum": perceptum.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "kernel cache": "none: nothing can be written" if folder is None else str(folder),
        "kernels in cache": 0 if folder is None else len(list(folder.rglob("*.nbi"))),
        "threads set by": ", ".join(f"{k}={os.environ[k]}" for k in _THREADS if k in os.environ) or "nothing",
        "shared memory free": _free("/dev/shm"),
        "temporary space free": _free("/tmp"),
        "models in workers": _workers(),
        "models in a sandbox": _sandbox(),
    }
    plug_ins = plug_in_rows()
    advice = _advice(packages, machine)
    advice += [
        f"plug-in '{p['plug-in']}' of {p['package']} is not used: {p['not used']}; fix or uninstall it"
        for p in plug_ins
        if p["not used"] is not None
    ]
    return {"machine": machine, "packages": packages, "plug_ins": plug_ins, "advice": advice}


def missing_package(module: str | None) -> str | None:
    """Returns what to say where the import of a package of ours failed, or None where it is none of ours."""
    top = (module or "").partition(".")[0]
    for package, (name, use, extra) in _PACKAGES.items():
        if name == top:
            return f"{package} is not installed ({use}): {install_command(extra)}"
    return None


_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


def _package(name: str, module: str, use: str, extra: str) -> dict[str, Any]:
    here = importlib.util.find_spec(module) is not None
    try:
        version = importlib.metadata.version(name) if here else None
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    return {"package": name, "version": version or "-", "for": use, "extra": extra or "-"}


def _kernels() -> Path | None:
    """Where compiled kernels are kept: beside each, or all below one folder."""
    builders = Path(__file__).resolve().parent.joinpath("builders").resolve()
    folder = kernel_folder(builders / "kernels", os.environ.get("NUMBA_CACHE_DIR", ""))
    if folder is None:
        return None
    return builders if folder.is_relative_to(builders) else folder.parent


def _workers() -> str:
    return "possible" if sys.platform == "linux" else f"not possible: they need Linux, this is {sys.platform}"


def _sandbox() -> str:
    # after the check of the system: what is imported here is Linux's
    if sys.platform != "linux":
        return _workers()
    from perceptum.neuropod.process.worker.enclosure.possible import why_not

    reason = why_not()
    return "possible, unless a container forbids it" if reason is None else f"not possible: {reason}"


def _free(folder: str) -> str:
    return f"{shutil.disk_usage(folder).free / 2**30:.1f} GiB" if Path(folder).is_dir() else "no such folder"


def _advice(packages: list[dict[str, Any]], machine: dict[str, Any]) -> list[str]:
    absent = [p for p in packages if p["version"] == "-"]
    found = [f"{p['package']} is not installed ({p['for']}): {install_command(p['extra'].strip('-'))}" for p in absent]
    if len({p["extra"] for p in absent}) > 1:
        found.append(f"to install all that is missing: {install_command('all')}")
    if machine["kernel cache"].startswith("none"):
        found.append(
            "no folder can be written, so every process compiles its kernels: set NUMBA_CACHE_DIR to one that can"
        )
    elif machine["kernels in cache"] == 0:
        found.append("no kernel is compiled yet: the first build takes some seconds longer")
    return found
