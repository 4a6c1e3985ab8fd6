"""One frame for two models: what both need is computed once, and neither changes what the other gets.

python examples/two_models.py [LOG]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import perceptum as pc
from perceptum.features import Spec

SPECS = Path(__file__).parent / "specs"


def rows(name: str, suffix: str) -> list[dict[str, object]]:
    """Returns a model's spec rows, its inputs and symbols told apart by a suffix."""
    found = []
    for row in Spec.from_json((SPECS / f"{name}.json").read_bytes()):
        shape = [f"{dim}_{suffix}" if isinstance(dim, str) else dim for dim in row.shape]
        found.append({**row.to_dict(), "name": f"{row.name}__{suffix}", "shape": shape})
    return found


def main() -> None:
    log = pc.open_log(sys.argv[1] if len(sys.argv) > 1 else "synthetic")
    frame = log[0]
    pillars, pixor = rows("pointpillars_kitti", "pillars"), rows("pixor_kitti", "pixor")

    both = pc.InputBuilder([*pillars, *pixor])
    both.build(frame)  # the first build loads and warms up; the second takes what every later one takes
    tensors = both.build(frame)
    print(both.explain())

    alone = pc.InputBuilder(pillars).build(frame)
    assert all(np.array_equal(alone[name], tensors[name]) for name in alone)
    print("PointPillars gets the same bytes with and without PIXOR beside it")


if __name__ == "__main__":
    main()
