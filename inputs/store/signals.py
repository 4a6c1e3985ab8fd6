"""Signals as named arrays, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import BrokenRecord, LogError
from ..signal import Measured, Signal

__all__ = ["arrays_of_signals", "measured_of_arrays", "signal_of_arrays"]

Arrays = Mapping[str, NDArray[Any]]


def arrays_of_signals(
    signals: Iterable[Signal], declared: Mapping[str, tuple[Measured, ...]]
) -> dict[str, NDArray[Any]]:
    """Returns `names`, and 0/times_ns, 0/columns/NAME and so on of each signal, in their order."""
    found: dict[str, NDArray[Any]] = {}
    names = []
    for number, signal in enumerate(signals):
        names.append(signal.name)
        found |= {
            f"{number}/declared": _texts(declared.get(signal.name, ())),
            f"{number}/times_ns": signal.times_ns,
            f"{number}/units": _texts(text for pair in signal.units.items() for text in pair),
            f"{number}/measures": _texts(text for pair in signal.measures.items() for text in pair),
            f"{number}/broken": _texts(signal.broken),
            f"{number}/frame": _texts([signal.frame]),
        }
        if signal.ego_from_sensor is not None:
            found[f"{number}/ego_from_sensor"] = signal.ego_from_sensor
        found |= {f"{number}/columns/{name}": values for name, values in signal.columns.items()}
    return {"names": _texts(names), **found}


def _texts(texts: Iterable[str]) -> NDArray[np.str_]:
    # numpy drops zeros at the end of a text, and has no text of no letters
    return np.array([text.replace("\0", "") for text in texts], dtype=np.str_)


def measured_of_arrays(where: str, arrays: Arrays) -> dict[str, tuple[Measured, ...]]:
    """Returns signal -> what it measures, as the log that was converted said; raises BrokenRecord."""
    names = _read(where, arrays, "names")
    return {name: cast(Any, tuple(_read(where, arrays, f"{i}/declared"))) for i, name in enumerate(names)}


def signal_of_arrays(where: str, arrays: Arrays, name: str) -> Signal:
    """Returns one signal over the given arrays; raises BrokenRecord."""
    number = _read(where, arrays, "names").index(name)
    prefix = f"{number}/columns/"
    columns = {key.removeprefix(prefix): values for key, values in arrays.items() if key.startswith(prefix)}
    units, measures = (_read(where, arrays, f"{number}/{part}") for part in ("units", "measures"))
    try:
        return Signal(
            name=name,
            times_ns=_array(where, arrays, f"{number}/times_ns"),
            columns=columns,
            units=dict(zip(units[::2], units[1::2], strict=True)),
            frame=_read(where, arrays, f"{number}/frame")[0],
            measures=cast(Any, dict(zip(measures[::2], measures[1::2], strict=True))),
            ego_from_sensor=arrays.get(f"{number}/ego_from_sensor"),
            broken=tuple(_read(where, arrays, f"{number}/broken")),
            source=f"{where}: {name}",
        )
    except BrokenRecord:
        raise
    except (LogError, ValueError, IndexError) as error:
        raise BrokenRecord(f"{where}: {error}; convert again") from error


def _read(where: str, arrays: Arrays, key: str) -> list[str]:
    array = _array(where, arrays, key)
    if array.dtype.kind != "U" or array.ndim != 1:
        raise BrokenRecord(f"{where}: {key} is {array.dtype} {array.shape}, wanted a list of texts; convert again")
    texts: list[str] = array.tolist()
    return texts


def _array(where: str, arrays: Arrays, key: str) -> NDArray[Any]:
    if key not in arrays:
        raise BrokenRecord(f"{where}: no array {key}; convert again")
    return arrays[key]
