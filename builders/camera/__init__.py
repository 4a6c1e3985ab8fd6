"""How the camera family's tensors are made; what they are is in features/camera, file by file the same."""
