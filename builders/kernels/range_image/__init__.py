"""The kernels of the range image: cells (which point each cell shows), gaps (cells without one), points, channels."""
