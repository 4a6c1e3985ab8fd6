"""KITTI: the object, odometry and raw datasets, one file each, and what they share."""
