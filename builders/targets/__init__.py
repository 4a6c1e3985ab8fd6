"""How targets are made; what they are is in features/targets, file by file the same."""
