"""How the agent family's tensors are made; what they are is in features/agent, file by file the same."""
