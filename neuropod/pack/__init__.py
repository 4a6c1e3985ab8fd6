"""Making packages and looking at them: packing, the test in a fresh process, verification, inspection, difference."""
