"""How the ego family's tensors are made; what they are is in features/ego, file by file the same."""
