"""Trains a small range-view detector in Keras, judges it on drives that it has not seen, and packs it.

    python examples/train/range_view_keras.py            # a minute and a half on two cores; no data needed
    python examples/train/range_view_keras.py --resume   # goes on after the last epoch that was finished

In the style of LaserNet (Meyer et al. 2019): every pixel of the lidar's own picture says what it is on, and where the
box around that is. `pointpillars_torch.py` solves the same problem in another framework from other inputs: both
packages are judged by one command, and can be exchanged.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
from keras import layers, ops

import perceptum as pc

# What is to be solved, and how it is judged: the same for every detector that takes part
PROBLEM = "detection3d:metric=nuscenes,classes=road_users,range_m=25"
TRAIN = "synthetic:split=train,logs=24,frames=10,beams=32,azimuth_steps=1024"
HELD_OUT = "synthetic:split=val,logs=4,frames=5,beams=32,azimuth_steps=1024"
FLOOR_MAP = 0.3  # of a run of the default length

# What the model is given, and what it is to learn. x, y, z of a pixel are in the ego frame, as the boxes are
ROWS, COLUMNS, BOXES, REACH_M = 32, 512, 32, 30.0
IMAGE = {
    "height": ROWS,
    "width": COLUMNS,
    "rows": "ring",
    "channels": ["range", "x", "y", "z", "intensity"],
    "xyz_frame": "ego",
    "fill": 0.0,
}
TARGETS = {
    "columns": ["x", "y", "z", "length", "width", "height", "yaw"],
    "classes": "road_users",
    "min_points": 3,  # what is hardly seen is not asked for
    "box_range": [-REACH_M, -REACH_M, -5, REACH_M, REACH_M, 5],
    "box_range_axes": "xy",
}
SPEC: list[dict[str, Any]] = [
    {"name": "lidar_range_image", "dtype": "float32", "shape": [5, ROWS, COLUMNS], "params": IMAGE},
    {"name": "lidar_range_image_mask", "dtype": "uint8", "shape": [ROWS, COLUMNS], "params": IMAGE},
    {"name": "gt_boxes", "dtype": "float32", "shape": [BOXES, 7], "params": TARGETS},
    {"name": "gt_labels", "dtype": "int32", "shape": [BOXES], "params": TARGETS},  # -1 in rows without a box
]
INPUTS, WANTED = ["lidar_range_image", "lidar_range_image_mask"], ["gt_boxes", "gt_labels"]
OUTPUTS: list[dict[str, Any]] = [
    # a range image has a sensor's axes, so those of the boxes must be said
    {"name": "boxes", "dtype": "float32", "shape": ["num_boxes", 7], "frame": "ego"},
    {"name": "scores", "dtype": "float32", "shape": ["num_boxes"]},
    {"name": "labels", "dtype": "int64", "shape": ["num_boxes"]},
]
# a range image shows what the sensor saw: nothing in it can be turned or moved, but returns can be lost
AUGMENT = pc.Augment(drop_points=(0.0, 0.2))
APART_M = [2.0, 0.8, 1.2]
"""Two boxes of a class are not nearer than this to each other: vehicle, pedestrian, cyclist."""


def network(width: int = 16) -> keras.Model:
    """A small U-Net -> per pixel the logits of the classes and a box as `targets_of_pixels` has it."""

    def convolution(x: Any, channels: int, stride: int = 1) -> Any:
        x = layers.Conv2D(channels, 3, stride, padding="same", use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    image = keras.Input((5, ROWS, COLUMNS), name="lidar_range_image")
    mask = keras.Input((ROWS, COLUMNS), name="lidar_range_image_mask", dtype="uint8")
    x = ops.transpose(image, (0, 2, 3, 1))
    seen = ops.cast(mask, "float32")[..., None]
    # without x and y: what something looks like does not depend on the direction in which it is
    x = ops.concatenate([x[..., :1] / 25, x[..., 3:], seen], axis=-1)
    whole = convolution(convolution(x, width), width)
    half = convolution(convolution(whole, 2 * width, 2), 2 * width)
    quarter = convolution(convolution(half, 4 * width, 2), 4 * width)
    half = convolution(layers.Concatenate()([half, layers.UpSampling2D(2)(quarter)]), 2 * width)
    whole = convolution(layers.Concatenate()([whole, layers.UpSampling2D(2)(half)]), 2 * width)
    rare = keras.initializers.Constant(-4.0)  # at first nothing is anywhere
    outputs = {
        "classes": layers.Conv2D(3, 1, name="classes", bias_initializer=rare)(whole),
        "boxes": layers.Conv2D(8, 1, name="boxes")(whole),
    }
    return keras.Model({"lidar_range_image": image, "lidar_range_image_mask": mask}, outputs)


def targets_of_pixels(inputs: dict[str, Any], targets: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A batch of boxes -> what each pixel (B, rows, columns, ...) is to say of the one that it lies in.

    classes: one-hot, the pixel's weight, whether there is a return within reach.
    boxes: the way to the centre, ahead and to the left as one looks along the ray, and up; the logarithms of length,
    width, height; sine and cosine of the yaw against the ray; the weight.
    The pixels of a box weigh as much as one together: what is near is not worth more than what is far.
    """
    xyz = tf.transpose(inputs["lidar_range_image"][:, 1:4], [0, 2, 3, 1])
    boxes, label = targets["gt_boxes"], targets["gt_labels"]
    seen = (inputs["lidar_range_image_mask"] > 0) & (inputs["lidar_range_image"][:, 0] < REACH_M)
    # where a return is in a box, whose faces are at -1 and 1: one product, as most of the time here goes into this
    half, zero = boxes[..., 3:6] / 2 + 0.1, tf.zeros_like(boxes[..., 6])  # m: returns are noisy
    sin, cos = tf.sin(boxes[..., 6]), tf.cos(boxes[..., 6])
    axes = tf.stack([cos, sin, zero, -sin, cos, zero, zero, zero, zero + 1], -1)
    axes = tf.reshape(axes, [-1, BOXES, 3, 3]) / half[..., None]
    own_centre = tf.linalg.matvec(axes, boxes[..., :3])
    place = tf.einsum("brcj,bnij->brcin", xyz, axes) - tf.transpose(own_centre, [0, 2, 1])[:, None, None]
    inside = tf.reduce_all(abs(place) < 1, -2)
    inside &= (label >= 0)[:, None, None] & seen[..., None]
    hit, box_of = tf.reduce_any(inside, -1), tf.argmax(tf.cast(inside, tf.uint8), -1)
    pixels = tf.reduce_sum(tf.cast(inside, tf.float32), [1, 2])
    weight = tf.where(hit, 1 / tf.maximum(tf.gather(pixels, box_of, batch_dims=1), 1), 0)[..., None]
    own = tf.gather(boxes, box_of, batch_dims=1)
    azimuth = tf.atan2(xyz[..., 1], xyz[..., 0])
    ahead, left = turned(own[..., 0] - xyz[..., 0], own[..., 1] - xyz[..., 1], -azimuth)
    sizes, yaw = tf.math.log(tf.maximum(own[..., 3:6], 0.1)), own[..., 6] - azimuth
    way = [ahead, left, own[..., 2] - xyz[..., 2], *tf.unstack(sizes, axis=-1), tf.sin(yaw), tf.cos(yaw)]
    one_hot = tf.one_hot(tf.where(hit, tf.gather(label, box_of, batch_dims=1), -1), 3)
    return inputs, {
        "classes": tf.concat([one_hot, weight, tf.cast(seen, tf.float32)[..., None]], -1),
        "boxes": tf.concat([tf.stack(way, -1), weight], -1),
    }


def turned(x: Any, y: Any, by_rad: Any) -> tuple[Any, Any]:
    return x * tf.cos(by_rad) - y * tf.sin(by_rad), x * tf.sin(by_rad) + y * tf.cos(by_rad)


@keras.saving.register_keras_serializable("perceptum")
def loss_of_classes(wanted: Any, logits: Any) -> Any:
    """The focal loss (Lin et al. 2017) of the pixels with a return within reach."""
    one_hot, weight, seen = wanted[..., :3], wanted[..., 3:4], wanted[..., 4:]
    chance = tf.clip_by_value(tf.sigmoid(logits), 1e-4, 1 - 1e-4)
    missed = 2 * weight * one_hot * (1 - chance) ** 2 * tf.math.log(chance)
    invented = 0.1 * seen * (1 - one_hot) * chance**2 * tf.math.log(1 - chance)
    return -tf.reduce_sum(missed + invented) / tf.maximum(tf.reduce_sum(weight), 1)


@keras.saving.register_keras_serializable("perceptum")
def loss_of_boxes(wanted: Any, regressed: Any) -> Any:
    """L1, box by box."""
    weight = wanted[..., 8:]
    return tf.reduce_sum(weight * abs(wanted[..., :8] - regressed)) / tf.maximum(tf.reduce_sum(weight), 1)


def detector(model: keras.Model) -> Any:
    """One frame -> its boxes, a row each: what is packed. Of boxes in one place the surest is kept."""

    @tf.function
    def detect(lidar_range_image: Any, lidar_range_image_mask: Any) -> dict[str, Any]:
        batch = {"lidar_range_image": lidar_range_image[None], "lidar_range_image_mask": lidar_range_image_mask[None]}
        said = model(batch, training=False)
        seen = (lidar_range_image_mask > 0) & (lidar_range_image[0] < REACH_M)
        chance = tf.sigmoid(said["classes"][0]) * tf.cast(seen, tf.float32)[..., None]
        scores, labels = tf.reduce_max(chance, -1), tf.argmax(chance, -1)
        at = tf.where(scores > 0.05)
        scores, labels, way = (tf.gather_nd(each, at) for each in (scores, labels, said["boxes"][0]))
        x, y, z = tf.unstack(tf.gather_nd(tf.transpose(lidar_range_image[1:4], [1, 2, 0]), at), axis=1)
        azimuth = tf.atan2(y, x)
        ahead, left = turned(way[:, 0], way[:, 1], azimuth)
        centre, yaw = tf.stack([x + ahead, y + left, z + way[:, 2]], 1), tf.atan2(way[:, 6], way[:, 7]) + azimuth
        boxes = tf.concat([centre, tf.exp(way[:, 3:6]), yaw[:, None]], 1)
        # squares about the centres; those of another class are put a kilometre away
        middle = centre[:, :2] + tf.cast(labels, tf.float32)[:, None] * 1000
        half = tf.gather(tf.constant(APART_M), labels)[:, None] / 2
        kept = tf.image.non_max_suppression(tf.concat([middle - half, middle + half], 1), scores, 100, 0.1)
        return {
            name: tf.gather(each, kept) for name, each in (("boxes", boxes), ("scores", scores), ("labels", labels))
        }

    return detect


class Candidate:
    """The model as it is now, in the form in which an evaluation takes models that are not packages yet."""

    name, inputs, outputs = "range_view", SPEC[:2], OUTPUTS

    def __init__(self, detect: Any) -> None:
        self.detect = detect

    def infer(self, tensors: dict[str, Any]) -> dict[str, Any]:
        answer = self.detect(*(tf.constant(tensors[name]) for name in INPUTS))
        return {name: tensor.numpy() for name, tensor in answer.items()}


class AfterEachEpoch(keras.callbacks.Callback):
    """Keeps the model, its optimizer and the loader's place, and says how good the model is by now."""

    def __init__(self, detect: Any, loader: pc.Loader, options: argparse.Namespace) -> None:
        super().__init__()
        self.candidate, self.loader, self.out = Candidate(detect), loader, options.out
        self.held_out = pc.open_dataset(options.held_out)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        done = epoch + 1
        self.model.save(self.out / "checkpoint.keras")
        (self.out / "checkpoint.json").write_text(json.dumps({"epochs": done, "loader": self.loader.state_dict()}))
        judged = pc.evaluate(PROBLEM, self.held_out, self.candidate).scores["range_view"]
        print(f"epoch {done:3}  loss {logs['loss']:6.3f}  mAP {judged.summary['mAP']:.3f}", flush=True)


def train(options: argparse.Namespace) -> Path:
    keras.utils.set_random_seed(0)
    loader = pc.Loader(
        pc.open_dataset(options.train),
        SPEC,
        batch_size=4,
        shuffle=0,
        augment=AUGMENT,
        workers=options.workers,
        drop_last=True,
    )
    first_epoch = 0
    if options.resume:
        model = keras.saving.load_model(options.out / "checkpoint.keras")
        saved = json.loads((options.out / "checkpoint.json").read_text())
        loader.load_state_dict(saved["loader"])
        first_epoch = saved["epochs"]
    else:
        steps = len(loader) * options.epochs
        rate = keras.optimizers.schedules.CosineDecay(4e-4, steps, warmup_target=4e-3, warmup_steps=steps // 5)
        model = network()
        model.compile(keras.optimizers.Adam(rate), {"classes": loss_of_classes, "boxes": loss_of_boxes})
    detect = detector(model)
    with loader:
        # the targets of a batch are made while the network learns from the one before, compiled: in a fifth of the time
        targets = tf.function(targets_of_pixels, jit_compile=True)
        batches = loader.tf_dataset(inputs=INPUTS, targets=WANTED).map(targets).prefetch(1)
        model.fit(
            batches,
            initial_epoch=first_epoch,
            epochs=options.epochs,
            callbacks=[AfterEachEpoch(detect, loader, options)],
            shuffle=False,  # the loader does
            verbose=0,
        )
        print(loader.stats().advice)
        # the spec that was trained on, with its parameters and the schema's fingerprint; what training saw of a few
        # frames goes into the package too, for `perceptum parity`
        return pc.pack(
            detect,
            loader.spec,
            options.out / "range_view.neuropod",
            problem=PROBLEM,
            outputs=OUTPUTS,
            seen=loader,
            overwrite=True,
        )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("trained"), help="the folder of the checkpoint and the package"
    )
    parser.add_argument("--train", default=TRAIN, help="drives to learn from")
    parser.add_argument("--held-out", default=HELD_OUT, help="drives to be judged on")
    parser.add_argument("--epochs", type=int, default=4, help="of the drives to learn from, in batches of 4 frames")
    parser.add_argument("--workers", type=int, default=2, help="processes that build batches")
    parser.add_argument("--floor", type=float, default=FLOOR_MAP, help="status 1 where the mAP does not end above this")
    parser.add_argument("--resume", action="store_true", help="go on after the last epoch that was finished")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    package = train(options)
    # what is judged at last is what would be shipped
    scores = pc.evaluate(PROBLEM, pc.open_dataset(options.held_out), package, isolate=False).scores
    score = next(iter(scores.values())).summary["mAP"]
    print(f"packed {package}, mAP {score:.3f}")
    if score <= options.floor:
        sys.exit(f"an mAP of {score:.3f} is not above the floor of {options.floor}")


if __name__ == "__main__":
    main()
