"""The columns of sample_annotation and instance: the boxes, sorted by scene and sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord

from .records import columns_of, numbers_or_nan, starts_of
from .rows import AnnotationRow, InstanceRow
from .tokens import numbered, rows_of

__all__ = ["box_columns", "categories_of_instances"]

Columns = dict[str, NDArray[Any]]


def categories_of_instances(folder: Path, categories: Sequence[str]) -> tuple[list[str], Columns]:
    """Returns the tokens of instance.json, and its columns."""
    path = folder / "instance.json"
    row_of_category = numbered(categories)
    tokens: list[str] = []

    def convert(rows: list[InstanceRow]) -> Columns:
        tokens.extend(row.token for row in rows)
        category = rows_of(path, [row.category_token for row in rows], row_of_category, "category")
        return {"instance_category": category}

    columns = columns_of(path, InstanceRow, convert)
    encoded = [token.encode("ascii", "replace") for token in tokens]
    return tokens, {**columns, "instance_token": np.array(encoded, dtype=np.bytes_)}


def box_columns(
    folder: Path,
    samples: Sequence[str],
    scene_of_sample: NDArray[np.int32],
    instances: Sequence[str],
    visibilities: Sequence[str],
    attributes: Mapping[str, str],
    scenes: int,
) -> tuple[Columns, list[str]]:
    """Returns the boxes' columns, and the sets of attributes that they point into. Raises LogErrors."""
    path = folder / "sample_annotation.json"
    row_of_sample, row_of_instance = numbered(samples), numbered(instances)
    # -1 where it is not given
    row_of_visibility = {"": -1, **numbered(visibilities)}
    sets = _AttributeSets(path, attributes)

    def convert(rows: list[AnnotationRow]) -> Columns:
        return {
            "box_sample": rows_of(path, [row.sample_token for row in rows], row_of_sample, "sample"),
            "box_instance": rows_of(path, [row.instance_token for row in rows], row_of_instance, "instance"),
            "box_xyz": numbers_or_nan([row.translation for row in rows], 3),
            "box_wlh": numbers_or_nan([row.size for row in rows], 3),
            "box_wxyz": numbers_or_nan([row.rotation for row in rows], 4),
            "box_visibility": rows_of(
                path, [row.visibility_token or "" for row in rows], row_of_visibility, "visibility"
            ),
            "box_attribute_set": np.array([sets.row(row.attribute_tokens) for row in rows], dtype=np.int32),
            "box_lidar_points": np.array([row.num_lidar_pts for row in rows], dtype=np.int32),
            "box_radar_points": np.array([row.num_radar_pts for row in rows], dtype=np.int32),
        }

    columns = columns_of(path, AnnotationRow, convert)
    scene = scene_of_sample[columns["box_sample"]]
    order = np.lexsort((columns["box_sample"], scene))
    # one column after the other, so that only one is held twice
    columns = {name: columns.pop(name)[order] for name in list(columns)}
    return {**columns, "box_start": starts_of(scene, scenes)}, sets.texts


class _AttributeSets:
    """The sets of attributes met so far: few, though a million boxes have one."""

    def __init__(self, path: Path, names: Mapping[str, str]) -> None:
        self._path, self._names = path, names
        self._rows: dict[tuple[str, ...], int] = {(): 0}
        self.texts = [""]

    def row(self, tokens: Sequence[str]) -> int:
        key = tuple(tokens)
        if key not in self._rows:
            unknown = [token for token in key if token not in self._names]
            if unknown:
                raise BrokenRecord(f"{self._path}: a row names '{unknown[0][:80]}', which attribute.json does not have")
            self._rows[key] = len(self.texts)
            self.texts.append(",".join(self._names[token] for token in key))
        return self._rows[key]
