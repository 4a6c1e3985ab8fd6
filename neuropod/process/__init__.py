"""Models in processes of their own, on shared memory: one message each way, and no tensor's bytes in it."""
