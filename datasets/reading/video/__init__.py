"""Pictures that lie in a video: a packet each, most of them the difference to the one before."""
