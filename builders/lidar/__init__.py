"""The lidar tensors: one file per group of features, and the two stages they share, cloud and cells."""
