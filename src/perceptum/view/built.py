"""What a spec builds of a frame, to look at: every tensor as it was built, never the records that it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.features import Feature, Group, Resolved, Spec, SpecError, canonical
from perceptum.inputs import Frame

from .drawings import DRAWINGS, Drawing, Kind
from .panels import Panel, Range, draw_panels

__all__ = ["BuiltScene"]

_BEHIND = "behind"
"""Begins the suffix of what is built only to be drawn behind something."""


@dataclass(frozen=True, eq=False)
class BuiltScene:
    """The kinds of tensors that a spec asks for, built of one frame."""

    frame: Frame
    draw: Draw | None
    panels: tuple[Panel, ...]
    not_drawn: Mapping[str, str]
    """Group, with its suffix -> why it is not drawn."""

    @classmethod
    def of(
        cls,
        frame: Frame,
        wanted: Sequence[Any],
        params: Mapping[str, Any] | None = None,
        *,
        training: bool = False,
        augment: Augment | None = None,
        draw: Draw | None = None,
    ) -> BuiltScene:
        """Builds what a spec asks for, and what is needed besides to draw that; raises as InputBuilder does.

        wanted, params, training, augment, draw: as for InputBuilder.
        """
        source = frame.log.source
        planned = _Planned(canonical().spec(wanted, params, training=training), bool(source.lidars))
        built = InputBuilder(planned.rows, training=training, augment=augment).build(frame, draw=draw)
        cameras = tuple(source.cameras)
        panels = [Panel(planned.kind(key, built, cameras), drawing) for key, drawing in planned.drawings()]
        return cls(frame, draw, tuple(panels), planned.not_drawn)

    @property
    def title(self) -> str:
        source = self.frame.log.source
        drawn = "" if self.draw is None else f", draw {self.draw.seed},{self.draw.epoch},{self.draw.index}"
        return f"{source.dataset} {source.name}, {self.frame}{drawn}"

    def save(self, path: Path, range_m: Range | None = None) -> dict[str, Any]:
        """Writes a PNG, a panel for each kind; returns what was drawn, and what was not and why, as plain data."""
        said, failed = draw_panels(self.panels, path, self.title, range_m)
        frame = self.frame
        panels = [
            {"kind": panel.kind.title, "tensors": list(panel.kind.asked), "frame": panel.kind.frame, "shows": words}
            for panel, words in zip(self.panels, said, strict=True)
            if words is not None
        ]
        return {
            "frame": frame.index,
            "frame_id": frame.id,
            "time_ns": frame.time_ns,
            "panels": panels,
            "not_drawn": {**self.not_drawn, **failed},
        }


_Key = tuple[str, str]
"""Group and suffix."""


class _Planned:
    """The rows of a spec, and with them those that the drawings need."""

    def __init__(self, spec: Spec, with_lidar: bool) -> None:
        self._schema = canonical()
        self._asked = self._schema.resolve(spec)
        self.rows: list[Any] = [one.row for one in self._asked]
        self.not_drawn: dict[str, str] = {}
        self._with_lidar = with_lidar
        self._of: dict[_Key, list[Resolved]] = {}
        self._behind: dict[_Key, dict[str, tuple[str, Any]]] = {}
        for one in self._asked:
            self._of.setdefault((one.group.name, one.suffix), []).append(one)
        for number, ((group, suffix), rows) in enumerate(self._of.items()):
            drawing = DRAWINGS.get(group)
            if drawing is None:
                self.not_drawn[_title(group, suffix)] = "there is no drawing of it"
                continue
            self._add_needs(rows, drawing)
            self._behind[group, suffix] = dict(self._add_behind(rows[0].params, drawing, f"{_BEHIND}{number}"))

    def drawings(self) -> Iterator[tuple[_Key, Drawing]]:
        return ((key, DRAWINGS[key[0]]) for key in self._of if key[0] in DRAWINGS)

    def kind(self, key: _Key, built: Mapping[str, Any], cameras: tuple[str, ...]) -> Kind:
        (name, suffix), rows = key, self._of[key]
        group = rows[0].group
        behind = {
            other: Kind(other, own, params, (), _tensors(self._schema.group(other), own, built), cameras)
            for other, (own, params) in self._behind.get(key, {}).items()
        }
        asked = tuple(row.name for row in rows)
        return Kind(name, suffix, rows[0].params, asked, _tensors(group, suffix, built), cameras, behind)

    def _add_needs(self, rows: Sequence[Resolved], drawing: Drawing) -> None:
        there = {one.feature.name for one in rows}
        sizes = {
            size: dim
            for one in rows
            for size, dim in zip(one.sizes, one.row.shape, strict=True)
            if isinstance(size, str) and isinstance(dim, int)
        }
        first = rows[0]
        for name in (*drawing.needs, *drawing.also):
            if name not in there:
                feature = next(one for one in first.group if one.name == name)
                self._try([_row(feature, first.suffix, first.params, sizes)])

    def _add_behind(self, params: Any, drawing: Drawing, suffix: str) -> Iterator[tuple[str, tuple[str, Any]]]:
        for name, given in drawing.behind(params, self._asked).items():
            if name.startswith("lidar") and not self._with_lidar:
                continue
            group = self._schema.group(name)
            needs = DRAWINGS[name].needs if name in DRAWINGS else (group.features[0].name,)
            try:
                own = group.params.replace(dict(given), name)
                rows = [_row(one, suffix, own, {}) for one in group if one.name in needs]
            except SpecError:
                continue
            if self._try(rows):
                yield name, (suffix, own)

    def _try(self, more: Sequence[Mapping[str, Any]]) -> bool:
        """Adds rows where the spec with them can be built: one that cuts a tensor's rows may not be."""
        try:
            self._schema.resolve(self._schema.spec([*self.rows, *more]))
        except SpecError:
            return False
        self.rows += more
        return True


def _row(feature: Feature, suffix: str, params: Any, sizes: Mapping[str, int]) -> dict[str, Any]:
    shape = [sizes.get(size) if isinstance(size, str) else size for size in feature.sizes(params)]
    dtype = feature.dtypes[0]
    return {"name": _title(feature.name, suffix), "dtype": dtype, "shape": shape, "params": params.to_dict()}


def _title(name: str, suffix: str) -> str:
    return f"{name}__{suffix}" if suffix else name


def _tensors(group: Group, suffix: str, built: Mapping[str, Any]) -> dict[str, Any]:
    named = {feature.name: _title(feature.name, suffix) for feature in group}
    return {feature: built[name] for feature, name in named.items() if name in built}
