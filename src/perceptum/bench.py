"""How fast the builder is: each tensor alone, then all together, on frames whose records are already read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.building import draw_of
from perceptum.features import canonical
from perceptum.first_call import in_ms
from perceptum.inputs import Frame
from perceptum.inputs.first_calls import COMPILING, LOADING

__all__ = ["measure_builder", "rows_of_all"]


def measure_builder(
    frames: Sequence[Frame],
    rows: Sequence[Any] | None,
    rounds: int,
    threads: int = 1,
    track: Callable[[Iterable[int], str, int], Iterable[int]] = lambda items, _, __: items,
    *,
    training: bool = False,
    augment: Augment | None = None,
    draw: Draw | None = None,
) -> list[dict[str, Any]]:
    """Returns a line per tensor and one for all: median and least milliseconds per frame, frames per second.

    Apart from these, the first build of each: the whole time, and how much of it went into loading or compiling
    kernels. A kernel that several builders need is loaded by the first of them alone.
    The builders take turns, so that a slow moment of the machine falls on all of them.
    rows: None: all features, targets only in `training`. draw: of the first frame; the next have the next indices.
    """
    wanted = rows_of_all(training) if rows is None else list(rows)
    specs = {_name(row): [row] for row in wanted}
    if len(wanted) > 1:
        specs[f"all {len(wanted)}"] = wanted
    builders = {
        name: InputBuilder(own, threads=threads, training=training, augment=augment) for name, own in specs.items()
    }
    times: dict[str, list[float]] = {name: [] for name in builders}
    first: dict[str, tuple[float, dict[str, float]]] = {}
    for frame in frames:
        frame.sweeps()
    for number in track(range(rounds + 1), "measuring", rounds + 1):
        for place, frame in enumerate(frames):
            for name, builder in builders.items():
                start = perf_counter()
                once_s = builder.build(frame, draw=draw_of(draw, place)).once_s
                took_ms = (perf_counter() - start) * 1e3
                # the first round compiles and allocates
                if number:
                    times[name].append(took_ms)
                else:
                    first.setdefault(name, (took_ms, in_ms(once_s)))
    return [_line(name, took, *first[name]) for name, took in times.items()]


def rows_of_all(training: bool) -> list[Any]:
    """Returns the names of all features; of targets only in training, where they may be asked for."""
    return [feature.name for feature in canonical() if training or not feature.target]


def _line(name: str, took_ms: Sequence[float], first_ms: float, once_ms: dict[str, float]) -> dict[str, Any]:
    return {
        "tensors": name,
        "median ms": round(median(took_ms), 3),
        "least ms": round(min(took_ms), 3),
        "frames/s": round(1e3 / median(took_ms), 1),
        "first ms": round(first_ms, 3),
        "of it loading": once_ms.get(LOADING, 0.0),
        "of it compiling": once_ms.get(COMPILING, 0.0),
    }


def _name(row: Any) -> str:
    if isinstance(row, str):
        return row
    return str(row["name"] if isinstance(row, dict) else row.name)
