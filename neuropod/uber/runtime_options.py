"""Uber's RuntimeOptions, of which its C++ and Java programs had all six, and its Python ones two."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from ..errors import NeuropodError

__all__ = ["Device", "OpeOptions", "RuntimeOptions"]


class Device(IntEnum):
    """Where a model runs; a number beyond these is a GPU too."""

    CPU = -1
    GPU0 = 0
    GPU1 = 1
    GPU2 = 2
    GPU3 = 3
    GPU4 = 4
    GPU5 = 5
    GPU6 = 6
    GPU7 = 7


@dataclass(frozen=True)
class OpeOptions:
    """Of a model in a worker process."""

    free_memory_every_cycle: bool = False
    """Shared memory that nobody uses goes back to the system after each call, in both processes. Uber's default was
    True; here blocks are kept and used again, as new memory takes thirty times as long to write to."""
    control_queue_name: str = ""
    """The socket at which a worker listens that was started by hand: `perceptum worker --socket PATH`. The other
    options are ignored then, and the model is loaded at once."""
    heartbeat_timeout_s: float | None = None
    """How long a worker that is waited for may give no sign of life. Uber's waited 5 s, and had a thread for it that no
    Python held up; here a model that keeps Python's lock for that long counts as lost, so it must be asked for."""


@dataclass(frozen=True)
class RuntimeOptions:
    """Raises NeuropodError for what cannot be."""

    use_ope: bool | None = None
    """Whether the model runs in a worker process; None leaves it to PERCEPTUM_ISOLATE, and without it means no."""
    ope_options: OpeOptions = field(default_factory=OpeOptions)
    visible_device: int = Device.GPU0
    load_model_at_construction: bool = True
    """False: the model is loaded by `load_model`; what the package says of it is there before."""
    disable_shape_and_type_checking: bool = False

    def __post_init__(self) -> None:
        device = self.visible_device
        if not isinstance(device, int) or isinstance(device, bool) or device < Device.CPU:
            raise NeuropodError(f"visible_device must be a GPU's number, or -1 for the CPU, got {device!r}")
        for name in ("use_ope", "load_model_at_construction", "disable_shape_and_type_checking"):
            value = getattr(self, name)
            if not isinstance(value, bool) and not (name == "use_ope" and value is None):
                raise NeuropodError(f"{name} must be True or False, got {value!r}")

    @classmethod
    def of(cls, visible_gpu: int | None, use_ope: bool | None) -> RuntimeOptions:
        """Returns what Uber's Python code could say."""
        return cls(use_ope=use_ope, visible_device=Device.CPU if visible_gpu is None else visible_gpu)

    @property
    def visible_gpu(self) -> int | None:
        return None if self.visible_device == Device.CPU else int(self.visible_device)
