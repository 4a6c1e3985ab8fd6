"""Radar detections: which are kept, where they are seen from the reference, what follows from what was measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .load import FAR

__all__ = ["OUT", "RAW", "place", "show"]

RAW = (
    *("x", "y", "z", "rcs", "vx", "vy", "vx_comp", "vy_comp", "v_radial", "v_radial_comp"),
    *("dyn_prop", "ambig_state", "invalid_state", "pdh0", "id", "is_quality_valid"),
    *("x_rms", "y_rms", "vx_rms", "vy_rms", "scan"),
)
"""The columns of a record, in the order of `raw`."""
_X, _Y, _Z, _RCS, _VX, _VY, _VX_COMP, _VY_COMP, _V_RADIAL, _V_RADIAL_COMP = range(10)
_DYN_PROP, _AMBIG_STATE, _INVALID_STATE, _PDH0 = range(10, 14)

OUT = (*RAW[:10], "time_lag", "sweep", "azimuth", "range", *RAW[10:])
"""The columns of one number, in the order of `out`."""
_TIME_LAG, _SWEEP, _AZIMUTH, _RANGE, _CODES = range(10, 15)

_FIRST = len(OUT)
"""Of the blocks, columns of several numbers for each of the four states, which follow in `out`."""


@inner
def _finite(value: Any) -> Any:
    """A float32, 0 where it is not finite."""
    number = np.float32(value)
    return number if abs(number) < np.inf else np.float32(0)


@inner
def _scaled(value: Any, low: float, width: float) -> Any:
    """(value - low) / width as float32; 0, and not what 0 would become, where it is not finite."""
    number = np.float32(value)
    return _finite((number - low) / width) if abs(number) < np.inf else np.float32(0)


@inner
def _is_code(code: Any, most: int) -> Any:
    return bool(code >= 0 and code <= most and code == np.floor(code))


@inner
def _is_whole(code: Any) -> Any:
    return bool(abs(code) < np.inf and code == np.floor(code))


@kernel
def place(
    raw: Any,
    has: Any,
    ends: Any,
    origins: Any,
    full: Any,
    moves: Any,
    turns: Any,
    sensor_mps: Any,
    ray_change: Any,
    lags_s: Any,
    ranks: Any,
    looked_at: Any,
    keep: Any,
    close: float,
    near: float,
    far: float,
    drop_features: bool,
    advance: bool,
    ranges: Any,
    wanted: Any,
    lacks: Any,
    widths: Any,
    out: Any,
) -> tuple[int, int, int, int, int]:
    """Writes the columns of the detections that are kept.

    Returns how many are kept; how many are not finite, are dropped by their states, and by their place; and the number
    of the first one with a state that is not a code, where the filter or a block looks at it, or not a whole number,
    or -1.
    raw: (21, n) float64, as RAW, in the sensor's axes. has: (S, 21) bool: which of them cycle s has; ends: (S,) int64,
    where it ends. origins: (S, 3) float64: where its rays start, NaN if unknown. full: (S,) bool: whether its vectors
    are more than the part along the ray. moves: (S, 3, 4) float64, from the sensor to the reference. turns:
    (S, 2, 3, 3) float64: how shown velocities are turned, and those by which places are advanced. sensor_mps: (S, 3)
    float64: its speed over ground in its own axes. ray_change: (3, 3) float64, a similarity that rays are shown after,
    and speeds along them; (0, 3): as measured. lags_s: (S,) float64, ranks: (S,) int64. looked_at: (3,) and keep:
    (3, codes) bool: which of dyn_prop, ambig_state and invalid_state decide, and the codes that stay. close, near, far:
    metres, as the parameters. ranges: (2, 2) float64: low and width, of rcs and of velocities. wanted: (29,) bool: of
    OUT, then of the blocks; lacks: (S, 29) bool: what cannot be known of cycle s, and is 0. widths: (4,) int64: of the
    blocks. out: (63, >= n) float32; x, y, z are always written.
    """
    kept = nonfinite = by_state = by_place = begin = 0
    changes = len(ray_change) > 0
    # of a similarity any row is as long
    scale = math.sqrt(ray_change[0, 0] ** 2 + ray_change[0, 1] ** 2 + ray_change[0, 2] ** 2) if changes else 1.0
    # blocks are mostly 0: row by row here, then only the ones, 115 us against 154 for all of 3682 detections
    row = _FIRST
    for block in range(4):
        for _ in range(widths[block]):
            if wanted[_FIRST + block]:
                for i in range(ends[-1] if len(ends) else 0):
                    out[row, i] = 0
            row += 1
    for s in range(len(ends)):
        own, move, turn, ahead, lost = has[s], moves[s], turns[s, 0], turns[s, 1], lacks[s]
        has_vector, has_radial = own[_VX] and own[_VY], own[_V_RADIAL]
        has_vector_comp, has_radial_comp = own[_VX_COMP] and own[_VY_COMP], own[_V_RADIAL_COMP]
        for i in range(begin, ends[s]):
            x, y, z = raw[_X, i], raw[_Y, i], raw[_Z, i]
            bad = not (abs(x) < FAR and abs(y) < FAR and abs(z) < FAR)
            if drop_features:
                for column in range(_RCS, _V_RADIAL_COMP + 1):
                    bad |= own[column] and not abs(np.float32(raw[column, i])) < np.inf
            if bad:
                nonfinite += 1
                continue
            stays = True
            for state in range(3):
                if looked_at[state] and own[_DYN_PROP + state]:
                    code = raw[_DYN_PROP + state, i]
                    if not _is_code(code, widths[state] - 1):
                        return kept, nonfinite, by_state, by_place, i
                    stays &= keep[state, np.int64(code)]
            if not stays:
                by_state += 1
                continue
            if abs(x) < close and abs(y) < close:
                by_place += 1
                continue
            from_x, from_y, from_z = x - origins[s, 0], y - origins[s, 1], z - origins[s, 2]
            distance = math.sqrt(from_x * from_x + from_y * from_y + from_z * from_z)
            # at the radar itself there is no direction, and from an unknown place neither: what follows is not known
            per_m = 1 / distance if distance > 0 else np.nan
            ray_x, ray_y, ray_z = from_x * per_m, from_y * per_m, from_z * per_m

            # relative to the sensor: as a vector and along the ray, each by the other where it is not recorded
            radial = raw[_V_RADIAL, i] if has_radial else 0.0
            vx, vy, vz = radial * ray_x, radial * ray_y, radial * ray_z
            if has_vector:
                vx, vy, vz = raw[_VX, i], raw[_VY, i], 0.0
                if not has_radial:
                    radial = ray_x * vx + ray_y * vy

            # over ground: as recorded, else with the sensor's own speed taken out
            own_x, own_y, own_z = sensor_mps[s, 0], sensor_mps[s, 1], sensor_mps[s, 2]
            radial_comp = radial + ray_x * own_x + ray_y * own_y + ray_z * own_z
            if has_radial_comp:
                radial_comp = raw[_V_RADIAL_COMP, i]
            elif has_vector_comp:
                radial_comp = ray_x * raw[_VX_COMP, i] + ray_y * raw[_VY_COMP, i]
            cx, cy, cz = radial_comp * ray_x, radial_comp * ray_y, radial_comp * ray_z
            if has_vector_comp:
                cx, cy, cz = raw[_VX_COMP, i], raw[_VY_COMP, i], 0.0
            elif full[s] and has_vector and not (has_radial_comp and distance == distance):
                cx, cy, cz = vx + own_x, vy + own_y, vz + own_z

            there_x = move[0, 0] * x + move[0, 1] * y + move[0, 2] * z + move[0, 3]
            there_y = move[1, 0] * x + move[1, 1] * y + move[1, 2] * z + move[1, 3]
            there_z = move[2, 0] * x + move[2, 1] * y + move[2, 2] * z + move[2, 3]
            if advance and not lost[_VX_COMP]:
                by_x = (ahead[0, 0] * cx + ahead[0, 1] * cy + ahead[0, 2] * cz) * lags_s[s]
                by_y = (ahead[1, 0] * cx + ahead[1, 1] * cy + ahead[1, 2] * cz) * lags_s[s]
                # a speed that is not known moves nothing
                there_x += by_x if abs(by_x) < FAR else 0.0
                there_y += by_y if abs(by_y) < FAR else 0.0
            if not (abs(there_x) < FAR and abs(there_y) < FAR and abs(there_z) < FAR):
                nonfinite += 1
                continue
            out[0, kept], out[1, kept], out[2, kept] = there_x, there_y, there_z
            if near > 0 or far < np.inf:
                away_x, away_y = np.float64(out[0, kept]), np.float64(out[1, kept])
                away = math.sqrt(away_x * away_x + away_y * away_y)
                if (near > 0 and away <= near) or away >= far:
                    by_place += 1
                    continue

            low, width = ranges[1, 0], ranges[1, 1]
            if wanted[_RCS]:
                out[_RCS, kept] = _scaled(raw[_RCS, i], ranges[0, 0], ranges[0, 1]) if own[_RCS] else 0
            if wanted[_VX]:
                shown = np.nan if lost[_VX] else turn[0, 0] * vx + turn[0, 1] * vy + turn[0, 2] * vz
                out[_VX, kept] = _scaled(shown, low, width)
            if wanted[_VY]:
                shown = np.nan if lost[_VY] else turn[1, 0] * vx + turn[1, 1] * vy + turn[1, 2] * vz
                out[_VY, kept] = _scaled(shown, low, width)
            if wanted[_VX_COMP]:
                shown = np.nan if lost[_VX_COMP] else turn[0, 0] * cx + turn[0, 1] * cy + turn[0, 2] * cz
                out[_VX_COMP, kept] = _scaled(shown, low, width)
            if wanted[_VY_COMP]:
                shown = np.nan if lost[_VY_COMP] else turn[1, 0] * cx + turn[1, 1] * cy + turn[1, 2] * cz
                out[_VY_COMP, kept] = _scaled(shown, low, width)
            if wanted[_V_RADIAL]:
                out[_V_RADIAL, kept] = _scaled(np.nan if lost[_V_RADIAL] else radial * scale, low, width)
            if wanted[_V_RADIAL_COMP]:
                shown = np.nan if lost[_V_RADIAL_COMP] else radial_comp * scale
                out[_V_RADIAL_COMP, kept] = _scaled(shown, low, width)
            if wanted[_TIME_LAG]:
                out[_TIME_LAG, kept] = lags_s[s]
            if wanted[_SWEEP]:
                out[_SWEEP, kept] = ranks[s]
            if wanted[_AZIMUTH]:
                ahead_x, ahead_y = from_x, from_y
                if changes:
                    ahead_x = ray_change[0, 0] * from_x + ray_change[0, 1] * from_y + ray_change[0, 2] * from_z
                    ahead_y = ray_change[1, 0] * from_x + ray_change[1, 1] * from_y + ray_change[1, 2] * from_z
                out[_AZIMUTH, kept] = _finite(math.atan2(ahead_y, ahead_x))
            if wanted[_RANGE]:
                out[_RANGE, kept] = _finite(distance * scale)
            for column in range(_DYN_PROP, len(RAW)):
                to = column - _DYN_PROP + _CODES
                if wanted[to]:
                    if column <= _PDH0 and own[column] and not _is_whole(raw[column, i]):
                        return kept, nonfinite, by_state, by_place, i
                    out[to, kept] = _finite(raw[column, i]) if own[column] else 0
            first = _FIRST
            for block in range(4):
                if wanted[_FIRST + block]:
                    column = _DYN_PROP + block
                    if own[column]:
                        code = raw[column, i]
                        most = widths[block] if column == _PDH0 else widths[block] - 1
                        if not _is_code(code, most):
                            return kept, nonfinite, by_state, by_place, i
                        if column == _PDH0:
                            for k in range(np.int64(code)):
                                out[first + k, kept] = 1
                        else:
                            out[first + np.int64(code), kept] = 1
                first += widths[block]
            kept += 1
        begin = ends[s]
    return kept, nonfinite, by_state, by_place, -1


@kernel
def show(
    ids: Any,
    cloud: Any,
    picks: Any,
    sweeps: int,
    oldest_first: bool,
    size_xy: Any,
    place: Any,
    table: Any,
    columns: Any,
    dirty: Any,
    out: Any,
) -> int:
    """Writes detections seen from above to a flat `out` of zeros; returns how many elements are written.

    ids: (n,) cell ids, -1 outside. cloud: (63, >= n) float32, as OUT; picks: (6,) int64: x, y, sweep, rcs, vx, vy in
    it. sweeps: channels of occupancy, before those of rcs, vx, vy. size_xy: (2,) X, Y. place: (4,) base, strides of x,
    y and channels. table: (X * Y,) int32 of -1, and so again afterwards. columns: (>= n,) int64, work. dirty: (>= 4 n,)
    int64, the elements written, each once.
    """
    x, y, sweep = cloud[picks[0]], cloud[picks[1]], cloud[picks[2]]
    rcs, vx, vy = cloud[picks[3]], cloud[picks[4]], cloud[picks[5]]
    all_columns = size_xy[0] * size_xy[1]
    touched = found = 0
    for i in range(len(ids)):
        if ids[i] < 0:
            continue
        column: Any = np.int64(ids[i]) % all_columns
        row = column // size_xy[0]
        rank = np.int64(sweep[i])
        channel = sweeps - 1 - rank if oldest_first else rank
        element = place[0] + (column - row * size_xy[0]) * place[1] + row * place[2] + channel * place[3]
        if out[element] == 0:
            out[element] = 1
            dirty[touched] = element
            touched += 1
        best: Any = np.int64(table[column])
        if best < 0:
            columns[found] = column
            found += 1
            table[column] = i
        elif rcs[i] >= rcs[best]:
            away = np.float64(x[i]) * x[i] + np.float64(y[i]) * y[i]
            away_best = np.float64(x[best]) * x[best] + np.float64(y[best]) * y[best]
            if rcs[i] > rcs[best] or away < away_best:
                table[column] = i
    for k in range(found):
        own = columns[k]
        shown: Any = np.int64(table[own])
        table[own] = -1
        row = own // size_xy[0]
        element = place[0] + (own - row * size_xy[0]) * place[1] + row * place[2] + sweeps * place[3]
        out[element], out[element + place[3]], out[element + 2 * place[3]] = rcs[shown], vx[shown], vy[shown]
        for more in range(3):
            dirty[touched] = element + more * place[3]
            touched += 1
    return touched
