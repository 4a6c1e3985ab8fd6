"""Recordings of ROS 1 and 2: MCAP files and bags, and how their messages become records."""
