"""agent_raster."""

from __future__ import annotations

from typing import Annotated, Any

from .. import drawings
from ..birds_eye import BevLayout, FlipX, FlipY, birds_eye_axes
from ..checks import check_area
from ..errors import SpecError
from ..feature import Feature
from ..group import Group
from ..parameter import About
from .agents import LabelledParams, TracksParams
from .presets import RASTER

__all__ = ["GROUPS", "AgentRasterParams"]

_MOST_CELLS = 2**15
"""Along an edge."""


class AgentRasterParams(LabelledParams, frozen=True, kw_only=True):
    tracks: Annotated[TracksParams, About("Which boxes, and the times of their past.")] = TracksParams()
    ego: Annotated[bool, About("true: the vehicle itself is drawn too, by the log's poses.")] = False
    range: Annotated[tuple[float, float, float, float], About("xmin ymin xmax ymax of what is drawn.", "m")] = (
        -50.0,
        -50.0,
        50.0,
        50.0,
    )
    cell: Annotated[float, About("The length of a cell's edge.", "m")] = 0.5
    bev_layout: BevLayout = "CYX"
    flip_x: FlipX = False
    flip_y: FlipY = False
    colours: Annotated[
        tuple[tuple[int, int, int], ...] | None,
        About(
            "null: a channel for each step, the newest first, 1 where a box of an agent is; with `ego` as many again "
            "for the vehicle. Else a picture of 3 channels, red, green and blue: a colour, 0 to 255, for each class of "
            "`tracks.classes`, and with `ego` one more. Drawn over each other: the oldest step first; of one step in "
            "the order of track ids, the vehicle last."
        ),
    ] = None
    fade_from: Annotated[
        float,
        About(
            "With `colours`, how bright the oldest of an agent's boxes is; from box to box it grows evenly to the "
            "colour's own brightness, which the newest has.",
            "ratio",
            least=0,
        ),
    ] = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_area("range", self.range)
        if not 0 < self.cell < float("inf"):
            raise SpecError(f"cell must be above 0, got {self.cell:g}")
        for name, size in zip("XY", self.size(), strict=True):
            if not 1 <= size <= _MOST_CELLS:
                raise SpecError(f"range and cell give {size} cells along {name}, wanted 1 to {_MOST_CELLS}")
        if self.fade_from > 1:
            raise SpecError(f"fade_from must be at most 1, got {self.fade_from:g}")
        self._check_colours()

    def _check_colours(self) -> None:
        if self.colours is None:
            return
        wanted = self.tracks.ego_class + self.ego
        if len(self.colours) != wanted:
            raise SpecError(f"colours must be {wanted}, one for each class, got {len(self.colours)}")
        if not all(0 <= value <= 255 for colour in self.colours for value in colour):
            raise SpecError(f"colours must be from 0 to 255, got {[list(colour) for colour in self.colours]}")

    def size(self) -> tuple[int, int]:
        """Returns how many cells there are along x and y."""
        x_min, y_min, x_max, y_max = self.range
        return round((x_max - x_min) / self.cell), round((y_max - y_min) / self.cell)

    def meaning(self) -> dict[str, Any]:
        return {**self.to_dict(), "tracks": self.tracks.meaning()}

    def channels_count(self) -> int:
        if self.colours is not None:
            return 3
        return self.tracks.num_steps * (1 + self.ego)

    def order(self) -> tuple[str, ...]:
        """Returns the axes as they lie in memory, the slowest first; all of them are among `dims`."""
        return tuple(self.bev_layout)

    def dims(self) -> dict[str, int]:
        x, y = self.size()
        return {"C": self.channels_count(), "Y": y, "X": x}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("tracks", "ego", "colours") if dim == "C" else ("range", "cell")


GROUPS = (
    Group(
        name="agent_raster",
        params=AgentRasterParams(),
        drawing=drawings.agent_raster,
        presets=RASTER,
        features=(
            Feature(
                name="agent_raster",
                dtypes=("float32", "uint8"),
                shape=birds_eye_axes,
                units="none",
                frame="reference",
                prose="The boxes of the labelled agents at each step of the past, from above, all in the axes at the "
                "reference time. A cell is of a box where its centre is in it, its edges included. What agents the log "
                "gives no size are not seen.",
            ),
        ),
    ),
)
