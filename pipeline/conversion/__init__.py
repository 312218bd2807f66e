"""Sound and subtitles that a container does not hold as they are."""
