"""What is on disk: the files of a package, what it says of itself, its test data, and whether it may run."""
