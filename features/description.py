"""What is shown of a feature: the same in `pc.features()`, `perceptum features` and the docs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec

from .collate import Concat
from .family import family_of
from .feature import Feature
from .group import Group
from .models import used_by
from .parameter import parameters_of, set_name, shared_by
from .params import Params
from .radar import STATES
from .vocabulary import COLUMN_MEANINGS, COLUMN_UNITS, CUTS, FRAMES, UNITS

__all__ = ["column_in_words", "describe", "first_sentence", "folded", "values_of"]


def describe(group: Group, feature: Feature, preset: str | None = None) -> dict[str, Any]:
    """Returns all that there is to say of a feature as plain data, ready for JSON; raises SpecError for the preset.

    What follows from the parameters (shape, sizes, caps, params, each one's value, columns, drawing) is that of the
    preset.
    """
    params = _params_under(group, preset)
    said = feature.to_dict(params)
    first = {key: said.pop(key) for key in ("dtypes", "shape", "units", "frame")}
    prose = said.pop("prose")
    sizes = feature.sizes(params)
    return {
        "name": said.pop("name"),
        "family": family_of(group),
        "group": group.name,
        **first,
        "sizes": list(sizes),
        "caps": {dim: params.cap(dim) for dim in sizes if isinstance(dim, str)},
        "params": params.to_dict(),
        **said,
        "prose": prose,
        "in_words": dict(_facts(feature, params)),
        "columns": _columns(params) if feature.units == "mixed" else [],
        "used_by": list(used_by(feature.name)),
        "drawing": group.draw(params),
        "parameter_set": set_name(type(group.params)),
        "parameters": list(_parameters(group, params)),
        "shared": [{"name": shared.name, "prose": shared.prose} for shared in shared_by(group.params)],
        "presets": {name: msgspec.to_builtins(group.preset(name)) for name in group.presets},
    }


def _parameters(group: Group, params: Params) -> Iterator[dict[str, Any]]:
    """Yields what each parameter may be and is where nothing is said, and what it is under `params`."""
    plain = params.to_dict()
    values = {parameter.name: parameter.default for parameter in parameters_of(params)}
    for parameter in parameters_of(group.params):
        # an object that is null by default, and is shown with its fields behind it
        value = values.get(parameter.name, plain.get(parameter.name))
        yield {**msgspec.to_builtins(parameter), "value": msgspec.to_builtins(value)}


def _params_under(group: Group, preset: str | None) -> Params:
    """Returns the group's own parameters, or those of a preset; raises SpecError with the nearest name."""
    if preset is None:
        return group.params
    return group.params.replace(group.preset(preset).values(), f"'{group.name}'")


def _columns(params: Params) -> list[dict[str, str]]:
    """Returns name, unit and meaning of each column or channel of a tensor whose unit is "mixed"."""
    return [
        {"name": name, "unit": COLUMN_UNITS[name], "prose": column_in_words(name)}
        for name in params.column_names()
        if name in COLUMN_UNITS
    ]


def column_in_words(name: str) -> str:
    """Returns what a column holds, with the meaning of each code where it holds codes."""
    codes = ", ".join(f"{code} {meaning}" for code, meaning in STATES.get(name, {}).items())
    said = COLUMN_MEANINGS.get(name, "")
    return f"{said}: {codes}" if codes else said


def _facts(feature: Feature, params: Params) -> Iterator[tuple[str, str]]:
    """Yields what holds of the feature's tensors, as (word, sentence): the words of the code, explained."""
    if feature.target:
        yield "target", "what a model is to learn: made in training only, and never an input of a model"
    yield "shape", _shape_in_words(feature, params)
    others = feature.dtypes[1:]
    yield "dtype", feature.dtypes[0] + (f"; {' or '.join(others)} where a spec says so" if others else "")
    yield "unit", f"{feature.units}: {UNITS[feature.units]}"
    named = f" ({params.parts()['frame']})" if feature.frame == "reference" else ""
    yield "frame of reference", f"{feature.frame}: {FRAMES[feature.frame]}{named}"
    yield "fill", f"{feature.fill:g}: what padding, and cells in which there is nothing, hold"
    if feature.cut is not None:
        yield "if cut", CUTS[feature.cut]
    if feature.counts is not None:
        yield "counts", f"how many rows of {feature.counts} are real"
    yield "in a batch", _batch_in_words(feature)
    yield "definition", f"version {feature.definition}, which goes up when the same parameters give other bytes"
    if models := used_by(feature.name):
        yield "used by", ", ".join(models)


def _shape_in_words(feature: Feature, params: Params) -> str:
    """Returns the shape in names and in numbers: (num_voxels, P, C) = (num_voxels, 10, 5); num_voxels: ..."""
    axes, sizes = feature.axes(params), feature.sizes(params)
    said = _shape(axes) + (f" = {_shape(sizes)}" if axes != sizes else "")
    for dim in dict.fromkeys(size for size in sizes if isinstance(size, str)):
        cap = params.cap(dim)
        said += f"; {dim}: what the frame has" + (f", at most {cap}" if cap is not None else "")
    return said


def _shape(axes: tuple[Any, ...]) -> str:
    """Returns a shape as numpy shows it."""
    return f"({', '.join(map(str, axes))}{',' * (len(axes) == 1)})"


def _batch_in_words(feature: Feature) -> str:
    how = feature.collate
    if not isinstance(how, Concat):
        return "a new first axis, one place per frame"
    parts = [f"one frame after the other along axis {how.axis}; ..._batch_ptr says where each begins"]
    if how.index == "column":
        parts.append("the frame's number becomes a first column")
    if how.index == "offset":
        parts.append(f"the values are raised by the rows that the frames before have in {how.offset_of}")
    return "; ".join(parts)


def first_sentence(prose: str, target: bool = False) -> str:
    """Returns the first sentence on a feature, and of a target that it is one."""
    return prose.partition(". ")[0].removesuffix(".") + "." + " In training only." * target


def values_of(plain: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the values of parameters by the names under which they are shown: grid.voxel."""
    for name, value in plain.items():
        if isinstance(value, dict):
            yield from values_of(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def folded(text: str, wide: int | None, first: str = "    ", rest: str = "    ") -> str:
    """Returns text in lines of at most `wide` letters if not None, which begin with `first` and then with `rest`."""
    if wide is None:
        return first + text
    # a list or a path stays whole, however long
    lines = textwrap.TextWrapper(max(wide, 40), first, rest, break_long_words=False, break_on_hyphens=False)
    return lines.fill(text)
