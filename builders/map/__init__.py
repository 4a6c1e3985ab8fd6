"""How the map family's tensors are made; what they are is in features/map, file by file the same."""
