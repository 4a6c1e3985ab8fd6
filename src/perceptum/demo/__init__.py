"""The demo: two hand-made detectors, in two frameworks and two views, that solve one problem on one drive."""
