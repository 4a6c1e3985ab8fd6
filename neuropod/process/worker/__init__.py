"""What runs in a worker: numpy and the standard library alone, in the syntax of Python 3.6.

A worker loads this folder by its path, as the package `perceptum_worker`: the Python that runs it may be an old one, in
which perceptum cannot be imported. The parent imports the same files for what both sides must agree on.
"""
