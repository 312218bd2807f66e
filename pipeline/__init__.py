"""Moving pictures: videos in segments, image folders, and the fan-out of both over workers."""
