"""What cameras see of points, in numbers."""
