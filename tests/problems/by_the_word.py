"""The two metrics once more, box by box and without a kernel, as their definitions read."""

from __future__ import annotations

import math

import numpy as np

LIMITS_M = (0.5, 1.0, 2.0, 4.0)
RANGE_M = {"pedestrian": 40, "motorcycle": 40, "bicycle": 40, "traffic_cone": 30, "barrier": 30}
AT = [k / 100 for k in range(101)]


def interpolated(x, xs, ys, beyond):
    """The line through points of falling or equal steps at x: that of the last one where several have one x."""
    if x > xs[-1]:
        return beyond
    if x < xs[0]:
        return ys[0]
    j = max(k for k, one in enumerate(xs) if one <= x)
    if xs[j] == x or j == len(xs) - 1:
        return ys[j]
    return ys[j] + (ys[j + 1] - ys[j]) / (xs[j + 1] - xs[j]) * (x - xs[j])


def rows(observations, side, label, keep):
    """(frame, observation, row) of what counts of a class."""
    return [
        (frame, one, i)
        for frame, one in enumerate(observations)
        for i in range(len(one[f"{side}_boxes"]))
        if one[f"{side}_label"][i] == label and keep(one, i)
    ]


def nuscenes_class(observations, label, name):
    """AP by limit, and the five errors by name."""
    within = RANGE_M.get(name, 50)

    def near(boxes, i):
        return math.hypot(*boxes[i, :2]) < within

    found = rows(observations, "pred", label, lambda o, i: near(o["pred_boxes"], i) and not o["pred_in_rack"][i])
    there = rows(
        observations,
        "gt",
        label,
        lambda o, i: near(o["gt_boxes"], i) and o["gt_points"][i] != 0 and not o["gt_in_rack"][i],
    )
    # the surest first, of equally sure ones the last
    found.reverse()
    found.sort(key=lambda one: -one[1]["pred_score"][one[2]])
    aps, errors = {}, dict.fromkeys(("ATE", "ASE", "AOE", "AVE", "AAE"), 1.0)
    for limit in LIMITS_M:
        taken, pairs, hits = set(), [], []
        for frame, one, i in found:
            free = [
                (math.dist(one["pred_boxes"][i, :2], o["gt_boxes"][j, :2]), j)
                for f, o, j in there
                if f == frame and (f, j) not in taken
            ]
            away, j = min(free, default=(math.inf, -1))
            hits.append(away < limit)
            if away < limit:
                taken.add((frame, j))
                pairs.append((one, i, j))
        if not pairs or not there:
            aps[limit] = 0.0
            continue
        recall = np.cumsum(hits) / len(there)
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        scores = [one["pred_score"][i] for _, one, i in found]
        at = [interpolated(r, recall, precision, 0) for r in AT]
        aps[limit] = sum(max(0, p - 0.1) for p in at[11:]) / 90 / 0.9
        if limit == 2:
            score_at = [interpolated(r, recall, scores, 0) for r in AT]
            last = max((k for k, s in enumerate(score_at) if s != 0), default=0)
            if last >= 11:
                errors = mean_errors(pairs, score_at[11 : last + 1], math.pi if name == "barrier" else 2 * math.pi)
    without = {"traffic_cone": ("AOE", "AVE", "AAE"), "barrier": ("AVE", "AAE")}.get(name, ())
    return aps, errors | dict.fromkeys(without, math.nan), len(there)


def mean_errors(pairs, score_at, period):
    each = [errors_of(one, i, j, period) for one, i, j in pairs]
    scores = [one["pred_score"][i] for one, i, _ in pairs]
    means = {}
    for name in each[0]:
        known = [k for k, one in enumerate(each) if not math.isnan(one[name])]
        running = []
        for k in range(len(each)):
            so_far = [each[m][name] for m in known if m <= k]
            running.append(sum(so_far) / len(so_far) if so_far else 0.0)
        if not known:
            running = [1.0] * len(each)
        line = [interpolated(s, scores[::-1], running[::-1], running[0]) for s in score_at]
        means[name] = sum(line) / len(line)
    return means


def errors_of(one, i, j, period):
    a, b = one["pred_boxes"][i], one["gt_boxes"][j]
    common = np.prod([min(x, y) for x, y in zip(a[3:6], b[3:6], strict=True)])
    turn = abs(a[6] - b[6]) % period
    known = one["gt_attribute"][j] >= 0
    return {
        "ATE": math.dist(a[:2], b[:2]),
        "ASE": 1 - common / (np.prod(a[3:6]) + np.prod(b[3:6]) - common),
        "AOE": min(turn, period - turn),
        "AVE": math.dist(one["pred_velocity"][i], one["gt_velocity"][j]),
        "AAE": float(one["pred_attribute"][i] != one["gt_attribute"][j]) if known else math.nan,
    }


def nuscenes(observations, classes):
    """The summary."""
    judged = [nuscenes_class(observations, k, name) for k, name in enumerate(classes)]
    mean_ap = np.mean([ap for aps, _, _ in judged for ap in aps.values()])
    errors = {f"m{name}": np.nanmean([one[name] for _, one, _ in judged]) for name in judged[0][1]}
    nds = (5 * mean_ap + sum(max(0, 1 - error) for error in errors.values())) / 10
    return {"NDS": nds, "mAP": mean_ap, **errors}


def argoverse2_class(observations, label):
    """AP, and the three errors."""
    there = rows(
        observations,
        "gt",
        label,
        lambda o, i: math.hypot(*o["gt_boxes"][i, :3]) < 150 and o["gt_points"][i] != 0,
    )
    found, pairs = [], []
    for frame, one in enumerate(observations):
        own = [i for i in range(len(one["pred_boxes"])) if one["pred_label"][i] == label]
        own.sort(key=lambda i: -one["pred_score"][i])
        own = [i for i in own if math.hypot(*one["pred_boxes"][i, :3]) < 150][:100]
        taken = set()
        for i in own:
            near = [(math.dist(one["pred_boxes"][i, :3], o["gt_boxes"][j, :3]), j) for f, o, j in there if f == frame]
            away, j = min(near, default=(math.inf, -1))
            found.append((frame, i, one["pred_score"][i], math.inf if j in taken else away))
            pairs.append((one, i, j))
            taken.add(j)
    worst = (2.0, 1.0, math.pi)
    if not there or not found:
        return 0.0, worst
    order = sorted(range(len(found)), key=lambda k: (-found[k][2], found[k][0], found[k][1]))
    aps = []
    for limit in LIMITS_M:
        hits = [found[k][3] < limit for k in order]
        recall, precision = np.cumsum(hits) / len(there), np.cumsum(hits) / np.arange(1, len(hits) + 1)
        best = [max(precision[k:]) for k in range(len(hits))]
        aps.append(np.mean([interpolated(r, recall, best, 0) for r in AT]))
    own = [turned(*pairs[k]) for k in range(len(found)) if found[k][3] < 2]
    return float(np.mean(aps)), tuple(np.mean(own, axis=0)) if own else worst


def turned(one, i, j):
    a, b = one["pred_boxes"][i], one["gt_boxes"][j]
    less, more = ([f(x, y) for x, y in zip(a[3:6], b[3:6], strict=True)] for f in (min, max))
    turn = abs(a[6] - b[6]) % (2 * math.pi)
    return math.dist(a[:3], b[:3]), 1 - np.prod(less) / np.prod(more), min(turn, 2 * math.pi - turn)


def argoverse2(observations, classes):
    """The summary."""
    judged = [argoverse2_class(observations, k) for k in range(len(classes))]
    cds = [ap * np.mean([1 - ate / 2, 1 - ase, 1 - aoe / math.pi]) for ap, (ate, ase, aoe) in judged]
    errors = np.mean([errors for _, errors in judged], axis=0)
    mean_ap = np.mean([ap for ap, _ in judged])
    return {"CDS": np.mean(cds), "mAP": mean_ap, "mATE": errors[0], "mASE": errors[1], "mAOE": errors[2]}
