"""Where files lie: on disks and behind URIs."""
