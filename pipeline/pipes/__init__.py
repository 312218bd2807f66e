"""Films that come and go as streams: read once, in order, in bounded memory."""
