"""A worker as any other, that waits less long for what a request needs: `hurried_worker.py BOOTSTRAP SECONDS FD`."""

import importlib.util
import sys

path, seconds = sys.argv[1:3]
del sys.argv[1:3]
spec = importlib.util.spec_from_file_location("bootstrap", path)
bootstrap = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bootstrap)
bootstrap.__file__ = path
bootstrap._package()
from perceptum_worker import loop  # noqa: E402

loop._GRACE_S = float(seconds)
bootstrap.main()
