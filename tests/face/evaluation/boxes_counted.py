"""A problem of a team's own, as one file: how many objects are labelled around the vehicle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from perceptum.errors import UsageError
from perceptum.problems import Curve, JudgedProblem, Observation, Scores


@dataclass(frozen=True)
class BoxesCounted(JudgedProblem):
    """Models answer `count`; the fewer they are off, the better."""

    name: ClassVar[str] = "boxes_counted"
    lower_is_better: ClassVar[frozenset[str]] = frozenset({"error"})

    output_spec: Sequence[Any] = field(default=({"name": "count", "dtype": "float64", "shape": []},))
    near: float = 1.5
    """A count that is off by less than this is a hit."""

    @property
    def targets(self) -> Sequence[str]:
        return ["gt_num_boxes", "gt_valid"]

    def observe(self, model: Any, outputs: Mapping[str, Any], targets: Mapping[str, Any], frame: Any) -> Observation:
        count = np.asarray(outputs.get("count", ()))
        if count.shape != () or not np.isfinite(count):
            raise UsageError(f"output 'count' is {count}, wanted a number of objects")
        return {"count": np.array([float(count)]), "true": np.array(targets["gt_num_boxes"])}

    def score(self, observations: Sequence[Observation]) -> Scores:
        off = np.array([abs(float(one["count"][0]) - float(one["true"][0])) for one in observations])
        numbers = {
            "error": float(off.mean()) if len(off) else float("nan"),
            "hits": float((off < self.near).mean()) if len(off) else float("nan"),
        }
        lines = {"all": Curve(np.arange(len(off), dtype=np.float64), np.sort(off), "frame", "objects off")}
        return Scores(numbers, {"object": dict(numbers)}, {"sorted errors": lines}, {"frames counted": len(off)})
