"""How long segments are meant to be, beside what is asked for."""

LONGEST_ALONE = 1.5
"""How many times as long as asked a video may be that is not cut at all."""
KEYFRAME_REACH = 0.5
"""A keyframe within this fraction of a segment's length attracts the cut."""
REST_BY_SEGMENT = 8
"""Towards the end of a film a segment is this part of what is left: up to about as many workers end
at nearly the same time, for the last to finish has little left to do."""
SHORTEST_SECONDS = 0.5
"""What such a segment is meant to have at least, unless less was asked for: each costs a keyframe
of the output. The last worker is alone for as long as such a segment takes at most; less than half
a second gains nothing more (simulated)."""
PRE_ROLL_BY_SEGMENT = 2
"""How many times longer than such a segment its way from its keyframe is meant to be at most: all
of that is decoded again. Simulated with a keyframe each ten seconds: half as much leaves nothing of
the gain, three times as much loses it again in decoding, where that is a tenth of the work."""
MOST_PRE_ROLL = 4
"""How many times longer than itself the way from its keyframe to any segment is meant to be."""
PACKETS_AHEAD = 40
"""How many packets a decoder may want before a frame comes out: 16 that are shown in another order,
and some for each of its threads. Where that is not enough, the way from the keyframe is decoded
again."""
