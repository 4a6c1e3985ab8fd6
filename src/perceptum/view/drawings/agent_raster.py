"""agent_raster: boxes from above, the paler the longer ago."""

from __future__ import annotations

import numpy as np

from .birds_eye import blended, laid, reach_of_square
from .colors import faded
from .drawing import OnGround
from .ground import Ground
from .kind import Kind

__all__ = ["AGENT_RASTER"]


def _draw(ground: Ground, kind: Kind) -> str:
    params, reach = kind.params, reach_of_square(kind.params)
    channels = laid(kind["agent_raster"], params).astype(np.float32)
    if params.colours is not None:
        pixels = np.moveaxis(channels, 0, -1) / 255
        ground.cells(np.clip(pixels, 0, 1), reach)
        names = [one.name for one in params.tracks.whole_classes()] + ["the vehicle itself"]
        for name, color in zip(names, params.colours, strict=False):
            ground.name(name, tuple(part / 255 for part in color))
        return f"a picture of {len(params.colours)} colours"
    steps = params.tracks.num_steps
    shades = [faded("#1f4e79", 1 - 0.8 * step / steps) for step in range(steps)]
    own = [faded("#d62728", 1 - 0.8 * step / steps) for step in range(steps)] if params.ego else []
    # the newest is channel 0, and drawn last
    ground.cells(blended(channels[::-1], [*shades, *own][::-1]), reach)
    ground.name("agents now", shades[0])
    if steps > 1:
        ground.name(f"{(steps - 1) * params.tracks.dt:g} s ago", shades[-1])
    if own:
        ground.name("the vehicle itself", own[0])
    return f"{steps} steps, {np.count_nonzero(channels)} cells are of an agent"


AGENT_RASTER = OnGround(draw=_draw, cells=True, reach=reach_of_square)
