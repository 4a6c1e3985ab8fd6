"""What is known of each framework, in a file of its own: its import, its memory, its strings, its versions."""
