"""Which detections KITTI's evaluation gives to which objects, and what of them is right, wrong and missed."""

from __future__ import annotations

from typing import Any

from perceptum.inputs.kernel import kernel

__all__ = ["COUNTS", "HITS", "NOT_OF_CLASS", "NOT_TO_FIND", "TO_FIND", "count", "match"]

NOT_OF_CLASS = -1
"""An object or detection that the class has nothing to do with."""
TO_FIND = 0
"""An object that must be found; a detection that is right or wrong."""
NOT_TO_FIND = 1
"""An object or detection that counts neither way, but may take a detection, or be taken by an object."""
HITS, COUNTS = 0, 1
"""How an object chooses: the detection of highest score, to see which scores there are; or of largest overlap."""
_NOTHING = -1


@kernel
def match(
    mode: int,
    begins: Any,
    pair_detection: Any,
    pair_overlap: Any,
    objects: Any,
    detections: Any,
    scores: Any,
    min_overlap: float,
    least_score: float,
    taken: Any,
    hits: Any,
) -> tuple[int, int]:
    """Gives detections to objects, one after the other; returns how many objects are found, and how many missed.

    mode: HITS or COUNTS. begins: (G + 1,) int64, where each object's pairs begin; pair_detection: (K,) int64 and
    pair_overlap: (K,) float64, of each object in the order of the detections. objects: (G,) int64, detections: (D,)
    int64: what each is for the class. scores: (D,) float64. Detections below `least_score` are not there. taken: (D,)
    bool, which are given away; all False. hits: (G,) float64, the scores of those that found an object.
    """
    found, missed = 0, 0
    for one in range(len(objects)):
        if objects[one] == NOT_OF_CLASS:
            continue
        # the largest overlap of one that counts: such a one goes before one that does not, however much that overlaps
        best, best_score, best_overlap = _NOTHING, 0.0, 0.0
        for pair in range(begins[one], begins[one + 1]):
            detection = pair_detection[pair]
            kind, score, overlap = detections[detection], scores[detection], pair_overlap[pair]
            if kind == NOT_OF_CLASS or taken[detection] or score < least_score or not overlap > min_overlap:
                continue
            if mode == HITS:
                if best == _NOTHING or score > best_score:
                    best, best_score = detection, score
            elif kind == TO_FIND:
                if overlap > best_overlap:
                    best, best_overlap = detection, overlap
            elif best == _NOTHING:
                best = detection
        if best == _NOTHING:
            missed += objects[one] == TO_FIND
            continue
        taken[best] = True
        if objects[one] == TO_FIND and detections[best] == TO_FIND:
            hits[found] = scores[best]
            found += 1
    return found, missed


@kernel
def count(
    begins: Any,
    pair_detection: Any,
    pair_overlap: Any,
    objects: Any,
    detections: Any,
    scores: Any,
    min_overlap: float,
    excused: Any,
    least_scores: Any,
    taken: Any,
    hits: Any,
    out: Any,
) -> None:
    """Writes for each least score how many are found, wrong and missed, (T, 3) int64.

    excused: (D,) bool, detections that are not wrong where nothing is. least_scores: (T,) float64. The others as
    `match` takes them.
    """
    for row in range(len(least_scores)):
        least = least_scores[row]
        taken[:] = False
        found, missed = match(
            COUNTS,
            begins,
            pair_detection,
            pair_overlap,
            objects,
            detections,
            scores,
            min_overlap,
            least,
            taken,
            hits,
        )
        wrong = 0
        for detection in range(len(scores)):
            counts = detections[detection] == TO_FIND and not scores[detection] < least
            wrong += counts and not taken[detection] and not excused[detection]
        out[row, 0], out[row, 1], out[row, 2] = found, wrong, missed
