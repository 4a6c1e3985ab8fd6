"""Judges boxes by nuscenes-devkit and by av2. It runs in their environment, without us:

    .venv-devkit/bin/python tests/problems/devkits_judge.py

Each line of its input is JSON: {"judge": "nuscenes" | "argoverse2" | "roi" | "root", "boxes": file.npz}; for each it
writes {"summary": numbers, "classes": {name: numbers}, "seconds": from boxes that are loaded to the summary}, or what
the judge says that it returns.

The file has `classes`, names; pred_ and gt_: boxes (n, 7), label (n,), frame (n,), pred_score and
gt_points; for nuScenes velocity (n, 2) and attribute (n,), all in axes level with the world's, about each frame's
vehicle, which is at `vehicle` (frames, 3); and racks (k, 7) with rack_frame (k,).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

import numpy as np

NAMES = {"trans_err": "ATE", "scale_err": "ASE", "orient_err": "AOE", "vel_err": "AVE", "attr_err": "AAE"}


def quaternion(yaw_rad):
    return [float(np.cos(yaw_rad / 2)), 0.0, 0.0, float(np.sin(yaw_rad / 2))]


class Tables:
    """As much of a NuScenes as its filter asks for: where bicycle racks are."""

    def __init__(self, given):
        self.racks = {}
        for k, (box, frame) in enumerate(zip(given["racks"], given["rack_frame"], strict=True)):
            self.racks[f"rack {k}"] = {
                "category_name": "static_object.bicycle_rack",
                "translation": (box[:3] + given["vehicle"][frame]).tolist(),
                "size": box[[4, 3, 5]].tolist(),
                "rotation": quaternion(box[6]),
                "frame": str(frame),
            }

    def get(self, table, token):
        if table == "sample":
            return {"anns": [name for name, rack in self.racks.items() if rack["frame"] == token]}
        return self.racks[token]


def nuscenes_boxes(given, side, names, attributes):
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.detection.data_classes import DetectionBox

    of_frame = {str(frame): [] for frame in range(len(given["vehicle"]))}
    for i, (box, frame) in enumerate(zip(given[f"{side}_boxes"], given[f"{side}_frame"], strict=True)):
        attribute = int(given[f"{side}_attribute"][i])
        of_frame[str(frame)].append(
            DetectionBox(
                sample_token=str(frame),
                translation=tuple((box[:3] + given["vehicle"][frame]).tolist()),
                size=tuple(box[[4, 3, 5]].tolist()),
                rotation=tuple(quaternion(box[6])),
                velocity=tuple(given[f"{side}_velocity"][i].tolist()),
                ego_translation=tuple(box[:3].tolist()),
                num_pts=int(given["gt_points"][i]) if side == "gt" else -1,
                detection_name=names[int(given[f"{side}_label"][i])],
                detection_score=float(given["pred_score"][i]) if side == "pred" else -1.0,
                attribute_name="" if attribute < 0 else attributes[attribute],
            )
        )
    boxes = EvalBoxes()
    for token, found in of_frame.items():
        boxes.add_boxes(token, found)
    return boxes


def by_nuscenes(given):
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.loaders import filter_eval_boxes
    from nuscenes.eval.detection.constants import ATTRIBUTE_NAMES
    from nuscenes.eval.detection.evaluate import DetectionEval

    names = given["classes"].tolist()
    judge = DetectionEval.__new__(DetectionEval)
    judge.cfg, judge.verbose = config_factory("detection_cvpr_2019"), False
    pred, gt = (nuscenes_boxes(given, side, names, ATTRIBUTE_NAMES) for side in ("pred", "gt"))
    start = time.perf_counter()
    tables = Tables(given)
    judge.pred_boxes = filter_eval_boxes(tables, pred, judge.cfg.class_range) if pred.all else pred
    judge.gt_boxes = filter_eval_boxes(tables, gt, judge.cfg.class_range) if gt.all else gt
    metrics, _ = judge.evaluate()
    found = metrics.serialize()
    seconds = time.perf_counter() - start
    summary = {"NDS": found["nd_score"], "mAP": found["mean_ap"]}
    summary |= {f"m{own}": found["tp_errors"][name] for name, own in NAMES.items()}
    classes = {
        name: {"AP": found["mean_dist_aps"][name]}
        | {own: found["label_tp_errors"][name][error] for error, own in NAMES.items()}
        | {f"AP@{limit:g}m": ap for limit, ap in found["label_aps"][name].items()}
        for name in names
    }
    return {"summary": summary, "classes": classes, "seconds": seconds}


def by_argoverse2(given):
    import pandas as pd
    from av2.evaluation.detection import eval as av2_eval
    from av2.evaluation.detection.utils import DetectionCfg

    def table(side):
        boxes = given[f"{side}_boxes"]
        columns = dict(zip(("tx_m", "ty_m", "tz_m", "length_m", "width_m", "height_m"), boxes[:, :6].T, strict=True))
        columns |= dict(
            zip(("qw", "qx", "qy", "qz"), np.reshape([quaternion(yaw) for yaw in boxes[:, 6]], (-1, 4)).T, strict=True)
        )
        columns |= {"log_id": "log", "timestamp_ns": given[f"{side}_frame"]}
        columns["category"] = np.array(given["classes"])[given[f"{side}_label"]]
        columns["score" if side == "pred" else "num_interior_pts"] = given[
            "pred_score" if side == "pred" else "gt_points"
        ]
        return pd.DataFrame(columns)

    class Here:
        """As a pool of processes, without any: on two cores they take longer to start than this takes."""

        def __init__(self, processes):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def starmap(self, function, arguments):
            return [function(*one) for one in arguments]

    class Context:
        Pool = Here

    kept = {}

    def summarize(dts, gts, cfg):
        kept["metrics"] = plain(dts, gts, cfg)
        return kept["metrics"].copy()

    plain = av2_eval.summarize_metrics
    cfg = DetectionCfg(eval_only_roi_instances=False, categories=tuple(given["classes"].tolist()))
    dts, gts = table("pred"), table("gt")
    start = time.perf_counter()
    av2_eval.mp.get_context, av2_eval.summarize_metrics = (lambda _: Context), summarize
    try:
        av2_eval.evaluate(dts, gts, cfg, n_jobs=1)
    finally:
        av2_eval.summarize_metrics = plain
    seconds = time.perf_counter() - start
    # as it is before it is rounded to three decimals
    metrics = kept["metrics"]
    mean = metrics.mean()
    summary = {"CDS": mean["CDS"], "mAP": mean["AP"], "mATE": mean["ATE"], "mASE": mean["ASE"], "mAOE": mean["AOE"]}
    classes = {name: {key: float(value) for key, value in row.items()} for name, row in metrics.iterrows()}
    return {"summary": {k: float(v) for k, v in summary.items()}, "classes": classes, "seconds": seconds}


def in_roi(given):
    """Which `boxes` (n, 7), ego frame, av2 takes to be in the region of interest of the log in the folder `log`."""
    from pathlib import Path

    from av2.evaluation.detection.utils import compute_objects_in_roi_mask
    from av2.map.map_api import ArgoverseStaticMap
    from av2.utils.io import read_city_SE3_ego

    log, boxes = Path(str(given["log"])), given["boxes"]
    pose = read_city_SE3_ego(log)[int(given["time_ns"])]
    api = ArgoverseStaticMap.from_map_dir(log / "map", build_raster=True)
    turned = np.reshape([quaternion(yaw) for yaw in boxes[:, 6]], (-1, 4))
    return compute_objects_in_roi_mask(np.column_stack([boxes[:, :6], turned]), pose, api).tolist()


def of_a_root(given):
    """The devkit's own way, from tables and a file of results: `root`, `version`, `results`."""
    import tempfile

    from nuscenes import NuScenes
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.evaluate import DetectionEval

    nusc = NuScenes(str(given["version"]), str(given["root"]), verbose=False)
    config = config_factory("detection_cvpr_2019")
    with tempfile.TemporaryDirectory() as folder:
        judge = DetectionEval(nusc, config, str(given["results"]), "mini_val", folder, verbose=False)
        found = judge.evaluate()[0].serialize()
    errors = {f"m{own}": found["tp_errors"][name] for name, own in NAMES.items()}
    return {"NDS": found["nd_score"], "mAP": found["mean_ap"], **errors}


JUDGES = {"nuscenes": by_nuscenes, "argoverse2": by_argoverse2, "roi": in_roi, "root": of_a_root}


def main():
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    for line in sys.stdin:
        asked = json.loads(line)
        with np.load(asked["boxes"]) as arrays, contextlib.redirect_stdout(sys.stderr):
            found = JUDGES[asked["judge"]](dict(arrays))
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
