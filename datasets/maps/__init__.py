"""HD maps in files of their own: Lanelet2 and OpenDRIVE."""
