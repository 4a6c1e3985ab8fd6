"""The radar tensors: one file per group of features, and the stage they share, the detections."""
